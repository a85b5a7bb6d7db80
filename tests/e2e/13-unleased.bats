#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a disk that the child has open for writing, and nobody has leased
#
# Seen by a supervisor whose child has no more rights than it has itself: one
# of a user, or of root with a child that gave its capabilities up.

load ../lib/common

setup() {
    common_setup
    requires_root
    requires setpriv
    make_disk a b
    HUMBLE=(setpriv --bounding-set=-all --inh-caps=-all)
}

# vm [OPTION...] -- [FAKEVMM OPTION...]: one whose descriptors can be seen
vm() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    start_supervisor vm --log-level info "${options[@]}" -- \
        "${HUMBLE[@]}" "$FAKEVMM" --ready "$T/vm.ready" "${@:2}"
    wait_until test -s vm.ready
}

# said REGEX: the supervisor says so, in one line
said() {
    wait_until has_line vm.err "^virt-lock-supervisor\[vm\]: $1\$"
}

@test "it is told once, with the name of the file and the process" {
    vm --disk a -- --qemu-locks "$T/a" --keep-open "$T/b"
    said "'$T/b' is open for writing in process $CHILD without a lease: nobody is kept from it \(name it with --disk, if it is a disk\)"
    same "lines about it" 1 "$(grep -c 'open for writing' vm.err)"
    refute grep -q "'$T/a' is open" vm.err
    refute grep -q 'cannot see all' vm.err
}

@test "so it is of a descendant" {
    vm -- --daemonize --keep-open "$T/b"
    said "'$T/b' is open for writing in process $(<vm.ready) without a lease: .*"
}

@test "nothing is said of leased disks, logs and files without a name" {
    make_disk c unlinked
    start_supervisor vm --disk a --disk b,shared -- "${HUMBLE[@]}" bash -c '
            exec 4<>c 5<>a 6<>b 7>>log 8<>unlinked 9<>pid
            echo $$ >&9; dd if=/dev/zero bs=4096 count=1 >&7 2>/dev/null
            rm unlinked; kill -STOP $$'
    said "'$T/c' is open for writing .*"
    same "lines" 1 "$(wc -l <vm.err)"
}

@test "a readonly lease of a disk that is written to is told" {
    vm --disk a,readonly -- --keep-open "$T/a"
    said "'$T/a' is open for writing in process $CHILD, and its lease is readonly: other readers are let in"
}

@test "of many only some are named" {
    for i in {1..12}; do
        truncate -s 1M "many$i"
    done
    start_supervisor vm -- "${HUMBLE[@]}" bash -c '
        for i in {1..12}; do
            exec {fd}<>"many$i"
        done
        kill -STOP $$'
    said "4 more files are open for writing without a lease"
    same "named" 8 "$(grep -c "'$T/many" vm.err)"
}

@test "where it cannot be seen that is said to whoever wants to know all" {
    start_supervisor vm --log-level info -- "$FAKEVMM" --keep-open "$T/b"
    said "cannot see all that the child has open; 'virt-lockctl leases [-0-9a-f]+' of a root user can"
    refute grep -q 'open for writing' vm.err
}
