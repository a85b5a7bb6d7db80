# shellcheck shell=bash disable=SC2034  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a guest that writes all the time, migrated from QEMU to QEMU
#
# $HERE and $THERE are the two sides; a side is a name, of its QEMU's files
# ($T/NAME.log, .qmp, .events) and of its run directory. on SIDE COMMAND...
# speaks to its supervisor; $SUP_OF and $CHILD_OF tell its numbers. Load it
# after common, guest and handover.
#
# Should:  be what docs/migration.md says, step by step.
# Mustn't: ask a side that is dead to do something.

migration_setup() {
    guest_setup
    handover_setup
    requires qemu-img
    declare -gA SUP_OF=() CHILD_OF=() STATE_OF=() WATCHER_OF=()
    HERE=here THERE=there
    DISK=$T/disk
    TARGET_OPTIONS=() # of the target's QEMU
    TARGET_LATE=on    # it opens its disks when it is told to (cont)
}

# format raw|qcow2: of the disk that is made
format() {
    GUEST_FORMAT=$1
    rm -f "$DISK"
    qemu-img create -q -f "$1" "$DISK" 8M
}

# on SIDE COMMAND...
on() {
    local VIRT_LOCK_RUN_DIR=$T/run.$1
    local VIRT_LOCK_STATE_DIR=${STATE_OF[$1]:-$T/state}
    export VIRT_LOCK_RUN_DIR VIRT_LOCK_STATE_DIR
    shift
    "$@"
}

# here_runs [SUPERVISOR OPTION...]: the VM, and it writes
here_runs() {
    qemu_for "$HERE" "$DISK"
    on "$HERE" start_supervisor "$HERE" --name vm --uuid "$U" --disk "$DISK" \
        "$@" -- "${QEMU[@]}"
    SUP_OF[$HERE]=$SUP CHILD_OF[$HERE]=$CHILD
    says "$HERE" '^vda ACK '
}

# there_waits [SUPERVISOR OPTION...]: the target
there_waits() {
    local late=(-S)
    [ "$TARGET_LATE" = on ] || late=()
    qemu_for "$THERE" "$DISK"
    on "$THERE" start_supervisor "$THERE" --name vm --uuid "$U" \
        --disk "$DISK" --incoming "$@" -- "${QEMU[@]}" -incoming defer \
        "${late[@]}" "${TARGET_OPTIONS[@]}"
    SUP_OF[$THERE]=$SUP CHILD_OF[$THERE]=$CHILD
    wait_until answers "$THERE"
}

answers() {
    in_qemu "$1" query-status >/dev/null 2>&1
}

prepared() {
    TOKEN=$(on "$HERE" "$LOCKCTL" migrate-prepare vm)
}

# capability SIDE NAME
capability() {
    in_qemu "$1" migrate-set-capabilities "$(jq -n --arg name "$2" \
        '{capabilities: [{capability: $name, state: true}]}')" >/dev/null
}

# watched SIDE: from now on, and nothing that was before
watched() {
    [ -z "${WATCHER_OF[$1]:-}" ] || {
        kill -KILL "${WATCHER_OF[$1]}"
        ended "${WATCHER_OF[$1]}"
    }
    events_of "$1"
    WATCHER_OF[$1]=$PID
}

# connected: both QEMUs know of each other, and the state flows; at most
# $BANDWIDTH bytes a second
connected() {
    watched "$HERE"
    watched "$THERE"
    capability "$HERE" events
    capability "$THERE" events
    [ "$TARGET_LATE" != on ] || capability "$THERE" late-block-activate
    [ -z "${PAUSE:-}" ] || capability "$HERE" pause-before-switchover
    in_qemu "$HERE" migrate-set-parameters \
        "{\"max-bandwidth\": ${BANDWIDTH:-1073741824}, \"downtime-limit\": 300}"
    rm -f mig.sock
    in_qemu "$THERE" migrate-incoming "{\"uri\": \"unix:$T/mig.sock\"}"
    in_qemu "$HERE" migrate "{\"uri\": \"unix:$T/mig.sock\"}"
} >/dev/null

# is SIDE STATUS: of its migration, as it has said
is() {
    event "$1" "MIGRATION\", \"data\": \\{\"status\": \"$2\""
}

# switched: the state is there, and neither QEMU runs the guest
switched() {
    if [ -n "${PAUSE:-}" ]; then
        is "$HERE" pre-switchover
        in_qemu "$HERE" migrate-continue '{"state": "pre-switchover"}' \
            >/dev/null
    fi
    is "$HERE" completed
    is "$THERE" completed
}

# runs SIDE: its guest
runs() {
    in_qemu "$1" cont >/dev/null
    qemu_is "$1" running
    writes_on "$1"
}

# ctl SIDE COMMAND...: of virt-lockctl, which must work
ctl() {
    local side=$1
    shift
    on "$side" lockctl "$@"
    same "$side: $* ($stderr)" 0 "$status"
}

# side_ended SIDE STATUS: the supervisor; when it was not killed itself QEMU is
# dead by then
side_ended() {
    ended "${SUP_OF[$1]}" 30
    same "exit status of $1" "$2" "$STATUS"
    [ "$STATUS" != 137 ] || wait_until gone "${CHILD_OF[$1]}"
    gone "${CHILD_OF[$1]}" || fail "QEMU of $1 lives"
}

# finished: here is nothing left, there is everything, and it writes
finished() {
    side_ended "$HERE" 0
    wait_until on "$THERE" vm_state "$U" RUNNING
    writes_on "$THERE"
}

# hop [SUPERVISOR OPTION...]: the whole of it, once, to a side that is new;
# afterwards HERE is there. $SIDES are all that there have been.
hop() {
    SIDES=("${SIDES[@]:-$HERE}" "side${#SIDES[@]}")
    THERE=${SIDES[-1]}
    prepared
    there_waits --state "$TOKEN" "$@"
    connected
    switched
    ctl "$THERE" migrate-complete vm --in
    runs "$THERE"
    ctl "$HERE" migrate-complete vm --out
    finished
    HERE=$THERE
}

# back_here: the source runs on, as if nothing had been
back_here() {
    ctl "$HERE" migrate-cancel vm
    on "$HERE" vm_state "$U" RUNNING
    qemu_is "$HERE" running || in_qemu "$HERE" cont
    writes_on "$HERE"
}

# disk_is_whole BOOTS NAME...: when everybody is gone
disk_is_whole() {
    local boots=$1 image=$DISK checked=0
    shift
    if [ "$GUEST_FORMAT" != raw ]; then
        qemu-img check -q "$DISK" || checked=$?
        # 3: the last QEMU was killed, and a cluster that it was just about to
        # use is lost to the image; nothing is wrong with what is in it.
        [ "$checked" = 0 ] || [ "$checked" = 3 ] || fail "the image is damaged"
        qemu-img convert -f "$GUEST_FORMAT" -O raw "$DISK" "$T/whole"
        image=$T/whole
    fi
    intact "$image" "$boots" "$@"
}

# all_end SIDE: what runs there is ended; the disk is free
all_end() {
    ctl "$1" quit vm
    admitted "$DISK"
}
