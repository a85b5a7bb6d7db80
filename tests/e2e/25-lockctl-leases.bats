#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: virt-lockctl about leases: who holds a disk when nobody can be asked,
# what is promised of a lease, letting go of one by force
#
# Should:  give web1 a run directory of its own where it is the locks that are
#          to tell: who is not in our run directory is not asked.

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
    make_disk a b
}

teardown() {
    local loop
    if [ -s "$T/loops" ]; then
        while read -r loop; do
            losetup -d "$loop"
        done <"$T/loops"
    fi
    common_teardown
}

vm() {
    fake web1 --uuid "$U" "$@"
}

# unasked [SUPERVISOR OPTION...] -- [FAKEVMM OPTION...]: web1, out of reach
unasked() {
    vm --run-dir "$T/there" "$@"
}

# orphan ...: web1's supervisor is killed and its child lives on
orphan() {
    vm "$@" --outlive-parent
    kill_supervisor
    lives "$(<web1.ready)"
}

kill_supervisor() {
    kill -KILL "$SUP"
    ended "$SUP"
}

kill_child() {
    kill -KILL "$(<web1.ready)"
    wait_until gone "$(<web1.ready)"
}

# said SENTENCE STATUS [HOLDER ARGUMENT...]: what holder says, exactly
said() {
    lockctl holder "${@:3}"
    same "stdout of holder ${*:3} ($stderr)" "$1" "$output"
    same "exit status of holder ${*:3}" "$2" "$status"
    same "stderr" "" "$stderr"
}

# The same for a few kinds of sentence; NAME is what the disk is called.
held() { # NAME MODE [HOLDER ARGUMENT...]
    said "'$1' is held by 'web1' ($U, $(hostname), pid $SUP) since $(date \
        -d "@$(stat -c %Y "/proc/$SUP")" +%H:%M) ($2)" 0 "${@:3}"
}

exiting() { # NAME MODE [HOLDER ARGUMENT...]
    said "'$1' is held by 'web1', which is exiting ($U, $(hostname), \
pid $SUP) ($2)" 0 "${@:3}"
}

free() { # NAME [HOLDER ARGUMENT...]
    said "'$1' is not held" 1 "${@:2}"
}

in_qemu() { # NAME BYTE [HOLDER ARGUMENT...]
    said "'$1' is open in a QEMU that no supervisor answers for (its lock \
byte $2 is held)" 0 "${@:3}"
}

# finding EXPECTED FILTER [HOLDER ARGUMENT...]: of what holder says as JSON
finding() {
    lockctl --json holder "${@:3}"
    same "$2 of $output" "$1" "$(jq -r "$2" <<<"$output")"
}

# qemu OPTION: a fake QEMU without a supervisor that has disk a open
qemu() {
    rm -f qemu.ready
    spawn qemu "$FAKEVMM" "$1" "$T/a" --ready "$T/qemu.ready"
    QEMU=$PID
    wait_until test -s qemu.ready
}

make_loop() {
    requires_root
    LOOP=$(losetup -f --show "$T/$1") || cannot_run "no loop devices"
    echo "$LOOP" >>"$T/loops"
    mknod node b $((16#$(stat -c %t "$LOOP"))) $((16#$(stat -c %T "$LOOP")))
}

# --- byte 0 ----------------------------------------------------------------

@test "a holder that is not asked is known by its record" {
    unasked --disk a --disk b,shared --
    held "$T/a" exclusive a
    ln a hard
    held "$T/hard" exclusive hard
    held "$T/b" shared b
    kill "$SUP"
    ended "$SUP"
    free "$T/a" a
}

@test "a holder without a record is another process" {
    take a
    said "'$T/a' is held by another process" 0 a
    finding held .finding a
    finding "null" .name a
}

@test "who is being killed is exiting, whether it is asked or not" {
    requires_freezer
    vm --disk a --
    make_cgroup "$FREEZER/vls-$$-holder"
    echo "$CHILD" >"$FREEZER/vls-$$-holder/cgroup.procs"
    echo FROZEN >"$FREEZER/vls-$$-holder/freezer.state"
    held "$T/a" exclusive a
    qmp "$U" quit
    wait_until vm_state "$U" KILLING
    exiting "$T/a" exclusive a
    finding exiting .finding a
    mkdir elsewhere
    exiting "$T/a" exclusive a --run-dir "$T/elsewhere"
    finding exiting .finding a --run-dir "$T/elsewhere"
}

@test "a file that took the place of a held one is not held" {
    vm --disk a --
    cp a new
    mv new a
    free "$T/a" a
    rm a
    held "$T/a" exclusive a
}

# --- liveness --------------------------------------------------------------

@test "a child that lives on without its supervisor holds the disk" {
    orphan --disk a --
    "$TAKER" --try a
    exiting "$T/a" exclusive a
    ln a hard
    ln -s a soft
    exiting "$T/hard" exclusive hard
    exiting "$T/soft" exclusive soft
    free "$T/b" b
    kill_child
    free "$T/a" a
}

# unwaited: the parent of web1's supervisor becomes somebody who waits for no
# child, so that a killed one stays a zombie
unwaited() {
    spawn parent sh -c '"$@" & exec sleep 1000' sh "$SUPERVISOR" --name web1 \
        --uuid "$U" --disk a -- "$FAKEVMM" --outlive-parent \
        --ready "$T/web1.ready"
    wait_until test -s web1.ready
    SUP=$(qmp "$U" query-status | jq .pid)
    record "$SUP"
}

@test "a killed supervisor is dead before anybody has waited for it" {
    unwaited
    kill -KILL "$SUP"
    wait_until state_is "$SUP" Z
    exiting "$T/a" exclusive a
    kill_child
    free "$T/a" a
}

@test "a child that shares or reads holds the disk, too" {
    local mode
    for mode in shared readonly; do
        orphan --disk "a,$mode" --
        exiting "$T/a" shared a
        kill_child
        free "$T/a" a
    done
}

@test "the child of a killed supervisor is told where another has taken byte 0" {
    orphan --disk a --
    take a
    exiting "$T/a" exclusive a
    kill_child
    said "'$T/a' is held by another process" 0 a
}

@test "who follows a child that has died is told by its own name" {
    orphan --disk a --
    kill_child
    fake web2 --run-dir "$T/there" --uuid "$(uuid 2)" --disk a --
    finding web2 .name a
    finding held .finding a
}

@test "a record that a dead VM has left accuses it of nothing" {
    fake web2 --uuid "$(uuid 2)" --disk a --
    kill_supervisor
    wait_until gone "$CHILD"
    test -n "$(find state/holders -name '*:*')"
    orphan --disk a,readonly --
    lockctl holder a
    same "exit status" 0 "$status"
    same "what is said" "'$T/a' is held by another process, which is exiting" \
        "$output"
    take b
    said "'$T/b' is held by another process" 0 b
}

@test "a child whose record is lost is another process, and exiting" {
    orphan --disk a --
    rm -r state/holders
    said "'$T/a' is held by another process, which is exiting" 0 a
    finding exiting .finding a
}

@test "liveness that may not be read is an error, not a free disk" {
    requires_root
    requires setpriv
    open_to_everyone
    orphan --disk a --
    run_program setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$LOCKCTL" holder "$T/a"
    same "exit status" 1 "$status"
    same "stdout" "" "$output"
    same "stderr" "virt-lockctl: cannot see whether '$T/a' is held: cannot \
open '$T/state/liveness': Permission denied; run it as root" "$stderr"
    take a # this much everybody can see
    run_program setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
        "$LOCKCTL" holder "$T/a"
    same "exit status" 0 "$status"
}

# --- QEMU ------------------------------------------------------------------

@test "a QEMU without a supervisor is told by the byte that it locks" {
    local row option byte
    for row in "--qemu-locks 101" "--qemu-shares 101" "--qemu-reads 201"; do
        read -r option byte <<<"$row"
        qemu "$option"
        in_qemu "$T/a" "$byte" a
        finding qemu .finding a
        finding "$byte" .byte a
        kill "$QEMU"
        wait_until gone "$QEMU"
        free "$T/a" a
    done
}

@test "a QEMU whose supervisor has not leased the disk is told as well" {
    vm --disk b -- --qemu-locks "$T/a"
    in_qemu "$T/a" 101 a
    held "$T/b" exclusive b
}

@test "a QEMU whose supervisor holds the disk is no finding of its own" {
    unasked --disk a -- --qemu-locks "$T/a" --outlive-parent
    held "$T/a" exclusive a
    kill_supervisor
    exiting "$T/a" exclusive a
    kill_child
    free "$T/a" a
}

# --- block devices ---------------------------------------------------------

@test "a block device is held by every node of it" {
    make_loop a
    unasked --disk "$LOOP" -- --outlive-parent
    held "$LOOP" exclusive "$LOOP"
    held "$T/node" exclusive node
    kill_supervisor
    exiting "$T/node" exclusive node
    kill_child
    free "$T/node" node
}

@test "a block device without records is still held by every node of it" {
    make_loop a
    unasked --disk "$LOOP" --
    rm -r state/holders
    said "'$T/node' is held by another process" 0 node
}

# --- lockspace -------------------------------------------------------------

# another_host: the same path, another file, another state directory
another_host() {
    mkdir -p other
    cp a other/a
    bind_mount "$T/other/a" "$T/a"
    export VIRT_LOCK_STATE_DIR=$T/state2
}

@test "a lockspace tells who has a path on another host" {
    requires_root
    unasked --disk a --param "lockspace=$T/space" --
    another_host
    free "$T/a" a
    held "$T/a" exclusive a --lockspace "$T/space"
    held "$T/a" exclusive a --lockspace space
    free "$T/b" b --lockspace "$T/space"
    finding held .finding a --lockspace "$T/space"
    finding "$T/a" .resource a --lockspace "$T/space"
    kill "$SUP"
    ended "$SUP"
    free "$T/a" a --lockspace "$T/space"
}

@test "a lockspace tells of a child that lives on" {
    requires_root
    orphan --disk a --param "lockspace=$T/space" --
    exiting "$T/a" exclusive a
    another_host
    free "$T/a" a
    exiting "$T/a" exclusive a --lockspace "$T/space"
    kill_child
    free "$T/a" a --lockspace "$T/space"
}

@test "a lockspace is asked by the path as it is given" {
    ln -s . here
    unasked --disk "$T/here/a" --param "lockspace=$T/space" --
    export VIRT_LOCK_STATE_DIR=$T/state2
    rm a
    held "$T/here/a" exclusive "$T/here/a" --lockspace "$T/space"
    lockctl holder "$T/a" --lockspace "$T/space"
    same "exit status by another name" 1 "$status"
    same "stderr" "virt-lockctl: cannot look at '$T/a': No such file or \
directory" "$stderr"
}

@test "a lockspace that is none is an error" {
    lockctl holder a --lockspace nowhere
    same "exit status" 1 "$status"
    same "stderr" "virt-lockctl: cannot look into lockspace '$T/nowhere': No \
such file or directory" "$stderr"
    lockctl holder a --lockspace b
    same "stderr" "virt-lockctl: cannot look into lockspace '$T/b': it is not \
a directory" "$stderr"
    same "stdout" "" "$output"
    lockctl holder a --lockspace=
    same "exit status" 2 "$status"
    lockctl list --lockspace "$T"
    same "exit status" 2 "$status"
    same "stderr" "virt-lockctl: cannot run 'list': it takes no --lockspace; \
see 'virt-lockctl --help'" "$stderr"
}

# --- how it looks ----------------------------------------------------------

@test "holder opens nothing for writing, takes no lock and makes no file" {
    requires strace
    make_loop b
    unasked --disk a --disk "$LOOP" --param "lockspace=$T/space" --
    before=$(find . ! -path './run.*' | sort)
    for disk in a node; do
        run_program strace -f -o trace -e trace=fcntl,flock,openat,open,creat \
            "$LOCKCTL" holder "$disk" --lockspace "$T/space"
        same "exit status" 0 "$status"
        grep -q 'liveness.*O_RDONLY' trace || fail "did not look at liveness"
        grep -q F_OFD_GETLK trace || fail "did not look at locks"
        refute grep -E 'SETLK|flock\(|F_SETLEASE|F_SETLKW' trace
        refute grep -E 'O_WRONLY|O_RDWR|O_CREAT|creat\(' trace
        rm trace
    done
    same "files" "$before" "$(find . ! -path './run.*' | sort)"
}

@test "holder as JSON is one object a line, whatever it finds" {
    vm --disk a,shared --
    fake web2 --uuid "$(uuid 2)" --run-dir "$T/run" --disk a,shared --
    lockctl --json holder a
    same "exit status" 0 "$status"
    same "holders" "web1 web2" \
        "$(jq -rs 'map(.name) | sort | join(" ")' <<<"$output")"
    jq -es --arg path "$T/a" 'length == 2 and all(.finding == "held" and
        .resource == $path and .exiting == 0 and .mode == "shared" and
        (.pid | type == "number"))' <<<"$output"
    lockctl --json holder b
    same "exit status" 1 "$status"
    same "of a free disk" "{\"finding\":\"free\",\"resource\":\"$T/b\"}" \
        "$output"
}

# --- leases ----------------------------------------------------------------

# of_lease FILTER: what query-leases says of disk a
of_lease() {
    qmp "$U" query-leases | jq -r --arg name "$T/a" \
        ".[] | select(.name == \$name) | $1"
}

# waits_for_release: web1 is gone, and somebody else keeps byte 101 of disk a
waits_for_release() {
    vm --disk a -- --qemu-locks "$T/a"
    qemu --qemu-shares
    kill -KILL "$CHILD"
    wait_until vm_state "$U" GONE
    same "status" RELEASING "$(of_lease .status)"
}

@test "leases tells what is promised of each lease" {
    vm --disk a --disk b,readonly --lease space:key -- --qemu-locks "$T/a"
    lockctl leases web1
    same "exit status" 0 "$status"
    same "header" "ID KIND MODE STATUS SINCE GUARANTEE NAME" \
        "$(head -n 1 <<<"$output" | tr -s ' ')"
    same "lines" 5 "${#lines[@]}"
    for name in "$T/a" "$T/b" space:key "$U"; do
        words=$(qmp "$U" query-leases | jq -r --arg name "$name" \
            '.[] | select(.name == $name).guarantee | join(",")')
        matches "words of $name" "reaped,liveness" "$words"
        grep -qE " $words +$name\$" <<<"$output" ||
            fail "no '$words' before '$name' in: $output"
    done
    grep -q "drained-by-qemu-locks *$T/a" <<<"$output"
    # GUARANTEE and NAME stand in columns.
    column=$(awk 'NR == 1 { print index($0, "NAME") }' <<<"$output")
    while read -r line; do
        same "before the column of $line" " " "${line:column-2:1}"
        refute test "${line:column-1:1}" = " "
    done <<<"$output"
}

@test "a lease without any promise has a dash" {
    start_supervisor web1 --uuid "$U" --driver nop --disk a -- sleep 1000
    lockctl leases web1
    grep -qE " - +$T/a\$" <<<"$output" || fail "$output"
}

@test "leases says below a lease that its file is another one by now" {
    vm --disk a --disk b --
    lockctl leases web1
    refute grep -q changed <<<"$output"
    cp a new
    mv new a
    lockctl leases web1
    same "below a" "    changed: replaced" \
        "$(grep -A 1 " $T/a\$" <<<"$output" | tail -n 1)"
    same "once" 1 "$(grep -c changed <<<"$output")"
    rm a
    lockctl leases web1
    grep -qx '    changed: unlinked' <<<"$output"
}

@test "leases says below a lease for what its release waits" {
    waits_for_release
    lockctl leases web1
    same "exit status" 0 "$status"
    same "below a" "    waiting: $(of_lease .waiting)" \
        "$(grep -A 1 "RELEASING.* $T/a\$" <<<"$output" | tail -n 1)"
    matches "reason" "lock byte 101" "$output"
    exiting "$T/a" exclusive a
}

# --- release --force -------------------------------------------------------

@test "release --force ends the wait of a VM that is gone; then it is free" {
    waits_for_release
    lockctl release web1 --disk a
    same "without --force" 1 "$status"
    same "status" RELEASING "$(of_lease .status)"
    lockctl release web1 --disk a --force
    same "release ($stderr)" 0 "$status"
    "$TAKER" --try a
    ended "$SUP"
    same "exit status" 137 "$STATUS"
    in_qemu "$T/a" 101 a
}

# two_wait: web1 is gone, and somebody else keeps byte 101 of both disks.
# $WAITS is a disk that is being released, $OTHER the other one.
two_wait() {
    vm --disk a --disk b -- --qemu-locks "$T/a" --qemu-shares "$T/b"
    qemu --qemu-shares
    spawn second "$FAKEVMM" --qemu-shares "$T/b" --ready "$T/second.ready"
    wait_until test -s second.ready
    kill -KILL "$CHILD"
    wait_until vm_state "$U" GONE
    WAITS=$(qmp "$U" query-leases |
        jq -r 'first(.[] | select(.status == "RELEASING")).name')
    case $WAITS in
    */a) OTHER=$T/b ;;
    */b) OTHER=$T/a ;;
    *) fail "nothing is being released" ;;
    esac
}

@test "release --force ends the wait for one disk and not for another" {
    two_wait
    lockctl release "$U" --disk "./run/../${WAITS##*/}" --force
    same "release ($stderr)" 0 "$status"
    "$TAKER" --try "$WAITS"
    refute "$TAKER" --try "$OTHER"
    lives "$SUP"
    lockctl release "$U" --disk "$OTHER" --force
    same "release ($stderr)" 0 "$status"
    "$TAKER" --try "$OTHER"
    ended "$SUP"
}

@test "release --force does not say that it is done before it is" {
    two_wait
    # The other one's turn may come only when the first one is released.
    lockctl --timeout 0.3 release "$U" --disk "$OTHER" --force
    if "$TAKER" --try "$OTHER"; then
        same "exit status" 0 "$status"
    else
        same "exit status" 1 "$status"
        same "stderr" "virt-lockctl: cannot wait for the release of '$OTHER' \
any longer: it is still held" "$stderr"
    fi
    refute "$TAKER" --try "$WAITS"
    lockctl release "$U" --disk "$WAITS" --force
    same "release ($stderr)" 0 "$status"
    ended "$SUP"
}

@test "release --force of a disk that the VM has not is an error" {
    waits_for_release
    lockctl release web1 --disk b --force
    same "exit status" 1 "$status"
    matches stderr "cannot find disk '$T/b': the VM has no such lease" \
        "$stderr"
    same "status" RELEASING "$(of_lease .status)"
}

# --- --timeout -------------------------------------------------------------

@test "--timeout takes decimals" {
    vm --
    kill -STOP "$SUP"
    begun=${EPOCHREALTIME/[.,]/}
    lockctl --timeout 0.3 status "$U"
    took=$((${EPOCHREALTIME/[.,]/} - begun))
    same "exit status" 1 "$status"
    matches stderr "no answer in time" "$stderr"
    [ "$took" -ge 300000 ] || fail "gave up after $took us"
    [ "$took" -lt 10000000 ] || fail "gave up after $took us"
    kill -CONT "$SUP"
    lockctl --timeout .5 child "$U"
    same "exit status" 0 "$status"
    lockctl --timeout 2. child "$U"
    same "exit status" 0 "$status"
}

@test "shutdown passes a decimal --timeout on" {
    vm -- --ignore-term
    lockctl shutdown web1 --timeout 0.2
    same "exit status ($stderr)" 0 "$status"
    ended "$SUP"
    gone "$(<web1.ready)"
    same "exit status" 137 "$STATUS"
}

@test "a --timeout that is none is refused" {
    for seconds in "" . 1.2.3 1e3 -1 +1 0x10 inf nan 86401 0.0001 0 "1 " soon; do
        lockctl "--timeout=$seconds" list
        same "exit status of --timeout='$seconds'" 2 "$status"
        same "sentence" "virt-lockctl: cannot use --timeout '$seconds': not a \
number of seconds from 0.001 to 86400; see 'virt-lockctl --help'" "$stderr"
    done
    for seconds in -1 86401 soon; do
        lockctl shutdown web1 "--timeout=$seconds"
        same "exit status of --timeout='$seconds'" 2 "$status"
    done
}

# --- list ------------------------------------------------------------------

@test "list does not count the sockets that killed supervisors have left" {
    vm --
    start_supervisor dead --uuid "$(uuid 2)" -- sleep 1000
    kill_supervisor
    test -S "$(socket_of "$(uuid 2)")"
    lockctl list
    same "exit status" 0 "$status"
    same "stderr" "" "$stderr"
    fake silent --uuid "$(uuid 3)" --
    kill -STOP "$SUP"
    lockctl --timeout 0.3 list
    same "exit status" 1 "$status"
    matches stderr "^virt-lockctl: cannot ask 1 of 2 supervisors: " "$stderr"
    grep -q "^web1 " <<<"$output"
}
