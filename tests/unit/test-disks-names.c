/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: storage that is no file: one key for one thing, whatever it is called
 *
 * And what no drive says: memory, descriptors, devices, -readconfig.
 */
#include "disks_world.h"

#define RUN(files, rows) check_rows(files, rows, G_N_ELEMENTS(rows))
#define RAW(name)        "qemu-kvm -drive format=raw,file=" name

/* Each with the same key in all its spellings. */
static const Row key_rows[] = {
    {RAW("rbd:pool/img"), "exclusive rbd:pool/img"},
    {RAW("rbd:pool/img:id=me:key=SECRET:mon_host=a\\\\;b"),
     "exclusive rbd:pool/img"},
    {RAW("rbd:pool/ns/img@snap:conf=/x"), "readonly rbd:pool/ns/img"},
    {RAW("'rbd:po\\:ol/i\\@mg'"), "exclusive rbd:po:ol/i@mg"},
    {RAW("rbd:nothing"), "exclusive ?rbd"},
    {"qemu-kvm -blockdev rbd,pool=pool,image=img,user=me,"
     "server.0.host=h,server.0.port=1",
     "exclusive rbd:pool/img"},
    {"qemu-kvm -blockdev rbd,pool=pool,namespace=ns,image=img,snapshot=s",
     "readonly rbd:pool/ns/img"},
    {RAW("iscsi://me%%SECRET@host:3260/iqn.2001-04.com.a:B/1"),
     "exclusive iscsi:iqn.2001-04.com.a:b/1"},
    {RAW("iser://host/iqn.2001-04.com.A:b/01"),
     "exclusive iscsi:iqn.2001-04.com.a:b/1"},
    {"qemu-kvm -blockdev iscsi,transport=tcp,portal=h:3260,"
     "target=iqn.2001-04.com.a:b,lun=1,user=me,password-secret=s",
     "exclusive iscsi:iqn.2001-04.com.a:b/1"},
    {"qemu-kvm -blockdev '{\"driver\":\"iscsi\",\"portal\":\"h\","
     "\"target\":\"iqn.a\"}'",
     "exclusive iscsi:iqn.a/0"},
    {RAW("iscsi://host/iqn.a"), "exclusive ?iscsi"},
    {RAW("nbd:Host:10809"), "exclusive nbd:host:10809/"},
    {RAW("nbd:host:10809:exportname=e/f"), "exclusive nbd:host:10809/e/f"},
    {RAW("nbd://host./e/f"), "exclusive nbd:host:10809/e/f"},
    {RAW("nbd+tcp://host:10809/e%2ff"), "exclusive nbd:host:10809/e/f"},
    {RAW("nbd://[FE80::1]:7/"), "exclusive nbd:fe80::1:7/"},
    {RAW("'nbd:[fe80::1]:7'"), "exclusive nbd:fe80::1:7/"},
    {RAW("nbd://localhost/e"), "exclusive nbd:host1:10809/e"},
    {RAW("nbd:127.0.0.1:10809:exportname=e"), "exclusive nbd:host1:10809/e"},
    {RAW("nbd://HOST1/e"), "exclusive nbd:host1:10809/e"},
    {RAW("nbd:unix:/run/s:exportname=e"), "exclusive nbd:host1:/run/s:e"},
    {RAW("'nbd+unix:///e?socket=/run//./s'"), "exclusive nbd:host1:/run/s:e"},
    {"qemu-kvm -blockdev nbd,server.type=unix,server.path=/run/s,export=e",
     "exclusive nbd:host1:/run/s:e"},
    {"qemu-kvm -blockdev nbd,server.type=inet,server.host=host,"
     "server.port=10809,export=e/f",
     "exclusive nbd:host:10809/e/f"},
    {"qemu-kvm -drive driver=nbd,host=host,export=e,readonly=on",
     "readonly nbd:host:10809/e"},
    {"qemu-kvm -blockdev nbd,server.type=fd,server.str=7", "exclusive ?nbd"},
    {RAW("ssh://me@host/vm//a.raw?host_key_check=no"),
     "exclusive ssh:host:22/vm/a.raw"},
    {"qemu-kvm -blockdev ssh,server.host=host,server.port=22,"
     "path=/vm/a.raw,user=me",
     "exclusive ssh:host:22/vm/a.raw"},
    {RAW("'nfs://host/export/a.raw?uid=0'"), "exclusive nfs:host/export/a.raw"},
    {"qemu-kvm -blockdev nfs,server.type=inet,server.host=HOST,"
     "path=/export/a.raw",
     "exclusive nfs:host/export/a.raw"},
    {RAW("gluster://host/vol/dir/a.raw"), "exclusive gluster:vol/dir/a.raw"},
    {RAW("gluster+rdma://host:1/vol/dir//a.raw"),
     "exclusive gluster:vol/dir/a.raw"},
    {RAW("'gluster+unix:///vol/dir/a.raw?socket=/s'"),
     "exclusive gluster:vol/dir/a.raw"},
    {"qemu-kvm -blockdev gluster,volume=vol,path=dir/a.raw,"
     "server.0.type=inet,server.0.host=h,server.0.port=1",
     "exclusive gluster:vol/dir/a.raw"},
    {RAW("nvme://0000:0A:00.0/1"), "exclusive nvme:host1:0000:0a:00.0/1"},
    {"qemu-kvm -blockdev nvme,device=0000:0a:00.0,namespace=1",
     "exclusive nvme:host1:0000:0a:00.0/1"},
    {RAW("http://me:SECRET@host:80/a.iso?token=SECRET"),
     "readonly ?http://host:80/a.iso"},
    {"qemu-kvm -blockdev https,url=https://host/a.iso,"
     "password-secret=s,cookie=SECRET",
     "readonly ?https://host/a.iso"},
    {RAW("new+thing://me:SECRET@host/x"), "exclusive ?new+thing"},
    {RAW("file:a:b"), "exclusive /here/a:b"},
    {RAW("host_device:/dev/x"), "exclusive /dev/x"},
    {RAW("./nbd:x"), "exclusive /here/nbd:x"},
    {RAW("rbd:a/b") " -drive file=rbd:a/b:id=x,format=raw,readonly=on",
     "exclusive rbd:a/b"},
    /* any of these may name more files, and cannot be asked here */
    {"qemu-kvm -drive file=rbd:a/b",
     "exclusive rbd:a/b\nexclusive ?backing chain of 'a/b'"},
};

static void keys(void)
{
    RUN(NULL, key_rows);
}

static void no_secret_is_printed(void)
{
    static const char *const commands[] = {
        RAW("rbd:pool/img:id=me:key=SECRET"),
        RAW("iscsi://me%%SECRET@host/iqn.a/1"),
        RAW("http://me:SECRET@host/a?token=SECRET"),
        RAW("x://SECRET") " -object secret,id=s,data=SECRET",
        "qemu-kvm -iscsi user=me,password=SECRET -hda iscsi://SECRET@h/t/1",
        "qemu-kvm -drive 'file=json:{\"driver\":\"ssh\",,\"SECRET\":1}'",
        "qemu-kvm -blockdev 'ssh,user=SECRET,server.host=h,path=/x'",
        "qemu-kvm -blockdev http,url=http://SECRET@h/x,node-name=n",
        "qemu-kvm -blockdev '{\"password\":\"SECRET\"'",
        "qemu-kvm nbd://SECRET@host/x",
    };
    const World world = fake_world(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_auto(GStrv) argv = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(g_shell_parse_argv(commands[i], NULL, &argv, NULL));
        g_autoptr(json_t) lines = disks_list(argv, &world, &error);
        g_autofree char *text =
            lines ? print_lines(lines) : g_strdup(error->message);
        if (strstr(text, "SECRET"))
            g_error("%s: '%s'", commands[i], text);
    }
}

static void devices(void)
{
    static const FakeFile files[] = {{"/dev/hugepages", 1, S_IFDIR, NULL, NULL},
                                     {"/dev/sg0", 2, S_IFCHR, NULL, NULL},
                                     {0}};
    static const Row rows[] = {
        {"qemu-kvm -object memory-backend-file,id=m,mem-path=/pm,share=on,"
         "size=1G -device nvdimm,memdev=m,id=n",
         "exclusive /pm"},
        {"qemu-kvm -device virtio-pmem-pci,memdev=m "
         "-object '{\"qom-type\":\"memory-backend-file\",\"id\":\"m\","
         "\"mem-path\":\"/pm\",\"share\":true}'",
         "exclusive /pm"},
        {"qemu-kvm -object memory-backend-file,id=m,mem-path=/pm,share=on,"
         "readonly=on -device nvdimm,memdev=m",
         "readonly /pm"},
        {"qemu-kvm -object memory-backend-file,id=m,mem-path=/pm "
         "-device nvdimm,memdev=m",
         "readonly /pm"},
        {"qemu-kvm -object memory-backend-file,id=m,mem-path=/ram,share=on "
         "-numa node,memdev=m",
         ""},
        {"qemu-kvm -object memory-backend-file,id=m,mem-path=/dev/hugepages,"
         "share=on -device nvdimm,memdev=m",
         ""},
        {"qemu-kvm -chardev socket,id=c,path=/s -device "
         "vhost-user-blk-pci,chardev=c -device vhost-user-scsi-pci,chardev=c",
         "exclusive ?vhost-user-blk\nexclusive ?vhost-user-scsi"},
        {"qemu-kvm -device vhost-scsi-pci,wwpn=naa.5 "
         "-device vhost-vdpa-device-pci,vhostdev=/dev/vhost-vdpa-0",
         "exclusive ?vhost-scsi\nexclusive ?vhost-vdpa-device"},
        {"qemu-kvm -device virtio-net-pci,netdev=n -device VGA", ""},
        {RAW("/dev/sg0,if=none,id=d -device scsi-generic,drive=d"),
         "exclusive ?/dev/sg0"},
        {"qemu-kvm -global isa-fdc.driveA=f -drive file=/f,if=none,id=f",
         "exclusive /f"},
        {"qemu-kvm -drive file=/f,if=none,id=f -device floppy,drive=f",
         "exclusive /f"},
    };

    RUN(files, rows);
}

static void descriptors(void)
{
    static const Row rows[] = {
        {"qemu-kvm -add-fd fd=4,set=2 -drive file=/dev/fdset/2",
         "exclusive /fd/4"},
        {"qemu-kvm -drive file=/dev/fdset/2,readonly=on -add-fd "
         "set=2,fd=4,opaque=a -add-fd fd=5,set=2",
         "readonly /fd/4"},
        {"qemu-kvm -add-fd fd=40,set=2 -drive file=/dev/fdset/2",
         "exclusive ?/dev/fdset/2"},
        {"qemu-kvm -drive file=/dev/fdset/2", "exclusive ?/dev/fdset/2"},
        {"qemu-kvm -hda /dev/fd/3 -hdb /proc/self/fd/4",
         "exclusive /fd/3\nexclusive /fd/4"},
        {"qemu-kvm -hda /dev/fd/x", "exclusive /dev/fd/x"},
    };

    RUN(NULL, rows);
}

static void configuration(void)
{
    static const FakeFile files[] = {
        {"c", 0, 0,
         "# vm\n\n[drive \"d\"]\n  file = \"/a\"\n  if = \"none\"\n"
         "  format = \"raw\"\n"
         "[device]\n  driver = \"scsi-hd\"\n  drive = \"d\"\n"
         "  share-rw = \"on\"\n[machine]\n  type = \"q35\"\n"
         "[name]\n  guest = \"web1\"\n[memory]\n  size = \"1G\"",
         NULL},
        {"o", 0, 0,
         "[object \"m\"]\n qom-type = \"memory-backend-file\"\n"
         "mem-path = \"/pm\"\nshare=\"on\"\n[device \"n\"]\n"
         "driver = \"nvdimm\"\nmemdev = \"m\"",
         NULL},
        {"bad", 0, 0, "[drive]\nfile = /a\n", NULL},
        {"early", 0, 0, "file = \"/a\"\n", NULL},
        {0},
    };
    static const Row rows[] = {
        {"qemu-kvm -readconfig c", "vm web1\nshared /a"},
        {"qemu-kvm -readconfig c -set drive.d.readonly=on -hda /b",
         "vm web1\nreadonly /a\nexclusive /b"},
        {"qemu-kvm -readconfig o", "exclusive /pm"},
        {"qemu-kvm -readconfig bad",
         "cannot understand 'bad': line 2 is neither [GROUP] nor KEY"},
        {"qemu-kvm -readconfig early", "cannot understand 'early': line 1"},
        {"qemu-kvm -readconfig none", "cannot read 'none'"},
    };

    RUN(files, rows);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/disks/keys", keys);
    g_test_add_func("/disks/no-secret-is-printed", no_secret_is_printed);
    g_test_add_func("/disks/devices", devices);
    g_test_add_func("/disks/descriptors", descriptors);
    g_test_add_func("/disks/configuration", configuration);
    return g_test_run();
}
