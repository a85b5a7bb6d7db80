#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the file driver: who excludes whom, and who is told to hold what

load ../lib/common

setup() {
    common_setup
    make_disk a b c
}

# holds DISK[,MODE]: a VM called holder has it
holds() {
    fake holder --uuid "$(uuid 1)" --disk "$1" --
}

# another DISK[,MODE] EXPECTED STATUS: a second VM that wants it
another() {
    run_supervisor --name other --uuid "$(uuid 2)" --disk "$1" -- true
    same "another VM with $1" "$2" "$status"
}

# --- modes -----------------------------------------------------------------

@test "exclusive excludes everyone" {
    holds a
    another a 123
    another a,shared 123
    another a,readonly 123
}

@test "shared excludes exclusive only" {
    holds a,shared
    another a 123
    another a,shared 0
    another a,readonly 0
}

@test "readonly excludes exclusive only" {
    holds a,readonly
    another a 123
    another a,shared 0
    another a,readonly 0
}

@test "the last of several sharers to go lets an exclusive holder in" {
    fake one --uuid "$(uuid 3)" --disk a,shared --
    one=$SUP
    fake two --uuid "$(uuid 4)" --disk a,readonly --
    another a 123
    kill -TERM "$one"
    ended "$one"
    another a 123
    matches stderr "held by 'two'" "$stderr"
    kill -TERM "$SUP"
    ended "$SUP"
    another a 0
}

@test "different disks exclude nobody" {
    holds a
    another b 0
}

# --- names -----------------------------------------------------------------

@test "symbolic links of an image exclude each other" {
    ln -s a soft
    ln -s soft softer
    holds softer
    another a 123
    another soft 123
}

@test "hard links of an image exclude each other" {
    ln a hard
    mkdir d
    ln a d/hard
    holds hard
    another a 123
    another d/hard 123
}

@test "bind mounts of an image exclude each other" {
    requires_root
    mkdir d
    : >file
    bind_mount "$T" "$T/d"
    bind_mount "$T/a" "$T/file"
    holds a
    another d/a 123
    another file 123
    matches stderr "held by 'holder'" "$stderr"
}

@test "relative and absolute names are the same disk" {
    holds a
    another "$T/a" 123
    another "$T/./run/../a" 123
}

@test "names with a doubled comma are names with a comma" {
    make_disk x,y 'z,readonly' ,
    holds x,,y
    another x,,y,shared 123
    matches stderr "'$T/x,y'" "$stderr"
    another z,,readonly 0
    another ,, 0
    same "name" "$T/x,y" "$(qmp "$(uuid 1)" query-leases |
        jq -r '.[] | select(.kind == "disk").name')"
}

@test "names with spaces, quotes and letters beyond ASCII are taken as they are" {
    for name in 'a b' "quo'te" 'double"quote' 'Übung' $'line\nbreak'; do
        make_disk "$name"
        fake holder --uuid "$(uuid 1)" --disk "$name" --
        refute "$TAKER" --try "$name"
        same "name" "$T/$name" "$(qmp "$(uuid 1)" query-leases |
            jq -r '.[] | select(.kind == "disk").name')"
        another "$name" 123
        same "lines on stderr" 1 "${#stderr_lines[@]}"
        kill "$SUP"
        ended "$SUP"
    done
}

# --- replaced files --------------------------------------------------------

@test "a lease follows the file, not the name" {
    ln a old
    holds a
    rm a
    make_disk a
    another a 0
    another old 123
}

@test "a file that is replaced between opening and locking is noticed" {
    requires strace
    # Its first lock on the disk is held up until the name means another file.
    ln a old
    spawn web1 strace -f -o trace -e trace=fcntl \
        -e inject=fcntl:delay_enter=400000 -P "$T/a" \
        "$SUPERVISOR" --name web1 --uuid "$(uuid 1)" --disk "$T/a" -- \
        "$FAKEVMM" --ready "$T/ready"
    wait_until has_open "$T/a"
    make_disk new
    mv new a
    wait_until test -s ready
    same "inode" "$(stat -c %i a)" "$(qmp "$(uuid 1)" query-leases |
        jq '.[] | select(.kind == "disk").inode')"
    refute "$TAKER" --try a
    "$TAKER" --try old
}

# has_open FILE: one of our children's children has it open
has_open() {
    find /proc/[0-9]*/fd -lname "$1" 2>/dev/null | grep -q .
}

# --- who holds it ----------------------------------------------------------

@test "the refusal names resource, holder, uuid, host, pid and time" {
    holds a
    another a 123
    same "stderr" "virt-lock-supervisor[other]: cannot acquire '$T/a': held by \
'holder' ($(uuid 1), $(hostname), pid $SUP) since $(date -d "@$(stat -c %Y \
        "/proc/$SUP")" +%H:%M)" "$stderr"
}

@test "the refusal is the same for another name of the disk" {
    ln a hard
    holds a
    another hard 123
    matches stderr "cannot acquire '$T/hard': held by 'holder' \(" "$stderr"
}

@test "a holder that is none of ours is another process" {
    take a
    another a 123
    matches stderr "cannot acquire '$T/a': held by another process" "$stderr"
}

@test "the record of a supervisor that was killed accuses nobody" {
    holds a
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until gone "$CHILD"
    take a
    another a 123
    matches stderr "held by another process" "$stderr"
    kill "$HOLDER"
    wait_until gone "$HOLDER"
    another a 0
}

@test "a record full of rubbish is no obstacle" {
    holds a
    for record in state/holders/*; do
        head -c 300 /dev/urandom >"$record"
    done
    another a 123
    matches stderr "cannot acquire '$T/a': held by" "$stderr"
    kill "$SUP"
    ended "$SUP"
    another a 0
}

@test "a lost state directory costs names, not the exclusion" {
    holds a
    rm -r state/holders
    another a 123
    VIRT_LOCK_STATE_DIR=$T/elsewhere another a 123
}

@test "records are gone with their leases" {
    fake holder --uuid "$(uuid 1)" --disk a --disk b,shared --
    [ -n "$(find state/holders ! -type d)" ]
    kill "$SUP"
    ended "$SUP"
    same "records" "" "$(find state/holders ! -type d)"
}

# --- all or none -----------------------------------------------------------

@test "where one lease is held by another, none is taken" {
    holds b
    run_supervisor --uuid "$(uuid 2)" --disk a --disk b --disk c -- \
        touch "$T/started"
    same "exit status" 123 "$status"
    refute test -e started
    "$TAKER" --try a
    "$TAKER" --try c
    lockctl holder a
    same "holder of a" 1 "$status"
}

@test "64 disks are held at once" {
    local options=() name
    for name in disk{1..64}; do
        make_disk "$name"
        options+=(--disk "$name")
    done
    fake holder --uuid "$(uuid 1)" "${options[@]}" --
    same "leases" 64 "$(qmp "$(uuid 1)" query-status | jq .leases)"
    for name in disk1 disk33 disk64; do
        another "$name" 123
    done
    lockctl list
    grep -q "^holder .* 64 " <<<"$output"
    kill "$SUP"
    ended "$SUP"
    for name in disk{1..64}; do
        "$TAKER" --try "$name"
    done
}

@test "leases are taken in one order, whatever the order of their names" {
    requires strace
    # Inode numbers need not follow the order of creation.
    mapfile -t disks < <(stat -c '%i %n' a b c | sort -n | cut -d' ' -f2)
    for names in "0 1 2" "2 1 0" "1 2 0"; do
        read -ra order <<<"$names"
        strace -qq -o trace -y -e trace=fcntl "$SUPERVISOR" \
            --disk "${disks[order[0]]}" --disk "${disks[order[1]]}" \
            --disk "${disks[order[2]]}" -- true
        same "order of locking" "${disks[*]}" "$(grep OFD_SETLK trace |
            grep -v F_UNLCK | sed -n "s|.*<$T/\([abc]\)>.*|\1|p" | uniq |
            paste -sd' ')"
    done
}

@test "two that race for the same disks in opposite order never both run" {
    local forth=() back=()
    make_disk disk{1..16}
    for name in disk{1..16}; do
        forth+=(--disk "$name")
        back=(--disk "$name" "${back[@]}")
    done
    run_program "$RACE" 200 \
        "$SUPERVISOR" --uuid "$(uuid 1)" "${forth[@]}" -- \
        "$FAKEVMM" --exclusive "$T/one" --until-eof 9 ::: \
        "$SUPERVISOR" --uuid "$(uuid 2)" "${back[@]}" -- \
        "$FAKEVMM" --exclusive "$T/one" --until-eof 9
    same "exit status ($stderr)" 0 "$status"
    # Taken in one order, whatever the names' order: somebody always wins.
    matches "result" " neither=0$" "$output"
}

@test "two that race for the same uuid never both run" {
    run_program "$RACE" 50 \
        "$SUPERVISOR" --uuid "$(uuid 1)" -- \
        "$FAKEVMM" --exclusive "$T/one" --until-eof 9 ::: \
        "$SUPERVISOR" --uuid "$(uuid 1)" -- \
        "$FAKEVMM" --exclusive "$T/one" --until-eof 9
    same "exit status ($stderr)" 0 "$status"
    matches "result" " neither=0$" "$output"
}

@test "two that wait for the same disks in opposite order both run, one after the other" {
    for _ in {1..10}; do
        spawn one "$SUPERVISOR" --uuid "$(uuid 1)" --wait --disk a --disk b \
            -- "$FAKEVMM" --exclusive "$T/one" --exit 0 --after-ms 20
        one=$PID
        spawn two "$SUPERVISOR" --uuid "$(uuid 2)" --wait --disk b --disk a \
            -- "$FAKEVMM" --exclusive "$T/one" --exit 0 --after-ms 20
        two=$PID
        ended "$one"
        same "exit status of the one" 0 "$STATUS"
        ended "$two"
        same "exit status of the other" 0 "$STATUS"
    done
}

@test "eight that wait for one disk all get their turn" {
    local pids=() i
    for i in {1..8}; do
        spawn "vm$i" "$SUPERVISOR" --uuid "$(uuid "$i")" --wait --disk a -- \
            "$FAKEVMM" --exclusive "$T/one" --exit 0 --after-ms 20
        pids+=("$PID")
    done
    for i in "${pids[@]}"; do
        ended "$i"
        same "exit status" 0 "$STATUS"
    done
}

# --- the VM itself ---------------------------------------------------------

@test "the same uuid is never started twice, even without a disk" {
    fake holder --uuid "$(uuid 1)" --
    run_supervisor --name twin --uuid "$(uuid 1)" -- touch "$T/started"
    same "exit status" 123 "$status"
    refute test -e started
    matches stderr "'?$(uuid 1)'?.*held by 'holder'" "$stderr"
    # The holder's socket has survived its twin.
    vm_state "$(uuid 1)" RUNNING
}

@test "the same uuid is not started twice by way of another run directory" {
    fake holder --uuid "$(uuid 1)" --
    run_supervisor --run-dir "$T/run2" --uuid "$(uuid 1)" -- true
    same "exit status" 123 "$status"
}

@test "with --wait the same uuid starts when its twin has ended" {
    fake holder --uuid "$(uuid 1)" -- --stamp "$T/stamp"
    spawn twin "$SUPERVISOR" --uuid "$(uuid 1)" --wait -- "$FAKEVMM" \
        --born "$T/born" --exit 6
    twin=$PID
    wait_until has_line "/proc/$twin/status" 'State:.*S'
    vm_state "$(uuid 1)" RUNNING
    kill "$SUP"
    ended "$twin"
    same "exit status" 6 "$STATUS"
    never_after stamp born
}

# --- other leases ----------------------------------------------------------

@test "--lease excludes by lockspace and key" {
    fake holder --uuid "$(uuid 1)" --lease space:key --
    run_supervisor --lease space:key -- true
    same "the same" 123 "$status"
    matches stderr "'space:key'.*held by 'holder'" "$stderr"
    run_supervisor --lease space:other --lease other:key -- true
    same "others" 0 "$status"
}

@test "escaped colons belong to the lease's name" {
    fake holder --uuid "$(uuid 1)" --lease 'a\:b:c' --
    run_supervisor --lease 'a:b\:c' -- true
    same "a lockspace 'a' with a key 'b:c'" 0 "$status"
    run_supervisor --lease 'a\:b:c' -- true
    same "the same" 123 "$status"
}

@test "a lease with a path and an offset locks that byte of that file" {
    fake holder --uuid "$(uuid 1)" --lease "space:key:$T/a:512" --
    run_supervisor --lease "other:name:$T/a:512" -- true
    same "the same byte by another name" 123 "$status"
    run_supervisor --lease "space:key:$T/a:1024" -- true
    same "another byte" 0 "$status"
    another a 0
}

@test "a lease with a path and no offset is the disk's own" {
    fake holder --uuid "$(uuid 1)" --lease "space:key:$T/a" --
    another a 123
}

# --- block devices ---------------------------------------------------------

@test "a block device is a disk by its node and by links to it" {
    requires_root
    requires losetup
    device=$(losetup -f --show a) || cannot_run "there are no loop devices"
    echo "$device" >loop
    ln -s "$device" node
    fake holder --uuid "$(uuid 1)" --disk "$device" --
    another "$device" 123
    another node 123
    matches stderr "held by 'holder'" "$stderr"
}

teardown() {
    common_teardown
    [ ! -e "$T/loop" ] || losetup -d "$(<"$T/loop")"
}
