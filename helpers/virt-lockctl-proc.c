/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-proc.h. */
#include "virt-lockctl-proc.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* A tree that is deeper is not a VM's. */
#define MAX_DEPTH 64

typedef struct {
    pid_t supervisor;
    pid_t child;
    guint64 start_time; /* the child's */
    ProcessVisit *visit;
    ProcessDone *done;
    gpointer data;
    int err; /* the first thing that could not be seen, or 0 */
} Walk;

static char *read_proc(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", pid, name);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, &error))
        return text;
    errno = g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES)  ? EACCES
            : g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_PERM) ? EPERM
                                                                      : ESRCH;
    return NULL;
}

gboolean process_stat(pid_t pid, ProcessStat *stat)
{
    g_autofree char *text = read_proc(pid, "stat");
    const char *p = text ? strrchr(text, ')') : NULL; /* any name before it */
    unsigned long long user, system, start;
    int parent;

    if (!text)
        return FALSE;
    errno = EPROTO;
    if (!p || sscanf(p,
                     ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu "
                     "%*d %*d %*d %*d %*d %*d %llu",
                     &parent, &user, &system, &start) != 4)
        return FALSE;
    stat->parent = parent;
    stat->start_time = start;
    stat->cpu = user + system;
    return TRUE;
}

gint64 process_pss(pid_t pid)
{
    g_autofree char *text = read_proc(pid, "smaps_rollup");
    const char *line = text ? strstr(text, "\nPss:") : NULL;

    return line ? g_ascii_strtoll(line + strlen("\nPss:"), NULL, 10) * 1024
                : -1;
}

/* --- the tree ------------------------------------------------------------- */

static void note_unseen(Walk *walk, int err)
{
    if (!walk->err && err != ESRCH && err != ENOENT)
        walk->err = err;
}

static void add_numbers(const char *text, GArray *pids)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);

    for (char **word = words; *word; word++) {
        pid_t pid = (pid_t)g_ascii_strtoll(*word, NULL, 10);

        if (pid > 0)
            g_array_append_val(pids, pid);
    }
}

/* The children of all its threads. */
static GArray *children_of(Walk *walk, pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir)
        note_unseen(walk, errno);
    while (dir && (entry = readdir(dir))) {
        g_autofree char *name =
            g_strdup_printf("task/%s/children", entry->d_name);
        g_autofree char *text = NULL;

        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        text = read_proc(pid, name);
        if (text)
            add_numbers(text, pids);
        else
            note_unseen(walk, errno);
    }
    if (dir)
        closedir(dir);
    return pids;
}

static gboolean has_ended(int pidfd)
{
    struct pollfd polled = {.fd = pidfd, .events = POLLIN};

    return poll(&polled, 1, 0) != 0;
}

static void walk_below(Walk *walk, pid_t parent, int depth);

static void visit_one(Walk *walk, pid_t pid, int pidfd, int depth)
{
    if (!walk->visit(pid, walk->data))
        note_unseen(walk, errno);
    walk_below(walk, pid, depth + 1);
    walk->done(pid, !has_ended(pidfd), walk->data);
}

/* Two of one clock tick are told apart by their numbers. */
static gboolean is_older(const Walk *walk, pid_t pid, const ProcessStat *stat)
{
    return stat->start_time < walk->start_time ||
           (stat->start_time == walk->start_time && pid < walk->child);
}

/* Who has lost its parent is the supervisor's child by now. */
static void walk_one(Walk *walk, pid_t pid, pid_t parent, int depth)
{
    int pidfd = pidfd_open(pid, 0);
    ProcessStat stat;

    if (pidfd < 0) {
        note_unseen(walk, errno);
        return;
    }
    if (!process_stat(pid, &stat))
        note_unseen(walk, errno);
    else if ((stat.parent == parent || stat.parent == walk->supervisor) &&
             (depth > 0 || !is_older(walk, pid, &stat)))
        visit_one(walk, pid, pidfd, depth);
    close(pidfd);
}

static void walk_below(Walk *walk, pid_t parent, int depth)
{
    g_autoptr(GArray) pids = NULL;

    if (depth > MAX_DEPTH) {
        note_unseen(walk, ELOOP);
        return;
    }
    pids = children_of(walk, parent);
    for (guint i = 0; i < pids->len; i++)
        walk_one(walk, g_array_index(pids, pid_t, i), parent, depth);
}

gboolean process_walk(pid_t supervisor, pid_t child, guint64 start_time,
                      ProcessVisit *visit, ProcessDone *done, gpointer data)
{
    Walk walk = {.supervisor = supervisor,
                 .child = child,
                 .start_time = start_time,
                 .visit = visit,
                 .done = done,
                 .data = data};

    ProcessStat stat;

    if (process_stat(child, &stat) && stat.parent != supervisor)
        walk_one(&walk, child, stat.parent, 0); /* it is attached */
    else
        walk_below(&walk, supervisor, 0);
    errno = walk.err;
    return walk.err == 0;
}
