# shellcheck shell=bash disable=SC2034  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a disk that can be made to wait
#
# nbdkit serves a file that nbdfuse shows as another; two loop devices lie on
# that, each on its half: one with a file system on which $SLOW is an image,
# the other one, $SLOW_DEVICE, is an image itself. slow_pause makes nbdkit keep
# every request, slow_resume lets them go on. In between a write that was
# given to io_uring stays in flight, even if nobody is left who gave it, and
# slow_landed sees what is on the medium really. After slow_fail every request
# ends with EIO, until slow_repair.
#
# Load it after common, call slowdisk_setup after common_setup, and
# slowdisk_teardown instead of common_teardown.
#
# Should:  work without any delay to wait for: pause, submit, kill, look,
#          resume, look.
# Mustn't: leave a paused disk behind: what waits for one cannot be killed.

SLOW_HALF=8M
# The block that fakevmm writes consists of this letter.
SLOW_LETTER=W
SLOW_BLOCK=4096

slowdisk_setup() {
    requires_root
    requires nbdkit nbdfuse losetup mkfs.ext4 socat
    SLOW_MEDIUM=$T/medium
    SLOW=$T/slow/disk
    SLOW_SERVERS=() SLOW_LOOPS=()
    mkdir fuse slow
    : >fuse/disk
    truncate -s 16M "$SLOW_MEDIUM"
    slow_serve nbdkit -f -U "$T/nbd.sock" --filter=pause --filter=error \
        file "$SLOW_MEDIUM" "pause-control=$T/pause.sock" \
        error=EIO error-rate=100% "error-file=$T/failing"
    wait_until test -S nbd.sock
    wait_until test -S pause.sock
    slow_serve nbdfuse "$T/fuse/disk" --unix "$T/nbd.sock"
    wait_until mountpoint -q fuse/disk
    slow_loop --sizelimit "$SLOW_HALF"
    SLOW_FS=$SLOW_LOOP
    slow_loop --offset "$SLOW_HALF"
    SLOW_DEVICE=$SLOW_LOOP
    # No journal, nothing put off: what waits for the disk is what the test
    # has written.
    mkfs.ext4 -q -O ^has_journal -E nodiscard,lazy_itable_init=0 "$SLOW_FS"
    mount -o noatime "$SLOW_FS" slow
    # Blocks that are there: writing them takes no change of the file system.
    dd if=/dev/zero of="$SLOW" bs=64k count=1 conv=fsync status=none
}

slow_serve() {
    as_in_foreground setsid "$@" >>"$T/slow.err" 2>&1 </dev/null \
        3>&- 4>&- 10>&- &
    SLOW_SERVERS+=("$!")
}

slow_loop() {
    SLOW_LOOP=$(losetup --find --show --direct-io=on "$@" "$T/fuse/disk")
    SLOW_LOOPS+=("$SLOW_LOOP")
}

# slow_control LETTER ANSWER
slow_control() {
    same "answer of the paused disk" "$2" \
        "$(printf %s "$1" | socat -t 10 - "UNIX:$T/pause.sock")"
}

# What was written before is on the medium.
slow_pause() {
    sync -f "$SLOW"
    slow_control p P
}

slow_resume() {
    slow_control r R
}

slow_fail() {
    : >"$T/failing"
}

slow_repair() {
    rm -f "$T/failing"
}

# slow_in_flight [DEVICE]: a write waits for the disk
slow_in_flight() {
    local device=${1:-$SLOW_FS} writes
    read -r _ writes <"/sys/block/${device#/dev/}/inflight"
    [ "$writes" -gt 0 ]
}

# A block that fakevmm wrote is on the medium.
slow_landed() {
    [ "$(tr -cd "$SLOW_LETTER" <"$SLOW_MEDIUM" | wc -c)" -ge "$SLOW_BLOCK" ]
}

# For whoever is let in: `./witness FILE` tells FILE whether it has landed.
slow_witness() {
    cat >"$T/witness" <<END
#!/bin/sh
tr -cd "$SLOW_LETTER" <"$SLOW_MEDIUM" | wc -c >"\$1.new"
mv "\$1.new" "\$1"
END
    chmod +x "$T/witness"
}

# witnessed FILE: it had landed when the witness was let in
witnessed() {
    wait_until test -s "$1"
    [ "$(<"$1")" -ge "$SLOW_BLOCK" ] ||
        fail "let in before the write had landed"
}

# Other tests make mount namespaces, which copy our mounts and keep them in use
# for a while: "lazy" takes them away from here, and the rest follows by itself.
slow_unmount() {
    mountpoint -q "$1" || return 0
    sync -f "$1"
    umount --lazy "$1"
}

slowdisk_teardown() {
    local pid loop failed=0
    slow_repair
    if [ -S "$T/pause.sock" ] && ! slow_resume; then
        failed=1
        kill -KILL "${SLOW_SERVERS[@]}" || : # errors let go whoever waits
    fi
    for pid in $(recorded); do
        kill -KILL "$pid" 2>/dev/null || :
    done
    wait_until none_recorded || failed=1
    slow_unmount "$T/slow" || failed=1
    for loop in "${SLOW_LOOPS[@]}"; do
        losetup --detach "$loop" || failed=1
    done
    slow_unmount "$T/fuse/disk" || failed=1
    for pid in "${SLOW_SERVERS[@]}"; do
        kill -KILL "$pid" 2>/dev/null || :
        wait_until gone "$pid" || failed=1
    done
    common_teardown || failed=1
    return "$failed"
}
