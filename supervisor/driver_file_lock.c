/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: single lock calls, and sentences about them
 *
 * Open file description locks (F_OFD_SETLK, F_OFD_GETLK, fcntl(2)) only. What
 * others hold is looked at through descriptors of our own, which do not show
 * what we hold ourselves; nothing is ever tried out by locking it.
 *
 * Mustn't: wait for a lock; lock any of QEMU's bytes.
 */
#include "driver_file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

static struct flock range(int type, guint64 start, guint64 len)
{
    return (struct flock){.l_type = (short)type,
                          .l_whence = SEEK_SET,
                          .l_start = (off_t)start,
                          .l_len = (off_t)len};
}

/* The lock of somebody else that would keep us from setting @type; l_type is
 * F_UNLCK where there is none, or where the call failed (errno is not 0). */
static struct flock look(int fd, guint64 start, guint64 len, int type)
{
    struct flock lock = range(type, start, len);

    errno = 0;
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        lock.l_type = F_UNLCK;
    return lock;
}

/* Kind as it stands before the name in a sentence. */
static const char *noun(const Resource *resource)
{
    static const char *const nouns[] = {[RESOURCE_VM] = "VM ",
                                        [RESOURCE_DISK] = "",
                                        [RESOURCE_LEASE] = "lease "};

    return nouns[resource->kind];
}

static gboolean busy(FileLease *f, const char *why, GError **error)
{
    g_set_error(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY,
                "cannot acquire %s'%s': %s", noun(f->lease->resource),
                f->lease->resource->name, why);
    return FALSE;
}

/* Sets who has it, as the records of that home tell, or NULL. */
static json_t *find_holder(FileLease *f, HomeId home, guint flags)
{
    g_clear_pointer(&f->lease->holder, json_decref);
    f->lease->holder =
        record_find(f->driver->homes[home].directory, f->names[home], flags);
    return f->lease->holder;
}

/* TRUE where somebody holds the lease of VM @uuid, as that home tells. */
static gboolean vm_is_held(const FileLease *f, HomeId home, const char *uuid)
{
    g_autofree char *path =
        g_build_filename(f->driver->homes[home].directory, "locks", NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    gboolean held;

    if (fd < 0)
        return FALSE;
    held = look(fd, record_lock_byte("vm", uuid), 1, F_WRLCK).l_type != F_UNLCK;
    close(fd);
    return held;
}

/* Where nobody is known who lives, a guard may be seeing to the end of one
 * that is dead: it holds the VM's lease, too. */
static void find_guarded(FileLease *f, HomeId home, guint flags)
{
    json_t *dead = find_holder(f, home, flags | RECORD_DEAD);
    const char *uuid = json_string_value(json_object_get(dead, "uuid"));

    if (dead && (!json_object_get(dead, "exiting") || !uuid ||
                 !vm_is_held(f, home, uuid)))
        g_clear_pointer(&f->lease->holder, json_decref);
}

static gboolean held_by(FileLease *f, HomeId home, guint flags, GError **error)
{
    g_autofree char *why = NULL;

    if (!find_holder(f, home, flags))
        find_guarded(f, home, flags);
    why = record_describe(f->lease->holder);
    return busy(f, why, error);
}

/* A child lives. Where nobody has the lease its supervisor was killed, and
 * the record of the dead is the one to believe. */
static gboolean held_by_child(FileLease *f, HomeId home, gboolean shared,
                              GError **error)
{
    g_autofree char *who = NULL, *why = NULL;
    json_t *dead;

    if (file_another_holds(f))
        return held_by(f, home, RECORD_SHARED, error);
    dead =
        find_holder(f, home, RECORD_DEAD | (shared ? RECORD_SHARED_ONLY : 0));
    if (dead) /* of another host we cannot tell otherwise */
        json_object_set_new(dead, "exiting", json_integer(1));
    who = record_describe(dead);
    why = g_strconcat(who, dead ? "" : ", which is exiting", NULL);
    return busy(f, why, error);
}

static gboolean is_nfs(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == NFS_SUPER_MAGIC;
}

gboolean file_is_lost(FileLease *f, int err)
{
    const DriverContext *context = f->driver->context;
    g_autofree char *why = NULL;

    if (!f->used || (err != EIO && err != ESTALE && err != EAGAIN))
        return FALSE;
    f->lost = TRUE;
    why = g_strdup_printf("its lock is gone: %s", err == EAGAIN
                                                      ? "somebody else has it"
                                                      : g_strerror(err));
    context->events->lost(context->opaque, f->lease->id, 0, why);
    return TRUE;
}

static gboolean failed(FileLease *f, int fd, int err, GError **error)
{
    const char *reason = g_strerror(err);

    if (err == ENOLCK)
        reason = is_nfs(fd) ? "its NFS server grants no locks (is there a "
                              "lock manager, and no 'nolock'?)"
                            : "its file system has no locks left";
    else if (err == EINVAL || err == ENOSYS || err == EOPNOTSUPP)
        reason = "its file system has no open file description locks";
    else if (err == EIO)
        reason = "its storage answers with an I/O error";
    else if (err == ESTALE)
        reason = "its file server does not know it any more (stale handle)";
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "cannot lock %s'%s': %s",
                noun(f->lease->resource), f->lease->resource->name, reason);
    file_is_lost(f, err);
    return FALSE;
}

gboolean file_set_byte(FileLease *f, const Place *place, guint64 byte, int type,
                       GError **error)
{
    struct flock lock = range(type, byte, 1);
    int err;

    if (fcntl(place->fd, F_OFD_SETLK, &lock) == 0)
        return TRUE;
    err = errno;
    if (err != EAGAIN && err != EACCES)
        return failed(f, place->fd, err, error);
    /* What kind of lock it is tells which record to believe. */
    lock = look(place->fd, place->lease, 1, F_WRLCK);
    return held_by(f, place->home, lock.l_type == F_RDLCK ? RECORD_SHARED : 0,
                   error);
}

gboolean file_set_leases(FileLease *f, int type, GError **error)
{
    for (guint i = 0; i < f->n_places; i++) {
        if (!file_set_byte(f, &f->places[i], f->places[i].lease, type, error))
            return FALSE;
        f->places[i].has_lease = TRUE;
    }
    f->type = type;
    return TRUE;
}

gboolean file_set_claims(FileLease *f, int type, GError **error)
{
    for (guint i = 0; i < f->n_places; i++) {
        if (!file_set_byte(f, &f->places[i], f->places[i].claim, type, error))
            return FALSE;
        f->places[i].has_claim = type != F_UNLCK;
    }
    return TRUE;
}

/* VE or VS of @home. */
static guint64 live_byte(const FileLease *f, HomeId home, gboolean shared)
{
    return f->live[home] + (shared ? 1 : 0);
}

gboolean file_set_live(FileLease *f, int type, GError **error)
{
    const FileDriver *driver = f->driver;
    gboolean run = driver->run && f->lease->resource->kind == RESOURCE_VM;

    for (HomeId i = 0; i < N_HOMES; i++) {
        struct flock lock =
            range(type, live_byte(f, i, !file_is_exclusive(f)), 1);
        struct flock of_run = range(type, driver->run, 1);
        const Home *home = &driver->homes[i];

        if (home->live >= 0 &&
            (fcntl(home->live, F_OFD_SETLK, &lock) < 0 ||
             (run && fcntl(home->live, F_OFD_SETLK, &of_run) < 0)))
            return failed(f, home->live, errno, error);
        f->lives = type != F_UNLCK;
    }
    return TRUE;
}

gboolean file_others_gone(FileLease *f, gboolean shared, GError **error)
{
    for (HomeId i = 0; i < N_HOMES; i++) {
        const Home *home = &f->driver->homes[i];
        struct flock lock;

        if (home->live < 0)
            continue;
        lock = look(home->live, live_byte(f, i, shared), 1, F_WRLCK);
        if (errno)
            return failed(f, home->live, errno, error);
        if (lock.l_type != F_UNLCK)
            return held_by_child(f, i, shared, error);
    }
    return TRUE;
}

gboolean file_another_holds(const FileLease *f)
{
    for (guint i = 0; i < f->n_places; i++) {
        const Place *place = &f->places[i];

        if (look(place->fd, place->lease, 1, F_WRLCK).l_type != F_UNLCK)
            return TRUE;
    }
    return FALSE;
}

/* The last place is the one that all hosts see, and is claimed after the
 * others, of which a target on another host has its own. */
gboolean file_another_claims(const FileLease *f)
{
    const Place *place;

    if (f->n_places == 0)
        return FALSE;
    place = &f->places[f->n_places - 1];
    return look(place->fd, place->claim, 1, F_RDLCK).l_type == F_WRLCK;
}

guint file_qemu_byte(const FileLease *f, guint first, guint last)
{
    struct flock lock = look(f->places[0].fd, first, last - first + 1, F_WRLCK);

    if (lock.l_type == F_UNLCK)
        return 0;
    return (guint)CLAMP(lock.l_start, (off_t)first, (off_t)last);
}

static gboolean held_by_qemu(FileLease *f, guint byte, GError **error)
{
    /* A reader beside a sharer who writes: only his QEMU tells that he does. */
    gboolean supervised = file_another_holds(f);
    g_autofree char *who =
        supervised ? record_describe(find_holder(f, HOME_HOST, RECORD_SHARED))
                   : NULL;
    g_autofree char *why =
        supervised
            ? g_strdup_printf("%s, whose QEMU does not allow that (its lock "
                              "byte %u is held)",
                              who, byte)
            : g_strdup_printf("a QEMU that no supervisor answers for has it "
                              "open, or writes of a dead one are still under "
                              "way (its lock byte %u is held)",
                              byte);

    return busy(f, why, error);
}

guint file_writing_byte(const FileLease *f)
{
    return file_qemu_byte(f, RESOURCE_QEMU_WRITE, RESOURCE_QEMU_FORBID - 1);
}

/* A QEMU that runs when it is attached has locked its images already. */
static gboolean is_childs(const FileLease *f)
{
    const DriverContext *context = f->driver->context;
    const DriverLease *lease = f->lease;

    return context->is_childs &&
           context->is_childs(context->opaque, lease->block, lease->device,
                              lease->inode);
}

/* QEMU read-locks 100 + N for what it does and 200 + N for what it does not
 * let others do; N is 0 for reading, 1 for writing, 3 for resizing. */
gboolean file_taker_looks(FileLease *f, GError **error)
{
    const ResourceMode mode = f->lease->resource->mode;
    guint byte = 0;

    if (!f->has_image || f->lease->resource->kind != RESOURCE_DISK)
        return TRUE;
    errno = 0;
    if (mode != RESOURCE_SHARED)
        byte = file_writing_byte(f);
    if (!byte && !errno)
        byte =
            file_qemu_byte(f, RESOURCE_QEMU_FORBID,
                           mode == RESOURCE_READONLY ? RESOURCE_QEMU_FORBID
                                                     : RESOURCE_QEMU_END - 1);
    if (!byte && errno)
        return failed(f, f->places[0].fd, errno, error);
    return !byte || is_childs(f) || held_by_qemu(f, byte, error);
}
