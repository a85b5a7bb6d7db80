#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: every recipe of docs/cookbook.md, as it stands there
#
# A recipe is a block of shell commands under a comment with its name. It is
# run as a script of its own, with directories of the test's in place of /vm
# and /shared. (Those that need systemd are run by tests/long.)

load ../lib/common

COOKBOOK=$BATS_TEST_DIRNAME/../../docs/cookbook.md

setup() {
    common_setup
    requires qemu-system-x86_64 qemu-img
    mkdir vm shared bin
    export PATH=$T/bin:$PROGRAMS:$PATH
    qemu-img create -q -f qcow2 vm/web1.qcow2 16M
    truncate -s 1M vm/data.raw vm/hot.raw vm/cd.iso vm/ch1.raw vm/fc1.ext4 \
        vm/rootfs.ext4
}

# recipe NAME: writes it to NAME.sh, fit for here
recipe() {
    awk -v name="<!-- recipe: $1 -->" '
        $0 == name { found = 1; next }
        found && /^```$/ { exit }
        found && !/^```sh$/' "$COOKBOOK" |
        sed "s#/vm/#$T/vm/#g; s#/shared/#$T/shared/#g" >"$1.sh"
    test -s "$1.sh" || fail "no recipe '$1'"
}

# cook NAME: runs a recipe to its end
cook() {
    recipe "$1"
    run_program timeout --foreground -s KILL 60 bash -eu "$1.sh"
}

# runs VM: its supervisor says so
runs() {
    [ "$("$LOCKCTL" status "$1" --json 2>/dev/null | jq -r .state)" = RUNNING ]
}

# serve NAME VM [COMMAND...]: runs a recipe that starts a VM, with a command
# before it if given, until it runs; its numbers go to $SUP and $CHILD
serve() {
    local name=$1 vm=$2
    recipe "$name"
    spawn "$name" "${@:3}" bash -eu "$name.sh"
    wait_until runs "$vm" || fail "$(cat "$name.err")" || return 1
    SUP=$("$LOCKCTL" status "$vm" --json | jq .pid)
    CHILD=$("$LOCKCTL" child "$vm")
    record "$SUP"
    record "$CHILD"
}

# leases VM: "NAME MODE" of each but the VM's own, sorted, without $T/vm/
leases() {
    "$LOCKCTL" leases "$1" --json | jq -r '.[] | select(.kind != "vm") |
        "\(.name) \(.mode)"' | sed "s#^$T/vm/##" | sort | paste -sd ' '
}

# has_open PID FILE
has_open() {
    [ -n "$(find "/proc/$1/fd" -lname "$T/vm/$2")" ]
}

# vmm NAME IMAGE: stands in for another VMM: has the image open and runs
vmm() {
    printf '#!/bin/bash\nexec "%s" --ready "%s" --keep-open "%s"\n' \
        "$FAKEVMM" "$T/$1.ready" "$T/vm/$2" >"bin/$1"
    chmod +x "bin/$1"
}

@test "a QEMU command that you have" {
    cook preview
    same "preview" "$T/vm/web1.qcow2 exclusive" \
        "$(jq -r 'select(.kind == "disk") | "\(.path) \(.mode)"' run.out)"
    serve plain web1
    same "leases" "web1.qcow2 exclusive" "$(leases web1)"
    wait_until has_open "$CHILD" web1.qcow2
    cook look
    same "look" 0 "$status"
    matches "list" "web1 .*RUNNING" "$output"
    matches "holder" "'$T/vm/web1.qcow2' is held by 'web1'" "$output"
    cook plain
    same "a second start" 123 "$status"
    matches stderr "held by 'web1'" "$stderr"
    cook shutdown
    same "shutdown" 0 "$status"
    ended "$PID"
    same "exit status" 0 "$STATUS"
    "$TAKER" --try vm/web1.qcow2
}

@test "a script with exec is the supervisor, and passes signals on" {
    serve script web1
    same "the script's process" "$PID" "$SUP"
    same "leases" "data.raw exclusive" "$(leases web1)"
    wait_until has_open "$CHILD" data.raw
    kill -TERM "$PID"
    ended "$PID"
    same "exit status" 0 "$STATUS"
}

@test "templates and CDs can be shared" {
    qemu-img create -q -f qcow2 vm/template.qcow2 16M
    serve template web2
    same "leases" \
        "cd.iso readonly template.qcow2 readonly web2.qcow2 exclusive" \
        "$(leases web2)"
    qemu-img create -q -f qcow2 -b "$T/vm/template.qcow2" -F qcow2 vm/web3.qcow2
    spawn web3 "$SUPERVISOR" -A --name web3 -- qemu-system-x86_64 \
        -display none -drive "file=$T/vm/web3.qcow2,if=virtio" \
        -drive "file=$T/vm/cd.iso,format=raw,if=virtio,readonly=on"
    wait_until runs web3
    record "$("$LOCKCTL" child web3)"
    "$LOCKCTL" shutdown web3
    "$LOCKCTL" shutdown web2
}

@test "plug a disk in and out" {
    serve plain web1
    cook plug
    same "plug" 0 "$status"
    refute "$TAKER" --try vm/hot.raw
    cook unplug
    same "unplug" 0 "$status"
    "$TAKER" --try vm/hot.raw
    "$LOCKCTL" shutdown web1
}

@test "another VMM" {
    vmm cloud-hypervisor ch1.raw
    serve cloud-hypervisor ch1
    same "leases" "ch1.raw exclusive" "$(leases ch1)"
    wait_until test -s cloud-hypervisor.ready
    cook cloud-hypervisor
    same "a second start" 123 "$status"
    "$LOCKCTL" shutdown ch1
    ended "$PID"
    vmm firecracker fc1.ext4
    serve firecracker fc1
    same "leases" "fc1.ext4 exclusive rootfs.ext4 readonly" "$(leases fc1)"
    run_supervisor --disk vm/rootfs.ext4,readonly -- true
    same "another reader" 0 "$status"
    "$LOCKCTL" shutdown fc1
}

# on_host NAME COMMAND...: as on another host, with its own /run and /var
on_host() {
    mkdir -p "$T/$1"
    VIRT_LOCK_RUN_DIR=$T/$1/run VIRT_LOCK_STATE_DIR=$T/$1/state \
        unshare -u sh -c 'hostname "$0" && exec "$@"' "$@"
}

host_status() {
    VIRT_LOCK_RUN_DIR=$T/$1/run "$LOCKCTL" list --json 2>/dev/null |
        jq -re ".[0].$2"
}

host_runs() {
    [ "$(host_status "$1" state)" = RUNNING ] &&
        record "$(host_status "$1" pid)" &&
        record "$(host_status "$1" '"child-pid"')"
}

end_host() {
    VIRT_LOCK_RUN_DIR=$T/$1/run "$LOCKCTL" quit \
        "$(host_status "$1" uuid)"
}

@test "two hosts, one directory" {
    requires_root
    recipe two-hosts-test
    export -f on_host
    export T
    spawn test bash -c 'on_host host1 bash -eu two-hosts-test.sh'
    wait_until host_runs host1
    run_program on_host host2 bash -eu two-hosts-test.sh
    same "the test on the other host" 123 "$status"
    matches stderr "cannot acquire lease 'test:hosts': held by '.*' \(.*, host1, pid" \
        "$stderr"
    end_host host1
    recipe two-hosts
    spawn web1 bash -c 'on_host host1 bash -eu two-hosts.sh'
    wait_until host_runs host1
    run_program on_host host2 bash -eu two-hosts.sh
    same "a second start" 123 "$status"
    recipe two-hosts-holder
    run_program on_host host2 bash -eu two-hosts-holder.sh
    same "holder" 0 "$status"
    matches "holder" "is held by 'web1' \(.*, host1, pid" "$output"
    end_host host1
}

# has_vms NUMBER
has_vms() {
    [ "$("$LOCKCTL" list --json | jq length)" = "$1" ]
}

@test "it says that a disk is busy" {
    cook busy
    same "not held" 1 "$status"
    serve plain web1
    cook busy
    same "held" 0 "$status"
    matches "holder" "is held by 'web1'" "$output"
    cook revoke
    same "revoke" 0 "$status"
    gone "$SUP"
    ended "$PID"
    same "exit status of the one that lost it" 124 "$STATUS"
}

@test "a start that waits for a VM that is on its way out" {
    serve plain web1
    recipe wait
    spawn wait bash -eu wait.sh
    wait_until has_vms 2
    for pid in $("$LOCKCTL" list --json | jq '.[].pid'); do
        record "$pid"
    done
    kill -TERM "$SUP"
    wait_until has_vms 1
    wait_until runs web1
    record "$("$LOCKCTL" status web1 --json | jq .pid)"
    record "$("$LOCKCTL" child web1)"
    "$LOCKCTL" quit web1
}

@test "every recipe is run by a test" {
    sed -n 's/^<!-- recipe: \(.*\) -->$/\1/p' "$COOKBOOK" | sort >recipes
    [ "$(wc -l <recipes)" -ge 15 ]
    same "recipes and blocks" "$(wc -l <recipes)" \
        "$(grep -c '^```sh$' "$COOKBOOK")"
    while read -r name; do
        grep -rqE "(cook|serve|recipe) $name\\b" "$BATS_TEST_DIRNAME" \
            "$BATS_TEST_DIRNAME/../long" || fail "'$name' is run by no test"
    done <recipes
}
