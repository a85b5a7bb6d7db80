/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the supervisor's side of its guard
 *
 * virt-lock-guard holds a copy of every lease, and sees to the end where we
 * are killed. It is started before anything is taken and before orphans come
 * to us, by a double fork, so that it is nobody's child of ours: not reaped,
 * not counted as the VM's, not killed with it. It is of a session of its own,
 * and so is each that takes the place of one that died; confined as we are by
 * then we could start none.
 *
 * What is told goes out before whoever asked for it is answered. A packet in
 * the socket counts as told: its descriptors outlive us there. One that does
 * not fit (a guard that is stopped, and reads nothing) makes us try to tell
 * everything again until that has worked; meanwhile nothing is guarded.
 *
 * Should:  tell everything again to every new guard.
 * Mustn't: wait for it, once it has been started.
 */
#ifndef SUPERVISOR_GUARD_H
#define SUPERVISOR_GUARD_H

#include <glib.h>
#include <sys/types.h>

#include "driver.h"

typedef struct Guard Guard;

typedef struct {
    /* Everything is to be told now, by the guard_...() below. */
    void (*tell)(gpointer opaque);
    /* One sentence: it is no more what it was. */
    void (*warning)(gpointer opaque, const char *sentence);
} GuardEvents;

/* Starts one for the VM @name and waits until it runs. */
Guard *guard_new(const char *name, const GuardEvents *events, gpointer opaque,
                 GError **error);
/* Says goodbye, and gives the guard a moment to close what it has. NULL is
 * fine, here and below. */
void guard_free(Guard *guard);

/* -1 in the place of descriptors that there are none of; all stay the
 * caller's. @ours: whoever has the VM's liveness has inherited it from the
 * child, and is to be killed. */
void guard_child(Guard *guard, pid_t pid, int pidfd, int cgroup_kill,
                 int cgroup_procs, gboolean ours);
/* A descendant of it, which may lose its parent. */
void guard_other(Guard *guard, pid_t pid, int pidfd);
void guard_live(Guard *guard, const DriverKept *live);
void guard_lease(Guard *guard, guint id, const DriverKept *lease);
void guard_forget(Guard *guard, guint id);

/* TRUE where it has been told everything. */
gboolean guard_is_told(const Guard *guard);
/* 0 where there is none (any more). */
pid_t guard_pid(const Guard *guard);
pid_t guard_session(const Guard *guard);

#endif
