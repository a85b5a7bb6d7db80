#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: real QEMU, its own locks, and a write of its own that is under way

load ../lib/common
load ../lib/slowdisk

setup() {
    common_setup
    requires qemu-system-x86_64
    slowdisk_setup
    slow_witness
    U=$(uuid 1)
    QEMU=(qemu-system-x86_64 -accel tcg -nodefaults -display none -S
        -qmp "unix:$T/qmp,server=on,wait=off")
    STRANGER="a QEMU that no supervisor answers for has it open, or writes of \
a dead one are still under way"
}

teardown() {
    slowdisk_teardown
}

# in_qemu COMMAND [ARGUMENTS]: to QEMU's own monitor
in_qemu() {
    "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" "$T/qmp" "$@" 3>&- 4>&-
}

# blockdev FILE [PROPERTY...]: $BLOCKDEV gets QEMU's options for a virtio disk
blockdev() {
    local file raw=driver=raw,node-name=disk,file=file
    file=driver=file,node-name=file,locking=on,cache.direct=on,filename=$1
    shift
    file+=$(printf ',%s' "$@")
    [[ $file != *,read-only=on* ]] || raw+=,read-only=on
    BLOCKDEV=(-blockdev "${file%,}" -blockdev "$raw"
        -device "virtio-blk-pci,id=vd0,drive=disk")
}

# supervised NAME FILE MODE [PROPERTY...]
supervised() {
    local name=$1 file=$2 mode=$3
    shift 3
    blockdev "$file" "$@"
    start_supervisor "$name" --uuid "$U" --disk "$file$mode" -- \
        "${QEMU[@]}" "${BLOCKDEV[@]}"
    wait_until in_qemu query-status
}

# unsupervised FILE [PROPERTY...]: somebody has started a QEMU by hand
unsupervised() {
    blockdev "$@"
    spawn qemu "${QEMU[@]}" "${BLOCKDEV[@]}"
    wait_until in_qemu query-status
}

# of_lease FILTER: what query-leases says of the disk
of_lease() {
    qmp "$U" query-leases | jq -r --arg name "$SLOW" \
        ".[] | select(.name == \$name) | $1"
}

# refused REGEX [MODE]: another one cannot have the disk. (Who is let in by
# mistake might wait for the disk, and TERM does not end that.)
refused() {
    run_program timeout --signal KILL 20 "$SUPERVISOR" --name other \
        --disk "$SLOW${2:-}" -- true
    same "another VM" 123 "$status"
    matches "stderr" "cannot acquire '$SLOW': $1" "$stderr"
}

admitted() { # [MODE]
    run_supervisor --name other --disk "$SLOW${1:-}" -- true
    same "another VM" 0 "$status"
}

@test "QEMU that locks its image is drained by its locks" {
    supervised web1 "$SLOW" ""
    same "guarantee" "reaped liveness taker-looks drained-by-qemu-locks" \
        "$(of_lease '.guarantee | join(" ")')"
    same "guarantee of query-status" "$(of_lease '.guarantee | join(" ")')" \
        "$(qmp "$U" query-status | jq -r --arg name "$SLOW" \
            '.guarantee[$name] | join(" ")')"
}

@test "QEMU that does not lock its image is drained by a write lease" {
    supervised web1 "$SLOW" "" locking=off
    matches "guarantee" "drained-by-write-lease" "$(of_lease .guarantee)"
}

@test "a disk that nothing is written to needs no draining" {
    supervised web1 "$SLOW" ,readonly read-only=on
    same "guarantee" "reaped liveness taker-looks" \
        "$(of_lease '.guarantee | join(" ")')"
}

# in_flight: a write of QEMU's waits for the disk
in_flight() {
    local backend=/machine/peripheral/vd0/virtio-backend
    slow_pause
    same "QEMU's answer" '""' "$(in_qemu human-monitor-command \
        "{\"command-line\": \"qemu-io -d $backend \\\"aio_write -P 0x57 0 4k\\\"\"}")"
    wait_until slow_in_flight
    refute slow_landed
}

# landed_first STATUS REGEX: the supervisor keeps the lease until the write has
# landed, and says why
landed_first() {
    spawn other "$SUPERVISOR" --name other --wait --disk "$SLOW" -- \
        ./witness "$T/other.saw"
    other=$PID
    wait_until vm_state "$U" GONE
    same "status" RELEASING "$(of_lease .status)"
    gone "$CHILD"
    wait_until has_line web1.err "cannot release '$SLOW' yet: .*$2"
    refused "held by 'web1', which is exiting"
    refute slow_landed
    refute test -e other.saw
    slow_resume
    ended "$SUP"
    same "exit status" "$1" "$STATUS"
    ended "$other"
    witnessed other.saw
}

@test "QEMU's write in flight keeps the lease" {
    supervised web1 "$SLOW" "" aio=io_uring
    in_flight
    spawn revoke "$LOCKCTL" --timeout 60 revoke web1
    landed_first 124 "lock byte 101"
}

@test "QEMU's write in flight keeps the lease, without QEMU's locks too" {
    supervised web1 "$SLOW" "" aio=io_uring locking=off
    in_flight
    kill -KILL "$CHILD"
    landed_first 137 "something still has it open"
}

@test "QEMU's write in flight is seen by others when the supervisor is killed" {
    supervised web1 "$SLOW" "" aio=io_uring
    in_flight
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until gone "$CHILD"
    "$TAKER" --try "$SLOW"
    spawn other "$SUPERVISOR" --name other --wait --disk "$SLOW" -- \
        ./witness "$T/other.saw"
    other=$PID
    refused "$STRANGER \(its lock byte 101 is held\)" ,readonly
    refute slow_landed
    refute test -e other.saw
    slow_resume
    ended "$other"
    witnessed other.saw
}

@test "a QEMU without a supervisor that writes keeps everybody out" {
    unsupervised "$SLOW"
    refused "$STRANGER \(its lock byte 101 is held\)"
    refused "$STRANGER \(its lock byte 201 is held\)" ,shared
    refused "$STRANGER \(its lock byte 101 is held\)" ,readonly
    "$TAKER" --try "$SLOW"
    kill "$PID"
    ended "$PID"
    admitted
}

@test "a QEMU without a supervisor that reads keeps writers out" {
    unsupervised "$SLOW" read-only=on
    refused "$STRANGER \(its lock byte 201 is held\)"
    refused "$STRANGER \(its lock byte 201 is held\)" ,shared
    admitted ,readonly
}

@test "a QEMU without a supervisor is waited for" {
    unsupervised "$SLOW"
    qemu=$PID
    spawn other "$SUPERVISOR" --uuid "$U" --wait --disk "$SLOW" -- true
    other=$PID
    wait_until vm_state "$U" STARTING
    refused "$STRANGER"
    kill "$qemu"
    ended "$other"
    same "exit status" 0 "$STATUS"
}
