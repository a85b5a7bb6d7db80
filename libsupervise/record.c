/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: records on disk
 *
 * Writing is on the path of every start: open, write, close, rename once for
 * the VM, and one link for each resource. Reading happens in conflicts only
 * and believes nothing: size bounded, every field's type checked, fields we
 * do not know dropped.
 *
 * Should:  make do with plain file calls; a system call filter may be on.
 * Mustn't: decide anything, block, or follow a link out of the directory.
 */
#include "record.h"

#include "places.h"
#include "qmp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* Longer than any record: a path may be 4096 bytes, each escaped to 6. */
#define RECORD_MAX (32 * 1024)

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

static json_t *to_json(const Record *record)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "uuid", text(record->uuid),
        "name", text(record->name), "host", text(record->host), "boot-id",
        text(record->boot_id), "pid", (json_int_t)record->pid, "start-time",
        (json_int_t)record->start_time, "since", (json_int_t)record->since);
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
                      const Record *record, GError **error)
{
    g_autofree char *directory = g_strdup_printf("%s/holders", state_dir);
    g_autofree char *path = g_strdup_printf("%s/%s", directory, file);
    g_autofree char *temp =
        g_strdup_printf("%s/.%s.%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT,
                        directory, file, record->pid, record->start_time);
    gsize len;
    g_autofree char *line = qmp_encode(to_json(record), &len);
    int fd = create_in(directory, temp);

    if (fd < 0)
        return set_errno(error, "cannot create '%s'", temp);
    if (write_and_close(fd, line, len) && rename(temp, path) == 0)
        return TRUE;
    set_errno(error, "cannot write '%s'", path);
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

void record_remove(const char *state_dir, const char *file)
{
    g_autofree char *path = g_strdup_printf("%s/holders/%s", state_dir, file);

    unlink(path);
}

/* Reads at most @size - 1 bytes of @path, ends them with NUL and returns how
 * many there were; -1 if it cannot be read or is longer. */
static gssize read_small(const char *path, char *buffer, gsize size)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    gsize have = 0;
    ssize_t got = -1;

    if (fd < 0)
        return -1;
    while (have < size) {
        got = read(fd, buffer + have, size - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (gsize)got;
    }
    close(fd);
    if (got != 0)
        return -1;
    buffer[have] = '\0';
    return (gssize)have;
}

/* The fields of a record and their types, in the order they are shown. */
static const struct {
    const char *name;
    json_type type;
} fields[] = {
    {"uuid", JSON_STRING},   {"name", JSON_STRING},
    {"host", JSON_STRING},   {"boot-id", JSON_STRING},
    {"pid", JSON_INTEGER},   {"start-time", JSON_INTEGER},
    {"since", JSON_INTEGER},
};

static const char *string_of(const json_t *holder, const char *name)
{
    return json_string_value(json_object_get(holder, name));
}

static gint64 integer_of(const json_t *holder, const char *name)
{
    return json_integer_value(json_object_get(holder, name));
}

/* Returns a new object with the fields of @found; NULL if one is missing or
 * of a type or value it cannot have. */
static json_t *typed(const json_t *found)
{
    g_autoptr(json_t) holder = json_object();

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        json_t *value = json_object_get(found, fields[i].name);

        if (!value || json_typeof(value) != fields[i].type)
            return NULL;
        json_object_set(holder, fields[i].name, value);
    }
    if (!g_uuid_string_is_valid(string_of(holder, "uuid")) ||
        integer_of(holder, "pid") <= 0 ||
        integer_of(holder, "pid") > G_MAXINT32)
        return NULL;
    return g_steal_pointer(&holder);
}

static json_t *read_record(const char *directory, const char *file,
                           const char *mode)
{
    g_autofree char *path = g_strdup_printf("%s/%s", directory, file);
    g_autofree char *buffer = g_malloc(RECORD_MAX);
    gssize len = read_small(path, buffer, RECORD_MAX);
    g_autoptr(json_t) found = NULL;
    json_t *holder;

    if (len < 0)
        return NULL;
    found = json_loadb(buffer, (gsize)len, JSON_REJECT_DUPLICATES, NULL);
    holder = typed(found);
    if (holder)
        json_object_set_new(holder, "mode", json_string(mode));
    return holder;
}

/* TRUE where the holder was on this host, and is known to be gone. */
static gboolean is_stale(const json_t *holder)
{
    char here[256] = "";

    return gethostname(here, sizeof(here) - 1) == 0 &&
           g_strcmp0(string_of(holder, "host"), here) == 0 &&
           !record_alive(holder);
}

/* Looks at one more record: one that is stale is nobody's, one of a process
 * that is known to live is better than one of another host. Takes
 * @candidate; returns TRUE when there is nothing better to find. */
static gboolean consider(json_t **best, json_t *candidate)
{
    gboolean alive = candidate && record_alive(candidate);

    if (candidate && (alive || (!*best && !is_stale(candidate)))) {
        json_decref(*best);
        *best = candidate;
    } else {
        json_decref(candidate);
    }
    return alive;
}

json_t *record_find(const char *state_dir, const char *resource,
                    gboolean shared)
{
    g_autofree char *directory = g_strdup_printf("%s/holders", state_dir);
    g_autofree char *prefix = g_strdup_printf("%s.", resource);
    json_t *best = NULL;
    struct dirent *entry;
    DIR *dir;

    if (consider(&best, read_record(directory, resource, "exclusive")) ||
        !shared)
        return best;
    dir = opendir(directory);
    if (!dir)
        return best;
    while ((entry = readdir(dir))) {
        if (g_str_has_prefix(entry->d_name, prefix) &&
            consider(&best, read_record(directory, entry->d_name, "shared")))
            break;
    }
    closedir(dir);
    return best;
}

/* " since 09:13", with the date where it is not today's; "" if the time is
 * no time. */
static char *since_text(gint64 since)
{
    time_t then = (time_t)since, now = time(NULL);
    struct tm then_tm, now_tm;
    char buffer[64];
    gboolean today;

    if (since <= 0 || !localtime_r(&then, &then_tm) ||
        !localtime_r(&now, &now_tm))
        return g_strdup("");
    today =
        then_tm.tm_year == now_tm.tm_year && then_tm.tm_yday == now_tm.tm_yday;
    if (strftime(buffer, sizeof(buffer),
                 today ? " since %H:%M" : " since %Y-%m-%d %H:%M",
                 &then_tm) == 0)
        return g_strdup("");
    return g_strdup(buffer);
}

char *record_describe(const json_t *holder)
{
    const char *name = string_of(holder, "name");
    const char *uuid = string_of(holder, "uuid");
    const char *host = string_of(holder, "host");
    g_autofree char *since = NULL;
    char *sentence;

    if (!name || !uuid || !host)
        return g_strdup("held by another process");
    since = since_text(integer_of(holder, "since"));
    sentence =
        g_strdup_printf("held by '%s' (%s, %s, pid %" G_GINT64_FORMAT ")%s",
                        name, uuid, host, integer_of(holder, "pid"), since);
    for (char *c = sentence; *c; c++) { /* a name must not steer a terminal */
        if (g_ascii_iscntrl(*c))
            *c = '?';
    }
    return sentence;
}

static gboolean same_boot(const json_t *holder)
{
    const char *boot_id = string_of(holder, "boot-id");
    const char *host = string_of(holder, "host");
    char here[256];

    if (!boot_id || !host ||
        read_small("/proc/sys/kernel/random/boot_id", here, sizeof(here)) < 0)
        return FALSE;
    g_strchomp(here);
    if (strcmp(boot_id, here) != 0)
        return FALSE;
    return gethostname(here, sizeof(here)) == 0 && strcmp(host, here) == 0;
}

gboolean record_alive(const json_t *holder)
{
    gint64 start_time = integer_of(holder, "start-time");

    return start_time > 0 && same_boot(holder) &&
           record_start_time(integer_of(holder, "pid")) == start_time;
}

gint64 record_start_time(gint64 pid)
{
    g_autofree char *path =
        g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    char stat[1024];
    const char *field;

    if (pid <= 0 || read_small(path, stat, sizeof(stat)) < 0)
        return 0;
    field = strrchr(stat, ')'); /* the name before it may hold anything */
    for (int i = 2; field && i < 22; i++) {
        field = strchr(field + 1, ' ');
    }
    return field ? g_ascii_strtoll(field, NULL, 10) : 0;
}
