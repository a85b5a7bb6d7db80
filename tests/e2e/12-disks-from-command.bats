#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: --disks-from-command, whatever virt-lock-disks says or does
#
# Here it is a script that says what the test wants; what the real one finds
# in a command line is in 82-disks.bats.

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    mkdir programs
    cp "$PROGRAMS/virt-lock-supervisor" programs
    use_supervisor "$T/programs/virt-lock-supervisor"
    make_disk a b
}

use_supervisor() {
    SUPERVISOR=$1
}

# finder SCRIPT: what virt-lock-disks is
finder() {
    printf '#!/bin/bash\n%s\n' "$1" >programs/virt-lock-disks
    chmod +x programs/virt-lock-disks
}

# finds LINE...: what it prints
finds() {
    printf '%s\n' "$@" >found
    finder "cat '$T/found'"
}

# A line for disk $1, in mode $2.
disk() {
    jq -nc --arg path "$T/$1" --arg mode "$2" '$ARGS.named + {kind: "disk"}'
}

# leases UUID: "NAME MODE" of each but the VM's own, sorted
leases() {
    qmp "$1" query-leases | jq -r '.[] | select(.kind != "vm") |
        "\(.name) \(.mode)"' | sort
}

# refused SENTENCE: the start fails with it, nothing runs, nothing is left
refused() {
    run_supervisor -A --name vm --disk a --json-status-fd 9 -- touch ran \
        9>json
    same "exit status" 125 "$status"
    same "sentence" "virt-lock-supervisor[vm]: $1" "$stderr"
    same "json" "125 supervisor" \
        "$(jq -r '"\(."exit-code") \(.source)"' json)"
    same "reason" "$1" "$(jq -r .reason json)"
    refute test -e ran
    same "left behind" "" "$(left_behind)"
}

@test "what the command names is leased" {
    finds "$(disk a exclusive)" "$(disk b readonly)"
    start_supervisor web1 --uuid "$U" -A -- sleep 1000
    same "leases" "$T/a exclusive
$T/b readonly" "$(leases "$U")"
    run_supervisor --disk b,readonly -- true
    same "beside a reader" 0 "$status"
    run_supervisor --disk a -- true
    same "beside a writer" 123 "$status"
}

@test "it is asked with the whole command, and nothing of ours" {
    finder "printf '%s\n' \"\$@\" >'$T/asked'"
    run_supervisor --disks-from-command -- echo 'a b' --disk x
    same "exit status" 0 "$status"
    same "words" "--
echo
a b
--disk
x" "$(<asked)"
}

@test "without -A it is not asked" {
    finder "touch '$T/asked'"
    run_supervisor -- true
    same "exit status" 0 "$status"
    refute test -e asked
}

@test "what is given wins over what the command says" {
    ln a other-name
    finds '{"kind": "vm", "name": "theirs", "uuid": "'"$(uuid 2)"'"}' \
        "$(disk other-name exclusive)" "$(disk b exclusive)"
    start_supervisor mine --uuid "$U" --disk a,shared -A -- sleep 1000
    same "leases" "$T/a shared
$T/b exclusive" "$(leases "$U")"
    same "name" mine "$(qmp "$U" query-status | jq -r .name)"
}

@test "it is found where both are installed, in sbin and in bin" {
    mkdir sbin bin
    mv programs/virt-lock-supervisor sbin
    printf '#!/bin/sh\necho %s\n' "'$(disk a exclusive)'" >bin/virt-lock-disks
    chmod +x bin/virt-lock-disks
    use_supervisor "$T/sbin/virt-lock-supervisor"
    start_supervisor vm --uuid "$U" -A -- sleep 1000
    same "leases" "$T/a exclusive" "$(leases "$U")"
}

@test "name and uuid of the command are the VM's" {
    finds '{"kind": "vm", "name": "web 1", "uuid": "'"$U"'", "incoming": true}'
    spawn vm "$SUPERVISOR" -A -- sleep 1000
    wait_until test -S "$(socket_of "$U")"
    wait_until vm_state "$U" RUNNING
    same "name" "web 1" "$(qmp "$U" query-status | jq -r .name)"
    same "incoming" true "$(qmp "$U" query-status | jq .incoming)"
}

@test "what cannot be leased is said: what is written as a warning" {
    finds "$(jq -nc '{kind: "uncovered", what: "nbd://h/x",
        mode: "exclusive", reason: "it is far away"}')"
    run_supervisor -A --name vm -- true
    same "exit status" 0 "$status"
    same "warning" "virt-lock-supervisor[vm]: 'nbd://h/x' is not leased: it is far away" "$stderr"
    sed -i 's/exclusive/readonly/' found
    run_supervisor -A -- true
    same "what is only read" "" "$stderr"
}

@test "a virt-lock-disks that fails passes its sentence on" {
    finder 'echo "{\"kind\": \"warning\", \"text\": \"x\"}"
        echo "virt-lock-disks: cannot find the disks: for want of light" >&2
        exit 1'
    refused "cannot find the disks: for want of light"
}

@test "one that dies without a word, or is not there, ends the start" {
    finder 'kill -KILL $$'
    refused "cannot run 'virt-lock-disks': it ended badly, and said nothing"
    rm programs/virt-lock-disks
    refused "cannot find 'virt-lock-disks': it is neither in '$T/programs' nor in '../bin' from there (install it, or name the disks with --disk)"
}

@test "one that says nonsense ends the start" {
    finds 'hello'
    refused "cannot understand 'hello' of 'virt-lock-disks': is it of another version?"
    finds '{"kind": "disk", "path": "/a", "mode": "exclusive"' # cut off
    refused "cannot understand '{\"kind\": \"disk\", \"path\": \"/a\", \"mode\": \"exclusive\"' of 'virt-lock-disks': is it of another version?"
}

@test "its end is known where SIGCHLD is ignored, and the command gets that" {
    finder 'exit 1'
    run_program env --ignore-signal=CHLD "$SUPERVISOR" -A -- true
    same "exit status" 125 "$status"
    finds "$(disk a exclusive)"
    run_program env --ignore-signal=CHLD "$SUPERVISOR" -A -- \
        grep SigIgn /proc/self/status
    same "exit status" 0 "$status"
    same "SIGCHLD is ignored" 1 \
        "$((0x$(cut -f2 <<<"$output") >> (17 - 1) & 1))"
}

@test "one that hangs can be interrupted, and no lease is held meanwhile" {
    mkfifo never
    finder "echo \$\$ >'$T/asked.pid'; read -r x <'$T/never'"
    spawn vm "$SUPERVISOR" -A --disk a -- touch ran
    wait_until test -s asked.pid
    record "$(<asked.pid)"
    "$TAKER" --try a
    kill -TERM "$PID"
    ended "$PID"
    same "exit status" 143 "$STATUS"
    refute test -e ran
}

@test "descriptors that the command inherits are open in it, too" {
    finder "readlink /proc/self/fd/9 >'$T/name'"
    run_supervisor -A -- true 9<a
    same "exit status" 0 "$status"
    same "descriptor 9" "$T/a" "$(<name)"
}
