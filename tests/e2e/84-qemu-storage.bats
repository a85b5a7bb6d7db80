#!/usr/bin/env bats
# shellcheck disable=SC2034  # guest.bash uses these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a guest in real QEMU, and storage that fails, is full, or hangs
#
# QEMU waits then, and cannot always be killed: the lease waits with it.

load ../lib/common
load ../lib/guest
load ../lib/slowdisk

setup() {
    common_setup
    guest_setup
    slowdisk_setup
    U=$(uuid 1)
    # Blocks that are there, as in slowdisk_setup.
    dd if=/dev/zero of="$SLOW" bs=64k count=32 conv=fsync status=none
}

teardown() {
    guest_logs
    slowdisk_teardown
}

web1() { # DISK
    guest web1 "$1" --uuid "$U" --
    events_of web1
}

ended_with() { # STATUS
    ended "$SUP" 30
    same "exit status" "$1" "$STATUS"
    wait_until gone "$CHILD"
}

# kept DISK [REGEX]: web1 has it, and nobody else gets it
kept() {
    refused "$1" "held by 'web1'${2:-}"
    same "status of the lease" HELD "$(qmp "$U" query-leases |
        jq -r --arg name "$1" '.[] | select(.name == $name) | .status')"
}

# stopped_by EVENT: the guest waits for somebody to do something about it
stopped_by() {
    event web1 "BLOCK_IO_ERROR\".*$1"
    event web1 STOP
    qemu_is web1 io-error
    vm_state "$U" RUNNING
}

# goes_on DISK: nothing was lost
goes_on() {
    in_qemu web1 cont
    writes_on web1
    refute has_line web1.log FAILED
    lockctl shutdown web1 --timeout 30
    ended_with 0
    intact "$1" 1 web1
}

taken_over() { # DISK
    next_guest web2 "$1"
    lockctl quit web2
    wait_until none_recorded
    intact "$1" 2 web1 web2
}

# --- errors ----------------------------------------------------------------

@test "an I/O error stops the guest, which keeps its lease and goes on" {
    web1 "$SLOW_DEVICE"
    slow_fail
    stopped_by '"reason": "Input/output error"'
    kept "$SLOW_DEVICE"
    refute "$TAKER" --try "$SLOW_DEVICE"
    slow_repair
    kept "$SLOW_DEVICE"
    goes_on "$SLOW_DEVICE"
}

@test "a guest that an I/O error has stopped is revoked" {
    web1 "$SLOW_DEVICE"
    slow_fail
    stopped_by '"reason": "Input/output error"'
    lockctl revoke web1
    same "exit status of revoke" 0 "$status"
    ended_with 124
    slow_repair
    taken_over "$SLOW_DEVICE"
}

@test "a full file system stops the guest, which keeps its lease and goes on" {
    truncate -s 6M slow/thin
    fallocate -l "$(df --block-size=1 --output=avail slow | tail -n 1)" \
        slow/filler
    web1 "$T/slow/thin"
    stopped_by '"nospace": true'
    kept "$T/slow/thin"
    rm slow/filler
    goes_on "$T/slow/thin"
}

# --- hanging ---------------------------------------------------------------

hanging() { # DEVICE: a read or a write waits for it
    has_line "/sys/block/${1#/dev/}/inflight" '[1-9]'
}

# hangs DISK [DEVICE]: the guest writes to it, and the storage does not answer
hangs() {
    web1 "$1"
    slow_pause
    wait_until hanging "${2:-$SLOW_FS}"
}

# revoked_while_hanging DISK [DEVICE]
revoked_while_hanging() {
    hangs "$@"
    spawn revoke "$LOCKCTL" --timeout 90 revoke web1
    wait_until vm_state "$U" KILLING
    kept "$1" ", which is exiting"
    wait_until -t 14 has_line web1.err \
        "cannot kill the child: thread [0-9]+ of process $CHILD is in state D\
.*; its leases are kept"
    kept "$1" ", which is exiting"
    refute "$TAKER" --try "$1"
    slow_resume
    ended_with 124
    taken_over "$1"
}

@test "revoke while an image's storage hangs: the lease stays until QEMU is dead" {
    revoked_while_hanging "$SLOW"
}

@test "revoke while a block device hangs: the lease stays until QEMU is dead" {
    revoked_while_hanging "$SLOW_DEVICE" "$SLOW_DEVICE"
}

# orphaned_while_hanging: the supervisor is killed; QEMU is killed, too, but
# cannot die
orphaned_while_hanging() {
    hangs "$SLOW"
    kill -KILL "$SUP"
    ended "$SUP"
    qemu_for web2 "$SLOW"
    spawn web2 "$SUPERVISOR" --name web2 --uuid "$(uuid 2)" --wait \
        --disk "$SLOW" -- "${QEMU[@]}"
    wait_until vm_state "$(uuid 2)" STARTING
    "$TAKER" --try "$SLOW"
    refused "$SLOW" "held by 'web1', which is exiting \($U, [^ ]+, pid $SUP\)"
    refute test -e web2.log
    slow_resume
    writes_on web2
    gone "$CHILD"
    lockctl quit web2
    wait_until none_recorded
    intact "$SLOW" 2 web1 web2
}

@test "a killed supervisor while the storage hangs: busy until QEMU is dead" {
    orphaned_while_hanging
}

@test "the same without QEMU's own locks" {
    GUEST_LOCKING=off
    orphaned_while_hanging
}
