/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what a node without children is stored in
 *
 * A file is a disk. What lies behind a network protocol is a lease whose key
 * all hosts spell alike; where it is only this host's (a unix socket, a PCI
 * device, a server on localhost) the key begins with the host's name. The
 * rest is not covered: it is said, with the reason.
 *
 * Two keys for one thing are a danger, one key for two things is not: what
 * may be spelled in several ways (letter case, default ports, slashes) is
 * brought to one.
 */
#include <stdlib.h>
#include <string.h>

#include "resource.h"
#include "virt-lock-disks.h"

Storage *storage_uncovered(const char *what, const char *reason)
{
    Storage *storage = g_new0(Storage, 1);

    storage->kind = STORAGE_UNCOVERED;
    storage->name = g_strdup(what);
    storage->reason = g_strdup(reason);
    return storage;
}

/* Takes @key. */
static Storage *lease(const char *lockspace, char *key)
{
    Storage *storage;

    if (!g_utf8_validate(key, -1, NULL)) {
        storage = storage_uncovered(key, "its name is not UTF-8");
        g_free(key);
        return storage;
    }
    storage = g_new0(Storage, 1);
    storage->kind = STORAGE_LEASE;
    storage->lockspace = g_strdup(lockspace);
    storage->name = key;
    return storage;
}

void storage_free(Storage *storage)
{
    if (!storage)
        return;
    g_free(storage->name);
    g_free(storage->lockspace);
    g_free(storage->reason);
    g_free(storage);
}

/* "7" of "/dev/fd/7" for "/dev/fd/"; -1 where @path is none of these. */
static int number_after(const char *path, const char *prefix)
{
    guint64 number;

    if (g_str_has_prefix(path, prefix) &&
        g_ascii_string_to_unsigned(path + strlen(prefix), 10, 0, G_MAXINT,
                                   &number, NULL))
        return (int)number;
    return -1;
}

/* The descriptor that @path stands for; -1 where it is none of QEMU's sets
 * and none of ours, -2 where it is one that nobody gave it. */
static int descriptor_of(const char *path, const json_t *fdsets)
{
    static const char *const places[] = {"/dev/fd/", "/proc/self/fd/"};
    int set = number_after(path, "/dev/fdset/"), fd = -1;

    if (set >= 0) {
        g_autofree char *name = g_strdup_printf("%d", set);
        const json_t *number = json_object_get(fdsets, name);

        return number ? (int)json_integer_value(number) : -2;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(places) && fd < 0; i++)
        fd = number_after(path, places[i]);
    return fd;
}

static Storage *disk_at(const char *path, const World *world)
{
    g_autoptr(Resource) resource = NULL;
    struct stat st;
    Storage *storage;

    if (!g_utf8_validate(path, -1, NULL))
        return storage_uncovered(path, "its path is not UTF-8");
    resource = resource_new_disk(path, RESOURCE_EXCLUSIVE, NULL);
    if (!resource)
        return storage_uncovered(path, "its path is too long");
    if (world->look(world->data, resource->path, &st) && !S_ISREG(st.st_mode) &&
        !S_ISBLK(st.st_mode) && !S_ISDIR(st.st_mode))
        return storage_uncovered(resource->path,
                                 "it is neither a file nor a block device");
    storage = g_new0(Storage, 1);
    storage->kind = STORAGE_DISK;
    storage->name = g_strdup(resource->path);
    return storage;
}

Storage *storage_of_file(const char *path, const json_t *fdsets,
                         const World *world)
{
    int fd = descriptor_of(path, fdsets);
    g_autofree char *real = NULL;

    if (!*path)
        return g_new0(Storage, 1);
    if (fd == -1)
        return disk_at(path, world);
    real = fd >= 0 ? world->fd_path(world->data, fd) : NULL;
    if (real)
        return disk_at(real, world);
    return storage_uncovered(path, "it is a descriptor of what has no name");
}

/* --- keys ---------------------------------------------------------------- */

/* One slash for each run of them, none at the beginning. */
static char *one_slash(const char *path)
{
    GString *out = g_string_new(NULL);

    for (const char *p = path + strspn(path, "/"); *p; p++) {
        if (*p != '/' || (p[1] != '/' && p[1]))
            g_string_append_c(out, *p);
    }
    return g_string_free(out, FALSE);
}

/* A server as all hosts call it: in small letters, no dot at the end; this
 * host by its name. */
static char *server_name(const char *host, const World *world)
{
    static const char *const here[] = {"localhost",  "localhost.localdomain",
                                       "localhost4", "localhost6",
                                       "::1",        NULL};
    g_autofree char *name = g_ascii_strdown(host, -1);
    gsize length = strlen(name);

    if (length && name[length - 1] == '.')
        name[length - 1] = '\0';
    if (!*name || g_strv_contains(here, name) || g_str_has_prefix(name, "127."))
        return g_ascii_strdown(world->host, -1);
    return g_steal_pointer(&name);
}

/* "HOST:PORT" of a node's server; NULL where it is no TCP server. */
static char *server_of(const json_t *options, const char *port,
                       const World *world)
{
    const json_t *server = json_object_get(options, "server");
    const json_t *where = json_is_object(server) ? server : options;
    const char *host = keyval_string(where, "host");
    g_autofree char *said = keyval_text(where, "port");
    g_autofree char *name = NULL;

    if (!host)
        return NULL;
    name = server_name(host, world);
    if (!port)
        return g_steal_pointer(&name);
    return g_strdup_printf("%s:%s", name, said && *said ? said : port);
}

static Storage *rbd_storage(const json_t *options, const World *world)
{
    const char *pool = keyval_string(options, "pool");
    const char *image = keyval_string(options, "image");
    const char *space = keyval_string(options, "namespace");
    Storage *storage;

    if (!pool || !image)
        return storage_uncovered("rbd", "it names no pool and image");
    storage =
        lease("rbd", space && *space ? g_strjoin("/", pool, space, image, NULL)
                                     : g_strjoin("/", pool, image, NULL));
    storage->readonly = keyval_string(options, "snapshot") != NULL;
    return storage;
}

static Storage *iscsi_storage(const json_t *options, const World *world)
{
    const char *said = keyval_string(options, "target");
    g_autofree char *lun = keyval_text(options, "lun");
    g_autofree char *target = said ? g_ascii_strdown(said, -1) : NULL;

    if (!target)
        return storage_uncovered("iscsi", "it names no target");
    return lease("iscsi",
                 g_strdup_printf("%s/%" G_GUINT64_FORMAT, target,
                                 g_ascii_strtoull(lun ? lun : "0", NULL, 10)));
}

static Storage *nbd_storage(const json_t *options, const World *world)
{
    const json_t *server = json_object_get(options, "server");
    const char *export = keyval_string(options, "export");
    const char *path =
        keyval_string(json_is_object(server) ? server : options, "path");
    g_autofree char *host = server_of(options, "10809", world);
    g_autofree char *full = NULL, *here = NULL;

    if (host)
        return lease("nbd",
                     g_strdup_printf("%s/%s", host, export ? export : ""));
    if (!path)
        return storage_uncovered("nbd", "its server has no name");
    full = g_canonicalize_filename(path, NULL);
    here = g_ascii_strdown(world->host, -1);
    return lease("nbd",
                 g_strdup_printf("%s:%s:%s", here, full, export ? export : ""));
}

static Storage *ssh_storage(const json_t *options, const World *world)
{
    const char *path = keyval_string(options, "path");
    g_autofree char *host = server_of(options, "22", world);
    g_autofree char *slashes = path ? one_slash(path) : NULL;

    if (!host || !path)
        return storage_uncovered("ssh", "it names no host and path");
    return lease("ssh", g_strdup_printf("%s%s%s", host,
                                        *path == '/' ? "/" : ":", slashes));
}

static Storage *nfs_storage(const json_t *options, const World *world)
{
    const char *path = keyval_string(options, "path");
    g_autofree char *host = server_of(options, NULL, world);
    g_autofree char *slashes = path ? one_slash(path) : NULL;

    if (!host || !path)
        return storage_uncovered("nfs", "it names no host and path");
    return lease("nfs", g_strdup_printf("%s/%s", host, slashes));
}

static Storage *gluster_storage(const json_t *options, const World *world)
{
    const char *volume = keyval_string(options, "volume");
    const char *path = keyval_string(options, "path");
    g_autofree char *slashes = path ? one_slash(path) : NULL;

    if (!volume || !path)
        return storage_uncovered("gluster", "it names no volume and path");
    return lease("gluster", g_strdup_printf("%s/%s", volume, slashes));
}

static Storage *nvme_storage(const json_t *options, const World *world)
{
    const char *device = keyval_string(options, "device");
    g_autofree char *space = keyval_text(options, "namespace");
    g_autofree char *name = NULL;

    if (!device || !*device)
        return storage_uncovered("nvme", "it names no device");
    name =
        g_strdup_printf("%s:%s/%s", world->host, device, space ? space : "1");
    return lease("nvme", g_ascii_strdown(name, -1));
}

/* A URL without user, password and query, which may have secrets. */
static Storage *url_storage(const json_t *options, const World *world)
{
    const char *url = keyval_string(options, "url");
    g_autoptr(Uri) uri = url ? uri_parse(url) : NULL;
    g_autofree char *what = NULL;
    Storage *storage;

    if (!uri)
        what = g_strdup(keyval_string(options, "driver"));
    else
        what = g_strdup_printf("%s://%s%s%s%s", uri->scheme, uri->host,
                               uri->port ? ":" : "", uri->port ? uri->port : "",
                               uri->path);
    storage = storage_uncovered(what, "it is on a server that knows no leases");
    storage->readonly = TRUE;
    return storage;
}

static Storage *fat_storage(const json_t *options, const World *world)
{
    const char *dir = keyval_string(options, "dir");
    Storage *storage = storage_uncovered(
        dir ? dir : "vvfat", "it is a directory that is shown as a disk");

    storage->readonly = !keyval_bool(options, "rw", FALSE);
    return storage;
}

static Storage *no_storage(const json_t *options, const World *world)
{
    return g_new0(Storage, 1);
}

/* Its back end opens the disk, or the kernel does. */
static Storage *foreign_storage(const json_t *options, const World *world)
{
    const char *path = keyval_string(options, "path");

    return storage_uncovered(path ? path : keyval_string(options, "driver"),
                             "its back end has the disk: lease it there");
}

static const struct {
    const char *driver;
    Storage *(*storage)(const json_t *options, const World *world);
} kinds[] = {
    {"ftp", url_storage},
    {"ftps", url_storage},
    {"gluster", gluster_storage},
    {"http", url_storage},
    {"https", url_storage},
    {"iscsi", iscsi_storage},
    {"nbd", nbd_storage},
    {"nfs", nfs_storage},
    {"null-aio", no_storage},
    {"null-co", no_storage},
    {"nvme", nvme_storage},
    {"rbd", rbd_storage},
    {"ssh", ssh_storage},
    {"virtio-blk-vfio-pci", foreign_storage},
    {"virtio-blk-vhost-user", foreign_storage},
    {"virtio-blk-vhost-vdpa", foreign_storage},
    {"vvfat", fat_storage},
};

char *word_of(const char *text)
{
    gsize length = strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_+.");

    return g_strndup(text, MIN(length, 32));
}

Storage *storage_of_node(const char *driver, const json_t *options,
                         const json_t *fdsets, const World *world)
{
    const char *filename = keyval_string(options, "filename");
    const char *what = keyval_string(options, "what");
    g_autofree char *word = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_str_equal(driver, kinds[i].driver))
            return kinds[i].storage(options, world);
    }
    if (filename)
        return storage_of_file(filename, fdsets, world);
    word = word_of(what ? what : driver);
    return storage_uncovered(word, what ? "its name cannot be understood"
                                        : "it names no file");
}
