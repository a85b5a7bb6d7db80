# shellcheck shell=bash disable=SC2034  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: libvirt hosts, and guests on them, for tests
#
# A host is stock libvirtd with lock_manager = "lockd" and a virtlockd, in
# namespaces of its own (tests/lib/libvirt-host.sh), started once per test
# file. Its guests are real QEMUs (TCG) whose processor halts at once, with
# images of $T as disks. Disks are written as for --disk: `a`, `a,shareable`
# and `a,readonly` (libvirt's words).
#
# $HOST is the host that is spoken to. Its guest `stays` is there in every
# test, for disks to be plugged into; `comes` is started with its disks.

HOSTS=$BATS_FILE_TMPDIR

# The reason why there can be no host here, or nothing.
why_no_libvirt() {
    local command
    [ "$(id -u)" = 0 ] || echo "only root can do this"
    for command in libvirtd virtlockd virsh qemu-system-x86_64; do
        command -v "$command" >/dev/null || echo "'$command' is not installed"
    done
    unshare -m -n -p -f --mount-proc true 2>/dev/null ||
        echo "namespaces cannot be made"
}

# start_host NAME [LOCKSPACE]: with LOCKSPACE its virtlockd locks files there,
# without it the images themselves. To be followed by host_is_up.
start_host() {
    local dir=$HOSTS/$1 T=$HOSTS FAKEVMM_PIDS=$HOSTS/pids
    # At the reset vector: cli; hlt; jmp .-1
    { head -c 65520 /dev/zero && printf '\372\364\353\375%012d' 0; } \
        >"$HOSTS/halt.rom"
    mkdir -p "$dir/etc" "$dir/run"
    cat >"$dir/etc/libvirtd.conf" <<END
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
log_outputs = "3:stderr"
END
    : >"$dir/etc/virtlockd.conf"
    cat >"$dir/etc/qemu.conf" <<END
lock_manager = "lockd"
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
stdio_handler = "file"
hugetlbfs_mount = []
namespaces = []
cgroup_controllers = []
END
    printf '%s\n' "auto_disk_leases = 1" \
        ${2:+"file_lockspace_dir = \"$2\""} >"$dir/etc/qemu-lockd.conf"
    spawn "host-$1" unshare -m -n -p -f --mount-proc --kill-child \
        "$BATS_TEST_DIRNAME/../lib/libvirt-host.sh" "$dir" \
        "${BATS_RUN_TMPDIR%/*}"
}

host_is_up() {
    in_libvirt list >/dev/null 2>&1
}

# To be called in teardown_file. A host's first process takes all others with
# it, and its parent ends only then.
stop_hosts() {
    local T=$HOSTS FAKEVMM_PIDS=$HOSTS/pids pid
    for pid in $(recorded); do
        pkill -KILL -P "$pid" || :
    done
    wait_until none_recorded
}

# in_libvirt COMMAND...: virsh, on $HOST
in_libvirt() {
    virsh -q -c "qemu+unix:///system?socket=$HOSTS/$HOST/run/libvirt-sock" \
        "$@" 3>&- 4>&- 10>&-
}

disk_xml() { # DISK
    local name=${1%%,*} word=${1#"${1%%,*}"}
    cat <<END
<disk type='file' device='disk'>
<driver name='qemu' type='raw'/><source file='$T/$name'/>
<target dev='sd$name' bus='scsi'/>${word:+<${word#,}/>}
</disk>
END
}

guest_xml() { # NAME DISK...
    local disk
    cat <<END
<domain type='qemu'><name>$1</name><memory unit='MiB'>16</memory>
<os><type arch='x86_64' machine='pc'>hvm</type>
<loader type='rom'>$HOSTS/halt.rom</loader></os>
<devices><emulator>$(command -v qemu-system-x86_64)</emulator>
<controller type='scsi' index='0' model='virtio-scsi'/>
<controller type='usb' model='none'/><memballoon model='none'/>
END
    for disk in "${@:2}"; do
        disk_xml "$disk"
    done
    echo '</devices></domain>'
}

# Starts a guest; returns when it runs.
guest() { # NAME DISK...
    guest_xml "$@" >"$T/$1.xml"
    in_libvirt create "$T/$1.xml"
}

start() { # DISK...
    guest comes "$@"
}

end() {
    in_libvirt destroy comes
}

plug() { # DISK
    disk_xml "$1" >"$T/plug.xml"
    in_libvirt attach-device stays "$T/plug.xml" --live
}

unplug() { # NAME
    in_libvirt detach-disk stays "sd$1" --live
}

# As it was: `stays` with no disk, or none.
tidy_up() {
    local target
    end 2>/dev/null || :
    for target in $(in_libvirt domblklist stays | awk '{ print $1 }'); do
        unplug "${target#sd}" || in_libvirt destroy stays || return
    done
}

# libvirt_refuses plug|start DISK...: because of a lock
libvirt_refuses() {
    run_program "$@"
    [ "$status" != 0 ] || fail "libvirt did not refuse: $*"
    matches "why libvirt refused $*" "resource busy" "$stderr"
}
