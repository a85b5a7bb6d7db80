/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: which bytes of which files a lease consists of
 *
 *   a path         byte OFFSET of what it names; its claim byte far behind
 *   block device   also a byte of STATE/locks, for MAJOR:MINOR: two nodes of
 *                  one device have locks of their own
 *   VM, no path    a byte of STATE/locks
 *   lockspace=DIR  also byte OFFSET of DIR/SHA256(path), virtlockd's
 *                  file_lockspace_dir, or a byte of DIR/locks
 *
 * Files of our own are made on demand and never removed, and nobody else may
 * open them: who can read a file can lock it.
 */
#include "driver_file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

/* C of an image lies this far behind L: after every byte that an image has,
 * or that QEMU and libvirt lock. */
#define CLAIM_OFFSET (RESOURCE_OFFSET_MAX + 1)

/* How often an open() is tried that somebody's F_SETLEASE has refused. */
#define MAX_LEASED 1000

static const int own_flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/* --- homes ---------------------------------------------------------------- */

static gboolean make_lockspace(const char *directory, GError **error)
{
    struct stat st;

    if (mkdir(directory, 0700) == 0)
        return TRUE;
    if (errno == EEXIST && stat(directory, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (!(st.st_mode & S_IWOTH))
            return TRUE;
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use lockspace '%s': everybody may write to it",
                    directory);
        return FALSE;
    }
    if (errno == ENOENT || errno == ENOTDIR)
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot create lockspace '%s': parent directory does not "
                    "exist or is not a directory",
                    directory);
    else if (errno == EEXIST)
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot create lockspace '%s': it is not a directory",
                    directory);
    else
        set_errno(error, "cannot create lockspace '%s'", directory);
    return FALSE;
}

/* A file server may let one client alone keep the locks of a file that
 * nobody has open for writing (an NFSv4 read delegation). Then nobody else
 * would see its liveness: so each of us has it open for writing, too. */
static gboolean watch(Home *home, const char *path, GError **error)
{
    if (home->watched < 0)
        home->watched = open(path, own_flags | O_RDWR | O_CREAT, 0600);
    return home->watched >= 0 || set_errno(error, "cannot open '%s'", path);
}

gboolean file_open_homes(FileDriver *driver, GError **error)
{
    for (HomeId i = 0; i < N_HOMES; i++) {
        Home *home = &driver->homes[i];
        g_autofree char *path = NULL;

        if (!home->directory || home->live >= 0)
            continue;
        path = g_build_filename(home->directory, "liveness", NULL);
        if (i == HOME_LOCKSPACE && (!make_lockspace(home->directory, error) ||
                                    !watch(home, path, error)))
            return FALSE;
        home->live = open(path, own_flags | O_RDONLY | O_CREAT, 0600);
        if (home->live < 0)
            return set_errno(error, "cannot open '%s'", path);
    }
    return TRUE;
}

/* --- places --------------------------------------------------------------- */

static gboolean is_remote(int fd)
{
    static const guint32 types[] = {
        NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,   CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
        FUSE_SUPER_MAGIC, CEPH_SUPER_MAGIC,  V9FS_MAGIC,       AFS_FS_MAGIC,
        AFS_SUPER_MAGIC,  OCFS2_SUPER_MAGIC, CODA_SUPER_MAGIC, 0x0bd00bd0,
        0x01161970, /* Lustre, GFS2 */
    };
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        if ((guint32)fs.f_type == types[i])
            return TRUE;
    }
    return FALSE;
}

/* Where somebody holds a file lease (F_SETLEASE) our open() breaks it, which
 * takes a moment; ours are held for two system calls, see file_ask_alone(). */
int file_open_now(const char *path, int flags)
{
    int fd = -1;

    for (int i = 0; i < MAX_LEASED; i++) {
        fd = open(path, flags, 0600);
        if (fd >= 0 || errno != EWOULDBLOCK)
            break;
        sched_yield();
    }
    return fd;
}

/* Adds a place; takes @path and @fd over. */
static gboolean add_place(FileLease *f, HomeId home, char *path, int fd,
                          guint64 lease, guint64 claim, GError **error)
{
    Place *place = &f->places[f->n_places++];

    *place = (Place){
        .home = home, .path = path, .fd = fd, .lease = lease, .claim = claim};
    if (fd < 0) {
        if (errno == EWOULDBLOCK)
            g_set_error(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY,
                        "cannot open '%s': somebody has a file lease on it "
                        "(fcntl F_SETLEASE)",
                        path);
        else if (errno == EROFS)
            g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                        "cannot open '%s' for writing: its file system is "
                        "read-only (lease it readonly)",
                        path);
        else
            set_errno(error, "cannot open '%s'", path);
        return FALSE;
    }
    if (fstat(fd, &place->st) < 0)
        return set_errno(error, "cannot look at '%s'",
                         f->lease->resource->name);
    f->remote |= is_remote(fd);
    return TRUE;
}

/* A byte of the file `locks` of @home. */
static gboolean add_own_byte(FileLease *f, HomeId home, guint64 byte,
                             GError **error)
{
    char *path =
        g_build_filename(f->driver->homes[home].directory, "locks", NULL);

    return add_place(f, home, path,
                     open(path, own_flags | O_RDWR | O_CREAT, 0600), byte,
                     byte + 1, error);
}

int file_open_flags(const FileLease *f)
{
    return (file_is_exclusive(f) ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK |
           O_NOCTTY;
}

/* Opens the object itself. With a lockspace it may be out of our reach. */
static gboolean add_image(FileLease *f, GError **error)
{
    const Resource *resource = f->lease->resource;
    char *path = NULL;
    Place *place = &f->places[0];
    int fd;

    if (f->lease->fd >= 0) {
        fd = file_use_passed(f, error);
        if (fd < 0)
            return FALSE;
    } else {
        fd = file_open_now(resource->path, file_open_flags(f));
        if (fd < 0 && f->driver->lockspace &&
            (errno == EACCES || errno == EPERM || errno == EROFS))
            return TRUE;
        path = g_strdup(resource->path);
    }
    f->lease->fd = fd;
    if (!add_place(f, HOME_HOST, path, fd, resource->offset,
                   CLAIM_OFFSET + resource->offset, error))
        return FALSE;
    f->has_image = TRUE;
    if (S_ISREG(place->st.st_mode) || S_ISBLK(place->st.st_mode))
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot acquire '%s': it is neither a file nor a block device",
                resource->name);
    return FALSE;
}

/* The names of the object: for others to see who has it, and for the bytes
 * that say that a child of its holder lives. */
static void name_image(FileLease *f)
{
    const struct stat *st = &f->places[0].st;
    DriverLease *lease = f->lease;

    lease->identified = TRUE;
    lease->block = S_ISBLK(st->st_mode);
    lease->device = lease->block ? st->st_rdev : st->st_dev;
    lease->inode = lease->block ? 0 : st->st_ino;
    lease->offset = f->places[0].lease;
    f->names[HOME_HOST] = record_resource(st, lease->offset);
    f->live[HOME_HOST] = record_lock_byte("file", f->names[HOME_HOST]);
}

static gboolean add_block_device(FileLease *f, GError **error)
{
    /* "block-MAJ:MIN-OFFSET", without the first word */
    const char *name = f->names[HOME_HOST] + strlen("block-");

    return add_own_byte(f, HOME_HOST, record_lock_byte("block", name), error);
}

/* DIR/SHA256(path), as virtlockd names it. */
static gboolean add_lockspace(FileLease *f, GError **error)
{
    const Resource *resource = f->lease->resource;
    g_autofree char *key =
        resource->offset ? g_strdup_printf("%s:%" G_GUINT64_FORMAT,
                                           resource->path, resource->offset)
                         : g_strdup(resource->path);
    g_autofree char *sum =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, resource->path, -1);
    char *path = g_build_filename(f->driver->lockspace, sum, NULL);

    f->live[HOME_LOCKSPACE] = record_lock_byte("path", key);
    f->names[HOME_LOCKSPACE] =
        g_strdup_printf("%s-%" G_GUINT64_FORMAT, sum, resource->offset);
    if (!f->has_image) { /* on this host it has no other name either */
        f->live[HOME_HOST] = f->live[HOME_LOCKSPACE];
        f->names[HOME_HOST] = g_strdup(f->names[HOME_LOCKSPACE]);
    }
    return add_place(f, HOME_LOCKSPACE, path,
                     open(path, own_flags | O_RDWR | O_CREAT, 0600),
                     resource->offset, CLAIM_OFFSET + resource->offset, error);
}

/* A VM, or a lease without a path. */
static gboolean add_pathless(FileLease *f, GError **error)
{
    const Resource *resource = f->lease->resource;
    g_autofree char *space =
        resource->kind == RESOURCE_VM
            ? g_strdup("vm")
            : g_strconcat("lease:", resource->lockspace, NULL);
    guint64 byte = record_lock_byte(
        space, resource->kind == RESOURCE_VM ? resource->name : resource->key);

    for (HomeId i = 0; i < N_HOMES; i++) {
        if (!f->driver->homes[i].directory)
            continue;
        f->live[i] = byte;
        f->names[i] = resource->kind == RESOURCE_VM
                          ? g_strconcat("vm-", resource->name, NULL)
                          : g_strdup_printf("byte-%" G_GUINT64_FORMAT, byte);
        if (!add_own_byte(f, i, byte, error))
            return FALSE;
    }
    f->lease->offset = byte;
    return TRUE;
}

gboolean file_open_places(FileLease *f, GError **error)
{
    if (!f->lease->resource->path)
        return add_pathless(f, error);
    if (!add_image(f, error))
        return FALSE;
    if (f->has_image)
        name_image(f);
    if (f->has_image && f->lease->block && !add_block_device(f, error))
        return FALSE;
    return !f->driver->lockspace || add_lockspace(f, error);
}

void file_close_places(FileLease *f)
{
    const guint n_places = f->n_places;

    f->n_places = 0;
    for (guint i = 0; i < n_places; i++) {
        if (f->places[i].fd >= 0)
            close(f->places[i].fd);
        g_free(f->places[i].path);
    }
    for (HomeId i = 0; i < N_HOMES; i++)
        g_clear_pointer(&f->names[i], g_free);
    if (n_places == 0 && f->lease->fd >= 0)
        close(f->lease->fd); /* a passed one that did not become a place */
    f->lease->fd = -1;
    f->has_image = f->remote = FALSE;
}

static gboolean is_current(const Place *place)
{
    struct stat now;

    return !place->path ||
           (stat(place->path, &now) == 0 && now.st_dev == place->st.st_dev &&
            now.st_ino == place->st.st_ino);
}

gboolean file_places_are_current(const FileLease *f)
{
    for (guint i = 0; i < f->n_places; i++) {
        if (!is_current(&f->places[i]))
            return FALSE;
    }
    return TRUE;
}

const char *file_image_changed(const FileLease *f)
{
    const struct stat *st = &f->places[0].st;
    struct stat now;

    if (!f->has_image)
        return NULL;
    if (stat(f->lease->resource->path, &now) < 0)
        return errno == ENOENT || errno == ENOTDIR ? "unlinked" : NULL;
    return now.st_dev == st->st_dev && now.st_ino == st->st_ino ? NULL
                                                                : "replaced";
}
