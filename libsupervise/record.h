/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who holds what, for people
 *
 * A record is a small JSON file in the state directory that names the holder
 * of a resource. It feeds messages ("held by 'web1' ..."): locks decide,
 * records explain. One number of it decides too, in a hand-over only: the
 * generation. Written atomically; garbage, truncation and
 * stale files are expected and read as "nobody known".
 *
 *   STATE/locks                    lock bytes of VMs, of block devices and of
 *                                  leases that name no path
 *   STATE/liveness                 lock bytes of children
 *   STATE/holders/vm-UUID          the record of a VM
 *   STATE/holders/RESOURCE         ... of an exclusive holder: a hard link
 *   STATE/holders/RESOURCE.UUID    ... of one shared holder: a hard link
 *
 * RESOURCE is "MAJOR:MINOR-INODE-OFFSET" of the locked file, or
 * "block-MAJOR:MINOR-OFFSET" of a block device, in decimal. Every byte is in
 * docs/file-protocol.md.
 */
#ifndef LIBSUPERVISE_RECORD_H
#define LIBSUPERVISE_RECORD_H

#include <glib.h>
#include <jansson.h>
#include <sys/stat.h>

typedef struct {
    const char *uuid;    /* of the VM */
    const char *name;    /* of the VM */
    const char *host;    /* gethostname() */
    const char *boot_id; /* /proc/sys/kernel/random/boot_id */
    gint64 pid;          /* of the supervisor */
    gint64 start_time;   /* of pid, clock ticks after boot: field 22 of
                            /proc/PID/stat */
    gint64 since;        /* seconds since the epoch */
    gint64 generation;   /* raised each time that the VM changes hands */
    const char *nonce;   /* of its state tokens, always as long; may be NULL */
    gboolean exiting;    /* its child is being killed, or its writes awaited */
    gboolean taking; /* it was completed as a target; its source lives yet */
} Record;

/* A record that was written, under all its names. */
typedef struct {
    dev_t device;
    ino_t inode; /* 0: there is none */
} RecordId;

/*
 * record_lock_byte:
 * @space: "vm", or "lease:" and a lockspace
 * @key: the VM's uuid, or the lease's key
 *
 * Returns the first of the four bytes that stand for them in STATE/locks and
 * STATE/liveness: four times the first 60 bits (big endian) of SHA-256 over
 * @space, a NUL and @key. A collision can only refuse.
 */
guint64 record_lock_byte(const char *space, const char *key);

/* File name in STATE/holders for @offset of the file or device that @st
 * describes; newly allocated. */
char *record_resource(const struct stat *st, guint64 offset);

/* Writes @record to STATE/holders/@file, atomically; makes the directory
 * where it is missing. @id: set, to nothing where that fails. @error is for
 * a warning: leases stand without. */
gboolean record_write(const char *state_dir, const char *file,
                      const Record *record, RecordId *id, GError **error);
/* Writes @record over that which is in STATE/holders/@file, under all its
 * names. It may differ from what is there in `exiting`, `taking` and `nonce`
 * only. FALSE where that is not @id. */
gboolean record_mark(const char *state_dir, const char *file,
                     const Record *record, const RecordId *id);
/* Makes the record @from known as @file too, in place of what was there. */
gboolean record_link(const char *state_dir, const char *from, const char *file,
                     GError **error);
/* Removes the name @file of a record, where it still is one. */
void record_remove(const char *state_dir, const char *file, const RecordId *id);
/* The record in STATE/holders/@file as an object that the caller owns, NULL
 * where there is none; and its generation, 0 where there is none. */
json_t *record_get(const char *state_dir, const char *file);
gint64 record_generation(const char *state_dir, const char *file);

typedef enum {
    RECORD_SHARED = 1 << 0,      /* look for shared holders too */
    RECORD_DEAD = 1 << 1,        /* this host's dead count as exiting */
    RECORD_SHARED_ONLY = 1 << 2, /* ... and for no others */
} RecordFlags;

/*
 * record_find:
 * @resource: from record_resource()
 * @flags: RecordFlags
 *
 * Returns the record of a holder as an object ({"uuid","name","host","pid",
 * "since",...} and "mode", the caller owns it), one whose process lives if
 * there is one; NULL where nobody is known. Records of this host's dead are
 * passed over but for RECORD_DEAD, where they are the better ones: who asks
 * for them knows that a supervisor is dead and its child is not.
 */
json_t *record_find(const char *state_dir, const char *resource, guint flags);

/* "held by 'web1' (UUID, HOST, pid 4711) since 09:13", or "held by 'web1',
 * which is exiting (UUID, HOST, pid 4711)", newly allocated; a NULL @holder
 * reads "held by another process". A date stands before the time where it is
 * not today's (local time). */
char *record_describe(const json_t *holder);

/* TRUE where @holder is on this host and boot and its process still runs. */
gboolean record_alive(const json_t *holder);

/* Start time of @pid in clock ticks after boot, 0 if it cannot be read. */
gint64 record_start_time(gint64 pid);

#endif
