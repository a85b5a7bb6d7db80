/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the control socket
 *
 * Listens, checks who connects (SO_PEERCRED: root, our own uid, members of
 * --control-group), and keeps one session for each. A session reads JSON
 * values, hands each to verbs.c, and writes one line for each answer. Peers
 * are hostile until typed: a slow, silent, greedy or talkative one costs its
 * own connection and nothing else.
 *
 * Bounds: SESSIONS_MAX sessions (a new one then takes the place of the one
 * that was silent longest, first of those that may only query),
 * QMP_MAX_MESSAGE bytes of input that is not a
 * whole message yet, OUTPUT_MAX bytes of output that nobody reads.
 *
 * Mustn't: block, or wait for a peer.
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include <glib.h>
#include <jansson.h>
#include <sys/types.h>

#include "../libsupervise/qmp.h"

#define SESSIONS_MAX 64
#define OUTPUT_MAX   QMP_MAX_ANSWER

typedef struct Control Control;
/* A command that waits for its answer. */
typedef struct Request Request;

/* What control knows of the command room: called for each command. It must
 * answer @request once, by request_reply() or request_fail(), now or later. */
typedef void (*ControlRun)(gpointer opaque, Request *request, const char *name,
                           json_t *arguments);

typedef struct {
    const char *path; /* of the socket */
    gboolean has_group;
    gid_t group;       /* members of it may connect */
    gboolean group_rw; /* and change things */
    ControlRun run;
    gpointer opaque;
} ControlSpec;

/* Removes a stale socket at the path and listens there: the caller holds the
 * VM's lease, so a socket that nobody answers on is a dead supervisor's. */
Control *control_new(const ControlSpec *spec, GError **error);
/* Takes the socket out of the file system; sessions go on. */
void control_unlink(Control *control);
/* Closes every session; what a peer has not taken by then is lost to it. */
void control_free(Control *control);

/* An event for every session that has negotiated. Takes @data. */
void control_event(Control *control, const char *name, json_t *data);

/* Each ends @request. @value, @data: references taken. @fd: passed along
 * with the answer, or -1; stays the caller's. */
void request_reply(Request *request, json_t *value, int fd);
void request_fail(Request *request, const GError *error, json_t *data);
/* The descriptor that came with the command, or -1; now the caller's. */
int request_take_fd(Request *request);
/* FALSE where the peer may only query. */
gboolean request_may_change(const Request *request);
/* Who has connected, as the kernel tells; 0: it is gone. */
pid_t request_peer(const Request *request);

#endif
