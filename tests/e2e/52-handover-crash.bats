#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: who is killed, and when, in a hand-over: every cell of the table
#
# A row is a step of the hand-over and who is killed there; what follows is
# which sides are left, what is typed next, and what that leads to. Each cell
# is played without guards and with guards on both sides. In each it holds
# that
#   - no other supervisor gets the disk as long as a child of either side
#     lives, and nobody at all as long as a supervisor or a guard does;
#   - the source's child never wrote when the target was alone, and of the two
#     at most one supervisor is RUNNING, ever;
#   - whatever is refused names the next thing to type;
#   - in the end, when all are gone, the disk is free.
#
# Steps:
#   prepared   the source has offered, there is no target
#   starting   a target has claimed the VM, and waits for a disk
#   claimed    the target waits for its QEMU (INCOMING)
#   cancelled  ... and a cancel of the source waits for it (RECLAIMING)
#   completed  the target is completed (CLAIMING)
#   leaving    ... and so is the source, whose child does not die
#   let-go     the source was completed first, and is gone
#   taken      the source is gone, the target runs
#
# Killed: S, T the supervisors; s, t their children; ST both at one blow.
#
# Next: what an operator does with what is left, see next_...() below.

# shellcheck disable=SC2030,SC2031  # each test is a shell, and so is run_program
load ../lib/common
load ../lib/handover

setup() {
    common_setup
    handover_setup
    requires_freezer
    make_disk a b
}

#       step      killed  left  next
table() {
    cat <<'END'
        prepared  S       -     free
        prepared  s       -     free
        starting  S       T     cancel-start
        starting  s       T     cancel-start
        starting  T       S     cancel-source
        starting  ST      -     free
        claimed   S       T     complete
        claimed   S       T     cancel-target
        claimed   s       T     complete
        claimed   s       T     cancel-target
        claimed   T       S     cancel-source
        claimed   t       S     cancel-source
        claimed   T       S     out-refused
        claimed   T       S     another-target
        claimed   ST      -     free
        cancelled S       T     cancel-target
        cancelled s       T     complete
        cancelled T       S     source-runs
        cancelled t       S     source-runs
        cancelled ST      -     free
        completed S       T     target-runs
        completed s       T     target-runs
        completed T       S     out-only
        completed t       S     out-only
        completed ST      -     free
        leaving   S       T     thaw
        leaving   T       S     thaw
        leaving   t       S     thaw
        leaving   ST      -     thaw
        let-go    T       -     free
        let-go    t       -     free
        taken     T       -     free
        taken     t       -     free
END
}

# --- steps ------------------------------------------------------------------

source_stamps() {
    source_vm "${GUARD[@]}" --param drain=1 --disk a -- --stamp "$T/stamps"
}

target_waits() {
    target_vm "${GUARD[@]}" --disk a "$@" --
}

step_prepared() {
    source_stamps
    prepare
}

step_starting() {
    fake another --disk b --
    OTHER=$SUP
    step_prepared
    on_target spawn target "$SUPERVISOR" --name vm --uuid "$U" --incoming \
        "${GUARD[@]}" --log-level info --wait --disk a --disk b -- touch started
    T_SUP=$PID T_CHILD=
    wait_until has_line target.err "'$T/b'"
}

step_claimed() {
    step_prepared
    target_waits
}

step_cancelled() {
    step_claimed
    spawn cancel "$LOCKCTL" migrate-cancel vm
    wait_until vm_state "$U" RECLAIMING
}

step_completed() {
    step_claimed
    complete_in
}

step_leaving() {
    step_completed
    FROZEN=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER-$CELL
    make_cgroup "$FROZEN"
    echo "$S_CHILD" >"$FROZEN/cgroup.procs"
    echo FROZEN >"$FROZEN/freezer.state"
    wait_until has_line "$FROZEN/freezer.state" FROZEN
    complete_out
    vm_state "$U" KILLING
}

step_let-go() {
    step_claimed
    complete_out
    ended "$S_SUP"
    same "exit status of the source" 0 "$STATUS"
}

step_taken() {
    step_completed
    complete_out
    only_target_runs
    moment
}

# --- killing ----------------------------------------------------------------

killed_S() { kill_supervisors "$S_SUP"; }
killed_T() { kill_supervisors "$T_SUP"; }
killed_ST() { kill_supervisors "$S_SUP" "$T_SUP"; }
killed_s() { kill -KILL "$S_CHILD"; ended "$S_SUP"; }
killed_t() { kill -KILL "$T_CHILD"; ended "$T_SUP"; }

kill_supervisors() {
    local pid
    at_once "$@"
    for pid; do ended "$pid"; done
}

# --- what holds -------------------------------------------------------------

moment() {
    "$PYTHON" -SEc 'import time; print(time.monotonic_ns())' >moment
}

# Who is left is left with its child; of who is not, the child is dead, if it
# can die.
left_is() {
    case $1 in *S*) lives "$S_SUP" && lives "$S_CHILD" ;;
    *) [ -n "${FROZEN:-}" ] || wait_until gone "$S_CHILD" ;; esac ||
        fail "the source: is anybody left of it?"
    case $1 in *T*) lives "$T_SUP" && { [ -z "$T_CHILD" ] || lives "$T_CHILD"; } ;;
    *) [ -z "$T_CHILD" ] || wait_until gone "$T_CHILD" ;; esac ||
        fail "the target: is anybody left of it?"
}

one_runs_at_most() {
    refute two_run
}

two_run() {
    vm_state "$U" RUNNING && on_target vm_state "$U" RUNNING
}

target_is_alone() {
    wait_until on_target vm_state "$U" RUNNING
    moment
    gone "$S_CHILD" || fail "the source's child lives"
    never_after stamps moment
    locked a
}

source_is_alone() {
    wait_until vm_state "$U" RUNNING
    lives "$S_CHILD" || fail "the source's child is dead"
    refute test -S "$TARGET_RUN/$U.sock" || refute lives "$T_SUP"
    leases_are HELD
    locked a
}

end_source() {
    lockctl quit vm
    ended "$S_SUP"
}

end_target() {
    on_target lockctl quit vm
    ended "$T_SUP"
}

# --- what is done next ------------------------------------------------------

next_free() {
    free a
}

# It has no child yet, and holds no disk between two tries.
next_cancel-start() {
    on_target lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    ended "$T_SUP"
}

next_cancel-target() {
    locked a
    on_target lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    ended "$T_SUP"
}

next_cancel-source() {
    locked a
    vm_state "$U" OUTGOING
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    source_is_alone
    end_source
}

next_source-runs() {
    source_is_alone
    end_source
}

next_complete() {
    locked a
    on_target vm_state "$U" INCOMING
    complete_in
    target_is_alone
    end_target
}

next_target-runs() {
    target_is_alone
    end_target
}

next_another-target() {
    locked a
    T_SUP='' T_CHILD=''
    target_waits --state "$(migration state)"
    complete_in
    complete_out
    only_target_runs
    target_is_alone
    end_target
}

next_out-refused() {
    lockctl migrate-complete vm --out
    refused_with "no target has claimed it; start the target with --incoming first, or 'virt-lockctl migrate-cancel vm'$"
    next_cancel-source
}

# The target has been the VM: its disk is ahead of the source's guest.
next_out-only() {
    locked a
    lockctl migrate-cancel vm
    refused_with "the target was completed, .*: 'virt-lockctl migrate-complete vm --out'$"
    vm_state "$U" OUTGOING
    complete_out
    ended "$S_SUP"
    same "exit status of the source" 0 "$STATUS"
}

# Where both supervisors are gone only the child's liveness keeps others away.
next_thaw() {
    kept a
    lives "$S_CHILD" || fail "it should not have died"
    one_runs_at_most
    echo THAWED >"$FROZEN/freezer.state"
    wait_until gone "$S_CHILD"
    if lives "$T_SUP"; then
        target_is_alone
        end_target
    fi
    ! lives "$S_SUP" || ended "$S_SUP"
}

# --- the table --------------------------------------------------------------

# cell STEP KILLED LEFT NEXT
cell() {
    CELL=$((${CELL:-0} + 1))
    FROZEN=
    rm -f stamps moment
    "step_$1"
    one_runs_at_most
    "killed_$2"
    left_is "$3"
    one_runs_at_most
    "next_$4"
    if [ -n "${OTHER:-}" ]; then
        kill -KILL "$OTHER"
        ended "$OTHER"
        OTHER=
        if lives "$S_SUP"; then end_source; fi
    fi
    free a
    "$TAKER" --try a || fail "byte 0 is held by nobody's supervisor"
    ! lives "$S_CHILD" || fail "the source's child is left"
    rm -f "$(socket_of "$U")" "$TARGET_RUN/$U.sock"
}

# rows STEP: with and without guards
rows() {
    local step killed left next n=0
    while read -r step killed left next; do
        [ "$step" = "$1" ] || continue
        for GUARD in "" --guard; do
            GUARD=(${GUARD:+"$GUARD"})
            echo "# $step, killed $killed, left $left, next $next ${GUARD[*]}"
            cell "$step" "$killed" "$left" "$next"
            n=$((n + 1))
        done
    done < <(table)
    [ "$n" -ge 4 ] || fail "the table has no such row"
}

@test "the table has all steps, and enough cells" {
    [ "$(table | wc -l)" -ge 32 ]
    same "steps" "$(compgen -A function step_ | sed 's/step_//' | sort)" \
        "$(table | awk '{ print $1 }' | sort -u)"
    same "what is done next" \
        "$(compgen -A function next_ | sed 's/next_//' | sort)" \
        "$(table | awk '{ print $4 }' | sort -u)"
}

@test "prepared" { rows prepared; }
@test "starting" { rows starting; }
@test "claimed" { rows claimed; }
@test "cancelled" { rows cancelled; }
@test "completed" { rows completed; }
@test "leaving" { rows leaving; }
@test "let go" { rows let-go; }
@test "taken" { rows taken; }
