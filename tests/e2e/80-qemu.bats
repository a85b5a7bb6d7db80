#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the same with real QEMU, stopped before its first instruction (-S)

load ../lib/common

setup() {
    common_setup
    requires qemu-system-x86_64 qemu-img qemu-io
    U=$(uuid 1)
    SOCKET=$(socket_of "$U")
    qemu-img create -q -f qcow2 web1.qcow2 16M
    truncate -s 16M data.raw hot.raw
    truncate -s 1M cd.iso
    QEMU=(qemu-system-x86_64 -accel tcg -nodefaults -display none -S
        -qmp "unix:$T/qmp,server=on,wait=off"
        -drive "file=$T/web1.qcow2,format=qcow2,if=virtio"
        -drive "file=$T/data.raw,format=raw,if=virtio,file.locking=auto")
}

# web1 [SUPERVISOR OPTION...] -- [QEMU OPTION...]
web1() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    start_supervisor web1 --uuid "$U" --disk "$T/web1.qcow2" \
        --disk "$T/data.raw" "${options[@]}" -- "${QEMU[@]}" "$@"
    wait_until test -S qmp
}

# in_qemu COMMAND [ARGUMENTS]: to QEMU's own monitor
in_qemu() {
    "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" "$T/qmp" "$@" 3>&- 4>&-
}

# plugged: hot.raw has a lease, and is a node of QEMU's
plugged() {
    web1 --
    wait_until in_qemu query-status
    lockctl acquire web1 --disk hot.raw
    same "acquire" 0 "$status"
    in_qemu blockdev-add "{\"driver\": \"file\", \"node-name\": \"hot\",
        \"locking\": \"on\", \"filename\": \"$T/hot.raw\"}"
}

# running PID: QEMU has opened its images
running() {
    [ -n "$(find "/proc/$1/fd" -lname "$T/cd.iso")" ]
}

@test "QEMU starts under its leases and everybody is told its pid" {
    spawn web1 "$SUPERVISOR" --name web1 --uuid "$U" \
        --disk "$T/web1.qcow2" --disk "$T/data.raw,shared" \
        --disk "$T/cd.iso,readonly" --pid-fd 9 -- \
        qemu-system-x86_64 -accel tcg -nodefaults -display none -S \
        -drive "file=$T/web1.qcow2,if=virtio" \
        -drive "file=$T/data.raw,format=raw,if=none,id=data" \
        -device virtio-blk-pci,drive=data,share-rw=on \
        -drive "file=$T/cd.iso,format=raw,if=virtio,readonly=on" 9>pid
    wait_until test -s pid
    record "$(<pid)"
    wait_until running "$(<pid)"
    lockctl list
    matches "list" "web1 +$U +RUNNING +$(<pid) +3 " "$output"
    lockctl status web1
    matches "status" "RUNNING" "$output"
    lockctl child web1
    same "child" "$(<pid)" "$output"
    matches "program" "qemu-system-x86_64" "$(readlink "/proc/$(<pid)/exe")"
}

@test "a second start on the image is refused with the holder's name" {
    web1 --
    run_supervisor --name web2 --disk web1.qcow2 -- "${QEMU[@]}"
    same "exit status" 123 "$status"
    matches stderr "cannot acquire '$T/web1.qcow2': held by 'web1' \($U, [^ ]+, pid $SUP\) since" "$stderr"
    same "QEMU" '"prelaunch"' "$(in_qemu query-status | jq .status)"
}

@test "revoke ends QEMU with 124, and at once" {
    web1 --
    qemu=$CHILD
    wait_until in_qemu query-status
    lockctl revoke web1 --reason "moved by admin"
    same "exit status of revoke" 0 "$status"
    gone "$qemu"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    run_supervisor --name web2 --disk web1.qcow2 --disk data.raw -- \
        qemu-io -f qcow2 -c 'write 0 4k' web1.qcow2
    same "the next user of the image" 0 "$status"
}

@test "shutdown lets QEMU end by itself" {
    web1 --
    wait_until in_qemu query-status
    lockctl shutdown web1 --timeout 20
    same "exit status of shutdown" 0 "$status"
    ended "$SUP"
    same "exit status" 0 "$STATUS"
}

@test "QEMU that cannot start gives its own status, and the leases are free" {
    run_supervisor --disk web1.qcow2 -- qemu-system-x86_64 -nodefaults \
        -display none -drive file=missing.raw,format=raw
    same "exit status" 1 "$status"
    "$TAKER" --try web1.qcow2
}

@test "QEMU that aborts gives 134" {
    web1 --
    kill -ABRT "$CHILD"
    ended "$SUP"
    same "exit status" 134 "$STATUS"
}

@test "QEMU's own image locks work beside the leases" {
    web1 --
    wait_until in_qemu query-status
    run_program qemu-io -f raw -c 'read 0 4k' data.raw
    same "a second opener" 1 "$status"
    matches stderr "lock" "$stderr"
    kill -TERM "$SUP"
    ended "$SUP"
}

@test "QEMU that daemonizes stays supervised and is revoked" {
    web1 -- -daemonize -pidfile "$T/qemu.pid"
    wait_until test -s qemu.pid
    record "$(<qemu.pid)"
    wait_until vm_child "$U" "$(<qemu.pid)"
    gone "$CHILD"
    wait_until in_qemu query-status
    run_supervisor --disk web1.qcow2 -- true
    same "a second start" 123 "$status"
    lockctl revoke web1
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    gone "$(<qemu.pid)"
    "$TAKER" --try web1.qcow2
}

@test "a daemonized QEMU that quits ends its supervisor with 0" {
    web1 -- -daemonize -pidfile "$T/qemu.pid"
    wait_until test -s qemu.pid
    record "$(<qemu.pid)"
    wait_until vm_child "$U" "$(<qemu.pid)"
    wait_until in_qemu query-status
    in_qemu quit
    ended "$SUP"
    same "exit status" 0 "$STATUS"
}

@test "QEMU as another user is killed by root's confined supervisor" {
    requires_root
    open_to_everyone
    chmod 777 .
    chmod 666 web1.qcow2 data.raw
    web1 --user nobody --
    same "owner of the child" nobody "$(stat -c %U "/proc/$CHILD")"
    lockctl revoke web1
    ended "$SUP"
    same "exit status" 124 "$STATUS"
}

@test "a disk that QEMU writes to is not released before QEMU has closed it" {
    plugged
    in_qemu nbd-server-start "{\"addr\": {\"type\": \"unix\",
        \"data\": {\"path\": \"$T/nbd\"}}}"
    in_qemu block-export-add '{"type": "nbd", "id": "writer",
        "node-name": "hot", "writable": true}'
    lockctl release web1 --disk hot.raw
    same "release while QEMU writes" 1 "$status"
    refute "$TAKER" --try hot.raw
    in_qemu block-export-del '{"id": "writer", "mode": "hard"}'
    in_qemu nbd-server-stop
    in_qemu blockdev-del '{"node-name": "hot"}'
    lockctl release web1 --disk hot.raw
    same "release" 0 "$status"
    "$TAKER" --try hot.raw
}

@test "a disk that QEMU has merely open is not released" {
    plugged
    lockctl release web1 --disk hot.raw
    same "release while QEMU has it open" 1 "$status"
    refute "$TAKER" --try hot.raw
}

@test "one QMP client speaks to QEMU and to its supervisor" {
    web1 --
    wait_until in_qemu query-status
    same "QEMU" prelaunch "$(in_qemu query-status | jq -r .status)"
    same "supervisor" RUNNING "$(qmp "$U" query-status | jq -r .state)"
    python "$T/qmp" "$SOCKET" <<'END'
import sys
from qmp import QMP, Error
for path in sys.argv[1:]:
    client = QMP(path)
    assert set(client.greeting["QMP"]) == {"version", "capabilities"}
    try:
        client.command("make-coffee")
    except Error as error:
        assert error.args[0]["class"] == "CommandNotFound", error
    assert any(c["name"] == "quit" for c in client.command("query-commands"))
END
}
