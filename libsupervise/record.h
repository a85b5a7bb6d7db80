/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who holds what, for people
 *
 * A record is a small JSON file in the state directory that names the holder
 * of a resource. It feeds messages ("held by 'web1' ...") and nothing else:
 * locks decide, records explain. Written atomically; garbage, truncation and
 * stale files are expected and read as "nobody known".
 *
 *   STATE/vms/UUID.lock            the VM's own lease (byte 0) and its lock
 *   STATE/leases/SHA256.lock       lock file of a lease that names no path
 *   STATE/holders/RESOURCE         record of an exclusive holder
 *   STATE/holders/RESOURCE.UUID    record of one shared holder
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
    const char *uuid;     /* of the VM */
    const char *name;     /* of the VM */
    const char *host;     /* gethostname() */
    const char *boot_id;  /* /proc/sys/kernel/random/boot_id */
    const char *resource; /* as the holder named it */
    const char *mode;     /* "exclusive", "shared" or "readonly" */
    gint64 pid;           /* of the supervisor */
    gint64 start_time;    /* of pid, clock ticks after boot: field 22 of
                             /proc/PID/stat */
    gint64 since;         /* seconds since the epoch */
} Record;

/* File name in STATE/holders for @offset of the file or device that @st
 * describes; newly allocated. */
char *record_resource(const struct stat *st, guint64 offset);

/* Writes @record to STATE/holders/@file, atomically; makes the directory
 * where it is missing. @error is for a warning: leases stand without. */
gboolean record_write(const char *state_dir, const char *file,
                      const Record *record, GError **error);
void record_remove(const char *state_dir, const char *file);

/*
 * record_find:
 * @resource: from record_resource()
 * @shared: look for shared holders too
 *
 * Returns the record of a holder as an object ({"uuid","name","host","pid",
 * "since",...}, the caller owns it), one whose process lives if there is
 * one; NULL where nobody is known.
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
