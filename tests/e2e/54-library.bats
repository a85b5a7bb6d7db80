#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the lock manager API, against supervisors
#
# Each test is what a manager of virtual machines does, call by call; see
# tests/bin/libcall.c. What the calls refuse and how long they wait is in
# tests/unit/test-manager*.c.

load ../lib/common
load ../lib/libcall

setup() {
    libcall_setup
}

teardown() {
    libcall_teardown
}

BAD_ARGUMENT=7 BUSY=2 NO_SUPERVISOR=4 TIMEOUT=8 WRONG_STATE=5

# Names that are difficult in shells, in the supervisor's options, or in both.
ODD=("with space" "with,comma" "x,readonly" "x,,shared" $'new\nline' "-dash"
    "--disk=a" "per%cent" "quo'te\"s" 'back\slash' "a:b:1" "\$HOME" "ö" "=")

# descriptors PID: what they are, without their numbers
descriptors() {
    local fd
    for fd in /proc/"$1"/fd/*; do
        readlink "$fd"
    done | sort
}

# signals PID: what becomes of each signal, and which are blocked
signals() {
    grep -E '^(SigBlk|SigIgn|SigCgt|ShdPnd|SigPnd):' "/proc/$1/status"
}

children() {
    local pids
    read -r pids <"/proc/$1/task/$1/children" || :
    echo "$pids"
}

# --- a supervisor that the manager starts itself -----------------------------

@test "path and arguments, then AcquireObject, GetChild and GetChildPidfd" {
    manager
    new_manager
    works RegisterResource disk "$T/a"
    works RegisterResource disk "$T/b" readonly
    works RegisterResource lease pool:net1
    works GetSupervisorPath
    same "path" "$SUPERVISOR" "$SAID"
    works GetSupervisorArgs
    matches "arguments" "^10 .* --lease=pool:net1 --$" "$SAID"
    works run "$FAKEVMM" --ready "$T/ready" --log-signals "$(coded "$T/a b,%")"
    supervisor_is "$SAID"
    works AcquireObject
    leased a
    refute "$TAKER" --try b
    works GetChild
    child_is "$SAID"
    wait_until test -s ready
    same "child" "$(<ready)" "$CHILD"
    same "command line" "$FAKEVMM|--ready|$T/ready|--log-signals|$T/a b,%|" \
        "$(tr '\0' '|' <"/proc/$CHILD/cmdline")"
    same "its parent" "$SUP" "$(ps -o ppid= -p "$CHILD" | tr -d ' ')"
    works GetChildPidfd
    same "pidfd" "$CHILD cloexec" "${SAID% *}"
    same "which it is" "$(pidfd_inode "$CHILD")" "${SAID##* }"
    leases_are "disk,exclusive,HELD,$T/a" "disk,readonly,HELD,$T/b" \
        "lease,exclusive,HELD,pool:net1"
    works GetStatus
    same "status" "$U web1 17 RUNNING $SUP" "$SAID"
    works Shutdown
    all_over
    end
}

@test "the same by a manager in C++" {
    LIBCALL=$LIBCALL++ running
    works AcquireResource disk "$T/hot"
    works ReleaseResource disk "$T/hot"
    works SetEventCallback
    works Shutdown
    matches "events" "CHILD_EXIT .* RELEASED .* CLOSED" "${EVENTS[*]}"
    all_over
}

@test "AcquireObject waits until all is held" {
    take a
    manager
    new_manager
    works SetParameter wait 60
    works RegisterResource disk "$T/a"
    works GetSupervisorArgs
    works run "$FAKEVMM" --ready "$T/ready"
    record "$SAID"
    begin AcquireObject
    wait_until vm_state "$U" STARTING
    refute test -e ready
    refute read -r -t 0 -u "${ANSWERS[$M]}"
    kill "$HOLDER"
    answer
    same "AcquireObject" ok "$SAID"
    works GetChild
    wait_until test -s ready
    same "child" "$(<ready)" "$SAID"
    leased a
}

# Another VM has disk "a"; who it is goes to $OTHER.
other_has_a() {
    fake web2 --uuid "$(uuid 2)" --disk a --
    OTHER="web2, $(uuid 2), $(hostname), $SUP"
}

@test "where a lease is refused the manager can start the VM again" {
    other_has_a
    manager
    new_manager
    # So that the supervisor is there when it is asked.
    works SetParameter wait 1
    works RegisterResource disk "$T/b"
    works RegisterResource disk "$T/a"
    works GetSupervisorArgs
    works run "$FAKEVMM" --ready "$T/ready"
    fails $BUSY "\[$OTHER\] cannot acquire '$T/a': held" AcquireObject
    refute test -e ready
    wait_until nobody_answers
    is_free b
    kill "$CHILD"
    ended "$SUP"
    starts
    leased a
    leased b
}

@test "a second start of a VM that runs is no success, and does nothing to it" {
    running
    FIRST=$CHILD
    manager second
    new_manager
    works RegisterResource disk "$T/a"
    works GetSupervisorArgs
    works run "$FAKEVMM" --ready "$T/second"
    fails $WRONG_STATE "a supervisor for it runs already" AcquireObject
    fails $WRONG_STATE "a supervisor for it runs already" GetChild
    works Free
    refute test -e second
    child_is "$FIRST"
    leased a
}

# slow_to_execute: the child lives for a while before it is the VM
slow_to_execute() {
    requires strace
    cat >slow <<END
#!/bin/sh
exec strace -f -qq -o /dev/null -e trace=execve \\
    -e inject=execve:delay_enter=500000 "$SUPERVISOR" "\$@"
END
    chmod +x slow
    export VIRT_LOCK_SUPERVISOR=$T/slow
}

@test "GetChild waits for a child that is about to run" {
    slow_to_execute
    running
    works Shutdown
    wait_until all_over
}

@test "GetChild does not wait for a child that cannot run" {
    slow_to_execute
    manager
    new_manager
    works RegisterResource disk "$T/a"
    works GetSupervisorArgs
    works run "$T/nowhere"
    record "$SAID"
    works AcquireObject
    quickly fails $NO_SUPERVISOR \
        "cannot start VM 'web1': .*'$T/nowhere': No such file" GetChild
    wait_until is_free a
    works Detach
    new_manager
    works RegisterResource disk "$T/a"
    starts
}

# --- the process that becomes the VM -----------------------------------------

@test "AcquireObject in the process that becomes the VM" {
    not_under_valgrind pidfd_open
    local before own
    manager
    new_manager
    works RegisterResource disk "$T/a"
    works RegisterResource disk "$T/b"
    before=$(descriptors "$MANAGER")
    signals "$MANAGER" >before
    works AcquireObject
    leased a
    leased b
    same "state" RUNNING "$(qmp "$U" query-status | jq -r .state)"
    works GetChild
    same "child" "$MANAGER" "$SAID"
    works GetStatus
    supervisor_is "${SAID##* }"
    same "children" "" "$(children "$MANAGER")"
    same "signals" "$(<before)" "$(signals "$MANAGER")"
    same "the supervisor's session" "$SUP" \
        "$(ps -o sid= -p "$SUP" | tr -d ' ')"
    same "its input and output" "/dev/null /dev/null" \
        "$(readlink "/proc/$SUP/fd/0") $(readlink "/proc/$SUP/fd/1")"
    same "its directory" / "$(readlink "/proc/$SUP/cwd")"
    begin exec "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    same "the VM" "$MANAGER" "$(<ready)"
    own=$(descriptors "$MANAGER" | grep -v "^$T/state/liveness$" |
        grep -v '^anon_inode:')
    same "descriptors" "$before" "$own"
    test -n "$(descriptors "$MANAGER" | grep "^$T/state/liveness$")"
    leased a
    kill "$MANAGER"
    ended "$MANAGER"
    child_is "$MANAGER"
    all_over
}

@test "where a lease is refused the process is free, and as it was" {
    not_under_valgrind pidfd_open
    local before
    other_has_a
    manager
    new_manager
    works RegisterResource disk "$T/b"
    works RegisterResource disk "$T/a"
    before=$(descriptors "$MANAGER")
    signals "$MANAGER" >before
    fails $BUSY "\[$OTHER\] cannot acquire '$T/a': held" AcquireObject
    same "descriptors" "$before" "$(descriptors "$MANAGER")"
    same "signals" "$(<before)" "$(signals "$MANAGER")"
    same "children" "" "$(children "$MANAGER")"
    wait_until is_free b
    nobody_answers
    fails $WRONG_STATE "VM 'web1'" GetEventFD
    kill "$CHILD"
    ended "$SUP"
    works AcquireObject
    leased a
    leased b
}

@test "a second supervisor for a VM, by either way, is refused" {
    running
    manager second
    new_manager
    works RegisterResource disk "$T/b"
    fails $WRONG_STATE "VM 'web1': a supervisor for it runs already" \
        AcquireObject
    is_free b
    lives "$CHILD"
    back_to manager
    works GetChild
}

# --- odd names ---------------------------------------------------------------

# register_odd CALL: each name is that of a disk
register_odd() {
    local name
    for name in "${ODD[@]}"; do
        truncate -s 1M "$T/$name"
        works "$1" disk "$(coded "$T/$name")"
    done
}

odd_are_leased() {
    local name expected=()
    for name in "${ODD[@]}"; do
        leased "$name"
        expected+=("disk,exclusive,HELD,$(coded "$T/$name")")
    done
    leases_are "${expected[@]}"
}

@test "disks with odd names are leased: by arguments" {
    manager
    new_manager
    register_odd RegisterResource
    starts
    odd_are_leased
}

@test "disks with odd names are leased: by the process that becomes the VM" {
    not_under_valgrind pidfd_open
    manager
    new_manager
    register_odd RegisterResource
    works AcquireObject
    odd_are_leased
}

@test "disks with odd names are leased: while the VM runs, and given up" {
    local name
    manager
    new_manager
    starts
    register_odd AcquireResource
    odd_are_leased
    for name in "${ODD[@]}"; do
        works ReleaseResource disk "$(coded "$T/$name")"
        is_free "$name"
    done
    works GetLeases
    same "leases" "" "$SAID"
}

@test "names of VMs and leases can be odd, too" {
    local name
    name=$(coded "we b,1=--\"ö'")
    manager
    works PluginLoad file
    works New
    works SetParameter uuid "$U"
    works SetParameter name "$name"
    works SetParameter id "$(coded "--id=17 ,")"
    works RegisterResource lease "$(coded 'po ol:ke\:y ,=ö')"
    starts
    works GetStatus
    same "status" "$U $name $(coded "--id=17 ,") RUNNING $SUP" "$SAID"
    works GetLeases
    same "leases" "lease,exclusive,HELD,$(coded 'po ol:ke\:y ,=ö')" "$SAID"
}

@test "what is not UTF-8 is refused, and nothing is taken" {
    manager
    new_manager
    truncate -s 1M "$T/"$'\xff'
    fails $BAD_ARGUMENT "UTF-8" SetParameter name %FF
    fails $BAD_ARGUMENT "UTF-8" RegisterResource disk "$T/%FF"
    fails $BAD_ARGUMENT "UTF-8" RegisterResource lease "pool:%FF"
    starts
    fails $BAD_ARGUMENT "UTF-8" AcquireResource disk "$T/%FF"
    fails $BAD_ARGUMENT "UTF-8" ReleaseResource disk "$T/%FF"
    is_free $'\xff'
    works GetLeases
    same "leases" "" "$SAID"
}

# --- events ------------------------------------------------------------------

watched() {
    works SetEventCallback
    works GetEventFD
    works poll 0
    same "poll" nothing "$SAID"
}

# happens REGEX...: until the end all this is told of, in this order, when the
# descriptor says that there is something
happens() {
    local told=() regex
    while [ ${#told[@]} = 0 ] || [[ ${told[-1]} != CLOSED* ]]; do
        works poll 20000
        same "poll" readable "$SAID"
        works Dispatch
        told+=("${EVENTS[@]}")
    done
    works poll 0
    same "poll after the end" nothing "$SAID"
    for regex; do
        matches "event" "^$regex$" "${told[0]:-nothing}"
        told=("${told[@]:1}")
    done
    same "further events" 0 ${#told[@]}
    works Wait 0
}

@test "events: a lease is revoked" {
    running
    watched
    lockctl revoke "$U" --disk a --reason "moved away"
    happens "STATE KILLING lease%20'$T/a'%20lost:%20moved%20away 0 -1 0" \
        "LEASE_LOST $T/a moved%20away 0 -1 0" "CHILD_EXIT - - $CHILD -1 9" \
        "STATE GONE .*" "RELEASED - - 0 -1 0" "CLOSED - .* 0 -1 0"
    all_over
}

@test "events: the VM ends by itself" {
    running --on-term 3
    watched
    kill "$CHILD"
    happens "CHILD_EXIT - - $CHILD 3 0" "STATE GONE .*" \
        "RELEASED - - 0 -1 0" "CLOSED - .* 0 -1 0"
    all_over
}

@test "events: the VM crashes" {
    running
    watched
    kill -SEGV "$CHILD"
    happens "CHILD_EXIT - - $CHILD -1 11" "STATE GONE .*" \
        "RELEASED - - 0 -1 0" "CLOSED - .* 0 -1 0"
    all_over
}

@test "events: to Wait, which ends when every lease is free" {
    running --on-term 0
    works SetEventCallback
    begin Wait -1
    kill "$CHILD"
    answer
    same "Wait" ok "$SAID"
    matches "events" "^CHILD_EXIT .* STATE GONE .* RELEASED .* CLOSED " \
        "${EVENTS[*]}"
    same "how many" 4 ${#EVENTS[@]}
    all_over
}

@test "events: to a Wait that comes after the end" {
    running --on-term 0
    works SetEventCallback
    kill "$CHILD"
    wait_until all_over
    works Wait 0
    matches "events" "^CHILD_EXIT .* STATE GONE .* RELEASED .* CLOSED " \
        "${EVENTS[*]}"
}

@test "events: a copy of the manager does not take its original's" {
    running --on-term 0
    watched
    works fork Detach
    works fork Free
    kill "$CHILD"
    wait_until all_over
    works fork Dispatch
    works fork Wait 0
    works fork Detach
    happens "CHILD_EXIT .*" "STATE GONE .*" "RELEASED .*" "CLOSED .*"
}

@test "events: the supervisor is killed; nothing waits for it" {
    running
    watched
    kill -KILL "$SUP"
    works poll 20000
    same "poll" readable "$SAID"
    works Dispatch
    same "events" "CLOSED - the%20connection%20was%20lost 0 -1 0" \
        "${EVENTS[*]}"
    works poll 0
    same "poll after the end" nothing "$SAID"
    quickly fails $NO_SUPERVISOR "VM|$U" GetChild
    quickly fails $NO_SUPERVISOR "VM|$U" GetLeases
    quickly fails $NO_SUPERVISOR "VM|$U" GetStatus
    quickly fails $NO_SUPERVISOR "VM|$U" AcquireResource disk "$T/hot"
    quickly fails $NO_SUPERVISOR "VM|$U" Wait -1
    quickly fails $NO_SUPERVISOR "VM|$U" Shutdown
    is_free hot
    wait_until all_over
    works Detach
    new_manager
    works RegisterResource disk "$T/a"
    starts
}

@test "events: the supervisor is killed while it is waited for" {
    local told
    running
    works SetEventCallback
    begin Wait -1
    kill -KILL "$SUP"
    quickly answer
    matches "Wait" "^failed $NO_SUPERVISOR .*(vanished|$U)" "$SAID"
    told=("${EVENTS[@]}")
    works Dispatch
    matches "events" "^CLOSED [^ ]+ [^ ]+ 0 -1 0$" "${told[*]}${EVENTS[*]}"
    manager other
    new_manager attach
    quickly fails $NO_SUPERVISOR "$U" GetChild
    wait_until all_over
}

# events_unread N: pairs of them, which the manager "manager" does not read
events_unread() {
    local i
    {
        printf '%s\n' "PluginLoad file" "New attach" "SetParameter uuid $U" \
            GetChild
        for ((i = 0; i < $1; i++)); do
            printf '%s\n' "AcquireResource lease pool:x" \
                "ReleaseResource lease pool:x"
        done
    } >changes
    "$LIBCALL" <changes >changed 3>&- 4>&- 10>&-
    refute grep -q failed changed
}

@test "a manager that has not listened for long is still answered" {
    running
    # What does not fit into the socket, the supervisor keeps.
    events_unread 2500
    stopped
    begin GetChildPidfd
    wait_until has_line "/proc/$MANAGER/wchan" poll
    # The supervisor answers while the manager takes nothing.
    kill -STOP "$MANAGER"
    kill -CONT "$SUP"
    qmp "$U" query-status >answer
    qmp "$U" query-status >answer
    kill -CONT "$MANAGER"
    answer
    matches "GetChildPidfd" "^ok $CHILD cloexec" "$SAID"
    works GetLeases
}

# --- disks that come and go --------------------------------------------------

# other FLAG...: another VM wants the disk "hot"; what came of it goes to $SAID
other() {
    M=other call AcquireResource disk "$T/hot" "$@"
}

# A second VM, whose manager is "other".
two_running() {
    manager other
    U=$(uuid 2)
    new_manager
    starts
    OTHER="web1, $U, $(hostname), $SUP"
    U=$(uuid 1)
    back_to manager
    running --later --keep-open "$T/hot"
}

@test "a disk comes and goes, exclusively" {
    two_running
    works AcquireResource disk "$T/hot"
    leased hot
    leases_are "disk,exclusive,HELD,$T/a" "disk,exclusive,HELD,$T/hot"
    for flag in '' readonly shared; do
        other $flag
        matches "other $flag" "^failed $BUSY \[web1, $U, .*, $SUP\]" "$SAID"
    done
    back_to manager
    fails $BAD_ARGUMENT "'$T/hot'" AcquireResource disk "$T/hot"
    works ReleaseResource disk "$T/hot"
    is_free hot
    other
    same "other" ok "$SAID"
    back_to manager
    fails $BUSY "\[$OTHER\] cannot acquire '$T/hot'" \
        AcquireResource disk "$T/hot"
    fails . "'$T/hot'" ReleaseResource disk "$T/hot"
}

@test "a disk that the VM has open does not go" {
    running --later --keep-open "$T/hot"
    works AcquireResource disk "$T/hot"
    kill -USR1 "$CHILD"
    wait_until has_open "$CHILD" "$T/hot"
    fails $WRONG_STATE "'$T/hot': still open" ReleaseResource disk "$T/hot"
    leased hot
}

has_open() { # PID FILE
    descriptors "$1" | grep -qx "$2"
}

@test "a disk comes and goes, readonly and shared" {
    two_running
    for flag in readonly shared; do
        back_to manager
        works AcquireResource disk "$T/hot" $flag
        leased hot
        leases_are "disk,exclusive,HELD,$T/a" "disk,$flag,HELD,$T/hot"
        other
        matches "other" "^failed $BUSY \[web1, $U, .*\]" "$SAID"
        other $flag
        same "other $flag" ok "$SAID"
        back_to manager
        released $flag
        leased hot
        back_to other
        released $flag
        is_free hot
    done
}

# Whether a shared disk is open cannot be seen: another may have it.
released() { # FLAG
    local force=
    if [ "$1" = shared ]; then
        force=force
        fails $WRONG_STATE "'$T/hot': .* cannot be seen" \
            ReleaseResource disk "$T/hot" shared
        leased hot
    fi
    works ReleaseResource disk "$T/hot" "$1" $force
}

@test "a lease without a disk comes and goes" {
    two_running
    works AcquireResource lease pool:ip1
    back_to other
    fails $BUSY "\[web1, $U, $(hostname), $SUP\] .*'pool:ip1'" \
        AcquireResource lease pool:ip1
    back_to manager
    works ReleaseResource lease pool:ip1
    back_to other
    works AcquireResource lease pool:ip1
    works GetLeases
    same "leases" "lease,exclusive,HELD,pool:ip1" "$SAID"
}

@test "what was added comes whole or not at all" {
    two_running
    other
    back_to manager
    works AddResource disk "$T/more"
    works AddResource disk "$T/hot"
    works AddResource lease net1
    fails $BUSY "\[$OTHER\] cannot acquire '$T/hot'" Acquire
    leases_are "disk,exclusive,HELD,$T/a"
    is_free more
    fails $BUSY "\[$OTHER\] cannot acquire '$T/hot'" Acquire
    is_free more
    # What cannot be had is given up, and the others come.
    works ReleaseResource disk "$T/hot"
    works Acquire
    leased more
    leases_are "disk,exclusive,HELD,$T/a" "disk,exclusive,HELD,$T/more" \
        "lease,exclusive,HELD,default:net1"
    works Acquire
    works AddResource disk "$T/more"
    works Acquire
    works AddResource disk "$T/more"
    works ReleaseResource disk "$T/more"
    is_free more
    works Acquire
    is_free more
    fails $BAD_ARGUMENT "'$T/more'" ReleaseResource disk "$T/more"
}

@test "what was added has nothing to do with a state" {
    local state
    running
    works Inquire
    works Release
    state=$SAID
    works AddResource lease net1
    fails $WRONG_STATE OUTGOING Acquire
    vm_state "$U" OUTGOING
    works ReleaseResource lease default:net1
    works AddResource lease net1
    works Acquire "$state"
    vm_state "$U" RUNNING
    leases_are "disk,exclusive,HELD,$T/a"
    fails $BAD_ARGUMENT "no state token" Acquire nonsense
    leases_are "disk,exclusive,HELD,$T/a"
    works Acquire
    leases_are "disk,exclusive,HELD,$T/a" "lease,exclusive,HELD,default:net1"
}

@test "what is held in another mode is not held as it was added" {
    local mode
    running
    for mode in readonly shared; do
        works AcquireResource disk "$T/hot" $mode
        works AddResource disk "$T/hot"
        fails $BAD_ARGUMENT "the VM has that lease already" Acquire
        leases_are "disk,exclusive,HELD,$T/a" "disk,$mode,HELD,$T/hot"
        works ReleaseResource disk "$T/hot" force
    done
}

@test "a process that is not the one it should be takes nothing" {
    manager
    new_manager
    works SetParameter pid $$
    works RegisterResource disk "$T/a"
    fails $BAD_ARGUMENT "this process is $MANAGER, and not $$" AcquireObject
    nobody_answers
    is_free a
}

@test "leases of another process than the VM's are not acquired" {
    running
    manager itself
    new_manager attach
    works SetParameter pid "$MANAGER"
    fails $BAD_ARGUMENT "its process is $CHILD, and not $MANAGER" Acquire
    end itself
    manager other
    new_manager attach
    works SetParameter pid $$
    fails $BAD_ARGUMENT "its process is $CHILD, and not $$" Acquire
    end other
    manager other
    new_manager
    works SetParameter pid "$CHILD"
    works AddResource lease net1
    works Acquire
    leases_are "disk,exclusive,HELD,$T/a" "lease,exclusive,HELD,default:net1"
}

# --- the other side ----------------------------------------------------------

# there COMMAND...: where the target is
there() {
    local VIRT_LOCK_RUN_DIR=$T/there
    export VIRT_LOCK_RUN_DIR
    "$@"
}

# offered: VM $U runs here, and is offered; its state goes to $STATE
offered() {
    running
    STATE=$(qmp "$U" migrate-prepare | jq -r .state)
    there manager target
    new_manager migrate
    works RegisterResource disk "$T/a"
}

# What was not asked for has not happened.
only_claimed() {
    there vm_state "$U" INCOMING
    vm_state "$U" OUTGOING
    lives "$CHILD"
}

@test "the process that becomes the VM is the target of a migration" {
    not_under_valgrind pidfd_open
    local call
    offered
    for call in "Acquire $STATE" AcquireObject; do
        # shellcheck disable=SC2086 # its words are the call
        works $call
        only_claimed
        kill -KILL "$MANAGER"
        ended "$MANAGER"
        wait_until nobody_there
        there manager target
        new_manager migrate
        works RegisterResource disk "$T/a"
    done
    fails $BAD_ARGUMENT "not whole" Acquire "${STATE%?}"
    works Acquire "$STATE"
    fails $WRONG_STATE "INCOMING" Acquire
    only_claimed
    works Acquire "$STATE"
    there vm_state "$U" CLAIMING
    fails $BAD_ARGUMENT "no state token" Acquire nonsense
    works Acquire "$STATE"
    kill -KILL "$CHILD"
    ended "$SUP"
    wait_until there vm_state "$U" RUNNING
    lives "$MANAGER"
}

nobody_there() {
    ! there "$LOCKCTL" status "$U" 2>/dev/null
}

@test "a supervisor that the manager starts has the state as a parameter" {
    offered
    works GetSupervisorArgs
    fails $WRONG_STATE "parameter 'state'" Acquire "$STATE"
    works SetParameter state "$STATE"
    works GetSupervisorArgs
    matches "arguments" " --state=$STATE " "$SAID"
    works run "$FAKEVMM" --ready "$T/target.ready"
    record "$SAID"
    works Acquire "$STATE"
    wait_until test -s target.ready
    record "$(<target.ready)"
    only_claimed
}

@test "GetChild waits for a target's child, too, that is about to run" {
    slow_to_execute
    offered
    works GetSupervisorArgs
    works run "$FAKEVMM" --ready "$T/target.ready"
    record "$SAID"
    works AcquireObject
    works GetChild
    wait_until test -s target.ready
    record "$(<target.ready)"
    same "child" "$(<target.ready)" "$SAID"
    only_claimed
}

@test "without its state nothing that was offered comes back" {
    running
    works Inquire
    works Release
    STATE=$SAID
    fails $WRONG_STATE "OUTGOING" Acquire
    vm_state "$U" OUTGOING
    works Acquire "$STATE"
    vm_state "$U" RUNNING
    # Nor is it a hand-over that somebody inquired about before.
    works Inquire
    STATE=$SAID
    works Acquire "$STATE"
    works Release
    vm_state "$U" RUNNING
}

@test "a disk that the manager may not open is not leased" {
    requires_root
    requires setpriv
    open_to_everyone
    chmod 777 .
    cp "$LIBRARY_BUILD"/libsupervise.so* programs
    cp "$LIBRARY_BUILD"/tests/bin/libcall* programs/tests/bin
    export LIBCALL=$T/programs/tests/bin/libcall
    export VIRT_LOCK_SUPERVISOR=$SUPERVISOR
    install -d -o "$NOBODY" -m 700 run state
    chown "$NOBODY" a
    manager nobody setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups
    new_manager
    works RegisterResource disk "$T/a"
    starts
    fails 1 "cannot open '$T/hot': Permission denied" \
        AcquireResource disk "$T/hot"
    is_free hot
    works AcquireResource disk "$T/hot" readonly
    leased hot
}

# --- the end -----------------------------------------------------------------

@test "Free kills the VM" {
    running --ignore-term
    works Free
    wait_until all_over
}

@test "Detach leaves it running, with its leases" {
    running
    works AcquireResource disk "$T/hot"
    works Detach
    end
    lives "$CHILD"
    leased a
    leased hot
    restarted
    works Free
    wait_until all_over
}

@test "what a manager has not started it does not end" {
    running
    manager other
    new_manager attach
    works Free
    end other
    lives "$CHILD"
    back_to manager
    works GetChild
}

@test "Shutdown asks, and kills what does not listen" {
    running --on-term 7
    works SetEventCallback
    works Shutdown
    matches "events" "CHILD_EXIT - - $CHILD 7 0" "${EVENTS[*]}"
    all_over
    works Shutdown
    works Wait 0
    works Detach
    new_manager
    works SetParameter stop-timeout 0.2
    works RegisterResource disk "$T/a"
    starts --ignore-term
    works SetEventCallback
    works Shutdown
    matches "events" "STATE KILLING .* CHILD_EXIT - - $CHILD -1 9" \
        "${EVENTS[*]}"
    all_over
}

# --- a supervisor that does not answer ---------------------------------------

@test "no call waits for a supervisor that was stopped, and all go on after" {
    running
    works GetChildPidfd
    works SetTimeout 300
    stopped
    quickly fails $TIMEOUT "no answer in time" GetChild
    quickly fails $TIMEOUT "no answer in time" GetChildPidfd
    quickly fails $TIMEOUT "no answer in time" GetLeases
    quickly fails $TIMEOUT "no answer in time" AcquireResource disk "$T/hot"
    quickly fails $TIMEOUT "no answer in time" Shutdown
    quickly fails $TIMEOUT "VM 'web1'" Wait 100
    manager other
    new_manager attach
    works SetTimeout 300
    quickly fails $TIMEOUT "$U.*: no answer in time" GetChild
    end other
    lives "$CHILD"
    kill -CONT "$SUP"
    back_to manager
    works SetTimeout 30000
    # Each answer is that of its own question; what was asked comes to pass.
    works Shutdown
    all_over
}

@test "a supervisor that was stopped: Free kills the VM all the same" {
    not_under_valgrind pidfd_send_signal
    running
    works GetChildPidfd
    stopped
    quickly works Free
    wait_until gone "$CHILD"
    leased a
    kill -CONT "$SUP"
    wait_until all_over
}

@test "a supervisor that was stopped: Detach does nothing" {
    running
    works SetTimeout 300
    stopped
    works Detach
    end
    kill -CONT "$SUP"
    restarted
    leased a
}
