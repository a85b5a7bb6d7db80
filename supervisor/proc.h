/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what /proc tells about processes (proc(5))
 *
 * Read only; every answer may be out of date when it is used, so whoever
 * acts on one pins the process with a pidfd first and asks again.
 */
#ifndef SUPERVISOR_PROC_H
#define SUPERVISOR_PROC_H

#include <glib.h>
#include <sys/types.h>

typedef struct {
    pid_t parent;
    pid_t group;
    char state;         /* R S D Z T ... of the main thread */
    gboolean executed;  /* an exec after its fork */
    gboolean kernel;    /* a thread of the kernel's */
    guint64 start_time; /* clock ticks after boot */
} ProcStat;

/* FALSE where there is no such process. */
gboolean proc_stat(pid_t pid, ProcStat *stat);

/* Appends the children of all threads of @pid (zombies too) to @pids, an
 * array of pid_t. FALSE where they cannot be read. */
gboolean proc_children(pid_t pid, GArray *pids);
/* The same for ourselves, from a descriptor that is opened once: we must
 * know our children also when no more descriptors are to be had. -1 and
 * errno where there is no such file (CONFIG_PROC_CHILDREN). */
int proc_open_own_children(void);
gboolean proc_own_children(int fd, GArray *pids);

/* What @pid does, newly allocated: "process 4711 is in state D (fuse_dev_do)",
 * without the kernel function where that cannot be read, or "thread 4713 of
 * process 4711 is ...". */
char *proc_describe(pid_t pid);

typedef enum {
    PROC_NOT_OPEN,
    PROC_OPEN,
    PROC_UNREADABLE, /* that process does not let us look */
} ProcOpen;

/* Whether @pid has the file (or, with @block, the device) open or mapped. */
ProcOpen proc_has_open(pid_t pid, gboolean block, dev_t device, ino_t inode);

#endif
