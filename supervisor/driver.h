/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what a lease driver is
 *
 * The supervisor asks, the driver answers: DONE, PENDING or FAILED. What it
 * answered PENDING it ends later with events->done(). A driver may also say
 * that a lease was renewed or lost. Once the child exists no operation may
 * block: a driver that talks to a network is a process of its own, and its
 * operations answer PENDING.
 *
 * Order of calls:
 *
 *   open -> acquire* -> used* -> inherit -> [ child runs: acquire, used |
 *           release | offer, (claimed, completed), take | complete, take ]*
 *           [ claim instead of acquire on a migration target ]
 *        -> (child dead and reaped) -> release* -> close
 *
 * A driver that can tell that something may still write keeps the lease in
 * release until that has ended, answering PENDING, for ever if need be. A new
 * operation on a lease takes the place of one that is PENDING.
 *
 * Should:  keep the lease whenever in doubt.
 * Mustn't: touch the child, the control socket or another driver.
 */
#ifndef SUPERVISOR_DRIVER_H
#define SUPERVISOR_DRIVER_H

#include <glib.h>
#include <jansson.h>
#include <sys/types.h>

#include "../libsupervise/record.h"
#include "../libsupervise/resource.h"
#include "messages.h"

typedef enum {
    DRIVER_DONE,
    DRIVER_PENDING,
    DRIVER_FAILED, /* error is set; LEASE_BUSY where someone else holds it */
} DriverAnswer;

/* The end of what complete() says where @inactive is not so, or too early. */
#define DRIVER_SOURCE_WRITES "the source still writes to it"

typedef enum {
    DRIVER_UNUSED,
    DRIVER_IN_USE,
    DRIVER_USE_UNKNOWN,
} DriverUse;

/* What a driver can do, printed in hex. */
typedef enum {
    DRIVER_HOTPLUG = 1 << 0, /* acquire and release while the child runs */
    DRIVER_MIGRATE = 1 << 1, /* offer, claim, take */
    DRIVER_RENEWS = 1 << 2,  /* leases expire: the supervisor must not stop */
} DriverFlags;

#define DRIVER_KEPT_MAX 3

/* What a lease consists of, for another process that is to keep it, too. */
typedef struct {
    int fds[DRIVER_KEPT_MAX]; /* n of them; a disk itself comes first */
    guint64 bytes[DRIVER_KEPT_MAX];
    guint n;
    gboolean drained; /* it is drained before it is let go */
    gboolean alone;   /* nobody else had it open at first */
    gboolean remote;  /* to look at it may take long */
    gboolean vm;      /* the VM's own: let go last */
    guint limit_s;    /* of the drain */
} DriverKept;

/* One lease, as driver and lease table share it. */
typedef struct {
    guint id;
    const Resource *resource;
    int fd;         /* the opened object; -1 before acquire, unless a client
                       passed it along; the driver closes it in release */
    gboolean force; /* release at once: the operator knows */
    gboolean identified; /* the next four are set */
    gboolean block;      /* a block device: device is its own number */
    dev_t device;        /* that locks are taken on */
    ino_t inode;
    guint64 offset;   /* of the locked byte */
    gboolean claimed; /* set by claim: from a source; FALSE: acquired */
    json_t *holder;   /* who has it, after LEASE_BUSY; or NULL */
    gpointer data;    /* the driver's own */
} DriverLease;

/* What a driver says by itself, always from the event loop. */
typedef struct {
    /* The PENDING operation on @id ended; @error NULL where it worked. */
    void (*done)(gpointer opaque, guint id, const GError *error);
    /* @id is ours until @expires, microseconds of CLOCK_BOOTTIME. */
    void (*renewed)(gpointer opaque, guint id, gint64 expires);
    /* The release or take of @id is PENDING still, and @why; said now and
     * then. */
    void (*waiting)(gpointer opaque, guint id, const char *why);
    /* Something is strange about @id that is not its loss. */
    void (*warning)(gpointer opaque, guint id, MessageKind kind,
                    const char *sentence);
    /* @id is about to be given up. May be NULL. */
    void (*letting_go)(gpointer opaque, guint id);
    /* @id is lost, or will be in @grace_ms. */
    void (*lost)(gpointer opaque, guint id, guint grace_ms, const char *why);
} DriverEvents;

/* What a driver is told when it is opened; outlives it. */
typedef struct {
    const char *state_dir;
    char **params;       /* "KEY=VALUE" strings, NULL-terminated */
    const Record *owner; /* who takes the leases: for records */
    const DriverEvents *events;
    gpointer opaque; /* for @events */
    /* The child has what inherit() named. Changes. */
    gboolean inherited;
    /* TRUE where the process that is being attached has the file open, and
     * QEMU's locks on it are its own. NULL: there is no such process. */
    gboolean (*is_childs)(gpointer opaque, gboolean block, dev_t device,
                          ino_t inode);
} DriverContext;

typedef struct {
    const char *name;
    guint flags; /* DriverFlags */
    /* Return the driver's state, or NULL and an error (a parameter that the
     * driver does not know is BAD_ARGUMENT). */
    gpointer (*open)(const DriverContext *context, GError **error);
    void (*close)(gpointer driver);
    /* Descriptors that the child is to inherit: at most @max of them are put
     * into @fds, how many is returned. They stay the driver's. NULL: none. */
    guint (*inherit)(gpointer driver, int *fds, guint max);
    /* The VM is being ended: tell those who ask who has it. May be NULL. */
    void (*exiting)(gpointer driver);
    DriverAnswer (*acquire)(gpointer driver, DriverLease *lease,
                            GError **error);
    /* From now on a child may write under it. May be NULL. */
    void (*used)(gpointer driver, DriverLease *lease);
    DriverAnswer (*release)(gpointer driver, DriverLease *lease,
                            GError **error);
    /* Whether somebody else has the object of an exclusive lease open, as
     * far as the driver can tell; NULL: it cannot. */
    DriverUse (*use)(gpointer driver, const DriverLease *lease);
    /* What a held lease consists of. Descriptors stay the driver's, locks are
     * theirs, whoever has them. NULL: it cannot be kept by another. */
    void (*kept)(gpointer driver, const DriverLease *lease, DriverKept *out);
    /* The VM's own liveness bytes (@lease is the VM's), each in a file through
     * which we do not hold it ourselves. NULL: there are none. */
    void (*live)(gpointer driver, const DriverLease *lease, DriverKept *out);
    /* Adds what only the driver knows of a held lease to @out: appends words
     * to its array "guarantee", and sets "changed" and "waiting". Must not
     * wait for a network. NULL: nothing to add. */
    void (*describe)(gpointer driver, DriverLease *lease, json_t *out);
    /*
     * Hand-over; all NULL without DRIVER_MIGRATE. Source: offer, claimed (may
     * it be let go?), then release, or take to have it back (offer again ends
     * a take). Target: claim, complete, take, or release.
     * complete only looks, until the VM's own lease is completed, last.
     * @inactive: the target's QEMU has not opened the object yet, so nobody
     * else may have it open either.
     * claim, of the VM's own lease: acquires it where no source has it.
     */
    DriverAnswer (*offer)(gpointer driver, DriverLease *lease, GError **error);
    gboolean (*claimed)(gpointer driver, DriverLease *lease, GError **error);
    DriverAnswer (*claim)(gpointer driver, DriverLease *lease, GError **error);
    DriverAnswer (*complete)(gpointer driver, DriverLease *lease,
                             gboolean inactive, GError **error);
    DriverAnswer (*take)(gpointer driver, DriverLease *lease, gboolean inactive,
                         GError **error);
    /* Of the driver that has the VM's own lease; NULL for others. A target was
     * completed since it was offered. */
    gboolean (*completed)(gpointer driver);
    /* The record of the VM, whoever's it is by now; NULL: none. The caller
     * owns it. */
    json_t *(*told)(gpointer driver);
    /* What the owner's record says has changed (its nonce); the owner has the
     * VM alone. */
    void (*tell)(gpointer driver);
} DriverOps;

extern const DriverOps driver_nop;
extern const DriverOps driver_file;

#endif
