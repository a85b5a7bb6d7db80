/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: kills a process and what it has started, from outside
 *
 * For processes that are not our children: their orphans do not come to us,
 * so descendants are looked for while their parent is there. Each is pinned
 * by a pidfd before it is looked at, and stays pinned until it is dead. A
 * process that is forked between the look and the kill is met by the next
 * sweep if its parent still lives, and otherwise escapes; a control group
 * that holds nothing else catches it.
 *
 * No glib: virt-lock-guard is made of this, too.
 *
 * Should:  be swept again whenever one of them has died.
 * Mustn't: signal a number; say that all are dead while one is not.
 */
#ifndef SUPERVISOR_SWEEP_H
#define SUPERVISOR_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SWEEP_EXCEPT_MAX 4

typedef struct {
    pid_t pid;
    int pidfd;
} SweepOne;

typedef struct {
    SweepOne *all; /* that are not known to be dead */
    size_t n;
    int deaths;      /* an epoll(7) of all pidfds: readable when one has died */
    int cgroup_kill; /* cgroup.kill of a group of their own, or -1 */
    int cgroup_procs;               /* ... and its cgroup.procs, or -1 */
    pid_t except[SWEEP_EXCEPT_MAX]; /* never pinned; 0: none */
    pid_t except_session;           /* likewise all of that; 0: none */
} Sweep;

/* Takes @pidfd over, also on failure (errno). Memory is had here once and for
 * all. */
bool sweep_init(Sweep *sweep, pid_t pid, int pidfd);
/* The same where nobody is known yet. */
bool sweep_init_empty(Sweep *sweep);
void sweep_clear(Sweep *sweep);

/* @pid is none of them, whoever has started it: we ourselves, for one. */
void sweep_except(Sweep *sweep, pid_t pid);
/* Likewise whoever is of session @session: the guard, whose parent may be one
 * of them, and each that takes its place. */
void sweep_except_session(Sweep *sweep, pid_t session);
/* Pins @pid by @pidfd, which it takes over; FALSE where it cannot be, and then
 * it does not. */
bool sweep_take(Sweep *sweep, pid_t pid, int pidfd);
/* Pins @pid, of which is known that it is one of them; FALSE where it cannot
 * be (one that is dead, or pinned already, is no failure). */
bool sweep_add(Sweep *sweep, pid_t pid);
/* The same where @test says so of it once it is pinned. */
typedef bool (*SweepTest)(const Sweep *sweep, pid_t pid, const void *data);
bool sweep_add_if(Sweep *sweep, pid_t pid, SweepTest test, const void *data);

/* Looks for descendants and members of the group, and pins them. FALSE where
 * some could not be seen, or there are too many. */
bool sweep_find(Sweep *sweep);
/* The same, and SIGKILL for all that live. */
bool sweep_kill(Sweep *sweep);
/* How many live of those that are pinned; lets go of the dead. */
size_t sweep_alive(Sweep *sweep);

#endif
