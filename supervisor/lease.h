/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the lease table
 *
 * Every lease of the VM, what state it is in, and the two things that are
 * done to many at once: acquire all or none, and release all. Works through
 * drivers only, and in steps, since a driver may answer PENDING.
 *
 * The VM's own lease (kind VM) is a set of its own: it is taken first and
 * let go last. The others are taken in the order of (device, inode, offset),
 * the same for everybody, so that two who want the same disks never hold
 * half of them each for long.
 *
 * A hand-over moves all leases at once (lease_handover.c): the source offers
 * them, or takes them back; the target has claimed them, completes, and takes
 * them. The VM's own is offered and completed last, and claimed first: who has
 * claimed it finds all others offered.
 *
 * Should:  drop everything got so far when one lease cannot be had.
 * Mustn't: decide when to release: supervisor.c does, after the reap.
 */
#ifndef SUPERVISOR_LEASE_H
#define SUPERVISOR_LEASE_H

#include "driver.h"

#define LEASE_STATUSES(X)                                                      \
    X(WANTED)                                                                  \
    X(PENDING)                                                                 \
    X(HELD)                                                                    \
    X(OFFERED)                                                                 \
    X(CLAIMED)                                                                 \
    X(LOST)                                                                    \
    X(RELEASING)

typedef enum {
#define X(id) LEASE_##id,
    LEASE_STATUSES(X)
#undef X
} LeaseStatus;

typedef enum {
    LEASE_SET_VM,
    LEASE_SET_OTHERS,
} LeaseSet;

/* What is done to all leases, the VM's own included, in a hand-over. */
typedef enum {
    LEASE_MOVE_OFFER,
    LEASE_MOVE_COMPLETE,
    LEASE_MOVE_TAKE,
} LeaseMove;

typedef struct Lease Lease;
typedef struct LeaseTable LeaseTable;

/* Called from the event loop or from within the call that caused them. */
typedef struct {
    /* lease_table_acquire() ended: all of @set are held, or claimed. */
    void (*granted)(gpointer opaque, LeaseSet set);
    /* ... or none is. @holder: who has the busy one, or NULL. */
    void (*denied)(gpointer opaque, const GError *error, json_t *holder);
    /* Something that people should know of @lease. */
    void (*warning)(gpointer opaque, Lease *lease, MessageKind kind,
                    const char *sentence);
    /* A driver lost @lease, @why. */
    void (*lost)(gpointer opaque, Lease *lease, const char *why);
    /* lease_table_release() ended. */
    void (*released)(gpointer opaque, LeaseSet set);
    /* A child may write under @lease from now on; its locks are about to be
     * given up; is it kept by somebody else as well? Each may be NULL. */
    void (*used)(gpointer opaque, Lease *lease);
    void (*letting_go)(gpointer opaque, Lease *lease);
    gboolean (*guarded)(gpointer opaque);
    /* A move ended; @error NULL where it worked, for all leases. */
    void (*moved)(gpointer opaque, LeaseMove move, const GError *error);
    /* TRUE where the child is not known to have the lease's object open as
     * QEMU does. May be NULL. */
    gboolean (*inactive)(gpointer opaque, Lease *lease);
} LeaseEvents;

/* How a single acquire or release ended; @error NULL where it worked.
 * @lease is NULL where it is no more in the table. */
typedef void (*LeaseReply)(gpointer data, Lease *lease, const GError *error,
                           json_t *holder);

LeaseTable *lease_table_new(const LeaseEvents *events, gpointer opaque);
/* What lease_table_new() was given. */
gpointer lease_table_owner(const LeaseTable *table);
/* Frees the table; leases that are still held are forgotten, not released. */
void lease_table_free(LeaseTable *table);
/* Give these to the drivers, with the table as their opaque pointer. */
extern const DriverEvents lease_driver_events;

/*
 * lease_table_add:
 * @resource: taken over, also on failure
 * @fd: the opened object that a client passed, taken over, also on failure;
 *   or -1
 *
 * Registers a lease. BAD_ARGUMENT where its path cannot be leased (missing,
 * a directory, ...) or names what another lease of the table stands for.
 */
Lease *lease_table_add(LeaseTable *table, const DriverOps *ops, gpointer driver,
                       Resource *resource, int fd, GError **error);

/* Acquires all of @set, or none. @wait: a busy lease is tried again, every
 * 20 ms with jitter, all dropped in between, until lease_table_release(). */
void lease_table_acquire(LeaseTable *table, LeaseSet set, gboolean wait);
/* The same on a migration target: exclusive ones are claimed from the source
 * (CLAIMED, not HELD). The VM's own is acquired where it has no source. */
void lease_table_claim(LeaseTable *table, LeaseSet set, gboolean wait);
/* TRUE where the VM's own lease was claimed from a source. */
gboolean lease_table_has_source(const LeaseTable *table);
/* From now on a child may write under the leases, later ones included. */
void lease_table_used(LeaseTable *table);
/* Releases all of @set; also ends a lease_table_acquire(). */
void lease_table_release(LeaseTable *table, LeaseSet set);

/* One lease while the child runs. @reply is called exactly once. */
void lease_acquire(LeaseTable *table, Lease *lease, LeaseReply reply,
                   gpointer data);
void lease_release(LeaseTable *table, Lease *lease, LeaseReply reply,
                   gpointer data);

/*
 * lease_table_move:
 * @quiet: of a take: only when nobody writes to the disks any more
 *
 * Begins a move; moved is told when it ends, maybe from within this call. One
 * that failed leaves some leases moved and others not: offer and take go on
 * from there, complete has done nothing. lease_table_release() and another
 * move take the place of one that has not ended.
 */
void lease_table_move(LeaseTable *table, LeaseMove move, gboolean quiet);
/* FALSE and NOT_SUPPORTED or WRONG_STATE where no move can begin. */
gboolean lease_table_can_move(const LeaseTable *table, GError **error);
/* TRUE where a target has claimed every lease that was offered. */
gboolean lease_table_is_claimed(LeaseTable *table, GError **error);
/* A sentence on the first lease that a take waits for, or NULL; newly
 * allocated. */
char *lease_table_hindrance(LeaseTable *table);

/* Its release, now or later, is not to wait for anything. */
void lease_force(Lease *lease);

/* What another is to keep of @lease, and of the VM's liveness; FALSE: nothing.
 * See driver.h. */
gboolean lease_kept(Lease *lease, DriverKept *out);
gboolean lease_table_live(LeaseTable *table, DriverKept *out);
/* Calls @each for those that a child may write under. */
void lease_table_each_used(LeaseTable *table,
                           void (*each)(gpointer opaque, Lease *lease));
guint lease_id(const Lease *lease);

/* Somebody said that @lease is lost. */
void lease_mark_lost(Lease *lease);

/* The lease on what @resource names (its mode does not matter), or NULL. */
Lease *lease_table_find(LeaseTable *table, const Resource *resource);
/* What of the leases is for that file or (with @block) device; NULL: none. */
const Resource *lease_table_covering(LeaseTable *table, gboolean block,
                                     dev_t device, ino_t inode);
/* Why the last lease_table_acquire() did not get all; NULL where it did. */
const GError *lease_table_error(LeaseTable *table);
/* Which lease that is about; NULL where there is no error. */
const Lease *lease_table_denied(LeaseTable *table);
/* Who has it, as a record says; NULL where nobody is known. */
json_t *lease_table_holder(LeaseTable *table);
/* How many leases are not the VM's own. */
guint lease_table_count(LeaseTable *table);
const Resource *lease_resource(const Lease *lease);
LeaseStatus lease_status(const Lease *lease);
guint lease_driver_flags(const Lease *lease);
/* What the driver can see, see driver.h. */
DriverUse lease_use(const Lease *lease);
/* FALSE where the object is not known by device and inode. */
gboolean lease_identity(const Lease *lease, gboolean *block, dev_t *device,
                        ino_t *inode);
/* New references; the second is an array of all leases. */
json_t *lease_to_json(Lease *lease);
json_t *lease_table_to_json(LeaseTable *table);
/* An object: name of each lease -> what is guaranteed, an array of words. */
json_t *lease_table_guarantees(LeaseTable *table);

#endif
