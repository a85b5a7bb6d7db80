/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the supervisor gives up once the child is parked
 *
 * Everything here is inherited by children and cannot be undone, so it is
 * done after the fork and reaches only us: QEMU gets none of it. A filter
 * that misses a call of some later libc degrades us with EPERM (and a line
 * in the audit log); it never kills, since our death would be the guest's.
 *
 * Each step is best effort: what could not be had is named, and reported by
 * query-status for as long as we run.
 */
#ifndef SUPERVISOR_CONFINE_H
#define SUPERVISOR_CONFINE_H

#include <glib.h>

#define CONFINE_STEPS(X)                                                       \
    X(OOM_SCORE, "oom-score", "out of memory, the kernel prefers others")      \
    X(MEMORY_LOCKED, "memory-locked", "pages in use are not swapped out")      \
    X(UNDUMPABLE, "undumpable", "no ptrace by the child's user, no core")      \
    X(CAPABILITIES, "capabilities", "none, but for root's CAP_KILL")           \
    X(NO_NEW_PRIVS, "no-new-privs", "nothing is gained by exec")               \
    X(SECCOMP, "seccomp", "only the system calls that are needed")

typedef enum {
#define X(id, name, doc) CONFINE_##id,
    CONFINE_STEPS(X)
#undef X
        CONFINE_N_STEPS
} ConfineStep;

const char *confine_name(ConfineStep step);

/* Opens /dev/null where one of the descriptors 0 to 2 is closed, so that
 * nothing else lands there. */
void confine_take_stdio(void);

/* Closes what the command was given and we were not: every descriptor from 3
 * that is not close-on-exec. Standard input and output become /dev/null, the
 * working directory becomes "/". */
void confine_close_inherited(void);

/* Takes all steps; returns which worked, as a mask of 1 << ConfineStep. */
guint confine_apply(void);

#endif
