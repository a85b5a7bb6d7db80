/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see tree.h. */
#include "tree.h"

#include <sys/pidfd.h>
#include <unistd.h>

#include "proc.h"

/* Bounds stack and descriptors. Whatever is deeper comes up when those above
 * it are dead, and is met by the next walk. */
#define MAX_DEPTH 64

gboolean tree_is_foreign(const GArray *foreign, pid_t pid)
{
    for (guint i = 0; i < foreign->len; i++) {
        if (g_array_index(foreign, pid_t, i) == pid)
            return TRUE;
    }
    return FALSE;
}

static gboolean walk_below(pid_t parent, int depth, TreeVisit visit,
                           gpointer data);

static gboolean walk_one(pid_t pid, pid_t parent, int depth, TreeVisit visit,
                         gpointer data)
{
    int pidfd = pidfd_open(pid, 0);
    gboolean done = FALSE;
    ProcStat stat;

    if (pidfd < 0)
        return FALSE;
    /* A process that lost its parent is ours. */
    if (proc_stat(pid, &stat) &&
        (stat.parent == parent || stat.parent == getpid()))
        done =
            visit(pid, pidfd, data) || walk_below(pid, depth + 1, visit, data);
    close(pidfd);
    return done;
}

static gboolean walk_below(pid_t parent, int depth, TreeVisit visit,
                           gpointer data)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    gboolean done = FALSE;

    if (depth > MAX_DEPTH)
        return FALSE;
    proc_children(parent, pids);
    for (guint i = 0; i < pids->len && !done; i++)
        done =
            walk_one(g_array_index(pids, pid_t, i), parent, depth, visit, data);
    return done;
}

void tree_walk(int children, const GArray *foreign, TreeVisit visit,
               gpointer data)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    gboolean done = FALSE;

    proc_own_children(children, pids);
    for (guint i = 0; i < pids->len && !done; i++) {
        pid_t pid = g_array_index(pids, pid_t, i);

        if (!tree_is_foreign(foreign, pid))
            done = walk_one(pid, getpid(), 0, visit, data);
    }
}
