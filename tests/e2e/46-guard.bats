#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: virt-lock-guard: the second process that keeps the leases
#
# What becomes of each kind of child is in 47-deaths.bats; here is the guard
# itself: who it is, who takes its place, and what it waits for.

# shellcheck disable=SC2030,SC2031  # each test is a shell, and so is run_program
load ../lib/common
load ../lib/slowdisk

setup() {
    common_setup
    U=$(uuid 1)
    make_disk a b hot
}

teardown() {
    if [ -n "${SLOW:-}" ]; then
        slowdisk_teardown
    else
        common_teardown
    fi
}

# guarded [SUPERVISOR OPTION...] -- [FAKEVMM OPTION...]: a VM with a guard;
# $SESSION is the guard's.
guarded() {
    fake vm --guard --uuid "$U" "$@"
    know_guard
}

# of_guarded OPTION... -- COMMAND...: the same of any command; $SUP
of_guarded() {
    spawn vm "$SUPERVISOR" --name vm --guard --uuid "$U" "$@"
    SUP=$PID
}

# via SCRIPT OPTION... -- COMMAND...: likewise, started by a shell
via() {
    spawn vm sh -c "$1" sh "$SUPERVISOR" --name vm --guard --uuid "$U" "${@:2}"
    SUP=$PID
}

runs() {
    wait_until vm_state "$U" RUNNING
}

know_guard() {
    GUARD_PID=$(guard_of "$U")
    SESSION=$(guard_session "$GUARD_PID")
    wait_until two_guards "$SESSION"
}

kill_supervisor() {
    kill -KILL "$SUP"
    ended "$SUP"
}

# all_are WORD true|false: among the guarantees of all leases
all_are() {
    [ "$(qmp "$U" query-leases | jq -c --arg word "$1" \
        '[.[].guarantee | index($word) != null] | unique')" = "[$2]" ]
}

another_guard() { # NOT: pid
    local pid
    pid=$(guard_of "$U")
    [ -n "$pid" ] && [ "$pid" != "$1" ]
}

child_is_not() { # PID
    [ "$(qmp "$U" query-child | jq .pid)" != "$1" ]
}

free() { # DISK
    "$TAKER" --try "$1"
}

stop() {
    kill -STOP "$@"
    for pid; do wait_until state_is "$pid" T; done
}

stop_guards() {
    # shellcheck disable=SC2046
    stop $(guards "$SESSION")
}

continue_guards() {
    # shellcheck disable=SC2046
    kill -CONT $(guards "$SESSION")
}

# A supervisor, its guard and the spare, at one blow.
kill_all_at_once() {
    # shellcheck disable=SC2046
    at_once "$SUP" $(guards "$SESSION")
}

# frozen PID: it cannot die before it is thawed
freeze() {
    requires_freezer
    FROZEN=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$FROZEN"
    echo "$1" >"$FROZEN/cgroup.procs"
    echo FROZEN >"$FROZEN/freezer.state"
    wait_until has_line "$FROZEN/freezer.state" FROZEN
}

thaw() {
    echo THAWED >"$FROZEN/freezer.state"
}

# --- who it is -------------------------------------------------------------

@test "it is told of, and every lease is guarded" {
    guarded --disk a --lease space:key --
    lives "$GUARD_PID"
    all_are guarded true
    lockctl acquire vm --disk hot
    same "acquire" 0 "$status"
    all_are guarded true
}

@test "without the option there is none" {
    fake vm --uuid "$U" --disk a --
    same "guard" "" "$(guard_of "$U")"
    all_are guarded false
}

@test "it is nobody's child of the VM's, and of a session of its own" {
    guarded --disk a --
    same "session" "$GUARD_PID" "$SESSION"
    same "children of the supervisor" "$CHILD " \
        "$(cat "/proc/$SUP/task/$SUP/children")"
}

@test "it has what it needs and nothing else" {
    requires_sight
    exec 7<b
    of_guarded --disk a -- sleep 1000
    exec 7>&-
    runs
    know_guard
    for pid in $(guards "$SESSION"); do
        same "descriptors of $pid" "$(printf '%s\n' \
            "$T/a" "$T/state/liveness" "$T/state/locks" "$T/vm.err" \
            'anon_inode:[pidfd]' socket socket | LC_ALL=C sort)" \
            "$(find "/proc/$pid/fd" -type l ! -lname /dev/null -printf '%l\n' |
                sed 's/^socket:.*/socket/' | LC_ALL=C sort)"
        same "capabilities" "$(printf '%016x' $((1 << 5 | 1 << 19)))" \
            "$(sed -n 's/^CapPrm:[[:space:]]*//p' "/proc/$pid/status")"
        same "no new privileges" 1 \
            "$(sed -n 's/^NoNewPrivs:[[:space:]]*//p' "/proc/$pid/status")"
        same "directory" / "$(readlink "/proc/$pid/cwd")"
        # (AddressSanitizer locks nothing.)
        grep -q __asan_init "$GUARD" || matches "locked memory" "^[1-9]" \
            "$(sed -n 's/^VmLck:[[:space:]]*//p' "/proc/$pid/status")"
    done
}

@test "only a supervisor starts it" {
    run_program "$GUARD" vm
    same "exit status" 1 "$status"
    matches "stderr" "only a supervisor starts it" "$stderr"
}

@test "where it is missing nothing is started" {
    mkdir alone
    cp "$SUPERVISOR" alone
    run_program alone/virt-lock-supervisor --guard -- touch ran
    same "exit status" 125 "$status"
    matches "stderr" "cannot find 'virt-lock-guard': it is neither in \
'$T/alone' nor in '../libexec' from there \(install it\)" "$stderr"
    printf '#!/nowhere\n' >alone/virt-lock-guard
    chmod +x alone/virt-lock-guard
    run_program alone/virt-lock-supervisor --guard -- touch ran
    same "exit status" 125 "$status"
    matches "stderr" "cannot start the guard '$T/alone/virt-lock-guard': \
No such file" "$stderr"
    refute test -e ran
}

# --- who takes its place ---------------------------------------------------

@test "a guard that is killed is replaced, and told everything again" {
    guarded --disk a --
    kill -KILL "$GUARD_PID"
    wait_until another_guard "$GUARD_PID"
    wait_until all_are guarded true
    wait_until two_guards "$SESSION"
    lockctl acquire vm --disk hot
    same "acquire" 0 "$status"
    same "session" "$SESSION" "$(guard_session "$(guard_of "$U")")"
    stop_guards
    kill_supervisor
    refute free a
    refute free hot
    continue_guards
    wait_until free a
    wait_until free hot
    gone "$CHILD"
}

@test "a spare that is killed is replaced" {
    guarded --disk a --
    spare=$(guards "$SESSION" | grep -vx "$GUARD_PID")
    kill -KILL "$spare"
    wait_until gone "$spare"
    wait_until two_guards "$SESSION"
    same "guard" "$GUARD_PID" "$(guard_of "$U")"
    kill -KILL "$GUARD_PID"
    wait_until another_guard "$GUARD_PID"
}

# More than a socket holds.
plug_a_lot() {
    python "$(socket_of "$U")" <<'END'
import sys
from qmp import QMP
vm = QMP(sys.argv[1])
for i in range(400):
    vm.command("lease-acquire", {"lease": f"space:{i}"})
    vm.command("lease-release", {"lease": f"space:{i}"})
END
}

@test "a spare that is stopped and told too much is replaced" {
    guarded --disk a --
    spare=$(guards "$SESSION" | grep -vx "$GUARD_PID")
    stop "$spare"
    plug_a_lot
    wait_until gone "$spare"
    wait_until two_guards "$SESSION"
    all_are guarded true
}

@test "guard and supervisor killed at once: the spare sees to the end" {
    guarded --disk a -- --outlive-parent --stamp "$T/stamps"
    spawn waiter "$TAKER" a granted
    at_once "$SUP" "$GUARD_PID"
    wait_until test -s granted
    never_after stamps granted
    gone "$CHILD"
}

@test "all guards killed at once: one warning, and the VM runs on" {
    guarded --disk a --
    # shellcheck disable=SC2046
    at_once $(guards "$SESSION")
    wait_until has_line vm.err "the guard \(process $GUARD_PID\) and its spare \
are gone: no lease is guarded any more"
    same "guard" "" "$(guard_of "$U")"
    all_are guarded false
    lockctl acquire vm --disk hot
    same "acquire" 0 "$status"
    same "warnings" 1 "$(wc -l <vm.err)"
    lockctl quit vm
    ended "$SUP"
    same "exit status" 137 "$STATUS"
}

@test "all killed at once: liveness and QEMU's own bytes are all that is left" {
    guarded --disk a --disk b -- --outlive-parent --qemu-locks "$T/a"
    kill_all_at_once
    lives "$(<vm.ready)"
    free a
    for disk in a b; do
        run_supervisor --disk "$disk" -- true
        same "while it lives" 123 "$status"
        matches "why" "held by 'vm', which is exiting" "$stderr"
    done
    kill -KILL "$(<vm.ready)"
    wait_until gone "$(<vm.ready)"
    run_supervisor --disk a --disk b -- true
    same "when it is dead" 0 "$status"
}

@test "... and of a process that was attached, only those bytes" {
    spawn victim "$FAKEVMM" --ready "$T/ready" --later --qemu-locks "$T/a"
    wait_until test -s ready
    of_guarded --attach "$(<ready)" --disk a --disk b
    runs
    all_are guarded true
    know_guard
    kill -USR1 "$(<ready)"
    wait_until all_drained_by qemu-locks
    kill_all_at_once
    lives "$(<ready)"
    run_supervisor --disk a -- true
    same "what it has locked as QEMU does" 123 "$status"
    matches "why" "a QEMU that no supervisor answers for" "$stderr"
    run_supervisor --disk b -- true
    same "what it has not" 0 "$status"
}

all_drained_by() {
    qmp "$U" query-leases | grep -q "drained-by-$1"
}

@test "a guard that is killed while leases are waited for is replaced" {
    take a
    of_guarded --wait --disk a -- \
        "$FAKEVMM" --ready "$T/ready" --outlive-parent
    wait_until vm_state "$U" STARTING
    know_guard
    kill -KILL "$GUARD_PID"
    wait_until another_guard "$GUARD_PID"
    kill -KILL "$HOLDER"
    runs
    all_are guarded true
    wait_until test -s ready
    kill_supervisor
    wait_until gone "$(<ready)"
    wait_until free a
}

# --- one that is stopped ---------------------------------------------------

@test "a guard that is stopped delays nobody, and keeps what it has" {
    guarded --disk a -- --outlive-parent
    stop_guards
    lockctl acquire vm --disk hot
    same "acquire" 0 "$status"
    all_are guarded true # it is in its socket
    kill_supervisor
    refute free a
    refute free hot
    lives "$CHILD"
    run_supervisor --disk hot -- true
    same "somebody else" 123 "$status"
    continue_guards
    wait_until free hot
    gone "$CHILD"
    wait_until no_guards "$SESSION"
}

@test "one that takes nothing more is said, and told all when it does" {
    guarded --disk a -- --outlive-parent
    stop_guards
    plug_a_lot
    all_are guarded false
    wait_until has_line vm.err "the guard \(process $GUARD_PID\) takes nothing \
that it is told: no lease is guarded until it does"
    lockctl acquire vm --disk hot
    same "acquire" 0 "$status"
    continue_guards
    wait_until has_line vm.err "has been told everything again"
    all_are guarded true
    stop_guards
    kill_supervisor
    refute free hot
    continue_guards
    wait_until free hot
    gone "$CHILD"
}

@test "the end does not wait long for a guard that is stopped" {
    guarded --disk a --
    stop_guards
    lockctl quit vm
    ended "$SUP" 5
    free a
    continue_guards
    wait_until no_guards "$SESSION"
    refute has_line vm.err "virt-lock-guard"
}

# --- the end ---------------------------------------------------------------

@test "an end in good order leaves no guard behind, and no file open" {
    for i in {1..20}; do
        guarded --disk a --
        lockctl quit vm
        ended "$SUP"
        no_guards "$SESSION" || fail "round $i: a guard lives on"
    done
    run_supervisor --guard --disk a -- true
    same "exit status" 0 "$status"
    same "stderr" "" "$stderr"
    run_supervisor --guard --disk nowhere -- true
    same "exit status" 125 "$status"
    same "lines" 1 "${#stderr_lines[@]}"
}

@test "64 disks are kept" {
    disks=() names=()
    for i in {1..64}; do
        names+=("disk$i")
        disks+=(--disk "disk$i")
    done
    make_disk "${names[@]}"
    guarded "${disks[@]}" -- --outlive-parent
    stop_guards
    kill_supervisor
    for name in "${names[@]}"; do
        refute free "$name"
    done
    continue_guards
    wait_until no_guards "$SESSION"
    gone "$CHILD"
    for name in "${names[@]}"; do
        free "$name"
    done
}

@test "more than it may have open is said, and not called guarded" {
    names=()
    for i in {1..20}; do names+=("disk$i"); done
    make_disk "${names[@]}"
    guarded --disk a --
    for pid in $(guards "$SESSION"); do prlimit --pid "$pid" --nofile=32; done
    for name in "${names[@]}"; do
        lockctl acquire vm --disk "$name"
        same "acquire" 0 "$status"
    done
    wait_until has_line vm.err "the guard \(process $GUARD_PID\) cannot keep \
every lease: Too many open files; none is called guarded any more"
    all_are guarded false
    lives "$GUARD_PID"
    # What it has it keeps, and there are enough to see to the end.
    kill_supervisor
    wait_until no_guards "$SESSION"
    gone "$CHILD"
    free a
}

@test "what it waits for it says: a child that cannot be killed" {
    guarded --disk a --
    freeze "$CHILD"
    kill_supervisor
    wait_until has_line vm.err "^virt-lock-guard\[vm\]: the supervisor is gone"
    wait_until has_line vm.err "^virt-lock-guard\[vm\]: cannot kill the child: \
process $CHILD lives on; its leases are kept"
    refute free a
    # The one that takes its place goes on with it.
    kill -KILL "$GUARD_PID"
    wait_until gone "$GUARD_PID"
    wait_until two_guards "$SESSION"
    refute free a
    thaw
    wait_until free a
    gone "$CHILD"
    wait_until no_guards "$SESSION"
}

@test "a log that takes no more does not delay the kill" {
    mkfifo log
    exec 9<>log
    via 'exec "$@" 2>log' --disk a -- \
        "$FAKEVMM" --outlive-parent --ready "$T/ready"
    wait_until test -s ready
    runs
    know_guard
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
    kill_supervisor
    wait_until free a
    gone "$(<ready)"
    wait_until no_guards "$SESSION"
    exec 9>&-
}

@test "its leases in a lockspace are kept as well" {
    guarded --param "lockspace=$T/space" --disk a -- --outlive-parent
    stop_guards
    kill_supervisor
    export VIRT_LOCK_STATE_DIR=$T/elsewhere
    run_supervisor --param "lockspace=$T/space" --disk a -- true
    same "somebody of another host" 123 "$status"
    matches "why" "held by 'vm', which is exiting" "$stderr"
    continue_guards
    wait_until no_guards "$SESSION"
    run_supervisor --param "lockspace=$T/space" --disk a -- true
    same "afterwards" 0 "$status"
}

@test "with the driver that protects nothing it kills, and keeps the uuid" {
    guarded --driver nop --disk a -- --outlive-parent
    stop_guards
    kill_supervisor
    run_supervisor --uuid "$U" -- true
    same "the same uuid" 123 "$status"
    continue_guards
    wait_until no_guards "$SESSION"
    gone "$CHILD"
    run_supervisor --uuid "$U" -- true
    same "the same uuid" 0 "$status"
}

# --- control groups, trees -------------------------------------------------

@test "it may be in the supervisor's control group, and is not killed with it" {
    requires_unified
    group=$UNIFIED/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$group"
    via "echo \$\$ >$group/cgroup.procs && exec \"\$@\"" --disk a -- \
        "$FAKEVMM" --ready "$T/ready" --close-fds --setsid-grandchild \
        --outlive-parent
    wait_until test -s ready
    runs
    know_guard
    same "the child's group" "/vls-test-$$-$BATS_TEST_NUMBER/vm-$SUP" \
        "$(sed -n 's/^0:://p' "/proc/$(<ready)/cgroup")"
    kill_supervisor
    # Even of those who have closed V nobody is left.
    wait_until free a
    same "who is left" "" "$(recorded)"
    wait_until no_guards "$SESSION"
}

@test "an attached process that is its reaper is killed without it" {
    cat >victim.py <<'END'
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
subprocess.Popen(sys.argv[1:] + ["--attach", str(os.getpid())],
                 stderr=open("vm.err", "w"))
while True:
    signal.pause()
END
    spawn victim "$PYTHON" victim.py "$SUPERVISOR" --name vm --uuid "$U" \
        --disk a
    victim=$PID
    runs
    know_guard
    same "its parent" "$victim" \
        "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$GUARD_PID/status")"
    freeze "$victim"
    spawn revoke "$LOCKCTL" revoke "$U"
    wait_until has_line vm.err "cannot kill the child"
    lives "$GUARD_PID"
    thaw
    ended "$victim"
    same "how it ended" 137 "$STATUS"
    wait_until no_guards "$SESSION"
    refute has_line vm.err "spare"
}

# victim [FAKEVMM OPTION...]: a process to be attached; $VICTIM
victim() {
    spawn victim "$FAKEVMM" --ready "$T/victim.ready" "$@"
    VICTIM=$PID
    wait_until test -s victim.ready
}

@test "descendants that have lost an attached process are killed, too" {
    victim --stamp "$T/stamps" --fork-writer 3
    spawn vm "$SUPERVISOR" --name vm --uuid "$U" --disk a --attach "$VICTIM"
    SUP=$PID
    runs
    know_guard
    # The first of them is the child then; nothing leads from it to the others.
    kill -KILL "$VICTIM"
    ended "$VICTIM"
    wait_until child_is_not "$VICTIM"
    # Nor is that lost where another has taken the guard's place.
    kill -KILL "$GUARD_PID"
    wait_until another_guard "$GUARD_PID"
    wait_until two_guards "$SESSION"
    wait_until all_are guarded true
    kill_supervisor
    spawn taker "$TAKER" a taken
    wait_until test -s taken
    never_after stamps taken
    wait_until no_guards "$SESSION"
    same "those that live" "$PID" "$(recorded | sort -u | paste -sd ' ')"
}

@test "a guard that is new knows no process that is to be left alone yet" {
    victim
    take a
    spawn vm "$SUPERVISOR" --name vm --uuid "$U" --wait --disk a \
        --attach "$VICTIM"
    SUP=$PID
    wait_until vm_state "$U" ATTACHING
    know_guard
    kill -KILL "$GUARD_PID"
    wait_until another_guard "$GUARD_PID"
    wait_until two_guards "$SESSION"
    kill_supervisor
    wait_until no_guards "$SESSION"
    lives "$VICTIM"
}

@test "one that cannot keep every lease still kills an attached process" {
    names=()
    for i in {1..18}; do names+=("disk$i"); done
    make_disk "${names[@]}"
    victim
    # shellcheck disable=SC2016  # of the inner shell
    spawn vm sh -c 'ulimit -n 36; exec "$@"' sh "$SUPERVISOR" --name vm \
        --uuid "$U" --attach "$VICTIM" "${names[@]/#/--disk=}"
    SUP=$PID
    runs
    know_guard
    wait_until has_line vm.err "cannot keep every lease"
    kill_supervisor
    ended "$VICTIM"
    same "how it ended" 137 "$STATUS"
    wait_until no_guards "$SESSION"
}

# --- writes in flight ------------------------------------------------------

slow_vm() {
    slowdisk_setup
    slow_witness
    slow_pause
    guarded --disk "$T/slow/disk" "$@" --uring "$T/slow/disk" \
        --submitted submitted
    wait_until test -s submitted
    wait_until slow_in_flight
}

slow_waiter() {
    spawn waiter "$TAKER" "$SLOW" granted
}

lands_first() {
    refute test -e granted
    refute slow_landed
    slow_resume
    wait_until test -s granted
    slow_landed
    wait_until no_guards "$SESSION"
}

says_of_release() { # PROGRAM WHY
    wait_until has_line vm.err "^$1\[vm\]: cannot release '$SLOW' yet: $2"
}

@test "a write in flight is waited for when the supervisor is killed" {
    slow_vm -- --qemu-locks "$T/slow/disk"
    slow_waiter
    kill_supervisor
    wait_until gone "$CHILD"
    says_of_release virt-lock-guard "writes to it may still be under way"
    lands_first
}

@test "... and when it is killed while it waits for that itself" {
    slow_vm -- --qemu-locks "$T/slow/disk"
    slow_waiter
    kill -KILL "$CHILD"
    says_of_release virt-lock-supervisor "writes to it may still be under way"
    all_are guarded true
    kill_supervisor
    says_of_release virt-lock-guard "writes to it may still be under way"
    lands_first
}

@test "... and of one that does not lock as QEMU does, for a while" {
    slow_vm --param drain=3600 -- --keep-open "$T/slow/disk"
    kill_supervisor
    says_of_release virt-lock-guard "something still has it open"
    refute free "$SLOW"
    refute slow_landed
    slow_resume
    wait_until free "$SLOW"
    slow_landed
}

@test "a QEMU that becomes another user is killed, and its disk is free then" {
    requires_root
    requires qemu-system-x86_64
    chmod 666 a
    of_guarded --disk a -- \
        qemu-system-x86_64 -accel tcg -nodefaults -display none -S \
        -runas nobody -qmp "unix:$T/qmp,server=on,wait=off" \
        -drive "file=$T/a,format=raw,if=virtio"
    wait_until test -S qmp
    runs
    qemu=$(qmp "$U" query-child | jq .pid)
    record "$qemu"
    wait_until uid_is "$qemu" "$(id -u nobody)"
    know_guard
    spawn waiter "$TAKER" a granted
    kill_supervisor
    wait_until test -s granted
    gone "$qemu"
}

uid_is() {
    has_line "/proc/$1/status" "^Uid:[[:space:]]*$2[[:space:]]"
}

# --- races -----------------------------------------------------------------

# race_of WHAT ROUNDS
race_of() {
    mkdir race
    run_program env -C race FAKEVMM_PIDS="$FAKEVMM_PIDS" "$PYTHON" -S \
        "$BATS_TEST_DIRNAME/../race/guard.py" "$BUILD" "$@"
    echo "$output"
    same "exit status ($(tail -n 3 run.err))" 0 "$status"
}

@test "supervisors of attached processes, killed: nobody writes after a grant" {
    race_of kill 50
    matches "what was seen" "^kills: 50; overlaps: 0; .* lived on: 0;" "$output"
}

@test "... and if the guards were killed with them that would be seen" {
    race_of kill-all 5
    matches "what was seen" "^kills: 5; overlaps: 5;" "$output"
}

@test "a guard, killed a hundred times while disks are plugged in and out" {
    race_of replace 100
    matches "what was seen" "^guards: 100; .*; won: 0;" "$output"
}
