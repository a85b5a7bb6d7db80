#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: writes that are under way when their writer is dead
#
# What a dead process gave to io_uring can still reach the disk. The disk of
# these tests keeps such a write for as long as they want, see slowdisk.bash.

load ../lib/common
load ../lib/slowdisk

setup() {
    common_setup
    slowdisk_setup
    slow_witness
    U=$(uuid 1)
}

teardown() {
    slowdisk_teardown
}

# writer [SUPERVISOR OPTION...] -- [FAKEVMM OPTION...]: web1 with a write in
# flight. What the VMM does with the image is up to the caller.
writer() {
    slow_pause
    fake web1 --uuid "$U" "$@" --uring "$SLOW" --submitted submitted
    wait_until test -s submitted
    wait_until slow_in_flight
}

on_block_device() {
    SLOW=$SLOW_DEVICE
}

like_qemu() {
    writer --disk "$SLOW" "$@" -- --qemu-locks "$SLOW"
}

# Somebody who has the image open and wants no lease.
outsider() {
    spawn outsider "$FAKEVMM" --keep-open "$SLOW" --ready outsider.ready
    wait_until test -s outsider.ready
}

# of_lease FILTER [NAME]: what query-leases says of the disk
of_lease() {
    qmp "$U" query-leases | jq -r --arg name "${2:-$SLOW}" \
        ".[] | select(.name == \$name) | $1"
}

lease_is() { # STATUS
    [ "$(of_lease .status)" = "$1" ]
}

# draining REGEX: the child is gone, the lease is kept and it is said why;
# nobody else gets in
draining() {
    wait_until vm_state "$U" GONE
    wait_until lease_is RELEASING
    matches "waiting" "$1" "$(of_lease .waiting)"
    gone "$CHILD"
    refused "held by 'web1', which is exiting \($U, [^ ]+, pid $SUP\)"
    refute "$TAKER" --try "$SLOW"
    wait_until has_line web1.err \
        "cannot release '$SLOW' yet: .*$1"
    lease_is RELEASING
    refute slow_landed
}

# refused REGEX [MODE]: another one cannot have the disk. (Who is let in by
# mistake might wait for the disk, and TERM does not end that.)
refused() {
    run_program timeout --signal KILL 20 "$SUPERVISOR" --name other \
        --disk "$SLOW${2:-}" -- true
    same "another VM" 123 "$status"
    matches "stderr" "cannot acquire '$SLOW': $1" "$stderr"
}

# Two who want the disk: one as we do it, one who knows of byte 0 only.
waiters() {
    spawn other "$SUPERVISOR" --name other --uuid "$(uuid 2)" --wait \
        --disk "$SLOW" -- ./witness "$T/other.saw"
    OTHER=$PID
    wait_until vm_state "$(uuid 2)" STARTING
}

plain_waiter() {
    spawn plain "$TAKER" "$SLOW" granted
}

# drained STATUS: the write lands, and with it the lease is let go
drained() {
    refute test -e other.saw
    slow_resume
    ended "$SUP"
    same "exit status" "$1" "$STATUS"
    slow_landed
    ended "$OTHER"
    same "exit status of the one that waited" 0 "$STATUS"
    witnessed other.saw
}

byte_101="lock byte 101"

# --- three ways to end -----------------------------------------------------

@test "a write in flight keeps the lease of a revoked child" {
    like_qemu
    waiters
    spawn revoke "$LOCKCTL" --timeout 60 revoke web1
    revoke=$PID
    draining "$byte_101"
    lives "$revoke"
    drained 124
    ended "$revoke"
    same "exit status of revoke" 0 "$STATUS"
}

@test "a write in flight keeps the lease of a crashed child" {
    like_qemu
    waiters
    kill -SEGV "$CHILD"
    draining "$byte_101"
    drained 139
}

@test "a write in flight keeps the lease of a child that was shut down" {
    like_qemu
    waiters
    spawn shutdown "$LOCKCTL" --timeout 60 shutdown web1
    draining "$byte_101"
    drained 143
}

@test "a write in flight keeps a lease that was lost, as far as it is there" {
    requires strace
    like_qemu --param check=1
    spawn tracer strace -qq -o "$T/strace" -p "$SUP" -P "$SLOW" -e trace=fcntl \
        -e inject=fcntl:error=EIO:when=1
    waiters
    wait_until has_line web1.err "its lock is gone"
    draining "$byte_101"
    drained 124
}

@test "a write in flight keeps out who knows of the lease byte only" {
    like_qemu
    plain_waiter
    kill -KILL "$CHILD"
    draining "$byte_101"
    refute test -e granted
    slow_resume
    wait_until test -s granted
    slow_landed
    ended "$SUP"
    same "exit status" 137 "$STATUS"
}

@test "TERM and QUIT do not end the wait, nor what a client says" {
    like_qemu
    kill -KILL "$CHILD"
    draining "$byte_101"
    kill -TERM "$SUP"
    lockctl --timeout 1 quit web1
    lockctl --timeout 1 revoke web1
    lease_is RELEASING
    refute "$TAKER" --try "$SLOW"
    slow_resume
    ended "$SUP"
    slow_landed
}

# --- what it is that waits -------------------------------------------------

@test "a hot-plugged disk is kept as well" {
    make_disk boot
    fake web1 --uuid "$U" --disk boot -- --later --qemu-locks "$SLOW" \
        --uring "$SLOW" --submitted submitted
    lockctl acquire web1 --disk "$SLOW"
    same "acquire" 0 "$status"
    slow_pause
    waiters
    kill -USR1 "$CHILD"
    wait_until test -s submitted
    wait_until slow_in_flight
    kill -KILL "$CHILD"
    draining "$byte_101"
    drained 137
}

@test "an image without QEMU's locks is kept as long as it is open" {
    writer --disk "$SLOW" --
    matches "guarantee" "drained-by-write-lease" "$(of_lease .guarantee)"
    waiters
    kill -KILL "$CHILD"
    draining "something still has it open"
    drained 137
}

@test "an image without QEMU's locks, opened later, is kept too" {
    fake web1 --uuid "$U" --disk "$SLOW" -- --later --keep-open "$SLOW" \
        --uring "$SLOW" --submitted submitted
    slow_pause
    waiters
    kill -USR1 "$CHILD"
    wait_until slow_in_flight
    kill -KILL "$CHILD"
    draining "something still has it open"
    drained 137
}

@test "an image without QEMU's locks is kept for as long as drain= says" {
    writer --disk "$SLOW" --param drain=1 --
    kill -KILL "$CHILD"
    wait_until vm_state "$U" GONE
    refute "$TAKER" --try "$SLOW"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
    has_line web1.err "'$SLOW' is released although something still has it open"
    "$TAKER" --try "$SLOW"
    refute slow_landed
}

@test "who waits for such an image may be why it is open: that is said" {
    writer --disk "$SLOW" --
    plain_waiter
    wait_until has_line /proc/locks ' -> OFDLCK'
    kill -KILL "$CHILD"
    ended "$SUP"
    has_line web1.err "'$SLOW' is released although something still has it open"
    slow_resume
}

@test "QEMU's locks are waited for whatever drain= says" {
    like_qemu --param drain=0
    waiters
    kill -KILL "$CHILD"
    draining "$byte_101"
    drained 137
}

@test "where somebody else had the image open, the end cannot be seen" {
    outsider
    writer --disk "$SLOW" --
    same "guarantee" drain-unproved \
        "$(of_lease '.guarantee[] | select(startswith("drain"))')"
    lockctl revoke web1
    same "revoke" 0 "$status"
    ended "$SUP"
    "$TAKER" --try "$SLOW"
    refute slow_landed
}

@test "where somebody else has the image open, QEMU's locks still tell" {
    outsider
    like_qemu
    same "guarantee" drained-by-qemu-locks \
        "$(of_lease '.guarantee[] | select(startswith("drain"))')"
    waiters
    kill -KILL "$CHILD"
    draining "$byte_101"
    drained 137
}

@test "a write in flight keeps the lease on a block device" {
    on_block_device
    slow_control p P
    fake web1 --uuid "$U" --disk "$SLOW" -- --qemu-locks "$SLOW" \
        --uring "$SLOW"
    wait_until slow_in_flight "$SLOW_DEVICE"
    waiters
    kill -KILL "$CHILD"
    draining "$byte_101"
    drained 137
}

@test "a VM that did not write is released at once, on a paused disk too" {
    slow_pause
    fake web1 --uuid "$U" --disk "$SLOW" -- --qemu-locks "$SLOW"
    lockctl revoke web1
    same "revoke" 0 "$status"
    ended "$SUP"
    "$TAKER" --try "$SLOW"
}

@test "release --force ends the wait" {
    like_qemu
    kill -KILL "$CHILD"
    draining "$byte_101"
    lockctl release web1 --disk "$SLOW" --force
    same "release" 0 "$status"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
    "$TAKER" --try "$SLOW"
    refute slow_landed
}

@test "release without --force does not" {
    like_qemu
    kill -KILL "$CHILD"
    draining "$byte_101"
    lockctl release web1 --disk "$SLOW"
    same "release" 1 "$status"
    matches "stderr" "cannot release '$SLOW': it is being released" "$stderr"
    lease_is RELEASING
    refute "$TAKER" --try "$SLOW"
}

# --- several ---------------------------------------------------------------

@test "a sharer beside another one whose QEMU writes is released at once" {
    fake web2 --uuid "$(uuid 2)" --disk "$SLOW,shared" -- \
        --qemu-shares "$SLOW"
    writer --disk "$SLOW,shared" -- --qemu-shares "$SLOW"
    lockctl revoke web1
    same "revoke" 0 "$status"
    ended "$SUP"
    refute slow_landed
    lives "$(<web2.ready)"
}

@test "the last sharer is kept for its own write in flight" {
    writer --disk "$SLOW,shared" -- --qemu-shares "$SLOW"
    waiters
    kill -KILL "$CHILD"
    draining "$byte_101"
    drained 137
}

@test "the last sharer to go answers for a write of one that went before" {
    fake web2 --uuid "$(uuid 2)" --disk "$SLOW,shared" -- \
        --qemu-shares "$SLOW"
    second=$SUP
    writer --disk "$SLOW,shared" -- --qemu-shares "$SLOW"
    lockctl revoke web1
    ended "$SUP"
    spawn revoke "$LOCKCTL" --timeout 60 revoke web2
    wait_until vm_state "$(uuid 2)" GONE
    wait_until has_line web2.err "cannot release '$SLOW' yet: .*$byte_101"
    refute "$TAKER" --try "$SLOW"
    slow_resume
    ended "$second"
    slow_landed
}

@test "a disk that is quiet is not kept for another one's write" {
    make_disk quiet
    mkdir memory # whose device number is lower, so that it is released last
    mount -t tmpfs -o size=4M tmpfs memory
    echo "$T/memory" >>"$T/mounts"
    truncate -s 1M memory/quiet
    like_qemu --disk quiet --disk memory/quiet
    kill -KILL "$CHILD"
    draining "$byte_101"
    wait_until "$TAKER" --try quiet
    wait_until "$TAKER" --try memory/quiet
    lease_is RELEASING
}

# --- the supervisor is killed ----------------------------------------------

# orphaned: nothing but the write is left, and our takers are told so
orphaned() {
    ended "$SUP"
    wait_until gone "$CHILD"
    "$TAKER" --try "$SLOW"
    orphan="a QEMU that no supervisor answers for has it open, or writes of \
a dead one are still under way \(its lock byte 101 is held\)"
    wait_until refused_exactly "$orphan"
    refused "$orphan" ,readonly
    waiters
    refute slow_landed
    refute test -e other.saw
    slow_resume
    ended "$OTHER"
    same "exit status of the one that waited" 0 "$STATUS"
    witnessed other.saw
}

# The child's liveness may be gone a moment later than the child.
refused_exactly() {
    refused "$1" 2>/dev/null
}

@test "the holder is killed while it waits: takers look for themselves" {
    like_qemu
    kill -KILL "$CHILD"
    draining "$byte_101"
    kill -KILL "$SUP"
    orphaned
}

@test "the holder is killed while the child writes: takers look as well" {
    like_qemu
    kill -KILL "$SUP"
    orphaned
}
