/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what lease.c (the entries) and lease_work.c (what is done to them)
 * share; nobody else includes this.
 */
#ifndef SUPERVISOR_LEASE_INTERNAL_H
#define SUPERVISOR_LEASE_INTERNAL_H

#include "lease.h"

struct Lease {
    DriverLease d; /* what the driver sees */
    LeaseTable *table;
    Resource *resource;
    const DriverOps *ops;
    gpointer driver;
    LeaseStatus status;
    gint64 since;     /* held since, seconds since the epoch */
    gint64 expires;   /* microseconds of CLOCK_BOOTTIME, 0: never */
    LeaseReply reply; /* of a single acquire or release, else NULL */
    gpointer reply_data;
};

/* What is being done to many leases at once. */
typedef enum {
    IDLE,
    ACQUIRING,
    ROLLING_BACK,
    RETRYING,
    RELEASING,
} LeaseWork;

struct LeaseTable {
    const LeaseEvents *events;
    gpointer opaque;
    GPtrArray *leases; /* in the order of acquiring */
    guint last_id;
    LeaseWork work;
    LeaseSet set; /* what work is done on */
    gboolean wait;
    gboolean used; /* a child may write under the leases */
    guint retry;   /* source id */
    GError *error;
    const Lease *denied; /* what the error is about */
    json_t *holder;
    gint64 told; /* monotonic, microseconds: when the wait was spoken of */
};

static inline Lease *lease_at(LeaseTable *table, guint i)
{
    return g_ptr_array_index(table->leases, i);
}

#endif
