/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a cgroup of the child's own, where we may make one
 *
 * Where the supervisor was started as the only process of a cgroup (version
 * 2) that is not the root, the child is put into a new cgroup below it. Then
 * one write to cgroup.kill ends the whole tree, whoever its processes belong
 * to, and cgroup.events tells nothing that we need. The file is opened
 * before confinement, since no right is needed to write to it later.
 *
 * A new cgroup for every child: kernels may kill what enters a cgroup on
 * which cgroup.kill was used. In a unit of systemd's we only do this where
 * Delegate= was given (extended attribute "delegate"): otherwise the cgroup
 * tree is not ours to change.
 *
 * All of it is best effort: without, the tree is swept by pidfd.
 */
#ifndef SUPERVISOR_CGROUP_H
#define SUPERVISOR_CGROUP_H

#include <glib.h>
#include <sys/types.h>

typedef struct Cgroup Cgroup;

/* Makes the child's cgroup; NULL where we are not alone in one. */
/* @session: processes of that may be there as well; 0: none. */
Cgroup *cgroup_new(pid_t session);
/* Moves @pid in; FALSE leaves it where it is. */
gboolean cgroup_add(Cgroup *cgroup, pid_t pid);
/* Its cgroup.kill and cgroup.procs, for another process that is to kill. */
int cgroup_kill_fd(const Cgroup *cgroup);
int cgroup_procs_fd(const Cgroup *cgroup);
/* Kills all that is in it. */
gboolean cgroup_kill(Cgroup *cgroup);
/* Removes it (it must be empty) and frees. NULL is fine. */
void cgroup_free(Cgroup *cgroup);

/*
 * cgroup_open_of:
 * @pids: array of pid_t
 * @kill_fd: set to its cgroup.kill, opened; or -1
 *
 * Returns the list cgroup.procs of the cgroup (version 2) of @pid, opened,
 * where there is nobody in it and below it but @pids; otherwise -1.
 */
int cgroup_open_of(pid_t pid, const GArray *pids, int *kill_fd);

#endif
