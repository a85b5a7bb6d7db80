#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: looking on: list --watch, top, events --follow; and how it looks on a
# terminal

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    export TERM=xterm
    unset NO_COLOR
}

# watch [OPTION...]: virt-lockctl list --watch; $WATCHER is its number
watch() {
    spawn watch "$LOCKCTL" list --watch "$@"
    WATCHER=$PID
    wait_until test -s watch.out
}

# shows [NAME,STATE,CHILD,LEASES...]: the last table has these VMs, no others
shows() {
    same_words "$(printf '%s\n' "$@")" "$(awk 'BEGIN { RS = "" }
        { last = $0 }
        END { n = split(last, line, "\n")
              for (i = 2; i <= n; i++) {
                  split(line[i], word, " ")
                  print word[1] "," word[3] "," word[4] "," word[5] } }' \
        watch.out)"
}

same_words() {
    [ "$1" = "$2" ]
}

tables() {
    grep -c '^NAME' watch.out
}

# sleeps PID COUNT: it waits without end, in poll or ppoll, for COUNT things
sleeps() {
    local number count timeout
    read -r number _ count timeout _ <"/proc/$1/syscall"
    case $number,$timeout in
    7,0xffffffff | 271,0x0 | 73,0x0) [ "$((count))" = "$2" ] ;;
    *) false ;;
    esac
}

# terminal COMMAND...: on a new one; its output goes to terminal.out
terminal() {
    [ -e keys ] || mkfifo keys
    : >terminal.out
    spawn terminal "$PTYRUN" keys "$@"
    TERMINAL=$PID
}

type() {
    # shellcheck disable=SC2059  # the format is the text
    printf "$1" >keys
}

# screen REGEX: the last picture on the terminal has such a line
screen() {
    perl -0777 -ne 'print((split /\e\[H/)[-1])' terminal.out |
        sed 's/\x1b\[[?0-9;]*[a-zA-Z]//g' | grep -Eq -- "$1"
}

coloured() {
    grep -q $'\x1b\[[0-9;]*m' "$1"
}

# --- list --watch ----------------------------------------------------------

@test "list --watch shows VMs that come, change and go" {
    make_disk a b
    watch
    shows '' || fail "not empty: $(<watch.out)"
    fake web1 --uuid "$U" --disk a --
    wait_until shows "web1,RUNNING,$CHILD,1"
    first=$CHILD
    fake web2 --uuid "$(uuid 2)" -- --ignore-term
    wait_until shows "web1,RUNNING,$first,1" "web2,RUNNING,$CHILD,0"
    "$LOCKCTL" acquire web1 --disk b
    wait_until shows "web1,RUNNING,$first,2" "web2,RUNNING,$CHILD,0"
    "$LOCKCTL" release web1 --disk b
    wait_until shows "web1,RUNNING,$first,1" "web2,RUNNING,$CHILD,0"
    qmp "$(uuid 2)" shutdown '{"timeout": 1000}'
    wait_until shows "web1,RUNNING,$first,1" "web2,STOPPING,$CHILD,0"
    "$LOCKCTL" quit web1
    wait_until shows "web2,STOPPING,$CHILD,0"
    "$LOCKCTL" quit web2
    wait_until shows ''
    same "stderr" "" "$(<watch.err)"
}

@test "list --watch separates tables by an empty line, and none is twice" {
    watch
    fake web1 --uuid "$U" --
    wait_until shows "web1,RUNNING,$CHILD,0"
    "$LOCKCTL" quit web1
    wait_until shows ''
    same "empty lines" "$(($(tables) - 1))" "$(grep -c '^$' watch.out)"
    refute grep -q $'\x1b' watch.out
    awk 'BEGIN { RS = "" } $0 == last { exit 1 } { last = $0 }' watch.out
}

@test "list --watch --json is one array a line for each change" {
    watch --json
    same "at first" "[]" "$(head -n 1 watch.out)"
    fake web1 --uuid "$U" --
    wait_until has_line watch.out "\"child-pid\":$CHILD"
    "$LOCKCTL" quit web1
    last_is_empty() { [ "$(tail -n 1 watch.out)" = "[]" ]; }
    wait_until last_is_empty
    jq -es 'all(type == "array") and (map(length) | max) == 1' watch.out
    same "lines" "$(wc -l <watch.out)" "$(jq -c . watch.out | wc -l)"
    same "differing" "$(wc -l <watch.out)" "$(uniq watch.out | wc -l)"
}

@test "list --watch follows a VM that is started anew under its uuid" {
    watch
    fake web1 --uuid "$U" --
    wait_until shows "web1,RUNNING,$CHILD,0"
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until shows ''
    fake web9 --uuid "$U" --
    wait_until shows "web9,RUNNING,$CHILD,0"
    "$LOCKCTL" quit web9
    ended "$SUP"
    fake web1 --uuid "$U" --
    wait_until shows "web1,RUNNING,$CHILD,0"
}

@test "list --watch finds a run directory that is made later, or anew" {
    export VIRT_LOCK_RUN_DIR=$T/some/where/run
    watch
    fake web1 --uuid "$U" --
    wait_until shows "web1,RUNNING,$CHILD,0"
    "$LOCKCTL" quit web1
    wait_until shows ''
    rm -r some
    fake web2 --uuid "$(uuid 2)" --
    wait_until shows "web2,RUNNING,$CHILD,0"
    mv some/where/run elsewhere
    fake web3 --uuid "$(uuid 3)" --
    wait_until has_line watch.out "^web3 .*RUNNING *$CHILD "
}

@test "list --watch sleeps while nothing happens" {
    fake web1 --uuid "$U" --
    fake web2 --uuid "$(uuid 2)" --
    watch
    wait_until sleeps "$WATCHER" 4 # two VMs, stdout, the directory
    mkdir -p run
    : >run/rubbish.sock
    kill -KILL "$SUP"
    ended "$SUP"
    wait_until -t 20 sleeps "$WATCHER" 3
}

@test "list --watch waits for a socket that is listened on late" {
    watch
    mkdir -p run
    "$PYTHON" -S - "$(socket_of "$U")" >late.out 2>&1 3>&- <<'END' &
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
time.sleep(0.3)   # as long as it takes a supervisor that is not scheduled
s.listen()
c = s.accept()[0]
c.sendall(b'{"QMP": {}}\n')
for answer in ({}, {"name": "late", "uuid": "u", "state": "RUNNING",
                    "since": 1}):
    command = json.loads(c.recv(4096))
    c.sendall(json.dumps({"return": answer, "id": command["id"]}).encode())
c.recv(1)
END
    record $!
    wait_until has_line watch.out '^late .*RUNNING'
}

@test "an event that comes along with an answer is not left lying" {
    mkdir -p run
    "$PYTHON" -S - "$(socket_of "$U")" >peer.out 2>&1 3>&- <<'END' &
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print(1, flush=True)
c = s.accept()[0]
c.sendall(b'{"QMP": {}}\n')
event = b'{"event": "STATE_CHANGE", "data": {}, "timestamp": {}}\n'
for state in ("", "STARTING", "STOPPING", "RUNNING"):
    command = json.loads(c.recv(4096))
    answer = {"name": "vm", "uuid": "u", "state": state, "since": 1}
    line = json.dumps({"return": answer, "id": command["id"]}) + "\n"
    c.sendall(line.encode() + (event if state[:2] == "ST" else b""))
c.recv(1)
END
    record $!
    wait_until test -s peer.out
    watch
    wait_until has_line watch.out '^vm .*RUNNING'
}

# silent_sentence N M SUPERVISOR_UUID SECONDS: of whom cannot be asked
silent_sentence() {
    echo "virt-lockctl: cannot ask $1 of $2 supervisors: cannot connect to \
'$(socket_of "$3")': no answer in time; --timeout gives it longer than $4 s"
}

@test "a supervisor that is silent is told of, and shown when it goes on" {
    fake web1 --uuid "$U" --
    fake web2 --uuid "$(uuid 2)" --
    kill -STOP "$SUP"
    watch --timeout 0.5
    wait_until shows "web1,RUNNING,$(<web1.ready),0"
    wait_until test -s watch.err
    fake web3 --uuid "$(uuid 3)" --
    wait_until shows "web1,RUNNING,$(<web1.ready),0" "web3,RUNNING,$CHILD,0"
    wait_until sleeps "$WATCHER" 5 # two VMs, the silent one, stdout, directory
    kill -CONT "$(qmp_pid web2)"
    wait_until shows "web1,RUNNING,$(<web1.ready),0" \
        "web2,RUNNING,$(<web2.ready),0" "web3,RUNNING,$CHILD,0"
    same "stderr" "$(silent_sentence 1 2 "$(uuid 2)" 0.5)" "$(<watch.err)"
}

# qmp_pid NAME: the supervisor of a fake, as /proc tells
qmp_pid() {
    awk '/^PPid:/ { print $2 }' "/proc/$(<"$1.ready")/status"
}

@test "nobody waits for a supervisor that is silent" {
    fake web1 --uuid "$U" --
    fake web2 --uuid "$(uuid 2)" --
    kill -STOP "$SUP"
    spawn events "$LOCKCTL" events --follow --json
    watch
    wait_until -t 5 shows "web1,RUNNING,$(<web1.ready),0"
    fake web3 --uuid "$(uuid 3)" --
    wait_until -t 5 shows "web1,RUNNING,$(<web1.ready),0" \
        "web3,RUNNING,$CHILD,0"
    # It may be followed before its child is there, and so tell of that, too.
    wait_until -t 5 has_line events.out '"FOLLOWED".*"name":"web3"'
    "$LOCKCTL" quit "$(uuid 3)"
    wait_until -t 5 has_line events.out '"ENDED".*"name":"web3"'
    same "first" FOLLOWED "$(events web3 | head -n 1)"
    same "last" "STATE_CHANGE CHILD_EXIT STATE_CHANGE RELEASED ENDED" \
        "$(events web3 | tail -n 5 | xargs)"
    kill -KILL "$(qmp_pid web2)" # it has never answered, and is no more
    wait_until sleeps "$WATCHER" 3
    same "stderr" "" "$(<watch.err)$(<events.err)"
}

@test "followers say whom they cannot ask, once for each change of it" {
    fake web1 --uuid "$U" --
    fake web2 --uuid "$(uuid 2)" --
    kill -STOP "$SUP"
    spawn follow "$LOCKCTL" events --follow --timeout 0.3
    wait_until test -s follow.err
    spawn events "$LOCKCTL" events --timeout 0.3
    wait_until test -s events.err
    lockctl list --timeout 0.3
    same "list" "$(silent_sentence 1 2 "$(uuid 2)" 0.3)" "$stderr"
    same "events --follow" "$stderr" "$(<follow.err)"
    same "events" "$stderr" "$(<events.err)"
    "$LOCKCTL" quit "$U" # the set is the same, though they are fewer
    wait_until has_line follow.out 'web1 ENDED'
    kill -CONT "$SUP"
    wait_until has_line follow.out 'web2 FOLLOWED'
    same "sentences" 1 "$(wc -l <follow.err)"
}

@test "events ends with status 1 where somebody could not be asked" {
    fake web2 --uuid "$(uuid 2)" --
    kill -STOP "$SUP"
    lockctl events --timeout 0.3
    same "exit status" 1 "$status"
    same "stderr" "$(silent_sentence 1 1 "$(uuid 2)" 0.3)" "$stderr"
    kill -CONT "$SUP"
}

@test "a member that stops answering is told of, and shown when it goes on" {
    mkdir -p run
    mkfifo go
    "$PYTHON" -S - "$(socket_of "$U")" >peer.out 2>&1 3>&- <<'END' &
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print(1, flush=True)
c = s.accept()[0]
c.sendall(b'{"QMP": {}}\n')
for state in ("", "STARTING", "RUNNING"):
    command = json.loads(c.recv(4096))
    answer = {"name": "vm", "uuid": "u", "state": state, "since": 1}
    if state == "RUNNING":
        open("go").read()
    c.sendall(json.dumps({"return": answer, "id": command["id"]}).encode())
    if state == "STARTING":
        c.sendall(b'{"event": "X", "data": {}, "timestamp": {}}\n')
c.recv(1)
END
    record $!
    wait_until test -s peer.out
    watch --timeout 0.5
    wait_until test -s watch.err
    same "stderr" "$(silent_sentence 1 1 "$U" 0.5)" "$(<watch.err)"
    wait_until shows ''
    wait_until sleeps "$WATCHER" 3
    : >go
    wait_until has_line watch.out '^vm .*RUNNING'
    same "sentences" 1 "$(wc -l <watch.err)"
}

@test "a supervisor that takes no connection is tried again, ever more rarely" {
    mkdir -p run
    mkfifo go
    "$PYTHON" -S - "$(socket_of "$U")" >peer.out 2>&1 3>&- <<'END' &
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(0)
other = socket.socket(socket.AF_UNIX)
other.connect(sys.argv[1])
print(1, flush=True)
open("go").read()
s.accept()
c = s.accept()[0]
c.sendall(b'{"QMP": {}}\n')
for answer in ({}, {"name": "vm", "uuid": "u", "state": "RUNNING", "since": 1}):
    command = json.loads(c.recv(4096))
    c.sendall(json.dumps({"return": answer, "id": command["id"]}).encode())
c.recv(1)
END
    record $!
    wait_until test -s peer.out
    watch --timeout 0.5
    wait_until test -s watch.err
    same "stderr" "$(silent_sentence 1 1 "$U" 0.5)" "$(<watch.err)"
    : >go
    wait_until has_line watch.out '^vm .*RUNNING'
    wait_until sleeps "$WATCHER" 3
    same "sentences" 1 "$(wc -l <watch.err)"
}

@test "list --watch ends when nobody reads it any more" {
    mkfifo pipe
    spawn reader head -n 1 pipe
    "$LOCKCTL" list --watch >pipe 2>watch.err 3>&- &
    watcher=$!
    record "$watcher"
    wait_until gone "$watcher"
    same "stderr" "" "$(<watch.err)"
}

@test "a run directory that cannot be watched is an error" {
    : >file
    lockctl list --watch --run-dir file
    same "exit status" 1 "$status"
    same "stderr" "virt-lockctl: cannot watch '$T/file': Not a directory" \
        "$stderr"
    for words in "status vm --watch" "list --follow" "list --interval 2" \
        "top --interval 0" "top --interval x" "list --watch vm"; do
        # shellcheck disable=SC2086  # words
        lockctl $words
        same "exit status of '$words'" 2 "$status"
    done
}

# --- on a terminal ---------------------------------------------------------

@test "list --watch draws on the terminal, and gives it back" {
    terminal "$LOCKCTL" list --watch
    wait_until screen '^NAME '
    fake web1 --uuid "$U" --
    wait_until screen "^web1 .*RUNNING *$CHILD"
    "$LOCKCTL" quit web1
    gone_from_screen() { ! screen '^web1'; }
    wait_until gone_from_screen
    type q
    ended "$TERMINAL"
    same "exit status" 0 "$STATUS"
    head -c 8 terminal.out | grep -q $'^\x1b\[?1049h'
    tail -c 8 terminal.out | grep -q $'\x1b\[?1049l$'
    refute grep -q $'\x1b\[2J' terminal.out # clearing it all would flicker
}

@test "^C ends it with status 0, other signals as they end any program" {
    for how in type\ '\003' 'pass TERM' 'pass HUP'; do
        terminal sh -c 'echo $$ >number; trap : INT
            stty -a >before; "$0" list --watch; echo $? >status
            stty -a >after' "$LOCKCTL"
        wait_until screen '^NAME '
        case $how in
        pass*)
            child=$(pgrep -P "$(<number)" -x virt-lockctl)
            kill -s "${how#pass }" "$child"
            ;;
        *) type '\003' ;;
        esac
        ended "$TERMINAL"
        case $how in
        type*) same "exit status" 0 "$(<status)" ;;
        *TERM) same "exit status of TERM" 143 "$(<status)" ;;
        *HUP) same "exit status of HUP" 129 "$(<status)" ;;
        esac
        diff before after || fail "the terminal is not as it was"
        grep -q $'\x1b\[?1049l' terminal.out
    done
}

@test "^C ends it with status 0 though nothing is typed into it" {
    for command in "list --watch" top; do
        # shellcheck disable=SC2086  # words
        terminal sh -c 'trap : INT; "$0" "$@" </dev/null; echo $? >status' \
            "$LOCKCTL" $command
        wait_until screen '^NAME '
        type '\003'
        ended "$TERMINAL"
        same "exit status of $command" 0 "$(<status)"
    done
}

# sized ROWS COLUMNS COMMAND...: on a terminal of that size
sized() {
    terminal sh -c 'stty rows "$1" cols "$2"; shift 2; exec "$@"' sh "$@"
}

@test "names and uuids are shortened where the terminal is narrow" {
    long=a-very-long-name-of-a-machine-that-nobody-can-remember
    since='20[0-9-]{8} [0-9:]{8}.?$' # a CR
    fake vm --name "$long" --uuid "$U" --
    sized 24 120 "$LOCKCTL" list --watch
    wait_until screen "^${long:0:32}.*…  $U  RUNNING  $CHILD .* $since"
    type q
    ended "$TERMINAL"
    sized 24 80 "$LOCKCTL" list --watch
    wait_until screen "^${long:0:15}…  ${U:0:8}.*…  RUNNING  $CHILD .* $since"
    type q
    ended "$TERMINAL"
    sized 24 64 "$LOCKCTL" top
    wait_until screen "^a-very-.*…  RUNNING .* $CHILD .* [0-9.]+.?$"
    longest() {
        sed 's/\x1b\[H/\n/g; s/\x1b\[[?0-9;]*[a-zA-Z]//g; s/\r//g' terminal.out |
            perl -CS -lne 'print length' | sort -n | tail -n 1
    }
    [ "$(longest)" -le 64 ]
    type q
    ended "$TERMINAL"
    "$LOCKCTL" list | grep -q "^$long " # nothing is, elsewhere
}

@test "rows that a terminal has no room for are counted, who is silent stands" {
    for i in 1 2 3; do
        fake "web$i" --uuid "$(uuid "$i")" --
    done
    sized 3 120 "$LOCKCTL" list --watch
    wait_until screen '^2 more'
    screen '^web1 '
    refute screen '^web2 '
    type q
    ended "$TERMINAL"
    kill -STOP "$SUP"
    sized 6 40 "$LOCKCTL" list --watch --timeout 0.3
    wait_until screen '^NAME'
    wait_until screen '^cannot ask 1 of 3 supervisors'
    type q
    ended "$TERMINAL"
    sized 12 40 "$LOCKCTL" list --watch --timeout 0.3
    wait_until screen 'longer than 0.3 s'
    screen '^web2 '
    type q
    ended "$TERMINAL"
    kill -CONT "$SUP"
}

@test "what is not seen, or turns a line, never reaches the terminal" {
    # U+202E, U+200B, U+2066, and U+200D (a joiner)
    fake vm --uuid "$U" --name \
        $'a\xe2\x80\xaeb\xe2\x80\x8bc\xe2\x81\xa6d\xe2\x80\x8de' --
    "$LOCKCTL" list | grep -q $'^a?b?c?d\xe2\x80\x8de '
    "$LOCKCTL" status "$U" | grep -q $'^name: *a?b?c?d\xe2\x80\x8de$'
}

@test "^Z gives the terminal back until it is continued" {
    terminal sh -c 'echo $$ >number; exec "$0" list --watch' \
        "$LOCKCTL"
    wait_until screen '^NAME '
    kill -TSTP "$(<number)"
    wait_until state_is "$(<number)" T
    tail -c 8 terminal.out | grep -q $'\x1b\[?1049l$'
    kill -CONT "$(<number)"
    wait_until screen '^NAME '
    type q
    ended "$TERMINAL"
    same "exit status" 0 "$STATUS"
}

@test "colours are for terminals that want them" {
    fake web1 --uuid "$U" --
    for command in "list" "leases web1" "status web1"; do
        # shellcheck disable=SC2086  # words
        terminal "$LOCKCTL" $command
        ended "$TERMINAL"
        coloured terminal.out || fail "'$command' has no colours"
        for without in NO_COLOR=1 TERM=dumb TERM=; do
            # shellcheck disable=SC2086  # words
            terminal env "$without" "$LOCKCTL" $command
            ended "$TERMINAL"
            test -s terminal.out
            refute coloured terminal.out
        done
        # shellcheck disable=SC2086  # words
        terminal "$LOCKCTL" $command --json
        ended "$TERMINAL"
        test -s terminal.out
        refute coloured terminal.out
        # shellcheck disable=SC2086  # words
        lockctl $command
        refute coloured run.out
    done
    terminal env NO_COLOR= "$LOCKCTL" list
    ended "$TERMINAL"
    grep -q $'\x1b\[32mRUNNING\x1b\[0m' terminal.out
    grep -q $'\x1b\[1mNAME\x1b\[0m' terminal.out
}

@test "only states are coloured, and columns stay aligned" {
    fake RUNNING --uuid "$U" --
    fake web2 --uuid "$(uuid 2)" -- --ignore-term
    qmp "$(uuid 2)" shutdown '{"timeout": 1000}'
    terminal "$LOCKCTL" list
    ended "$TERMINAL"
    same "states in green" 1 "$(grep -o $'\x1b\[32m' terminal.out | wc -l)"
    grep -q $'\x1b\[33mSTOPPING\x1b\[0m' terminal.out
    "$LOCKCTL" list >plain
    sed 's/\x1b\[[0-9;]*m//g; s/\r$//' terminal.out | diff plain -
}

# --- top -------------------------------------------------------------------

@test "top lists what VMs use, the largest first" {
    requires_sight
    fake small --uuid "$U" --
    start_supervisor large --uuid "$(uuid 2)" -- \
        "$PYTHON" -SE -c 'import time
b = bytearray(32 << 20)
print(1, flush=True)
time.sleep(1000)'
    large=$CHILD
    wait_until test -s large.out
    lockctl top
    same "header" "NAME STATE AGE LEASES CHILD PSS SUP-PSS CPU%" \
        "$(tr -s ' ' <<<"${lines[0]}")"
    matches first "^large +RUNNING +[0-9]+s +0 +$large +3[0-9]\.[0-9]M +[0-9.]+[KM] +[0-9.]+$" \
        "${lines[1]}"
    matches second "^small +RUNNING .* [0-9]+K " "${lines[2]}"
    lockctl top --json
    jq -e 'map(.name) == ["large", "small"]' run.out
    jq -e '.[0] | .pss > 33554432 and .["supervisor-pss"] > 50000 and
        .["child-pid"] == '"$large"' and .leases == 0 and .age < 100 and
        .cpu >= 0 and .state == "RUNNING"' run.out
}

@test "what top may not read is a dash" {
    requires_root
    requires setpriv
    open_to_everyone
    fake web1 --uuid "$U" --control-group "$NOBODY" --
    chmod o+x run
    run_program setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$LOCKCTL" top
    same "exit status: $stderr" 0 "$status"
    matches row "^web1 +RUNNING .* $CHILD +- +- +[0-9.]+$" "${lines[1]}"
    run_program setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$LOCKCTL" top --json
    jq -e '.[0] | has("pss") or has("supervisor-pss") | not' run.out
}

@test "top looks again on a terminal until q" {
    fake web1 --uuid "$U" --
    terminal "$LOCKCTL" top --interval 0.1
    wait_until screen '^web1 .*RUNNING'
    wait_until screen '^web1 .* 1s ' # its age has grown, though nothing came
    fake web2 --uuid "$(uuid 2)" --
    wait_until screen '^web2 .*RUNNING'
    type q
    ended "$TERMINAL"
    same "exit status" 0 "$STATUS"
}

# --- events --follow -------------------------------------------------------

events() {
    jq -r --arg name "$1" 'select(.vm.name == $name) | .event' events.out
}

# told NAME EVENT...: these and no others
told() {
    local name=$1
    shift
    same_words "$(printf '%s\n' "$@")" "$(events "$name")"
}

@test "events --follow tells of VMs that start later, and does not end" {
    fake web1 --uuid "$U" --
    spawn events "$LOCKCTL" events --follow --json
    follower=$PID
    wait_until told web1 FOLLOWED
    "$LOCKCTL" quit web1
    wait_until told web1 FOLLOWED STATE_CHANGE CHILD_EXIT STATE_CHANGE \
        RELEASED ENDED
    fake web2 --uuid "$U" --
    wait_until has_line events.out '"FOLLOWED".*"name":"web2"'
    kill -KILL "$SUP"
    wait_until has_line events.out '"ENDED".*"name":"web2"'
    refute has_line events.out '"RELEASED".*"name":"web2"'
    jq -es 'all(.timestamp.seconds > 0 and (.vm.uuid | length) == 36)' \
        events.out
    lives "$follower"
    wait_until sleeps "$follower" 2
}

@test "events VM --follow waits for that VM, by name or uuid" {
    for vm in web1 "$U"; do
        spawn events "$LOCKCTL" events "$vm" --follow --json
        wait_until sleeps "$PID" 2
        fake web2 --uuid "$(uuid 2)" --
        fake web1 --uuid "$U" --
        wait_until has_line events.out '"FOLLOWED".*"name":"web1"'
        "$LOCKCTL" quit web1
        wait_until has_line events.out '"ENDED".*"name":"web1"'
        "$LOCKCTL" quit web2
        refute has_line events.out web2
        kill "$PID"
        ended "$PID"
    done
}

@test "events without --follow does not look out for others" {
    fake web1 --uuid "$U" --
    first=$SUP
    spawn events "$LOCKCTL" events
    wait_until sleeps "$PID" 2
    fake web2 --uuid "$(uuid 2)" --
    "$LOCKCTL" quit web1
    ended "$first"
    ended "$PID"
    same "exit status" 0 "$STATUS"
    refute grep -qE 'web2|FOLLOWED|ENDED' events.out
}

@test "events tell of leases and of the child, in words" {
    make_disk a b
    start_supervisor other --uuid "$(uuid 2)" --disk b -- sleep 1000
    fake web1 --uuid "$U" --
    spawn events "$LOCKCTL" events web1
    wait_until sleeps "$PID" 2
    "$LOCKCTL" acquire web1 --disk a
    lockctl acquire web1 --disk b
    same "exit status" 123 "$status"
    "$LOCKCTL" release web1 --disk a
    "$LOCKCTL" quit web1
    ended "$PID"
    has_line events.out "web1 LEASE_ACQUIRED disk '$T/a'$"
    has_line events.out "web1 LEASE_DENIED disk '$T/b': cannot acquire .*'other'"
    has_line events.out "web1 LEASE_RELEASED disk '$T/a'$"
}

@test "CHILD_START comes when the child's exec has worked" {
    spawn events "$LOCKCTL" events --follow --json
    wait_until sleeps "$PID" 2
    make_disk a
    take a
    spawn sup "$SUPERVISOR" --uuid "$U" --name web1 --disk a --wait -- \
        sleep 1000
    wait_until has_line events.out FOLLOWED
    kill "$HOLDER"
    wait_until told web1 FOLLOWED STATE_CHANGE CHILD_START
    same "pid" "$("$LOCKCTL" child web1)" \
        "$(jq 'select(.event == "CHILD_START").data.pid' events.out)"
    "$LOCKCTL" quit web1
}

@test "CHILD_START comes again for a descendant that is the child by then" {
    spawn events "$LOCKCTL" events --follow --json
    wait_until sleeps "$PID" 2
    make_disk a
    take a
    spawn sup "$SUPERVISOR" --uuid "$U" --name web1 --disk a --wait -- \
        "$FAKEVMM" --daemonize --ready "$T/ready"
    wait_until has_line events.out FOLLOWED
    kill "$HOLDER"
    wait_until told web1 FOLLOWED STATE_CHANGE CHILD_START CHILD_EXIT \
        CHILD_START
    same "the last" "$("$LOCKCTL" child web1)" \
        "$(jq 'select(.event == "CHILD_START").data.pid' events.out | tail -n 1)"
    same "differing" 2 \
        "$(jq 'select(.event == "CHILD_START").data.pid' events.out | uniq | wc -l)"
    "$LOCKCTL" quit web1
}
