# shellcheck shell=bash disable=SC2034  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: guests that write to their disks, in real QEMUs
#
# The tiny guest of tests/guest writes records to every virtio disk that it
# has, without pause, and says on its serial console ($T/NAME.log) which of
# them are on the disk. It finds by itself what another writer has done to its
# disk; check-disk finds the rest afterwards. So a test does not look whether
# a lease was held: it looks whether the disk is what the guests have written.
#
# Load it after common, call guest_setup after common_setup, and
# guest_teardown, or guest_logs with another teardown.
#
# Should:  wait for what a guest says or what QEMU reports, and for no time.
# Mustn't: run more than two guests in one test; more than four are never run
#          at once: each test waits for one of two lanes.

GUEST=$BUILD/guest
# How the guests write: often enough to be found writing, seldom enough for
# four of them on two cores.
GUEST_PACE='interval_us=2000 ack_every=10'

guest_setup() {
    local made
    requires qemu-system-x86_64 jq flock
    for made in kernel initrd.img check-disk; do
        [ -s "$GUEST/$made" ] ||
            cannot_run "no test guest here: tests/guest/build-guest.sh $GUEST"
    done
    GUEST_OPTIONS='' # for the kernel command line
    GUEST_BOOTS=0
    GUEST_LOCKING=on # QEMU's own, of the first disk
    GUEST_FORMAT=raw # of the first disk
    ulimit -c 0      # some QEMUs are made to crash
    wait_until -t 90 take_lane
}

# The lane is ours until all that we have started is gone.
take_lane() {
    local lane
    for lane in 1 2; do
        exec {LANE}>"$GUEST/lane.$lane"
        flock --nonblock "$LANE" && return
        exec {LANE}>&-
    done
    return 1
}

guest_teardown() {
    guest_logs
    common_teardown
}

# Where a test has failed, the last that its guests said.
guest_logs() {
    [ "${BATS_TEST_COMPLETED:-}" != 1 ] || return 0
    grep -v ' ACK ' "$T"/*.log | tail -n 20 || :
    tail -n 5 "$T"/*.log "$T"/*.events 2>/dev/null || :
}

# --- QEMU ------------------------------------------------------------------

# qemu_for NAME DISK [KERNEL OPTION...]: $QEMU becomes the command line of a
# guest that writes to DISK (a virtio disk, vd0, its node disk0). There are two
# free ports for hot-plug (port1, port2). No two guests have the same boot
# number.
qemu_for() {
    local name=$1 disk=$2 driver=file blockdev
    shift 2
    [ ! -b "$disk" ] || driver=host_device
    blockdev="driver=$driver,filename=$disk,locking=$GUEST_LOCKING"
    if [ "$GUEST_FORMAT" != raw ]; then # every option is of the file below
        blockdev="driver=$GUEST_FORMAT,file.${blockdev//,/,file.}"
        blockdev="$blockdev,file.cache.direct=on"
    fi
    GUEST_BOOTS=$((GUEST_BOOTS + 1))
    rm -f "$T/$name.log"
    QEMU=(qemu-system-x86_64 -nodefaults -no-user-config -display none
        -machine q35 -accel "tcg,tb-size=32" -m 96
        -kernel "$GUEST/kernel" -initrd "$GUEST/initrd.img"
        -append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check
            random.trust_cpu=on boot=$GUEST_BOOTS $GUEST_PACE $GUEST_OPTIONS"
        -serial "file:$T/$name.log"
        -qmp "unix:$T/$name.qmp,server=on,wait=off"
        -qmp "unix:$T/$name.qmp2,server=on,wait=off"
        -device "pcie-root-port,id=port1,chassis=1"
        -device "pcie-root-port,id=port2,chassis=2"
        -blockdev "$blockdev,node-name=disk0,cache.direct=on"
        -device "virtio-blk-pci,id=vd0,drive=disk0,werror=stop,rerror=stop")
}

# guest NAME DISK [SUPERVISOR OPTION...] -- [QEMU OPTION...]: a supervisor
# with a guest that writes; numbers as with start_supervisor.
guest() {
    local name=$1 disk=$2 options=()
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    qemu_for "$name" "$disk"
    start_supervisor "$name" --disk "$disk" "${options[@]}" -- \
        "${QEMU[@]}" "$@"
    says "$name" '^vda ACK '
}

# next_guest NAME DISK: the same, for a guest that finds others' records
next_guest() {
    guest "$@" --
    has_line "$T/$1.log" '^vda START .* seq=[1-9]' ||
        fail "'$1' has not found what was written before"
}

# in_qemu NAME COMMAND [ARGUMENTS]: to QEMU's own monitor
in_qemu() {
    local name=$1
    shift
    "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" "$T/$name.qmp" "$@" \
        3>&- 4>&-
}

# hmp NAME LINE: the same, for what only people can say to QEMU
hmp() {
    in_qemu "$1" human-monitor-command \
        "$(jq -n --arg line "$2" '{"command-line": $line}')"
}

# qemu_is NAME STATUS: TRUE where QEMU says so
qemu_is() {
    [ "$(in_qemu "$1" query-status | jq -r .status)" = "$2" ]
}

# events_of NAME: from now on QEMU's events go to $T/NAME.events
events_of() {
    spawn "$1.watch" "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" \
        "$T/$1.qmp2" --events
    ln -sf "$1.watch.out" "$T/$1.events"
    wait_until has_line "$T/$1.events" '"QMP"'
}

# event NAME REGEX [COUNT]: waits for it (for so many)
event() {
    wait_until -t 30 has_lines "${3:-1}" "$T/$1.events" "\"event\": \"$2"
}

# --- what guests say and write ---------------------------------------------

# says NAME REGEX: waits for it
says() {
    wait_until -t 60 has_line "$T/$1.log" "$2"
}

acks() { # NAME DISK
    grep -Ecs "^$2 ACK " "$T/$1.log" || :
}

# writes_on NAME [DISK]: waits until records are on the disk that were not
# even begun when this was called
writes_on() {
    local disk=${2:-vda}
    wait_until -t 60 has_lines $(($(acks "$1" "$disk") + 2)) \
        "$T/$1.log" "^$disk ACK "
}

# intact IMAGE BOOTS [--disk NAME] NAME...: what the guests NAME... said is on
# the disk is there, in one chain, written by so many boots, one after another
intact() {
    local image=$1 arguments=(--boots "$2")
    shift 2
    if [ "$1" = --disk ]; then
        arguments+=(--disk "$2")
        shift 2
    fi
    while [ $# -gt 0 ]; do
        arguments+=(--log "$T/$1.log")
        shift
    done
    run_program "$GUEST/check-disk" "${arguments[@]}" "$image"
    [ "$status" = 0 ] || fail "'$image': $output $stderr" || return 1
    matches "acknowledged records" "acks=[1-9]" "$output"
}

# --- who may have the disk -------------------------------------------------

# refused DISK REGEX: another VM cannot have it, and is told why. (Who is let
# in by mistake might wait for the disk, and TERM does not end that.)
refused() {
    run_supervisor --name other --disk "$1" -- touch started
    same "exit status of another VM" 123 "$status"
    matches "stderr" "cannot acquire '$1': $2" "$stderr"
    refute test -e started
}

admitted() { # DISK
    run_supervisor --name other --disk "$1" -- true
    same "exit status of another VM ($stderr)" 0 "$status"
}
