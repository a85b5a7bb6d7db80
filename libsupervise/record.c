/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: writing records
 *
 * On the path of every start: open, write, close, rename once for the VM,
 * and one link for each resource.
 *
 * Should:  make do with plain file calls; a system call filter may be on.
 * Mustn't: decide anything, or follow a link out of the directory.
 */
#include "record_internal.h"

#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

guint64 record_lock_byte(const char *space, const char *key)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    guint8 digest[32];
    gsize len = sizeof digest;
    guint64 first;

    g_checksum_update(sum, (const guchar *)space, strlen(space) + 1);
    g_checksum_update(sum, (const guchar *)key, -1);
    g_checksum_get_digest(sum, digest, &len);
    memcpy(&first, digest, sizeof first);
    return (GUINT64_FROM_BE(first) >> 4) * 4;
}

char *record_resource(const struct stat *st, guint64 offset)
{
    if (S_ISBLK(st->st_mode))
        return g_strdup_printf("block-%u:%u-%" G_GUINT64_FORMAT,
                               major(st->st_rdev), minor(st->st_rdev), offset);
    return g_strdup_printf("%u:%u-%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                           major(st->st_dev), minor(st->st_dev),
                           (guint64)st->st_ino, offset);
}

static json_t *text(const char *value)
{
    g_autofree char *valid = g_utf8_make_valid(value ? value : "", -1);

    return json_string(valid);
}

/* One line; as long whatever is marked, see record_mark(). */
static char *to_line(const Record *record, gsize *len)
{
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:i, s:i}", "uuid",
        text(record->uuid), "name", text(record->name), "host",
        text(record->host), "boot-id", text(record->boot_id), "pid",
        (json_int_t)record->pid, "start-time", (json_int_t)record->start_time,
        "since", (json_int_t)record->since, "generation",
        (json_int_t)record->generation, "nonce", text(record->nonce), "exiting",
        record->exiting ? 1 : 0, "taking", record->taking ? 1 : 0);

    return qmp_encode(object, len);
}

static int create(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                0644);
}

/* Opens the new file @path in @directory, which is made if need be. */
static int create_in(const char *directory, const char *path)
{
    int fd = create(path);

    if (fd < 0 && errno == ENOENT && g_mkdir_with_parents(directory, 0755) == 0)
        fd = create(path);
    return fd;
}

/* Writes all of @line, or fails; closes @fd in any case. */
static gboolean write_and_close(int fd, const char *line, gsize len)
{
    ssize_t written;
    int saved;

    do {
        written = write(fd, line, len);
    } while (written < 0 && errno == EINTR);
    saved = written < 0 ? errno : ENOSPC;
    if (close(fd) < 0 && written == (ssize_t)len) {
        saved = errno;
        written = -1;
    }
    errno = saved;
    return written == (ssize_t)len;
}

gboolean record_write(const char *state_dir, const char *file,
                      const Record *record, RecordId *id, GError **error)
{
    g_autofree char *directory = g_strdup_printf("%s/holders", state_dir);
    g_autofree char *path = g_strdup_printf("%s/%s", directory, file);
    g_autofree char *temp =
        g_strdup_printf("%s/.%s.%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT,
                        directory, file, record->pid, record->start_time);
    gsize len;
    g_autofree char *line = to_line(record, &len);
    int fd = create_in(directory, temp);
    struct stat st;

    *id = (RecordId){0};
    if (fd < 0)
        return set_errno(error, "cannot create '%s'", temp);
    if (fstat(fd, &st) == 0)
        *id = (RecordId){st.st_dev, st.st_ino};
    if (write_and_close(fd, line, len) && rename(temp, path) == 0)
        return TRUE;
    set_errno(error, "cannot write '%s'", path);
    *id = (RecordId){0};
    unlink(temp);
    return FALSE;
}

gboolean record_link(const char *state_dir, const char *from, const char *file,
                     GError **error)
{
    g_autofree char *old = g_strdup_printf("%s/holders/%s", state_dir, from);
    g_autofree char *path = g_strdup_printf("%s/holders/%s", state_dir, file);

    if (link(old, path) == 0)
        return TRUE;
    if (errno == EEXIST && unlink(path) == 0 && link(old, path) == 0)
        return TRUE;
    return set_errno(error, "cannot link '%s'", path);
}

static gboolean is_same(const struct stat *st, const RecordId *id)
{
    return id->inode && st->st_dev == id->device && st->st_ino == id->inode;
}

gboolean record_mark(const char *state_dir, const char *file,
                     const Record *record, const RecordId *id)
{
    g_autofree char *path = g_strdup_printf("%s/holders/%s", state_dir, file);
    g_autofree char *line = NULL;
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    gsize len;

    if (fd < 0)
        return FALSE;
    if (fstat(fd, &st) < 0 || !is_same(&st, id)) {
        close(fd);
        return FALSE;
    }
    line = to_line(record, &len);
    return write_and_close(fd, line, len);
}

void record_remove(const char *state_dir, const char *file, const RecordId *id)
{
    g_autofree char *path = g_strdup_printf("%s/holders/%s", state_dir, file);
    struct stat st;

    if (lstat(path, &st) == 0 && is_same(&st, id))
        unlink(path);
}

json_t *record_get(const char *state_dir, const char *file)
{
    g_autofree char *directory = g_strdup_printf("%s/holders", state_dir);

    return record_read(directory, file, "");
}

gint64 record_generation(const char *state_dir, const char *file)
{
    g_autoptr(json_t) found = record_get(state_dir, file);

    return record_integer(found, "generation");
}
