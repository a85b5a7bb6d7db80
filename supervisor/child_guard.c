/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what a guard needs to know of the child, and the child of a guard. */
#include "child_internal.h"

void child_set_guard(Child *child, pid_t session)
{
    child->guard = session;
    if (child->attached)
        sweep_except_session(&child->sweep, session);
}

void child_handles(const Child *child, int *pidfd, int *cgroup_kill,
                   int *cgroup_procs)
{
    *pidfd = child->attached && !child->started ? -1 : child->pidfd;
    *cgroup_kill = child->attached ? child->sweep.cgroup_kill
                   : child->cgroup ? cgroup_kill_fd(child->cgroup)
                                   : -1;
    *cgroup_procs = child->attached ? child->sweep.cgroup_procs
                    : child->cgroup ? cgroup_procs_fd(child->cgroup)
                                    : -1;
}

void child_find_again(const Child *child)
{
    for (size_t i = 0; child->attached && child->started && i < child->sweep.n;
         i++) {
        if (child->sweep.all[i].pid != child->pid)
            child->events->found(child->opaque, child->sweep.all[i].pid,
                                 child->sweep.all[i].pidfd);
    }
}
