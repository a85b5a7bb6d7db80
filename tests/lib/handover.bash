# shellcheck shell=bash disable=SC2034  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a source and a target of a hand-over, on one host
#
# One VM, one state directory, two run directories: what is said to the target
# goes through on_target. Numbers of the source are in $S_SUP and $S_CHILD,
# those of the target in $T_SUP and $T_CHILD. Load it after common, and call
# handover_setup after common_setup.

handover_setup() {
    requires jq
    U=$(uuid 1)
    TARGET_RUN=$T/target-run
}

# on_target COMMAND...: with the target's run directory
on_target() {
    local VIRT_LOCK_RUN_DIR=$TARGET_RUN
    export VIRT_LOCK_RUN_DIR
    "$@"
}

# source_vm [SUPERVISOR OPTION...] -- [FAKEVMM OPTION...]
source_vm() {
    fake source --name vm --uuid "$U" "$@"
    S_SUP=$SUP S_CHILD=$CHILD
}

# target_vm [SUPERVISOR OPTION...] -- [FAKEVMM OPTION...]
target_vm() {
    on_target fake target --name vm --uuid "$U" --incoming "$@" || return 1
    T_SUP=$SUP T_CHILD=$CHILD
}

# no_target OPTION...: a target that must not start; $status, $stderr
no_target() {
    on_target run_supervisor --name vm --uuid "$U" --incoming "$@" \
        -- touch started
    refute test -e started
}

# prepare: $TOKEN
prepare() {
    lockctl migrate-prepare vm "$@"
    same "prepare ($stderr)" 0 "$status"
    TOKEN=$output
}

complete_in() {
    on_target lockctl migrate-complete vm --in "$@"
    same "complete in ($stderr)" 0 "$status"
}

complete_out() {
    lockctl migrate-complete vm --out "$@"
    same "complete out ($stderr)" 0 "$status"
}

# refused_with REGEX: lockctl has just failed so, in one line
refused_with() {
    same "exit status ($stderr)" 1 "$status"
    same "lines of stderr" 1 "${#stderr_lines[@]}"
    matches "stderr" "$1" "$stderr"
}

# What the supervisor says of the hand-over: migration FIELD
migration() {
    qmp "$U" query-status | jq -r ".migration.$1"
}

# The target is all that there is of the VM, and runs.
only_target_runs() {
    ended "$S_SUP"
    same "exit status of the source" 0 "$STATUS"
    gone "$S_CHILD" || fail "the source's child lives"
    wait_until on_target vm_state "$U" RUNNING
    lives "$T_CHILD" || fail "the target's child is dead"
}

only_source_runs() {
    ended "$T_SUP"
    gone "$T_CHILD" || fail "the target's child lives"
    wait_until vm_state "$U" RUNNING
    lives "$S_CHILD" || fail "the source's child is dead"
}

# leases_are STATUS: all exclusive ones of the VM
leases_are() {
    same "leases" "$1" "$(qmp "$U" query-leases |
        jq -r '[.[] | select(.mode == "exclusive").status] | unique | join(" ")')"
}

# --- who must not get in ----------------------------------------------------

# thief NAME OPTION...: tries to start a VM all the time; $T/NAME.tries tells
# how often, $T/NAME.stolen that it could
thief() {
    local name=$1
    shift
    : >"$name.tries"
    # shellcheck disable=SC2016
    spawn "$name" bash -c 'name=$1; shift
        while "$@" -- touch "$name.stolen" 2>"$name.said" || [ $? = 123 ]; do
            echo >>"$name.tries"
        done' thief "$name" "$SUPERVISOR" --name "$name" "$@"
    eval "${name}_PID=$PID"
}

# tried NAME: it has tried again, from begin to end
tried() {
    wait_until has_lines $(($(wc -l <"$1.tries") + 2)) "$1.tries" '^$'
}

# thieves DISK: one for itself, one who would share, and one that has a clock:
# every 5 ms it tries byte 0, which is a lease's
thieves() {
    thief exclusive --disk "$1"
    thief shared --disk "$1,shared"
    spawn clock "$TAKER" --every 5 "$1" "$T/clock.stolen"
    clock_PID=$PID
}

# nothing_stolen: they have tried since, and none has ever got in
nothing_stolen() {
    tried exclusive
    tried shared
    lives "$exclusive_PID" || fail "thief: $(cat exclusive.said)"
    lives "$shared_PID" || fail "thief: $(cat shared.said)"
    lives "$clock_PID" || fail "thief: $(cat clock.err)"
    refute test -e exclusive.stolen
    refute test -e shared.stolen
    refute test -e clock.stolen
}

no_more_thieves() {
    kill -KILL "$exclusive_PID" "$shared_PID" "$clock_PID"
}

# kept DISK: no other supervisor gets it now; locked DISK: nobody does,
# however; free DISK: everybody
kept() {
    run_supervisor --name other --disk "$1" -- touch stolen
    same "another VM, exclusive ($stderr)" 123 "$status"
    run_supervisor --name other --disk "$1,shared" -- touch stolen
    same "another VM, shared ($stderr)" 123 "$status"
    refute test -e stolen
}

locked() {
    kept "$1"
    refute "$TAKER" --try "$1"
}

free() {
    run_supervisor --name other --wait=10 --disk "$1" -- true
    same "another VM ($stderr)" 0 "$status"
}
