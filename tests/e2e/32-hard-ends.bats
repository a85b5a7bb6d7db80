#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: ends under bad conditions
#
# Each of these went wrong once: a descendant that was not seen, a full pipe,
# too few descriptors, a crash that looked like an orderly end.

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    make_disk a hot
}

@test "a descendant that is handed over while we look is seen" {
    requires strace
    # Waiting is slowed down: an orphan's end makes the supervisor read the
    # list of its children, and then the child is killed before it is waited
    # for, and leaves a process that the list did not have.
    mkfifo order
    exec 9<>order
    cat >child <<'END'
"$1" --ready "$2" &
read -r _ <order
(true &)
read -r _ <order
END
    spawn vm strace -qq -o /dev/null -e trace=waitid \
        -e inject=waitid:delay_enter=1000000 \
        "$SUPERVISOR" --uuid "$U" --disk a -- sh child "$FAKEVMM" "$T/left"
    wait_until test -s left
    wait_until vm_state "$U" RUNNING
    sup=$(qmp "$U" query-status | jq .pid)
    child=$(qmp "$U" query-child | jq .pid)
    echo >&9
    wait_until state_is "$sup" t
    kill -KILL "$child"
    wait_until vm_child "$U" "$(<left)"
    refute "$TAKER" --try a
    lockctl revoke "$U"
    same "revoke" 0 "$status"
    refute lives "$(<left)"
    exec 9>&-
}

@test "a standard error that takes no more does not delay the kill" {
    mkfifo log
    exec 9<>log
    spawn vm sh -c 'exec "$@" 2>log' sh "$SUPERVISOR" --uuid "$U" \
        --log-level debug --disk a -- sleep 1000
    wait_until vm_state "$U" RUNNING
    python log <<'END'
import os, sys
pipe = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
for size in 4096, 1:
    try:
        while True:
            os.write(pipe, b"x" * size)
    except BlockingIOError:
        pass
END
    lockctl --timeout 20 revoke "$U" --reason "$(printf '%01000d' 7)"
    same "revoke" 0 "$status"
    ended "$PID"
    same "exit status" 124 "$STATUS"
    exec 9>&-
}

@test "a reason that is longer than a line is refused" {
    fake vm --uuid "$U" --disk a --
    lockctl revoke "$U" --reason "$(printf '%01025d' 7)"
    same "revoke" 1 "$status"
    vm_state "$U" RUNNING
}

@test "revoke and shutdown are errors where the supervisor is killed meanwhile" {
    fake vm --uuid "$U" --disk a -- --ignore-term
    spawn client "$LOCKCTL" shutdown "$U" --timeout 60
    client=$PID
    wait_until vm_state "$U" STOPPING
    kill -KILL "$SUP"
    ended "$client"
    same "exit status" 1 "$STATUS"
    has_line client.err 'cannot tell whether'
}

@test "with few descriptors and many clients the child's end is seen" {
    spawn vm prlimit --nofile=32:32 "$SUPERVISOR" --uuid "$U" --disk a -- \
        "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    python "$(socket_of "$U")" "$(<ready)" <<'END'
import os, signal, socket, sys
clients = []
for _ in range(40):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    try:
        client.connect(sys.argv[1])
    except BlockingIOError:
        break  # as many wait already as may: more than can be accepted
    clients.append(client)
assert len(clients) > 30, len(clients)
os.kill(int(sys.argv[2]), signal.SIGKILL)
while clients[0].recv(65536):
    pass
END
    ended "$PID"
    same "exit status" 137 "$STATUS"
}

@test "a small stack is enough" {
    run_program sh -c 'ulimit -s 128; exec "$@"' sh \
        "$SUPERVISOR" --disk a -- sh -c 'exit 7'
    same "exit status" 7 "$status"
}

@test "a leased disk is no pid file" {
    run_supervisor --disk a --pid-file a -- touch started
    same "exit status" 125 "$status"
    refute test -e started
    same "size" 1048576 "$(stat -c %s a)"
}

@test "descriptor 3 that is not open is refused like any other" {
    for option in --pid-fd --json-status-fd; do
        run_supervisor "$option" 3 --disk a -- touch started
        same "exit status of $option" 125 "$status"
        refute test -e started
    done
}

@test "a disk that nobody can see to be closed is only released by force" {
    requires_root
    open_to_everyone
    chown "$NOBODY" hot
    start_supervisor web1 --uuid "$U" --user "$NOBODY" --disk a -- sleep 1000
    for mode in "" ,shared; do
        lockctl acquire web1 --disk "hot$mode"
        same "acquire" 0 "$status"
        lockctl release web1 --disk hot
        same "release" 1 "$status"
        matches stderr "cannot be seen" "$stderr"
        lockctl release web1 --disk hot --force
        same "release by force" 0 "$status"
    done
}

@test "a query-only crowd does not displace who may do more" {
    requires_root
    open_to_everyone
    chmod 755 run 2>/dev/null || :
    fake vm --uuid "$U" --disk a --control-group "$NOBODY" -- --ignore-term
    spawn client "$LOCKCTL" shutdown "$U" --timeout 60
    client=$PID
    wait_until vm_state "$U" STOPPING
    python "$(socket_of "$U")" "$NOBODY" <<'END'
import os, socket, sys
os.setgroups([])
os.setresgid(*[int(sys.argv[2])] * 3)
os.setresuid(*[int(sys.argv[2])] * 3)
clients = []
for _ in range(200):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(sys.argv[1])
    client.recv(65536)
    clients.append(client)
END
    lives "$client"
    lockctl quit "$U"
    same "quit" 0 "$status"
    ended "$client"
    same "exit status of the one that waited" 0 "$STATUS"
}

@test "leases whose names only look alike are two" {
    fake vm --uuid "$U" --
    qmp "$U" lease-acquire '{"lease": "a\\:b:c"}'
    qmp "$U" lease-acquire '{"lease": "a:b\\:c"}'
    qmp "$U" lease-release '{"lease": "a\\:b:c"}'
    same "left" 'a:b\:c' "$(qmp "$U" query-leases | jq -r '.[1].name')"
}
