/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what lease.c (the entries), lease_work.c (what is done to them) and
 * lease_handover.c share; nobody else includes this.
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
    gboolean moving;  /* offer, complete or take is PENDING */
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
    MOVING, /* see lease_handover.c */
} LeaseWork;

struct LeaseTable {
    const LeaseEvents *events;
    gpointer opaque;
    GPtrArray *leases; /* in the order of acquiring */
    guint last_id;
    LeaseWork work;
    LeaseSet set; /* what work is done on */
    gboolean wait;
    gboolean claim; /* the work is to claim, not to acquire */
    gboolean used;  /* a child may write under the leases */
    LeaseMove move;
    guint moved;    /* how many leases the move has done */
    gboolean quiet; /* of a take */
    guint retry;    /* source id */
    GError *error;
    GError *busy; /* of the last try that ended, while it is waited; or NULL */
    const Lease *denied; /* what the error is about */
    json_t *holder;
    gint64 told; /* monotonic, microseconds: when the wait was spoken of */
};

static inline Lease *lease_at(const LeaseTable *table, guint i)
{
    return g_ptr_array_index(table->leases, i);
}

/* Its locks are ours, whatever they are good for. */
static inline gboolean lease_is_ours(const Lease *lease)
{
    return lease->status == LEASE_HELD || lease->status == LEASE_OFFERED ||
           lease->status == LEASE_CLAIMED;
}

/* lease_handover.c */
/* Goes on with a move. */
void lease_move_on(LeaseTable *table);
/* The driver has ended what @lease was moving for. */
void lease_moved(LeaseTable *table, Lease *lease, const GError *error);

#endif
