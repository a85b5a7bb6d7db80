#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what the journal gets, and what happens where it takes nothing

load ../lib/common
load ../lib/journal

U=$(uuid 1)

setup() {
    common_setup
    requires_journal
    start_journal
    with_journal
    make_disk a
}

# journaled NAME [OPTION...] -- [FAKEVMM OPTION...]: as fake, with everything
# in the journal
journaled() {
    local name=$1
    shift
    fake "$name" --uuid "$U" --log-target journal --log-level info "$@"
}

# --- fields ----------------------------------------------------------------

@test "an entry has its fields, and the state that was entered" {
    STDERR_IS_JOURNAL=1 run_supervisor --name web1 --uuid "$U" \
        --log-level info -- "$FAKEVMM" --exit 3
    same "exit status" 3 "$status"
    wait_until logged STATE_CHANGED '.STATE == "GONE"'
    same "stderr" "" "$stderr"
    logged STATE_CHANGED '.STATE == "RUNNING" and .PRIORITY == "6" and
        .SYSLOG_IDENTIFIER == "virt-lock-supervisor" and
        .MESSAGE == "web1: STARTING -> RUNNING: every lease is held"'
    # In every entry, and no field that is unknown.
    jq -es --arg uuid "$U" 'all(.VM_NAME == "web1" and .VM_UUID == $uuid and
        (keys - ["MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER",
                 "VM_NAME", "VM_UUID", "LEASE", "STATE"] == []))' entries
}

@test "a lease that is denied is named, and who has it" {
    fake holder --disk a --
    run_supervisor --name web1 --log-target journal --disk a -- true
    same "exit status" 123 "$status"
    wait_until logged LEASE_DENIED ".LEASE == \"$T/a\" and .PRIORITY == \"3\"
        and (.MESSAGE | test(\"held by 'holder'\"))"
}

@test "a lease that is denied until --wait expires is named" {
    fake holder --disk a --
    run_supervisor --log-target journal --disk a --wait=0.1 -- true
    same "exit status" 123 "$status"
    wait_until logged LEASE_DENIED ".LEASE == \"$T/a\""
}

@test "a lease that is revoked is named; of the whole VM none is" {
    journaled web1 --disk a --
    lockctl revoke web1 --disk "$T/a" --reason 'two words'
    ended "$SUP"
    wait_until logged LEASE_LOST ".LEASE == \"$T/a\" and .PRIORITY == \"4\" and
        (.MESSAGE | test(\"lost: two words\"))"
    logged STATE_CHANGED '.STATE == "KILLING"'
    : >entries
    journaled web1 --disk a --
    lockctl revoke web1
    ended "$SUP"
    wait_until logged LEASE_LOST '.LEASE == null'
}

@test "a newline in a lease's name stays in its field, and not in the message" {
    name=$'two\nlines=x'
    make_disk "$name"
    journaled web1 --disk "$name" --
    lockctl revoke web1 --disk "$T/$name"
    ended "$SUP"
    wait_until logged LEASE_LOST '(.LEASE | endswith("two\nlines=x")) and
        (.MESSAGE | test("two lines=x"))'
}

@test "an image that is unlinked, and a release that waits, name the lease" {
    journaled web1 --disk a --
    # A QEMU that no supervisor answers for, on another name of the image.
    ln a b
    spawn outsider "$FAKEVMM" --qemu-locks b --ready outsider.ready
    outsider=$PID
    wait_until test -s outsider.ready
    rm a
    lockctl leases web1
    wait_until logged LEASE_CHANGED ".LEASE == \"$T/a\" and
        (.MESSAGE | test(\"unlinked\"))"
    kill "$SUP"
    wait_until logged RELEASE_WAITS ".LEASE == \"$T/a\" and
        (.MESSAGE | test(\"byte 101\"))"
    kill "$outsider"
    ended "$SUP"
}

@test "a release without proof names the lease" {
    journaled web1 --disk a --param drain=0 --
    spawn outsider "$FAKEVMM" --keep-open a --ready outsider.ready
    wait_until test -s outsider.ready
    kill "$SUP"
    ended "$SUP"
    wait_until logged RELEASED_UNPROVED ".LEASE == \"$T/a\""
}

@test "a child that cannot be killed is an entry of its own kind" {
    requires_freezer
    journaled web1 --
    group=$FREEZER/vls-test-$$-$BATS_TEST_NUMBER
    make_cgroup "$group"
    echo "$CHILD" >"$group/cgroup.procs"
    echo FROZEN >"$group/freezer.state"
    wait_until has_line "$group/freezer.state" FROZEN
    spawn revoke "$LOCKCTL" revoke web1
    wait_until logged CHILD_UNKILLABLE '.MESSAGE | test("state D")'
    echo THAWED >"$group/freezer.state"
    ended "$SUP"
}

@test "a daemon that becomes the child, and other ends, have kinds" {
    journaled web1 -- --daemonize
    wait_until logged CHILD_ADOPTED
    run_supervisor --log-target journal -- "$T/nowhere"
    same "exit status" 127 "$status"
    wait_until logged ENDED_BY_ERROR '.MESSAGE | test("cannot execute")'
    run_supervisor --log-target journal --disk nowhere -- true
    same "exit status" 125 "$status"
    wait_until logged ENDED_BY_ERROR '.MESSAGE | test("nowhere.: No such")'
}

# --- which target ----------------------------------------------------------

@test "messages go to stderr where it only looks like the journal" {
    JOURNAL_STREAM=1:1 run_supervisor -- /no/such
    matches stderr "cannot execute '/no/such'" "$stderr"
    same "entries" "" "$(cat entries)"
}

@test "--log-target=stderr writes lines even where stderr is the journal" {
    STDERR_IS_JOURNAL=1 run_supervisor --name web1 --log-target stderr \
        -- /no/such
    matches stderr "^virt-lock-supervisor\[web1\]: cannot execute" "$stderr"
    same "entries" "" "$(cat entries)"
}

@test "--log-target=journal without a journal is an error, and nothing starts" {
    rm journal/socket
    run_supervisor --log-target journal -- touch "$T/started"
    same "exit status" 125 "$status"
    matches stderr "cannot log to the journal at '/run/systemd/journal/socket': No such file or directory" "$stderr"
    same "lines" 1 "${#stderr_lines[@]}"
    refute test -e started
}

@test "where stderr is the journal, but nobody listens, lines are written" {
    rm journal/socket
    STDERR_IS_JOURNAL=1 run_supervisor --log-level info -- "$FAKEVMM" --exit 0
    same "exit status" 0 "$status"
    matches stderr "STARTING -> RUNNING" "$stderr"
}

@test "another word for --log-target is an error" {
    run_supervisor --log-target syslog -- true
    same "exit status" 125 "$status"
    matches stderr "cannot use --log-target 'syslog': it is none of auto, stderr, journal" "$stderr"
}

# --- a journal that takes nothing ------------------------------------------

# fill: stops the journal, and sends until its queue has no place left
fill() {
    kill -STOP "$JOURNAL"
    wait_until state_is "$JOURNAL" T
    "$PYTHON" -S - 3>&- 4>&- <<'PY'
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setblocking(False)
try:
    while True:
        s.sendto(b"MESSAGE=filled\n", "journal/socket")
except BlockingIOError:
    pass
PY
}

@test "a journal that reads nothing stops nobody: revoke kills at once" {
    journaled web1 --disk a --
    fill
    # The kernel says that a send without patience fails: it is full indeed.
    spawn trace strace -o trace -e trace=sendto -p "$SUP"
    wait_until has_line trace.err attached
    lockctl revoke web1 --disk "$T/a"
    gone "$CHILD" || fail "the child lives"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    grep -q 'MESSAGE=.*RUNNING -> KILLING.*EAGAIN' trace ||
        fail "$(cat trace)"
    # What the journal did not take is not lost.
    has_line web1.err '^virt-lock-supervisor\[web1\]: RUNNING -> KILLING: '
    has_line web1.err "^virt-lock-supervisor\[web1\]: lease '$T/a' lost: "
    kill -CONT "$JOURNAL"
    wait_until has_line entries filled
    refute logged STATE_CHANGED '.STATE == "KILLING"'
}

@test "a full journal does not keep a start from its end" {
    fill
    run_supervisor --name web1 --log-target journal --log-level info -- \
        "$FAKEVMM" --exit 3
    same "exit status" 3 "$status"
    matches stderr "STARTING -> RUNNING" "$stderr"
    matches stderr "RUNNING -> GONE" "$stderr"
}

@test "a journal that goes away is replaced by stderr, and found when it is back" {
    journaled web1 -- --ignore-term
    wait_until logged STATE_CHANGED '.STATE == "RUNNING"'
    kill "$JOURNAL"
    ended "$JOURNAL"
    kill "$SUP"
    wait_until has_line web1.err 'RUNNING -> STOPPING'
    start_journal
    kill "$SUP"
    ended "$SUP"
    wait_until logged STATE_CHANGED '.STATE == "GONE"'
    logged STATE_CHANGED '.STATE == "KILLING"'
    refute has_line web1.err '-> KILLING'
}
