/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: reading records, and saying what they say
 *
 * Happens in conflicts only and believes nothing: size bounded, every
 * field's type checked, fields we do not know dropped.
 *
 * Should:  make do with plain file calls; a system call filter may be on.
 * Mustn't: decide anything, block, or follow a link out of the directory.
 */
#include "record_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qmp.h"

/* Longer than any record: a path may be 4096 bytes, each escaped to 6. */
#define RECORD_MAX (32 * 1024)

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
    {"uuid", JSON_STRING},     {"name", JSON_STRING},
    {"host", JSON_STRING},     {"boot-id", JSON_STRING},
    {"pid", JSON_INTEGER},     {"start-time", JSON_INTEGER},
    {"since", JSON_INTEGER},   {"generation", JSON_INTEGER},
    {"exiting", JSON_INTEGER}, {"nonce", JSON_STRING},
    {"taking", JSON_INTEGER},
};

const char *record_string(const json_t *holder, const char *name)
{
    return json_string_value(json_object_get(holder, name));
}

gint64 record_integer(const json_t *holder, const char *name)
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
    if (!g_uuid_string_is_valid(record_string(holder, "uuid")) ||
        record_integer(holder, "pid") <= 0 ||
        record_integer(holder, "pid") > G_MAXINT32)
        return NULL;
    return g_steal_pointer(&holder);
}

json_t *record_read(const char *directory, const char *file, const char *mode)
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
           g_strcmp0(record_string(holder, "host"), here) == 0 &&
           !record_alive(holder);
}

/* Looks at one more record. One of a process that is known to live is better
 * than one of another host; one that is stale is nobody's, or the best where
 * @dead are looked for. Takes @candidate; returns TRUE when there is nothing
 * better to find. */
static gboolean consider(json_t **best, json_t *candidate, gboolean dead)
{
    gboolean stale = candidate && is_stale(candidate);
    gboolean wanted = candidate && (dead ? stale : record_alive(candidate));

    if (wanted || (candidate && !*best && (dead || !stale))) {
        json_decref(*best);
        *best = candidate;
        if (stale)
            json_object_set_new(candidate, "exiting", json_integer(1));
    } else {
        json_decref(candidate);
    }
    return wanted;
}

json_t *record_find(const char *state_dir, const char *resource, guint flags)
{
    gboolean dead = flags & RECORD_DEAD;
    g_autofree char *directory = g_strdup_printf("%s/holders", state_dir);
    g_autofree char *prefix = g_strdup_printf("%s.", resource);
    json_t *best = NULL;
    struct dirent *entry;
    DIR *dir;

    if (!(flags & RECORD_SHARED_ONLY) &&
        consider(&best, record_read(directory, resource, "exclusive"), dead))
        return best;
    if (!(flags & (RECORD_SHARED | RECORD_SHARED_ONLY)))
        return best;
    dir = opendir(directory);
    if (!dir)
        return best;
    while ((entry = readdir(dir))) {
        if (g_str_has_prefix(entry->d_name, prefix) &&
            consider(&best, record_read(directory, entry->d_name, "shared"),
                     dead))
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
    const char *name = record_string(holder, "name");
    const char *uuid = record_string(holder, "uuid");
    const char *host = record_string(holder, "host");
    g_autofree char *since = NULL;
    gboolean exiting;
    char *sentence;

    if (!name || !uuid || !host)
        return g_strdup("held by another process");
    exiting = record_integer(holder, "exiting") != 0;
    since = since_text(exiting ? 0 : record_integer(holder, "since"));
    sentence =
        g_strdup_printf("held by '%s'%s (%s, %s, pid %" G_GINT64_FORMAT ")%s",
                        name, exiting ? ", which is exiting" : "", uuid, host,
                        record_integer(holder, "pid"), since);
    for (char *c = sentence; *c; c++) { /* a name must not steer a terminal */
        if (g_ascii_iscntrl(*c))
            *c = '?';
    }
    return sentence;
}

static gboolean same_boot(const json_t *holder)
{
    const char *boot_id = record_string(holder, "boot-id");
    const char *host = record_string(holder, "host");
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
    gint64 start_time = record_integer(holder, "start-time");

    return start_time > 0 && same_boot(holder) &&
           record_start_time(record_integer(holder, "pid")) == start_time;
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
