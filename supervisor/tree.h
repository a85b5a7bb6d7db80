/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a walk over our descendants
 *
 * Each process is pinned by a pidfd before it is looked at, and its parent
 * is read after that: a number that was reused in between is left alone.
 * What is forked during the walk is missed; who must have all of them walks
 * again when the next one was reaped.
 */
#ifndef SUPERVISOR_TREE_H
#define SUPERVISOR_TREE_H

#include <glib.h>
#include <sys/types.h>

/* Called for each process, parents first; TRUE ends the walk. */
typedef gboolean (*TreeVisit)(pid_t pid, int pidfd, gpointer data);

/* Visits all descendants but @foreign (an array of pid_t) and theirs.
 * @children: where our own are listed, see proc.h. FALSE where some could not
 * be seen, or stand deeper than the walk goes. */
gboolean tree_walk(int children, const GArray *foreign, TreeVisit visit,
                   gpointer data);

/* A visit that looks for one that has a file open or mapped (see proc.h). */
typedef struct {
    gboolean block;
    dev_t device;
    ino_t inode;
    pid_t found;   /* 0: none */
    gboolean sure; /* FALSE: not all could be looked at */
} TreeWanted;

gboolean tree_has_open(pid_t pid, int pidfd, gpointer wanted);

gboolean tree_is_foreign(const GArray *foreign, pid_t pid);

#endif
