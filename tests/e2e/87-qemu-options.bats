#!/usr/bin/env bats
# shellcheck disable=SC2034  # guest.bash uses these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: QEMU that leaves its parent, its user, its root directory
#
# What QEMU does to itself once it has started, while its guest writes. None
# of it may cost the supervisor its hold of it.

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
    local daemon
    daemon=$(cat qemu.pid 2>/dev/null) || :
    if grep -qs "$T/qemu.pid" "/proc/$daemon/cmdline"; then
        record "$daemon" # web1 may not have come so far
    fi
    guest_teardown
}

# web1 [QEMU OPTION...]: a guest that writes; $CHILD is the process that stays
web1() {
    guest web1 "$DISK" --uuid "$U" -- -pidfile "$T/qemu.pid" "$@"
    wait_until test -s qemu.pid
    CHILD=$(<qemu.pid)
    record "$CHILD"
    wait_until vm_child "$U" "$CHILD"
    writes_on web1
}

# revoked: QEMU is killed, and another guest writes on
revoked() {
    refused "$DISK" "held by 'web1'"
    lockctl revoke web1
    same "exit status of revoke" 0 "$status"
    gone "$CHILD"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    taken_over
}

taken_over() {
    next_guest web2 "$DISK"
    lockctl quit web2
    wait_until none_recorded
    intact "$DISK" 2 web1 web2
}

# outlives_its_supervisor: nobody kills it, so it keeps the disk, writing
outlives_its_supervisor() {
    kill -KILL "$SUP"
    ended "$SUP"
    writes_on web1
    "$TAKER" --try "$DISK"
    refused "$DISK" \
        "held by 'web1', which is exiting \($U, [^ ]+, pid $SUP\)"
    writes_on web1
    kill -KILL "$CHILD"
    wait_until gone "$CHILD"
    taken_over
}

# owned_by USER: all threads of QEMU
owned_by() {
    same "owners" "$1" \
        "$(stat -c %U "/proc/$CHILD"/task/* | sort -u | paste -sd ' ')"
}

@test "-daemonize: the daemon is revoked" {
    web1 -daemonize
    revoked
}

@test "-daemonize: the daemon is shut down, with 0" {
    web1 -daemonize
    lockctl shutdown web1 --timeout 30
    same "exit status of shutdown" 0 "$status"
    ended "$SUP"
    same "exit status" 0 "$STATUS"
    gone "$CHILD"
    taken_over
}

@test "-daemonize: a daemon that outlives its supervisor keeps the disk" {
    web1 -daemonize
    outlives_its_supervisor
}

@test "-daemonize: and so without QEMU's own locks" {
    GUEST_LOCKING=off
    web1 -daemonize
    outlives_its_supervisor
}

@test "-runas: a QEMU that has become another user is revoked" {
    requires_root
    web1 -runas nobody
    owned_by nobody
    revoked
}

@test "-runas: a QEMU that outlives its supervisor keeps the disk" {
    requires_root
    GUEST_LOCKING=off
    web1 -runas nobody
    outlives_its_supervisor
}

@test "-runas with -daemonize: the daemon is revoked" {
    requires_root
    web1 -runas nobody -daemonize
    owned_by nobody
    revoked
}

@test "-sandbox, -chroot and -runas together: revoked" {
    requires_root
    mkdir jail
    web1 -runas nobody -chroot "$T/jail" \
        -sandbox on,obsolete=deny,spawn=deny,resourcecontrol=deny
    owned_by nobody
    same "root directory" "$T/jail" "$(readlink "/proc/$CHILD/root")"
    same "seccomp" 2 "$(awk '/^Seccomp:/ { print $2 }' "/proc/$CHILD/status")"
    revoked
}

@test "-sandbox: a killed supervisor's QEMU dies, too" {
    web1 -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until gone "$CHILD"
    taken_over
}
