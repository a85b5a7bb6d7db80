#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what the supervisor may still do once its child runs, and that the
# child has none of its restrictions

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    make_disk a
}

# status_field FIELD [PID]: of the supervisor
status_field() {
    sed -n "s/^$1:[[:space:]]*//p" "/proc/${2:-$SUP}/status"
}

# As nobody, with a supervisor of nobody's, in $SUP and $CHILD.
as_nobody() {
    requires_root
    requires setpriv
    open_to_everyone
    chmod 777 .
    chmod 666 a
    spawn vm setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$SUPERVISOR" --uuid "$U" --name vm --disk a -- \
        "$FAKEVMM" --ready "$T/ready"
    SUP=$PID
    wait_until test -s ready
    wait_until vm_state "$U" RUNNING
    CHILD=$(<ready)
}

# --- the supervisor --------------------------------------------------------

@test "root's supervisor keeps the capability to kill and nothing else" {
    requires_root
    fake vm --uuid "$U" --disk a --
    kill_only=$(printf '%016x' $((1 << 5)))
    same "permitted" "$kill_only" "$(status_field CapPrm)"
    same "effective" "$kill_only" "$(status_field CapEff)"
    same "inheritable" 0000000000000000 "$(status_field CapInh)"
    same "ambient" 0000000000000000 "$(status_field CapAmb)"
}

@test "another user's supervisor keeps no capability" {
    as_nobody
    for set in CapPrm CapEff CapInh CapAmb; do
        same "$set" 0000000000000000 "$(status_field "$set")"
    done
}

@test "the supervisor can gain no privileges and is behind a seccomp filter" {
    fake vm --uuid "$U" --disk a --
    same "NoNewPrivs" 1 "$(status_field NoNewPrivs)"
    same "Seccomp" 2 "$(status_field Seccomp)"
}

@test "the supervisor has one thread" {
    fake vm --uuid "$U" --disk a --
    lockctl status vm
    same "threads" 1 "$(find "/proc/$SUP/task" -mindepth 1 -maxdepth 1 | wc -l)"
}

@test "the supervisor says how it is confined" {
    fake vm --uuid "$U" --disk a --
    qmp "$U" query-status >status.json
    for word in capabilities no-new-privs seccomp undumpable; do
        jq -e --arg word "$word" '.confined | index($word)' status.json
    done
}

@test "the supervisor is undumpable, the child is not" {
    as_nobody
    # What is undumpable belongs to root in /proc, whoever runs it.
    same "owner of the supervisor's memory" 0 "$(stat -c %u "/proc/$SUP/mem")"
    same "owner of the child's memory" "$NOBODY" \
        "$(stat -c %u "/proc/$CHILD/mem")"
}

@test "nobody may trace the supervisor, not even as the same user" {
    requires strace timeout
    as_nobody
    as_owner() {
        setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups "$@"
    }
    run_program as_owner timeout 10 strace -o /dev/null -p "$SUP"
    same "exit status" 1 "$status"
    matches stderr "Operation not permitted" "$stderr"
    # The same user may trace the child: it is not by accident.
    spawn strace setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        strace -o "$T/trace" -p "$CHILD"
    wait_until has_line "/proc/$CHILD/status" 'TracerPid:\s[1-9]'
    refute as_owner cat "/proc/$SUP/environ" 2>/dev/null
}

@test "every descriptor of the supervisor is closed on exec" {
    requires_sight
    fake vm --uuid "$U" --disk a --
    for info in "/proc/$SUP/fdinfo"/*; do
        [ "${info##*/}" -gt 2 ] || continue
        flags=$(awk '$1 == "flags:" { print $2 }' "$info")
        [ $((0$flags & 02000000)) != 0 ] ||
            fail "descriptor ${info##*/} is inherited: $(readlink \
                "/proc/$SUP/fd/${info##*/}")"
    done
}

@test "descriptors that were handed to the child are closed in the supervisor" {
    requires_sight
    echo text >file
    mkfifo pipe
    fake vm --uuid "$U" --disk a -- 6<file 7<>pipe
    same "the child's" 2 "$(find "/proc/$CHILD/fd" -lname "$T/file" -o \
        -lname "$T/pipe" | wc -l)"
    wait_until none_open "$SUP" "$T/file"
    wait_until none_open "$SUP" "$T/pipe"
}

none_open() {
    [ -z "$(find "/proc/$1/fd" -lname "$2")" ]
}

@test "the supervisor does not wake up while nothing happens" {
    fake vm --uuid "$U" --disk a --
    lockctl status vm
    # Once it looks whether the child locks its images as QEMU does.
    before=$(switches)
    wait_until switched_since "$before"
    # The window is another program's life time, two seconds.
    before=$(switches)
    "$FAKEVMM" --exit 0 --after-ms 2000
    same "switches" "$before" "$(switches)"
}

switched_since() {
    [ "$(switches)" != "$1" ]
}

# Context switches of the supervisor so far, voluntary or not.
switches() {
    awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/$SUP/status"
}

@test "the confined supervisor still does all it must" {
    make_disk hot
    fake vm --uuid "$U" --disk a --pid-file "$T/vm.pid" -- --setsid-grandchild
    lockctl acquire vm --disk hot
    same "acquire" 0 "$status"
    lockctl release vm --disk hot
    same "release" 0 "$status"
    lockctl revoke vm
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    refute test -e vm.pid
    same "sockets" "" "$(find run -type s)"
    same "records" "" "$(find state/holders ! -type d)"
    same "stderr" 1 "$(wc -l <vm.err)"
}

# --- the child -------------------------------------------------------------

# As it would be without a supervisor, but for what tells it from any other.
bare_and_supervised() {
    local filter='^(DeathSignal|Session|ProcessGroup):'
    # Both start from this shell in the same way.
    "$@" "$SHOWSELF" status --to "$T/bare"
    "$@" "$SUPERVISOR" --disk a -- "$SHOWSELF" status --to "$T/supervised"
    diff <(grep -Ev "$filter" bare) <(grep -Ev "$filter" supervised)
    same "death signal" "DeathSignal:	9" "$(grep DeathSignal supervised)"
    same "session" "$(grep Session bare)" "$(grep Session supervised)"
}

@test "capabilities, filters, signals, limits and scores reach the child untouched" {
    bare_and_supervised env
}

@test "blocked and ignored signals reach the child as they were" {
    bare_and_supervised env --block-signal=USR1,USR2 --ignore-signal=PIPE,HUP
    matches "blocked" "SigBlk:	0*a00" "$(cat supervised)"
}

@test "an ignored CHLD reaches the child as it was" {
    bare_and_supervised env --ignore-signal=CHLD
}

@test "priorities and changed limits reach the child untouched" {
    bare_and_supervised sh -c \
        'ulimit -n 100; ulimit -l 64; umask 077; exec nice -n 5 "$@"' sh
    matches "limits" "Max open files +100 " "$(cat supervised)"
}

@test "the child of a confined supervisor may gain privileges" {
    requires_root
    fake vm --uuid "$U" --disk a --
    same "NoNewPrivs" 0 "$(status_field NoNewPrivs "$CHILD")"
    same "Seccomp" 0 "$(status_field Seccomp "$CHILD")"
    same "permitted" "$(status_field CapPrm $$)" "$(status_field CapPrm "$CHILD")"
}
