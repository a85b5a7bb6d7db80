#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: from the command line to the running child, and its exit status

load ../lib/common

# --- exit statuses ---------------------------------------------------------

@test "the child's exit status becomes ours" {
    for code in 0 1 7 122 255; do
        run_supervisor --driver nop -- "$FAKEVMM" --exit $code
        same "exit status" $code "$status"
    done
}

@test "the child's own 123 to 127 pass through, and the report tells whose they are" {
    for code in 123 124 125 126 127; do
        run_supervisor --json-status-fd 9 -- "$FAKEVMM" --exit $code 9>status.json
        same "exit status" $code "$status"
        same "source" child "$(tail -n 1 status.json | jq -r .source)"
        same "reported code" $code "$(tail -n 1 status.json | jq '.["exit-code"]')"
    done
}

@test "a child that dies of signal n gives 128+n" {
    for signal in KILL:137 SEGV:139 TERM:143 ABRT:134; do
        run_supervisor -- sh -c "ulimit -c 0; kill -${signal%:*} \$\$"
        same "exit status after ${signal%:*}" "${signal#*:}" "$status"
    done
}

@test "a command that is not there gives 127, one sentence and no lease" {
    make_disk a
    PATH=/usr/bin:/bin run_supervisor --disk a -- no-such-command-anywhere
    same "exit status" 127 "$status"
    same "lines on stderr" 1 "${#stderr_lines[@]}"
    matches stderr "cannot execute 'no-such-command-anywhere': " "$stderr"
    "$TAKER" --try a
    run_supervisor -- "$T/no/such/path"
    same "exit status" 127 "$status"
}

@test "a command that cannot be executed gives 126" {
    echo text >plain
    mkdir directory
    for command in "$T/plain" "$T/directory"; do
        run_supervisor -- "$command"
        same "exit status for $command" 126 "$status"
        matches stderr "cannot execute '$command': " "$stderr"
    done
}

@test "a failed start leaves neither socket nor record" {
    make_disk a
    run_supervisor --disk a --uuid "$(uuid 1)" --pid-file "$T/pid" -- /no/such
    same "exit status" 127 "$status"
    refute test -e "$T/pid"
    same "sockets" "" "$(find run -type s)"
    same "records" "" "$(find state/holders ! -type d 2>/dev/null)"
}

# --- the command -----------------------------------------------------------

@test "the command gets its arguments untouched, whatever they look like" {
    run_supervisor -- printf '<%s>' --disk a,,b -- '' ' x ' --pid-fd=9
    same output "<--disk><a,,b><--><>< x ><--pid-fd=9>" "$output"
    same stderr "" "$stderr"
}

@test "the command is looked up in PATH and gets stdin, directory and umask" {
    mkdir bin
    printf '#!/bin/sh\nread word; echo "$word $PWD $(umask)"\n' >bin/mine
    chmod +x bin/mine
    umask 027
    PATH=$T/bin:$PATH run_supervisor -- mine <<<hello
    same output "hello $T 0027" "$output"
}

@test "a service manager that takes nothing is told READY later" {
    mkfifo go
    spawn vm "$PYTHON" -Sc '
import os, socket, subprocess, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("notify.sock")
stuffing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
stuffing.setblocking(False)
stuffing.connect("notify.sock")
try:
    while True:
        stuffing.send(b"x")
except BlockingIOError:
    pass
vm = subprocess.Popen(sys.argv[1:], env=os.environ | {
    "NOTIFY_SOCKET": os.path.abspath("notify.sock")})
open("go").read()
while not (message := manager.recv(4096)).startswith(b"READY=1"):
    pass
print(message.decode(), flush=True)
vm.terminate()
vm.wait()
' "$SUPERVISOR" --uuid "$(uuid 1)" --name vm -- sleep 1000
    wait_until has_line vm.err "cannot tell the service manager that the VM runs"
    echo >go
    wait_until has_line vm.out 'READY=1'
    has_line vm.out 'STATUS=RUNNING: the child is process [0-9]+'
    ended "$PID"
}

@test "who waits says for what, to the log and the service manager" {
    make_disk a
    take a
    spawn notify socat -u UNIX-RECV:"$T/notify.sock" OPEN:"$T/messages",creat
    wait_until test -S notify.sock
    NOTIFY_SOCKET=$T/notify.sock spawn vm "$SUPERVISOR" --uuid "$(uuid 1)" --name vm \
        --log-level info --wait --disk a -- sleep 1000
    wait_until has_line messages "STATUS=waiting: cannot acquire '$T/a': "
    wait_until has_line vm.err "cannot acquire '$T/a': held by another process"
    wait_until vm_state "$(uuid 1)" STARTING
    same "lines" 1 "$(wc -l <vm.err)"
    lockctl quit "$(uuid 1)"
    ended "$PID"
}

@test "the environment reaches the command, but NOTIFY_SOCKET does not" {
    NOTIFY_SOCKET=$T/none COLOUR=blue run_supervisor -- env
    matches environment "COLOUR=blue" "$output"
    [[ $output != *NOTIFY_SOCKET* ]]
}

@test "a normal run says nothing" {
    make_disk a b
    run_supervisor --name quiet --disk a --disk b,readonly -- true
    same "exit status" 0 "$status"
    same stderr "" "$stderr"
    same stdout "" "$output"
}

@test "descriptors that were ours for the child reach it, the reports do not" {
    make_disk a
    echo text >file
    run_supervisor --disk a --pid-fd 7 --json-status-fd 8 -- \
        "$SHOWSELF" fds --to "$T/fds" 6<file 7>pid 8>status.json
    same "exit status" 0 "$status"
    grep -qx "6 $T/file" fds
    refute grep -E "/(pid|status.json|a)$" fds
    refute grep -E "socket:|signalfd|pidfd|eventpoll" fds
}

@test "closed standard descriptors are never taken by a disk or a socket" {
    make_disk a
    "$SUPERVISOR" --disk a -- "$SHOWSELF" fds --to "$T/fds" \
        0<&- 1>&- 2>&- 3>&- 4>&-
    refute grep -E "^[012] ($T/|socket:|pipe:|anon_inode)" fds
}

# --- what is reported ------------------------------------------------------

@test "--pid-fd carries the child's number in decimal and a newline" {
    fake vm --
    same "number" "$(<vm.ready)" "$CHILD"
    run_supervisor --pid-fd 9 -- sh -c 'echo $$' 9>pid
    printf '%d\n' "$output" >expected
    cmp expected pid
}

@test "the number comes only after exec has succeeded" {
    start_supervisor vm -- "$FAKEVMM"
    same "program" "$FAKEVMM" "$(readlink "/proc/$CHILD/exe")"
}

@test "--pid-fd closes empty where the command cannot be executed" {
    run_supervisor --pid-fd 9 -- /no/such 9>pid
    same "exit status" 127 "$status"
    same "bytes" 0 "$(stat -c %s pid)"
}

@test "a reader of --pid-fd that waits for its end gets it as the child starts" {
    requires_sight
    fake vm --
    # start_supervisor has read one line; the pipe has no other writer left.
    same "still open" "" \
        "$(find "/proc/$SUP/fd" "/proc/$CHILD/fd" -lname "$T/vm.pidpipe")"
}

@test "a reader of --pid-fd that went away does no harm" {
    python "$SUPERVISOR" "$FAKEVMM" <<'END'
import os, subprocess, sys
read, write = os.pipe()
os.close(read)
command = [sys.argv[1], "--pid-fd", str(write), "--", sys.argv[2], "--exit",
           "7"]
assert subprocess.run(command, pass_fds=[write]).returncode == 7
END
}

@test "a reader of --json-status-fd that went away does no harm" {
    python "$SUPERVISOR" "$FAKEVMM" <<'END'
import os, subprocess, sys
read, write = os.pipe()
os.close(read)
command = [sys.argv[1], "--json-status-fd", str(write), "--", sys.argv[2],
           "--exit", "7"]
result = subprocess.run(command, pass_fds=[write], stderr=subprocess.PIPE)
assert (result.returncode, result.stderr) == (7, b""), result
END
}

@test "a full pipe behind the reports does not hold the child up" {
    python "$SUPERVISOR" "$FAKEVMM" <<'END'
import os, subprocess, sys
read, write = os.pipe()
os.set_blocking(write, False)
try:
    while os.write(write, b"x" * 65536):
        pass
except BlockingIOError:
    os.set_blocking(write, True)
other = os.dup(write)
command = [sys.argv[1], "--pid-fd", str(write), "--json-status-fd",
           str(other), "--", sys.argv[2], "--exit", "7"]
result = subprocess.run(command, pass_fds=[write, other], timeout=10)
assert result.returncode == 7, result
END
}

@test "--pid-file is complete while the child runs and gone after its end" {
    fake vm --pid-file "$T/vm.pid" --
    same "pid file" "$CHILD" "$(<vm.pid)"
    same "other files" "vm.pid vm.pidpipe" "$(cd "$T" && echo vm.pid*)"
    kill "$CHILD"
    ended "$SUP"
    refute test -e vm.pid
}

@test "--pid-file replaces an old file and never writes into it" {
    echo 4711 >vm.pid
    ln vm.pid old
    fake vm --pid-file "$T/vm.pid" --
    same "pid file" "$CHILD" "$(<vm.pid)"
    same "old file" 4711 "$(<old)"
}

@test "--json-status-fd reports the child and then its end" {
    run_supervisor --json-status-fd 9 -- sh -c 'echo $$; exit 7' 9>status.json
    same "lines" 2 "$(wc -l <status.json)"
    same "child" "$output" "$(sed -n 1p status.json | jq '.["child-pid"]')"
    same "code" 7 "$(sed -n 2p status.json | jq '.["exit-code"]')"
    same "source" child "$(sed -n 2p status.json | jq -r .source)"
    matches "reason" . "$(sed -n 2p status.json | jq -r .reason)"
}

@test "--json-status-fd says that a start that failed was the supervisor's end" {
    run_supervisor --json-status-fd 9 -- /no/such 9>status.json
    same "lines" 1 "$(wc -l <status.json)"
    same "code" 127 "$(jq '.["exit-code"]' status.json)"
    same "source" supervisor "$(jq -r .source status.json)"
    matches "reason" "/no/such" "$(jq -r .reason status.json)"
}

@test "--json-status-fd has the class of what is wrong" {
    make_disk a
    ln a b
    run_supervisor --disk a --disk b --json-status-fd 9 -- "$FAKEVMM" \
        9>status.json
    same "code, class" "125 BadArgument" \
        "$(jq -r '"\(."exit-code") \(.class)"' status.json)"
    matches "reason" "'$T/b'.*'$T/a'" "$(jq -r .reason status.json)"
}

@test "--json-status-fd names the signal's status for a killed child" {
    run_supervisor --json-status-fd 9 -- sh -c 'kill -KILL $$' 9>status.json
    same "code" 137 "$(tail -n 1 status.json | jq '.["exit-code"]')"
    same "source" child "$(tail -n 1 status.json | jq -r .source)"
}

@test "systemd is told READY=1 once the child runs, and never a main pid but ours" {
    spawn notify socat -u UNIX-RECV:"$T/notify.sock" OPEN:"$T/messages",creat
    wait_until test -S notify.sock
    NOTIFY_SOCKET=$T/notify.sock start_supervisor vm -- "$FAKEVMM"
    wait_until has_line messages 'READY=1'
    refute grep -aE "MAINPID=" <(grep -av "MAINPID=$SUP\$" messages)
}

@test "systemd is told through an abstract socket too" {
    spawn notify socat -u ABSTRACT-RECV:"vls-$BASHPID" \
        OPEN:"$T/messages",creat
    wait_until has_line /proc/net/unix "@vls-$BASHPID"
    NOTIFY_SOCKET=@vls-$BASHPID start_supervisor vm -- "$FAKEVMM"
    wait_until has_line messages 'READY=1'
}

@test "systemd is told every state and its reason, and who the child is" {
    spawn notify socat -u UNIX-RECV:"$T/notify.sock" OPEN:"$T/messages",creat
    wait_until test -S notify.sock
    NOTIFY_SOCKET=$T/notify.sock start_supervisor vm -- "$FAKEVMM"
    wait_until has_line messages "STATUS=RUNNING: the child is process $CHILD"
    has_line messages 'STATUS=RUNNING: every lease is held'
    refute grep -aE 'STOPPING=1|EXTEND_TIMEOUT' messages
    kill "$SUP"
    ended "$SUP"
    wait_until has_line messages 'STATUS=STOPPING: stopped by SIGTERM'
    wait_until has_line messages 'STATUS=GONE: the child was killed by signal'
}

@test "systemd is asked for as much patience as the end may take" {
    spawn notify socat -u UNIX-RECV:"$T/notify.sock" OPEN:"$T/messages",creat
    wait_until test -S notify.sock
    NOTIFY_SOCKET=$T/notify.sock fake vm --stop-timeout 100 -- --ignore-term
    kill "$SUP"
    wait_until has_line messages 'EXTEND_TIMEOUT_USEC=115000000'
    has_line messages 'STOPPING=1'
    kill "$SUP"
    ended "$SUP"
    wait_until has_line messages 'EXTEND_TIMEOUT_USEC=20000000'
    wait_until has_line messages 'EXTEND_TIMEOUT_USEC=15000000'
}

@test "systemd is asked again for as long as a child cannot be killed" {
    requires_freezer
    spawn notify socat -u UNIX-RECV:"$T/notify.sock" OPEN:"$T/messages",creat
    wait_until test -S notify.sock
    NOTIFY_SOCKET=$T/notify.sock fake vm --
    group=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$group"
    echo "$CHILD" >"$group/cgroup.procs"
    echo FROZEN >"$group/freezer.state"
    wait_until has_line "$group/freezer.state" FROZEN
    spawn revoke "$LOCKCTL" revoke vm
    wait_until has_lines 2 messages 'EXTEND_TIMEOUT_USEC=20000000'
    echo THAWED >"$group/freezer.state"
    ended "$SUP"
}

@test "systemd is not told READY=1 where the command cannot be executed" {
    spawn notify socat -u UNIX-RECV:"$T/notify.sock" OPEN:"$T/messages",creat
    wait_until test -S notify.sock
    NOTIFY_SOCKET=$T/notify.sock run_supervisor -- /no/such
    same "exit status" 127 "$status"
    printf END | socat -u - UNIX-SENDTO:"$T/notify.sock"
    wait_until has_line messages END
    refute grep -a READY=1 messages
}

# --- names -----------------------------------------------------------------

@test "without --name the command's basename is the name" {
    spawn vm "$SUPERVISOR" --uuid "$(uuid 1)" -- "$FAKEVMM"
    wait_until vm_state "$(uuid 1)" RUNNING
    same "name" fakevmm "$(qmp "$(uuid 1)" query-status | jq -r .name)"
}

@test "without --uuid each supervisor makes one of its own" {
    fake one --
    fake two --
    uuids=$(find run -name '*.sock' -printf '%f\n' | sort -u)
    same "sockets" 2 "$(wc -l <<<"$uuids")"
    for uuid in $uuids; do
        matches uuid '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.sock$' "$uuid"
    done
}

@test "a uuid in capitals is the same uuid" {
    fake vm --uuid 6F0E0000-0000-4000-8000-00000000ABCD --
    test -S run/6f0e0000-0000-4000-8000-00000000abcd.sock
    run_supervisor --uuid 6f0e0000-0000-4000-8000-00000000abcd -- true
    same "exit status" 123 "$status"
}

@test "--id is shown and nothing else" {
    fake vm --uuid "$(uuid 1)" --id 42 --
    same "id" 42 "$(qmp "$(uuid 1)" query-status | jq -r .id)"
}

# --- order -----------------------------------------------------------------

@test "the command is executed only after every lease is held" {
    make_disk a b
    take b
    spawn vm "$SUPERVISOR" --uuid "$(uuid 1)" --wait --disk a --disk b -- \
        "$FAKEVMM" --ready "$T/ready"
    wait_until vm_state "$(uuid 1)" STARTING
    same "children" "" "$(cat "/proc/$PID/task/$PID/children")"
    refute test -e ready
    kill "$HOLDER"
    wait_until test -s ready
}

@test "--wait=SECONDS gives up with 123 in time and starts nothing" {
    make_disk a
    take a
    before=${EPOCHREALTIME/[.,]/}
    run_supervisor --wait=1 --disk a -- touch "$T/started"
    same "exit status" 123 "$status"
    elapsed=$(((${EPOCHREALTIME/[.,]/} - before) / 1000))
    [ "$elapsed" -ge 1000 ]
    [ "$elapsed" -lt 5000 ]
    refute test -e started
}

@test "a waiting supervisor keeps no lease while it waits" {
    make_disk a b
    take b
    spawn vm "$SUPERVISOR" --uuid "$(uuid 1)" --wait --disk a --disk b -- true
    wait_until vm_state "$(uuid 1)" STARTING
    wait_until "$TAKER" --try a
}

@test "the socket is gone before the supervisor's end is seen" {
    fake vm --uuid "$(uuid 1)" --
    kill "$CHILD"
    ended "$SUP"
    same "sockets" "" "$(find run -type s)"
}

@test "a stale socket of a supervisor that was killed is no obstacle" {
    fake vm --uuid "$(uuid 1)" --
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until gone "$CHILD"
    test -S "$(socket_of "$(uuid 1)")"
    fake again --uuid "$(uuid 1)" --
    vm_state "$(uuid 1)" RUNNING
}

# --- the child's user ------------------------------------------------------

@test "--user gives the child the user's ids and groups, and no others" {
    requires_root
    run_supervisor --user nobody -- sh -c 'id -u; id -g; id -G'
    same "ids" "$NOBODY $(id -g nobody) $(id -G nobody)" "${lines[*]}"
}

@test "--user and --group may be numbers" {
    requires_root
    run_supervisor --user "$NOBODY" --group 1 -- sh -c 'id -u; id -g; id -G'
    same "ids" "$NOBODY 1 1" "${lines[*]}"
}

@test "--group alone changes the group and keeps the user" {
    requires_root
    run_supervisor --group nogroup -- sh -c 'id -u; id -g'
    same "ids" "0 $(id -g nobody)" "${lines[*]}"
}

@test "the child of another user is still told of our death" {
    requires_root
    open_to_everyone
    run_supervisor --user nobody -- "$SHOWSELF" status
    matches status $'DeathSignal:\t9' "$output"
    matches status $'Uid:\t'"$NOBODY"$'\t'"$NOBODY"$'\t'"$NOBODY" "$output"
}

# --- words -----------------------------------------------------------------

@test "--log-level info shows every transition and its reason" {
    run_supervisor --name web1 --log-level info -- "$FAKEVMM" --exit 3
    matches stderr 'virt-lock-supervisor\[web1\]: STARTING -> RUNNING: .+' "$stderr"
    matches stderr 'virt-lock-supervisor\[web1\]: RUNNING -> GONE: .+' "$stderr"
}

@test "--version and --help answer on standard output and start nothing" {
    run_supervisor --version
    same "exit status" 0 "$status"
    matches version '^virt-lock-supervisor [0-9]+\.[0-9]+\.[0-9]+' "$output"
    run_supervisor --help
    same "exit status" 0 "$status"
    for option in disk lease param driver name uuid id run-dir state-dir wait \
        pid-fd pid-file json-status-fd user group stop-timeout control-group \
        control-group-rw log-level log-target version help; do
        matches help "--$option" "$output"
    done
    same "left behind" "" "$(left_behind)"
}

@test "the nop driver grants everything" {
    make_disk a
    fake one --driver nop --disk a --
    fake two --driver nop --disk a --
    lives "$(<one.ready)"
}
