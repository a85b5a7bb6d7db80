/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what images say of themselves, and command lines as libvirt makes them
 */
#include "disks_world.h"

#define RUN(files, rows) check_rows(files, rows, G_N_ELEMENTS(rows))

static const FakeFile files[] = {
    {"/top", 1, S_IFREG, NULL,
     "[{\"filename\":\"/top\",\"format\":\"qcow2\"},"
     "{\"filename\":\"/mid\",\"format\":\"qcow2\"},"
     "{\"filename\":\"/base\",\"format\":\"raw\"}]"},
    {"/net", 2, S_IFREG, NULL,
     "[{\"filename\":\"/net\",\"format\":\"qcow2\"},"
     "{\"filename\":\"nbd+unix:///e?socket=/s\"},"
     "{\"filename\":\"json:{\\\"driver\\\":\\\"raw\\\",\\\"file\\\":{"
     "\\\"driver\\\":\\\"https\\\",\\\"url\\\":\\\"https://u:p@h/x\\\"}}\"}]"},
    {"/data", 3, S_IFREG, NULL,
     "[{\"filename\":\"/data\",\"format\":\"qcow2\",\"format-specific\":"
     "{\"type\":\"qcow2\",\"data\":{\"data-file\":\"/d1\"}}},"
     "{\"filename\":\"/under\",\"format-specific\":"
     "{\"data\":{\"data-file\":\"/d2\"}}}]"},
    {"/x.vmdk", 4, S_IFREG, NULL,
     "[{\"filename\":\"/x.vmdk\",\"format\":\"vmdk\",\"format-specific\":"
     "{\"data\":{\"extents\":[{\"filename\":\"/x.vmdk\"},"
     "{\"filename\":\"/x-1\"},{\"filename\":\"/x-2\"}]}}}]"},
    {"/raw", 5, S_IFREG, NULL, "[{\"filename\":\"/raw\",\"format\":\"raw\"}]"},
    {"/broken", 6, S_IFREG, NULL, NULL},
    {"/dev/vg/a", 7, S_IFBLK, NULL,
     "[{\"filename\":\"/dev/vg/a\",\"format\":\"qcow2\"},"
     "{\"filename\":\"/dev/vg/b\",\"format\":\"qcow2\"}]"},
    {"/dev/dm-7", 7, S_IFBLK, NULL, "[{}]"},
    {"/odd", 8, S_IFREG, NULL,
     "[{\"filename\":1},{\"filename\":\"json:{\"},{},null,3,"
     "{\"format-specific\":[],\"filename\":\"/odd\"}]"},
    {0},
};

static const Row chain_rows[] = {
    {"qemu-kvm -hda /top", "exclusive /top\nreadonly /mid\nreadonly /base"},
    {"qemu-kvm -hda /top -drive file=/mid,format=raw -hdb /nowhere",
     "exclusive /top\nexclusive /mid\nreadonly /base\n"
     "exclusive /nowhere"},
    {"qemu-kvm -drive file=/top,format=raw", "exclusive /top"},
    {"qemu-kvm -drive file=/top,snapshot=on",
     "readonly /top\nreadonly /mid\nreadonly /base"},
    {"qemu-kvm -drive file=/top,backing.file.filename=/other",
     "exclusive /top\nreadonly /other"},
    /* options for the backing file that the image names */
    {"qemu-kvm -drive file=/top,backing.file.locking=auto",
     "exclusive /top\nreadonly /mid\nreadonly /base"},
    {"qemu-kvm -blockdev qcow2,file=s,backing= -blockdev "
     "file,filename=/top,node-name=s",
     "exclusive /top"},
    {"qemu-kvm -blockdev throttle,file=s,node-name=t -blockdev "
     "qcow2,file=t -blockdev file,filename=/top,node-name=s",
     "exclusive /top\nreadonly /mid\nreadonly /base"},
    /* at an offset: qemu-img cannot be asked for it */
    {"qemu-kvm -blockdev qcow2,file.driver=raw,file.offset=512,"
     "file.file.driver=file,file.file.filename=/top",
     "exclusive /top\nexclusive ?backing chain of '/top'"},
    {"qemu-kvm -hda /net",
     "exclusive /net\nreadonly nbd:host1:/s:e\nreadonly ?https://h/x"},
    {"qemu-kvm -drive file=/data,format=qcow2",
     "exclusive /data\nexclusive /d1\nreadonly /under\nreadonly /d2"},
    {"qemu-kvm -drive file=/data,readonly=on",
     "readonly /data\nreadonly /d1\nreadonly /under\nreadonly /d2"},
    {"qemu-kvm -drive file=/data,format=qcow2,data-file.filename=/new",
     "exclusive /data\nreadonly /under\nreadonly /d2\nexclusive /new"},
    {"qemu-kvm -blockdev qcow2,file.driver=file,file.filename=/data,"
     "backing=b -blockdev raw,node-name=b,file.driver=file,"
     "file.filename=/b",
     "exclusive /data\nexclusive /d1\nreadonly /b"},
    {"qemu-kvm -drive file=/x.vmdk",
     "exclusive /x.vmdk\nexclusive /x-1\nexclusive /x-2"},
    {"qemu-kvm -hda /broken",
     "exclusive /broken\nexclusive ?backing chain of '/broken'"},
    {"qemu-kvm -drive file=/raw,if=none,id=d -device "
     "scsi-hd,drive=d,share-rw=on",
     "shared /raw"},
    /* nobody knows that it is raw */
    {"qemu-kvm -drive file=/broken,if=none,id=d -device "
     "scsi-hd,drive=d,share-rw=on",
     "exclusive /broken\nexclusive ?backing chain of '/broken'"},
    {"qemu-kvm -drive file=/nowhere,if=none,id=d -device "
     "scsi-hd,drive=d,share-rw=on",
     "exclusive /nowhere"},
    {"qemu-kvm -drive file=/top,if=none,id=d -device "
     "scsi-hd,drive=d,share-rw=on",
     "exclusive /top\nreadonly /mid\nreadonly /base"},
    {"qemu-kvm -drive file=/raw,if=none,id=d -device ide-cd,drive=d",
     "readonly /raw"},
    {"qemu-kvm -drive file=/data,if=none,id=d -device ide-cd,drive=d",
     "exclusive /data\nexclusive /d1\nreadonly /under\nreadonly /d2"},
    {"qemu-kvm -blockdev file,filename=/data,node-name=s -blockdev "
     "qcow2,read-only=on,file=s,backing=",
     "exclusive /data\nreadonly /d1"},
    {"qemu-kvm -drive file=/dev/vg/a,if=none -drive "
     "file=/dev/dm-7,readonly=on,format=raw",
     "exclusive /dev/vg/a\nreadonly /dev/vg/b"},
    /* ... or that name nothing at all: its chain is that of the image */
    {"qemu-kvm -drive file=/top,backing.file.driver=file",
     "exclusive /top\nreadonly /mid\nreadonly /base\nreadonly ?file"},
    {"qemu-kvm -drive file=/top,backing.backing.driver=qcow2",
     "exclusive /top\nreadonly /mid\nreadonly /base"},
    {"qemu-kvm -drive file=/top,backing.read-only=off",
     "exclusive /top\nexclusive /mid\nexclusive /base"},
    {"qemu-kvm -hda /odd", "exclusive /odd\nreadonly ?backing file of '/odd'"},
};

static void chains(void)
{
    RUN(files, chain_rows);
}

#define DISK(n, path)                                                          \
    "-blockdev '{\"driver\":\"file\",\"filename\":\"" path                     \
    "\",\"node-name\":\"libvirt-" n "-storage\",\"auto-read-only\":true,"      \
    "\"discard\":\"unmap\"}' "
#define FORMAT(n, driver, more)                                                \
    "-blockdev '{\"node-name\":\"libvirt-" n "-format\",\"read-only\":false,"  \
    "\"driver\":\"" driver "\",\"file\":\"libvirt-" n "-storage\"" more "}' "
#define READONLY(n, driver, more)                                              \
    "-blockdev '{\"node-name\":\"libvirt-" n "-format\",\"read-only\":true,"   \
    "\"driver\":\"" driver "\",\"file\":\"libvirt-" n "-storage\"" more "}' "
#define PLUG(n)                                                                \
    "-device '{\"driver\":\"virtio-blk-pci\",\"bus\":\"pci.0\",\"addr\":"      \
    "\"0x2\",\"drive\":\"libvirt-" n "-format\",\"id\":\"virtio-disk0\","      \
    "\"bootindex\":1}' "
#define LIBVIRT                                                                \
    "env LC_ALL=C PATH=/bin XDG_CACHE_HOME=/tmp /usr/bin/qemu-system-x86_64 "  \
    "-name guest=web1,debug-threads=on -S -object '{\"qom-type\":\"secret\","  \
    "\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":\"/k.aes\"}' "          \
    "-machine pc,usb=off,memory-backend=pc.ram -accel tcg -cpu qemu64 -m 214 " \
    "-object '{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\","         \
    "\"size\":224395264}' -overcommit mem-lock=off -smp 1 -display none "      \
    "-no-user-config -nodefaults -chardev socket,id=m,fd=3,server=on "         \
    "-mon chardev=m,id=monitor,mode=control -rtc base=utc -no-shutdown "

static const Row libvirt_rows[] = {
    {LIBVIRT DISK("1", "/vm/a") FORMAT("1", "raw", "") PLUG("1"),
     "vm web1\nexclusive /vm/a"},
    {LIBVIRT DISK("1", "/vm/a") READONLY("1", "raw", "") PLUG("1"),
     "vm web1\nreadonly /vm/a"},
    {LIBVIRT DISK("2", "/vm/b") READONLY("2", "qcow2",
                                         ",\"backing\":null") DISK("1", "/vm/a")
         FORMAT("1", "qcow2", ",\"backing\":\"libvirt-2-format\"") PLUG("1"),
     "vm web1\nreadonly /vm/b\nexclusive /vm/a"},
    {LIBVIRT DISK("1", "/vm/a.iso") READONLY(
         "1", "raw",
         "") "-device ide-cd,bus=ide.0,drive=libvirt-1-format,id=ide0-0-0",
     "vm web1\nreadonly /vm/a.iso"},
    {LIBVIRT DISK("1", "/vm/a") FORMAT(
         "1", "raw", "") "-device '{\"driver\":\"virtio-blk-pci\",\"drive\":"
                         "\"libvirt-1-format\",\"share-rw\":true}'",
     "vm web1\nshared /vm/a"},
    {LIBVIRT "-blockdev '{\"driver\":\"host_device\",\"filename\":"
             "\"/dev/vg/x\",\"node-name\":\"libvirt-1-storage\","
             "\"cache\":{\"direct\":true,\"no-flush\":false}}' " FORMAT(
                 "1", "raw", "") PLUG("1"),
     "vm web1\nexclusive /dev/vg/x"},
    {LIBVIRT
     "-blockdev '{\"driver\":\"rbd\",\"pool\":\"pool\",\"image\":"
     "\"img\",\"server\":[{\"host\":\"mon\",\"port\":\"6789\"}],"
     "\"user\":\"me\",\"auth-client-required\":[\"cephx\"],"
     "\"key-secret\":\"s0\",\"node-name\":\"libvirt-1-storage\"}' " FORMAT(
         "1", "raw", "") PLUG("1"),
     "vm web1\nexclusive rbd:pool/img"},
    {LIBVIRT "-blockdev '{\"driver\":\"nbd\",\"server\":{\"type\":\"inet\","
             "\"host\":\"example.org\",\"port\":\"6000\"},\"export\":\"bar\","
             "\"node-name\":\"libvirt-1-storage\"}' " FORMAT("1", "raw", "")
                 PLUG("1"),
     "vm web1\nexclusive nbd:example.org:6000/bar"},
    {LIBVIRT "-blockdev '{\"driver\":\"gluster\",\"volume\":\"vol\",\"path\":"
             "\"img\",\"server\":[{\"type\":\"inet\",\"host\":\"h\",\"port\":"
             "\"24007\"}],\"node-name\":\"libvirt-1-storage\"}' " FORMAT(
                 "1", "raw", "") PLUG("1"),
     "vm web1\nexclusive gluster:vol/img"},
    {LIBVIRT "-add-fd set=0,fd=4,opaque=rdonly -add-fd set=1,fd=5 " DISK(
         "1", "/dev/fdset/1") FORMAT("1", "raw", "") PLUG("1"),
     "vm web1\nexclusive /fd/5"},
    {LIBVIRT
     "-object '{\"qom-type\":\"throttle-group\",\"id\":\"g\","
     "\"limits\":{\"iops-total\":1}}' " DISK("1", "/vm/a") FORMAT(
         "1", "qcow2",
         ",\"backing\":null") "-blockdev "
                              "'{\"driver\":\"copy-on-read\",\"node-name\":"
                              "\"libvirt-CoR-vda\",\"file\":\"libvirt-1-"
                              "format\"}' "
                              "-device "
                              "virtio-blk-pci,drive=libvirt-CoR-vda",
     "vm web1\nexclusive /vm/a"},
    {LIBVIRT "-blockdev '{\"driver\":\"file\",\"filename\":\"/f/CODE.fd\","
             "\"node-name\":\"libvirt-pflash0-storage\",\"auto-read-only\":"
             "true}' -blockdev '{\"node-name\":\"libvirt-pflash0-format\","
             "\"read-only\":true,\"driver\":\"raw\",\"file\":"
             "\"libvirt-pflash0-storage\"}' -machine "
             "pflash0=libvirt-pflash0-format,pflash1=vars "
             "-blockdev file,filename=/f/VARS.fd,node-name=vars",
     "vm web1\nreadonly /f/CODE.fd\nexclusive /f/VARS.fd"},
    {LIBVIRT "-drive file=/vm/a,,b,format=raw,if=none,id=drive-sd-disk0 "
             "-device sd-card,drive=drive-sd-disk0 -incoming defer",
     "vm web1 incoming\nexclusive /vm/a,b"},
};

static void as_libvirt_makes_them(void)
{
    RUN(files, libvirt_rows);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/disks/chains", chains);
    g_test_add_func("/disks/as-libvirt-makes-them", as_libvirt_makes_them);
    return g_test_run();
}
