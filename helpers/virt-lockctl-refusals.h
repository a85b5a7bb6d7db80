/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: sockets that were of no use
 *
 * Nobody listens, or not to us. Such a socket is left alone until it is
 * another one; but where nobody listens on a new one somebody may be about
 * to, which nothing tells of: that is tried again for a while. And so is, ever
 * more rarely, one that takes no connection since it has too many.
 */
#ifndef VIRT_LOCKCTL_REFUSALS_H
#define VIRT_LOCKCTL_REFUSALS_H

#include <glib.h>
#include <sys/types.h>

/* Which socket it was: another one may take its name. */
typedef struct {
    dev_t device;
    ino_t inode;
    gint64 changed; /* nanoseconds, of CLOCK_REALTIME */
} SocketId;

gboolean socket_id(const char *path, SocketId *id);
/* The same socket, though its rights may have been changed. */
gboolean socket_id_equal(const SocketId *one, const SocketId *other);

typedef struct Refusals Refusals;

Refusals *refusals_new(void);
void refusals_free(Refusals *refusals);

/* @error: taken; why, NO_SUPERVISOR where nobody listens; or NULL: it is of
 * no interest. */
void refusals_add(Refusals *refusals, const char *path, const SocketId *id,
                  GError *error);
void refusals_remove(Refusals *refusals, const char *path);
/* Forgets those that are not in @paths. */
void refusals_keep(Refusals *refusals, GPtrArray *paths);
/* FALSE where it is another one by now, or is to be tried again. */
gboolean refusals_stand(const Refusals *refusals, const char *path,
                        const SocketId *id);
/* Milliseconds until one is to be tried again; -1 for never. */
int refusals_next(const Refusals *refusals);
/* TRUE for one that is there but cannot be asked. */
gboolean refusals_know(const Refusals *refusals, const char *path);
/* Puts those into @silent, path -> GError (copies), and returns how many could
 * be asked but are of no interest. */
guint refusals_tell(const Refusals *refusals, GTree *silent);

#endif
