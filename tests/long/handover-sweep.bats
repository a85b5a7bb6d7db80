#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031  # each test is a shell, and so is run_program
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a supervisor is killed at each single call that it makes in a hand-over
#
# Lock calls, records, the socket's name, signals: for each kind of system call
# the first, the second, ... is the last one that the supervisor makes, until
# what was to be done is done without it. What is left must then be as
# docs/migration.md says, whatever the call: one side has the VM, or nobody,
# and in the end the disk is free. (Steps between the calls, and other deaths,
# are in tests/e2e/52-handover-crash.bats.)

export BATS_TEST_TIMEOUT=900

load ../lib/common
load ../lib/handover

CALLS=${CALLS:-"fcntl rename link unlink sendmsg pidfd_send_signal"}
# Who waits for another polls for ever.
MOST=${MOST:-25}

setup() {
    common_setup
    handover_setup
    requires_root
    requires strace
    make_disk a
}

# tripped PID CALL N: it is killed when it makes that call for the N-th time
tripped() {
    spawn strace strace -qq -o /dev/null -p "$1" -e "trace=$2" \
        -e "inject=$2:signal=SIGKILL:when=$3"
    STRACE=$PID
    wait_until has_line "/proc/$1/status" "^TracerPid:.$STRACE$"
}

untripped() {
    ! lives "$STRACE" || kill -TERM "$STRACE"
    ended "$STRACE"
}

# sweep WHO BEFORE WHAT AFTER: BEFORE; then WHAT, in which the supervisor whose
# number is in the variable WHO is killed at a call; then AFTER.
sweep() {
    local call n cells=0
    for call in $CALLS; do
        for ((n = 1; n <= MOST; n++)); do
            "$2"
            tripped "${!1}" "$call" "$n"
            "$3"
            untripped
            STATUS=
            lives "${!1}" || ended "${!1}"
            if [ "$STATUS" != 137 ]; then
                all_over
                break
            fi
            echo "# killed at $call $n"
            "$4"
            cells=$((cells + 1))
            all_over
        done
    done
    [ "$cells" -gt 2 ] || fail "it was killed $cells times"
}

# Nothing is left: the disk is free, and so is the VM.
all_over() {
    local side
    for side in "" on_target; do
        $side lockctl quit vm
    done
    wait_until gone "$S_SUP"
    wait_until gone "$S_CHILD"
    [ -z "${T_SUP:-}" ] || wait_until gone "$T_SUP"
    [ -z "${T_CHILD:-}" ] || wait_until gone "$T_CHILD"
    free a
    "$TAKER" --try a || fail "byte 0 is held"
    rm -f "$(socket_of "$U")" "$TARGET_RUN/$U.sock"
    T_SUP='' T_CHILD=''
}

source_begins() {
    source_vm --param drain=1 --disk a --
}

offered() {
    source_begins
    prepare
}

claimed() {
    offered
    target_vm --param drain=1 --disk a --
}

nothing() {
    wait_until gone "$S_CHILD"
}

@test "prepare" {
    sweep S_SUP source_begins tries_prepare nothing
}

tries_prepare() {
    lockctl migrate-prepare vm
}

@test "cancel, on the source" {
    sweep S_SUP offered tries_cancel nothing
}

tries_cancel() {
    lockctl migrate-cancel vm
}

@test "the source is completed" {
    sweep S_SUP claimed tries_out target_goes_on
}

tries_out() {
    lockctl migrate-complete vm --out --wait
    [ "$status" != 0 ] || wait_until gone "$S_SUP"
}

# The source is gone, whatever it got to.
target_goes_on() {
    wait_until gone "$S_CHILD"
    kept a
    complete_in
    wait_until on_target vm_state "$U" RUNNING
    lives "$T_CHILD" || fail "the target's child is dead"
    locked a
}

@test "the target is completed" {
    sweep T_SUP claimed tries_in source_decides
}

tries_in() {
    on_target lockctl migrate-complete vm --in
}

# Either it comes back, or the target was the VM already; not both.
source_decides() {
    local said=$status
    wait_until gone "$T_CHILD"
    lives "$S_CHILD" || fail "the source's child is dead"
    kept a
    lockctl migrate-cancel vm
    if [ "$status" = 0 ]; then
        [ "$said" != 0 ] || fail "the target was told that it may run"
        vm_state "$U" RUNNING
        leases_are HELD
        locked a
    else
        refused_with "the target was completed, .*: 'virt-lockctl migrate-complete vm --out'$"
        complete_out
        ended "$S_SUP"
        same "exit status of the source" 0 "$STATUS"
    fi
}

@test "cancel, on the target" {
    sweep T_SUP claimed tries_target_cancel source_comes_back
}

tries_target_cancel() {
    on_target lockctl migrate-cancel vm
    wait_until gone "$T_SUP"
}

source_comes_back() {
    [ -z "$T_CHILD" ] || wait_until gone "$T_CHILD"
    lockctl migrate-cancel vm
    same "cancel ($stderr)" 0 "$status"
    vm_state "$U" RUNNING
    leases_are HELD
}

# target_under OPTION...: its start, under strace from its very beginning
target_under() {
    offered
    rm -f target.ready
    on_target spawn target strace -qq "$@" "$SUPERVISOR" --name vm \
        --uuid "$U" --incoming --disk a -- "$FAKEVMM" --ready "$T/target.ready"
    T_SUP=$PID
    wait_until started_or_dead
    T_CHILD=$(cat target.ready 2>/dev/null || :)
}

target_quits() {
    on_target lockctl quit vm
    all_over
}

# which_of: the numbers of those to die at. By hundreds of them it only
# looks which descriptors it has inherited.
which_of() {
    awk -v most="$MOST" '!/F_GETFD/ { print NR }
        END { for (i = 1; i <= most; i++) print NR + i }' calls
}

@test "the target's start" {
    local call n numbers cells=0
    for call in $CALLS; do
        target_under -o calls -e "trace=$call"
        target_quits
        numbers=$(which_of)
        for n in $numbers; do
            target_under -o /dev/null -e "trace=$call" \
                -e "inject=$call:signal=SIGKILL:when=$n"
            lives "$T_SUP" && break
            echo "# killed at $call $n"
            cells=$((cells + 1))
            ended "$T_SUP"
            source_comes_back
            all_over
        done
        lives "$T_SUP" || fail "it never starts"
        target_quits
    done
    [ "$cells" -ge 12 ] || fail "it was killed $cells times"
}

# (To ask it would be calls, too.)
started_or_dead() {
    gone "$T_SUP" || test -s target.ready
}
