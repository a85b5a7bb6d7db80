#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: stock virtlockd and libvirtd on a host of their own
#
# `libvirt-host.sh DIR TESTS`, the first process of new mount, network and pid
# namespaces, runs both with DIR/etc as /etc/libvirt and DIR/run as
# /run/libvirt. It lives as long as libvirtd does; when it dies the kernel
# kills both and every guest, so that ending this one process ends them all.
# TESTS is the directory that DIR and those of all other tests are in.
#
# Should:  see the images where the tests see them.
# Mustn't: let libvirt reach anything of the machine that outlives us: its
#          configuration, state, users, control groups or network.
set -euo pipefail

# What a test beside us has mounted would not end as long as it is here, too.
mapfile -t points < <(cut -d' ' -f5 /proc/self/mountinfo)
for point in "${points[@]}"; do
    if [[ $point == "$2"/* && $1/ != "$point"/* ]]; then
        umount --lazy --no-canonicalize --internal-only \
            "$(printf %b "$point")" 2>/dev/null || :
    fi
done

# The machine may have no libvirt directories to cover: cover their parents.
for directory in /run /var/cache /var/lib /var/log; do
    mount -t tmpfs none "$directory"
    mkdir "$directory/libvirt"
done
mount --bind "$1/etc" /etc/libvirt
mount --bind "$1/run" /run/libvirt
umount --recursive --lazy /sys/fs/cgroup 2>/dev/null || :

# libvirtd does not start without this user, even where it uses another.
cp /etc/passwd /etc/group "$1"
if ! getent passwd libvirt-qemu >/dev/null; then
    echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' \
        >>"$1/passwd"
fi
if ! getent group libvirt-qemu >/dev/null; then
    echo 'libvirt-qemu:x:64055:' >>"$1/group"
fi
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group

# libvirtd talks to virtlockd when it starts; with -d virtlockd is ready when
# it returns.
env -i PATH="$PATH" virtlockd -d -f "$1/etc/virtlockd.conf"
env -i PATH="$PATH" libvirtd -f "$1/etc/libvirtd.conf" &
wait
