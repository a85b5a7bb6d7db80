#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the end of a child, and only then the end of its leases
#
# The promise under test: whoever gets the disk next gets it when nobody of
# the old child's tree can write any more. Children stamp the time into a
# file for ever; a process of ours waits in the kernel for the disk's lease
# byte and notes the moment of the grant; no stamp may be younger.

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    SOCKET=$(socket_of "$U")
    make_disk disk
}

# writer NAME [SUPERVISOR OPTION...] -- [FAKEVMM OPTION...]: under a lease on
# the disk, stamping
writer() {
    fake "$1" --uuid "$U" --disk "$T/disk" "${@:2}" --stamp "$T/$1.stamp"
}

# A taker now stands in line for the disk; its grant will be in $T/granted.
line_up() {
    rm -f granted
    spawn taker "$TAKER" disk granted
    LINE=$PID
    wait_until blocked "$LINE"
}

# blocked PID: it sleeps in the kernel and waits for a lock
blocked() {
    grep -Eq "setlk|lock" "/proc/$1/wchan"
}

# The disk was let go, and nobody wrote afterwards.
nobody_wrote_later() {
    wait_until -t "${1:-10}" test -s granted
    never_after "$T/web1.stamp" granted
    kill "$LINE"
    wait_until gone "$LINE"
}

# nothing_runs REGEX: no such command line; a child that waits to be executed
# still has the supervisor's.
nothing_runs() {
    ! pgrep -f -- "$1" >/dev/null
}

# --- revoke, shutdown, quit ------------------------------------------------

@test "revoke kills the child, ends with 124 and says why" {
    writer web1 --log-level info --json-status-fd 7 -- 7>status.json
    lockctl revoke web1 --reason "moved by admin"
    same "exit status of revoke" 0 "$status"
    # What revoke has waited for has happened.
    gone "$CHILD"
    "$TAKER" --try disk
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    has_line web1.err '\[web1\]: RUNNING -> KILLING: .*moved by admin'
    has_line web1.err '\[web1\]: KILLING -> GONE: .'
    tail -n 1 status.json >end.json
    same "code" 124 "$(jq '.["exit-code"]' end.json)"
    same "source" supervisor "$(jq -r .source end.json)"
    matches "reason" "moved by admin" "$(jq -r .reason end.json)"
}

@test "revoke of one disk kills the child just so" {
    writer web1 --log-level info --
    lockctl revoke web1 --disk disk --reason "taken away"
    same "exit status of revoke" 0 "$status"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    has_line web1.err "RUNNING -> KILLING: .*'$T/disk'.*taken away"
}

@test "revoke of a disk that the VM does not hold is refused and kills nobody" {
    make_disk other
    writer web1 --
    lockctl revoke web1 --disk other
    same "exit status of revoke" 1 "$status"
    matches stderr "other" "$stderr"
    lives "$CHILD"
    vm_state "$U" RUNNING
}

@test "revoke tells subscribers which lease was lost" {
    writer web1 --
    python "$SOCKET" "$T/disk" <<'END'
import sys
from qmp import QMP
watcher = QMP(sys.argv[1])
QMP(sys.argv[1]).send("revoke", {"disk": sys.argv[2], "reason": "why not"})
lost = watcher.event("LEASE_LOST")["data"]
assert lost["kind"] == "disk" and lost["name"] == sys.argv[2], lost
assert "why not" in lost["reason"], lost
assert watcher.event("CHILD_EXIT")["data"]["signal"] == 9
END
}

@test "a child that ignores TERM is revoked all the same" {
    writer web1 -- --ignore-term
    lockctl revoke web1
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    gone "$CHILD"
}

@test "shutdown lets the child end by itself and passes its status on" {
    writer web1 -- --on-term 5
    lockctl shutdown web1
    same "exit status of shutdown" 0 "$status"
    ended "$SUP"
    same "exit status" 5 "$STATUS"
}

@test "shutdown --timeout kills a child that does not end" {
    writer web1 --log-level info -- --ignore-term
    lockctl shutdown web1 --timeout 1
    same "exit status of shutdown" 0 "$status"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
    has_line web1.err 'RUNNING -> STOPPING: '
    has_line web1.err 'STOPPING -> KILLING: '
}

@test "quit kills at once" {
    writer web1 -- --ignore-term
    lockctl quit web1
    same "exit status of quit" 0 "$status"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
}

@test "revoke, shutdown and quit answer at once, and the connection ends last" {
    for command in revoke shutdown quit; do
        writer web1 --stop-timeout 1 -- --ignore-term
        python "$SOCKET" "$command" "$CHILD" <<'END'
import os, sys
from qmp import QMP
client = QMP(sys.argv[1])
child = os.pidfd_open(int(sys.argv[3]))
client.command(sys.argv[2])
try:
    while True:
        client.receive()
except EOFError:
    pass
try:
    with open(f"/proc/{sys.argv[3]}/stat") as stat:
        assert stat.read().rsplit(")", 1)[1].split()[0] in "ZX"
except FileNotFoundError:
    pass
END
        "$TAKER" --try disk
        ended "$SUP"
    done
}

# --- TERM ------------------------------------------------------------------

@test "TERM to the supervisor reaches the child and is waited for" {
    writer web1 --log-level info -- --on-term 9
    kill -TERM "$SUP"
    ended "$SUP"
    same "exit status" 9 "$STATUS"
    has_line web1.err 'RUNNING -> STOPPING: '
}

@test "a child that ignores TERM is still there in STOPPING, with its leases" {
    writer web1 -- --ignore-term --log-signals "$T/signals"
    kill -TERM "$SUP"
    wait_until has_line signals TERM
    wait_until vm_state "$U" STOPPING
    lives "$CHILD"
    refute "$TAKER" --try disk
}

@test "a second TERM kills" {
    writer web1 -- --ignore-term --log-signals "$T/signals"
    kill -TERM "$SUP"
    wait_until has_line signals TERM
    kill -TERM "$SUP"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
}

@test "--stop-timeout kills a child that outstays it, not before" {
    writer web1 --stop-timeout 1 -- --ignore-term
    line_up
    before=${EPOCHREALTIME/[.,]/}
    kill -TERM "$SUP"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
    [ $((${EPOCHREALTIME/[.,]/} - before)) -ge 1000000 ]
    nobody_wrote_later
}

# --- leases go last --------------------------------------------------------

@test "no write follows the lease: the child alone, revoked ten times" {
    for _ in {1..10}; do
        writer web1 --
        line_up
        lockctl revoke web1
        nobody_wrote_later
        ended "$SUP"
        same "exit status" 124 "$STATUS"
    done
}

@test "no write follows the lease: a child with forked writers, revoked" {
    for _ in {1..5}; do
        writer web1 -- --fork-writer 3 --setsid-grandchild --ignore-term
        line_up
        lockctl revoke web1
        nobody_wrote_later
        ended "$SUP"
        same "exit status" 124 "$STATUS"
    done
}

@test "no write follows the lease: the child is killed by somebody else" {
    for _ in {1..5}; do
        writer web1 -- --fork-writer 2
        line_up
        kill -KILL "$CHILD"
        lockctl quit web1
        nobody_wrote_later
        ended "$SUP"
    done
}

@test "no write follows the lease: a daemonized child with writers, revoked" {
    for _ in {1..5}; do
        writer web1 -- --daemonize --fork-writer 2
        line_up
        lockctl revoke web1
        nobody_wrote_later
        ended "$SUP"
        same "exit status" 124 "$STATUS"
    done
}

@test "a supervisor that waits for the disk starts its child after the last write" {
    for _ in {1..5}; do
        writer web1 -- --fork-writer 2 --setsid-grandchild
        rm -f born
        spawn web2 "$SUPERVISOR" --name web2 --uuid "$(uuid 2)" --wait \
            --disk disk -- "$FAKEVMM" --born "$T/born" --exit 0
        waiter=$PID
        wait_until vm_state "$(uuid 2)" STARTING
        lockctl revoke web1
        ended "$waiter"
        same "exit status of the waiter" 0 "$STATUS"
        never_after web1.stamp born
        ended "$SUP"
    done
}

@test "nobody gets the disk while a single writer of the tree is left" {
    writer web1 --json-status-fd 7 -- --fork-writer 1 --exit 3 7>status.json
    wait_until vm_child "$U" "$(recorded_writer)"
    gone "$CHILD"
    vm_state "$U" RUNNING
    refute "$TAKER" --try disk
    run_supervisor --disk disk -- true
    same "exit status of another" 123 "$status"
    line_up
    kill -KILL "$(recorded_writer)"
    nobody_wrote_later
    ended "$SUP"
    same "exit status" 137 "$STATUS"
    same "reported" 137 "$(tail -n 1 status.json | jq '.["exit-code"]')"
}

# The process that stamps the first writer's slot.
recorded_writer() {
    od -An -v -tu8 -w16 -j16 -N16 web1.stamp | awk '{ print $2 }'
}

@test "all 64 processes of a tree are killed" {
    writer web1 -- --fork-writer 63
    wait_until has_lines 64 "$FAKEVMM_PIDS" .
    lockctl revoke web1
    ended "$SUP"
    wait_until none_recorded
    same "exit status" 124 "$STATUS"
}

@test "a tree that forks for ever does not get away" {
    # Each process makes its successor, in a session of its own, and ends.
    printf '%s\n' '#!/bin/sh' 'echo x >>beats' \
        '[ ! -e go ] || setsid "$0" &' >relay
    # The first one stays, so that there is a child.
    printf '%s\n' '#!/bin/sh' 'for _ in 1 2 3 4; do setsid ./relay & done' \
        'exec "$@"' >first
    sed -i "s|\./relay|$T/relay|" first
    chmod +x relay first
    : >go
    start_supervisor web1 --uuid "$U" --disk disk -- ./first "$FAKEVMM"
    wait_until has_lines 20 beats x
    line_up
    lockctl revoke web1
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    wait_until test -s granted
    nothing_runs "$T/relay"
    rm go
}

# --- daemons ---------------------------------------------------------------

@test "a child that daemonizes stays supervised, and child names the daemon" {
    writer web1 -- --daemonize
    wait_until vm_child "$U" "$(<web1.ready)"
    gone "$CHILD"
    lockctl child web1
    same "daemon" "$(<web1.ready)" "$output"
    same "state" RUNNING "$(qmp "$U" query-status | jq -r .state)"
    lives "$SUP"
    refute "$TAKER" --try disk
}

@test "the status of a daemonized child's supervisor is the daemon's" {
    writer web1 -- --daemonize --on-term 9
    wait_until vm_child "$U" "$(<web1.ready)"
    kill "$(<web1.ready)"
    ended "$SUP"
    same "exit status" 9 "$STATUS"
}

@test "TERM reaches the daemon" {
    writer web1 -- --daemonize --on-term 9
    wait_until vm_child "$U" "$(<web1.ready)"
    kill "$SUP"
    ended "$SUP"
    same "exit status" 9 "$STATUS"
}

@test "revoke reaches the daemon" {
    writer web1 -- --daemonize --ignore-term
    wait_until vm_child "$U" "$(<web1.ready)"
    line_up
    lockctl revoke web1
    nobody_wrote_later
    ended "$SUP"
    same "exit status" 124 "$STATUS"
}

# --- the unkillable --------------------------------------------------------

# freeze PID...: in the version 1 freezer, where not even KILL works
freeze() {
    local pid
    make_cgroup "$FREEZER/vls-test-$$-$BATS_TEST_NUMBER"
    FROZEN=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER
    for pid; do
        echo "$pid" >"$FROZEN/cgroup.procs"
    done
    echo FROZEN >"$FROZEN/freezer.state"
    wait_until has_line "$FROZEN/freezer.state" FROZEN
}

@test "a child that cannot be killed keeps its leases, which is said every 5 s" {
    requires_freezer
    writer web1 --
    freeze "$CHILD"
    line_up
    spawn revoke "$LOCKCTL" --timeout 60 revoke web1
    # Twice: it goes on being said.
    wait_until -t 14 has_lines 2 web1.err \
        "cannot kill .*process $CHILD is in state D.*leases are kept"
    refute test -e granted
    vm_state "$U" KILLING
    lives "$SUP"
    run_supervisor --disk disk -- true
    same "exit status of another" 123 "$status"
    echo THAWED >"$FROZEN/freezer.state"
    nobody_wrote_later 5
    ended "$SUP"
    same "exit status" 124 "$STATUS"
}

@test "signals and second revocations do not make KILLING give up" {
    requires_freezer
    writer web1 --
    freeze "$CHILD"
    line_up
    kill -TERM "$SUP"
    wait_until vm_state "$U" STOPPING
    kill -TERM "$SUP"
    wait_until vm_state "$U" KILLING
    kill -TERM "$SUP"
    kill -INT "$SUP"
    qmp "$U" revoke
    qmp "$U" quit
    vm_state "$U" KILLING
    lives "$SUP"
    refute test -e granted
    echo THAWED >"$FROZEN/freezer.state"
    nobody_wrote_later 5
    ended "$SUP"
}

@test "one frozen process of the tree is enough to keep the leases" {
    requires_freezer
    writer web1 -- --setsid-grandchild
    wait_until has_lines 2 "$FAKEVMM_PIDS" .
    grandchild=$(od -An -v -tu8 -w16 -j240 web1.stamp | awk '{ print $2 }')
    freeze "$grandchild"
    line_up
    spawn revoke "$LOCKCTL" --timeout 60 revoke web1
    wait_until gone "$CHILD"
    wait_until -t 8 has_line web1.err "process $grandchild is in state D"
    refute test -e granted
    echo THAWED >"$FROZEN/freezer.state"
    nobody_wrote_later 5
    ended "$SUP"
    same "exit status" 124 "$STATUS"
}

@test "a stopped child is killed without delay" {
    writer web1 --
    kill -STOP "$CHILD"
    wait_until state_is "$CHILD" T
    line_up
    lockctl revoke web1
    nobody_wrote_later
    ended "$SUP" 3
    same "exit status" 124 "$STATUS"
}

# --- whom it must not touch ------------------------------------------------

@test "a background child of the shell that became the supervisor is not touched" {
    spawn web1 sh -c '"$1" --ready foreign & exec "$2" --name web1 \
        --uuid "$3" --disk disk -- "$1" --ready ready' \
        sh "$FAKEVMM" "$SUPERVISOR" "$U"
    wait_until test -s foreign
    wait_until test -s ready
    wait_until vm_state "$U" RUNNING
    lockctl child web1
    same "child" "$(<ready)" "$output"
    lockctl revoke web1
    ended "$PID"
    same "exit status" 124 "$STATUS"
    gone "$(<ready)"
    lives "$(<foreign)"
}

@test "the end of a foreign child is not taken for the end of ours" {
    spawn web1 sh -c '"$1" --ready foreign & exec "$2" --name web1 \
        --uuid "$3" --disk disk -- "$1" --ready ready --on-term 9' \
        sh "$FAKEVMM" "$SUPERVISOR" "$U"
    wait_until vm_state "$U" RUNNING
    wait_until test -s foreign
    wait_until test -s ready
    kill -KILL "$(<foreign)"
    wait_until gone "$(<foreign)"
    vm_state "$U" RUNNING
    lives "$(<ready)"
    kill -TERM "$PID"
    ended "$PID"
    same "exit status" 9 "$STATUS"
}

@test "a supervisor inside a supervisor ends its own tree only" {
    make_disk inner
    start_supervisor outer --uuid "$U" --disk disk -- sh -c \
        '"$1" --name inner --uuid "$2" --disk inner -- "$3" --ready in &
        exec "$3" --ready out' \
        sh "$SUPERVISOR" "$(uuid 2)" "$FAKEVMM"
    wait_until test -s in
    wait_until test -s out
    lockctl revoke inner
    gone "$(<in)"
    lives "$(<out)"
    vm_state "$U" RUNNING
}

# --- another uid -----------------------------------------------------------

@test "a child of another user is killed by the confined supervisor" {
    requires_root
    open_to_everyone
    chmod 777 .
    : >web1.stamp
    chmod 666 web1.stamp disk
    writer web1 --user nobody -- --fork-writer 2 --ignore-term
    same "owner of the child" nobody "$(stat -c %U "/proc/$CHILD")"
    line_up
    lockctl revoke web1
    nobody_wrote_later
    ended "$SUP"
    same "exit status" 124 "$STATUS"
}

@test "a child of another user dies of the supervisor's own SIGKILL" {
    requires_root
    open_to_everyone
    chmod 777 .
    writer web1 --user nobody -- --ignore-term
    kill -KILL "$SUP"
    wait_until -t 2 gone "$CHILD"
}

@test "a child dies of the supervisor's own SIGKILL" {
    writer web1 -- --ignore-term
    kill -KILL "$SUP"
    wait_until -t 2 gone "$CHILD"
    wait_until "$TAKER" --try disk
}

# one_life STRACE OPTION...: a supervisor starts, runs, and is told to quit, if
# it gets that far; its exit status is in $STATUS.
one_life() {
    rm -f ready
    spawn life strace -qq -o trace "$@" \
        "$SUPERVISOR" --name web1 --uuid "$U" --disk disk -- \
        "$FAKEVMM" --ready "$T/ready"
    local life=$PID
    wait_until ready_or_gone "$life"
    gone "$life" || qmp "$U" quit >answer 2>&1 || :
    ended "$life"
}

ready_or_gone() {
    gone "$1" || [ -s ready ]
}

@test "SIGKILL at any moment of its life leaves no child and no lease" {
    requires strace
    one_life
    same "exit status" 137 "$STATUS"
    # Every seventh of its system calls, as "NAME HOW-MANY-TH-OF-THAT-NAME".
    awk -F'(' -v first=$((RANDOM % 7)) '/^[a-z0-9_]+\(/ {
        n[$1]++; if (NR % 7 == first) print $1, n[$1] }' trace >moments
    [ "$(wc -l <moments)" -gt 30 ] || fail "only $(wc -l <moments) moments"
    while read -r call number; do
        one_life -e "inject=$call:signal=KILL:when=$number"
        same "exit status of $call $number" 137 "$STATUS"
        wait_until "$TAKER" --try disk
        wait_until nothing_runs "$T/ready"
    done <moments
    writer web1 --
}

# --- control groups --------------------------------------------------------

# An own, version 2 control group for a supervisor, in $GROUP.
own_cgroup() {
    requires_unified
    GROUP=$UNIFIED/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$GROUP"
}

@test "cgroup.kill is used where the supervisor has a control group of its own" {
    requires strace
    own_cgroup
    # The tracer itself stays outside.
    spawn web1 strace -f -e trace=open,openat,write -o "$T/trace" \
        sh -c 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"' sh "$GROUP" \
        "$SUPERVISOR" --name web1 --uuid "$U" --disk disk -- \
        "$FAKEVMM" --setsid-grandchild --ready "$T/ready"
    wait_until test -s ready
    lockctl revoke web1
    ended "$PID"
    same "exit status" 124 "$STATUS"
    fd=$(sed -n 's/.*open.*cgroup\.kill".*= \([0-9]*\)$/\1/p' trace)
    [ -n "$fd" ] || fail "cgroup.kill was never opened"
    grep -q "write($fd, \"1" trace || fail "nobody wrote to cgroup.kill"
}

@test "in a control group of its own the whole tree dies, the supervisor does not" {
    own_cgroup
    as_in_cgroup "$GROUP" -- --fork-writer 5 --setsid-grandchild --ignore-term
    wait_until has_lines 8 "$FAKEVMM_PIDS" .
    line_up
    lockctl revoke web1
    nobody_wrote_later
    ended "$PID_OF_SUPERVISOR"
    same "exit status" 124 "$STATUS"
    kill "$LINE" 2>/dev/null || :
    wait_until none_recorded
    same "groups left" "" "$(find "$GROUP" -mindepth 1 -type d)"
}

# as_in_cgroup GROUP -- FAKEVMM OPTION...
as_in_cgroup() {
    local group=$1
    shift 2
    spawn web1 sh -c 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"' sh "$group" \
        "$SUPERVISOR" --name web1 --uuid "$U" --disk disk -- \
        "$FAKEVMM" --stamp "$T/web1.stamp" --ready "$T/web1.ready" "$@"
    PID_OF_SUPERVISOR=$PID
    wait_until test -s web1.ready
}

@test "a stranger in the supervisor's control group is not touched" {
    own_cgroup
    spawn stranger sh -c 'echo 0 >"$1/cgroup.procs"; exec "$2" --ready foreign' \
        sh "$GROUP" "$FAKEVMM"
    wait_until test -s foreign
    as_in_cgroup "$GROUP" -- --setsid-grandchild
    lockctl revoke web1
    ended "$PID_OF_SUPERVISOR"
    same "exit status" 124 "$STATUS"
    lives "$(<foreign)"
}

@test "a stranger who comes to the supervisor's control group later is not touched" {
    own_cgroup
    as_in_cgroup "$GROUP" -- --setsid-grandchild
    spawn stranger sh -c 'echo 0 >"$1/cgroup.procs"; exec "$2" --ready foreign' \
        sh "$GROUP" "$FAKEVMM"
    wait_until test -s foreign
    lockctl revoke web1
    ended "$PID_OF_SUPERVISOR"
    same "exit status" 124 "$STATUS"
    lives "$(<foreign)"
}
