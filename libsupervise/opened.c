/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see opened.h. */
#include "opened.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "resource.h"

/* How often a descriptor is looked at that is another one each time. */
#define MAX_LOOKS 3

typedef struct {
    pid_t pid;
    OpenedVisit *visit;
    gpointer data;
    gboolean ended;   /* the visitor wants no more */
    int err;          /* the first thing that could not be seen, or 0 */
    GHashTable *seen; /* of char *: what was visited */
    char *mounts;     /* /proc/PID/mountinfo, read when it is needed */
} Walk;

/* One thread's directories. */
typedef struct {
    int fd;     /* /proc/PID/task/TID/fd */
    int fdinfo; /* /proc/PID/task/TID/fdinfo */
} Task;

gboolean opened_is_image(const OpenedFile *file)
{
    int access = file->flags & O_ACCMODE;

    if (access == O_RDONLY || (file->flags & O_PATH))
        return FALSE;
    if (file->block)
        return TRUE;
    return access == O_RDWR && file->links > 0 && !file->hugetlb &&
           file->size >= OPENED_SECTOR;
}

/* What has ended since it was listed has nothing open. */
static void note_unseen(Walk *walk, int err)
{
    if (!walk->err && err != ENOENT && err != ESRCH)
        walk->err = err;
}

/* Returns what the file says, newly allocated; NULL and errno. */
static char *read_whole(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), err;
    g_autoptr(GString) text = g_string_new(NULL);
    char piece[4096];
    ssize_t n;

    if (fd < 0)
        return NULL;
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        g_string_append_len(text, piece, n);
    err = errno;
    close(fd);
    errno = err;
    return n < 0 ? NULL : g_strdup(text->str);
}

/* --- one descriptor ------------------------------------------------------- */

/* Never asks the file's server, which may not answer. */
static gboolean look(const Task *task, const char *name, struct statx *st)
{
    return statx(task->fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
                 STATX_BASIC_STATS, st) == 0;
}

static gboolean is_same(const struct statx *one, const struct statx *two)
{
    return one->stx_ino == two->stx_ino && one->stx_mode == two->stx_mode &&
           one->stx_dev_major == two->stx_dev_major &&
           one->stx_dev_minor == two->stx_dev_minor &&
           one->stx_rdev_major == two->stx_rdev_major &&
           one->stx_rdev_minor == two->stx_rdev_minor;
}

/* The value in the line "NAME:<tab>VALUE"; NULL where there is none. */
static const char *line_value(const char *info, const char *name)
{
    gsize len = strlen(name);

    for (const char *line = info; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1;
    }
    return NULL;
}

/* "1: OFDLCK  ADVISORY  READ -1 fe:00:123 100 101", a range in QEMU's bytes */
static gboolean has_qemu_lock(const char *info)
{
    const char *line = info;

    while ((line = line_value(line, "lock"))) {
        unsigned long long first, last;

        if (sscanf(line, "%*d: %*s %*s %*s %*d %*s %llu %llu", &first, &last) ==
                2 &&
            first >= RESOURCE_QEMU_FIRST && last < RESOURCE_QEMU_END)
            return TRUE;
        line = strchr(line, '\n');
        if (!line)
            break;
    }
    return FALSE;
}

/* Of "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw" the first
 * word, and the one after the dash. */
static gboolean is_hugetlb(Walk *walk, int mount)
{
    g_autofree char *path = NULL;

    if (!walk->mounts) {
        path = g_strdup_printf("/proc/%d/mountinfo", walk->pid);
        walk->mounts = read_whole(AT_FDCWD, path);
    }
    for (const char *line = walk->mounts; line; line = strchr(line, '\n')) {
        const char *end, *dash;

        line += *line == '\n';
        if (atoi(line) != mount)
            continue;
        end = strchrnul(line, '\n');
        dash = strstr(line, " - ");
        return dash && dash < end && g_str_has_prefix(dash, " - hugetlbfs ");
    }
    return FALSE;
}

static void describe(Walk *walk, const struct statx *st, const char *info,
                     OpenedFile *file)
{
    const char *flags = line_value(info, "flags");
    const char *mount = line_value(info, "mnt_id");

    file->pid = walk->pid;
    file->block = S_ISBLK(st->stx_mode);
    file->device = file->block ? makedev(st->stx_rdev_major, st->stx_rdev_minor)
                               : makedev(st->stx_dev_major, st->stx_dev_minor);
    file->inode = file->block ? 0 : st->stx_ino;
    file->size = st->stx_size;
    file->links = st->stx_nlink;
    file->flags = flags ? (int)strtol(flags, NULL, 8) : O_RDONLY;
    file->qemu = has_qemu_lock(info);
    if (!file->block && file->links && mount && (file->flags & O_ACCMODE))
        file->hugetlb = is_hugetlb(walk, atoi(mount));
}

static gboolean was_seen(Walk *walk, const OpenedFile *file)
{
    char *key = g_strdup_printf(
        "%d %d %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %x %d", file->fd,
        file->block, (guint64)file->device, (guint64)file->inode,
        (guint)file->flags, file->qemu);

    return !g_hash_table_add(walk->seen, key);
}

/* TRUE where all that is told of @name is of one and the same file. */
static gboolean look_whole(Walk *walk, const Task *task, const char *name,
                           const struct statx *st)
{
    g_autofree char *info = read_whole(task->fdinfo, name);
    OpenedFile file = {.fd = atoi(name)};
    char path[PATH_MAX + 1];
    struct statx again;
    ssize_t len;

    if (!info) {
        note_unseen(walk, errno);
        return TRUE;
    }
    len = readlinkat(task->fd, name, path, sizeof(path) - 1);
    if (len < 0 || !look(task, name, &again)) {
        note_unseen(walk, errno);
        return TRUE;
    }
    if (!is_same(st, &again))
        return FALSE;
    path[len] = 0;
    file.path = path;
    describe(walk, st, info, &file);
    if (!(file.flags & (O_WRONLY | O_RDWR)) || (file.flags & O_PATH) ||
        was_seen(walk, &file))
        return TRUE;
    walk->ended = walk->visit(&file, walk->data);
    return TRUE;
}

static void look_at_descriptor(Walk *walk, const Task *task, const char *name)
{
    for (int i = 0; i < MAX_LOOKS; i++) {
        struct statx st;

        if (!look(task, name, &st)) {
            note_unseen(walk, errno);
            return;
        }
        if ((!S_ISREG(st.stx_mode) && !S_ISBLK(st.stx_mode)) ||
            look_whole(walk, task, name, &st))
            return;
    }
    note_unseen(walk, EAGAIN);
}

/* --- all of a process ----------------------------------------------------- */

/* A dead thread's descriptors are gone, whoever may look at them. */
static gboolean is_dead(int tasks, const char *tid)
{
    g_autofree char *name = g_strdup_printf("%s/stat", tid);
    g_autofree char *stat = read_whole(tasks, name);
    const char *end = stat ? strrchr(stat, ')') : NULL;

    return end && end[1] == ' ' && strchr("ZXx", end[2]);
}

static int open_below(int tasks, const char *tid, const char *what)
{
    g_autofree char *name = g_strdup_printf("%s/%s", tid, what);

    return openat(tasks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Calls @each with the names in @dir that are numbers; closes @dir. */
static void for_numbers(Walk *walk, int dir,
                        void (*each)(Walk *walk, int dir, const char *name,
                                     gconstpointer data),
                        gconstpointer data)
{
    DIR *list = fdopendir(dir);
    struct dirent *entry;

    if (!list) {
        note_unseen(walk, errno);
        close(dir);
        return;
    }
    while (!walk->ended && (errno = 0, entry = readdir(list))) {
        if (g_ascii_isdigit(entry->d_name[0]))
            each(walk, dir, entry->d_name, data);
    }
    if (!walk->ended && errno)
        note_unseen(walk, errno);
    closedir(list);
}

static void each_descriptor(Walk *walk, int dir, const char *name,
                            gconstpointer data)
{
    look_at_descriptor(walk, data, name);
}

static void each_task(Walk *walk, int dir, const char *name, gconstpointer data)
{
    Task task = {.fd = open_below(dir, name, "fd"), .fdinfo = -1};
    int err;

    if (task.fd >= 0)
        task.fdinfo = open_below(dir, name, "fdinfo");
    if (task.fdinfo >= 0) {
        for_numbers(walk, task.fd, each_descriptor, &task);
        close(task.fdinfo);
        return;
    }
    err = errno;
    if (!is_dead(dir, name))
        note_unseen(walk, err);
    if (task.fd >= 0)
        close(task.fd);
}

gboolean opened_walk(pid_t pid, OpenedVisit *visit, gpointer data)
{
    Walk walk = {.pid = pid, .visit = visit, .data = data};
    g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
    int tasks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    walk.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (tasks >= 0)
        for_numbers(&walk, tasks, each_task, NULL);
    else
        note_unseen(&walk, errno);
    g_hash_table_unref(walk.seen);
    g_free(walk.mounts);
    errno = walk.err;
    return walk.err == 0;
}
