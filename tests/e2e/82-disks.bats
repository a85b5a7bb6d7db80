#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: virt-lock-disks: what it says that QEMU would open is what QEMU opens
#
# The proof is in agrees(): the same words are given to both; then the files
# that QEMU has open, and how, and the nodes that it tells of, are compared
# with what was printed. Both ways: nothing is missing, nothing is too much.

load ../lib/common

setup() {
    common_setup
    requires qemu-system-x86_64 qemu-img jq
    DISKS=$BUILD/virt-lock-disks
    QEMU=(qemu-system-x86_64 -accel tcg -display none -S -nodefaults)
}

# disks ARG...: runs the program; "KIND MODE PATH" of each disk in $found
disks() {
    run_program "$DISKS" "$@"
    found=$(jq -r 'select(.kind == "disk") | "\(.mode) \(.path)"' \
        <<<"$output" | sed "s#$T/##" | sort)
}

# says LINE...: that is what the program found, in any order
says() {
    same "exit status ($stderr)" 0 "$status"
    same "disks" "$(printf '%s\n' "$@" | sort)" "$found"
}

# line KIND: the lines of that kind, without their first member
line() {
    jq -c "select(.kind == \"$1\") | del(.kind)" <<<"$output"
}

# stand_in SCRIPT: a qemu-img that does what SCRIPT says
stand_in() {
    printf '#!/bin/sh\n%s\n' "$1" >"$T/stand-in"
    chmod +x "$T/stand-in"
}

# doubt REASON: the image is printed, and that no more is known of it
doubt() {
    says "exclusive web1.qcow2"
    matches "uncovered" "$1" "$(jq -r 'select(.kind == "uncovered") |
        select(.mode == "exclusive") | .reason' <<<"$output")"
    matches "what" "^backing chain of '$T/web1.qcow2'\$" \
        "$(jq -r 'select(.kind == "uncovered").what' <<<"$output")"
}

# images: web1.qcow2 -> mid.qcow2 -> base.raw, and others beside them
images() {
    truncate -s 1M base.raw a.raw b.raw c.raw
    qemu-img create -q -f qcow2 -b base.raw -F raw mid.qcow2
    qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 web1.qcow2
}

# --- what QEMU does --------------------------------------------------------

# what_qemu_has: as disks does, "readonly PATH" or "written PATH" of each file
# in $T that the QEMU with the pid $PID has open, and that a node is on
what_qemu_has() {
    python "$T/qmp" "$PID" "$T" <<'END'
import os, sys
from qmp import QMP
socket, pid, here = sys.argv[1:]
nodes = QMP(socket).command("query-named-block-nodes")
known = {}
for node in nodes:
    if node["drv"] in ("file", "host_device", "host_cdrom"):
        path = os.path.realpath(node["file"])
        known[path] = known.get(path, True) and node["ro"]
opened = {}
for fd in os.listdir(f"/proc/{pid}/fd"):
    try:
        path = os.readlink(f"/proc/{pid}/fd/{fd}")
        info = open(f"/proc/{pid}/fdinfo/{fd}").read()
    except FileNotFoundError:
        continue
    flags = int(info.split("flags:")[1].split()[0], 8)
    name = path[len(here) + 1:]
    if not path.startswith(here + "/") or name in ("vm.out", "vm.err", "qmp"):
        continue
    written = opened.get(name, False) or flags & os.O_ACCMODE != os.O_RDONLY
    opened[name] = written
for path in known:
    if path.startswith(here + "/"):
        assert path[len(here) + 1:] in opened, (path, opened)
for name, written in sorted(opened.items()):
    print("written" if written else "readonly", name)
END
}

# agrees QEMU OPTION...: virt-lock-disks and QEMU agree on what is opened
agrees() {
    disks -- "${QEMU[@]}" "$@"
    same "exit status ($stderr)" 0 "$status"
    spawn vm "${QEMU[@]}" -qmp "unix:$T/qmp,server=on,wait=off" "$@"
    wait_until qemu_is_ready || return 1
    sed -E 's/^(exclusive|shared) /written /' <<<"$found" | sort >printed
    what_qemu_has | sort >opened
    test -s opened || fail "QEMU has nothing open"
    diff printed opened || fail "'<' was printed, '>' is what QEMU does"
}

qemu_is_ready() {
    if gone "$PID"; then
        fail "QEMU: $(<"$T/vm.err")"
        exit 1
    fi
    "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" "$T/qmp" query-status \
        3>&- 4>&- >/dev/null 2>&1
}

@test "QEMU agrees: images by their short options" {
    images
    truncate -s 1440k floppy.img
    agrees -hda a.raw -hdb web1.qcow2 -cdrom b.raw -fda floppy.img
    says "exclusive a.raw" "exclusive web1.qcow2" "readonly mid.qcow2" \
        "readonly base.raw" "readonly b.raw" "exclusive floppy.img"
}

@test "QEMU agrees: an image by itself, with commas in its name" {
    images
    mv a.raw a,b,if=none.raw
    mv web1.qcow2 web1.qcow2,x
    agrees "$T/a,b,if=none.raw" -drive "file=web1.qcow2,,x,if=ide,index=1"
    says "exclusive a,b,if=none.raw" "exclusive web1.qcow2,x" \
        "readonly mid.qcow2" "readonly base.raw"
}

@test "QEMU agrees: read-only drives in all their spellings" {
    images
    agrees -drive file=a.raw,format=raw,if=virtio,readonly=on \
        -drive file=b.raw,format=raw,if=virtio,readonly \
        -drive file=c.raw,format=raw,if=virtio,read-only=on \
        -drive file=web1.qcow2,if=virtio,noreadonly
    says "readonly a.raw" "readonly b.raw" "readonly c.raw" \
        "exclusive web1.qcow2" "readonly mid.qcow2" "readonly base.raw"
}

@test "QEMU agrees: -snapshot and snapshot=on only read" {
    images
    agrees -snapshot -drive file=a.raw,format=raw,if=virtio \
        -drive file=b.raw,format=raw,if=virtio,snapshot=off \
        -drive file=web1.qcow2,if=virtio,snapshot=on
    says "readonly a.raw" "exclusive b.raw" "readonly web1.qcow2" \
        "readonly mid.qcow2" "readonly base.raw"
}

@test "QEMU agrees: a graph of nodes in JSON, named in any way" {
    images
    agrees -blockdev '{"driver":"file","filename":"base.raw","node-name":"s3","auto-read-only":true}' \
        -blockdev '{"node-name":"f3","read-only":true,"driver":"raw","file":"s3"}' \
        -blockdev '{"driver":"file","filename":"mid.qcow2","node-name":"s2","auto-read-only":true}' \
        -blockdev '{"node-name":"f2","read-only":true,"driver":"qcow2","file":"s2","backing":"f3"}' \
        -blockdev '{"driver":"file","filename":"web1.qcow2","node-name":"s1","auto-read-only":true,"discard":"unmap"}' \
        -blockdev '{"node-name":"f1","driver":"qcow2","file":"s1","backing":"f2"}' \
        -device '{"driver":"virtio-blk-pci","drive":"f1","id":"d"}'
    says "exclusive web1.qcow2" "readonly mid.qcow2" "readonly base.raw"
}

@test "QEMU agrees: nodes with dots, backing files of the command's own" {
    images
    agrees -blockdev driver=qcow2,node-name=f1,file.driver=file,file.filename=web1.qcow2,backing.driver=raw,backing.file.driver=file,backing.file.filename=b.raw \
        -device virtio-blk-pci,drive=f1 \
        -drive driver=qcow2,file.filename=mid.qcow2,backing.file.filename=c.raw,backing.driver=raw,if=virtio
    says "exclusive web1.qcow2" "readonly b.raw" "exclusive mid.qcow2" \
        "readonly c.raw"
}

@test "QEMU agrees: no backing file" {
    images
    agrees -blockdev '{"driver":"qcow2","node-name":"f","file":{"driver":"file","filename":"web1.qcow2"},"backing":null}' \
        -device virtio-blk-pci,drive=f
    says "exclusive web1.qcow2"
}

@test "QEMU agrees: json: and file: names, and images that have them" {
    images
    qemu-img create -q -f qcow2 -F raw -b \
        'json:{"driver":"raw","file":{"driver":"file","filename":"c.raw"}}' \
        j.qcow2
    agrees -drive 'file=json:{"driver":"raw",,"file":{"driver":"file",,"filename":"a.raw"}},if=virtio' \
        -drive file=file:b.raw,format=raw,if=virtio \
        -drive file=j.qcow2,if=virtio,file.locking=auto
    says "exclusive a.raw" "exclusive b.raw" "exclusive j.qcow2" \
        "readonly c.raw"
}

@test "QEMU agrees: data files, of the image and of the command" {
    images
    qemu-img create -q -f qcow2 -o data_file=own.raw d1.qcow2 1M
    qemu-img create -q -f qcow2 -o data_file=old.raw d2.qcow2 1M
    mv old.raw new.raw
    agrees -drive file=d1.qcow2,if=virtio \
        -blockdev driver=qcow2,node-name=f,file.driver=file,file.filename=d2.qcow2,data-file.driver=file,data-file.filename=new.raw \
        -device virtio-blk-pci,drive=f
    says "exclusive d1.qcow2" "exclusive own.raw" "exclusive d2.qcow2" \
        "exclusive new.raw"
}

@test "QEMU agrees: extents of vmdk images" {
    qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse x.vmdk 3G
    qemu-img create -q -f vmdk one.vmdk 1M
    agrees -drive file=x.vmdk,if=virtio \
        -drive file=one.vmdk,format=vmdk,if=virtio,readonly=on
    says "exclusive x.vmdk" "exclusive x-s001.vmdk" "exclusive x-s002.vmdk" \
        "readonly one.vmdk"
}

@test "QEMU agrees: quorum, and its children" {
    images
    agrees -drive driver=quorum,if=virtio,vote-threshold=2,children.0.file.filename=a.raw,children.0.driver=raw,children.1.file.filename=b.raw,children.1.driver=raw,children.2.driver=qcow2,children.2.file.filename=web1.qcow2
    says "exclusive a.raw" "exclusive b.raw" "exclusive web1.qcow2" \
        "readonly mid.qcow2" "readonly base.raw"
}

@test "QEMU agrees: filters" {
    images
    agrees -object throttle-group,id=g \
        -blockdev driver=file,filename=web1.qcow2,node-name=s \
        -blockdev driver=throttle,throttle-group=g,file=s,node-name=t \
        -blockdev driver=qcow2,file=t,node-name=f \
        -blockdev driver=copy-on-read,file=f,node-name=c \
        -device virtio-blk-pci,drive=c \
        -drive file=blkdebug::a.raw,format=raw,if=virtio \
        -drive driver=blkverify,raw.filename=b.raw,raw.driver=file,test.driver=raw,test.file.driver=file,test.file.filename=c.raw,if=virtio
    says "exclusive web1.qcow2" "readonly mid.qcow2" "readonly base.raw" \
        "exclusive a.raw" "exclusive b.raw" "exclusive c.raw"
}

@test "QEMU agrees: targets and logs are written" {
    images
    agrees -blockdev driver=raw,node-name=src,file.driver=file,file.filename=a.raw \
        -blockdev driver=raw,node-name=dst,file.driver=file,file.filename=b.raw \
        -blockdev driver=copy-before-write,node-name=cbw,file=src,target=dst \
        -device virtio-blk-pci,drive=cbw \
        -blockdev driver=blklogwrites,node-name=l,file.driver=file,file.filename=c.raw,log.driver=file,log.filename=base.raw \
        -device virtio-blk-pci,drive=l
    says "exclusive a.raw" "exclusive b.raw" "exclusive c.raw" \
        "exclusive base.raw"
}

@test "QEMU agrees: persistent memory" {
    images
    agrees -machine pc,nvdimm=on -m 64,slots=4,maxmem=1G \
        -object memory-backend-file,id=m1,mem-path=a.raw,share=on,size=1M \
        -device nvdimm,memdev=m1 \
        -object '{"qom-type":"memory-backend-file","id":"m2","mem-path":"b.raw","share":true,"readonly":true,"size":1048576}' \
        -device nvdimm,memdev=m2,unarmed=on \
        -drive file=c.raw,format=raw,if=virtio
    says "exclusive a.raw" "readonly b.raw" "exclusive c.raw"
}

@test "QEMU agrees: descriptors in sets" {
    images
    exec 8<>a.raw 9<b.raw
    agrees -add-fd fd=8,set=2,opaque=rdwr -add-fd fd=9,set=7 \
        -drive file=/dev/fdset/2,format=raw,if=virtio,auto-read-only=off \
        -blockdev driver=file,filename=/dev/fdset/7,node-name=s,read-only=on \
        -device virtio-blk-pci,drive=s
    exec 8>&- 9<&-
    says "exclusive a.raw" "readonly b.raw"
}

@test "QEMU agrees: -readconfig and -set" {
    images
    cat >vm.conf <<'END'
# a comment
[drive "one"]
  file = "web1.qcow2"
  if = "none"

[device "two"]
  driver = "virtio-blk-pci"
  drive = "one"

[machine]
  type = "pc"

[drive]
  file = "a.raw"
  format = "raw"
  if = "virtio"
END
    agrees -readconfig vm.conf -set drive.one.readonly=on
    says "readonly web1.qcow2" "readonly mid.qcow2" "readonly base.raw" \
        "exclusive a.raw"
}

@test "QEMU agrees: flash, by drive and by the machine's own option" {
    truncate -s 1M code.fd vars.fd
    agrees -drive if=pflash,format=raw,unit=0,file=code.fd,readonly=on \
        -drive if=pflash,format=raw,unit=1,file=vars.fd
    says "readonly code.fd" "exclusive vars.fd"
}

@test "QEMU agrees: flash by nodes" {
    truncate -s 1M code.fd vars.fd
    agrees -machine q35,pflash0=code,pflash1=vars \
        -blockdev driver=file,filename=code.fd,node-name=code,read-only=on \
        -blockdev driver=file,filename=vars.fd,node-name=vars
    says "readonly code.fd" "exclusive vars.fd"
}

@test "QEMU agrees: CD-ROM devices" {
    images
    agrees -device virtio-scsi-pci \
        -drive file=a.raw,format=raw,if=none,id=cd1 -device scsi-cd,drive=cd1 \
        -blockdev driver=file,filename=b.raw,node-name=cd2,read-only=on \
        -device ide-cd,drive=cd2 -drive if=none,id=empty,media=cdrom \
        -device ide-cd,drive=empty -drive file=c.raw,format=raw,media=cdrom \
        -drive file=web1.qcow2,if=none,id=cd3 -device scsi-cd,drive=cd3
    says "readonly a.raw" "readonly b.raw" "readonly c.raw" \
        "exclusive web1.qcow2" "readonly mid.qcow2" "readonly base.raw"
}

@test "QEMU agrees: disks that are shared" {
    images
    agrees -drive file=a.raw,format=raw,if=none,id=a \
        -device virtio-blk-pci,drive=a,share-rw=on \
        -blockdev driver=file,filename=b.raw,node-name=b \
        -device '{"driver":"virtio-blk-pci","drive":"b","share-rw":true}' \
        -global scsi-hd.share-rw=on -device virtio-scsi-pci \
        -drive file=c.raw,format=raw,if=none,id=c -device scsi-hd,drive=c
    says "shared a.raw" "shared b.raw" "shared c.raw"
    spawn second "${QEMU[@]}" -qmp "unix:$T/qmp2,server=on,wait=off" \
        -drive file=a.raw,format=raw,if=none,id=a \
        -device virtio-blk-pci,drive=a,share-rw=on
    wait_until "$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" "$T/qmp2" \
        query-status
}

@test "QEMU agrees: it does not share what has metadata" {
    images
    agrees -drive file=web1.qcow2,if=none,id=a \
        -device virtio-blk-pci,drive=a,share-rw=on
    says "exclusive web1.qcow2" "readonly mid.qcow2" "readonly base.raw"
    run_program "${QEMU[@]}" -drive file=web1.qcow2,if=none,id=a \
        -device virtio-blk-pci,drive=a,share-rw=on
    same "exit status of a second QEMU" 1 "$status"
    matches "reason" 'Failed to get .* lock' "$stderr"
}

# --- the program by itself -------------------------------------------------

@test "what it prints: every kind of line" {
    images
    disks env A=b nice -n 5 qemu-system-x86_64 -name guest=web1,process=x \
        -uuid "$(uuid 1)" -incoming defer -drive file=web1.qcow2,if=virtio \
        -drive file=rbd:pool/img:id=admin:key=SECRET,format=raw \
        -drive file=http://me:SECRET@server/a.iso?token=SECRET,media=cdrom \
        -drive file.filename=a.raw,file.locking=off,format=raw
    same "lines" "$(cat <<END
{"kind":"vm","name":"web1","uuid":"$(uuid 1)","incoming":true}
{"kind":"disk","path":"$T/web1.qcow2","mode":"exclusive","from":"-drive file=web1.qcow2"}
{"kind":"disk","path":"$T/mid.qcow2","mode":"readonly","from":"backing file of '$T/web1.qcow2'"}
{"kind":"disk","path":"$T/base.raw","mode":"readonly","from":"backing file of '$T/mid.qcow2'"}
{"kind":"lease","lockspace":"rbd","key":"pool/img","mode":"exclusive","from":"-drive file=rbd:..."}
{"kind":"uncovered","what":"http://server/a.iso","mode":"readonly","reason":"it is on a server that knows no leases","from":"-drive file=http:..."}
{"kind":"disk","path":"$T/a.raw","mode":"exclusive","from":"-drive file.filename=a.raw"}
{"kind":"warning","text":"QEMU's own image locks are off for '$T/a.raw' (locking=off), so the drain cannot be proved"}
END
)" "$output"
}

@test "a running QEMU is asked for by its command line" {
    images
    agrees -drive file=web1.qcow2,if=virtio -hdb 'a.raw'
    disks "@/proc/$PID/cmdline"
    says "exclusive web1.qcow2" "readonly mid.qcow2" "readonly base.raw" \
        "exclusive a.raw"
}

@test "words in a file: quoted as in a shell, and only where no disk is it" {
    images
    echo "qemu-kvm -drive 'file=a.raw,format=raw' \\
        -drive \"file=b.raw,format=raw\"" >words
    disks @words
    says "exclusive a.raw" "exclusive b.raw"
    echo "-hda c.raw @words" >options
    disks qemu-kvm @options --no-chain
    says "exclusive c.raw" "exclusive @words"
    : >@options
    disks --no-chain qemu-kvm @options
    says "exclusive @options"
    echo "qemu-kvm 'a" >words
    disks @words
    same "exit status" 1 "$status"
    same "output" "" "$output"
    matches "error" "^virt-lock-disks: cannot understand the words in 'words': " "$stderr"
    disks @nowhere
    same "error" "virt-lock-disks: cannot read 'nowhere': No such file or directory" "$stderr"
}

@test "its own options end where the command begins" {
    disks --no-chain runuser -u qemu -- kvm -hda a.raw --no-chain -h
    says "exclusive a.raw"
    disks --no-chain -- runuser -u qemu -- kvm -hda a.raw
    says "exclusive a.raw"
}

@test "exit statuses, and nothing on standard output with them" {
    disks --help
    same "help" 0 "$status"
    disks --version
    same "version" 0 "$status"
    disks
    same "no command" 2 "$status"
    disks --nonsense qemu-kvm
    same "unknown option" 2 "$status"
    for wrong in 0 -1 1e3 x "" 3601; do
        disks --timeout="$wrong" qemu-kvm
        same "timeout '$wrong'" 2 "$status"
    done
    disks sleep 100
    same "not QEMU" 1 "$status"
    same "not QEMU" "virt-lock-disks: cannot find the disks of 'sleep': it is not QEMU; name them with --disk" "$stderr"
    disks qemu-kvm -hda a.raw -blockdev '{"driver": "SECRET'
    same "not JSON" 1 "$status"
    same "not JSON" "virt-lock-disks: cannot understand '-blockdev': it is not JSON" "$stderr"
    same "output" "" "$output"
    disks qemu-kvm
    same "no disks" 0 "$status"
    same "no disks" "" "$output"
    "$DISKS" --no-chain qemu-kvm -hda a >/dev/full 2>err && fail "written"
    same "full" "virt-lock-disks: cannot write the answer: No space left on device" "$(<err)"
}

@test "qemu-img that hangs is killed, and the image is printed" {
    images
    stand_in "echo \$\$ >$T/pid; exec sleep 1000"
    disks --timeout=0.3 --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    doubt '^qemu-img: no answer within 0.3 s$'
    gone "$(<pid)"
}

@test "qemu-img that leaves a child behind with its output does not hang us" {
    images
    stand_in "sleep 1000 & echo \$! >$T/pid; echo '{\"filename\": \"x\"}'"
    disks --timeout=5 --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    record "$(<pid)"
    says "exclusive web1.qcow2"
    same "uncovered" "" "$(line uncovered)"
}

@test "qemu-img that is missing, fails, or talks nonsense or too much" {
    images
    disks --qemu-img="$T/nowhere" qemu-kvm -hda web1.qcow2
    doubt "^cannot run '$T/nowhere': "
    stand_in "echo 'qemu-img: one' >&2; echo 'qemu-img: no such thing' >&2; exit 1"
    disks --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    doubt '^qemu-img: no such thing$'
    stand_in "echo \"Could not open 'http://me:SECRET@h/x'\" >&2; exit 1"
    disks --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    doubt '^qemu-img: it cannot open what the image names$'
    stand_in "kill -SEGV \$\$"
    disks --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    doubt '^qemu-img: it says nothing$'
    stand_in 'echo "[1"'
    disks --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    doubt '^qemu-img: its answer cannot be understood$'
    stand_in 'yes | head -c 3000000'
    disks --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    doubt '^qemu-img: it says more than 1048576 bytes$'
    rm base.raw
    disks qemu-kvm -hda web1.qcow2
    doubt '^qemu-img: Could not open .*base.raw'
}

@test "qemu-img is run with the format, and only where it can tell something" {
    images
    stand_in "echo \"\$@\" >>$T/said; echo \"\$LC_ALL\" >>$T/said; exit 1"
    disks --qemu-img="$T/stand-in" qemu-kvm -drive file=a.raw,format=raw \
        -hda nowhere.qcow2 -hdb "$T" -blockdev null-co,node-name=n
    test ! -e said
    disks --no-chain --qemu-img="$T/stand-in" qemu-kvm -hda web1.qcow2
    test ! -e said
    LC_ALL=de_DE disks --qemu-img="$T/stand-in" qemu-kvm \
        -drive file=web1.qcow2,format=qcow2
    same "words" "info -U --output=json --backing-chain -f qcow2 -- $T/web1.qcow2 C" \
        "$(tr '\n' ' ' <said | sed 's/ $//')"
}

@test "what is no file, and what has no name" {
    mkfifo pipe
    exec 8<>gone.raw
    rm gone.raw
    disks qemu-kvm -drive file=/dev/null,format=raw -hdb pipe \
        -drive file=/proc/self/fd/8,format=raw -drive file=/dev/fdset/3 \
        -drive file=$'bad\xff.raw',format=raw -drive file=fat:rw:/srv
    exec 8>&-
    same "uncovered" '/dev/null exclusive
'"$T"'/pipe exclusive
/proc/self/fd/8 exclusive
/dev/fdset/3 exclusive
bad�.raw exclusive
/srv exclusive' "$(jq -r 'select(.kind == "uncovered") | "\(.what) \(.mode)"' <<<"$output")"
    same "disks" "" "$found"
}

@test "one file by two names is one disk, in its strongest mode" {
    images
    ln a.raw link.raw
    ln -s a.raw soft.raw
    disks qemu-kvm -drive file=link.raw,format=raw,readonly=on \
        -drive file=soft.raw,format=raw,if=none,id=d \
        -device virtio-blk-pci,drive=d,share-rw=on
    says "shared link.raw"
    disks qemu-kvm -drive file=soft.raw,format=raw,readonly=on -hdb web1.qcow2 \
        -drive file=base.raw,format=raw -hda a.raw
    says "exclusive soft.raw" "exclusive web1.qcow2" "readonly mid.qcow2" \
        "exclusive base.raw"
}

@test "nothing that is printed can steer a terminal" {
    disks --no-chain qemu-kvm -hda $'a\e[31m\x7f\xc2\x9b.raw' -name $'\a\xff'
    same "exit status" 0 "$status"
    refute grep -qP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' run.out
    same "path" $'a\e[31m\x7f\xc2\x9b.raw' \
        "$(jq -r 'select(.kind == "disk").path' <<<"$output" | sed "s#$T/##")"
    disks $'\e[31m'
    refute grep -q $'\e' run.err
}
