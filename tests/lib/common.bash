# shellcheck shell=bash disable=SC2034  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what the end-to-end tests share
#
# A test starts programs with start_supervisor and spawn, waits for what they
# do with wait_until, and ends. Everything lives in a directory of its own
# ($T), with a run and a state directory of its own, so tests can run side by
# side and beside supervisors in earnest.
#
# Should:  end, in teardown, each process that was recorded, and none other;
#          undo mounts and control groups; show what supervisors said where a
#          test has failed.
# Mustn't: wait for time to pass. Conditions are polled, with a deadline.

# A test that hangs is a test that failed.
export BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-100}

BUILD=${BUILD:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}
PROGRAMS=$BUILD
PYTHON=/usr/bin/python3
NOBODY=65534
FREEZER=/sys/fs/cgroup/freezer
UNIFIED=/sys/fs/cgroup/unified
[ -e "$UNIFIED/cgroup.procs" ] || UNIFIED=/sys/fs/cgroup

setup() {
    common_setup
}

teardown() {
    common_teardown
}

common_setup() {
    bats_require_minimum_version 1.5.0
    T=$BATS_TEST_TMPDIR
    export VIRT_LOCK_RUN_DIR=$T/run VIRT_LOCK_STATE_DIR=$T/state
    export FAKEVMM_PIDS=$T/pids
    unset NOTIFY_SOCKET JOURNAL_STREAM XDG_RUNTIME_DIR XDG_STATE_HOME
    : >"$FAKEVMM_PIDS"
    : >"$T/cgroups"
    : >"$T/mounts"
    use_programs "$BUILD"
    cd "$T" || return 1
}

# The programs under test, taken from the directory $1.
use_programs() {
    SUPERVISOR=$1/virt-lock-supervisor
    LOCKCTL=$1/virt-lockctl
    GUARD=$1/virt-lock-guard
    FAKEVMM=$1/tests/bin/fakevmm
    PUPPET=$1/tests/bin/puppet
    SHOWSELF=$1/tests/bin/showself
    TAKER=$1/tests/bin/taker
    PTYRUN=$1/tests/bin/ptyrun
    RACE=$1/tests/bin/race
}

# Programs and $T become usable by every user: the directory of the test is
# made passable, and copies of the programs are put there.
open_to_everyone() {
    chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$T"
    chmod 666 "$FAKEVMM_PIDS"
    mkdir -p "$T/programs/tests"
    cp "$PROGRAMS"/virt-lock{-supervisor,ctl,-guard} "$T/programs"
    cp -r "$PROGRAMS/tests/bin" "$T/programs/tests"
    use_programs "$T/programs"
}

# --- failing, skipping -----------------------------------------------------

fail() {
    echo "$*" >&2
    return 1
}

# In strict mode (CI) a test that cannot run is a test that failed.
cannot_run() {
    if [ "${STRICT:-0}" = 1 ]; then
        fail "STRICT: $*"
    else
        skip "$*"
    fi
}

requires() {
    local command
    for command; do
        command -v "$command" >/dev/null ||
            cannot_run "'$command' is not installed"
    done
}

requires_root() {
    [ "$(id -u)" = 0 ] || cannot_run "only root can do this"
}

# A supervisor's descriptors are hidden from its own user: without this a
# test would see none, and find nothing wrong with them.
requires_sight() {
    requires_root
}

requires_freezer() {
    requires_root
    [ -w "$FREEZER/cgroup.procs" ] ||
        cannot_run "no version 1 freezer is mounted"
}

requires_unified() {
    requires_root
    [ -w "$UNIFIED/cgroup.procs" ] || cannot_run "no version 2 control groups"
}

# run_program COMMAND...: to its end; $status, $output, $lines, $stderr and
# $stderr_lines tell of it. (Unlike bats' run it keeps bats' own descriptors
# from the program, and lets 127 be a status like any other.)
run_program() {
    status=0
    ("$@" 3>&- 4>&- 10>&-) >"$T/run.out" 2>"$T/run.err" || status=$?
    output=$(cat "$T/run.out")
    stderr=$(cat "$T/run.err")
    mapfile -t lines <"$T/run.out"
    mapfile -t stderr_lines <"$T/run.err"
}

# One that does not end, whatever it is told, is killed: status 137.
run_supervisor() {
    run_program timeout --foreground -s KILL 60 "$SUPERVISOR" "$@"
}

# same WHAT EXPECTED ACTUAL
same() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# matches WHAT REGEX ACTUAL
matches() {
    [[ $3 =~ $2 ]] || fail "$1: expected something like '$2', got '$3'"
}

# refute COMMAND...: it must not succeed
refute() {
    if "$@"; then
        fail "expected to fail: $*"
    fi
}

# --- waiting ---------------------------------------------------------------

# wait_until [-t SECONDS] COMMAND...: polls until COMMAND succeeds
wait_until() {
    local seconds=10 deadline
    if [ "$1" = -t ]; then
        seconds=$2
        shift 2
    fi
    deadline=$((${EPOCHREALTIME/[.,]/} + seconds * 1000000))
    until "$@"; do
        [ "${EPOCHREALTIME/[.,]/}" -lt "$deadline" ] ||
            fail "not within $seconds s: $*" || return 1
        sleep 0.01
    done
}

# TRUE as long as process $1 is there and not a zombie.
lives() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    [[ ${stat%% *} != [ZX] ]]
}

gone() {
    ! lives "$1"
}

# state_is PID LETTER: as in the third field of /proc/PID/stat
state_is() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    [ "${stat%% *}" = "$2" ]
}

start_time() {
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    echo "${fields[19]}"
}

has_line() { # FILE REGEX
    grep -Eqs -- "$2" "$1"
}

has_lines() { # COUNT FILE REGEX: that many, or more
    [ "$(grep -Ecs -- "$3" "$2")" -ge "$1" ]
}

# --- processes -------------------------------------------------------------

# For teardown: the process is known by its start time, not by its number.
record() {
    local time
    time=$(start_time "$1") && echo "$1 $time" >>"$FAKEVMM_PIDS"
}

# A shell's background jobs ignore INT and QUIT; programs under test must not.
as_in_foreground() {
    exec env --default-signal=INT,QUIT "$@"
}

# spawn NAME COMMAND...: in the background; its output goes to $T/NAME.out and
# $T/NAME.err, its number to $PID.
spawn() {
    local name=$1
    shift
    as_in_foreground "$@" >"$T/$name.out" 2>"$T/$name.err" </dev/null \
        3>&- 4>&- 10>&- &
    PID=$!
    record "$PID" || :
}

# ended PID [SECONDS]: waits for the end of a spawned process; its exit status
# goes to $STATUS.
ended() {
    wait_until -t "${2:-10}" gone "$1"
    STATUS=0
    wait "$1" || STATUS=$?
}

# start_supervisor NAME [OPTION...] -- COMMAND...: returns when the command
# runs. Numbers go to $SUP and $CHILD, what it says to $T/NAME.err.
start_supervisor() {
    local name=$1 fifo=$T/$1.pidpipe
    shift
    rm -f "$fifo"
    mkfifo "$fifo"
    as_in_foreground "$SUPERVISOR" --name "$name" --pid-fd 8 "$@" 8>"$fifo" \
        >"$T/$name.out" 2>"$T/$name.err" </dev/null 3>&- 4>&- 10>&- &
    SUP=$!
    record "$SUP" || :
    CHILD=
    read -r -t 10 CHILD <"$fifo" || :
    [ -n "$CHILD" ] ||
        fail "'$name' did not start: $(cat "$T/$name.err")" || return 1
    record "$CHILD" || :
}

# fake NAME [OPTION...] -- [FAKEVMM OPTION...]: a supervisor with a fake VMM
# that is ready (its own number is then in $T/NAME.ready).
fake() {
    local name=$1 options=()
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    rm -f "$T/$name.ready"
    start_supervisor "$name" "${options[@]}" -- \
        "$FAKEVMM" --ready "$T/$name.ready" "$@"
    wait_until test -s "$T/$name.ready"
}

# Prints the numbers of all live processes that fakes have recorded.
recorded() {
    local pid time
    while read -r pid time; do
        if lives "$pid" && [ "$(start_time "$pid")" = "$time" ]; then
            echo "$pid"
        fi
    done <"$FAKEVMM_PIDS"
}

none_recorded() {
    [ -z "$(recorded)" ]
}

common_teardown() {
    local pid group mount failed=0
    while read -r group; do
        [ ! -e "$group/freezer.state" ] || echo THAWED >"$group/freezer.state"
    done <"$T/cgroups"
    for pid in $(recorded); do
        kill -KILL "$pid" 2>/dev/null || :
    done
    wait_until none_recorded || failed=1
    while read -r mount; do
        umount "$mount" || failed=1
    done < <(tac "$T/mounts")
    while read -r group; do
        wait_until remove_cgroup "$group" || failed=1
    done < <(tac "$T/cgroups")
    if [ "${BATS_TEST_COMPLETED:-}" != 1 ]; then
        tail -n 20 "$T"/*.err 2>/dev/null || :
    fi
    return "$failed"
}

# --- things ----------------------------------------------------------------

# make_disk NAME...: images of 1 MiB in $T
make_disk() {
    local name
    for name; do
        truncate -s 1M "$T/$name"
    done
}

# take FILE: a process that is not ours holds its lease byte; its number goes
# to $HOLDER.
take() {
    spawn "taker-$1" "$TAKER" "$T/$1" "$T/$1.granted"
    HOLDER=$PID
    wait_until test -s "$T/$1.granted"
}

# uuid N: the N-th of the uuids that tests use
uuid() {
    printf '6f0e0000-0000-4000-8000-%012d\n' "$1"
}

# make_cgroup PATH: an empty control group, removed in the end
make_cgroup() {
    mkdir "$1"
    echo "$1" >>"$T/cgroups"
}

remove_cgroup() {
    [ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
}

# bind_mount FROM TO
bind_mount() {
    mount --bind "$1" "$2"
    echo "$2" >>"$T/mounts"
}

lockctl() {
    run_program "$LOCKCTL" "$@"
}

# The guard of VM $1 (a uuid), as its supervisor tells.
guard_of() {
    qmp "$1" query-status | jq '.guard.pid // empty'
}

# guard_session PID: of a guard; it outlives each of them
guard_session() {
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra fields <<<"${stat##*) }"
    echo "${fields[3]}"
}

# guards SESSION: all that live of it, the spare too
guards() {
    local stat fields pid
    for stat in /proc/[0-9]*/stat; do
        { read -r stat <"$stat"; } 2>/dev/null || continue
        pid=${stat%% *}
        read -ra fields <<<"${stat##*) }"
        if [ "${fields[3]}" = "$1" ] && lives "$pid"; then
            echo "$pid"
        fi
    done
}

# no_guards SESSION
no_guards() {
    [ -z "$(guards "$1")" ]
}

# two_guards SESSION: the one, and its spare
two_guards() {
    [ "$(guards "$1" | wc -l)" = 2 ]
}

# at_once PID...: they are killed as if by one blow
at_once() {
    local pid
    for pid; do kill -STOP "$pid"; done
    for pid; do wait_until state_is "$pid" T; done
    kill -KILL "$@"
    for pid; do wait_until gone "$pid"; done
}

# The socket of VM $1 (a uuid).
socket_of() {
    echo "$VIRT_LOCK_RUN_DIR/$1.sock"
}

# qmp UUID COMMAND [ARGUMENTS [--fd PATH | --fd-readonly PATH]]: the answer's
# "return" on standard output; 1 and the "error" where it is one.
qmp() {
    local uuid=$1
    shift
    "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" \
        "$(socket_of "$uuid")" "$@" 3>&- 4>&-
}

# python [ARG...]: a script from standard input, with the QMP client at hand
python() {
    PYTHONPATH=$BATS_TEST_DIRNAME/../bin PYTHONDONTWRITEBYTECODE=1 \
        "$PYTHON" -S - "$@" 3>&- 4>&-
}

# vm_state UUID STATE: TRUE where the supervisor says so
vm_state() {
    [ "$(qmp "$1" query-status 2>/dev/null | jq -r .state)" = "$2" ]
}

# vm_child UUID PID: TRUE where the supervisor says so
vm_child() {
    [ "$(qmp "$1" query-child 2>/dev/null | jq .pid)" = "$2" ]
}

# The last moment (CLOCK_MONOTONIC, ns) at which any writer stamped FILE $1.
last_stamp() {
    od -An -v -tu8 -w16 "$1" | sort -n | awk 'END { print $1 }'
}

# Nobody stamped FILE $1 after the moment in FILE $2.
never_after() {
    local last moment
    last=$(last_stamp "$1")
    moment=$(<"$2")
    [ "$last" -gt 0 ] || fail "nobody ever stamped '$1'" || return 1
    [ "$last" -lt "$moment" ] ||
        fail "written $(((last - moment) / 1000)) us after the lease was taken"
}

# Every file in the run and state directories, sockets and records included.
left_behind() {
    find "$VIRT_LOCK_RUN_DIR" "$VIRT_LOCK_STATE_DIR" ! -type d 2>/dev/null
}
