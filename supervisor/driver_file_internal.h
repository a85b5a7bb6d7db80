/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the rooms of the file driver share; nobody else includes this
 *
 *   driver_file.c           the driver: acquire, release, hand-over's entry
 *   driver_file_places.c    which bytes of which files a lease consists of
 *   driver_file_passed.c    what a client has opened
 *   driver_file_lock.c      single lock calls, and sentences about them
 *   driver_file_kept.c      what others can hold of it
 *   driver_file_record.c    what others are told
 *   driver_file_drain.c     who still has the image open; watching it
 *   driver_file_handover.c  offer, claim, complete, take
 *
 * Words as in docs/file-protocol.md: L is the lease byte, C the claim byte,
 * VE and VS the liveness bytes (exclusive, shared) of one VM.
 */
#ifndef SUPERVISOR_DRIVER_FILE_INTERNAL_H
#define SUPERVISOR_DRIVER_FILE_INTERNAL_H

#include <sys/stat.h>

#include "driver.h"

/* A directory with the files `locks`, `liveness` and `holders/`: that of this
 * host, and the lockspace where there is one. */
typedef enum {
    HOME_HOST,
    HOME_LOCKSPACE,
    N_HOMES,
} HomeId;

typedef struct {
    const char *directory; /* NULL: there is no such home */
    int live;              /* V: one read-only description of `liveness` */
    int watched;           /* another one, see file_open_homes(), file_live() */
    RecordId record;       /* of the VM */
} Home;

typedef struct FileLease FileLease;

typedef struct {
    const DriverContext *context;
    Record me;       /* the owner, as records tell it */
    char *lockspace; /* NULL: none */
    Home homes[N_HOMES];
    GPtrArray *leases;  /* FileLease *, those that are held */
    guint check_s;      /* how often leases are asserted again; 0: never */
    gboolean check_all; /* ... on every file system, not on remote ones only */
    guint drain_s;      /* how long an object that is open is waited for */
    guint check_source, look_source;
    guint64 run; /* R, see docs/file-protocol.md; 0: nobody looks at it */
} FileDriver;

/* One D: a description of our own, and two bytes of it. */
typedef struct {
    HomeId home;
    char *path; /* NULL: a client opened it */
    int fd;
    struct stat st;
    guint64 lease;                 /* L */
    guint64 claim;                 /* C */
    gboolean has_lease, has_claim; /* what is locked, and by us */
} Place;

#define PLACES_MAX 3 /* image, block device, lockspace */

typedef enum {
    ROLE_HELD,
    ROLE_OFFERED,
    ROLE_CLAIMED,
    ROLE_COMPLETED,
} Role;

/* What a lease is doing for as long as it answers PENDING. */
typedef DriverAnswer (*FileStep)(FileLease *lease, GError **error);

struct FileLease {
    FileDriver *driver;
    DriverLease *lease;
    Place places[PLACES_MAX];
    guint n_places;
    gboolean has_image;    /* places[0] is the object itself */
    gboolean remote;       /* a network may stand before one of them */
    guint64 live[N_HOMES]; /* VE; VS is the byte after it */
    char *names[N_HOMES];  /* of the resource, in records */
    Role role;
    gboolean recorded;  /* as ours */
    gboolean lives;     /* our liveness byte is set */
    int type;           /* of L: F_WRLCK or F_RDLCK */
    gboolean alone;     /* nobody else had the object open at first */
    gboolean used;      /* a child may have written */
    gboolean qemu_seen; /* ... and locks it as QEMU does */
    gboolean changed;   /* said that the path names something else */
    gboolean lost;      /* said that the lock is gone */
    gboolean doubtful;  /* said that a lock could not be set again */
    gboolean inactive;  /* of take, see driver.h */
    FileStep step;      /* with a source */
    guint step_source;
    gint64 step_since;   /* monotonic, microseconds */
    gint64 said;         /* likewise: when waiting was last spoken of */
    const char *waiting; /* for what, or NULL */
};

static inline gboolean file_is_exclusive(const FileLease *f)
{
    return f->lease->resource->mode == RESOURCE_EXCLUSIVE;
}

/* A disk that a child may write to. */
static inline gboolean file_is_written(const FileLease *f)
{
    return f->has_image && f->lease->resource->kind == RESOURCE_DISK &&
           f->lease->resource->mode != RESOURCE_READONLY;
}

/* driver_file_places.c */
/* open(2), tried again where somebody's F_SETLEASE refuses it. */
int file_open_now(const char *path, int flags);
int file_open_flags(const FileLease *f);
/* Makes a home's directory and opens its V, once. */
gboolean file_open_homes(FileDriver *driver, GError **error);
/* Opens every D of @f; file_close_places() also after a failure. */
gboolean file_open_places(FileLease *f, GError **error);
void file_close_places(FileLease *f);
/* FALSE where a path names another file by now; what it says of the image:
 * "replaced", "unlinked", or NULL. */
gboolean file_places_are_current(const FileLease *f);
const char *file_image_changed(const FileLease *f);

/* driver_file_passed.c */
/* The descriptor to be used for what a client passed; -1: it is no good. */
int file_use_passed(FileLease *f, GError **error);

/* driver_file_lock.c; each ...() is a lock call, or one for every place. */
/* Sets byte @byte of @place to @type; LEASE_BUSY and who has it where that
 * fails because of others. */
gboolean file_set_byte(FileLease *f, const Place *place, guint64 byte, int type,
                       GError **error);
gboolean file_set_leases(FileLease *f, int type, GError **error);
gboolean file_set_claims(FileLease *f, int type, GError **error);
/* Read-locks our own liveness byte, or unlocks it; with the VM's own, R. */
gboolean file_set_live(FileLease *f, int type, GError **error);
/* LEASE_BUSY where others live; @shared: VS, not VE. */
gboolean file_others_gone(FileLease *f, gboolean shared, GError **error);
/* TRUE where somebody else has L of a place, however; C for writing. */
gboolean file_another_holds(const FileLease *f);
gboolean file_another_claims(const FileLease *f);
/* The first of QEMU's bytes FIRST to LAST that somebody has locked, 0: none.
 * A failed call answers 0 and sets errno. */
guint file_qemu_byte(const FileLease *f, guint first, guint last);
/* The same of those of who writes. */
guint file_writing_byte(const FileLease *f);
/* LEASE_BUSY where QEMU's bytes forbid a fresh lease of this mode. */
gboolean file_taker_looks(FileLease *f, GError **error);
/* TRUE where @err, of a lock call, means that a held lock is gone: the child
 * that may be writing under it will be killed. */
gboolean file_is_lost(FileLease *f, int err);

/* driver_file_record.c */
/* Writes the VM's own record; FALSE where one could not be written. */
gboolean file_record_vm(FileDriver *driver, GError **error);
/* Says in the records that the VM is being ended. */
void file_record_exiting(FileDriver *driver);
/* Says what has changed of the owner, who has the VM alone. */
void file_tell(gpointer driver);
json_t *file_told(gpointer driver);
void file_write_records(FileLease *f);
void file_remove_records(FileLease *f);

/* driver_file_drain.c */
/* TRUE where nothing can write any more, as far as can be seen; otherwise
 * sets f->waiting. */
gboolean file_drained(FileLease *f);
/* A write F_SETLEASE, for a moment: only who has a file open alone gets it. */
DriverUse file_ask_alone(const FileLease *f);
DriverUse file_use(gpointer driver, const DriverLease *lease);
void file_used(gpointer driver, DriverLease *lease);
void file_exiting(gpointer driver);
/* Does the child lock the image as QEMU does? It is about to stop that. */
void file_look_now(FileLease *f);
void file_describe(gpointer driver, DriverLease *lease, json_t *out);

/* driver_file_kept.c */
void file_kept(gpointer driver, const DriverLease *lease, DriverKept *out);
void file_live(gpointer driver, const DriverLease *lease, DriverKept *out);

/* driver_file.c */
FileLease *file_lease_new(FileDriver *driver, DriverLease *lease);
/* Unlocks and closes everything, and frees @f. */
void file_let_go(FileLease *f);
/* The lease is ours: record it. */
DriverAnswer file_hold(FileLease *f);
/* Does @step now, and while it answers PENDING again and again. */
DriverAnswer file_keep_trying(FileLease *f, FileStep step, GError **error);
void file_stop_trying(FileLease *f);

/* driver_file_handover.c */
/* TRUE where a target was completed since @f was offered. */
gboolean file_was_completed(const FileLease *f);
gboolean file_completed(gpointer driver);
DriverAnswer file_offer(gpointer driver, DriverLease *lease, GError **error);
gboolean file_claimed(gpointer driver, DriverLease *lease, GError **error);
DriverAnswer file_claim(gpointer driver, DriverLease *lease, GError **error);
DriverAnswer file_complete(gpointer driver, DriverLease *lease,
                           gboolean inactive, GError **error);
DriverAnswer file_take(gpointer driver, DriverLease *lease, gboolean inactive,
                       GError **error);

#endif
