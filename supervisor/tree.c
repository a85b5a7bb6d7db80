/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see tree.h. */
#include "tree.h"

#include <errno.h>
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

typedef struct {
    TreeVisit visit;
    gpointer data;
    gboolean done;
    gboolean complete;
} Walk;

static void walk_below(Walk *walk, pid_t parent, int depth);

static void walk_one(Walk *walk, pid_t pid, pid_t parent, int depth)
{
    int pidfd = pidfd_open(pid, 0);
    ProcStat stat;

    if (pidfd < 0) {
        walk->complete &= errno == ESRCH;
        return;
    }
    if (!proc_stat(pid, &stat)) {
        walk->complete &= errno == ENOENT || errno == ESRCH;
    } else if (stat.parent == parent || stat.parent == getpid()) {
        /* of that parent, or ours since it lost it */
        walk->done = walk->visit(pid, pidfd, walk->data);
        if (!walk->done)
            walk_below(walk, pid, depth + 1);
    }
    close(pidfd);
}

static void walk_below(Walk *walk, pid_t parent, int depth)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));

    if (depth > MAX_DEPTH || !proc_children(parent, pids)) {
        walk->complete = FALSE;
        return;
    }
    for (guint i = 0; i < pids->len && !walk->done; i++)
        walk_one(walk, g_array_index(pids, pid_t, i), parent, depth);
}

gboolean tree_walk(int children, const GArray *foreign, TreeVisit visit,
                   gpointer data)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    Walk walk = {visit, data, FALSE, TRUE};

    if (!proc_own_children(children, pids))
        return FALSE;
    for (guint i = 0; i < pids->len && !walk.done; i++) {
        pid_t pid = g_array_index(pids, pid_t, i);

        if (!tree_is_foreign(foreign, pid))
            walk_one(&walk, pid, getpid(), 0);
    }
    return walk.complete;
}

gboolean tree_has_open(pid_t pid, int pidfd, gpointer data)
{
    TreeWanted *wanted = data;

    switch (proc_has_open(pid, wanted->block, wanted->device, wanted->inode)) {
    case PROC_OPEN:
        wanted->found = pid;
        break;
    case PROC_UNREADABLE:
        wanted->sure = FALSE;
        break;
    case PROC_NOT_OPEN:
        break;
    }
    return wanted->found != 0;
}
