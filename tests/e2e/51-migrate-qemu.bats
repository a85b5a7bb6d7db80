#!/usr/bin/env bats
# shellcheck disable=SC2034  # the libraries use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: live migration of a guest that writes without pause, in real QEMUs
#
# Every test ends with the disk: are all records there that were acknowledged
# on either side, in one chain, written by one boot? Thieves try all the time.
# The rows of failures are those of docs/migration.md.

load ../lib/common
load ../lib/guest
load ../lib/handover
load ../lib/migration

setup() {
    common_setup
    migration_setup
    format raw
}

teardown() {
    guest_teardown
}

# migrated: there and, at the end, the disk
migrated() {
    here_runs
    thieves "$DISK"
    prepared
    there_waits --state "$TOKEN"
    connected
    switched
    ctl "$THERE" migrate-complete vm --in
    on "$THERE" vm_state "$U" CLAIMING
    runs "$THERE"
    nothing_stolen
    ctl "$HERE" migrate-complete vm --out
    finished
    nothing_stolen
    no_more_thieves
    all_end "$THERE"
    disk_is_whole 1 here there
}

# --- that works -------------------------------------------------------------

@test "a raw image" {
    migrated
}

@test "a raw image, paused before the switch-over" {
    PAUSE=1
    migrated
}

@test "a qcow2 image" {
    format qcow2
    migrated
}

@test "a qcow2 image, paused before the switch-over" {
    format qcow2
    PAUSE=1
    migrated
}

# The target's QEMU has locked the image before the supervisor is told. Whose
# locks they are a supervisor of root's has given up to see.
active() {
    [ "$(id -u)" != 0 ] || {
        on "$THERE" lockctl migrate-complete vm --in
        refused_with "the source still writes to it, or the VM's own QEMU does, .*: 'virt-lockctl migrate-complete vm --in', again, when QEMU says 'completed'$"
        set -- --active
    }
    ctl "$THERE" migrate-complete vm --in "$@"
}

@test "a target that runs the guest by itself" {
    format qcow2
    TARGET_LATE=off
    here_runs
    prepared
    there_waits
    connected
    switched
    event "$THERE" RESUME
    active
    ctl "$HERE" migrate-complete vm --out
    finished
    all_end "$THERE"
    disk_is_whole 1 here there
}

@test "--wait, before the guest runs: the source is gone by then" {
    format qcow2
    here_runs
    prepared
    there_waits
    connected
    switched
    ctl "$HERE" migrate-complete vm --out --wait
    side_ended "$HERE" 0
    ctl "$THERE" migrate-complete vm --in --wait
    on "$THERE" vm_state "$U" RUNNING
    runs "$THERE"
    all_end "$THERE"
    disk_is_whole 1 here there
}

@test "with a guard on both sides" {
    here_runs --guard
    prepared
    there_waits --guard
    connected
    switched
    ctl "$THERE" migrate-complete vm --in
    runs "$THERE"
    kill -KILL "${SUP_OF[$HERE]}"
    wait_until gone "${CHILD_OF[$HERE]}"
    wait_until on "$THERE" vm_state "$U" RUNNING
    writes_on "$THERE"
    all_end "$THERE"
    disk_is_whole 1 here there
}

@test "two hosts that have a lockspace in common" {
    requires_root
    requires unshare
    mkdir here.state there.state space
    printf '#!/bin/sh\nexec unshare -m -u sh -c %s sh "$@"\n' \
        "'hostname there; mount -t tmpfs none $T/here.state
        exec $SUPERVISOR \"\$@\"'" >there.sh
    chmod +x there.sh
    STATE_OF=([here]=$T/here.state [there]=$T/there.state)
    here_runs --param "lockspace=$T/space"
    prepared
    SUPERVISOR=$T/there.sh there_waits --state "$TOKEN" \
        --param "lockspace=$T/space"
    same "host" there "$(on there qmp "$U" query-status | jq -r .host)"
    connected
    switched
    ctl there migrate-complete vm --in
    runs there
    ctl here migrate-complete vm --out
    finished
    run_program "$LOCKCTL" holder "$DISK" --lockspace "$T/space"
    matches "holder" "vm.*there" "$output"
    all_end there
    disk_is_whole 1 here there
}

@test "four hops" {
    here_runs
    for _ in {1..4}; do hop; done
    all_end "$HERE"
    disk_is_whole 1 "${SIDES[@]}"
}

# --- failures ---------------------------------------------------------------

# half_way: the guest is stopped here, and its state not yet there
half_way() {
    PAUSE=1
    here_runs
    prepared
    there_waits --state "$TOKEN"
    connected
    is "$HERE" pre-switchover
}

# only_here: it was all for nothing, and the guest writes on
only_here() {
    back_here
    locked "$DISK"
    all_end "$HERE"
    disk_is_whole 1 here
}

# next_boot: nobody has the VM any more; another start goes on from the disk
next_boot() {
    admitted "$DISK"
    HERE=again
    here_runs
    has_line again.log '^vda START .* seq=[1-9]'
    all_end again
}

@test "cancelled in QEMU before the switch-over" {
    half_way
    in_qemu here migrate_cancel
    event here RESUME
    side_ended there 1
    only_here
}

@test "the target's QEMU is killed before the switch-over" {
    format qcow2
    half_way
    kill -KILL "${CHILD_OF[there]}"
    side_ended there 137
    in_qemu here migrate-continue '{"state": "pre-switchover"}'
    event here RESUME
    only_here
}

@test "the target's supervisor is killed before the switch-over" {
    half_way
    kill -KILL "${SUP_OF[there]}"
    side_ended there 137
    in_qemu here migrate-continue '{"state": "pre-switchover"}'
    event here RESUME
    only_here
}

@test "the source's QEMU is killed before the switch-over" {
    half_way
    kill -KILL "${CHILD_OF[here]}"
    side_ended here 137
    side_ended there 1
    next_boot
    disk_is_whole 2 here again
}

@test "the source's supervisor is killed before the switch-over" {
    half_way
    kill -KILL "${SUP_OF[here]}"
    side_ended here 137
    side_ended there 1
    next_boot
    disk_is_whole 2 here again
}

@test "a target that does not answer, cancelled on both sides" {
    PAUSE=1
    here_runs
    prepared
    there_waits
    BANDWIDTH=8388608
    connected
    is here active
    kill -STOP "${CHILD_OF[there]}"
    wait_until state_is "${CHILD_OF[there]}" T
    writes_on here
    in_qemu here migrate_cancel
    ctl there migrate-cancel vm
    side_ended there 137
    only_here
}

@test "between the two: neither QEMU writes to the image, and nobody gets it" {
    format qcow2
    here_runs
    thieves "$DISK"
    prepared
    there_waits
    connected
    switched
    qemu_is there paused
    refute has_line /proc/locks ":$(stat -c %i "$DISK") (101|201) "
    nothing_stolen
    locked "$DISK"
    no_more_thieves
    ctl there migrate-cancel vm
    side_ended there 137
    back_here
    all_end here
    disk_is_whole 1 here
}

# Both QEMUs say "completed", and the target's cannot open the image.
@test "somebody without a supervisor keeps the target's QEMU from the image" {
    here_runs
    prepared
    there_waits
    connected
    switched
    spawn intruder "$PYTHON" -c "import fcntl, struct, time
f = open('$DISK', 'r+b')
fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 201, 1, 0))
open('$T/intruder.has', 'w')
while True: time.sleep(1000)"
    wait_until test -e intruder.has
    in_qemu there cont && fail "the intruder is of no use"
    qemu_is there paused
    ctl there migrate-cancel vm
    side_ended there 137
    kill -KILL "$PID"
    ended "$PID"
    back_here
    all_end here
    disk_is_whole 1 here
}

@test "a third QEMU, with or without a supervisor, gets in at no time" {
    local third=(qemu-system-x86_64 -nodefaults -display none -machine none -S
        -blockdev "driver=file,node-name=f,filename=$DISK")
    half_way
    run_program timeout 20 "${third[@]}" -device "virtio-blk,drive=f"
    [ "$status" != 0 ] || fail "a third QEMU runs"
    refused "$DISK" "held by 'vm'"
    run_program qemu-io -f raw -c 'write 0 4k' "$DISK"
    matches "qemu-io" 'Failed to get "write" lock' "$stderr"
    in_qemu here migrate-continue '{"state": "pre-switchover"}'
    is there completed
    refused "$DISK" "held by 'vm'"
    ctl there migrate-complete vm --in
    runs there
    refused "$DISK" "held by 'vm'"
    ctl here migrate-complete vm --out
    finished
    all_end there
    disk_is_whole 1 here there
}

@test "the target is completed too early: the source still writes" {
    half_way
    on there lockctl migrate-complete vm --in
    refused_with "cannot complete '$DISK': the source still writes to it"
    in_qemu here migrate-continue '{"state": "pre-switchover"}'
    is there completed
    ctl there migrate-complete vm --in
    runs there
    ctl here migrate-complete vm --out
    finished
    all_end there
    disk_is_whole 1 here there
}

# moved: the target is completed and writes, the source has not let go
moved() {
    here_runs
    prepared
    there_waits
    connected
    switched
    ctl there migrate-complete vm --in
    runs there
}

@test "the source's supervisor is killed when the target runs" {
    moved
    kill -KILL "${SUP_OF[here]}"
    side_ended here 137
    wait_until on there vm_state "$U" RUNNING
    writes_on there
    all_end there
    disk_is_whole 1 here there
}

@test "the target's supervisor is killed when it runs: never back to the source" {
    moved
    kill -KILL "${SUP_OF[there]}"
    side_ended there 137
    on here lockctl migrate-cancel vm
    refused_with "the target was completed, .*: 'virt-lockctl migrate-complete vm --out'"
    locked "$DISK"
    ctl here migrate-complete vm --out
    side_ended here 0
    next_boot
    disk_is_whole 2 here there again
}

@test "the target's QEMU ends when it runs: never back to the source" {
    moved
    kill -TERM "${CHILD_OF[there]}"
    side_ended there 0
    on here lockctl migrate-cancel vm
    refused_with "the target was completed"
    ctl here migrate-complete vm --out
    side_ended here 0
    next_boot
    disk_is_whole 2 here there again
}
