#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the sequences of "Using the Lock Manager APIs", by a manager in C
#
# tests/bin/vmmanager.c takes the steps, as they stand in the document or by
# domain_lock.h; the tests are QEMU's side of it, between two steps, and look
# at what the guests have written. A test has the names, or numbers, of its
# steps in the document.

load ../lib/common
load ../lib/guest

setup() {
    common_setup
    guest_setup
    U=$(uuid 1)
    DISK=$T/disk
    HOT=$T/hot
    truncate -s 8M "$DISK" "$HOT"
    VMMANAGER=$BUILD/tests/bin/vmmanager
    export VIRT_LOCK_SUPERVISOR=$SUPERVISOR
    : >hosts
}

teardown() {
    local host
    for host in $(<hosts); do
        : >"$host.in"
    done
    guest_teardown
}

# --- managers --------------------------------------------------------------

# host NAME: where a host's supervisors are; all have one state directory
host() {
    echo "VIRT_LOCK_RUN_DIR=$T/$1.run"
}

# manager NAME [OPTION...]: libvirtd starts on host NAME, for VM "web1" with
# $DISK and the QEMU in $QEMU; its number goes to $MANAGER
manager() {
    local name=$1
    shift
    [ -p "$name.in" ] || mkfifo "$name.in"
    : >>"$name.said" # it may be looked at before the manager is there
    # The manager itself keeps its input open: there is no end of it.
    as_in_foreground env "$(host "$name")" "$VMMANAGER" "$@" "$U" web1 17 \
        "$DISK" -- "${QEMU[@]}" <>"$name.in" >>"$name.said" 2>>"$name.err" \
        3>&- 4>&- 10>&- &
    MANAGER=$!
    record "$MANAGER" || :
}

# says_of NAME: how many lines its manager has said
said() {
    wc -l <"$1.said"
}

# step NAME STEP [ARGUMENT]: what came of it goes to $SAID, without the name
step() {
    local before
    before=$(said "$1")
    echo "${*:2}" >"$1.in"
    wait_until -t 60 has_lines $((before + 1)) "$1.said" '' ||
        fail "$(cat "$1.err")" || return 1
    SAID=$(tail -n 1 "$1.said")
    [[ $SAID == "$2 "* ]] || fail "'$2': not an answer: '$SAID'" || return 1
    SAID=${SAID#"$2 "}
}

# works NAME STEP [ARGUMENT]: and $SAID is its result
works() {
    step "$@"
    [[ $SAID == ok* ]] || fail "$*: $SAID" || return 1
    SAID=${SAID#ok}
    SAID=${SAID# }
}

# fails CODE REGEX NAME STEP [ARGUMENT]: with that code
fails() {
    step "${@:3}"
    matches "${*:3}" "^failed $1 .*$2" "$SAID"
}
BUSY=2 NO_SUPERVISOR=4 WRONG_STATE=5

# child_is HOST PID: its supervisor says so
child_is() {
    [ "$(on "$1" child "$U")" = "$2" ]
}

# on HOST COMMAND...: virt-lockctl there
on() {
    local name=$1
    shift
    env "$(host "$name")" "$LOCKCTL" "$@"
}

state_on() { # HOST STATE
    [ "$(on "$1" status "$U" --json 2>/dev/null | jq -r .state)" = "$2" ]
}

nobody_on() { # HOST
    ! on "$1" status "$U" 2>/dev/null
}

recorded_vm() { # HOST: for teardown
    record "$SAID"
    record "$(on "$1" status "$U" --json | jq .pid)"
}

# started [OPTION...]: a guest that a manager on host "a" has started
started() {
    qemu_for web1 "$DISK"
    manager a "$@"
    works a startup
    recorded_vm a
    QEMUPID=$SAID
    says web1 '^vda ACK '
}

# --- at guest startup ------------------------------------------------------

startup() {
    started "$@"
    child_is a "$QEMUPID"
    same "program" "$(readlink -f "$(command -v qemu-system-x86_64)")" \
        "$(readlink "/proc/$QEMUPID/exe")"
    same "who it is" "web1 17 RUNNING" "$(on a status "$U" --json |
        jq -r '"\(.name) \(.id) \(.state)"')"
    refused "$DISK" "held by 'web1'"
    # Once more, on the same host; nothing comes of it but the error.
    fails $WRONG_STATE . a startup
    child_is a "$QEMUPID"
    # On another, which shares the disk.
    mv web1.log first.log
    manager b "$@"
    fails $BUSY "held by 'web1'" b startup
    refute test -e web1.log
    nobody_on b
    mv first.log web1.log
    writes_on web1
}

@test "at guest startup" {
    startup
}

@test "at guest startup, by domain_lock.h" {
    startup --wrappers
}

# --- at guest shutdown -----------------------------------------------------

@test "at guest shutdown: after QEMU's quit" {
    started
    in_qemu web1 quit
    works a shutdown
    gone "$QEMUPID"
    nobody_on a
    admitted "$DISK"
    intact "$DISK" 1 web1
}

@test "at guest shutdown: after kill(qemupid)" {
    started
    kill -KILL "$QEMUPID"
    works a shutdown
    admitted "$DISK"
    intact "$DISK" 1 web1
}

@test "at guest shutdown: of a guest that runs, and by domain_lock.h" {
    started --wrappers
    works a shutdown
    gone "$QEMUPID"
    admitted "$DISK"
    fails $NO_SUPERVISOR . a shutdown
    # And another time.
    mv web1.log first.log
    works a startup
    recorded_vm a
    says web1 '^vda ACK '
    works a shutdown
    intact "$DISK" 1 first web1
}

# --- at libvirtd restart with running guests -------------------------------

restart() {
    started "$@"
    echo end >a.in
    ended "$MANAGER"
    writes_on web1
    manager a "$@"
    works a restart
    same "qemupid" "$QEMUPID" "$SAID"
    kill -KILL "$MANAGER"
    ended "$MANAGER"
    writes_on web1
    manager a "$@"
    works a restart
    same "qemupid" "$QEMUPID" "$SAID"
    in_qemu web1 quit
    # By itself domain_lock.h knows of no VM: nobody may answer by then.
    step a shutdown
    matches shutdown "^ok${1:+|^failed $NO_SUPERVISOR}" "$SAID"
    wait_until nobody_on a
    admitted "$DISK"
    intact "$DISK" 1 web1
    fails $NO_SUPERVISOR . a restart
}

@test "at libvirtd restart with running guests" {
    restart
}

@test "at libvirtd restart with running guests, by domain_lock.h" {
    restart --wrappers
}

# --- with disk hotplug, with disk unhotplug --------------------------------

plugged_into_qemu() {
    in_qemu web1 blockdev-add "{\"driver\": \"file\", \"node-name\": \"hot\",
        \"filename\": \"$HOT\", \"cache\": {\"direct\": true}}"
    in_qemu web1 device_add '{"driver": "virtio-blk-pci", "id": "hot",
        "drive": "hot", "bus": "port1"}'
}

hotplug() {
    started "$@"
    events_of web1
    take hot
    fails $BUSY . a plug "$HOT"
    kill "$HOLDER"
    ended "$HOLDER"
    works a plug "$HOT"
    refused "$HOT" "held by 'web1'"
    plugged_into_qemu
    writes_on web1 vdb
    fails $WRONG_STATE "$HOT" a unplug "$HOT"
    in_qemu web1 device_del '{"id": "hot"}'
    event web1 'DEVICE_DELETED".*"device": "hot"'
    fails $WRONG_STATE "$HOT" a unplug "$HOT"
    in_qemu web1 blockdev-del '{"node-name": "hot"}'
    works a unplug "$HOT"
    admitted "$HOT"
    writes_on web1
    works a shutdown
    intact "$HOT" 1 --disk vdb web1
    intact "$DISK" 1 web1
}

@test "with disk hotplug, with disk unhotplug" {
    hotplug
}

@test "with disk hotplug, with disk unhotplug, by domain_lock.h" {
    hotplug --wrappers
}

# --- during migration ------------------------------------------------------

# is_migrated SIDE STATUS: QEMU's own, as it has said
is_migrated() {
    event "$1" "MIGRATION\", \"data\": \\{\"status\": \"$2\""
}

# step_1 [OPTION...]: on source host; the token of its state goes to $TOKEN
step_1() {
    started "$@"
    works a 1 "tcp:b"
    TOKEN=$SAID
    state_on a OUTGOING
    same "state, uri" "$TOKEN tcp:b" "$(on a status "$U" --json |
        jq -r '.migration | "\(.state) \(.uri)"')"
}

# step_2 [OPTION...]: on dest host, whose QEMU waits
step_2() {
    qemu_for there "$DISK"
    QEMU+=(-S -incoming defer)
    manager b "$@"
    works b 2
    recorded_vm b
    child_is b "$SAID"
    state_on b INCOMING
    wait_until answers there
}

answers() {
    in_qemu "$1" query-status >/dev/null 2>&1
}

# step_3: initiate migration in QEMU on source
step_3() {
    local side
    for side in web1 there; do
        events_of "$side"
        in_qemu "$side" migrate-set-capabilities '{"capabilities":
            [{"capability": "events", "state": true}]}'
    done
    in_qemu there migrate-set-capabilities '{"capabilities":
        [{"capability": "late-block-activate", "state": true}]}'
    in_qemu there migrate-incoming "{\"uri\": \"unix:$T/mig.sock\"}"
    in_qemu web1 migrate "{\"uri\": \"unix:$T/mig.sock\"}"
}

migration_on_success() {
    step_1 "$@"
    step_2 "$@"
    step_3
    is_migrated web1 completed
    is_migrated there completed
    refused "$DISK" "held by 'web1'"
    works b 4b1 "tcp:a"
    in_qemu there cont
    qemu_is there running
    writes_on there
    works a 4b2 "tcp:b"
    wait_until nobody_on a
    wait_until state_on b RUNNING
    refused "$DISK" "held by 'web1'"
    writes_on there
    works b shutdown
    intact "$DISK" 1 web1 there
}

@test "during migration: 1, 2, 3, 4b (on success)" {
    migration_on_success
}

@test "during migration: 1, 2, 3, 4b (on success), by domain_lock.h" {
    migration_on_success --wrappers
}

migration_on_failure() {
    step_1 "$@"
    step_2 "$@"
    in_qemu web1 migrate-set-parameters '{"max-bandwidth": 100000}'
    step_3
    is_migrated web1 active
    # QEMU of the dest host would end by itself if it heard of it first.
    works b 4a1 "tcp:a"
    wait_until nobody_on b
    is_migrated web1 failed
    works a 4a2 "tcp:b"
    state_on a RUNNING
    same "state" null "$(on a status "$U" --json | jq .migration)"
    refused "$DISK" "held by 'web1'"
    writes_on web1
    # Nothing is left of it: the next one begins anew.
    works a 1 "tcp:b"
    refute test "$SAID" = "$TOKEN"
    works a 4a2 "tcp:b"
    works a shutdown
    intact "$DISK" 1 web1
}

@test "during migration: 1, 2, 3, 4a (on failure)" {
    migration_on_failure
}

@test "during migration: 1, 2, 3, 4a (on failure), by domain_lock.h" {
    migration_on_failure --wrappers
}
