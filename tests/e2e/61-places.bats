#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the file driver: lockspaces, block devices, files that are replaced,
# and file systems that say no

load ../lib/common

setup() {
    common_setup
    make_disk a b
    U=$(uuid 1)
}

teardown() {
    if [ -s "$T/loops" ]; then
        xargs -n 1 losetup -d <"$T/loops"
    fi
    common_teardown
}

# another DISK [OPTION...]: a second VM that wants it; $status, $stderr
another() {
    local disk=$1
    shift
    run_supervisor --name other --uuid "$(uuid 2)" --disk "$disk" "$@" -- true
}

refused() {
    another "$@"
    same "another with $*" 123 "$status"
}

admitted() {
    another "$@"
    same "another with $*: $stderr" 0 "$status"
}

sha256() {
    printf %s "$1" | sha256sum | cut -d ' ' -f 1
}

# The fields of the lease on $T/$1 of VM $U.
lease() {
    qmp "$U" query-leases | jq -r ".[] | select(.name == \"$T/$1\") | $2"
}

# injected ERROR: what a supervisor says whose lock calls on the disk fail
injected() {
    requires strace
    run_program strace -qq -o "$T/strace" -P "$T/a" -e trace=fcntl \
        -e "inject=fcntl:error=$1" "$SUPERVISOR" --name vm --disk a -- true
    same "$1" 125 "$status"
}

# lost ERROR: a held lease whose lock is asserted again, and that fails
lost() {
    requires strace
    requires_root
    fake vm --uuid "$U" --disk a --param check=1 -- --ignore-term
    spawn tracer strace -qq -o "$T/strace" -p "$SUP" -P "$T/a" -e trace=fcntl \
        -e "inject=fcntl:error=$1:when=1"
    ended "$SUP"
    same "status" 124 "$STATUS"
    matches "what it says" "lease '$T/a' lost: its lock is gone: $2" \
        "$(cat vm.err)"
    refute lives "$CHILD"
    admitted a
}

# --- lockspace --------------------------------------------------------------

@test "a lockspace is made, and names the disk as virtlockd does" {
    fake vm --uuid "$U" --disk a --param "lockspace=$T/space" --
    same "mode of the directory" 700 "$(stat -c %a space)"
    refute "$TAKER" --try "$T/space/$(sha256 "$T/a")"
    refute "$TAKER" --try "$T/a"
    kill "$SUP"
    ended "$SUP"
    "$TAKER" --try "$T/space/$(sha256 "$T/a")"
}

@test "the name in a lockspace is of the path as it is given" {
    ln -s . here
    fake vm --uuid "$U" --disk "$T//here/./a" --param "lockspace=$T/space" --
    refute "$TAKER" --try "space/$(sha256 "$T//here/./a")"
    # x/.. is where the link leads, not where x is
    mkdir -p d/e
    ln -s d/e x
    truncate -s 1M d/f
    fake dots --uuid "$(uuid 3)" --disk x/../f --
    refute "$TAKER" --try d/f
}

@test "hosts that share a lockspace exclude each other by path and by uuid" {
    fake vm --uuid "$U" --disk a --lease "pool:net1" \
        --param "lockspace=$T/space" --
    # Another host: other state, other run directory, a file system of its
    # own where the disk has another inode.
    mkdir other
    cp a other/a
    bind_mount "$T/other/a" "$T/a"
    local host=(--state-dir "$T/state2" --run-dir "$T/run2"
        --param "lockspace=$T/space")
    refused a "${host[@]}"
    matches stderr "'$T/a': held by 'vm'" "$stderr"
    run_supervisor --name vm --uuid "$U" "${host[@]}" -- true
    same "the same VM" 123 "$status"
    matches stderr "VM '$U': held by 'vm'" "$stderr"
    run_supervisor --name other --lease pool:net1 "${host[@]}" -- true
    same "the same lease" 123 "$status"
    admitted b "${host[@]}"
    admitted a --state-dir "$T/state2" --run-dir "$T/run2"
}

@test "a lockspace is beside the lock on the image, not in its place" {
    fake vm --uuid "$U" --disk a --param "lockspace=$T/space" --
    refused a
    matches stderr "held by 'vm'" "$stderr"
    kill "$SUP"
    ended "$SUP"
    fake vm --uuid "$U" --disk a --
    refused a --param "lockspace=$T/space"
    matches stderr "held by 'vm'" "$stderr"
}

@test "an image out of reach is leased in the lockspace alone" {
    requires_root
    open_to_everyone
    install -d -o "$NOBODY" -m 700 space
    chmod 600 a
    chown 0 a
    mkdir -m 777 there
    run_program setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$SUPERVISOR" --name x --uuid "$U" --run-dir "$T/there/run" \
        --state-dir "$T/there/state" --disk "$T/a" -- true
    same "without a lockspace: $stderr" 125 "$status"
    run_program setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$SUPERVISOR" --name x --uuid "$U" --run-dir "$T/there/run" \
        --state-dir "$T/there/state" --disk "$T/a" \
        --param "lockspace=$T/space" -- true
    same "with one: $stderr" 0 "$status"
    test -e "space/$(sha256 "$T/a")"
}

@test "a lockspace whose parent is missing is an error of its own" {
    another a --param "lockspace=$T/x/y"
    same status 125 "$status"
    matches stderr "cannot create lockspace '$T/x/y': parent directory does \
not exist or is not a directory" "$stderr"
    : >x
    another a --param "lockspace=$T/x/y"
    matches stderr "cannot create lockspace '$T/x/y': parent directory does \
not exist or is not a directory" "$stderr"
    another a --param "lockspace=$T/x"
    matches stderr "cannot create lockspace '$T/x': it is not a directory" \
        "$stderr"
    install -d -m 777 open
    another a --param "lockspace=$T/open"
    matches stderr "cannot use lockspace '$T/open': everybody may write to it" \
        "$stderr"
    another a --param nosuch=1
    matches stderr "cannot use parameter 'nosuch=1'" "$stderr"
}

@test "a disk that is plugged in goes into the lockspace too" {
    fake vm --uuid "$U" --disk a --param "lockspace=$T/space" --
    "$LOCKCTL" acquire vm --disk b
    refute "$TAKER" --try "space/$(sha256 "$T/b")"
    refused b --param "lockspace=$T/space" --state-dir "$T/state2" \
        --run-dir "$T/run2"
    "$LOCKCTL" release vm --disk b
    admitted b --param "lockspace=$T/space"
}

# --- block devices ----------------------------------------------------------

make_loop() {
    requires_root
    LOOP=$(losetup -f --show "$T/$1") || cannot_run "no loop devices"
    echo "$LOOP" >>"$T/loops"
}

@test "two nodes of one block device exclude each other" {
    make_loop a
    mknod node b $((16#$(stat -c %t "$LOOP"))) $((16#$(stat -c %T "$LOOP")))
    fake vm --uuid "$U" --disk "$LOOP" --
    refused node
    matches stderr "'$T/node': held by 'vm'" "$stderr"
    refused "$LOOP,shared"
    refute "$TAKER" --try "$LOOP"
    same "device" "$((16#$(stat -c %t "$LOOP"))):$((16#$(stat -c %T "$LOOP")))" \
        "$(qmp "$U" query-leases | jq -r '.[1].device')"
    run_supervisor --name x --disk "$LOOP" --disk node -- true
    same "both at once" 125 "$status"
    matches stderr "it is the same file as" "$stderr"
    kill "$SUP"
    ended "$SUP"
    admitted node
}

@test "different block devices exclude nobody; sharers of one do not either" {
    make_loop a
    local first=$LOOP
    make_loop b
    fake vm --uuid "$U" --disk "$first,shared" --
    admitted "$LOOP"
    admitted "$first,shared"
    admitted "$first,readonly"
    refused "$first"
}

@test "a block device of a child that outlives its supervisor is not free" {
    make_loop a
    mknod node b $((16#$(stat -c %t "$LOOP"))) $((16#$(stat -c %T "$LOOP")))
    fake vm --uuid "$U" --disk "$LOOP" -- --outlive-parent
    kill -KILL "$SUP"
    ended "$SUP"
    refused node
    matches stderr "'$T/node': held by 'vm', which is exiting" "$stderr"
    kill -KILL "$CHILD"
    wait_until gone "$CHILD"
    admitted node
}

@test "a QEMU that has a block device open is seen through its node" {
    make_loop a
    fake vm --uuid "$U" --disk b -- --qemu-locks "$LOOP"
    refused "$LOOP"
    matches stderr "a QEMU that no supervisor answers for" "$stderr"
}

# --- whose file it is ---------------------------------------------------------

@test "of another user's image the kernel does not tell who has it open" {
    requires_root
    chown "$NOBODY" a
    fake vm --uuid "$U" --disk a --disk b --
    same "another user's" drain-unproved "$(lease a '.guarantee[-1]')"
    same "our own" drained-by-write-lease "$(lease b '.guarantee[-1]')"
}

# --- read-only --------------------------------------------------------------

@test "read-only media on a read-only file system" {
    requires_root
    mkdir ro
    mount -t tmpfs -o size=4M tmpfs ro
    echo "$T/ro" >>"$T/mounts"
    truncate -s 1M ro/cd.iso
    mount -o remount,ro ro
    fake vm --uuid "$U" --disk ro/cd.iso,readonly --
    admitted ro/cd.iso,readonly
    another ro/cd.iso
    same "for writing" 125 "$status"
    matches stderr "cannot open '$T/ro/cd.iso' for writing: its file system \
is read-only \(lease it readonly\)" "$stderr"
    same guarantee '["reaped","liveness","taker-looks"]' \
        "$(lease ro/cd.iso .guarantee | jq -c .)"
}

# --- what becomes of the file -----------------------------------------------

@test "an image that is replaced while held: a warning, a flag, no kill" {
    fake vm --uuid "$U" --disk a --
    same "at first" null "$(lease a .changed)"
    cp a new
    mv new a
    same "replaced" replaced "$(lease a .changed)"
    wait_until has_line vm.err "'$T/a' was replaced while its lease is held"
    rm a
    same "unlinked" unlinked "$(lease a .changed)"
    same "said once" 1 "$(grep -c 'while its lease is held' vm.err)"
    vm_state "$U" RUNNING
    cp b a # another file: nobody has that
    admitted a
    kill "$SUP"
    ended "$SUP"
}

@test "one name is one lease, also where its file was replaced" {
    fake vm --uuid "$U" --disk a --
    cp a new
    mv new a
    lockctl acquire vm --disk a
    same "the same name" 1 "$status"
    matches stderr "the VM has a lease of that name, on the file that was \
there before" "$stderr"
    same "leases" 2 "$(qmp "$U" query-leases | jq length)"
}

@test "who waits for an image that is replaced gets the new one" {
    fake vm --uuid "$U" --disk a --
    spawn waiter "$SUPERVISOR" --name waiter --uuid "$(uuid 2)" --disk a \
        --wait 10 -- "$FAKEVMM" --ready "$T/waiter.ready"
    cp a new
    mv new a
    wait_until test -s waiter.ready
    same inode "$(stat -c %i a)" "$(qmp "$(uuid 2)" query-leases |
        jq '.[1].inode')"
}

# --- file systems that say no -----------------------------------------------

@test "each failure of a lock call is a sentence of its own" {
    injected ENOLCK
    matches ENOLCK "cannot lock '$T/a': its file system has no locks left" \
        "$stderr"
    injected EINVAL
    matches EINVAL "cannot lock '$T/a': its file system has no open file \
description locks" "$stderr"
    injected EIO
    matches EIO "cannot lock '$T/a': its storage answers with an I/O error" \
        "$stderr"
    injected ESTALE
    matches ESTALE "cannot lock '$T/a': its file server does not know it any \
more \(stale handle\)" "$stderr"
    admitted a
}

@test "an NFS server without a lock manager is told from a full lock table" {
    requires strace
    # f_type of struct statfs, the first word: NFS_SUPER_MAGIC
    run_program strace -qq -o "$T/strace" -P "$T/a" -e trace=fcntl,fstatfs \
        -e inject=fcntl:error=ENOLCK \
        -e 'inject=fstatfs:poke_exit=@arg2=6969000000000000' \
        "$SUPERVISOR" --name vm --disk a -- true
    if grep -q 'invalid' <<<"$stderr"; then
        fail "strace cannot do that: $stderr"
    fi
    matches stderr "cannot lock '$T/a': its NFS server grants no locks" \
        "$stderr"
}

@test "a held lock that a file server has forgotten is a lost lease (EIO)" {
    lost EIO "Input/output error"
}

@test "a held lock that a file server has forgotten is a lost lease (ESTALE)" {
    lost ESTALE "Stale file handle"
}

@test "a held lock that somebody else has is a lost lease" {
    lost EAGAIN "somebody else has it"
}

@test "a release on broken storage is no loss of the VM" {
    requires strace
    requires_root
    fake vm --uuid "$U" --disk a --disk b --
    # every lock call on b fails from now on; a query would find it lost
    spawn tracer strace -qq -o "$T/strace" -p "$SUP" -P "$T/b" \
        -e trace=fcntl -e inject=fcntl:error=EIO
    wait_until traced "$SUP"
    qmp "$U" lease-release "{\"disk\": \"$T/b\", \"force\": true}"
    same "leases" 2 "$(qmp "$U" query-leases | jq length)"
    vm_state "$U" RUNNING
    lives "$CHILD"
    refute grep -q lost vm.err
}

traced() {
    refute grep -q '^TracerPid:.0$' "/proc/$1/status"
}

@test "a descriptor that two supervisors get is refused by the second only" {
    requires_root
    chown "$NOBODY" a
    chmod 600 a
    fake one --uuid "$U" --
    fake two --uuid "$(uuid 2)" --
    python "$T" "$U" "$(uuid 2)" "$TAKER" <<'PY'
import os, subprocess, sys
from qmp import QMP, Error
top, one, two, taker = sys.argv[1:]
path = top + '/a'
fd = os.open(path, os.O_RDWR)
first, second = (QMP(f'{top}/run/{uuid}.sock') for uuid in (one, two))
first.command('lease-acquire', {'disk': path}, [fd])
try:
    second.command('lease-acquire', {'disk': path}, [fd])
    sys.exit('granted twice')
except Error as error:
    print(error.args[0]['desc'])
if subprocess.run([taker, '--try', path]).returncode != 1:
    sys.exit('the lease byte is free')
PY
}

# --- records ----------------------------------------------------------------

@test "a holder that is being killed is said to be exiting" {
    requires_freezer
    fake vm --uuid "$U" --disk a --
    make_cgroup "$FREEZER/vls-$$-exiting"
    echo "$CHILD" >"$FREEZER/vls-$$-exiting/cgroup.procs"
    echo FROZEN >"$FREEZER/vls-$$-exiting/freezer.state"
    refused a
    matches "before" "held by 'vm' \(" "$stderr"
    qmp "$U" quit
    wait_until vm_state "$U" KILLING
    refused a
    matches "while it is killed" "held by 'vm', which is exiting \(" "$stderr"
}

@test "garbage in a record is nobody, and never a lock" {
    fake vm --uuid "$U" --disk a --
    for record in state/holders/*; do
        head -c 30 "$record" >short
        cat short >"$record"
    done
    refused a
    matches stderr "held by another process" "$stderr"
    kill "$SUP"
    ended "$SUP"
    admitted a
}

@test "the dead who read before are not named where the living hold" {
    fake dead --uuid "$(uuid 3)" --disk a,readonly --
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until gone "$CHILD"
    fake alive --uuid "$U" --disk a --
    refused a
    matches "exclusive" "held by 'alive' \(" "$stderr"
    refused a,shared
    matches "shared" "held by 'alive' \(" "$stderr"
}

@test "a reader is refused beside a sharer whose QEMU writes, and is told who" {
    fake sharer --uuid "$U" --disk a,shared -- --qemu-locks "$T/a"
    refused a,readonly
    matches stderr "held by 'sharer' \(.*, whose QEMU does not allow that \
\(its lock byte 101 is held\)" "$stderr"
}
