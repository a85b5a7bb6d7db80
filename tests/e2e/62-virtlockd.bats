#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the file driver beside libvirt's virtlockd, stock and on the same images
#
# Every case twice: "image", where virtlockd locks byte 0 of the image, and
# "lockspace", where it locks that byte of LOCKSPACE/SHA256(path).
#
# virtlockd does not know readonly disks at all, and lets a lock go while its
# guest is suspended. Then QEMU's own lock bytes are all there is.

load ../lib/common
load ../lib/libvirt

SPACE=$HOSTS/space
OPEN_IN_QEMU="a QEMU that no supervisor answers for has it open"

setup_file() {
    why_no_libvirt >"$HOSTS/reason"
    [ ! -s "$HOSTS/reason" ] || return 0 # setup says so
    start_host image
    start_host lockspace "$SPACE"
    for HOST in image lockspace; do
        wait_until host_is_up ||
            fail "no libvirt: $(tail "$HOSTS/host-$HOST.err")"
    done
}

setup() {
    common_setup
    [ ! -s "$HOSTS/reason" ] || cannot_run "$(head -n 1 "$HOSTS/reason")"
    make_disk a b
}

teardown() {
    [ -s "$HOSTS/reason" ] || tidy_up
    common_teardown
}

teardown_file() {
    stop_hosts
}

# on HOST [CASE...]: where libvirt is spoken to, and what we need to meet it
# there; then does CASE
on() {
    HOST=$1
    in_libvirt domstate stays >/dev/null 2>&1 || guest stays
    PARAMS=()
    [ "$HOST" = image ] || PARAMS=(--param "lockspace=$SPACE")
    "${@:2}"
}

# holds DISK[,MODE]: a VM of ours called holder has it
holds() {
    fake holder --uuid "$(uuid 1)" --disk "$1" "${PARAMS[@]}" --
}

# ours DISK[,MODE] STATUS [REASON]: a VM of ours that wants it, and no more.
# (One that got what it must not have could wait for ever to let it go.)
ours() {
    run_program timeout -s KILL 20 "$SUPERVISOR" --name ours \
        --uuid "$(uuid 2)" --disk "$1" "${PARAMS[@]}" -- true
    same "we with $1 ($stderr)" "$2" "$status"
    matches "why we were refused" "${3-}" "$stderr"
}

# waits_for DISK[,MODE]: a VM of ours called waiter, which has it when
# $T/waiter.ready is there; its supervisor's number goes to $WAITER.
waits_for() {
    spawn waiter "$SUPERVISOR" --name waiter --uuid "$(uuid 3)" --wait \
        --disk "$1" "${PARAMS[@]}" -- "$FAKEVMM" --ready "$T/waiter.ready"
    WAITER=$PID
}

end_holder() {
    kill -TERM "$SUP"
    ended "$SUP"
    same "the holder's exit status ($(<"$T/holder.err"))" 143 "$STATUS"
}

# The file that virtlockd locks for disk $1 in its lockspace.
lock_file() {
    echo "$SPACE/$(printf %s "$T/$1" | sha256sum | cut -d' ' -f1)"
}

# child_has_open PID FILE: the child of that process
child_has_open() {
    find "/proc/$(pgrep -P "$1")/fd" -lname "$2" 2>/dev/null | grep -q .
}

# --- libvirt has it --------------------------------------------------------

libvirt_excludes_everyone() {
    plug a
    ours a 123 "held by another process"
    ours a,shared 123 "held by another process"
    ours a,readonly 123 "held by another process"
    ours b 0
}

@test "image: a libvirt guest's disk excludes everyone" {
    on image libvirt_excludes_everyone
}

@test "lockspace: a libvirt guest's disk excludes everyone" {
    on lockspace libvirt_excludes_everyone
}

# QEMU says of itself that it writes: that keeps those out who need a disk
# that nobody writes to.
libvirt_shares() {
    plug a,shareable
    ours a 123 "held by another process"
    ours a,shared 0
    ours a,readonly 123 "held by another process, .*lock byte 101 "
}

@test "image: a libvirt guest's shareable disk admits those who share it" {
    on image libvirt_shares
}

@test "lockspace: a libvirt guest's shareable disk admits those who share it" {
    on lockspace libvirt_shares
}

# No lock of virtlockd's, only QEMU's: "nobody else may write".
libvirt_reads() {
    plug a,readonly
    ours a 123 "$OPEN_IN_QEMU.*lock byte 201 "
    ours a,shared 123 "$OPEN_IN_QEMU.*lock byte 201 "
    ours a,readonly 0
}

@test "image: a libvirt guest's readonly disk admits readers" {
    on image libvirt_reads
}

@test "lockspace: a libvirt guest's readonly disk admits readers" {
    on lockspace libvirt_reads
}

libvirt_suspends() {
    start a
    in_libvirt suspend comes
    ours a 123 "$OPEN_IN_QEMU"
    ours a,shared 123 "$OPEN_IN_QEMU"
    ours a,readonly 123 "$OPEN_IN_QEMU"
    in_libvirt resume comes
    ours a 123 "held by another process"
}

@test "image: a suspended libvirt guest, for whom nobody locks, excludes everyone" {
    on image libvirt_suspends
}

@test "lockspace: a suspended libvirt guest, for whom nobody locks, excludes everyone" {
    on lockspace libvirt_suspends
}

# --- we have it ------------------------------------------------------------

we_exclude_everyone() {
    holds a
    libvirt_refuses plug a
    libvirt_refuses plug a,shareable
    libvirt_refuses start b a
    ours b 0
    end_holder
    plug a
    ours a 123 "held by another process"
}

@test "image: our exclusive lease excludes libvirt's guests" {
    on image we_exclude_everyone
}

@test "lockspace: our exclusive lease excludes libvirt's guests" {
    on lockspace we_exclude_everyone
}

# we_share MODE
we_share() {
    holds "a,$1"
    libvirt_refuses plug a
    plug a,shareable
    unplug a
    plug a,readonly
    unplug a
    libvirt_refuses plug a
    end_holder
    plug a
}

@test "image: our shared lease admits those who share" {
    on image we_share shared
}

@test "image: our readonly lease admits those who share" {
    on image we_share readonly
}

@test "lockspace: our shared lease admits those who share" {
    on lockspace we_share shared
}

@test "lockspace: our readonly lease admits those who share" {
    on lockspace we_share readonly
}

@test "a libvirt guest's readonly disk is excluded by our QEMU, not by virtlockd" {
    on image
    start_supervisor holder --uuid "$(uuid 1)" --disk a -- qemu-system-x86_64 \
        -accel tcg -nodefaults -display none -S -qmp unix:qmp,server=on,wait=off \
        -drive "file=$T/a,format=raw,if=virtio"
    wait_until test -S qmp
    run_program plug a,readonly
    [ "$status" != 0 ]
    matches "why" "Failed to get .* lock" "$stderr"
}

# --- the end of one is the turn of the other -------------------------------

turns() {
    start a
    waits_for a
    ours a 123 "held by another process"
    refute test -e waiter.ready
    end
    wait_until test -s waiter.ready
    libvirt_refuses start a
    kill -TERM "$WAITER"
    ended "$WAITER"
    start a
    ours a 123 "held by another process"
}

@test "image: each takes its turn when the other has ended" {
    on image turns
}

@test "lockspace: each takes its turn when the other has ended" {
    on lockspace turns
}

hard_end() {
    holds a
    libvirt_refuses plug a
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until gone "$CHILD"
    plug a
    ours a 123 "held by another process"
}

@test "image: libvirt gets what a killed supervisor had" {
    on image hard_end
}

@test "lockspace: libvirt gets what a killed supervisor had" {
    on lockspace hard_end
}

# The other one's QEMU writes all the time: nobody need wait for it.
sharers_leave() {
    holds a,shared
    plug a,shareable
    end_holder
    ours a 123 "held by another process"
    holds a,shared
    unplug a
    libvirt_refuses plug a
    ours a 123 "held by 'holder'"
    end_holder
    plug a
    unplug a
    ours a 0
}

@test "image: of two sharers either can leave first" {
    on image sharers_leave
}

@test "lockspace: of two sharers either can leave first" {
    on lockspace sharers_leave
}

# For a suspended guest nobody locks, and its QEMU could be that of our child.
sharer_suspends() {
    holds a,shared
    start a,shareable
    in_libvirt suspend comes
    kill -TERM "$SUP"
    wait_until is_waiting "$(uuid 1)"
    in_libvirt resume comes
    ended "$SUP"
    ours a 123 "held by another process"
}

# is_waiting UUID: to release a lease
is_waiting() {
    qmp "$1" query-leases 2>/dev/null | jq -e 'any(.waiting)' >/dev/null
}

@test "image: a suspended libvirt sharer holds up our end until it resumes" {
    on image sharer_suspends
}

@test "lockspace: a suspended libvirt sharer holds up our end until it resumes" {
    on lockspace sharer_suspends
}

# Runs of ours and plugging by libvirt, each as fast as it goes, until both had
# their turns: whoever has the disk locks the file `one`, which must be free.
rivals() {
    local runs='until [ -e stop ]; do "$@" || exit; echo run >>runs; done'
    spawn ours bash -c "$runs" - "$SUPERVISOR" --uuid "$(uuid 2)" --wait \
        --disk a "${PARAMS[@]}" -- \
        "$FAKEVMM" --exclusive "$T/one" --exit 0 --after-ms 30
    ours=$PID plugged=0
    : >one
    until [ "$plugged" -ge 3 ] && has_lines 3 runs run; do
        lives "$ours" || break
        plug a 2>plug.err || continue
        exec {one}<one
        flock -n "$one" || fail "we run while libvirt has the disk"
        in_libvirt domblklist stays >/dev/null
        exec {one}<&-
        unplug a
        plugged=$((plugged + 1))
    done
    : >stop
    ended "$ours"
    same "exit status of our last run" 0 "$STATUS"
}

@test "image: we and libvirt never have a disk at the same time" {
    on image rivals
}

@test "lockspace: we and libvirt never have a disk at the same time" {
    on lockspace rivals
}

# --- virtlockd removes its lock files --------------------------------------

@test "lockspace: a lock file that virtlockd removed is made anew" {
    on lockspace
    plug a
    test -e "$(lock_file a)"
    unplug a
    refute test -e "$(lock_file a)"
    holds a
    refute "$TAKER" --try "$(lock_file a)"
    libvirt_refuses plug a
    end_holder
    plug a
    unplug a
    refute test -e "$(lock_file a)"
    ours a 0
}

@test "lockspace: virtlockd keeps a lock file that we share" {
    on lockspace
    plug a,shareable
    holds a,shared
    inode=$(stat -c %i "$(lock_file a)")
    unplug a
    same "inode" "$inode" "$(stat -c %i "$(lock_file a)")"
    libvirt_refuses plug a
    ours a 123 "held by 'holder'"
}

@test "lockspace: who waited for a lock file that was removed has the new one" {
    on lockspace
    plug a
    waits_for a
    wait_until vm_state "$(uuid 3)" STARTING
    unplug a
    wait_until test -s waiter.ready
    refute "$TAKER" --try "$(lock_file a)"
    libvirt_refuses plug a
}

@test "lockspace: a lock file that is removed between opening and locking is noticed" {
    requires strace
    on lockspace
    plug a
    # The first lock of it is held up until the file is gone.
    spawn waiter strace -f -o trace -e trace=fcntl \
        -e inject=fcntl:delay_enter=800000:when=1 -P "$(lock_file a)" \
        "$SUPERVISOR" --uuid "$(uuid 3)" --wait --disk a "${PARAMS[@]}" -- \
        "$FAKEVMM" --ready "$T/waiter.ready"
    wait_until child_has_open "$PID" "$(lock_file a)"
    unplug a
    wait_until test -s waiter.ready
    refute "$TAKER" --try "$(lock_file a)"
    libvirt_refuses plug a
}
