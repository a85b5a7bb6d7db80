#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: every error of virt-lockctl is one sentence, with what to type next
#
# Each is provoked. In a table's expected sentence "..." stands for anything,
# and for the rest it is literal.

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
}

# sentence STATUS EXPECTED [ARG...]: what virt-lockctl says of the arguments
sentence() {
    local code=$1 expected=$2
    shift 2
    lockctl "$@"
    is_sentence "$code" "$expected" "$*"
}

is_sentence() {
    same "exit status of '$3' ($stderr)" "$1" "$status"
    same "lines of '$3'" 1 "${#stderr_lines[@]}"
    same "stdout of '$3'" "" "$output"
    # shellcheck disable=SC2053 # a pattern it is
    [[ $stderr == $(pattern "virt-lockctl: $2") ]] ||
        fail "'$3': expected '$2', got '$stderr'"
}

# "..." becomes "*", all else is taken as it is
pattern() {
    local text=${1//\\/\\\\}
    text=${text//\*/\\*}
    text=${text//\[/\\[}
    text=${text//\?/\\?}
    printf '%s' "${text//.../*}"
}

# as_nobody COMMAND...
as_nobody() {
    run_program setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups "$@"
}

# fake_peer TEXT: who listens on VM $U's socket and says this, then hangs up
# when it is spoken to
fake_peer() {
    mkdir -p run
    "$PYTHON" -S - "$(socket_of "$U")" "$1" >peer.out 2>&1 3>&- <<'END' &
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print(1, flush=True)
while True:
    c = s.accept()[0]
    c.sendall(sys.argv[2].encode())
    if sys.argv[2]:
        c.recv(4096)
    c.close()
END
    record $!
    wait_until test -s peer.out
}

@test "wrong command lines" {
    local see="; see 'virt-lockctl --help'"
    while IFS='|' read -r words expected; do
        # shellcheck disable=SC2086  # words
        sentence 2 "$expected$see" $words
    done <<'END'
|cannot run: no command is given
frobnicate|cannot run 'frobnicate': there is no such command
list --frobnicate|cannot understand the command line: Unknown option --frobnicate
list --json=false|cannot understand the command line: --json takes no value
list --timeout|cannot understand the command line: Missing argument for --timeout
status|cannot run 'status': it needs a VM
holder|cannot run 'holder': it needs a PATH
status a b|cannot run 'status': 'b' is too much
list a|cannot run 'list': 'a' is too much
acquire web1|cannot run 'acquire': it needs --disk
list --disk x|cannot run 'list': it takes no --disk
list --force|cannot run 'list': it takes no --force
quit web1 --reason x|cannot run 'quit': it takes no --reason
list --lockspace x|cannot run 'list': it takes no --lockspace
holder x --lockspace=|cannot run 'holder': --lockspace is empty
status web1 --watch|cannot run 'status': it takes no --watch
list --follow|cannot run 'list': it takes no --follow
list --interval 1|cannot run 'list': it takes no --interval
acquire web1 --disk a --disk b|cannot run 'acquire': one --disk at a time
list --timeout soon|cannot use --timeout 'soon': not a number of seconds from 0.001 to 86400
shutdown web1 --timeout -1|cannot use --timeout '-1': not a number of seconds from 0 to 86400
top --interval 0|cannot use --interval '0': not a number of seconds from 0.1 to 86400
acquire web1 --disk x,exclusive|cannot use disk '...x': ',exclusive' is neither ',readonly' nor ',shared' (a comma in the path is doubled)
acquire web1 --disk=|cannot use disk '': the path is empty
list --run-dir=|cannot find the run directory: the name is empty
END
    sentence 2 "cannot run 'revoke': --reason is not UTF-8$see" \
        revoke web1 --reason $'\xff'
    sentence 2 "cannot run 'status': it needs a VM$see" \
        status --reason --json=x
    sentence 2 "cannot use disk '...': the path is not UTF-8$see" \
        holder $'\xff'
}

@test "a run directory that is named must be there, the default need not" {
    for command in list "list --watch" events "events --follow" top \
        "status web1" "holder x"; do
        # shellcheck disable=SC2086  # words
        sentence 1 "cannot open '$T/typo': No such file or directory" \
            --run-dir typo $command
    done
    lockctl list
    same "exit status" 0 "$status"
}

@test "VMs that are not there, or there twice" {
    sentence 1 "cannot find VM 'web1': no supervisor in '$T/run' answers for \
it; 'virt-lockctl list' shows those that run (with --run-dir those of another \
directory)" status web1
    fake web1 --uuid "$U" --
    fake web1 --uuid "$(uuid 2)" --
    sentence 1 "cannot choose VM 'web1': 2 have that name: ...$U...; name one \
by its uuid" quit web1
}

@test "supervisors that cannot be asked" {
    fake web1 --uuid "$U" --
    kill -STOP "$SUP"
    sentence 1 "cannot connect to '$(socket_of "$U")': no answer in time; \
--timeout gives it longer than 0.1 s" --timeout 0.1 status "$U"
    sentence 1 "cannot find VM 'web1': cannot ask 1 of 1 supervisors: cannot \
connect to '$(socket_of "$U")': no answer in time; --timeout gives it longer \
than 0.1 s" --timeout 0.1 status web1
    kill -CONT "$SUP"
    : >file
    sentence 1 "cannot find VM 'web1': cannot open '$T/file': Not a directory" \
        status web1 --run-dir file
    sentence 1 "cannot watch '$T/file': Not a directory" \
        list --watch --run-dir file
    sentence 1 "cannot watch '$T/file': Not a directory" \
        events --follow --run-dir file
}

@test "peers that are no supervisors" {
    fake_peer '{"hello": 1}'
    sentence 1 "cannot connect to '...': what listens there is no supervisor" \
        status "$U"
}

@test "peers that answer, but not as a supervisor does" {
    mkdir -p run
    "$PYTHON" -S - "$(socket_of "$U")" >peer.out 2>&1 3>&- <<'END' &
import json, socket, sys, threading
def serve(c):
    c.sendall(b'{"QMP": {}}\n')
    while data := c.recv(4096):
        number = json.loads(data)["id"]
        c.sendall(json.dumps({"return": {}, "id": number}).encode())
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print(1, flush=True)
while True:
    threading.Thread(target=serve, args=[s.accept()[0]], daemon=True).start()
END
    record $!
    wait_until test -s peer.out
    sentence 1 "cannot ask '$U': it does not answer as a supervisor does" \
        status "$U"
    for command in list top events; do
        lockctl "$command"
        same "exit status of $command" 1 "$status"
        matches "$command" "^virt-lockctl: cannot ask 1 of 1 supervisors: .*\
it does not answer as a supervisor does$" "$stderr"
        refute grep -v '^NAME ' run.out
    done
}

@test "peers that talk rubbish" {
    fake_peer 'rubbish'
    sentence 1 "cannot connect to '...': ..." status "$U"
}

@test "peers that hang up" {
    fake_peer ''
    sentence 1 "cannot connect to '...': it has hung up: it admits root, its \
own user and its --control-group" status "$U"
}

@test "who has no right" {
    requires_root
    requires setpriv
    open_to_everyone
    make_disk a b
    chmod 600 a b
    fake web1 --uuid "$U" --disk "$T/a" --control-group "$NOBODY" --
    fake web2 --uuid "$(uuid 2)" --
    chmod o+x run
    as_nobody "$LOCKCTL" quit "$U"
    is_sentence 1 "cannot ...: ...may only query...; run it as root, or be in \
a --control-group with --control-group-rw" "quit"
    as_nobody "$LOCKCTL" status "$(uuid 2)"
    is_sentence 1 "cannot connect to '...': Permission denied; run it as root, \
or be in the VM's --control-group" "status"
    as_nobody "$LOCKCTL" acquire web1 --disk "$T/b"
    is_sentence 1 "cannot open '$T/b': Permission denied; run it as root" \
        "acquire"
    chmod 700 run
    as_nobody "$LOCKCTL" list --json
    same "stdout" "[]" "$output"
    output=
    is_sentence 1 "cannot open '$T/run': Permission denied; run it as root, or \
be in the VM's --control-group" "list"
    as_nobody "$LOCKCTL" events
    is_sentence 1 "cannot open '$T/run': Permission denied; run it as root, or \
be in the VM's --control-group" "events"
    chmod o+rx run
    as_nobody "$LOCKCTL" holder "$T/b"
    is_sentence 1 "cannot see whether '$T/b' is held: cannot open '$T/b': \
Permission denied; run it as root" "holder"
}

@test "disks that cannot be had, or given up" {
    make_disk a b 'c d'
    start_supervisor other --uuid "$(uuid 2)" --disk 'c d' -- sleep 1000
    start_supervisor web1 --uuid "$U" --disk a -- \
        bash -c 'exec 5<>a; exec sleep 1000'
    wait_until test -e "/proc/$CHILD/fd/5"
    sentence 123 "cannot acquire '$T/c d': held by 'other' (...) since ...; \
'virt-lockctl holder '$T/c d'' tells who has it" \
        acquire web1 --disk 'c d'
    sentence 1 "cannot open '$T/nowhere': No such file or directory" \
        acquire web1 --disk nowhere
    sentence 1 "cannot ...: ..." acquire web1 --disk "$T"
    sentence 1 "cannot ...: ..." acquire web1 --disk a
    sentence 1 "cannot find disk '$T/b': the VM has no such lease; \
'virt-lockctl leases web1' lists those it has" release web1 --disk b
    sentence 1 "cannot find disk '$T/b': the VM has no such lease; \
'virt-lockctl leases web1' lists those it has" revoke web1 --disk b
    sentence 1 "cannot release '$T/a': still open by ...; unplug it first \
('virt-lockctl release web1 --disk $T/a --force' frees it all the same, which \
can destroy it)" release web1 --disk a
}

# hinted: what the last error has told to type, typed
hinted() {
    local command
    command=$(sed -n "s/.*'virt-lockctl \(.*\)' frees it.*/\1/p;
        s/.*'virt-lockctl \(.*\)' lists.*/\1/p;
        s/.*'virt-lockctl \(.*\)' tells who.*/\1/p" run.err)
    [ "$command" ] || fail "no hint in '$stderr'" || return 1
    eval "lockctl $command"
}

@test "what is told to type works: commas, names like options" {
    make_disk 'a,b' 'c,d'
    start_supervisor -vm --uuid "$U" --disk 'a,,b' -- \
        bash -c 'exec 5<>a,b; exec sleep 1000'
    wait_until test -e "/proc/$CHILD/fd/5"
    sentence 1 "cannot find disk '$T/c,d': the VM has no such lease; \
'virt-lockctl leases -- -vm' lists those it has" \
        revoke --disk 'c,,d' -- -vm
    hinted
    same "exit status ($stderr)" 0 "$status"
    sentence 1 "cannot release '$T/a,b': still open by ...; unplug it first \
('virt-lockctl release --disk $T/a,,b --force -- -vm' frees it all the same, \
which can destroy it)" release --disk a,,b -- -vm
    hinted
    same "exit status ($stderr)" 0 "$status"
    "$LOCKCTL" acquire --disk a,,b -- -vm
    fake web1 --uuid "$(uuid 2)" --
    sentence 123 "cannot acquire '$T/a,b': held by '-vm' ...; 'virt-lockctl \
holder $T/a,b' tells who has it" acquire web1 --disk a,,b
    hinted
    same "exit status ($stderr)" 0 "$status"
}

@test "what a VM's state does not allow" {
    make_disk a
    take a
    spawn sup "$SUPERVISOR" --name 'my vm' --uuid "$U" --disk a --wait -- true
    wait_until vm_state "$U" STARTING
    sentence 1 "cannot name the child: there is none; 'virt-lockctl status \
'my vm'' tells why" child 'my vm'
    sentence 1 "cannot ...STARTING; 'virt-lockctl status 'my vm'' tells more" \
        acquire 'my vm' --disk a
}

@test "ends that do not come" {
    requires_freezer
    fake web1 --uuid "$U" --
    FROZEN=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$FROZEN"
    echo "$CHILD" >"$FROZEN/cgroup.procs"
    echo FROZEN >"$FROZEN/freezer.state"
    wait_until has_line "$FROZEN/freezer.state" FROZEN
    for command in quit revoke; do
        sentence 1 "cannot wait for the end of 'web1' any longer: it is still \
there; 'virt-lockctl status web1' tells more" --timeout 0.2 "$command" web1
    done
    spawn quit "$LOCKCTL" quit web1
    wait_until connected "$PID"
    kill -KILL "$SUP"
    ended "$PID"
    same "exit status" 1 "$STATUS"
    matches sentence "^virt-lockctl: cannot tell whether 'web1' is gone: the \
connection ended before its leases were released; see 'virt-lockctl list'$" \
        "$(<quit.err)"
}

# It waits for the end, in poll: without end, too.
connected() {
    local number timeout
    read -r number _ _ timeout _ <"/proc/$1/syscall"
    case $number,$timeout in
    7,0xffffffff | 271,0x0 | 73,0x0) ;;
    *) false ;;
    esac
}

@test "holder" {
    make_disk a
    sentence 1 "cannot look at '$T/nowhere': No such file or directory" \
        holder nowhere
    sentence 1 "cannot look into lockspace '$T/nowhere': No such file or \
directory" holder a --lockspace nowhere
    sentence 1 "cannot look into lockspace '$T/a': it is not a directory" \
        holder a --lockspace a
    sentence 1 "cannot tell who holds '$T': it is neither a file nor a block \
device" holder "$T"
}

# full [ARG...]: what cannot be written to a full device is said, at once
full() {
    status=0
    timeout --foreground 20 "$LOCKCTL" "$@" >/dev/full 2>err 3>&- || status=$?
    same "exit status of $*" 1 "$status"
    same "stderr of $*" "virt-lockctl: cannot write the answer: No space left \
on device" "$(<err)"
}

@test "what cannot be written" {
    fake web1 --uuid "$U" --
    [ -w /dev/full ] || cannot_run "no /dev/full"
    full list
    full list --watch
    full list --watch --json
    full events --follow
    full status web1
    full top
    full --help
    full --version
}
