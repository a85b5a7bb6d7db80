#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: disks that come and go while a guest in real QEMU writes to them
#
# The order of a manager: acquire, blockdev-add, device_add; device_del, wait
# for DEVICE_DELETED, blockdev-del, release. The release is asked for at each
# step, and must be refused at each but the last.

load ../lib/common
load ../lib/guest

setup() {
    common_setup
    guest_setup
    U=$(uuid 1)
    DISK=$T/disk
    HOT=$T/hot
    truncate -s 8M "$DISK" "$HOT"
}

teardown() {
    guest_teardown
}

web1() {
    guest web1 "$DISK" --uuid "$U" --
    events_of web1
}

acquired() { # FILE
    lockctl acquire web1 --disk "$1"
    same "acquire '$1' ($stderr)" 0 "$status"
}

# node NAME FILE: QEMU opens it
node() {
    in_qemu web1 blockdev-add "{\"driver\": \"file\", \"node-name\": \"$1\",
        \"filename\": \"$2\", \"locking\": \"on\", \"cache\": {\"direct\": true}}"
}

# plug NAME FILE PORT: the guest gets it. The device has the node's name.
plug() {
    node "$1" "$2"
    in_qemu web1 device_add "{\"driver\": \"virtio-blk-pci\", \"id\": \"$1\",
        \"drive\": \"$1\", \"bus\": \"$3\"}"
}

# hot_guest: web1 writes to a disk that it was started with and to another one
hot_guest() {
    web1
    acquired "$HOT"
    plug hot "$HOT" port1
    writes_on web1 vdb
    writes_on web1 vda
}

release() {
    lockctl release web1 --disk "$HOT"
}

# kept WHEN: the lease of the hot disk cannot be released, and nobody gets it
kept() {
    release
    same "release $1" 1 "$status"
    matches "why not, $1" "'$HOT'.*use|'$HOT'.*open" "$stderr"
    refused "$HOT" "held by 'web1'"
}

# gone_from_qemu [COUNT]: what remains to be done after (so many)
# DEVICE_DELETED
gone_from_qemu() {
    event web1 'DEVICE_DELETED".*"device": "hot"' "$@"
    kept "while the node is there"
    in_qemu web1 blockdev-del '{"node-name": "hot"}'
    release
    same "release ($stderr)" 0 "$status"
}

@test "a disk is plugged in, written to, unplugged, and goes to another VM" {
    hot_guest
    kept "while the guest writes"
    in_qemu web1 device_del '{"id": "hot"}'
    gone_from_qemu
    writes_on web1 vda
    next_guest web2 "$HOT"
    writes_on web1 vda
    lockctl quit web1
    lockctl quit web2
    wait_until none_recorded
    intact "$DISK" 1 web1
    intact "$HOT" 2 --disk vdb web1
    intact "$HOT" 2 web2
}

@test "a disk comes, goes, and comes again" {
    hot_guest
    for round in 1 2; do
        in_qemu web1 device_del '{"id": "hot"}'
        gone_from_qemu "$round"
        admitted "$HOT"
        acquired "$HOT"
        plug hot "$HOT" port1
        wait_until -t 30 has_lines $((round + 1)) web1.log '^vdb START '
        writes_on web1 vdb
    done
    lockctl quit web1
    wait_until none_recorded
    intact "$HOT" 1 --disk vdb web1
    intact "$DISK" 1 web1
}

@test "while the guest is paused a disk does not go, nor does its lease" {
    hot_guest
    in_qemu web1 stop
    in_qemu web1 device_del '{"id": "hot"}'
    kept "after device_del"
    refute in_qemu web1 blockdev-del '{"node-name": "hot"}'
    kept "after blockdev-del"
    refute has_line web1.events DEVICE_DELETED
    in_qemu web1 cont
    gone_from_qemu
    grep -oE '"(RESUME|DEVICE_DELETED)"' web1.events >order
    same "first event" '"RESUME"' "$(head -n 1 order)"
    admitted "$HOT"
    writes_on web1 vda
    lockctl quit web1
    wait_until none_recorded
    intact "$HOT" 1 --disk vdb web1
    intact "$DISK" 1 web1
}

@test "revoke of a hot-plugged disk kills the VM" {
    hot_guest
    lockctl revoke web1 --disk "$HOT" --reason "taken away"
    same "exit status of revoke" 0 "$status"
    gone "$CHILD"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    next_guest web2 "$HOT"
    lockctl quit web2
    wait_until none_recorded
    intact "$HOT" 2 --disk vdb web1
    intact "$HOT" 2 web2
    intact "$DISK" 1 web1
}

@test "hot-plugged disks are free when the VM has ended" {
    hot_guest
    truncate -s 8M hot2
    acquired "$T/hot2"
    plug hot2 "$T/hot2" port2
    writes_on web1 vdc
    writes_on web1 vdb
    refused "$T/hot2" "held by 'web1'"
    lockctl shutdown web1 --timeout 30
    ended "$SUP"
    same "exit status" 0 "$STATUS"
    admitted "$HOT"
    admitted "$T/hot2"
    intact "$HOT" 1 --disk vdb web1
    intact hot2 1 --disk vdc web1
    intact "$DISK" 1 web1
}

@test "a killed supervisor's hot-plugged disk is free when QEMU is dead" {
    hot_guest
    qemu_for web2 "$HOT"
    spawn web2 "$SUPERVISOR" --name web2 --wait --disk "$HOT" -- "${QEMU[@]}"
    kill -KILL "$SUP"
    writes_on web2
    gone "$CHILD"
    lockctl quit web2
    wait_until none_recorded
    intact "$HOT" 2 --disk vdb web1
    intact "$HOT" 2 web2
}

@test "a disk that another VM writes to is not plugged in" {
    web1
    guest web2 "$HOT" --
    web2=$SUP
    lockctl acquire web1 --disk "$HOT"
    same "acquire" 123 "$status"
    matches "stderr" "cannot acquire '$HOT': held by 'web2'" "$stderr"
    writes_on web1
    writes_on web2
    lockctl revoke web2
    ended "$web2"
    acquired "$HOT"
    plug hot "$HOT" port1
    writes_on web1 vdb
    lockctl quit web1
    wait_until none_recorded
    intact "$HOT" 2 web2
    intact "$HOT" 2 --disk vdb web1
    intact "$DISK" 1 web1
}
