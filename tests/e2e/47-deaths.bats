#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the supervisor is killed: what becomes of the child and of its lease?
#
# Each test is one way to run the child, with and without a guard, and attached.
# What is asserted is what virt-lock-supervisor(8) promises: without a guard
# the kernel kills the child in some cases and forgets to in others, and while
# it lives our takers are kept out; with one it is dead before anybody at all
# gets the lease. An attached process has a guard, always.
#
#   child                                     alone  guarded  attached
#   plain, setsid, no_new_privs               dies   dies     dies
#   set-user-ID or file capabilities, by root dies   dies     dies
#   run as another user (--user)              dies   dies     dies
#   becomes another user by itself            lives  dies     dies
#   gives up capabilities, and gains them     lives  dies     dies
#   set-user-ID or file capabilities, by user lives  dies     dies
#   its descendants                           live   die      die
#   an orphan in a session of its own         lives  dies     dies [1]
#   has daemonized                            lives  dies     dies [2]
#   of another user, supervisor without KILL  lives  lives    lives [3]
#   root by now, the supervisor somebody      lives  lives    lives [3]
#   the supervisor dies before prctl          never  runs     left alone [4]
#
#   lives: busy until it is dead; with a guard, for everybody
#   [1] in a control group of its own: its parent is not told of its birth
#   [2] attached after that, or as [1] before
#   [3] attached before: what cannot be killed is not attached to
#   [4] there is no prctl(); a supervisor that has not adopted it yet

load ../lib/common

setup() {
    common_setup
    requires_root
    requires setpriv setcap
    U=$(uuid 1)
    make_disk a
    open_to_everyone
    chmod 777 "$T"
    chmod 666 a
    cp "$FAKEVMM" "$T/fake-setuid"
    chmod 4755 "$T/fake-setuid"
    cp "$FAKEVMM" "$T/fake-fcaps"
    setcap cap_net_raw+ep "$T/fake-fcaps"
    cp /usr/bin/setpriv "$T/become-root"
    chmod 4755 "$T/become-root"
    as_nobody=(setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups)
    as=() options=() before=() program=$FAKEVMM arguments=() group=
}

# The command of the child, with what it does anyway.
command_of() {
    rm -f ready stamps
    : >stamps
    chmod 666 stamps
    command=("${before[@]}" "$program" --ready "$T/ready" --stamp "$T/stamps" \
        "${arguments[@]}")
}

# Everybody who stamps.
writers() {
    od -An -v -tu8 -w16 stamps | awk '$2 { print $2 }' | sort -u
}

all_gone() {
    local pid
    for pid in $(writers); do
        gone "$pid" || return 1
    done
}

# A waiter who knows of byte 0 only, and is woken when it is let go.
waiter() {
    rm -f granted
    spawn waiter "$TAKER" "$T/a" "$T/granted"
    TAKEN_BY=$PID
}

end_waiter() {
    kill -KILL "$TAKEN_BY"
    ended "$TAKEN_BY"
}

started() {
    command_of
    spawn vm "${as[@]}" "$SUPERVISOR" --name vm --uuid "$U" --disk a \
        "${options[@]}" "$@" -- "${command[@]}"
    SUP=$PID
    wait_until test -s ready || fail "$(cat vm.err)"
    wait_until vm_state "$U" RUNNING
}

# attach PID
attach() {
    spawn vm "${as[@]}" "$SUPERVISOR" --name vm --uuid "$U" --disk a \
        --attach "$1"
    SUP=$PID
    wait_until vm_state "$U" RUNNING || fail "$(cat vm.err)"
}

attached() {
    command_of
    spawn victim "${as[@]}" "${command[@]}"
    wait_until test -s ready
    attach "$(<ready)"
}

# attached_before COMMAND...: to a process that becomes COMMAND then
attached_before() {
    rm -f go
    mkfifo go
    chmod 666 go
    spawn victim "${as[@]}" sh -c 'read -r _ <go; exec "$@"' sh "$@"
    [ -z "$group" ] || echo "$PID" >"$group/cgroup.procs"
    attach "$PID"
    echo >go
    wait_until test -s ready
}

kill_supervisor() {
    kill -KILL "$SUP"
    ended "$SUP"
}

refused() {
    run_program timeout -s KILL 20 "${as[@]}" "$SUPERVISOR" --name other \
        --disk a -- touch ran
    same "a taker, while it lives" 123 "$status"
    matches "why" "held by 'vm', which is exiting" "$stderr"
}

admitted() {
    run_program timeout -s KILL 20 "${as[@]}" "$SUPERVISOR" --name other \
        --wait=10 --disk a -- true
    same "a taker, when it is dead: $stderr" 0 "$status"
}

kill_writers() {
    local pid
    for pid in $(writers); do
        kill -KILL "$pid" 2>/dev/null || :
    done
    wait_until all_gone
}

dies_without_guard() {
    started
    kill_supervisor
    wait_until all_gone
    admitted
}

lives_without_guard() {
    started
    kill_supervisor
    refused
    lives "$(<ready)" || fail "it is dead"
    kill_writers
    admitted
}

# It dies, and not a single stamp is younger than the grant.
dies_guarded() {
    waiter
    kill_supervisor
    wait_until test -s granted
    never_after stamps granted
    all_gone || fail "a process of the VM lives on"
    end_waiter
    admitted
}

dies_with_guard() {
    started --guard
    dies_guarded
}

dies_attached() {
    attached
    dies_guarded
}

# It cannot be killed, and nobody gets the lease as long as it lives.
lives_guarded() {
    local session
    session=$(guard_session "$(guard_of "$U")")
    waiter
    kill_supervisor
    refused
    wait_until has_line vm.err "virt-lock-guard\[vm\]: cannot kill the child"
    refute test -e granted
    lives "$(<ready)" || fail "it is dead"
    kill_writers
    wait_until test -s granted
    never_after stamps granted
    wait_until no_guards "$session"
    end_waiter
    admitted
}

# --- what the kernel does not forget ---------------------------------------

@test "a plain child" {
    dies_without_guard
    dies_with_guard
    dies_attached
}

@test "a child that leads a session" {
    before=(setsid)
    dies_without_guard
    dies_with_guard
    dies_attached
}

@test "a child that can gain no privileges" {
    before=(setpriv --no-new-privs)
    dies_without_guard
    dies_with_guard
    dies_attached
}

@test "a set-user-ID program, run by its owner" {
    program=$T/fake-setuid
    dies_without_guard
    dies_with_guard
    dies_attached
}

@test "a program with file capabilities, run by root" {
    program=$T/fake-fcaps
    dies_without_guard
    dies_with_guard
    dies_attached
}

@test "a child that the supervisor runs as another user" {
    options=(--user "$NOBODY")
    dies_without_guard
    dies_with_guard
    options=() before=("${as_nobody[@]}")
    dies_attached
}

# --- what it forgets -------------------------------------------------------

@test "a child that becomes another user by itself" {
    before=("${as_nobody[@]}")
    lives_without_guard
    dies_with_guard
    dies_attached
}

@test "a child that gives up capabilities and gets them back by exec" {
    before=("$PYTHON" "$BATS_TEST_DIRNAME/../bin/privileged.py")
    lives_without_guard
    dies_with_guard
    dies_attached
}

@test "a set-user-ID program, run by somebody else" {
    as=("${as_nobody[@]}") program=$T/fake-setuid
    chown -R "$NOBODY" "$T"
    chmod 4755 "$T/fake-setuid" && chown 0 "$T/fake-setuid"
    chmod 4755 "$T/fake-setuid"
    lives_without_guard
    dies_with_guard
    dies_attached
}

@test "a program with file capabilities, run by somebody else" {
    as=("${as_nobody[@]}") program=$T/fake-fcaps
    chown -R "$NOBODY" "$T"
    setcap cap_net_raw+ep "$T/fake-fcaps"
    lives_without_guard
    dies_with_guard
    dies_attached
}

@test "descendants of the child, when the kernel has killed it" {
    arguments=(--fork-writer 3)
    started
    kill_supervisor
    wait_until gone "$(<ready)"
    refused
    kill_writers
    admitted
    dies_with_guard
    dies_attached
}

@test "an orphan in a session of its own" {
    arguments=(--setsid-grandchild)
    started
    wait_until has_stamped 2
    kill_supervisor
    wait_until gone "$(<ready)"
    refused
    kill_writers
    admitted
    started --guard
    wait_until has_stamped 2
    dies_guarded
    in_a_group
    wait_until has_stamped 2
    dies_guarded
}

# A process that has a control group to itself is attached, and then becomes
# the command.
in_a_group() {
    requires_unified
    group=$UNIFIED/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$group"
    command_of
    attached_before "${command[@]}"
}

has_stamped() { # COUNT: so many have
    [ "$(writers | wc -l)" -ge "$1" ]
}

@test "a child that has daemonized" {
    arguments=(--daemonize --fork-writer 1)
    lives_without_guard
    dies_with_guard
    dies_attached
    in_a_group
    dies_guarded
}

# --- what nobody can kill --------------------------------------------------

@test "a supervisor of root's that must not kill, and a child of another user" {
    as=(setpriv --bounding-set=-kill --inh-caps=-kill)
    options=(--user "$NOBODY")
    lives_without_guard
    started --guard
    lives_guarded
    before=("${as_nobody[@]}")
    command_of
    attached_before "${command[@]}"
    as=()
    lives_guarded
}

@test "somebody's supervisor, and a child that has become root" {
    as=("${as_nobody[@]}")
    chown -R "$NOBODY" "$T"
    chown 0 "$T/become-root" && chmod 4755 "$T/become-root"
    before=("$T/become-root" --reuid 0 --regid 0 --clear-groups)
    lives_without_guard
    started --guard
    lives_guarded
    command_of
    attached_before "${command[@]}"
    lives_guarded
}

# --- before it runs --------------------------------------------------------

children_of() {
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

has_a_child() {
    [ -n "$(children_of "$1")" ]
}

# The first prctl() of each takes a moment, so that the child is met before it.
@test "a supervisor that dies before its child is told to die with it" {
    requires strace
    local guard
    for guard in "" --guard; do
        rm -f ran "$(socket_of "$U")"
        # shellcheck disable=SC2086
        spawn vm strace -f -qq -o /dev/null -e trace=prctl \
            -e inject=prctl:delay_enter=500000:when=1 "$SUPERVISOR" --name vm \
            --uuid "$U" --disk a $guard -- touch ran
        STRACE=$PID
        wait_until test -S "$(socket_of "$U")"
        SUP=$(children_of "$STRACE")
        SUP=${SUP% }
        wait_until has_a_child "$SUP"
        CHILD=$(children_of "$SUP")
        kill -KILL "$SUP"
        ended "$STRACE" 30
        wait_until gone "${CHILD% }"
        refute test -e ran
        admitted
    done
}

# The guard knows of no process to kill by then.
@test "a supervisor that dies before it has adopted the process" {
    waiter
    wait_until test -s granted
    command_of
    spawn victim "${command[@]}"
    wait_until test -s ready
    spawn vm "$SUPERVISOR" --name vm --uuid "$U" --wait --disk a \
        --attach "$(<ready)"
    SUP=$PID
    wait_until vm_state "$U" ATTACHING
    session=$(guard_session "$(guard_of "$U")")
    kill_supervisor
    wait_until no_guards "$session"
    lives "$(<ready)" || fail "it is dead"
    end_waiter
    admitted
}
