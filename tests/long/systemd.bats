#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the unit, under a real systemd in a container
#
# One container for all of the file; each test has a VM of its own. Properties of
# a unit that ended well are forgotten with it, so those ends are read in the
# journal.

load ../lib/common
load ../lib/container

FAKE=/opt/vls/fakevmm

setup_file() {
    requires debootstrap systemd-nspawn nsenter
    requires_unified
    container_root
    container_start
    export LEADER VM GROUP
}

teardown_file() {
    container_stop
}

setup() {
    common_setup
    N=vm$BATS_TEST_NUMBER
    truncate -s 1M "$VM/$N.raw"
}

teardown() {
    if [ "${BATS_TEST_COMPLETED:-}" != 1 ]; then
        inside systemctl status --no-pager -l "$(unit "$N")" || :
    fi
    inside systemctl kill --kill-whom=all -s KILL "$(unit "$N")" \
        2>/dev/null || :
    inside systemctl stop "$(unit "$N")" 2>/dev/null || :
    inside systemctl reset-failed "$(unit "$N")" 2>/dev/null || :
    common_teardown
}

# vm [LINE...] -- [FAKEVMM OPTION...]: configures VM $N; starts nothing
vm() {
    local lines=()
    while [ "$1" != -- ]; do
        lines+=("$1")
        shift
    done
    shift
    rm -f "$VM/$N.ready"
    configure "$N" "DISKS=--disk=/vm/$N.raw" \
        "QEMU=$FAKE --ready /vm/$N.ready $*" "${lines[@]}"
}

# --- starting --------------------------------------------------------------

@test "the unit is active only when the leases are held and the child runs" {
    vm OPTIONS=--wait --
    spawn holder nsenter -t "$LEADER" -m /opt/vls/taker "/vm/$N.raw" \
        "/vm/$N.granted"
    holder=$PID
    wait_until test -s "$VM/$N.granted"
    inside systemctl start --no-block "$(unit "$N")"
    wait_until property_is "$N" SubState start
    # It has its control socket: it waits for nothing but the lease.
    wait_until inside virt-lockctl status "$N"
    property_is "$N" ActiveState activating
    refute test -e "$VM/$N.ready"
    kill -KILL "$holder"
    wait_until property_is "$N" ActiveState active
    wait_until test -s "$VM/$N.ready"
    refute inside /opt/vls/taker --try "/vm/$N.raw"
}

@test "systemctl status names state and child, and the child has its own group" {
    vm --
    start_unit "$N"
    child=$(inside virt-lockctl child "$N")
    main=$(unit_property "$N" MainPID)
    same "status text" "RUNNING: the child is process $child" \
        "$(unit_property "$N" StatusText)"
    group=$GROUP/payload$(unit_property "$N" ControlGroup)
    same "groups" "$group/vm-$main" \
        "$(find "$group" -mindepth 1 -maxdepth 1 -type d)"
    same "the supervisor is alone" 1 "$(processes "$N" "" | wc -l)"
    same "the child is below" 1 "$(processes "$N" "/vm-$main" | wc -l)"
}

@test "a second VM on the same disk fails with 123, and is not tried again" {
    vm --
    start_unit "$N"
    configure "$N-too" "DISKS=--disk=/vm/$N.raw" \
        "QEMU=$FAKE --ready /vm/$N-too.ready"
    refute start_unit "$N-too"
    same "status" 123 "$(unit_property "$N-too" ExecMainStatus)"
    same "state" failed "$(unit_property "$N-too" ActiveState)"
    same "substate" failed "$(unit_property "$N-too" SubState)"
    same "restarts" 0 "$(unit_property "$N-too" NRestarts)"
    refute test -e "$VM/$N-too.ready"
    property_is "$N" ActiveState active
    inside systemctl reset-failed "$(unit "$N-too")"
}

@test "a command that is missing fails at once, with 127" {
    configure "$N" "DISKS=--disk=/vm/$N.raw" QEMU=/nowhere/qemu
    refute start_unit "$N"
    same "status" 127 "$(unit_property "$N" ExecMainStatus)"
    same "restarts" 0 "$(unit_property "$N" NRestarts)"
}

# --- the end ---------------------------------------------------------------

@test "stop: one TERM, the child dead, the leases free, the unit inactive" {
    vm -- --on-term 0 --log-signals "/vm/$N.signals"
    start_unit "$N"
    # Whoever gets the disk finds the unit still stopping, and the child dead.
    spawn taker nsenter -t "$LEADER" -m /opt/vls/taker "/vm/$N.raw" \
        "/vm/$N.granted"
    mapfile -t before < <(processes "$N")
    same "processes" 2 "${#before[@]}"
    inside systemctl stop "$(unit "$N")"
    same "state" inactive "$(unit_property "$N" ActiveState)"
    same "signals" "TERM user" "$(<"$VM/$N.signals")"
    for pid in "${before[@]}"; do
        gone "$pid" || fail "process $pid lives"
    done
    wait_until test -s "$VM/$N.granted"
}

@test "a child that dies by the TERM of a stop has done what it was told" {
    vm --
    start_unit "$N"
    inside systemctl stop "$(unit "$N")"
    same "state" inactive "$(unit_property "$N" ActiveState)"
    said_by "$N" >said
    has_line said 'GONE: the child was killed by signal 15'
}

@test "a child that ignores TERM is killed by --stop-timeout, not by systemd" {
    cat >"$VM/$N.sh" <<END
sleep 1000 &
trap 'echo TERM >>/vm/$N.signals' TERM
echo >/vm/$N.ready
while :; do
    wait
done
END
    configure "$N" "DISKS=--disk=/vm/$N.raw" OPTIONS=--stop-timeout=1 \
        "QEMU=sh /vm/$N.sh"
    start_unit "$N"
    wait_until test -s "$VM/$N.ready"
    inside systemctl stop "$(unit "$N")"
    same "result" exit-code "$(unit_property "$N" Result)"
    same "status" 137 "$(unit_property "$N" ExecMainStatus)"
    said_by "$N" >said
    has_line said 'STOPPING -> KILLING: time is up'
    # From the supervisor, and no other from systemd.
    same "signals" TERM "$(<"$VM/$N.signals")"
}

@test "a stop that takes longer than the unit says is not cut short" {
    vm OPTIONS=--stop-timeout=4 -- --ignore-term
    inside mkdir -p "/run/systemd/system/$(unit "$N").d"
    inside sh -c "printf '[Service]\nTimeoutStopSec=1\n' \
        >'/run/systemd/system/$(unit "$N").d/short.conf'"
    inside systemctl daemon-reload
    start_unit "$N"
    same "timeout" 1s "$(unit_property "$N" TimeoutStopUSec)"
    inside systemctl stop "$(unit "$N")"
    same "result" exit-code "$(unit_property "$N" Result)"
    same "status" 137 "$(unit_property "$N" ExecMainStatus)"
}

@test "SIGKILL of the supervisor leaves nothing, and the VM is started again" {
    vm -- --daemonize --fork-writer 2 --ignore-term --stamp "/vm/$N.stamp"
    start_unit "$N"
    wait_until test -s "$VM/$N.ready"
    mapfile -t before < <(processes "$N")
    [ "${#before[@]}" -ge 4 ]
    rm "$VM/$N.ready"
    inside systemctl kill --kill-whom=main -s KILL "$(unit "$N")"
    wait_until test -s "$VM/$N.ready"
    for pid in "${before[@]}"; do
        gone "$pid" || fail "process $pid lives"
    done
    wait_until property_is "$N" ActiveState active
    same "restarts" 1 "$(unit_property "$N" NRestarts)"
}

@test "a lease that is revoked ends the unit with 124, for good" {
    vm --
    start_unit "$N"
    inside virt-lockctl revoke "$N"
    wait_until property_is "$N" ActiveState failed
    same "status" 124 "$(unit_property "$N" ExecMainStatus)"
    same "restarts" 0 "$(unit_property "$N" NRestarts)"
}

@test "a VM that virt-lockctl has killed is not started again" {
    vm OPTIONS=--stop-timeout=0.1 -- --ignore-term
    start_unit "$N"
    wait_until test -s "$VM/$N.ready"
    inside virt-lockctl shutdown "$N"
    wait_until property_is "$N" SubState failed
    same "status" 137 "$(unit_property "$N" ExecMainStatus)"
    same "restarts" 0 "$(unit_property "$N" NRestarts)"
    inside /opt/vls/taker --try "/vm/$N.raw"
}

@test "the example starts but for its accelerator and place" {
    sed "s#accel=kvm#accel=tcg#; s#/vm/web1#/vm/$N#; s#qemu-web1#qemu-$N#" \
        "$BATS_TEST_DIRNAME/../../docs/examples/web1.conf" |
        inside sh -c "cat >/etc/virt-lock-supervisor/$N.conf"
    qemu-img create -q -f qcow2 "$VM/$N.qcow2" 16M
    start_unit "$N"
    inside virt-lockctl leases "$N" >said
    has_line said "/vm/$N.qcow2"
    wait_until inside test -S "/run/qemu-$N.sock"
}

@test "a VM that crashes is started again, but not for ever" {
    vm -- --exit 1
    inside systemctl start --no-block "$(unit "$N")"
    wait_until -t 30 property_is "$N" SubState failed
    same "restarts" 3 "$(unit_property "$N" NRestarts)"
}

@test "a VM that ends by itself leaves the unit inactive" {
    vm -- --exit 0
    start_unit "$N" || : # it may be over before systemd looks
    wait_until property_is "$N" ActiveState inactive
    said_by "$N" >said
    same "starts" 1 "$(grep -c 'STARTING -> RUNNING' said)"
    has_line said 'GONE: the child exited with status 0'
}

@test "cgroup.kill ends the whole tree" {
    vm -- --fork-writer 3 --setsid-grandchild --stamp "/vm/$N.stamp"
    start_unit "$N"
    wait_until test -s "$VM/$N.ready"
    supervisor=$(processes "$N" "")
    spawn trace strace -o trace -e trace=write -p "$supervisor"
    wait_until has_line trace.err attached
    link=$(find "/proc/$supervisor/fd" -lname '*/vm-*/cgroup.kill')
    inside virt-lockctl quit "$N"
    wait_until gone "$supervisor"
    wait_until grep -q "write(${link##*/}, \"1\", 1) *= 1" trace
}

# --- the journal -----------------------------------------------------------

@test "the journal has fields, ids, and a catalog that explains them" {
    vm "OPTIONS=--uuid=$(uuid 7)" --
    start_unit "$N"
    inside virt-lockctl revoke "$N" --disk "/vm/$N.raw"
    wait_until property_is "$N" ActiveState failed
    inside journalctl --sync
    inside journalctl -q -o json "VM_UUID=$(uuid 7)" >entries
    id=$("$BUILD/tables" messages |
        sed -n 's/^=item B<LEASE_LOST> (.*=\(.*\)>)$/\1/p')
    jq -es --arg id "$id" --arg name "$N" --arg unit "$(unit "$N")" '
        all(.VM_NAME == $name and ._SYSTEMD_UNIT == $unit and
            (.MESSAGE_ID | length == 32)) and
        any(.MESSAGE_ID == $id and .LEASE == "/vm/" + $name + ".raw" and
            .PRIORITY == "4") and
        (map(.STATE // empty) == ["RUNNING", "KILLING", "GONE"])' entries ||
        fail "$(<entries)"
    inside journalctl --update-catalog
    inside journalctl -q -x -o short "MESSAGE_ID=$id" "VM_NAME=$N" >said
    has_line said "^[^ ]+ Subject: $N: a lease was lost"
    has_line said "^[^ ]+ The VM is $N, uuid $(uuid 7)"
}

@test "what is wrong before the journal is opened is in it as well" {
    vm OPTIONS=--nonsense --
    refute start_unit "$N"
    said_by "$N" >said
    has_line said 'cannot understand the options: .*--nonsense'
}

# --- QEMU ------------------------------------------------------------------

# catches_term PID, of the container: it has a handler for SIGTERM
catches_term() {
    local caught
    caught=$(inside sed -n 's/^SigCgt:[^0-9a-f]*//p' "/proc/$1/status")
    (((16#$caught >> 14) & 1))
}

@test "QEMU runs in the unit's sandbox, as another user, and ends at stop" {
    disks=--disk=/vm/$N.raw
    if "$SUPERVISOR" --help | grep -q -- --disks-from-command; then
        disks=--disks-from-command
    fi
    chown "$NOBODY" "$VM/$N.raw"
    configure "$N" "DISKS=$disks" "OPTIONS=--user=nobody \\" \
        "    --stop-timeout=20" \
        "QEMU=qemu-system-x86_64 -name 'two words' -accel tcg -m 64 \\" \
        "    -nodefaults -display none -serial none \\" \
        "    -blockdev driver=file,node-name=file0,filename=/vm/$N.raw \\" \
        "    -blockdev driver=raw,node-name=disk0,file=file0 \\" \
        "    -device virtio-blk-pci,drive=disk0"
    start_unit "$N"
    child=$(inside virt-lockctl child "$N")
    same "user" "$NOBODY" "$(inside stat -c %u "/proc/$child")"
    inside cat "/proc/$child/cmdline" | tr '\0' '\n' >words
    has_line words '^two words$'
    refute inside /opt/vls/taker --try "/vm/$N.raw"
    inside virt-lockctl leases "$N" >said
    has_line said "/vm/$N.raw"
    wait_until catches_term "$child"
    inside systemctl stop "$(unit "$N")"
    same "state" inactive "$(unit_property "$N" ActiveState)"
    said_by "$N" >said
    has_line said 'GONE: the child exited with status 0'
    inside /opt/vls/taker --try "/vm/$N.raw"
}

# recipe NAME: a recipe of the cookbook, as it stands there, in the container
recipe() {
    awk -v name="<!-- recipe: $1 -->" '
        $0 == name { found = 1; next }
        found && /^```$/ { exit }
        found && !/^```sh$/' "$BATS_TEST_DIRNAME/../../docs/cookbook.md" >"$1.sh"
    test -s "$1.sh"
    inside bash -eu -c "$(<"$1.sh")"
}

@test "the cookbook's service" {
    N=web1
    qemu-img create -q -f qcow2 "$VM/web1.qcow2" 16M
    recipe unit-conf
    recipe unit-start >said
    has_line said 'Active: active \(running\)'
    has_line said 'STARTING -> RUNNING: every lease is held'
    same "enabled" enabled "$(inside systemctl is-enabled "$(unit web1)")"
    inside virt-lockctl leases web1 >said
    has_line said '/vm/web1.qcow2'
    inside systemctl disable --now "$(unit web1)"
    same "state" inactive "$(unit_property web1 ActiveState)"
}
