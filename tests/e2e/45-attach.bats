#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a process that lives already, and is not the supervisor's child

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    make_disk a b hot
}

# victim [FAKEVMM OPTION...]: the process that will be attached; $VICTIM
victim() {
    rm -f victim.ready
    spawn victim "$FAKEVMM" --ready "$T/victim.ready" "$@"
    VICTIM=$PID
    wait_until test -s victim.ready
}

victim_is() {
    VICTIM=$1
}

# attach [OPTION...]: a supervisor for it, with every lease held; $SUP
attach() {
    rm -f pid
    : >pid
    spawn vm "$SUPERVISOR" --uuid "$U" --attach "$VICTIM" --pid-fd 8 "$@" 8>pid
    SUP=$PID
    wait_until test -s pid || fail "$(cat vm.err)"
    same "pid" "$VICTIM" "$(<pid)"
}

# become [OPTION...] -- COMMAND...: a process that attaches itself first; its
# number goes to $VICTIM, its supervisor's to $SUP
become() {
    spawn victim env "PYTHONPATH=$BATS_TEST_DIRNAME/../bin" \
        PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -S \
        "$BATS_TEST_DIRNAME/../bin/become.py" "${LIVENESS[@]}" \
        "$SUPERVISOR" "$U" "$@"
    VICTIM=$PID
    wait_until test -s supervisor
    SUP=$(<supervisor)
    record "$SUP" || :
}
LIVENESS=()

none_but_the_taker() {
    same "those that live" "$PID" "$(recorded | sort -u | paste -sd ' ')"
}

# refused SENTENCE OPTION...
refused() {
    run_supervisor "${@:2}"
    same "exit status of ${*:2}" 125 "$status"
    matches "$*" "cannot $1" "$stderr"
}

# locks_of_qemu FILE
locks_of_qemu() {
    grep -qE ":$(stat -c %i "$T/$1") 10[01] 101" /proc/locks
}

@test "a process is attached by its number, and told of like a child" {
    victim
    attach --disk a
    refute "$TAKER" --try a
    lockctl list
    matches "list" "^fakevmm +$U +RUNNING +$VICTIM +1 " "${lines[1]}"
    lockctl child "$U"
    same "child" "$VICTIM" "$output"
    same "start time" "$(start_time "$VICTIM")" \
        "$(qmp "$U" query-child | jq '."start-time"')"
    lives "$VICTIM"
}

@test "by a pidfd, and with its start time" {
    victim
    spawn vm "$PYTHON" -Sc '
import os, sys
fd = os.pidfd_open(int(sys.argv[1]))
os.set_inheritable(fd, True)
os.execv(sys.argv[2], [sys.argv[2], "--attach-pidfd", str(fd)] + sys.argv[3:])
' "$VICTIM" "$SUPERVISOR" --uuid "$U" --disk a
    wait_until vm_state "$U" RUNNING
    same "child" "$VICTIM" "$(qmp "$U" query-child | jq .pid)"
    lockctl quit "$U"
    ended "$VICTIM"
    victim
    attach --attach "$VICTIM:$(start_time "$VICTIM")"
}

@test "its end by itself ends the supervisor with 0, and its status is told" {
    victim
    attach --disk a --json-status-fd 9 9>json
    kill -TERM "$VICTIM"
    ended "$VICTIM"
    ended "$SUP"
    same "exit status" 0 "$STATUS"
    same "json" "0 supervisor" "$(tail -n 1 json |
        jq -r '"\(."exit-code") \(.source)"')"
    matches "reason" "^the child was killed by signal 15$|how is not known" \
        "$(tail -n 1 json | jq -r .reason)"
    "$TAKER" --try a
}

@test "a lost lease kills it before the lease is free" {
    victim --stamp "$T/stamps" --fork-writer 3
    attach --disk a
    spawn taker "$TAKER" "$T/a" "$T/taken"
    lockctl revoke "$U" --disk a --reason test
    same "revoke" 0 "$status"
    gone "$VICTIM" || fail "it lives"
    ended "$VICTIM"
    same "how it ended" 137 "$STATUS"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    wait_until test -s taken
    never_after stamps taken
    none_but_the_taker
}

@test "where a lease cannot be had it is left alone" {
    victim
    take a
    run_supervisor --attach "$VICTIM" --disk b --disk a
    same "exit status" 123 "$status"
    lives "$VICTIM"
    "$TAKER" --try b
    run_supervisor --attach "$VICTIM" --disk nowhere
    same "exit status" 125 "$status"
    lives "$VICTIM"
}

@test "while it waits for leases it can be told to end, and leaves it alone" {
    victim
    take a
    for verb in quit revoke shutdown; do
        spawn vm "$SUPERVISOR" --uuid "$U" --attach "$VICTIM" --wait --disk a
        wait_until vm_state "$U" ATTACHING
        lockctl "$verb" "$U"
        same "$verb" 0 "$status"
        ended "$PID"
        lives "$VICTIM"
    done
    spawn vm "$SUPERVISOR" --uuid "$U" --attach "$VICTIM" --wait --disk a
    wait_until vm_state "$U" ATTACHING
    kill -TERM "$PID"
    ended "$PID"
    same "exit status" 143 "$STATUS"
    lives "$VICTIM"
}

@test "it waits for leases, and gets them; or ends when the process does" {
    victim
    take a
    spawn vm "$SUPERVISOR" --uuid "$U" --attach "$VICTIM" --wait --disk a
    wait_until vm_state "$U" ATTACHING
    kill "$HOLDER"
    wait_until vm_state "$U" RUNNING
    lockctl quit "$U"
    gone "$VICTIM"
    victim
    take a
    spawn vm "$SUPERVISOR" --uuid "$U" --attach "$VICTIM" --wait --disk a
    wait_until vm_state "$U" ATTACHING
    kill "$VICTIM"
    ended "$PID"
    same "exit status" 0 "$STATUS"
}

@test "what cannot be attached is refused with a sentence" {
    victim
    refused "attach to process $VICTIM: it was not started at that time" \
        --attach "$VICTIM:1"
    kill "$VICTIM"
    ended "$VICTIM"
    refused "attach to process $VICTIM: there is no such process" \
        --attach "$VICTIM"
    refused "attach to pidfd 0: it is not a pidfd" --attach-pidfd 0
    refused "attach to pidfd 77: there is no such descriptor" \
        --attach-pidfd 77
    refused "use --attach 'x'" --attach x
    refused "use --attach '0'" --attach 0
    refused "use --attach '$$'.*as well" --attach $$ --attach-pidfd 3
    refused "use --user 'nobody'.*keeps its own" --attach $$ --user nobody
    refused "use argument '--'.*no command" --attach $$ -- true
}

@test "nor is what could not be killed: init, and threads" {
    requires_root
    requires unshare
    # All that runs descends from init: in a PID name space of the test's own.
    # shellcheck disable=SC2016  # of the inner shell
    run_program timeout -s KILL 60 unshare --pid --fork --kill-child \
        --mount-proc sh -c '"$@"; exit $?' sh \
        timeout -s KILL 20 "$SUPERVISOR" --disk a --attach 1
    same "exit status" 125 "$status"
    matches "init" "cannot attach to process 1: it is init" "$stderr"
    spawn threads "$PYTHON" -Sc '
import signal, threading
thread = threading.Thread(target=signal.sigwait, args=([signal.SIGTERM],))
thread.start()
print(thread.native_id, file=open("thread", "w"), flush=True)
thread.join()'
    wait_until test -s thread
    refused "attach to process $(<thread): it is a thread, not a process" \
        --disk a --attach "$(<thread)"
    # A PID name space of a container's has none of the kernel's.
    [ "$(cat /proc/2/comm 2>/dev/null)" != kthreadd ] ||
        refused "attach to process 2: it is a thread of the kernel's" \
            --disk a --attach 2
}

@test "nor another user's, unless by root" {
    requires_root
    requires setpriv
    victim
    open_to_everyone
    chown "$NOBODY" "$T" a
    run_program timeout -s KILL 60 setpriv --reuid "$NOBODY" \
        --regid "$NOBODY" --clear-groups \
        "$SUPERVISOR" --disk a --attach "$VICTIM"
    same "exit status" 125 "$status"
    matches "why" "cannot attach to process $VICTIM: it is another user's" \
        "$stderr"
    lives "$VICTIM"
}

@test "its descendants are killed with it" {
    victim --fork-writer 4
    attach --disk a
    [ "$(recorded | wc -l)" -ge 6 ]
    lockctl revoke "$U"
    same "revoke" 0 "$status"
    same "those that live" "" "$(recorded)"
}

@test "what left its tree is killed where it has a control group of its own" {
    requires_unified
    group=$UNIFIED/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$group"
    mkfifo order
    spawn shell bash -c 'echo $$ >"$1/cgroup.procs"; read -r x <order
        "$2" --ready "$3" --daemonize; exec sleep 1000' sh "$group" \
        "$FAKEVMM" "$T/left"
    victim_is "$PID"
    wait_until has_line "$group/cgroup.procs" "^$VICTIM\$"
    attach --disk a
    echo >order
    wait_until test -s left
    same "who else is there" "$(printf '%s\n' "$VICTIM" "$(<left)" | sort -n)" \
        "$(sort -n "$group/cgroup.procs")"
    lockctl revoke "$U"
    same "revoke" 0 "$status"
    refute lives "$(<left)"
}

@test "one that cannot be killed keeps its leases" {
    requires_freezer
    victim
    attach --disk a
    make_cgroup "$FREEZER/vls-test-$$-$BATS_TEST_NUMBER"
    frozen=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER
    echo "$VICTIM" >"$frozen/cgroup.procs"
    echo FROZEN >"$frozen/freezer.state"
    wait_until has_line "$frozen/freezer.state" FROZEN
    spawn revoke "$LOCKCTL" revoke "$U"
    wait_until has_line vm.err "cannot kill the child: process $VICTIM is in"
    refute "$TAKER" --try a
    echo THAWED >"$frozen/freezer.state"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    "$TAKER" --try a
}

@test "TERM for the supervisor is TERM for it" {
    victim --on-term 9
    attach --disk a
    kill -TERM "$SUP"
    ended "$VICTIM"
    same "how it ended" 9 "$STATUS"
    ended "$SUP"
    same "exit status" 0 "$STATUS"
}

@test "hot-plugged leases are held and released, and kill" {
    victim
    attach --disk a
    lockctl acquire "$U" --disk hot
    same "acquire" 0 "$status"
    refute "$TAKER" --try hot
    lockctl release "$U" --disk hot
    same "release" 0 "$status"
    "$TAKER" --try hot
    lockctl acquire "$U" --disk hot
    lockctl revoke "$U" --disk hot
    gone "$VICTIM"
    "$TAKER" --try hot
}

@test "a process that attaches itself keeps liveness across its exec" {
    become --disk a -- "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    same "its number" "$VICTIM" "$(<ready)"
    same "guarantee" true "$(qmp "$U" query-leases |
        jq 'all(.[]; .guarantee | index("liveness"))')"
    lockctl acquire "$U" --disk hot
    # shellcheck disable=SC2046
    at_once "$SUP" $(guards "$(guard_of "$U")")
    for disk in a hot; do
        run_supervisor --disk "$disk" -- true
        same "its lease, while it lives" 123 "$status"
        matches stderr "which is exiting" "$stderr"
    done
    kill -KILL "$VICTIM"
    ended "$VICTIM"
    run_supervisor --disk a --disk hot -- true
    same "its lease, when it is dead" 0 "$status"
}

@test "without that nothing is claimed of it" {
    LIVENESS=(--no-liveness)
    become --disk a -- "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    same "guarantee" false "$(qmp "$U" query-leases |
        jq 'any(.[]; .guarantee | index("liveness"))')"
    # who else asks gets it, but that does not count
    qmp "$U" query-liveness
    same "guarantee" false "$(qmp "$U" query-leases |
        jq 'any(.[]; .guarantee | index("liveness"))')"
}

@test "with a lockspace there are two descriptors to be kept" {
    become --disk a --param "lockspace=$T/space" -- \
        "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    same "count" 2 "$(qmp "$U" query-liveness | jq .count)"
    run_program qmp "$U" query-liveness '{"number": 2}'
    same "a third" 1 "$status"
    matches "a third" "there are 2 of them" "$output"
    same "open in it" 2 "$(find "/proc/$VICTIM/fd" -lname '*/liveness' | wc -l)"
}

@test "a supervisor that it has started itself is not swept with it" {
    become --disk a --log-level info -- "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    lockctl revoke "$U"
    same "revoke" 0 "$status"
    ended "$VICTIM"
    same "how it ended" 137 "$STATUS"
}

@test "a process that attaches itself is told that a lease is busy" {
    take a
    become --disk a -- touch ran
    ended "$VICTIM"
    same "exit status" 123 "$STATUS"
    refute test -e ran
}

@test "a child of ours has no need of it" {
    start_supervisor vm --uuid "$U" -- sleep 1000
    run_program qmp "$U" query-liveness
    same "query-liveness" 1 "$status"
    matches "why" "the child has inherited it" "$output"
}

@test "a QEMU that runs already is attached, its own locks notwithstanding" {
    requires qemu-system-x86_64
    spawn qemu qemu-system-x86_64 -accel tcg -nodefaults -display none -S \
        -qmp "unix:$T/qmp,server=on,wait=off" \
        -drive "file=$T/a,format=raw,if=virtio"
    victim_is "$PID"
    wait_until test -S qmp
    wait_until locks_of_qemu a
    run_supervisor --disk a -- true
    same "somebody else" 123 "$status"
    attach --disk a
    run_supervisor --disk a -- true
    same "somebody else" 123 "$status"
    matches stderr "held by 'qemu-system-x86'" "$stderr"
    matches "guarantee" "drained-by-qemu-locks" "$(qmp "$U" query-leases)"
    lockctl quit "$U"
    "$TAKER" --try a
}

@test "with -A its own command line is read, and where it is" {
    requires qemu-system-x86_64 qemu-img
    mkdir there
    qemu-img create -q -f qcow2 there/base.qcow2 1M
    qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 there/top.qcow2
    spawn qemu env -C there qemu-system-x86_64 -accel tcg -nodefaults \
        -display none -S -name "a vm" -uuid "$U" -qmp \
        "unix:$T/qmp,server=on,wait=off" -drive file=top.qcow2,if=virtio
    victim_is "$PID"
    wait_until test -S qmp
    attach -A
    same "leases" "$T/there/base.qcow2 readonly
$T/there/top.qcow2 exclusive" "$(qmp "$U" query-leases |
        jq -r '.[] | select(.kind == "disk") | "\(.name) \(.mode)"' | sort)"
    same "name" "a vm" "$(qmp "$U" query-status | jq -r .name)"
}
