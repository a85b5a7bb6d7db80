/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what /proc tells a client about a VM's processes
 *
 * The client looks, not the supervisor: a confined one of root may not. A
 * number alone is nobody's name: each process is pinned by a pidfd, must be
 * where it is expected in the tree, and is looked at again when all has been
 * read of it.
 */
#ifndef VIRT_LOCKCTL_PROC_H
#define VIRT_LOCKCTL_PROC_H

#include <glib.h>
#include <sys/types.h>

typedef struct {
    pid_t parent;
    guint64 start_time; /* clock ticks after boot */
    guint64 cpu;        /* clock ticks that it has run for */
} ProcessStat;

/* FALSE and errno where there is no such process. */
gboolean process_stat(pid_t pid, ProcessStat *stat);

/* Its share of memory (proportional set size) in bytes; -1 where that cannot
 * be read. */
gint64 process_pss(pid_t pid);

/* Called while the process is pinned. FALSE and errno: not all was seen. */
typedef gboolean ProcessVisit(pid_t pid, gpointer data);
/* Called after it: whether what was seen is that process's. */
typedef void ProcessDone(pid_t pid, gboolean lived, gpointer data);

/*
 * process_walk:
 * @supervisor: whose children are walked, and all below them; where @child,
 *   which is attached, is none of them, that is ...
 * @child: ... from this one on; what started before it (@start_time, in clock
 *   ticks) was the supervisor's before it was one
 *
 * FALSE and errno where not all could be seen; what could be is visited.
 */
gboolean process_walk(pid_t supervisor, pid_t child, guint64 start_time,
                      ProcessVisit *visit, ProcessDone *done, gpointer data);

#endif
