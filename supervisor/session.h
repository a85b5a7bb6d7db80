/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: one peer of the control socket
 *
 * Greeting, negotiation, then commands one after the other: the next one is
 * looked at when the one before is answered. See control.h for the bounds.
 */
#ifndef SUPERVISOR_SESSION_H
#define SUPERVISOR_SESSION_H

#include "control.h"

typedef struct Session Session;

typedef struct {
    /* The session is being freed. */
    void (*closed)(Session *session, gpointer opaque);
    /* It has sent something. */
    void (*spoke)(Session *session, gpointer opaque);
    ControlRun run;
} SessionEvents;

/* Takes @fd over and sends the greeting. */
Session *session_new(int fd, gboolean may_change, const SessionEvents *events,
                     gpointer opaque);
void session_close(Session *session);
gboolean session_may_change(const Session *session);
/* @line as it goes over the wire; dropped before the negotiation. A peer
 * that does not read is closed. */
void session_send_event(Session *session, const char *line, gsize len);

#endif
