#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the same for a user who is not root

load ../lib/common

setup() {
    common_setup
    requires_root # to become somebody else
    requires setpriv
    open_to_everyone
    mkdir home
    chown "$NOBODY" home
    cd home || return 1
    U=$(uuid 1)
    unset VIRT_LOCK_RUN_DIR VIRT_LOCK_STATE_DIR
    export HOME=$T/home XDG_RUNTIME_DIR=$T/home/runtime
    mkdir runtime
    truncate -s 1M a b
    chmod 600 a b
    chown "$NOBODY" runtime a b
    RUN=$XDG_RUNTIME_DIR/virt-lock-supervisor
    STATE=$HOME/.local/state/virt-lock-supervisor
}

as_user() {
    setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups "$@"
}

# Like start_supervisor and fake, as the user.
user_vm() {
    local name=$1
    shift
    rm -f ready pid
    : >pid
    spawn "$name" setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$SUPERVISOR" --name "$name" --pid-fd 8 "$@" 8>pid
    SUP=$PID
    wait_until test -s pid
    CHILD=$(<pid)
    record "$CHILD"
}

user_lockctl() {
    run_program as_user "$LOCKCTL" "$@"
}

user_supervisor() {
    run_program as_user "$SUPERVISOR" "$@"
}

@test "a user's VM starts, is listed and asked, in the user's own directories" {
    user_vm web1 --uuid "$U" --disk a -- "$FAKEVMM"
    test -S "$RUN/$U.sock"
    test -d "$STATE"
    same "owner of the child" nobody "$(stat -c %U "/proc/$CHILD")"
    user_lockctl child web1
    same "child" "$CHILD" "$output"
    user_lockctl list
    matches "list" "web1 +$U +RUNNING +$CHILD +1 " "$output"
    user_lockctl status web1
    same "status" 0 "$status"
    user_lockctl leases web1
    matches "leases" "exclusive +HELD.*/a" "$output"
}

@test "XDG_STATE_HOME is where the user's records are" {
    mkdir mine
    chown "$NOBODY" mine
    XDG_STATE_HOME=$T/home/mine user_vm web1 --disk a -- "$FAKEVMM"
    test -d mine/virt-lock-supervisor/holders
}

@test "without XDG_RUNTIME_DIR the run directory must be said" {
    unset XDG_RUNTIME_DIR
    user_supervisor -- touch started
    same "exit status" 125 "$status"
    matches stderr "run" "$stderr"
    refute test -e started
    user_supervisor --run-dir "$T/home/rundir" -- true
    same "exit status with --run-dir" 0 "$status"
}

@test "a normal run of a user says nothing" {
    user_supervisor --disk a -- "$FAKEVMM" --exit 7
    same "exit status" 7 "$status"
    same "stderr" "" "$stderr"
}

@test "a user's disk is refused to another of the user's VMs, with the name" {
    user_vm web1 --uuid "$U" --disk a -- "$FAKEVMM"
    user_supervisor --disk a -- true
    same "exit status" 123 "$status"
    matches stderr "held by 'web1' \($U" "$stderr"
    user_lockctl holder a
    matches "holder" "'web1'" "$output"
}

@test "a user's VM gets and gives up disks" {
    user_vm web1 --uuid "$U" --disk a -- "$FAKEVMM"
    user_lockctl acquire web1 --disk b
    same "acquire" 0 "$status"
    refute "$TAKER" --try b
    user_lockctl release web1 --disk b
    same "release" 0 "$status"
    "$TAKER" --try b
}

@test "a user's disk is not released while the child has it open or mapped" {
    mkfifo -m 666 orders
    chmod 777 .
    user_vm web1 --uuid "$U" --disk a -- "$PUPPET" "$T/home/orders"
    wait_until test -e orders.done
    user_lockctl acquire web1 --disk b
    for order in "open $T/home/b" map close; do
        echo "$order" >orders
        wait_until has_line orders.done "^$order\$"
        user_lockctl release web1 --disk b
        same "release after '$order'" 1 "$status"
        matches stderr "$CHILD" "$stderr"
    done
    echo unmap >orders
    wait_until has_line orders.done unmap
    user_lockctl release web1 --disk b
    same "release" 0 "$status"
}

@test "a user's revocation kills the tree, ends with 124 and frees the disk" {
    mkdir stamps
    chown "$NOBODY" stamps
    user_vm web1 --uuid "$U" --disk a -- "$FAKEVMM" --stamp stamps/stamp \
        --fork-writer 2 --setsid-grandchild --ready stamps/ready
    wait_until test -s stamps/ready
    spawn taker "$TAKER" a "$T/granted"
    user_lockctl revoke web1 --reason "moved by admin"
    same "revoke" 0 "$status"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    wait_until test -s "$T/granted"
    never_after stamps/stamp "$T/granted"
}

@test "the user's child dies of the supervisor's own SIGKILL" {
    user_vm web1 --disk a -- "$FAKEVMM" --ignore-term
    kill -KILL "$SUP"
    wait_until -t 2 gone "$CHILD"
}

@test "a disk that the user may not open is an error, not a conflict" {
    chown root a
    user_supervisor --disk a -- touch started
    same "exit status" 125 "$status"
    matches stderr "cannot open '.*/a': Permission denied" "$stderr"
    same "lines on stderr" 1 "${#stderr_lines[@]}"
}

@test "a disk that the user may only read is leased readonly or shared, not exclusive" {
    chown root a
    chmod 644 a
    user_supervisor --disk a -- true
    same "exclusive" 125 "$status"
    user_supervisor --disk a,readonly -- true
    same "readonly" 0 "$status"
    user_supervisor --disk a,shared -- true
    same "shared" 0 "$status"
}

@test "a user may not become somebody else" {
    user_supervisor --user root -- id
    same "exit status" 125 "$status"
    same "stdout" "" "$output"
    same "lines on stderr" 1 "${#stderr_lines[@]}"
}

@test "a run directory of somebody else's is refused" {
    mkdir theirs
    chmod 755 theirs
    user_supervisor --run-dir "$T/home/theirs" -- touch started
    same "exit status" 125 "$status"
    matches stderr "'$T/home/theirs'" "$stderr"
    refute test -e started
}

@test "another user gets no answer" {
    user_vm web1 --uuid "$U" -- "$FAKEVMM"
    run_program setpriv --reuid 1 --regid 1 --clear-groups \
        "$LOCKCTL" --run-dir "$RUN" quit "$U"
    same "exit status" 1 "$status"
    lives "$CHILD"
}

@test "a frozen child of a user is told with what it waits for" {
    requires_freezer
    user_vm web1 --uuid "$U" --disk a -- "$FAKEVMM"
    group=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$group"
    echo "$CHILD" >"$group/cgroup.procs"
    echo FROZEN >"$group/freezer.state"
    wait_until has_line "$group/freezer.state" FROZEN
    wchan=$(cat "/proc/$CHILD/wchan")
    spawn quit "$LOCKCTL" --run-dir "$RUN" --timeout 60 quit web1
    wait_until -t 8 has_line "$T/web1.err" "process $CHILD is in state D"
    if [ "$wchan" != 0 ]; then
        has_line "$T/web1.err" "state D.*$wchan"
    fi
    echo THAWED >"$group/freezer.state"
    ended "$SUP"
    same "exit status" 137 "$STATUS"
}
