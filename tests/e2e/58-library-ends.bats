#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: managers that end, and come back; and what the library leaves alone
#
# A manager is killed at each of its system calls, one after the other, and the
# process that is to become the VM is, too. What is found after that is a VM
# with all its leases, or none and nothing held; never anything between.

load ../lib/common
load ../lib/libcall

BAD_ARGUMENT=7 NO_SUPERVISOR=4 TIMEOUT=8

setup() {
    libcall_setup
}

teardown() {
    libcall_teardown
}

# --- restart -----------------------------------------------------------------

@test "a manager that has restarted finds its VM, and the leases" {
    running
    works AcquireResource disk "$T/hot" readonly
    works AcquireResource lease pool:ip1
    works GetLeases
    local leases=$SAID
    kill -KILL "$MANAGER"
    ended "$MANAGER"
    restarted
    works GetChildPidfd
    same "pidfd" "$CHILD cloexec $(pidfd_inode "$CHILD")" "$SAID"
    works GetLeases
    same "leases" "$leases" "$SAID"
    matches "leases" "disk,readonly,HELD,$T/hot" "$SAID"
    works GetStatus
    same "status" "$U web1 17 RUNNING $SUP" "$SAID"
    works ReleaseResource disk "$T/hot"
    works Shutdown
    all_over
}

@test "a name, an id or a uuid that is not the VM's is refused" {
    local key
    running
    for key in name id; do
        manager "other-$key"
        new_manager attach
        works SetParameter "$key" other
        fails $BAD_ARGUMENT \
            "cannot use the supervisor of VM '$U': its $key is '(web1|17)'" \
            GetChild
        fails $BAD_ARGUMENT "its $key is" GetLeases
        works Free
    done
    lives "$CHILD"
    manager other-uuid
    new_manager attach
    works SetParameter uuid "$(uuid 2)"
    fails $NO_SUPERVISOR "$(uuid 2)" GetChild
    works Free
    works New attach
    works SetParameter uuid "$U"
    works GetChild
    same "child, by uuid alone" "$CHILD" "$SAID"
}

@test "where nothing is there, nothing is found" {
    manager
    new_manager attach
    for call in GetChild GetChildPidfd GetLeases GetStatus; do
        quickly fails $NO_SUPERVISOR "$U" "$call"
    done
    refute test -e run
    # What a supervisor that was killed has left is nothing, too.
    works Detach
    running
    kill -KILL "$SUP"
    wait_until all_over
    test -S "run/$U.sock"
    manager restarted
    new_manager attach
    quickly fails $NO_SUPERVISOR "$U" GetChild
}

@test "a VM that was restarted meanwhile is not the one that was started" {
    running
    kill "$CHILD"
    wait_until all_over
    manager another
    new_manager
    works RegisterResource disk "$T/a"
    starts
    end another
    back_to manager
    fails $NO_SUPERVISOR "another one runs by now" GetChild
    works Free
    lives "$CHILD"
}

# --- a number that is another process's by now ------------------------------

# impostor PID: another process gets that number, where the kernel allows it
impostor() {
    "$PYTHON" -SE - "$1" 3>&- 4>&- 10>&- <<'END' &
import ctypes, os, signal, struct, sys
pid = ctypes.c_int(int(sys.argv[1]))
CLONE3 = 435
args = struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0,
                   ctypes.addressof(pid), 1, 0)
made = ctypes.CDLL(None, use_errno=True).syscall(CLONE3, args, len(args))
if made == 0:
    signal.alarm(100)
    os.execvp("sleep", ["sleep", "1000"])
sys.exit(0 if made == pid.value else 1)
END
    ended $!
    [ "$STATUS" = 0 ] || cannot_run "no process can be given a number here"
    record "$1"
}

@test "a number that was reused fools nobody" {
    not_under_valgrind pidfd_open
    requires_root
    manager vm
    new_manager
    works RegisterResource disk "$T/a"
    works AcquireObject
    works GetStatus
    supervisor_is "${SAID##* }"
    child_is "$MANAGER"
    begin exec sleep 1000
    wait_until has_line "/proc/$CHILD/comm" '^sleep$'
    manager
    new_manager
    works Detach
    restarted
    works GetChildPidfd
    works SetTimeout 300
    stopped
    kill -KILL "$CHILD"
    ended "$CHILD"
    impostor "$CHILD"
    works pidfd
    same "process" -1 "$SAID"
    fails $TIMEOUT . GetChild
    works Free
    lives "$CHILD"
    kill -CONT "$SUP"
    wait_until gone "$SUP"
    lives "$CHILD"
    new_manager attach
    fails $NO_SUPERVISOR . GetChild
    is_free a
    kill -KILL "$CHILD"
}

# --- killed at each point ---------------------------------------------------

# The beginning of a manager's life, for a file of calls.
who() {
    printf '%s\n' "PluginLoad file" "New $1" "SetParameter uuid $U" \
        "SetParameter name web1" "SetParameter id 17"
}

# live CALLS [STRACE'S OPTION...]: a manager makes the calls in a file; how it
# ended goes to $STATUS. It, and what it forks, keeps "lifeline" locked.
live() {
    STATUS=0
    {
        flock 9
        ASAN_OPTIONS=detect_leaks=0 \
            strace -qq -o trace -e "trace=$SET" "${@:2}" "$LIBCALL" <"$1" \
            >"$1.out" 3>&- 4>&- 10>&- || STATUS=$?
    } 9>lifeline 2>>live.err
}
SET="socket,connect,sendmsg,recvmsg,poll,clone,inotify_add_watch,pidfd_open"
SET="$SET,pipe2,wait4,epoll_create1,fcntl"

# points CALLS: those of a whole life, from the first process or socket on
points() {
    live "$1"
    same "how '$1' ended" 0 "$STATUS"
    awk -F'[( ]' '{ n[$1]++; on = on || /^(clone|socket)/ }
        on { print $1, n[$1] }' trace >points
    test "$(wc -l <points)" -gt 10
}

# killed_at NAME N CALLS: or the life is over before
killed_at() {
    live "$3" -e "inject=$1:signal=KILL:when=$2"
    [ "$STATUS" = 137 ] || same "how it ended" 0 "$STATUS"
}

none_lives() {
    # A lock is free when no copy of its descriptor is left.
    flock --nonblock lifeline true &&
        ! pgrep -f -- "--state-dir=$VIRT_LOCK_STATE_DIR" >/dev/null
}

# A manager comes back: somebody answers, or nobody is there any more.
decided() {
    "$LIBCALL" <asks >asks.out 3>&- 4>&- 10>&-
    has_line asks.out '^= GetChildPidfd ok' || none_lives
}

NL=$'\n'

# The VM that has been found is the one that runs, with its disk.
found() {
    wait_until test -s ready
    child_is "$(<ready)"
    matches "$1" "GetChild ok $CHILD$NL= GetChildPidfd ok $CHILD cloexec .*\
= GetLeases ok ([^ ]*/hot )?disk,exclusive,HELD,$T/a[ $NL].*\
= GetStatus ok $U web1 17 RUNNING " "$(<asks.out)"
    leased a
}

nothing_left() {
    none_lives && is_free a && is_free hot
}

@test "a manager that is killed at any point finds all, or nothing is there" {
    requires strace flock pgrep
    local name n times=0
    {
        who
        printf '%s\n' "RegisterResource disk $T/a" GetSupervisorArgs \
            "run $FAKEVMM --ready $T/ready" AcquireObject GetChild \
            GetChildPidfd GetEventFD "AcquireResource disk $T/hot" GetLeases \
            "ReleaseResource disk $T/hot" Dispatch Detach
    } >life
    {
        who attach
        printf '%s\n' GetChild GetChildPidfd GetLeases GetStatus
    } >asks
    { cat asks && echo Shutdown; } >ends
    points life
    while read -r name n; do
        "$LIBCALL" <ends >ends.out
        wait_until nothing_left
        rm -f ready
        killed_at "$name" "$n" life
        wait_until decided
        if has_line asks.out '^= GetChild ok'; then
            found "$name $n"
            times=$((times + 1))
        fi
    done <points
    "$LIBCALL" <ends >ends.out
    wait_until nothing_left
    [ "$times" -gt 10 ] || fail "found only $times times"
}

@test "a process that is killed while it becomes the VM leaves nothing" {
    requires strace flock pgrep
    local name n
    {
        who
        printf '%s\n' "RegisterResource disk $T/a" AcquireObject GetChild
    } >life
    points life
    wait_until nothing_left
    while read -r name n; do
        killed_at "$name" "$n" life
        wait_until nothing_left
    done <points
    nothing_left
}

# --- threads -----------------------------------------------------------------

@test "many threads, each with its managers, and forks between" {
    local n vms=()
    for n in 1 2 3; do
        fake "web$n" --uuid "$(uuid "$n")" --
        vms+=("$(uuid "$n")" "$CHILD")
    done
    run_program timeout --foreground 90 "$LIBRARY_BUILD/tests/bin/libthreads" \
        8 "${ROUNDS:-40}" "${FORKS:-25}" "$T/a" "${vms[@]}"
    same "exit status, $stderr" 0 "$status"
    same "what it says" "" "$output$stderr"
    wait_until is_free a
    for n in 1 2 3; do
        same "leases" 0 "$(qmp "$(uuid "$n")" query-status | jq .leases)"
    done
}

# --- what the library leaves alone -------------------------------------------

# touches CALLS: what a manager that makes them, and what it forks until that is
# another program, does about signals and processes; to $TOUCHES
touches() {
    local SET=all
    live "$1" -f
    same "how '$1' ended" 0 "$STATUS"
    TOUCHES=$(awk -v program="execve(\"$LIBCALL\"" '
        NR == 1 { manager = $1 }
        $2 ~ /^execve/ && index($0, program) == 0 { other = 1 }
        $1 != manager && other { next }
        $2 ~ /^(rt_sig|signalfd|sigaltstack|alarm|setitimer|timer_)/ ||
        $2 ~ /^(clone|fork|vfork|kill|tkill|tgkill|pidfd_send_signal)/ {
            sub(/\)/, "", $3); print $2, $3 }
        END { exit !NR }' trace)
}

@test "the library touches no signals, and starts nothing" {
    requires strace
    not_sanitized
    running
    {
        who attach
        printf '%s\n' GetChild GetChildPidfd GetLeases GetStatus \
            SetEventCallback GetEventFD "AcquireResource disk $T/hot" \
            "AcquireResource disk $T/nowhere" "ReleaseResource disk $T/hot" \
            "poll 0" Dispatch "Wait 10" "SetTimeout 100" GetSupervisorPath \
            GetSupervisorContext PluginUnload "PluginLoad nop" Shutdown \
            "Wait 10" Detach
    } >life
    touches life
    same "signals and processes" "" "$TOUCHES"
    wait_until all_over
    # A supervisor that is not there any more: no SIGPIPE, either.
    { who attach && printf '%s\n' GetChild Free; } >life
    touches life
    same "signals and processes" "" "$TOUCHES"
}

@test "AcquireObject starts the supervisor, and touches no signals" {
    requires strace
    not_sanitized
    { who && printf '%s\n' "RegisterResource disk $T/a" AcquireObject; } >life
    touches life
    same "signals and processes" "2 clone(child_stack=NULL, flags=0" \
        "$(uniq -c <<<"$TOUCHES" | xargs)"
}

# --- under valgrind ----------------------------------------------------------

@test "a manager's life leaks nothing" {
    under_valgrind
    running
    works SetEventCallback
    works GetEventFD
    works GetChildPidfd
    works AcquireResource disk "$T/hot"
    works GetLeases
    works GetStatus
    works ReleaseResource disk "$T/hot"
    take hot
    fails 2 . AcquireResource disk "$T/hot"
    works Detach
    works PluginUnload
    end
    restarted
    works SetEventCallback
    works Shutdown
    works Free
    end
    all_over
}

# By the API itself, and by domain_lock.h.
@test "the sequences leak nothing" {
    local how
    under_valgrind
    for how in '' --wrappers; do
        fake web1 --uuid "$U" --id 17 --disk a --
        printf '%s\n' restart "plug $T/hot" "plug $T/nowhere" \
            "unplug $T/hot" shutdown end >steps
        # shellcheck disable=SC2086 # no option is none
        run_program "${UNDER[@]}" "$LIBRARY_BUILD/tests/bin/vmmanager" $how \
            "$U" web1 17 "$T/a" -- true <steps
        same "exit status" 0 "$status"
        same "steps" "restart ok $CHILD;plug ok;plug failed 1;unplug ok;\
shutdown ok" "$(sed 's/ \(cannot.*\)$//' run.out | paste -sd ';')"
        ended "$SUP"
    done
}
