#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a VM is handed to another supervisor: tokens, order, who is kept out
#
# With fake children on one host. What becomes of it when somebody is killed is
# in 52-handover-crash.bats, real migrations are in 51-migrate-qemu.bats.

# shellcheck disable=SC2030,SC2031,SC2034  # each test is a shell
load ../lib/common
load ../lib/handover

setup() {
    common_setup
    handover_setup
    make_disk a b
}

teardown() {
    common_teardown
    [ ! -e "$T/loop" ] || losetup -d "$(<"$T/loop")"
}

# --- from begin to end ------------------------------------------------------

@test "the target is completed first, then the source" {
    source_vm --disk a --json-status-fd 7 -- 7>source.json
    prepare --target-uri tcp:host2:4444
    matches "the token, and nothing else" '^[A-Za-z0-9:=._,-]+$' "$output"
    same "what it says" "" "$stderr"
    vm_state "$U" OUTGOING
    leases_are OFFERED
    target_vm --state "$TOKEN" --disk a --
    on_target vm_state "$U" INCOMING
    on_target leases_are CLAIMED
    complete_in --source-uri tcp:host1:4444
    on_target vm_state "$U" CLAIMING
    vm_state "$U" OUTGOING
    complete_out
    only_target_runs
    on_target leases_are HELD
    jq -e 'select(."exit-code" == 0 and ."handed-over" and
        .source == "supervisor")' source.json >said
    same "why" "handed over to tcp:host2:4444" "$(jq -r .reason said)"
    refute test -e "$(socket_of "$U")"
    locked a
    on_target lockctl quit vm
    free a
}

@test "the source goes first" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    complete_out
    ended "$S_SUP"
    same "exit status of the source" 0 "$STATUS"
    on_target vm_state "$U" INCOMING
    locked a
    complete_in --wait
    only_target_runs
}

@test "inquire, release, acquire with the state" {
    source_vm --disk a --
    state=$(qmp "$U" inquire | jq -r .state)
    vm_state "$U" RUNNING
    same "state" "$state" "$(qmp "$U" release | jq -r .state)"
    vm_state "$U" OUTGOING
    target_vm --state "$state" --disk a --
    on_target qmp "$U" acquire "{\"state\": \"$state\"}"
    on_target vm_state "$U" CLAIMING
    kill -TERM "$S_CHILD"
    only_target_runs
}

@test "a pause keeps the leases, and only the own token resumes it" {
    source_vm --disk a --
    state=$(qmp "$U" release | jq -r .state)
    vm_state "$U" RUNNING
    leases_are HELD
    locked a
    qmp "$U" acquire
    qmp "$U" acquire "{\"state\": \"$state\"}"
    refute qmp "$U" acquire '{"state": "x"}' >said
    same "why" "cannot use state 'x': it is no state token" "$(jq -r .desc said)"
}

@test "acquire on the source takes back what release has offered" {
    source_vm --disk a --
    qmp "$U" inquire
    state=$(qmp "$U" release | jq -r .state)
    qmp "$U" acquire "{\"state\": \"$state\"}"
    vm_state "$U" RUNNING
    leases_are HELD
    qmp "$U" release
    vm_state "$U" RUNNING
}

@test "a source whose manager ends QEMU itself has handed over, too" {
    source_vm --disk a --json-status-fd 7 -- --on-term 3 7>source.json
    prepare
    target_vm --disk a --
    complete_in
    kill -TERM "$S_CHILD"
    only_target_runs
    jq -e 'select(."handed-over")' source.json
}

@test "--out --wait: when it returns the source's leases are let go" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    complete_in
    complete_out --wait
    gone "$S_CHILD"
    refute test -e "$(socket_of "$U")"
    only_target_runs
}

@test "--in --wait: when it returns the target is alone" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    on_target spawn complete "$LOCKCTL" migrate-complete vm --in --wait
    WAITS=$PID
    wait_until on_target vm_state "$U" CLAIMING
    lives "$WAITS" || fail "it did not wait: $(cat complete.err)"
    complete_out
    ended "$WAITS"
    same "exit status" 0 "$STATUS"
    on_target vm_state "$U" RUNNING
    only_target_runs
    complete_in --wait
    complete_in
}

@test "--in --wait that is in vain is no refusal: it says that the VM was here" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    # shellcheck disable=SC2016
    on_target spawn complete "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" \
        "$TARGET_RUN/$U.sock" migrate-complete '{"direction": "in", "wait": true}'
    WAITS=$PID
    wait_until on_target vm_state "$U" CLAIMING
    kill -KILL "$T_CHILD"
    ended "$WAITS"
    same "class" LeaseLost "$(jq -r .class complete.out)"
    matches "sentence" "^cannot wait for the source's end: the VM was handed over, and is GONE by now \(" \
        "$(jq -r .desc complete.out)"
    ended "$T_SUP"
    complete_out
}

@test "there and back again" {
    source_vm --disk a --
    prepare
    target_vm --state "$TOKEN" --disk a --
    complete_in
    complete_out
    only_target_runs
    FIRST=$TOKEN
    on_target prepare
    [ "$TOKEN" != "$FIRST" ] || fail "the same token again"
    fake source --name vm --uuid "$U" --state "$TOKEN" --disk a --
    lockctl migrate-complete vm --in
    same "complete in ($stderr)" 0 "$status"
    on_target complete_out
    ended "$T_SUP"
    same "exit status" 0 "$STATUS"
    wait_until vm_state "$U" RUNNING
}

# --- tokens -----------------------------------------------------------------

# refused_token TOKEN REGEX: a target with it
refused_token() {
    no_target --state "$1" --disk a
    same "exit status" 123 "$status"
    matches "stderr" "cannot use state '.*': $2" "$stderr"
    vm_state "$U" OUTGOING
}

@test "a token that is not the one is refused, and is told why" {
    source_vm --disk a --
    prepare
    stale=$TOKEN
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    fake another --uuid "$(uuid 2)" --disk b --
    lockctl migrate-prepare another
    foreign=$output
    prepare
    refused_token "$stale" "it is stale: that hand-over was cancelled"
    refused_token "$foreign" "it is of another VM"
    refused_token "${TOKEN%???}" "it is not whole \(cut off, or altered"
    refused_token "${TOKEN/:$U:/:$(uuid 2):}" "it is not whole"
    refused_token "" "it is no state token"
    refused_token $'a\nb' "it is no state token"
    target_vm --state "$TOKEN" --disk a --
}

@test "a token that is used again is refused, after any number of hand-overs" {
    source_vm --disk a --
    prepare
    target_vm --state "$TOKEN" --disk a --
    refute on_target qmp "$U" acquire "{\"state\": \"${TOKEN}0\"}" >said
    matches "cut off" "it is not whole" "$(<said)"
    on_target vm_state "$U" INCOMING
    on_target qmp "$U" acquire "{\"state\": \"$TOKEN\"}"
    complete_out
    only_target_runs
    refute on_target qmp "$U" acquire "{\"state\": \"$TOKEN\"}" >said
    matches "replayed" "it is stale: the VM has changed hands since" "$(<said)"
    on_target lockctl quit vm
    source_vm --disk a --
    replayed=$TOKEN
    prepare
    refused_token "$replayed" "it is stale: it is of another start of the VM"
}

# --- nobody else ------------------------------------------------------------

@test "thieves who try all the time get nothing, from prepare to the end" {
    source_vm --disk a --
    thieves a
    nothing_stolen
    prepare
    nothing_stolen
    target_vm --state "$TOKEN" --disk a --
    nothing_stolen
    complete_in
    nothing_stolen
    refute "$TAKER" --try a
    complete_out
    only_target_runs
    nothing_stolen
    refute "$TAKER" --try a
    on_target prepare
    nothing_stolen
    on_target lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    nothing_stolen
}

@test "nor in a hand-over that is cancelled" {
    source_vm --disk a --
    thieves a
    prepare
    target_vm --disk a --
    on_target lockctl migrate-cancel vm
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    only_source_runs
    nothing_stolen
}

@test "two targets: the second is refused until the first is gone" {
    source_vm --disk a --
    prepare
    target_vm --state "$TOKEN" --disk a --
    VIRT_LOCK_RUN_DIR=$T/run3 run_supervisor --name vm --uuid "$U" \
        --state "$TOKEN" --disk a -- touch started
    same "exit status" 123 "$status"
    matches "stderr" "cannot claim '$U': another target has claimed it" "$stderr"
    export VIRT_LOCK_RUN_DIR=$T/run3
    spawn third "$SUPERVISOR" --name vm --uuid "$U" --wait --log-level info \
        --state "$TOKEN" --disk a -- "$FAKEVMM" --ready "$T/third.ready"
    THIRD=$PID
    export VIRT_LOCK_RUN_DIR=$T/run
    wait_until has_line third.err "another target has claimed it"
    on_target lockctl migrate-cancel vm
    ended "$T_SUP"
    wait_until test -s third.ready
    VIRT_LOCK_RUN_DIR=$T/run3 lockctl migrate-complete vm --in
    same "complete in ($stderr)" 0 "$status"
    complete_out
    ended "$S_SUP"
    same "exit status of the source" 0 "$STATUS"
    VIRT_LOCK_RUN_DIR=$T/run3 wait_until vm_state "$U" RUNNING
    lives "$THIRD"
}

@test "a lockspace that two hosts share is enough; nothing in common is not" {
    local target=(--state-dir "$T/state2" --param "lockspace=$T/space")
    source_vm --param "lockspace=$T/space" --disk a --
    prepare
    no_target --state-dir "$T/state2" --disk a
    same "exit status" 123 "$status"
    matches "stderr" "no source of the VM is seen from here|who offers it is not seen" "$stderr"
    target_vm "${target[@]}" --state "$TOKEN" --disk a --
    complete_in
    complete_out
    only_target_runs
}

# --- cancelled --------------------------------------------------------------

@test "cancelled on the target: it is killed, and the source runs on" {
    source_vm --disk a --disk b --
    prepare
    target_vm --disk a --disk b --
    on_target lockctl migrate-complete vm --cancel
    same "cancel ($stderr)" 0 "$status"
    ended "$T_SUP"
    vm_state "$U" OUTGOING
    locked a
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    only_source_runs
    leases_are HELD
    locked a
    same "migration" null "$(qmp "$U" query-status | jq .migration)"
}

@test "cancelled on the source while the target lives: what is held is told" {
    source_vm --disk a --disk b --
    prepare
    target_vm --disk a --disk b --
    lockctl migrate-cancel vm
    refused_with "cannot take '.*' back: a target has claimed it \(cancel it there\); the VM runs on, and its leases stay offered: kept from everybody but a target; then again here"
    vm_state "$U" OUTGOING
    leases_are OFFERED
    lives "$S_CHILD"
    locked a
    on_target lockctl migrate-cancel vm
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    only_source_runs
}

@test "a cancel of the source that waits for the target's end" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    spawn cancel "$LOCKCTL" migrate-cancel vm
    CANCEL=$PID
    wait_until vm_state "$U" RECLAIMING
    on_target lockctl migrate-cancel vm
    ended "$CANCEL"
    same "exit status" 0 "$STATUS"
    only_source_runs
}

@test "a target that was completed is the VM: the source cannot be cancelled" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    complete_in
    lockctl migrate-cancel vm
    refused_with "the target was completed, and is the VM now; the leases stay offered until this side is ended: 'virt-lockctl migrate-complete vm --out'$"
    on_target lockctl migrate-cancel vm
    refused_with "cannot cancel the hand-over: the VM is CLAIMING"
    on_target lockctl quit vm
    ended "$T_SUP"
    lockctl migrate-cancel vm
    refused_with "the target was completed"
    vm_state "$U" OUTGOING
    locked a
    complete_out
    ended "$S_SUP"
    same "exit status of the source" 0 "$STATUS"
    free a
}

@test "a target that was completed, and died: the source hands over to no other" {
    make_disk a
    source_vm --disk a --
    prepare
    target_vm --disk a --
    complete_in
    kill -KILL "$T_SUP" "$T_CHILD"
    ended "$T_SUP"
    wait_until gone "$T_CHILD"
    no_target --disk a
    same "status ($stderr)" 123 "$status"
    matches stderr "handed over to a target that is gone" "$stderr"
    lockctl migrate-cancel vm
    refused_with "completed"
    complete_out
    ended "$S_SUP"
    same "exit status of the source" 0 "$STATUS"
    # It is the VM that is started anew, wherever, and moves on from there.
    rm -f source.*
    source_vm --disk a --
    prepare
    target_vm --disk a --
    complete_in
    complete_out
    only_target_runs
}

@test "a target that still waits for a disk is cancelled, too" {
    source_vm --disk a --
    prepare
    fake another --disk b --
    on_target spawn target "$SUPERVISOR" --name vm --uuid "$U" --incoming \
        --wait --log-level info --disk a --disk b -- touch started
    T_SUP=$PID
    wait_until on_target vm_state "$U" STARTING
    wait_until has_line target.err "'$T/b'"
    on_target lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    ended "$T_SUP"
    same "exit status" 123 "$STATUS"
    refute test -e started
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    vm_state "$U" RUNNING
}

# --- refused ----------------------------------------------------------------

@test "the source lets nothing go that no target has claimed" {
    source_vm --disk a --disk b --
    prepare
    lockctl migrate-complete vm --out
    refused_with "cannot let go of '.*': no target has claimed it; start the target with --incoming first, or 'virt-lockctl migrate-cancel vm'"
    vm_state "$U" OUTGOING
    target_vm --disk a --
    lockctl migrate-complete vm --out
    refused_with "cannot let go of '$T/b': no target has claimed it"
    vm_state "$U" OUTGOING
    lives "$S_CHILD"
    locked b
}

@test "what goes with no other state is refused in it" {
    source_vm --disk a --
    lockctl migrate-complete vm --out
    refused_with "cannot complete a hand-over to a target: the VM is RUNNING; 'virt-lockctl status vm' tells more"
    lockctl migrate-complete vm --in
    refused_with "cannot complete a hand-over from a source: the VM is RUNNING"
    lockctl migrate-cancel vm
    refused_with "cannot cancel the hand-over: the VM is RUNNING"
    prepare
    lockctl migrate-prepare vm
    refused_with "the VM is OUTGOING"
    same "a token" "" "$output"
    target_vm --disk a --
    on_target lockctl migrate-prepare vm
    refused_with "the VM is INCOMING"
    on_target lockctl migrate-complete vm --out
    refused_with "the VM is INCOMING"
}

@test "no disk is plugged in or out while the VM is on its way" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    for side in "" on_target; do
        $side lockctl acquire vm --disk b
        refused_with "the VM is (OUTGOING|INCOMING)"
        $side lockctl release vm --disk a
        refused_with "the VM is (OUTGOING|INCOMING)"
    done
    complete_in
    on_target lockctl acquire vm --disk b
    refused_with "the VM is CLAIMING"
    complete_out
    only_target_runs
    on_target lockctl acquire vm --disk b
    same "acquire ($stderr)" 0 "$status"
}

@test "a target in the run directory of its living source is an error" {
    source_vm --disk a --
    prepare
    run_supervisor --name vm --uuid "$U" --incoming --disk a -- touch started
    same "exit status" 125 "$status"
    matches "stderr" "cannot listen on '$(socket_of "$U")': a supervisor of this VM answers there \(a migration target on the same host needs another --run-dir\)" "$stderr"
    refute test -e started
    vm_state "$U" OUTGOING
    target_vm --disk a --
}

@test "a URI must not steer anything" {
    source_vm --disk a --
    lockctl migrate-prepare vm --target-uri $'tcp:\nx'
    refused_with "cannot use 'target-uri': it is longer than 1024 bytes, or has a control character"
    vm_state "$U" RUNNING
}

# no_locks: every lock call of the source fails, until locks
no_locks() {
    spawn strace strace -qq -o /dev/null -p "$S_SUP" -e trace=fcntl \
        -e inject=fcntl:error=ENOLCK
    STRACE=$PID
    wait_until has_line "/proc/$S_SUP/status" "^TracerPid:.$STRACE$"
}

locks() {
    kill -TERM "$STRACE"
    ended "$STRACE"
}

@test "an offer that fails is none: the VM runs as before" {
    requires_root
    requires strace
    source_vm --disk a --
    no_locks
    lockctl migrate-prepare vm
    refused_with "cannot lock '.*': its file system has no locks left"
    same "a token" "" "$output"
    vm_state "$U" RUNNING
    leases_are HELD
    locks
    locked a
}

# What cannot be raised cannot be lowered either: that must end somewhere.
@test "a cancel that fails, and offers again, which fails: still OUTGOING" {
    requires_root
    requires strace
    source_vm --disk a --
    prepare
    no_locks
    lockctl migrate-cancel vm
    refused_with "no locks left; the VM runs on, and its leases stay offered: kept from everybody but a target"
    vm_state "$U" OUTGOING
    lives "$S_CHILD"
    locks
    locked a
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    vm_state "$U" RUNNING
    leases_are HELD
    prepare
    target_vm --state "$TOKEN" --disk a --
    complete_in
    complete_out
    only_target_runs
}

@test "a target that cannot say that it was completed was not" {
    requires_root
    mkdir space
    mount -t tmpfs -o size=64k,mode=755 none space
    echo "$T/space" >>mounts
    source_vm --param "lockspace=$T/space" --disk a --
    prepare
    target_vm --param "lockspace=$T/space" --disk a --
    cat /dev/zero >space/full || :
    on_target lockctl migrate-complete vm --in
    refused_with "cannot (write|create) '$T/space/holders/.*': No space left on device"
    on_target vm_state "$U" INCOMING
    rm space/full
    on_target lockctl migrate-cancel vm
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    only_source_runs
    run_supervisor --name other --disk a -- touch stolen
    matches "who has it" "held by 'vm' \($U, [^ ]+, pid $S_SUP\)" "$stderr"
    prepare
    target_vm --state "$TOKEN" --param "lockspace=$T/space" --disk a --
    cat /dev/zero >space/full || :
    refute on_target qmp "$U" migrate-complete '{"direction": "in"}'
    rm space/full
    complete_in
    complete_out
    only_target_runs
}

# left_behind DIR: on a host with that state directory the VM's record stays
left_behind() {
    mkdir -p "$1/holders"
    cp -p "state/holders/vm-$U" "$1/holders"
    chmod 700 "$1" "$1/holders"
}

@test "what the target's host remembers of the VM is not what the lockspace tells" {
    local space=(--param "lockspace=$T/space")
    local there=(--state-dir "$T/state2" "${space[@]}")
    # It was there, was killed, and started anew here; what is left there is of
    # the same generation as what is here now.
    source_vm "${space[@]}" --disk a --
    left_behind state2
    lockctl quit vm
    ended "$S_SUP"
    source_vm "${space[@]}" --disk a --
    prepare
    target_vm "${there[@]}" --state "$TOKEN" --disk a --
    complete_in
    # Completed there, and killed there; what is left is of a later one.
    kill -KILL "$T_SUP"
    ended "$T_SUP"
    test -e "state2/holders/vm-$U"
    complete_out
    ended "$S_SUP"
    source_vm "${space[@]}" --disk a --
    prepare
    target_vm "${there[@]}" --state "$TOKEN" --disk a --
    complete_in
    complete_out
    only_target_runs
}

@test "the target tells of what its guest has open without a lease, once it is the VM" {
    requires_root
    requires setpriv
    source_vm --disk a --
    prepare
    on_target start_supervisor target --name vm --uuid "$U" --incoming \
        --disk a -- setpriv --bounding-set=-all --inh-caps=-all "$FAKEVMM" \
        --ready "$T/target.ready" --keep-open "$T/b"
    T_SUP=$SUP T_CHILD=$CHILD
    wait_until test -s target.ready
    complete_in
    complete_out
    only_target_runs
    wait_until has_line target.err \
        "'$T/b' is open for writing in process $T_CHILD without a lease"
    same "lines about it" 1 "$(grep -c 'open for writing' target.err)"
}

@test "a target without the source's lockspace, once completed, keeps it from coming back" {
    source_vm --param "lockspace=$T/space" --disk a --
    prepare
    target_vm --disk a --
    complete_in
    kill -KILL "$T_SUP"
    wait_until gone "$T_CHILD"
    lockctl migrate-cancel vm
    refused_with "the target was completed"
    vm_state "$U" OUTGOING
}

# Two hosts: each has a state directory of its own.
@test "by a lockspace alone the source sees that it was claimed" {
    local space=(--param "lockspace=$T/space")
    source_vm "${space[@]}" --disk a --
    prepare
    target_vm --state-dir "$T/state2" "${space[@]}" --disk a --
    same "claimed" true "$(migration claimed)"
    TARGET_RUN=$T/third no_target --state-dir "$T/state3" "${space[@]}" --disk a
    same "status" 123 "$status"
    matches "a third" "another target has claimed it" "$stderr"
    complete_out
    ended "$S_SUP"
    complete_in
    only_target_runs
}

@test "a target that waited in vain for another's claim says so" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    TARGET_RUN=$T/other no_target --wait=1.5 --json-status-fd 9 --disk a \
        9>status.json
    same "status" 123 "$status"
    matches "why" "another target has claimed it" "$stderr"
    same "class" LeaseBusy "$(jq -r .class status.json)"
}

@test "status tells people which side it is, and how far" {
    source_vm --disk a --
    lockctl status vm
    refute grep -qE 'migration|token' <<<"$output"
    prepare --target-uri tcp:there
    lockctl status vm
    matches "source" "migration:  source, no target has claimed it; other side: tcp:there" "$output"
    matches "its token" "token:      $TOKEN" "$output"
    target_vm --disk a --
    lockctl status vm
    matches "source" "migration:  source, a target has claimed it" "$output"
    on_target lockctl status vm
    matches "target" $'migration:  target\ntoken: ' "$output"
    complete_in
    complete_out
    only_target_runs
    on_target lockctl status vm
    refute grep -qE 'migration|token' <<<"$output"
}

@test "a target that was completed is asked to end before it is killed" {
    source_vm --disk a --
    prepare
    target_vm --disk a -- --on-term 7
    complete_in
    on_target lockctl shutdown vm
    ended "$T_SUP"
    same "exit status" 7 "$STATUS"
    locked a
    complete_out
}

# --- without a source -------------------------------------------------------

@test "nobody holds the VM: it is a start like any other, and says so" {
    target_vm --log-level info --disk a --
    on_target vm_state "$U" RUNNING
    on_target leases_are HELD
    has_line target.err "nobody holds VM '$U': its leases are taken as for any other start"
    on_target lockctl migrate-complete vm --in
    refused_with "there was none when the VM was started, and every lease is held already"
    no_target --disk a
    on_target lockctl quit vm
    free a
}

@test "nobody holds the VM, but there is a token" {
    source_vm --disk a --
    prepare
    lockctl quit vm
    no_target --state "$TOKEN" --disk a
    same "exit status" 123 "$status"
    matches "stderr" "nobody offers it \(first run 'virt-lockctl migrate-prepare' on its source" "$stderr"
    free a
}

@test "a source that was not prepared is waited for, or told of" {
    source_vm --disk a --
    no_target --disk a
    same "exit status" 123 "$status"
    matches "stderr" "held by 'vm' .*; 'virt-lockctl migrate-prepare' there offers it \(--wait waits for that\)" "$stderr"
    on_target spawn target "$SUPERVISOR" --name vm --uuid "$U" --incoming \
        --wait --log-level info --disk a -- "$FAKEVMM" --ready "$T/target.ready"
    wait_until has_line target.err "held by 'vm'"
    prepare
    wait_until test -s target.ready
    on_target vm_state "$U" INCOMING
}

@test "-incoming in a command line that is looked at makes it a target" {
    requires qemu-system-x86_64 qemu-img
    local drive=(-drive "file=$T/a,format=raw,if=none")
    local qemu=(qemu-system-x86_64 -nodefaults -display none -machine none -S)
    # shellcheck disable=SC2054
    start_supervisor source --name vm --uuid "$U" -A -- "${qemu[@]}" \
        "${drive[@]}"
    S_SUP=$SUP S_CHILD=$CHILD
    prepare
    on_target start_supervisor target --name vm --uuid "$U" -A -- \
        "${qemu[@]}" "${drive[@]}" -incoming defer
    on_target vm_state "$U" INCOMING
    on_target leases_are CLAIMED
}

# --- all kinds of leases ----------------------------------------------------

@test "shared, readonly and exclusive disks, and leases" {
    make_disk c d
    local all=(--disk a --disk "b,shared" --disk "c,readonly" --lease sp:key)
    fake sharer --disk b,shared --disk c,readonly --
    source_vm "${all[@]}" --
    prepare
    target_vm "${all[@]}" --
    on_target leases_are CLAIMED
    complete_in
    complete_out
    only_target_runs
    on_target leases_are HELD
    locked a
    run_supervisor --name other --disk b -- touch stolen
    same "exclusive, of what is shared" 123 "$status"
    run_supervisor --name other --disk b,shared -- true
    same "shared ($stderr)" 0 "$status"
    on_target lockctl quit vm
    lockctl quit sharer
    free b
    free c
}

@test "64 disks, some of them shared" {
    local all=() i
    for i in {1..64}; do
        make_disk "d$i"
        all+=(--disk "d$i$([ $((i % 8)) != 0 ] || echo ,shared)")
    done
    source_vm "${all[@]}" --
    thieves d37
    prepare
    target_vm "${all[@]}" --
    complete_in
    complete_out
    only_target_runs
    nothing_stolen
    same "leases" 65 "$(on_target qmp "$U" query-leases |
        jq '[.[] | select(.status == "HELD")] | length')"
    on_target prepare
    on_target lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    on_target leases_are HELD
}

@test "a disk that was plugged in later" {
    source_vm --disk a --
    lockctl acquire vm --disk b
    same "acquire ($stderr)" 0 "$status"
    prepare
    target_vm --disk a --disk b --
    complete_in
    complete_out
    only_target_runs
    locked b
}

@test "a block device" {
    requires_root
    requires losetup
    loop=$(losetup -f --show "$T/a") || cannot_run "there are no loop devices"
    echo "$loop" >loop
    source_vm --disk "$loop" --
    thieves "$loop"
    prepare
    target_vm --disk "$loop" --
    nothing_stolen
    complete_in
    complete_out
    only_target_runs
    nothing_stolen
    on_target lockctl quit vm
    no_more_thieves
    free "$loop"
}

@test "a driver that protects nothing hands over, too" {
    source_vm --driver nop --disk a --
    prepare
    target_vm --driver nop --state "$TOKEN" --disk a --
    complete_in
    complete_out
    only_target_runs
}

@test "a target of another driver is told that its token is not" {
    source_vm --disk a --
    prepare
    no_target --driver nop --state "$TOKEN" --disk a
    same "exit status" 123 "$status"
    matches "stderr" "it is of another lease driver" "$stderr"
}

# --- what the source may still do -------------------------------------------

@test "the target is not completed while the source writes" {
    source_vm --disk a -- --qemu-locks "$T/a"
    prepare
    target_vm --disk a -- --later --qemu-locks "$T/a"
    on_target lockctl migrate-complete vm --in
    refused_with "cannot complete '$T/a': the source still writes to it"
    on_target vm_state "$U" INCOMING
    complete_in --active
    complete_out
    only_target_runs
}

@test "a source that is killed while it writes is waited for" {
    source_vm --disk a -- --qemu-locks "$T/a"
    prepare
    target_vm --disk a -- --later --qemu-locks "$T/a"
    complete_out
    ended "$S_SUP"
    complete_in --wait
    only_target_runs
    kill -USR1 "$T_CHILD"
    wait_until has_guarantee drained-by-qemu-locks
}

# as_nobody COMMAND...: whatever it starts is nobody's, and may be looked at by
# the supervisor, which is nobody's too
as_nobody() {
    requires_root
    requires setpriv
    open_to_everyone
    mkdir -p state run target-run
    chown -R "$NOBODY" "$T"
    printf '#!/bin/sh\nexec setpriv --reuid %s --regid %s --clear-groups %s "$@"\n' \
        "$NOBODY" "$NOBODY" "$SUPERVISOR" >as-nobody
    chmod +x as-nobody
    SUPERVISOR=$T/as-nobody
}

@test "a target that has opened its disk: that is seen, or asked for" {
    source_vm --disk a --
    prepare
    target_vm --disk a -- --qemu-locks "$T/a"
    on_target lockctl migrate-complete vm --in
    refused_with "or the VM's own QEMU does, which cannot be seen from here \(complete it as active only if its guest runs here\): 'virt-lockctl migrate-complete vm --in', again, when QEMU says 'completed'$"
    complete_in --active
    complete_out
    only_target_runs
    on_target lockctl quit vm
    as_nobody
    source_vm --disk a --
    prepare
    target_vm --disk a -- --qemu-locks "$T/a"
    complete_in
    complete_out
    only_target_runs
}

# late: the target is completed with --wait, and then opens its disk
late() {
    source_vm --disk a --
    prepare
    target_vm --disk a -- --later --qemu-locks "$T/a"
    on_target spawn complete "$LOCKCTL" migrate-complete vm --in --wait
    WAITS=$PID
    wait_until on_target vm_state "$U" CLAIMING
    kill -USR1 "$T_CHILD"
    wait_until has_line /proc/locks ":$(stat -c %i a) (100|101) 101$"
    complete_out
    ended "$S_SUP"
}

@test "a target that opens its disk while it waits: its own locks are not the source's" {
    late
    wait_until is_waiting "writes of the source may still be under way"
    on_target vm_state "$U" CLAIMING
    complete_in
    ended "$WAITS"
    only_target_runs
    on_target lockctl quit vm
    as_nobody
    late
    ended "$WAITS"
    same "exit status" 0 "$STATUS"
    on_target vm_state "$U" RUNNING
}

is_waiting() {
    on_target qmp "$U" query-leases | jq -e --arg why "$1" \
        'any(.[]; .waiting == $why)' >said
}

has_guarantee() {
    on_target qmp "$U" query-leases | jq -e --arg word "$1" \
        'any(.[]; .guarantee | index($word))' >said
}

# --- guard, attached --------------------------------------------------------

@test "both sides with a guard" {
    source_vm --guard --disk a --
    session=$(guard_session "$(guard_of "$U")")
    prepare
    target_vm --guard --disk a --
    same "guarded" true "$(on_target qmp "$U" query-leases |
        jq '[.[].guarantee | index("guarded") != null] | all')"
    complete_in
    complete_out
    only_target_runs
    wait_until no_guards "$session"
    lives "$T_CHILD"
    session=$(guard_session "$(on_target guard_of "$U")")
    kill -KILL "$T_SUP"
    wait_until no_guards "$session"
    gone "$T_CHILD"
    free a
}

@test "an attached process is a target" {
    source_vm --disk a --
    prepare
    spawn victim "$FAKEVMM" --ready "$T/victim.ready"
    wait_until test -s victim.ready
    T_CHILD=$(<victim.ready)
    on_target spawn target "$SUPERVISOR" --name vm --uuid "$U" --incoming \
        --state "$TOKEN" --disk a --attach "$T_CHILD"
    T_SUP=$PID
    wait_until on_target vm_state "$U" INCOMING
    thieves a
    complete_in
    complete_out
    only_target_runs
    nothing_stolen
}

@test "an attached process is a source, and is killed for the target" {
    spawn victim "$FAKEVMM" --ready "$T/victim.ready"
    wait_until test -s victim.ready
    S_CHILD=$(<victim.ready)
    spawn source "$SUPERVISOR" --name vm --uuid "$U" --disk a \
        --attach "$S_CHILD"
    S_SUP=$PID
    wait_until vm_state "$U" RUNNING
    prepare
    target_vm --disk a --
    complete_in
    lives "$S_CHILD"
    complete_out
    only_target_runs
}

@test "an attached target that is cancelled is killed" {
    source_vm --disk a --
    prepare
    spawn victim "$FAKEVMM" --ready "$T/victim.ready"
    wait_until test -s victim.ready
    T_CHILD=$(<victim.ready)
    on_target spawn target "$SUPERVISOR" --name vm --uuid "$U" --incoming \
        --disk a --attach "$T_CHILD"
    T_SUP=$PID
    wait_until on_target vm_state "$U" INCOMING
    on_target lockctl migrate-cancel vm
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    only_source_runs
}

# --- a manager that comes back ----------------------------------------------

@test "a manager that was restarted is told how far it is, and goes on" {
    source_vm --disk a --
    same "migration" null "$(qmp "$U" query-status | jq .migration)"
    prepare --target-uri tcp:host2:4444
    same "role" source "$(migration role)"
    same "claimed" false "$(migration claimed)"
    same "uri" tcp:host2:4444 "$(migration uri)"
    same "state" "$TOKEN" "$(migration state)"
    target_vm --state "$(migration state)" --disk a --
    same "claimed" true "$(migration claimed)"
    same "role" target "$(on_target migration role)"
    same "claimed" true "$(on_target migration claimed)"
    same "state" "$TOKEN" "$(on_target migration state)"
    same "uri" null "$(on_target migration uri)"
    complete_in --source-uri tcp:host1:4444
    same "uri" tcp:host1:4444 "$(on_target migration uri)"
    complete_in
    complete_out
    only_target_runs
    same "migration" null "$(on_target qmp "$U" query-status | jq .migration)"
}

@test "a manager that goes away while it waits leaves nothing behind" {
    source_vm --disk a --
    prepare
    target_vm --disk a --
    on_target spawn complete "$LOCKCTL" migrate-complete vm --in --wait
    wait_until on_target vm_state "$U" CLAIMING
    kill -KILL "$PID"
    ended "$PID"
    complete_out
    only_target_runs
    on_target vm_state "$U" RUNNING
}
