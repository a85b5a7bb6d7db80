/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: QEMU's block drivers
 *
 * What matters of a driver: whether it has storage of its own, and whether
 * two QEMUs can write to what is below it. Not those that are QEMU's own
 * (for mirrors, for temporary files): no command line has them.
 */
#include "virt-lock-disks.h"

static const Driver drivers[] = {
    {"blkdebug", DRIVER_FILTER, FALSE, FALSE},
    {"blklogwrites", DRIVER_FILTER, FALSE, FALSE},
    {"blkreplay", DRIVER_FILTER, FALSE, FALSE},
    {"blkverify", DRIVER_FILTER, TRUE, FALSE},
    {"bochs", DRIVER_FORMAT, FALSE, FALSE},
    {"cloop", DRIVER_FORMAT, FALSE, FALSE},
    {"compress", DRIVER_FILTER, FALSE, FALSE},
    {"copy-before-write", DRIVER_FILTER, FALSE, FALSE},
    {"copy-on-read", DRIVER_FILTER, FALSE, FALSE},
    {"dmg", DRIVER_FORMAT, FALSE, FALSE},
    {"file", DRIVER_PROTOCOL, FALSE, FALSE},
    {"ftp", DRIVER_PROTOCOL, FALSE, FALSE},
    {"ftps", DRIVER_PROTOCOL, FALSE, FALSE},
    {"gluster", DRIVER_PROTOCOL, FALSE, FALSE},
    {"host_cdrom", DRIVER_PROTOCOL, FALSE, FALSE},
    {"host_device", DRIVER_PROTOCOL, FALSE, FALSE},
    {"http", DRIVER_PROTOCOL, FALSE, FALSE},
    {"https", DRIVER_PROTOCOL, FALSE, FALSE},
    {"io_uring", DRIVER_PROTOCOL, FALSE, FALSE},
    {"iscsi", DRIVER_PROTOCOL, FALSE, FALSE},
    {"luks", DRIVER_FORMAT, FALSE, FALSE},
    {"nbd", DRIVER_PROTOCOL, FALSE, FALSE},
    {"nfs", DRIVER_PROTOCOL, FALSE, FALSE},
    {"null-aio", DRIVER_PROTOCOL, FALSE, FALSE},
    {"null-co", DRIVER_PROTOCOL, FALSE, FALSE},
    {"nvme", DRIVER_PROTOCOL, FALSE, FALSE},
    {"nvme-io_uring", DRIVER_PROTOCOL, FALSE, FALSE},
    {"parallels", DRIVER_FORMAT, FALSE, FALSE},
    {"preallocate", DRIVER_FILTER, FALSE, FALSE},
    {"qcow", DRIVER_FORMAT, FALSE, TRUE},
    {"qcow2", DRIVER_FORMAT, FALSE, TRUE},
    {"qed", DRIVER_FORMAT, FALSE, TRUE},
    {"quorum", DRIVER_FILTER, TRUE, FALSE},
    {"raw", DRIVER_FILTER, FALSE, FALSE},
    {"rbd", DRIVER_PROTOCOL, FALSE, FALSE},
    {"replication", DRIVER_FILTER, FALSE, FALSE},
    {"snapshot-access", DRIVER_FILTER, FALSE, FALSE},
    {"ssh", DRIVER_PROTOCOL, FALSE, FALSE},
    {"throttle", DRIVER_FILTER, FALSE, FALSE},
    {"vdi", DRIVER_FORMAT, FALSE, FALSE},
    {"vhdx", DRIVER_FORMAT, FALSE, FALSE},
    {"virtio-blk-vfio-pci", DRIVER_PROTOCOL, FALSE, FALSE},
    {"virtio-blk-vhost-user", DRIVER_PROTOCOL, FALSE, FALSE},
    {"virtio-blk-vhost-vdpa", DRIVER_PROTOCOL, FALSE, FALSE},
    {"vmdk", DRIVER_FORMAT, FALSE, TRUE},
    {"vpc", DRIVER_FORMAT, FALSE, FALSE},
    {"vvfat", DRIVER_PROTOCOL, FALSE, FALSE},
};

/* The image decides: it may have metadata, and it may name more files. */
static const Driver probed = {NULL, DRIVER_FILTER, FALSE, TRUE};
static const Driver unknown = {"?", DRIVER_UNKNOWN, FALSE, FALSE};

const Driver *driver_find(const char *name)
{
    if (!name)
        return &probed;
    for (gsize i = 0; i < G_N_ELEMENTS(drivers); i++) {
        if (g_str_equal(name, drivers[i].name))
            return &drivers[i];
    }
    return &unknown;
}
