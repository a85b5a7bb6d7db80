/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the file driver
 *
 * A lease is an open file description lock (F_OFD_SETLK, fcntl(2)) on byte 0
 * of the image itself, the byte that libvirt's virtlockd locks, so that both
 * exclude each other and every name of one image (symlink, hard link, bind
 * mount) is one lease. Exclusive is a write lock, shared and readonly are
 * read locks. A VM, or a lease that names no path, is a byte of one file in
 * the state directory. QEMU's own bytes, 100 to 299, are looked at and never
 * locked.
 *
 * The description is ours alone (close-on-exec): the lock ends when we let
 * it go or die, whatever the child does.
 *
 * Should:  compare the path with the descriptor after locking: a file that
 *          was replaced in between is not the one others will lock.
 * Mustn't: remove a file that others lock; wait for a lock.
 */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

/* How often the file under a path may be replaced while we lock it. */
#define MAX_REPLACED 100

static gpointer file_open(const DriverContext *context, GError **error)
{
    if (context->params[0]) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use parameter '%s': driver 'file' has none of "
                    "that name",
                    context->params[0]);
        return NULL;
    }
    return (gpointer)context;
}

static void file_close(gpointer driver)
{
}

static gboolean is_exclusive(const DriverLease *lease)
{
    return lease->resource->mode == RESOURCE_EXCLUSIVE;
}

/* Kind as it stands before the name in a sentence. */
static const char *noun(const Resource *resource)
{
    static const char *const nouns[] = {[RESOURCE_VM] = "VM ",
                                        [RESOURCE_DISK] = "",
                                        [RESOURCE_LEASE] = "lease "};

    return nouns[resource->kind];
}

/* Where the lock is: in the image, or in a file of our own. Sets the byte. */
static char *lock_path(const DriverContext *context, DriverLease *lease)
{
    const Resource *resource = lease->resource;
    g_autofree char *space = NULL;

    if (resource->path) {
        lease->offset = resource->offset;
        return g_strdup(resource->path);
    }
    space = resource->kind == RESOURCE_VM
                ? g_strdup("vm")
                : g_strconcat("lease:", resource->lockspace, NULL);
    lease->offset = record_lock_byte(
        space, resource->kind == RESOURCE_VM ? resource->name : resource->key);
    return g_build_filename(context->state_dir, "locks", NULL);
}

static struct flock byte_range(int type, guint64 start, guint64 len)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static void identify(DriverLease *lease, const struct stat *st)
{
    lease->identified = TRUE;
    lease->block = S_ISBLK(st->st_mode);
    lease->device = lease->block ? st->st_rdev : st->st_dev;
    lease->inode = lease->block ? 0 : st->st_ino;
}

/* The record's file name: an exclusive holder is alone. */
static char *record_file(const DriverContext *context, const DriverLease *lease,
                         const struct stat *st)
{
    g_autofree char *resource = record_resource(st, lease->offset);

    if (is_exclusive(lease))
        return g_steal_pointer(&resource);
    return g_strdup_printf("%s.%s", resource, context->owner->uuid);
}

/* Says who has it: what kind of lock tells which record to believe. */
static void set_busy(const DriverContext *context, DriverLease *lease, int fd,
                     const struct stat *st, GError **error)
{
    struct flock lock =
        byte_range(is_exclusive(lease) ? F_WRLCK : F_RDLCK, lease->offset, 1);
    g_autofree char *resource = record_resource(st, lease->offset);

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_RDLCK)
        lock.l_type = F_WRLCK;
    g_clear_pointer(&lease->holder, json_decref);
    lease->holder =
        record_find(context->state_dir, resource, lock.l_type == F_RDLCK);

    g_autofree char *holder = record_describe(lease->holder);
    g_set_error(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY,
                "cannot acquire %s'%s': %s", noun(lease->resource),
                lease->resource->name, holder);
}

static gboolean lock_descriptor(const DriverContext *context,
                                DriverLease *lease, int fd,
                                const struct stat *st, GError **error)
{
    struct flock lock =
        byte_range(is_exclusive(lease) ? F_WRLCK : F_RDLCK, lease->offset, 1);

    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot acquire %s'%s': it is neither a file nor a block "
                    "device",
                    noun(lease->resource), lease->resource->name);
        return FALSE;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return TRUE;
    if (errno == EAGAIN || errno == EACCES)
        set_busy(context, lease, fd, st, error);
    else
        set_errno(error, "cannot lock '%s'", lease->resource->name);
    return FALSE;
}

/* The lease is ours: remember it, and tell others. */
static DriverAnswer hold(const DriverContext *context, DriverLease *lease,
                         int fd, const struct stat *st)
{
    g_autofree char *file = record_file(context, lease, st);
    g_autofree char *owner = g_strconcat("vm-", context->owner->uuid, NULL);

    /* Without a record the lease stands just as well; only a message that
     * says "held by another process" is the poorer for it. */
    if (lease->resource->kind == RESOURCE_VM)
        record_write(context->state_dir, owner, context->owner, NULL);
    record_link(context->state_dir, owner, file, NULL);

    lease->fd = fd;
    lease->data = g_steal_pointer(&file);
    identify(lease, st);
    return DRIVER_DONE;
}

/* Our own file is made on demand, and nobody else may open it: who can read
 * a file can lock it. It is never removed. */
static int open_object(const char *path, const DriverLease *lease)
{
    int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

    if (lease->resource->path)
        return open(path, flags | (is_exclusive(lease) ? O_RDWR : O_RDONLY));
    return open(path, flags | O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
}

static DriverAnswer acquire_path(const DriverContext *context,
                                 DriverLease *lease, GError **error)
{
    g_autofree char *path = lock_path(context, lease);

    for (int i = 0; i < MAX_REPLACED; i++) {
        struct stat st, now;
        int fd = open_object(path, lease);

        if (fd < 0) {
            set_errno(error, "cannot open '%s'", path);
            return DRIVER_FAILED;
        }
        if (fstat(fd, &st) < 0) {
            set_errno(error, "cannot look at '%s'", path);
            close(fd);
            return DRIVER_FAILED;
        }
        if (!lock_descriptor(context, lease, fd, &st, error)) {
            close(fd);
            return DRIVER_FAILED;
        }
        if (stat(path, &now) == 0 && now.st_dev == st.st_dev &&
            now.st_ino == st.st_ino)
            return hold(context, lease, fd, &st);
        close(fd);
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "cannot acquire '%s': it is being replaced all the time",
                lease->resource->name);
    return DRIVER_FAILED;
}

/* FALSE and a sentence where the descriptor that a client passed does not
 * allow the lock, or is not what the client says. */
static gboolean check_passed(const DriverLease *lease, const struct stat *st,
                             GError **error)
{
    int flags = fcntl(lease->fd, F_GETFL);
    int mode = flags & O_ACCMODE;
    struct stat now;
    const char *reason = NULL;

    if (flags < 0 || flags & O_PATH ||
        (is_exclusive(lease) && mode == O_RDONLY))
        reason = "the descriptor passed along is not open for writing";
    else if (!is_exclusive(lease) && mode == O_WRONLY)
        reason = "the descriptor passed along is not open for reading";
    else if (stat(lease->resource->path, &now) == 0 &&
             (now.st_dev != st->st_dev || now.st_ino != st->st_ino))
        reason = "the descriptor passed along is of another file";
    if (!reason)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot acquire '%s': %s", lease->resource->name, reason);
    return FALSE;
}

/*
 * A client opened the object because we may not: confinement left us no right
 * to open other people's files. A description of our own is better where it
 * can be had, since two who share one cannot exclude each other.
 */
static DriverAnswer acquire_passed(const DriverContext *context,
                                   DriverLease *lease, GError **error)
{
    struct stat st;
    char self[64];
    int fd;

    if (fstat(lease->fd, &st) < 0) {
        set_errno(error, "cannot look at '%s'", lease->resource->name);
        return DRIVER_FAILED;
    }
    lease->offset = lease->resource->offset;
    if (!check_passed(lease, &st, error))
        return DRIVER_FAILED;
    g_snprintf(self, sizeof self, "/proc/self/fd/%d", lease->fd);
    fd = open(self, (is_exclusive(lease) ? O_RDWR : O_RDONLY) | O_CLOEXEC |
                        O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
        close(lease->fd);
        lease->fd = fd;
    }
    if (!lock_descriptor(context, lease, lease->fd, &st, error))
        return DRIVER_FAILED;
    return hold(context, lease, lease->fd, &st);
}

static DriverAnswer file_acquire(gpointer driver, DriverLease *lease,
                                 GError **error)
{
    if (lease->fd >= 0)
        return acquire_passed(driver, lease, error);
    return acquire_path(driver, lease, error);
}

static DriverAnswer file_release(gpointer driver, DriverLease *lease,
                                 GError **error)
{
    const DriverContext *context = driver;
    struct flock lock = byte_range(F_UNLCK, lease->offset, 1);

    if (lease->data)
        record_remove(context->state_dir, lease->data);
    if (lease->data && lease->resource->kind == RESOURCE_VM) {
        g_autofree char *owner = g_strconcat("vm-", context->owner->uuid, NULL);
        record_remove(context->state_dir, owner);
    }
    g_clear_pointer(&lease->data, g_free);
    if (lease->fd < 0)
        return DRIVER_DONE;
    /* Said, not left to close(): a client may hold the same description. */
    fcntl(lease->fd, F_OFD_SETLK, &lock);
    close(lease->fd);
    lease->fd = -1;
    return DRIVER_DONE;
}

/* QEMU locks bytes 100.. (what it does) and 200.. (what it forbids others)
 * in every image that it has open, unless locking=off. */
static gboolean qemu_has_locked(const DriverLease *lease)
{
    struct flock lock = byte_range(F_WRLCK, RESOURCE_QEMU_FIRST,
                                   RESOURCE_QEMU_END - RESOURCE_QEMU_FIRST);

    return fcntl(lease->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* A write lease (F_SETLEASE, not to be confused with ours) is only given to
 * the one who has the file open, mapped or not, and nobody else does. The
 * file must be a regular one and ours; otherwise the kernel does not say. */
static DriverUse ask_for_write_lease(const DriverLease *lease)
{
    if (fcntl(lease->fd, F_SETLEASE, F_WRLCK) < 0)
        return errno == EAGAIN ? DRIVER_IN_USE : DRIVER_USE_UNKNOWN;
    fcntl(lease->fd, F_SETLEASE, F_UNLCK);
    return DRIVER_UNUSED;
}

static DriverUse file_use(gpointer driver, const DriverLease *lease)
{
    if (lease->resource->kind != RESOURCE_DISK)
        return DRIVER_UNUSED; /* nobody writes into a lock file */
    if (!is_exclusive(lease))
        return DRIVER_USE_UNKNOWN; /* others may have it open, too */
    return qemu_has_locked(lease) ? DRIVER_IN_USE : ask_for_write_lease(lease);
}

const DriverOps driver_file = {
    .name = "file",
    .flags = DRIVER_HOTPLUG,
    .open = file_open,
    .close = file_close,
    .acquire = file_acquire,
    .release = file_release,
    .use = file_use,
};
