#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what a VM writes to without a lease; whose a disk is on another host

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

# opener SCRIPT [OPTION...]: VM web1, whose child is a shell that has done so
opener() {
    local script=$1
    shift
    rm -f opened
    start_supervisor web1 --uuid "$U" "$@" -- \
        bash -c "$script"'; : >opened; exec sleep 1000'
    wait_until test -e opened
}

# found FILTER: the paths that are told, sorted, in one line
found() {
    lockctl unleased web1 --json
    [ "$status" = 0 ] || fail "$stderr" || return 1
    jq -r "[.[] | select(${1:-true}) | .path] | sort | join(\" \")" run.out
}

@test "so it is of a process that is attached, and of its descendants" {
    spawn vm bash -c 'exec 5<>a; sleep 1000 5<&- 6<>b & : >opened; wait'
    wait_until test -e opened
    start_supervisor web1 --uuid "$U" --attach "$PID"
    same "found" "$T/a $T/b" "$(found)"
    lockctl leases web1
    matches "a note" "is open for writing in process $PID" "$output$stderr"
}

@test "an image that is written to without a lease is told" {
    opener 'exec 5<>a 6<>b' --disk a
    sentence="'$T/b' is open for writing in process $CHILD without a lease: \
nobody is kept from it (name it with --disk, if it is a disk)"
    lockctl unleased web1
    same "exit status" 0 "$status"
    same "sentence" "$sentence" "$output"
    lockctl leases web1
    same "below the table" "$sentence" "${lines[-1]}"
    same "lines" 4 "${#lines[@]}"
    lockctl leases web1 --json
    same "JSON is the leases alone" 2 "$(jq length run.out)"
    lockctl unleased web1 --json
    jq -e --arg b "$T/b" --argjson pid "$CHILD" --argjson inode \
        "$(stat -c %i b)" '. == [{"pid": $pid, "fd": 6, "path": $b,
            "kind": "file", "device": .[0].device, "qemu-locks": false,
            "inode": $inode}]' run.out
}

@test "what is leased, too small, unlinked or only read is not told" {
    : >empty
    truncate -s 511 short
    truncate -s 512 sector
    make_disk gone read log
    opener 'exec 5<>a 6<>empty 7<>short 8<>gone 9<read 10>>log; rm gone' \
        --disk "$T/a"
    same "found" "" "$(found)"
    lockctl unleased web1
    same "output" "" "$output"
    "$LOCKCTL" quit web1
    opener 'exec 5<>sector'
    same "found" "$T/sector" "$(found)"
    ln sector other
    "$LOCKCTL" acquire web1 --disk "$T/other" # another name of it
    same "found, leased" "" "$(found)"
}

@test "a lease that is readonly keeps no reader from what is written" {
    opener 'exec 5<>a' --disk a,readonly
    lockctl unleased web1
    same "sentence" "'$T/a' is open for writing in process $CHILD, and its \
lease is readonly: other readers are let in" "$output"
    same "lease" readonly "$("$LOCKCTL" unleased web1 --json | jq -r '.[].lease')"
}

@test "QEMU's locks make it certain" {
    fake web1 --uuid "$U" -- --qemu-locks "$T/a"
    same "found" "$T/a" "$(found '.["qemu-locks"]')"
    lockctl unleased web1
    matches sentence "\(name it with --disk\)$" "$output"
}

@test "a real QEMU's images are told, but not what is no image of it" {
    requires qemu-system-x86_64
    make_disk hot
    start_supervisor web1 --uuid "$U" --disk "$T/a" -- qemu-system-x86_64 \
        -nodefaults -no-user-config -display none -machine q35 -m 32 -S \
        -accel tcg,tb-size=8 -pidfile "$T/qemu.pid" -D "$T/qemu.log" \
        -object "memory-backend-memfd,id=ram,size=32M" \
        -blockdev "driver=file,node-name=a,filename=$T/a,locking=on" \
        -blockdev "driver=file,node-name=b,filename=$T/b,locking=on" \
        -blockdev "driver=file,node-name=r,filename=$T/hot,read-only=on" \
        -device virtio-blk-pci,drive=a -device virtio-blk-pci,drive=b \
        -device virtio-blk-pci,drive=r
    told_b() { [ "$(found '.["qemu-locks"]')" = "$T/b" ]; }
    wait_until told_b
    same "found" "$T/b" "$(found)"
}

@test "descendants are looked at, also those that have lost their parent" {
    make_disk c
    opener '(exec 5<>a; sleep 1000 & exec sleep 1000) &
        (exec 6<>c; sleep 1000 & echo $! >lost) &
        until test -s lost; do :; done'
    told_both() { [ "$(found)" = "$T/a $T/a $T/c" ]; }
    wait_until told_both
    same "who" "$(<lost)" "$(jq ".[] | select(.path == \"$T/c\").pid" run.out)"
}

@test "a process of somebody else is never looked at" {
    exec 7<>"$T/b"
    (exec 3>&-; exec sleep 1000) 4>&- 10>&- & # has it open, and is not the VM's
    record $!
    exec 7>&-
    opener 'exec 5<>a' --disk a
    same "found" "" "$(found)"
    "$LOCKCTL" quit web1
    # nor are children that were the supervisor's before it was one
    cat >inherit <<'END'
exec 5<>b
sleep 1000 &
echo $! >before
exec 5>&-
exec "$@"
END
    rm -f web1.pidpipe
    spawn web1 bash inherit "$SUPERVISOR" --name web1 --uuid "$U" -- \
        sleep 1000
    wait_until vm_state "$U" RUNNING
    wait_until test -s before
    record "$(<before)"
    wait_until has_child
    same "found" "" "$(found)"
}

has_child() {
    "$LOCKCTL" child web1 >child.out
}

@test "a VM without a child has nothing open" {
    take a
    spawn sup "$SUPERVISOR" --name web1 --uuid "$U" --disk a --wait -- true
    wait_until vm_state "$U" STARTING
    same "found" "" "$(found)"
    lockctl leases web1
    same "exit status" 0 "$status"
    refute grep -q "cannot see" run.out
}

@test "a block device is known by its number" {
    requires_root
    device=$(losetup --find --show a) || cannot_run "no loop device"
    echo "$device" >>loops
    opener "exec 5<>$device"
    same "found" "$device" "$(found '.kind == "block" and (has("inode") | not)')"
    lockctl unleased web1
    matches sentence "\(name it with --disk\)$" "$output"
    "$LOCKCTL" quit web1
    mknod node b "$((0x$(stat -c %t "$device")))" "$((0x$(stat -c %T "$device")))"
    opener "exec 5<>$device" --disk node
    same "found, leased by another node" "" "$(found)"
}

@test "huge pages are no disk" {
    requires_root
    mkdir huge
    mount -t hugetlbfs none huge || cannot_run "no hugetlbfs"
    echo "$T/huge" >>mounts
    truncate -s 2M huge/memory
    opener 'exec 5<>huge/memory 6<>b'
    same "found" "$T/b" "$(found)"
    "$LOCKCTL" quit web1
}

@test "what may not be seen is an error, and a note below the leases" {
    requires_root
    requires setpriv
    open_to_everyone
    opener 'exec 5<>b' --control-group "$NOBODY"
    chmod o+x run
    nobody=(setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups)
    run_program "${nobody[@]}" "$LOCKCTL" unleased web1
    same "exit status" 1 "$status"
    same "stderr" "virt-lockctl: cannot see what the VM's processes have \
open: permission denied; run virt-lockctl as root" "$stderr"
    run_program "${nobody[@]}" "$LOCKCTL" leases web1
    same "exit status of leases" 0 "$status"
    same "note" "cannot see what the VM's processes have open: permission \
denied; run virt-lockctl as root" "${lines[-1]}"
}

@test "in another PID namespace nothing is claimed" {
    requires_root
    opener 'exec 5<>b'
    run_program unshare --pid --fork --mount-proc "$LOCKCTL" unleased web1
    same "exit status" 1 "$status"
    matches stderr "cannot see what the VM's processes have open: .*PID namespace" \
        "$stderr"
}

# --- holder -----------------------------------------------------------------

@test "holder of what cannot be leased is an error" {
    mkdir dir
    mkfifo fifo
    ln -s dir link
    for path in dir fifo link /dev/null; do
        lockctl holder "$path"
        same "exit status of $path" 1 "$status"
        matches "stderr of $path" "^virt-lockctl: cannot tell who holds \
'.*$path': it is neither a file nor a block device$" "$stderr"
        same "stdout" "" "$output"
        lockctl holder --json "$path"
        same "stdout of --json" "" "$output"
    done
}

# on_host NAME COMMAND...: as another host that shares $T/space and nothing
# else of ours: its own image under the same path, its own state
on_host() {
    local host=$1
    shift
    mkdir -p "$host"
    [ -e "$host/a" ] || cp a "$host/a"
    # shellcheck disable=SC2016 # the other shell's
    unshare --mount --uts bash -ec 'hostname "$1"; mount --bind "$2/$1/a" "$2/a"
        export VIRT_LOCK_RUN_DIR=$2/$1/run VIRT_LOCK_STATE_DIR=$2/$1/state
        exec "${@:3}"' - "$host" "$T" "$@"
}

@test "holder names the other host that holds a disk by its lockspace" {
    requires_root
    requires unshare
    mkfifo pid
    as_host=(on_host alpha "$SUPERVISOR" --name web1 --uuid "$U" --disk "$T/a"
        --param "lockspace=$T/space" --pid-fd 8)
    "${as_host[@]}" -- sleep 1000 8>pid >sup.out 2>sup.err 3>&- 4>&- 10>&- &
    record $!
    host=$!
    read -r -t 10 child <pid
    record "$child"
    run_program on_host beta "$LOCKCTL" holder "$T/a" --lockspace "$T/space"
    same "exit status: $stderr" 0 "$status"
    matches sentence "^'$T/a' is held by 'web1' \($U, alpha, pid [0-9]+\) since .* \(exclusive\)$" \
        "$output"
    run_program on_host beta "$LOCKCTL" holder --json "$T/a" \
        --lockspace "$T/space"
    same "host" alpha "$(jq -r .host run.out)"
    supervisor=$(jq .pid run.out)
    record "$supervisor"
    run_program on_host beta "$LOCKCTL" holder "$T/a"
    same "without the lockspace" "'$T/a' is not held" "$output"
    run_program on_host beta "$SUPERVISOR" --name web2 --disk "$T/a" \
        --param "lockspace=$T/space" -- true
    same "second" 123 "$status"
    matches "second" "held by 'web1' \($U, alpha, " "$stderr"
    kill "$supervisor"
    ended "$host"
    run_program on_host beta "$LOCKCTL" holder "$T/a" --lockspace "$T/space"
    same "afterwards" "'$T/a' is not held" "$output"
}
