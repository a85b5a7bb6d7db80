#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a supervisor that is killed, and a child that is not
#
# The lease ends with the supervisor: byte 0 of the image is free at once. Our
# own takers look at the liveness bytes as well, which end only when the child
# and all of its descendants have ended, too.

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    make_disk a hot
}

vm() {
    fake web1 --uuid "$U" "$@"
}

kill_supervisor() {
    ORPHANED_BY=$SUP
    kill -KILL "$SUP"
    ended "$SUP"
    same "exit status of the supervisor" 137 "$STATUS"
}

# orphan [SUPERVISOR OPTION...] -- [FAKEVMM OPTION...]: a VM whose supervisor
# is killed and whose child lives on
orphan() {
    vm "$@" --outlive-parent
    kill_supervisor
    lives "$(<web1.ready)"
}

kill_child() {
    kill -KILL "$(<web1.ready)"
    wait_until gone "$(<web1.ready)"
}

# refused WHAT OPTION...: another supervisor is told that it will not be long
refused() {
    local what=$1
    shift
    run_supervisor --name other "$@" -- touch started
    same "exit status with $*" 123 "$status"
    matches "stderr" "cannot acquire $what: held by 'web1', which is exiting \
\($U, [^ ]+, pid $ORPHANED_BY\)" "$stderr"
    refute test -e started
}

# admitted OPTION...
admitted() {
    run_supervisor --name other "$@" -- true
    same "exit status with $* ($stderr)" 0 "$status"
}

# refused_until_dead WHAT OPTION...
refused_until_dead() {
    refused "$@"
    kill_child
    admitted "${@:2}"
}

# --- what the child holds in its supervisor's place ------------------------

@test "a disk of a child that lives on is free to others and not to us" {
    orphan --disk a --
    "$TAKER" --try a
    refused_until_dead "'$T/a'" --disk a
}

@test "a hot-plugged disk likewise" {
    vm -- --outlive-parent
    lockctl acquire web1 --disk hot
    same "acquire" 0 "$status"
    kill_supervisor
    "$TAKER" --try hot
    refused_until_dead "'$T/hot'" --disk hot
}

@test "the VM itself likewise" {
    orphan --
    refused_until_dead "VM '$U'" --uuid "$U"
}

@test "a lease without a path likewise" {
    orphan --lease space:key --
    admitted --lease space:other
    refused_until_dead "lease 'space:key'" --lease space:key
}

@test "a lease on a byte of a file likewise" {
    orphan --lease "space:key:$T/a:4096" --
    admitted --disk a
    refused_until_dead "lease 'space:key'" --lease "space:key:$T/a:4096"
}

@test "a disk of another name likewise" {
    ln a hard
    ln -s a soft
    orphan --disk a --
    refused "'$T/soft'" --disk soft
    refused_until_dead "'$T/hard'" --disk hard
}

@test "a disk in a lockspace likewise" {
    orphan --param "lockspace=$T/space" --disk a --
    refused "'$T/a'" --param "lockspace=$T/space" --disk a
    refused "VM '$U'" --param "lockspace=$T/space" --uuid "$U"
    # As from another host: only the lockspace is common.
    export VIRT_LOCK_STATE_DIR=$T/elsewhere
    refused_until_dead "'$T/a'" --param "lockspace=$T/space" --disk a
}

@test "other disks and other VMs are nothing to it" {
    orphan --disk a --
    admitted --disk hot --uuid "$(uuid 2)"
    lives "$(<web1.ready)"
}

# --- modes -----------------------------------------------------------------

@test "a child that writes alone keeps out everybody" {
    orphan --disk a --
    refused "'$T/a'" --disk a,shared
    refused_until_dead "'$T/a'" --disk a,readonly
}

@test "a child that shares keeps out who would be alone" {
    orphan --disk a,shared --
    admitted --disk a,shared
    admitted --disk a,readonly
    refused_until_dead "'$T/a'" --disk a
}

@test "a child that reads keeps out who would be alone" {
    orphan --disk a,readonly --
    admitted --disk a,shared
    admitted --disk a,readonly
    refused_until_dead "'$T/a'" --disk a
}

@test "of two that share the one that lives on is enough" {
    orphan --disk a,shared --
    fake web2 --uuid "$(uuid 2)" --disk a,shared --
    run_supervisor --disk a -- true
    same "beside both" 123 "$status"
    kill "$SUP"
    ended "$SUP"
    refused_until_dead "'$T/a'" --disk a
}

# --- who waits -------------------------------------------------------------

@test "--wait waits for the child's end, and gets in after its last write" {
    orphan --disk a -- --stamp "$T/stamp"
    spawn other "$SUPERVISOR" --name other --uuid "$(uuid 2)" --wait \
        --disk a -- "$FAKEVMM" --born "$T/born" --exit 0
    other=$PID
    wait_until vm_state "$(uuid 2)" STARTING
    refused "'$T/a'" --disk a
    refute test -e born
    kill_child
    ended "$other"
    same "exit status of the one that waited" 0 "$STATUS"
    never_after stamp born
}

@test "--wait waits for a VM's former self" {
    orphan --disk a --
    spawn again "$SUPERVISOR" --name again --uuid "$U" --wait --disk a -- \
        "$FAKEVMM" --born "$T/born" --exit 0
    again=$PID
    refused "'$T/a'" --disk a
    refute test -e born
    kill_child
    ended "$again"
    same "exit status of the one that waited" 0 "$STATUS"
    test -s born
}

# --- who else lives --------------------------------------------------------

@test "a daemon lives on without its supervisor, and counts" {
    start_supervisor web1 --uuid "$U" --disk a -- \
        "$FAKEVMM" --daemonize --ready "$T/web1.ready"
    wait_until test -s web1.ready
    wait_until vm_child "$U" "$(<web1.ready)"
    kill_supervisor
    "$TAKER" --try a
    refused_until_dead "'$T/a'" --disk a
}

@test "a descendant lives on without its parents, and counts" {
    vm --disk a -- --setsid-grandchild
    wait_until has_lines 4 "$FAKEVMM_PIDS" .
    kill_supervisor
    wait_until gone "$CHILD"
    grandchild=$(recorded | grep -vx "$CHILD")
    lives "$grandchild"
    refused "'$T/a'" --disk a
    kill -KILL "$grandchild"
    wait_until gone "$grandchild"
    admitted --disk a
}

@test "writers that were forked live on without the child, and count" {
    vm --disk a -- --stamp "$T/stamp" --fork-writer 2
    spawn other "$SUPERVISOR" --name other --wait --disk a -- \
        "$FAKEVMM" --born "$T/born" --exit 0
    other=$PID
    kill_supervisor
    wait_until gone "$CHILD"
    refused "'$T/a'" --disk a
    mapfile -t writers < <(recorded | grep -vx "$other")
    same "writers" 2 "${#writers[@]}"
    kill -KILL "${writers[@]}"
    ended "$other"
    never_after stamp born
}

# --- what a child can give up ----------------------------------------------

@test "a child that closed everything has given up only its own liveness" {
    vm --disk a -- --close-fds --outlive-parent
    lockctl acquire web1 --disk hot
    for disk in a hot; do
        refute "$TAKER" --try "$disk"
        run_supervisor --name other --disk "$disk" -- true
        same "beside its supervisor" 123 "$status"
        matches "stderr" "'$T/$disk': held by 'web1' \(" "$stderr"
    done
    kill_supervisor
    admitted --disk a
    admitted --disk hot
}

@test "a child cannot unlock what its supervisor holds" {
    start_supervisor web1 --uuid "$U" --disk a --disk hot,shared -- \
        "$PROGRAMS/tests/bin/meddler" "$T/report"
    wait_until test -s report
    same "what it could do" \
        "$T/state/liveness write-lock=EBADF,EBADF unlock=0,0" \
        "$(grep liveness report | cut -d' ' -f1-3)"
    refute grep -E "^($T/(a|hot|state/locks)) " report
    refute "$TAKER" --try a
    refute "$TAKER" --try hot
    for resource in --disk=a --disk=hot "--uuid=$U"; do
        run_supervisor --name other "$resource" -- true
        same "another with $resource" 123 "$status"
        matches "stderr" "held by 'web1' \($U, " "$stderr"
    done
}

@test "a child of another user cannot open the liveness file anew" {
    requires_root
    open_to_everyone
    chmod 777 .
    start_supervisor web1 --uuid "$U" --user "$NOBODY" --disk a -- \
        "$PROGRAMS/tests/bin/meddler" "$T/report"
    wait_until test -s report
    same "what it could do" \
        "$T/state/liveness write-lock=EBADF,EBADF unlock=0,0 reopen=EACCES" \
        "$(grep liveness report)"
    run_supervisor --name other --disk a -- true
    same "another" 123 "$status"
}

@test "a disk that was released counts no more, though the child lives" {
    vm --disk a -- --outlive-parent
    lockctl acquire web1 --disk hot
    same "acquire" 0 "$status"
    lockctl release web1 --disk hot
    same "release" 0 "$status"
    admitted --disk hot
    kill_supervisor
    admitted --disk hot
    refused_until_dead "'$T/a'" --disk a
}

# --- what is told ----------------------------------------------------------

@test "every lease is said to be kept by the child as well" {
    vm --disk a --disk hot,readonly --lease space:key --
    same "leases with liveness" "$T/a $T/hot space:key" \
        "$(qmp "$U" query-leases | jq -r '[.[] | select(.kind != "vm") |
            select(.guarantee | index("liveness")).name] | sort | join(" ")')"
}

@test "a holder without a record is another process, and exiting" {
    orphan --disk a --
    rm -r state/holders
    run_supervisor --disk a -- true
    same "exit status" 123 "$status"
    matches "stderr" "cannot acquire '$T/a': held by another process, which \
is exiting" "$stderr"
}
