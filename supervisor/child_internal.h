/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what child.c (a child that we start) and child_attach.c (a process
 * that lives already) share; nobody else includes this.
 */
#ifndef SUPERVISOR_CHILD_INTERNAL_H
#define SUPERVISOR_CHILD_INTERNAL_H

#include "cgroup.h"
#include "child.h"
#include "sweep.h"

/* What a child that could not run the command says before it ends. */
typedef struct {
    ChildStage stage;
    int err;
} Failure;

struct Child {
    const ChildEvents *events;
    gpointer opaque;
    GArray *foreign; /* pid_t: children that were ours before */
    int children;    /* where our own are listed, see proc.h */
    Cgroup *cgroup;  /* of the child's own, or NULL */
    pid_t guard;     /* a session; 0: none */
    pid_t pid;       /* 0: none */
    int pidfd;
    guint64 start_time; /* of pid, once somebody has asked for it */
    int barrier; /* our end; readable at EOF (exec worked) or a Failure */
    guint barrier_source;
    gboolean started;
    gboolean terminating;
    gboolean killing;
    gboolean has_failed;
    Failure failure;

    /* Of one that is attached; then nothing of the above but pid, pidfd,
     * start_time, started, terminating and killing is used. */
    gboolean attached;
    Sweep sweep; /* has pidfd */
    guint deaths_source;
    int kept; /* a pidfd of the attached process, for its status; or -1 */
};

/* child_attach.c; all for child->attached only. */
void attached_free(Child *child);
void attached_kill(Child *child);
gboolean attached_walk(const Child *child, TreeVisit visit, gpointer data);

#endif
