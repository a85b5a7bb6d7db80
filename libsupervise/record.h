/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who holds what, for people
 *
 * A record is a small JSON file in the state directory that names the holder
 * of a resource. It feeds messages ("held by 'web1' ...") and nothing else:
 * locks decide, records explain. Written atomically; garbage, truncation and
 * stale files are expected and read as "nobody known".
 *
 *   STATE/locks                    lock bytes of VMs and of leases that name
 *                                  no path: see record_lock_byte()
 *   STATE/holders/vm-UUID          the record of a VM
 *   STATE/holders/RESOURCE         ... of an exclusive holder: a hard link
 *   STATE/holders/RESOURCE.UUID    ... of one shared holder: a hard link
 *
 * RESOURCE is "MAJOR:MINOR-INODE-OFFSET" of the locked file, or
 * "block-MAJOR:MINOR-OFFSET" of a block device, in decimal.
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
} Record;

/*
 * record_lock_byte:
 * @space: "vm", or "lease:" and a lockspace
 * @key: the VM's uuid, or the lease's key
 *
 * Returns the byte of STATE/locks that stands for them: four times the first
 * 60 bits (big endian) of SHA-256 over @space, a NUL and @key. The three
 * bytes after it are reserved. A collision can only refuse.
 */
guint64 record_lock_byte(const char *space, const char *key);

/* File name in STATE/holders for @offset of the file or device that @st
 * describes; newly allocated. */
char *record_resource(const struct stat *st, guint64 offset);

/* Writes @record to STATE/holders/@file, atomically; makes the directory
 * where it is missing. @error is for a warning: leases stand without. */
gboolean record_write(const char *state_dir, const char *file,
                      const Record *record, GError **error);
/* Makes the record @from known as @file too, in place of what was there. */
gboolean record_link(const char *state_dir, const char *from, const char *file,
                     GError **error);
void record_remove(const char *state_dir, const char *file);

/*
 * record_find:
 * @resource: from record_resource()
 * @shared: look for shared holders too
 *
 * Returns the record of a holder as an object ({"uuid","name","host","pid",
 * "since",...} and "mode", the caller owns it), one whose process lives if
 * there is one; NULL where nobody is known. Records of this
 * host's dead are passed over.
 */
json_t *record_find(const char *state_dir, const char *resource,
                    gboolean shared);

/* "held by 'web1' (UUID, HOST, pid 4711) since 09:13", newly allocated; a
 * NULL @holder reads "held by another process". A date stands before the
 * time where it is not today's (local time). */
char *record_describe(const json_t *holder);

/* TRUE where @holder is on this host and boot and its process still runs. */
gboolean record_alive(const json_t *holder);

/* Start time of @pid in clock ticks after boot, 0 if it cannot be read. */
gint64 record_start_time(gint64 pid);

#endif
