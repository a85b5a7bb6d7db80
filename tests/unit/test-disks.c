/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: command lines in QEMU's many ways to say them, and what they open. */
#include "disks_world.h"

#define RUN(files, rows) check_rows(files, rows, G_N_ELEMENTS(rows))
#define UUID             "6f0e0000-0000-4000-8000-000000000001"

static void words(void)
{
    static const FakeFile files[] = {
        {"w", 1, S_IFREG, "qemu-kvm -hda '/vm/a b.raw' @w", NULL},
        {"/p", 2, S_IFREG, "-hda /vm/a.raw", NULL},
        {"/bad", 3, S_IFREG, "-hda '/vm", NULL},
        {"/none", 4, S_IFREG, " ", NULL},
        {0},
    };
    static const Row rows[] = {
        {"qemu-system-x86_64 /vm/a.raw", "exclusive /vm/a.raw"},
        {"/usr/libexec/qemu-kvm -hda /vm/a.raw", "exclusive /vm/a.raw"},
        {"kvm --hda /vm/a.raw", "exclusive /vm/a.raw"},
        {"env A=/x nice -n 5 taskset -c 0 qemu-system-arm -sd /vm/a",
         "exclusive /vm/a"},
        {"sudo -u qemu qemu-kvm -hda /vm/a", "exclusive /vm/a"},
        {"sudo -u qemu -g kvm env A=b /usr/libexec/qemu-kvm -hda /vm/a",
         "exclusive /vm/a"},
        {"unshare -u kvm -hda /vm/a", "exclusive /vm/a"},
        {"runuser -u qemu -- /usr/bin/kvm -hda /vm/a", "exclusive /vm/a"},
        {"qemu-kvm -append '-hda /x' -kernel -hda -initrd -cdrom", ""},
        {"qemu-kvm -nographic -enable-kvm -S -s -usb -hda /vm/a",
         "exclusive /vm/a"},
        {"qemu-kvm -daemonize /vm/a -no-reboot /vm/b",
         "exclusive /vm/a\nexclusive /vm/b"},
        {"qemu-kvm -new-switch -hda /vm/a",
         "exclusive /vm/a\n! option '-new-switch' is not known"},
        {"qemu-kvm -new-option x -hda /vm/a",
         "exclusive /vm/a\n! option '-new-option' is not known"},
        {"qemu-kvm -m 1G -smp 4 -hda", ""},
        {"qemu-kvm", ""},
        {"@w", "exclusive /vm/a b.raw\nexclusive /here/@w"},
        {"qemu-kvm @/p -hdb /vm/b", "exclusive /vm/a.raw\nexclusive /vm/b"},
        {"qemu-kvm @/none", ""},
        {"qemu-kvm @/bad", "cannot understand the words in '/bad'"},
        {"qemu-kvm @/nowhere", "exclusive /here/@/nowhere"},
        {"@/nowhere", "cannot read '/nowhere'"},
        {"@/p", "cannot find the disks of '-hda': it is not QEMU"},
        {"@/none", "cannot find the disks of ''"},
        {"sleep 1", "cannot find the disks of 'sleep': it is not QEMU; name "
                    "them with --disk"},
        {"sh -c 'qemu-system-x86_64 -hda /vm/a'",
         "cannot find the disks of 'sh': it is not QEMU"},
        {"'/opt/my qemu/qemu-system-x86_64' -hda /vm/a", "exclusive /vm/a"},
        {"env -C dir qemu-kvm -hda a",
         "cannot find the disks of 'env': QEMU is started in another "
         "directory"},
        {"/usr/bin/env A=b --chdir=dir qemu-kvm -hda /a",
         "cannot find the disks of 'env'"},
        {"env A=-C qemu-kvm -hda /vm/a", "exclusive /vm/a"},
        {"qemu-kvm -show-cursor /vm/a", "exclusive /vm/a"},
        {"qemu-img info /vm/a", "cannot find the disks of 'qemu-img'"},
        {"qemu-kvm -name web1 -uuid " UUID, "vm web1 " UUID},
        {"qemu-kvm -name guest=web1,debug-threads=on -incoming tcp:0:1 a",
         "vm web1 incoming\nexclusive /here/a"},
        {"qemu-kvm -name process=x", ""},
    };

    RUN(files, rows);
}

static void short_options(void)
{
    static const Row rows[] = {
        {"qemu-kvm -hda /a -hdb /b -hdc /c -hdd /d",
         "exclusive /a\nexclusive /b\nexclusive /c\nexclusive /d"},
        {"qemu-kvm -fda /a -fdb /b -sd /c -mtdblock /d -pflash /e",
         "exclusive /a\nexclusive /b\nexclusive /c\nexclusive /d\n"
         "exclusive /e"},
        {"qemu-kvm -cdrom /a.iso", "readonly /a.iso"},
        {"qemu-kvm -hda /a,format=raw,readonly=on",
         "exclusive /a,format=raw,readonly=on"},
        {"qemu-kvm -snapshot -hda /a -cdrom /b", "readonly /a\nreadonly /b"},
        {"qemu-kvm -bios /a -kernel /b -initrd /c -dtb /d -option-rom /e", ""},
        {"qemu-kvm -hda x/../a", "exclusive /here/x/../a"},
        {"qemu-kvm -hda //a/./b", "exclusive //a/./b"},
        {"qemu-kvm -hda ''", ""},
    };

    RUN(NULL, rows);
}

static const Row drive_rows[] = {
    {"qemu-kvm -drive file=/a,if=virtio,format=raw", "exclusive /a"},
    {"qemu-kvm -drive file=/a,,b,,,if=virtio", "exclusive /a,b,"},
    {"qemu-kvm -drive if=none,id=d,readonly=on,file=/a", "readonly /a"},
    {"qemu-kvm -drive file=/a,readonly", "readonly /a"},
    {"qemu-kvm -drive file=/a,noreadonly", "exclusive /a"},
    {"qemu-kvm -drive file=/a,read-only=yes", "readonly /a"},
    {"qemu-kvm -drive file=/a,read-only=off", "exclusive /a"},
    {"qemu-kvm -drive file=/a,media=cdrom,readonly=off", "readonly /a"},
    {"qemu-kvm -drive file=/a,media=disk,index=1", "exclusive /a"},
    {"qemu-kvm -drive media=cdrom,if=ide -drive if=floppy", ""},
    {"qemu-kvm -drive file=,if=none,id=x", ""},
    {"qemu-kvm -drive file=/a,snapshot=on", "readonly /a"},
    {"qemu-kvm -snapshot -drive file=/a,snapshot=off", "exclusive /a"},
    {"qemu-kvm -drive file=/a,file=/b", "exclusive /b"},
    {"qemu-kvm -drive file.filename=/a,format=qcow2,backing=", "exclusive /a"},
    {"qemu-kvm -drive file.driver=file,file.filename=nbd:x",
     "exclusive /here/nbd:x"},
    {"qemu-kvm -drive driver=file,filename=/a", "exclusive /a"},
    {"qemu-kvm -drive driver=raw,file.driver=host_device,"
     "file.filename=/dev/x",
     "exclusive /dev/x"},
    {"qemu-kvm -drive file=/a,file.locking=off,format=raw",
     "exclusive /a\n! locks are off for '/a' (locking=off)"},
    {"qemu-kvm -drive file=/a,file.locking=off,readonly=on", "readonly /a"},
    {"qemu-kvm -drive file=/a,format=raw,locking=off",
     "exclusive /a\n! locks are off"},
    {"qemu-kvm -drive file=/a,format=qcow2,backing.file.filename=/b,"
     "backing.backing.file.filename=/c",
     "exclusive /a\nreadonly /b\nreadonly /c"},
    {"qemu-kvm -drive file=/a,data-file.filename=/b,format=qcow2",
     "exclusive /a\nexclusive /b"},
    {"qemu-kvm -drive driver=quorum,children.0.file.filename=/a,"
     "children.1.file.filename=/b,readonly=on",
     "readonly /a\nreadonly /b"},
    {"qemu-kvm -drive 'file=json:{\"driver\":\"raw\",,\"file\":"
     "{\"driver\":\"file\",,\"filename\":\"/a\"}}'",
     "exclusive /a"},
    {"qemu-kvm -drive \"file=json:{'driver':'raw',,'file.filename':"
     "'/it\\'s \\\"a\\\"'}\"",
     "exclusive /it's \"a\""},
    {"qemu-kvm -drive 'file=json:{\"driver\":\"raw\"'",
     "cannot understand 'json:...': it is not JSON"},
    {"qemu-kvm -drive file.x=1,file.x.y=2",
     "cannot understand '-drive': an option is there twice"},
    {"qemu-kvm -drive file=blkverify:/a:/b,format=raw -hda blkdebug::/d",
     "exclusive /a\nexclusive /b\nexclusive /d"},
    {"qemu-kvm -drive file=blkverify:/a:/b",
     "exclusive /a\nexclusive ?backing chain of '/a'\nexclusive /b"},
    {"qemu-kvm -drive file=fat:/d -drive file=fat:rw:32:/e",
     "readonly ?/d\nexclusive ?/e"},
    {"qemu-kvm -drive file=null-co://,format=raw", ""},
    {"qemu-kvm -drive file=/a,if=none,id=d -set drive.d.readonly=on",
     "readonly /a"},
    {"qemu-kvm -set drive.d.file=/b -drive file=/a,if=none,id=d",
     "exclusive /b"},
};

static void drives(void)
{
    RUN(NULL, drive_rows);
}

#define FILE_NODE(name, path, more)                                            \
    "-blockdev '{\"driver\":\"file\",\"filename\":\"" path                     \
    "\",\"node-name\":\"" name "\"" more "}' "
#define FORMAT_NODE(name, driver, file, more)                                  \
    "-blockdev '{\"node-name\":\"" name "\",\"driver\":\"" driver              \
    "\",\"file\":\"" file "\"" more "}' "
#define AUTO ",\"auto-read-only\":true"
#define RO   ",\"read-only\":true"

static const Row node_rows[] = {
    {"qemu-kvm " FILE_NODE("s", "/a", AUTO)
         FORMAT_NODE("f", "raw", "s", "") "-device virtio-blk-pci,drive=f",
     "exclusive /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", AUTO)
         FORMAT_NODE("f", "raw", "s", RO) "-device virtio-blk-pci,drive=f",
     "readonly /a"},
    /* opened for writing, and can be plugged itself */
    {"qemu-kvm " FILE_NODE("s", "/a", "") FORMAT_NODE("f", "raw", "s", RO),
     "exclusive /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", RO) FORMAT_NODE("f", "raw", "s", RO),
     "readonly /a"},
    {"qemu-kvm " FORMAT_NODE("f", "raw", "s", "") FILE_NODE("s", "/a", ""),
     "exclusive /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", ""), "exclusive /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", RO), "readonly /a"},
    {"qemu-kvm " FILE_NODE("s1", "/a", AUTO) FILE_NODE("s2", "/b", AUTO)
         FORMAT_NODE("b", "qcow2", "s2", RO ",\"backing\":null")
             FORMAT_NODE("f", "qcow2", "s1", ",\"backing\":\"b\""),
     "exclusive /a\nreadonly /b"},
    /* two parents: the stronger one counts */
    {"qemu-kvm " FILE_NODE("s", "/b", "") FILE_NODE("t", "/a", "")
         FORMAT_NODE("f", "qcow2", "t", ",\"backing\":\"s\"")
             FORMAT_NODE("g", "raw", "s", ""),
     "exclusive /b\nexclusive /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", AUTO)
         FORMAT_NODE("f", "raw", "s", "") "-device ide-cd,drive=f",
     "readonly /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", AUTO) FORMAT_NODE(
         "f", "raw", "s", "") "-device ide-cd,drive=f -device ide-hd,drive=f",
     "exclusive /a"},
    {"qemu-kvm " FILE_NODE(
         "s", "/a",
         "") "-device '{\"driver\":\"virtio-blk-pci\",\"drive\":\"s\","
             "\"share-rw\":true}'",
     "shared /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", "")
         FORMAT_NODE("f", "raw", "s", "") "-device scsi-hd,drive=f,share-rw=on",
     "shared /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", "")
         FORMAT_NODE("f", "qcow2", "s",
                     ",\"backing\":null") "-device scsi-hd,drive=f,share-rw=on",
     "exclusive /a"},
    {"qemu-kvm " FILE_NODE(
         "s", "/a",
         "") "-device scsi-hd,drive=s,id=x -set device.x.share-rw=on",
     "shared /a"},
    {"qemu-kvm -global scsi-hd.share-rw=on " FILE_NODE(
         "s", "/a", "") "-device scsi-hd,drive=s",
     "shared /a"},
    {"qemu-kvm -global "
     "driver=scsi-hd,property=share-rw,value=on " FILE_NODE(
         "s", "/a", "") "-device scsi-cd,drive=s",
     "readonly /a"},
    {"qemu-kvm " FILE_NODE("s", "/a", ",\"locking\":\"off\""),
     "exclusive /a\n! locks are off"},
    {"qemu-kvm -blockdev raw,file=no", "! node 'no' is used"},
    {"qemu-kvm -machine q35,pflash0=s " FILE_NODE("s", "/a", ""),
     "exclusive /a"},
    {"qemu-kvm -blockdev throttle,node-name=a,file=b "
     "-blockdev throttle,node-name=b,file=a",
     ""},
    {"qemu-kvm -blockdev '{\"driver\": 1'", "cannot understand '-blockdev'"},
    {"qemu-kvm -blockdev '{\"driver\":\"file\",\"driver\":\"file\"}'",
     "cannot understand '-blockdev'"},
};

static void nodes(void)
{
    RUN(NULL, node_rows);
}

static void drivers(void)
{
    static const Row rows[] = {
        {"qemu-kvm -blockdev qcow2,file.driver=file,file.filename=/a,"
         "read-only=on,data-file.driver=file,data-file.filename=/b",
         "readonly /a\nreadonly /b"},
        {"qemu-kvm -blockdev copy-before-write,file.driver=file,"
         "file.filename=/a,target.driver=file,target.filename=/b",
         "exclusive /a\nexclusive /b"},
        {"qemu-kvm -blockdev blklogwrites,file.driver=file,file.filename=/a,"
         "log.driver=file,log.filename=/b",
         "exclusive /a\nexclusive /b"},
        {"qemu-kvm -blockdev blkverify,raw.driver=file,raw.filename=/a,"
         "test.driver=qed,test.file.driver=file,test.file.filename=/b",
         "exclusive /a\nexclusive /b"},
        {"qemu-kvm -blockdev snapshot-access,file.driver=file,file.filename=/a",
         "readonly /a"},
        {"qemu-kvm -blockdev luks,file.driver=host_device,"
         "file.filename=/dev/a,header.driver=file,header.filename=/b",
         "exclusive /dev/a\nexclusive /b"},
        {"qemu-kvm -blockdev io_uring,filename=/dev/a", "exclusive /dev/a"},
        {"qemu-kvm -blockdev virtio-blk-vhost-user,path=/run/s",
         "exclusive ?/run/s"},
        {"qemu-kvm -blockdev vdi,file.driver=file,file.filename=/a "
         "-blockdev vhdx,file.driver=file,file.filename=/b "
         "-blockdev vpc,file.driver=file,file.filename=/c",
         "exclusive /a\nexclusive /b\nexclusive /c"},
        {"qemu-kvm -blockdev new-filter,file.driver=file,file.filename=/a,"
         "other.driver=file,other.filename=/b",
         "exclusive /a\nexclusive /b\n! 'new-filter' is not known"},
        {"qemu-kvm -blockdev new-file,filename=/a",
         "exclusive /a\n! 'new-file' is not known"},
        {"qemu-kvm -blockdev quorum,children.0.driver=file,"
         "children.0.filename=/a,children.1=n -blockdev file,filename=/b,"
         "node-name=n",
         "exclusive /a\nexclusive /b"},
        {"qemu-kvm -blockdev '{\"driver\":\"quorum\",\"children\":[{\"driver\":"
         "\"file\",\"filename\":\"/a\"},\"n\"]}' -drive "
         "file=/b,id=n,if=none,format=raw",
         "exclusive /a\nexclusive /b"},
    };

    RUN(NULL, rows);
}

static void nesting_is_bounded(void)
{
    const World world = fake_world(NULL);
    GString *dots = g_string_new("qemu-kvm -drive ");
    GString *json = g_string_new("qemu-kvm -blockdev '");

    for (guint i = 0; i < 2 * DISKS_MAX_DEPTH; i++) {
        g_string_append(dots, "file.");
        g_string_append(json, "{\"driver\":\"raw\",\"file\":");
    }
    g_string_append(dots, "filename=/a");
    g_string_append(json, "1");
    for (guint i = 0; i < 2 * DISKS_MAX_DEPTH; i++)
        g_string_append(json, "}");
    g_string_append(json, "'");
    check_command(&world, dots->str,
                  "cannot understand '-drive': it is nested "
                  "too deeply");
    check_command(&world, json->str,
                  "cannot understand '-blockdev': it is "
                  "nested too deeply");
    g_string_free(dots, TRUE);
    g_string_free(json, TRUE);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/disks/words", words);
    g_test_add_func("/disks/short-options", short_options);
    g_test_add_func("/disks/drives", drives);
    g_test_add_func("/disks/nodes", nodes);
    g_test_add_func("/disks/drivers", drivers);
    g_test_add_func("/disks/nesting-is-bounded", nesting_is_bounded);
    return g_test_run();
}
