#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: leases that come and go while the child runs

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    make_disk boot hot
}

# A VM whose child opens and closes files on command.
vm() {
    mkfifo orders
    start_supervisor web1 --uuid "$U" --disk "$T/boot" -- \
        "$PUPPET" "$T/orders"
    wait_until test -e orders.done
}

# order TEXT: the child carries it out
order() {
    local count
    count=$(grep -cx -- "$1" orders.done || :)
    echo "$1" >orders
    wait_until has_lines "$((count + 1))" orders.done "^$1\$"
}

# acquired DISK[,MODE]
acquired() {
    lockctl acquire web1 --disk "$1"
    same "exit status of acquire" 0 "$status"
}

released() {
    lockctl release web1 --disk "$1"
    same "exit status of release ($stderr)" 0 "$status"
}

# refused_release REGEX DISK
refused_release() {
    lockctl release web1 --disk "$2"
    same "exit status of release" 1 "$status"
    matches stderr "$1" "$stderr"
    refute "$TAKER" --try "$2"
}

leases() {
    qmp "$U" query-leases | jq -r '.[] | select(.kind != "vm").name' | sort |
        paste -sd' '
}

still_fine() {
    vm_state "$U" RUNNING
    lives "$CHILD"
}

# --- acquire ---------------------------------------------------------------

@test "acquire adds a lease that shuts others out" {
    vm
    acquired hot
    same "leases" "$T/boot $T/hot" "$(leases)"
    same "count" 2 "$(qmp "$U" query-status | jq .leases)"
    refute "$TAKER" --try hot
    run_supervisor --disk hot -- true
    same "exit status of another" 123 "$status"
    matches stderr "held by 'web1'" "$stderr"
    lockctl holder hot
    matches holder "'web1'" "$output"
}

@test "acquire of a held disk is refused, the holder is named, the VM runs on" {
    vm
    fake web2 --uuid "$(uuid 2)" --disk hot --
    lockctl acquire web1 --disk hot
    same "exit status" 123 "$status"
    matches stderr "'$T/hot'.*held by 'web2' \($(uuid 2), [^ ]+, pid $SUP\)" "$stderr"
    same "leases" "$T/boot" "$(leases)"
    vm_state "$U" RUNNING
}

@test "a refused lease comes with its holder in data, for programs" {
    vm
    fake web2 --uuid "$(uuid 2)" --disk hot --
    run qmp "$U" lease-acquire "{\"disk\": \"$T/hot\"}" --fd hot
    same "class" LeaseBusy "$(jq -r .class <<<"$output")"
    jq -e --arg uuid "$(uuid 2)" --argjson pid "$SUP" '.data.holder |
        .uuid == $uuid and .name == "web2" and .pid == $pid and
        (.host | length > 0) and (.since | type == "number")' <<<"$output"
}

@test "a disk that was given up can be acquired by another VM" {
    vm
    acquired hot
    released hot
    same "leases" "$T/boot" "$(leases)"
    "$TAKER" --try hot
    lockctl holder hot
    same "holder" 1 "$status"
    fake web2 --uuid "$(uuid 2)" --disk hot --
}

@test "modes of acquired disks are those of the command line" {
    make_disk b
    vm
    acquired hot,shared
    acquired b,readonly
    run_supervisor --disk hot,shared --disk b,readonly -- true
    same "another that shares" 0 "$status"
    run_supervisor --disk hot -- true
    same "another that does not" 123 "$status"
    same "modes" "$T/b readonly,$T/boot exclusive,$T/hot shared" \
        "$(qmp "$U" query-leases | jq -r '.[] | select(.kind == "disk") |
            .name + " " + .mode' | sort | paste -sd,)"
}

@test "what the VM holds already is not acquired twice, by no name" {
    vm
    ln hot hard
    acquired hot
    for name in hot hard boot; do
        lockctl acquire web1 --disk "$name"
        same "exit status for $name" 1 "$status"
        matches stderr "already|twice|same" "$stderr"
    done
    same "count" 2 "$(qmp "$U" query-status | jq .leases)"
    released hot
    "$TAKER" --try hot
}

@test "acquire of something that is no disk is refused" {
    vm
    mkfifo fifo
    mkdir directory
    for name in missing directory fifo /dev/null; do
        lockctl acquire web1 --disk "$name"
        same "exit status for $name" 1 "$status"
        same "lines on stderr" 1 "${#stderr_lines[@]}"
    done
    same "leases" "$T/boot" "$(leases)"
    still_fine
}

@test "acquire without the opened file is refused" {
    vm
    run qmp "$U" lease-acquire "{\"disk\": \"$T/hot\"}"
    same "class" BadArgument "$(jq -r .class <<<"$output")"
    same "leases" "$T/boot" "$(leases)"
}

@test "an exclusive lease needs a descriptor opened for writing" {
    vm
    run qmp "$U" lease-acquire "{\"disk\": \"$T/hot\"}" --fd-readonly hot
    same "status" 1 "$status"
    "$TAKER" --try hot
    qmp "$U" lease-acquire "{\"disk\": \"$T/hot\", \"mode\": \"readonly\"}" \
        --fd-readonly hot
    same "leases" "$T/boot $T/hot" "$(leases)"
}

@test "a descriptor of another file than the named one is refused" {
    make_disk other
    vm
    run qmp "$U" lease-acquire "{\"disk\": \"$T/hot\"}" --fd other
    same "status" 1 "$status"
    same "leases" "$T/boot" "$(leases)"
    "$TAKER" --try other
}

@test "lease-acquire answers with the lease as query-leases shows it" {
    vm
    qmp "$U" lease-acquire "{\"disk\": \"$T/hot\"}" --fd hot >new.json
    same "lease" "$(jq -S . new.json)" \
        "$(qmp "$U" query-leases | jq -S --arg name "$T/hot" \
            '.[] | select(.name == $name)')"
    same "status" HELD "$(jq -r .status new.json)"
}

@test "the client's rights decide, not the supervisor's" {
    requires_root
    requires setpriv
    open_to_everyone
    chmod 777 .
    chmod 600 hot
    chmod 666 boot
    mkfifo -m 666 orders
    spawn vm setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$SUPERVISOR" --uuid "$U" --name web1 --disk boot -- \
        "$PUPPET" "$T/orders"
    wait_until vm_state "$U" RUNNING
    # Only root can open it; root passes it on to a supervisor that cannot.
    acquired "$T/hot"
    refute "$TAKER" --try hot
    released "$T/hot"
}

@test "arbitrary leases are acquired and released as well" {
    vm
    qmp "$U" lease-acquire '{"lease": "space:key"}' >lease.json
    same "name" "lease space:key" "$(jq -r '.kind + " " + .name' lease.json)"
    run_supervisor --lease space:key -- true
    same "exit status of another" 123 "$status"
    qmp "$U" lease-release '{"lease": "space:key"}'
    run_supervisor --lease space:key -- true
    same "exit status of another, afterwards" 0 "$status"
}

@test "nothing is acquired while the VM is not RUNNING" {
    make_disk busy
    take busy
    spawn vm "$SUPERVISOR" --uuid "$U" --wait --disk busy -- true
    wait_until vm_state "$U" STARTING
    run qmp "$U" lease-acquire "{\"disk\": \"$T/hot\"}" --fd hot
    same "class" WrongState "$(jq -r .class <<<"$output")"
}

@test "an acquired disk is let go at the child's end, after the last write" {
    fake web1 --uuid "$U" --disk boot -- --stamp "$T/stamp" --fork-writer 2
    acquired hot
    spawn taker "$TAKER" hot granted
    lockctl revoke web1 --disk hot --reason "taken away"
    ended "$SUP"
    same "exit status" 124 "$STATUS"
    wait_until test -s granted
    never_after stamp granted
}

@test "hundreds of acquisitions leave no descriptor behind" {
    requires_sight
    vm
    acquired hot
    released hot
    before=$(find "/proc/$SUP/fd" -mindepth 1 | wc -l)
    python "$(socket_of "$U")" "$T/hot" <<'END'
import os, sys
from qmp import QMP
client = QMP(sys.argv[1])
for _ in range(200):
    file = os.open(sys.argv[2], os.O_RDWR)
    client.command("lease-acquire", {"disk": sys.argv[2]}, [file])
    os.close(file)
    client.command("lease-release", {"disk": sys.argv[2]})
END
    wait_until has_fds "$SUP" "$before"
    same "records" 1 "$(find state/holders ! -type d -name "*$(stat -c %i boot)*" | wc -l)"
    same "records of hot" 0 "$(find state/holders ! -type d -name "*$(stat -c %i hot)*" | wc -l)"
}

# has_fds PID COUNT: so many descriptors, or fewer
has_fds() {
    [ "$(find "/proc/$1/fd" -mindepth 1 | wc -l)" -le "$2" ]
}

# --- release ---------------------------------------------------------------

@test "a disk is not released while the child has it open" {
    vm
    acquired hot
    order "open $T/hot"
    refused_release "open|in use|$CHILD" hot
    still_fine
    order close
    released hot
    "$TAKER" --try hot
}

@test "a disk is not released while the child has it mapped" {
    vm
    acquired hot
    order "open $T/hot"
    order map
    order close
    refused_release "" hot
    order unmap
    released hot
}

@test "a disk is not released while any process of the child's tree has it open" {
    vm
    acquired hot
    order "open $T/hot"
    order fork
    order close
    wait_until has_lines 2 "$FAKEVMM_PIDS" .
    refused_release "" hot
    kill "$(find /proc/[0-9]*/fd -lname "$T/hot" 2>/dev/null |
        cut -d/ -f3 | grep -vx "$SUP" | head -n 1)"
    wait_until "$LOCKCTL" release web1 --disk hot
    "$TAKER" --try hot
}

@test "a disk that the child has open by another name is not released" {
    ln hot hard
    vm
    acquired hot
    order "open $T/hard"
    refused_release "" hot
}

@test "release --force releases it even so" {
    vm
    acquired hot
    order "open $T/hot"
    lockctl release web1 --disk hot --force
    same "exit status" 0 "$status"
    "$TAKER" --try hot
    still_fine
}

@test "a disk of the command line can be released like any other" {
    vm
    released boot
    same "leases" "" "$(leases)"
    "$TAKER" --try boot
    still_fine
}

@test "release of what the VM does not hold is refused" {
    vm
    for name in hot missing; do
        lockctl release web1 --disk "$name"
        same "exit status for $name" 1 "$status"
        matches stderr "'$T/$name'" "$stderr"
    done
    run qmp "$U" lease-release '{"lease": "space:key"}'
    same "status" 1 "$status"
    still_fine
}

@test "a released disk may be deleted and made anew, and acquired again" {
    vm
    acquired hot
    released hot
    rm hot
    make_disk hot
    acquired hot
    refute "$TAKER" --try hot
}

@test "a disk that was deleted while held can still be released" {
    vm
    acquired hot
    rm hot
    lockctl release web1 --disk "$T/hot"
    same "exit status" 0 "$status"
    same "leases" "$T/boot" "$(leases)"
}
