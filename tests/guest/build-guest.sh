#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: builds the tiny test guest from Debian packages
#
# build-guest.sh DIR leaves in DIR:
#   kernel       Debian's cloud kernel, unpacked (QEMU boots it 0.4 s faster)
#   initrd.img   /init (init.c, writer.c, ring.c) and the virtio modules
#   check-disk   the program for the host that judges a disk (check-disk.c)
#
# Where all three are there and newer than their sources, nothing is done.
# No root is needed: the kernel's package is downloaded, not installed.
#
# Boot it with QEMU's
#   -machine q35 -accel tcg,tb-size=32 -m 96 -kernel DIR/kernel
#   -initrd DIR/initrd.img -append 'console=ttyS0 quiet panic=-1 tsc=reliable
#   no_timer_check random.trust_cpu=on boot=HEX' -serial file:LOG
# and a virtio-blk disk with cache.direct=on; see init.c for more options.

set -eu

here=$(dirname "$(readlink -f "$0")")
dir=${1:?"usage: $0 DIR"}
modules='virtio/virtio_ring virtio/virtio virtio/virtio_pci_modern_dev
    virtio/virtio_pci_legacy_dev virtio/virtio_pci block/virtio_blk'
cc=${CC:-gcc}

die() {
    echo "$0: $*" >&2
    exit 1
}

is_complete() {
    for made in kernel initrd.img check-disk; do
        [ -s "$dir/$made" ] || return 1
        [ -z "$(find "$here" -newer "$dir/$made" -type f)" ] || return 1
    done
}

require() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null ||
            die "cannot build the guest: no '$tool' here; run 'make deps'"
    done
}

# apt ARG...: an apt-get that changes nothing outside of our directory.
apt() {
    apt-get -q -o APT::Sandbox::User="$(id -un)" "$@" >>apt.log 2>&1
}

# fetch: downloads the newest cloud kernel that this machine's sources know,
# with an index of our own where the machine's is missing or too old.
fetch() {
    index=
    for try in 1 2; do
        # shellcheck disable=SC2086  # options are words
        package=$(apt-cache $index depends linux-image-cloud-amd64 \
            2>>apt.log | awk '/Depends: linux-image/ { print $2; exit }')
        # shellcheck disable=SC2086
        [ -z "$package" ] || ! apt $index download "$package" || return 0
        [ $try -eq 1 ] || break
        mkdir -p lists/partial cache/archives/partial
        index="-o Dir::State::Lists=$PWD/lists -o Dir::Cache=$PWD/cache"
        # shellcheck disable=SC2086
        apt $index update || break
    done
    cat apt.log >&2
    die "cannot download 'linux-image-cloud-amd64': apt-get failed"
}

# number FILE OFFSET BYTES: an unsigned little-endian number from a file.
number() {
    od -An -v -tu"$3" -j"$2" -N"$3" "$1" | tr -d ' '
}

# unpack_kernel VMLINUZ: takes the ELF image out of a bzImage, by the boot
# protocol's setup_sects, payload_offset and payload_length; the payload's
# last four bytes are its length, not LZ4.
unpack_kernel() {
    start=$((($(number "$1" 497 1) + 1) * 512 + $(number "$1" 584 4)))
    length=$(($(number "$1" 588 4) - 4))
    tail -c +$((start + 1)) "$1" | head -c "$length" >payload
    lz4 -dcq payload >kernel
    readelf -h kernel >/dev/null ||
        die "cannot unpack '$1': no ELF image inside"
}

# compile OUTPUT SOURCE...: static, because the guest has no libraries.
compile() {
    output=$1
    shift
    "$cc" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -static -s \
        -o "$output" "$@"
}

make_initrd() {
    mkdir -p root/modules
    for module in $modules; do
        strip -d -o "root/modules/${module##*/}.ko" \
            lib/modules/*/kernel/drivers/"$module.ko"
    done
    compile root/init "$here/init.c" "$here/writer.c" "$here/ring.c"
    (cd root && find . | cpio -o -H newc -R 0:0 --quiet) >initrd.img
}

! is_complete || exit 0
require "$cc" apt-get apt-cache awk cpio dpkg-deb lz4 readelf strip tar
[ "$(uname -m)" = x86_64 ] || die "cannot build the guest: not on x86_64"

mkdir -p "$dir"
dir=$(readlink -f "$dir")
work=$(mktemp -d "$dir/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$work"
echo "building the test guest in '$dir'"
fetch
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x --wildcards \
    './boot/vmlinuz-*' './lib/modules/*/kernel/drivers/virtio/*' \
    '*/drivers/block/virtio_blk.ko'
unpack_kernel boot/vmlinuz-*
make_initrd
compile check-disk "$here/check-disk.c" "$here/ring.c"
touch kernel initrd.img check-disk
mv kernel initrd.img check-disk "$dir/"
