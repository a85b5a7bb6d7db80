/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the herd's files share, and nobody else sees. */
#ifndef VIRT_LOCKCTL_HERD_INTERNAL_H
#define VIRT_LOCKCTL_HERD_INTERNAL_H

#include "virt-lockctl-arrivals.h"
#include "virt-lockctl-dir.h"
#include "virt-lockctl-herd.h"
#include "virt-lockctl-refusals.h"

typedef struct {
    Member m; /* must be first */
    char *path;
    SocketId socket;
    gint64 since; /* of the connection, CLOCK_MONOTONIC microseconds */
    gint64 asked; /* when, of what is not answered yet; or 0 */
    gboolean dirty;
} Full;

struct Herd {
    char *run_dir;
    int call_ms;
    char *vm;           /* the one that is wanted; or NULL */
    Full *only;         /* found by herd_new(), until herd_update() */
    GPtrArray *members; /* of Full */
    Arrivals *arrivals;
    Refusals *refusals;
    DirWatch *dir; /* NULL: not followed */
    gboolean scan; /* the directory must be looked at */
    GError *lost;  /* the directory cannot be looked at any more */
};

#endif
