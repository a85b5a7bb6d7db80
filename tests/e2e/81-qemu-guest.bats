#!/usr/bin/env bats
# shellcheck disable=SC2034  # guest.bash uses these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a guest in real QEMU that writes without pause, from start to end
#
# Every end that a VM can have is brought about while the guest writes. Then
# another one gets the disk and writes on; see guest.bash for who finds out
# if that was ever wrong.

load ../lib/common
load ../lib/guest

setup() {
    common_setup
    guest_setup
    U=$(uuid 1)
    DISK=$T/disk
    truncate -s 8M "$DISK"
}

teardown() {
    guest_teardown
}

web1() {
    guest web1 "$DISK" --uuid "$U" "$@"
}

# ended_with STATUS: the supervisor, and QEMU with it
ended_with() {
    ended "$SUP" 30
    same "exit status" "$1" "$STATUS"
    wait_until gone "$CHILD"
}

# taken_over: another guest has the disk at once, and writes on where the first
# one was
taken_over() {
    next_guest web2 "$DISK"
    lockctl quit web2
    same "exit status of quit" 0 "$status"
    intact "$DISK" 2 web1 web2
}

# in_line: web2 waits for the disk with the next guest
in_line() {
    qemu_for web2 "$DISK"
    spawn web2 "$SUPERVISOR" --name web2 --uuid "$(uuid 2)" --wait \
        --disk "$DISK" -- "${QEMU[@]}"
    WEB2=$PID
    wait_until vm_state "$(uuid 2)" STARTING
    writes_on web1
}

# taken_over_in_line: the one who has waited writes on
taken_over_in_line() {
    writes_on web2
    has_line web2.log '^vda START .* seq=[1-9]'
    lockctl shutdown web2 --timeout 30
    ended "$WEB2"
    same "exit status of web2" 0 "$STATUS"
    intact "$DISK" 2 web1 web2
}

revoked() {
    web1 --
    in_line
    lockctl revoke web1 --reason "moved by admin"
    same "exit status of revoke" 0 "$status"
    gone "$CHILD"
    ended_with 124
    taken_over_in_line
}

killed_supervisor() {
    web1 --
    in_line
    kill -KILL "$SUP"
    ended_with 137
    taken_over_in_line
}

# --- what these tests are worth --------------------------------------------

@test "two guests that write to one disk are found out" {
    GUEST_LOCKING=off
    web1 --driver nop --
    qemu_for web2 "$DISK"
    start_supervisor web2 --driver nop --disk "$DISK" -- "${QEMU[@]}"
    wait_until -t 60 grep -qs '^vda CORRUPT ' web1.log web2.log
    lockctl quit web1
    lockctl quit web2
    wait_until none_recorded
    refute intact "$DISK" 2 web1 web2
}

# --- while it runs ---------------------------------------------------------

@test "a second start is refused, and the guest writes on" {
    web1 --
    for _ in {1..3}; do
        refused "$DISK" "held by 'web1' \($U, [^ ]+, pid $SUP\) since"
    done
    writes_on web1
    lockctl quit web1
    ended_with 137
    intact "$DISK" 1 web1
}

@test "a stopped QEMU keeps its lease and writes on when it is continued" {
    web1 --
    kill -STOP "$CHILD"
    wait_until state_is "$CHILD" T
    refused "$DISK" "held by 'web1'"
    refute "$TAKER" --try "$DISK"
    vm_state "$U" RUNNING
    kill -CONT "$CHILD"
    writes_on web1
    kill -STOP "$CHILD"
    wait_until state_is "$CHILD" T
    lockctl revoke web1
    ended_with 124
    taken_over
}

@test "a paused guest keeps its lease and writes on when it is continued" {
    web1 --
    in_qemu web1 stop
    qemu_is web1 paused
    refused "$DISK" "held by 'web1'"
    refute "$TAKER" --try "$DISK"
    vm_state "$U" RUNNING
    in_qemu web1 cont
    writes_on web1
    in_qemu web1 stop
    lockctl shutdown web1 --timeout 30
    ended_with 0
    taken_over
}

@test "a guest that resets keeps its lease and goes on" {
    GUEST_OPTIONS='end=reset end_at=100'
    web1 --
    wait_until -t 60 has_lines 2 web1.log '^vda START '
    writes_on web1
    has_line web1.log '^vda START .* seq=101 '
    vm_child "$U" "$CHILD"
    refused "$DISK" "held by 'web1'"
    lockctl quit web1
    ended_with 137
    intact "$DISK" 1 web1
}

# --- ends of its own -------------------------------------------------------

@test "a guest that powers off ends its supervisor with 0" {
    GUEST_OPTIONS='end=poweroff end_at=50'
    web1 --
    ended_with 0
    has_line web1.log '^GUEST-END'
    GUEST_OPTIONS=''
    taken_over
}

@test "a guest that panics ends a QEMU that does not reboot, with 0" {
    GUEST_OPTIONS='end=panic end_at=50'
    web1 -- -no-reboot
    ended_with 0
    has_line web1.log 'Kernel panic'
    GUEST_OPTIONS=''
    taken_over
}

@test "a QEMU that crashes gives 139" {
    web1 --
    kill -SEGV "$CHILD"
    ended_with 139
    taken_over
}

@test "a QEMU that aborts by itself gives 134" {
    web1 --
    hmp web1 'qemu-io disk0 abort' || :
    ended_with 134
    taken_over
}

# --- ends that somebody wants ----------------------------------------------

@test "revoke: QEMU is dead, and who has waited for the disk writes on" {
    revoked
}

@test "the same without QEMU's own locks" {
    GUEST_LOCKING=off
    revoked
}

@test "a killed supervisor: QEMU dies, too, and only then the disk is free" {
    killed_supervisor
}

@test "the same of a killed supervisor without QEMU's own locks" {
    GUEST_LOCKING=off
    killed_supervisor
}

@test "shutdown: QEMU ends by itself, with 0" {
    web1 --
    lockctl shutdown web1 --timeout 30
    same "exit status of shutdown" 0 "$status"
    ended_with 0
    taken_over
}

@test "quit: QEMU is killed" {
    web1 --
    lockctl quit web1
    same "exit status of quit" 0 "$status"
    ended_with 137
    taken_over
}
