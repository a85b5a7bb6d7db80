#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: asking a supervisor, by virt-lockctl and by any QMP client; peers that
# misbehave; who may ask for what

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    SOCKET=$(socket_of "$U")
}

# web1: a VM with one disk of each mode
web1() {
    make_disk a b c
    fake web1 --uuid "$U" --disk "$T/a" --disk "$T/b,shared" \
        --disk "$T/c,readonly" "$@" --
}

# still_fine: the supervisor answers and its child lives
still_fine() {
    vm_state "$U" RUNNING
    lives "$CHILD"
}

# --- virt-lockctl ----------------------------------------------------------

@test "list is a table of all running VMs" {
    web1
    fake web2 --uuid "$(uuid 2)" --
    lockctl list
    same "exit status" 0 "$status"
    same "lines" 3 "${#lines[@]}"
    read -ra row <<<"$(grep "^web1 " <<<"$output")"
    same "row" "web1 $U RUNNING" "${row[*]:0:3}"
    matches row " $(<web1.ready) +3 " "${row[*]}"
    grep -q "^web2 *$(uuid 2)" <<<"$output"
}

@test "list of nothing is empty and no error" {
    lockctl list
    same "exit status" 0 "$status"
    refute grep -q RUNNING <<<"$output"
    mkdir run
    lockctl list --json
    same "list" "[]" "$(jq -c . <<<"$output")"
}

@test "list passes over supervisors that were killed, and over rubbish" {
    web1
    fake dead --uuid "$(uuid 2)" --
    kill -KILL "$SUP"
    ended "$SUP"
    : >run/rubbish.sock
    : >run/other
    lockctl list --json
    same "exit status" 0 "$status"
    same "names" web1 "$(jq -r '.[].name' <<<"$output")"
}

@test "status tells of a VM by name and by uuid, for people and as JSON" {
    web1
    for vm in web1 "$U"; do
        lockctl status "$vm"
        same "exit status" 0 "$status"
        matches status "web1" "$output"
        matches status "$U" "$output"
        matches status "RUNNING" "$output"
        matches status "$(<web1.ready)" "$output"
        lockctl status --json "$vm"
        same "status" "$(qmp "$U" query-status | jq -S .)" \
            "$(jq -S . <<<"$output")"
    done
}

@test "child prints the number and nothing else" {
    web1
    lockctl child web1
    same "exit status" 0 "$status"
    same "output" "$(<web1.ready)" "$output"
    same "stderr" "" "$stderr"
}

@test "leases names every lease, its mode and its state" {
    web1
    lockctl leases web1
    for row in "exclusive *HELD.*$T/a" "shared *HELD.*$T/b" \
        "readonly *HELD.*$T/c" "vm *exclusive *HELD.*$U"; do
        grep -Eq "$row" <<<"$output" || fail "no '$row' in: $output"
    done
}

@test "options of virt-lockctl may stand before and after the command" {
    web1
    unset VIRT_LOCK_RUN_DIR
    lockctl --run-dir "$T/run" child web1
    same "before" "$CHILD" "$output"
    lockctl child web1 --run-dir "$T/run"
    same "after" "$CHILD" "$output"
}

@test "a VM that is not there is an error in one sentence" {
    web1
    lockctl status web9
    same "exit status" 1 "$status"
    same "lines" 1 "${#stderr_lines[@]}"
    matches stderr "^virt-lockctl: .*'web9'" "$stderr"
}

@test "a name that two VMs have is refused, and their uuids are told" {
    fake web1 --uuid "$U" --
    mv web1.ready first
    fake web1 --uuid "$(uuid 2)" --
    lockctl quit web1
    same "exit status" 1 "$status"
    matches stderr "$U" "$stderr"
    matches stderr "$(uuid 2)" "$stderr"
    lives "$(<first)"
    lives "$CHILD"
    lockctl child "$U"
    same "by uuid" "$(<first)" "$output"
}

@test "holder names the holder of a disk by every name of it" {
    web1
    ln a hard
    ln -s a soft
    for name in a "$T/a" hard soft ./run/../a; do
        lockctl holder "$name"
        same "exit status" 0 "$status"
        matches "holder of $name" "'web1' \($U, [^ ]+, pid $SUP\)" "$output"
    done
    lockctl holder b
    matches "shared holder" "'web1'" "$output"
}

@test "holder of a free disk is nobody, with exit status 1" {
    web1
    make_disk free
    lockctl holder free
    same "exit status" 1 "$status"
    refute grep web1 <<<"$output"
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until "$TAKER" --try a
    lockctl holder a
    same "exit status for a record whose holder is dead" 1 "$status"
}

@test "wrong use of virt-lockctl is told in one sentence, with exit status 2" {
    for words in "" "frobnicate" "status" "status a b" "list --frobnicate" \
        "acquire web1" "shutdown web1 --timeout soon"; do
        # shellcheck disable=SC2086  # words
        lockctl $words
        same "exit status of '$words'" 2 "$status"
        matches "stderr of '$words'" "^virt-lockctl: " "$stderr"
    done
}

@test "a supervisor that does not answer costs a deadline, not the others" {
    web1
    fake web2 --uuid "$(uuid 2)" --
    kill -STOP "$SUP"
    lockctl --timeout 1 status "$(uuid 2)"
    same "exit status" 1 "$status"
    lockctl --timeout 1 list
    grep -q "^web1 " <<<"$output"
    kill -CONT "$SUP"
    lockctl child web2
    same "afterwards" "$CHILD" "$output"
}

# watch_events COUNT [VM]: virt-lockctl listens to so many supervisors
watch_events() {
    local count=$1
    shift
    spawn events "$LOCKCTL" events "$@"
    wait_until polls "$PID" $((count + 1)) # whoever reads it is one more
}

# polls PID COUNT: it waits for ever, in poll or ppoll, for so many descriptors
polls() {
    local number count timeout
    read -r number _ count timeout _ <"/proc/$1/syscall"
    case $number,$timeout in
    7,0xffffffff | 271,0x0 | 73,0x0) [ "$((count))" = "$2" ] ;;
    *) false ;;
    esac
}

@test "events follow a VM to its end" {
    web1
    watch_events 1 web1
    kill "$CHILD"
    ended "$PID"
    same "exit status" 0 "$STATUS"
    has_line events.out 'CHILD_EXIT'
    has_line events.out 'STATE_CHANGE.*GONE'
}

@test "events without a name follow all VMs" {
    web1
    fake web2 --uuid "$(uuid 2)" --
    watch_events 2
    kill "$CHILD"
    wait_until has_line events.out 'web2.*CHILD_EXIT|CHILD_EXIT.*web2'
    lockctl quit web1
    wait_until has_line events.out 'web1.*CHILD_EXIT|CHILD_EXIT.*web1'
}

# --- queries ---------------------------------------------------------------

@test "query-status has every member it promises, with its type" {
    now=$(date +%s)
    web1 --id 42
    qmp "$U" query-status >status.json
    jq -e --arg uuid "$U" --arg host "$(hostname)" --argjson pid "$SUP" \
        --argjson child "$CHILD" --argjson now "$now" '
        .name == "web1" and .uuid == $uuid and .id == "42" and
        .host == $host and .pid == $pid and .["child-pid"] == $child and
        .state == "RUNNING" and (.reason | length > 0) and
        .driver == "file" and .leases == 3 and
        .["driver-can"] == ["hotplug", "migrate"] and
        (.confined | type == "array") and
        .since >= $now and .since < $now + 60 and
        .["state-since"] >= .since' status.json || fail "$(<status.json)"
}

@test "query-child tells number and start time, and passes the pidfd along" {
    web1
    python "$SOCKET" "$(<web1.ready)" "$(start_time "$CHILD")" <<'END'
import sys
from qmp import QMP
path, pid, start_time = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = QMP(path)
assert client.command("query-child") == {"pid": pid,
                                         "start-time": start_time}
assert len(client.fds) == 1, client.fds
with open(f"/proc/self/fdinfo/{client.fds[0]}") as info:
    assert f"Pid:\t{pid}\n" in info.read()
END
}

@test "query-leases tells which file is held" {
    web1
    qmp "$U" query-leases >leases.json
    same "kinds" "vm disk disk disk" "$(jq -r 'map(.kind) | join(" ")' leases.json)"
    same "names" "$T/a $T/b $T/c $U" "$(jq -r '.[].name' leases.json | sort | paste -sd' ')"
    same "modes" "exclusive shared readonly" "$(jq -r '[.[] | select(.kind == "disk")] | sort_by(.name) | map(.mode) | join(" ")' leases.json)"
    same "ids" 4 "$(jq 'map(.id) | unique | length' leases.json)"
    jq -e 'all(.status == "HELD" and .driver == "file")' leases.json
    same "inode" "$(stat -c %i a)" \
        "$(jq --arg name "$T/a" '.[] | select(.name == $name).inode' leases.json)"
    same "device" "$(stat -c %Hd:%Ld a)" \
        "$(jq -r --arg name "$T/a" '.[] | select(.name == $name).device' leases.json)"
}

@test "query-commands lists what there is, each as an object with a name" {
    web1
    qmp "$U" query-commands >commands.json
    for name in query-status query-child query-leases query-commands \
        lease-acquire lease-release revoke shutdown quit; do
        jq -e --arg name "$name" 'any(.name == $name)' commands.json >/dev/null ||
            fail "no $name"
    done
}

@test "while STARTING there is a status but no child" {
    make_disk a
    take a
    spawn vm "$SUPERVISOR" --uuid "$U" --wait --disk a -- true
    wait_until vm_state "$U" STARTING
    refute jq -e 'has("child-pid")' <(qmp "$U" query-status)
    run qmp "$U" query-child
    same "class" WrongState "$(jq -r .class <<<"$output")"
    qmp "$U" query-leases | jq -e 'any(.status != "HELD")'
}

# --- QMP -------------------------------------------------------------------

@test "the greeting is QMP's" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
greeting = QMP(sys.argv[1]).greeting
assert list(greeting) == ["QMP"], greeting
assert set(greeting["QMP"]) == {"version", "capabilities"}, greeting
version = greeting["QMP"]["version"]
assert set(version["qemu"]) == {"major", "minor", "micro"}, greeting
assert all(type(n) is int for n in version["qemu"].values())
assert version["package"].startswith("virt-lock-supervisor-"), greeting
assert greeting["QMP"]["capabilities"] == []
END
}

@test "commands before qmp_capabilities are refused as QEMU does it" {
    web1
    python "$SOCKET" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
f.write('{"execute":"query-status"}')
f.flush()
reply = json.loads(f.readline())
assert reply["error"]["class"] == "CommandNotFound", reply
assert "qmp_capabilities" in reply["error"]["desc"], reply
f.write('{"execute":"qmp_capabilities"}')
f.flush()
assert json.loads(f.readline()) == {"return": {}}
END
}

@test "a stream of commands without newlines is answered in order" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
client = QMP(sys.argv[1])
client.sock.sendall(b'{"execute":"query-status","id":1}'
                    b'{"execute":"query-leases","id":"two"}'
                    b' \r\n\t {"id":{"three":[3]},"execute":"query-child"}'
                    b'{"execute":"query-commands","id":null}')
ids = [client.reply()["id"] for _ in range(4)]
assert ids == [1, "two", {"three": [3]}, None], ids
END
}

@test "a command that comes byte by byte is answered" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
client = QMP(sys.argv[1])
for byte in b'{"execute":"query-status","id":"a \\"}{ \xc3\xa9"}':
    client.sock.sendall(bytes([byte]))
reply = client.reply()
assert reply["id"] == 'a "}{ \xe9' and "return" in reply, reply
END
}

@test "wrong commands get an error of their class and the session goes on" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
client = QMP(sys.argv[1])
def refused(text, *classes):
    client.sock.sendall(text)
    reply = client.reply()
    assert reply["error"]["class"] in classes, (text, reply)
    assert reply["error"]["desc"], reply
    return reply
refused(b'{"execute":"make-coffee"}', "CommandNotFound")
bad = "BadArgument", "GenericError"
refused(b'{"execute":"query-status","arguments":{"colour":1}}', *bad)
refused(b'{"execute":"query-status","arguments":[]}', *bad)
refused(b'{"execute":7}', *bad)
refused(b'{"arguments":{}}', *bad)
refused(b'{}', *bad)
refused(b'{"execute":"query-status","extra":1}', *bad)
refused(b'{"execute":"revoke","arguments":{"reason":7}}', *bad)
refused(b'{"execute":"revoke","arguments":{"disk":"/a","lease":"b:c"}}', *bad)
refused(b'{"execute":"shutdown","arguments":{"timeout":"soon"}}', *bad)
refused(b'{"execute":"shutdown","arguments":{"timeout":-1}}', *bad)
refused(b'{"execute":"lease-acquire"}', *bad)
refused(b'{"execute":"lease-release","arguments":{"disk":7}}', *bad)
reply = refused(b'{"execute":"make-coffee","id":"x"}', "CommandNotFound")
assert reply["id"] == "x"
assert client.command("query-status")["state"] == "RUNNING"
END
    still_fine
}

@test "a QMP client that knows nothing of us sees events with timestamps" {
    web1
    python "$SOCKET" "$CHILD" <<'END'
import os, signal, sys, time
from qmp import QMP
client = QMP(sys.argv[1])
before = time.time()
os.kill(int(sys.argv[2]), signal.SIGKILL)
exit = client.event("CHILD_EXIT")
assert exit["data"] == {"pid": int(sys.argv[2]), "signal": 9}, exit
assert before - 1 < exit["timestamp"]["seconds"] < before + 60, exit
assert 0 <= exit["timestamp"]["microseconds"] < 1000000, exit
END
}

@test "events tell of the change of state, from, to and why" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
client = QMP(sys.argv[1])
client.send("revoke", {"reason": "moved by admin"})
change = client.event("STATE_CHANGE")["data"]
assert (change["from"], change["to"]) == ("RUNNING", "KILLING"), change
assert "moved by admin" in change["reason"], change
change = client.event("STATE_CHANGE")["data"]
assert (change["from"], change["to"]) == ("KILLING", "GONE"), change
try:
    while True:
        client.receive()
except EOFError:
    pass
END
}

# --- peers that misbehave --------------------------------------------------

@test "garbage costs the one connection" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
garbage = [b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\0", b"}", b"[1]", b"null ",
           b'{"execute":"a","execute":"b"}', b'{"execute":"\xff"}',
           b'{"a":"\\u0000"}', b'{"a":' + b"[" * 100, b'{"a":1e999999}',
           b"\x1b[A", b'{"id":' + b"9" * 400 + b"}", b'"string"']
for bytes in garbage:
    client = QMP(sys.argv[1], timeout=5)
    client.sock.sendall(bytes)
    client.sock.shutdown(1)
    try:
        while True:
            reply = client.receive()
            assert "error" in reply, (bytes, reply)
    except (EOFError, ConnectionResetError):
        pass
END
    still_fine
}

@test "an oversized message ends the connection, whether it ends or not" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
for text in (b'{"execute":"' + b"x" * 100000 + b'"}',
             b'{"execute":"' + b"x" * 10000000, b" " * 10000000 + b"x",
             b'{"execute":"query-status","id":"' + b"x" * 70000 + b'"}'):
    client = QMP(sys.argv[1], timeout=5)
    try:
        client.sock.sendall(text)
        while True:
            assert "error" in client.receive()
    except (EOFError, ConnectionResetError, BrokenPipeError):
        pass
END
    still_fine
}

@test "whatever a peer may send at most is taken" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
client = QMP(sys.argv[1])
client.sock.sendall(b'{"execute":"query-child","id":"' + b"x" * 65000 + b'"}')
assert len(client.reply()["id"]) == 65000
END
}

@test "silent and half-finished peers hold nobody up" {
    web1
    python "$SOCKET" <<'END'
import socket, sys
from qmp import QMP
silent = []
for text in (b"", b"{", b'{"execute":"qmp_capa') * 5:
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.sendall(text)
    silent.append(s)
assert QMP(sys.argv[1]).command("query-status")["state"] == "RUNNING"
END
    still_fine
}

@test "hundreds of silent connections neither stop the supervisor nor stay" {
    requires_sight
    web1
    before=$(find "/proc/$SUP/fd" -mindepth 1 | wc -l)
    python "$SOCKET" "$CHILD" <<'END'
import socket, sys
peers = []
for _ in range(600):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(sys.argv[1])
    except BlockingIOError:
        pass
    peers.append(s)
END
    wait_until still_fine
    wait_until has_fds "$SUP" "$before"
}

# has_fds PID COUNT: so many descriptors, or fewer
has_fds() {
    [ "$(find "/proc/$1/fd" -mindepth 1 | wc -l)" -le "$2" ]
}

@test "a child's end is seen although hundreds of peers are connected" {
    web1
    python "$SOCKET" "$CHILD" "$SUP" <<'END'
import os, select, signal, socket, sys
peers = []
for _ in range(300):
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(sys.argv[1])
        peers.append(s)
    except BlockingIOError:
        pass
supervisor = os.pidfd_open(int(sys.argv[3]))
os.kill(int(sys.argv[2]), signal.SIGKILL)
assert select.select([supervisor], [], [], 10)[0], "it goes on"
END
    ended "$SUP"
    same "exit status" 137 "$STATUS"
}

@test "a subscriber that does not read is dropped, never waited for" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
client = QMP(sys.argv[1], timeout=10)
try:
    for _ in range(200000):
        client.sock.sendall(b'{"execute":"query-leases"}')
    sys.exit("it was never dropped")
except (BrokenPipeError, ConnectionResetError):
    pass
except TimeoutError:
    # It may also stop to read us; then it must not hold our answers either.
    sys.exit("it was neither dropped nor served")
END
    still_fine
}

@test "a client that vanishes in the middle of a command does no harm" {
    web1
    python "$SOCKET" <<'END'
import sys
from qmp import QMP
for _ in range(50):
    client = QMP(sys.argv[1])
    client.sock.sendall(b'{"execute":"query-leases"}' * 20 + b'{"exec')
    client.sock.close()
END
    still_fine
}

@test "descriptors that nobody asked for are not kept" {
    requires_sight
    web1
    python "$SOCKET" "$SUP" "$T/a" <<'END'
import os, sys
from qmp import QMP
client = QMP(sys.argv[1])
table = f"/proc/{sys.argv[2]}/fd"
before = len(os.listdir(table))
file = os.open(sys.argv[3], os.O_RDONLY)
for _ in range(20):
    client.send("query-status", None, [file] * 3)
    client.reply()
assert len(os.listdir(table)) <= before + 3, os.listdir(table)
END
    still_fine
}

# --- rights ----------------------------------------------------------------

@test "without --control-group the socket is for its owner alone" {
    web1
    same "mode" 600 "$(stat -c %a "$SOCKET")"
}

# as_member GROUP COMMAND...: as nobody, with GROUP as the only other group
as_member() {
    local group=$1
    shift
    setpriv --reuid "$NOBODY" --regid "$NOBODY" \
        --groups "$(getent group "$group" | cut -d: -f3)" "$@" 3>&- 4>&-
}

@test "members of --control-group may ask but change nothing" {
    requires_root
    requires setpriv
    open_to_everyone
    web1 --control-group daemon
    same "group" "660 daemon" "$(stat -c '%a %G' "$SOCKET")"
    run_program as_member daemon "$LOCKCTL" child web1
    same "child" "$CHILD" "$output"
    run_program as_member daemon "$LOCKCTL" list
    grep -q "^web1 " <<<"$output"
    for command in "quit web1" "shutdown web1" "revoke web1" \
        "release web1 --disk $T/a"; do
        # shellcheck disable=SC2086  # words
        run_program as_member daemon "$LOCKCTL" $command
        same "exit status of $command" 1 "$status"
    done
    still_fine
}

@test "what a member of --control-group may not do is refused as NotSupported" {
    requires_root
    requires setpriv
    open_to_everyone
    web1 --control-group daemon
    cp "$BATS_TEST_DIRNAME/../bin/qmp.py" .
    run_program as_member daemon "$PYTHON" -SE qmp.py "$SOCKET" quit
    same "class" NotSupported "$(jq -r .class <<<"$output")"
    still_fine
}

@test "with --control-group-rw members may do everything" {
    requires_root
    requires setpriv
    open_to_everyone
    web1 --control-group daemon --control-group-rw
    run_program as_member daemon "$LOCKCTL" quit web1
    same "exit status" 0 "$status"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
}

@test "who is not in --control-group gets nothing, not even a greeting" {
    requires_root
    requires setpriv
    open_to_everyone
    web1 --control-group daemon --control-group-rw
    run_program as_member mail "$LOCKCTL" child web1
    same "exit status" 1 "$status"
    # Nor by a socket that somebody made accessible to all.
    chmod 777 run "$SOCKET"
    cat >peer.py <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    data = s.recv(1000)
except ConnectionResetError:
    data = b""
sys.exit(f"got {data}" if data and b"error" not in data else 0)
END
    as_member mail "$PYTHON" -SE peer.py "$SOCKET"
    still_fine
}

@test "root may command the supervisors of others" {
    requires_root
    requires setpriv
    open_to_everyone
    chmod 777 .
    spawn vm setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$SUPERVISOR" --uuid "$U" --name web1 -- "$FAKEVMM"
    wait_until vm_state "$U" RUNNING
    lockctl quit web1
    same "exit status" 0 "$status"
    ended "$PID"
    same "exit status" 137 "$STATUS"
}
