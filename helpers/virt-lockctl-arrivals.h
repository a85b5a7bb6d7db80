/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: supervisors that have been called and have not answered yet
 *
 * All at once, and nobody waits for one of them: each is a descriptor to poll.
 * One that has had its time is silent, but stays: the moment it goes on, so
 * does the connection.
 */
#ifndef VIRT_LOCKCTL_ARRIVALS_H
#define VIRT_LOCKCTL_ARRIVALS_H

#include <poll.h>

#include "client.h"
#include "virt-lockctl-refusals.h"

typedef struct {
    char *path;
    SocketId socket;
    Client *client;
    json_t *status; /* what it has answered */
    GError *error;  /* or why it cannot be asked */
    gint64 since;   /* CLOCK_MONOTONIC microseconds */
    gboolean silent;
} Arrival;

void arrival_free(Arrival *arrival);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Arrival, arrival_free)

typedef struct Arrivals Arrivals;

/* @call_ms: what each gets to answer in */
Arrivals *arrivals_new(int call_ms);
void arrivals_free(Arrivals *arrivals);

/* Calls it. @silent: that is known of it already. FALSE and @error where it
 * cannot be called. */
gboolean arrivals_add(Arrivals *arrivals, const char *path,
                      const SocketId *socket, gboolean silent, GError **error);
gboolean arrivals_have(const Arrivals *arrivals, const char *path,
                       const SocketId *socket);
/* The next that has answered, or never will; the caller frees it. NULL where
 * there is none. Those that have had their time are silent from now on. */
Arrival *arrivals_take(Arrivals *arrivals);

guint arrivals_count(const Arrivals *arrivals);
const Arrival *arrivals_get(const Arrivals *arrivals, guint i);
/* How many are not silent. */
guint arrivals_expected(const Arrivals *arrivals);

/* Why one that is silent cannot be asked; newly allocated. */
GError *arrival_silence(const char *path);

#endif
