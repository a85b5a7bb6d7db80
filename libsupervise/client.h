/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: one connection to one supervisor, from the client's side
 *
 * Every call has a deadline; nothing here can hang on a wedged supervisor.
 * No signal handlers, no threads, no global state.
 */
#ifndef LIBSUPERVISE_CLIENT_H
#define LIBSUPERVISE_CLIENT_H

#include <glib.h>
#include <jansson.h>

typedef struct Client Client;

/*
 * client_connect:
 * @path: the supervisor's socket, RUNDIR/UUID.sock
 * @timeout_ms: deadline of every later call on this client, milliseconds
 *
 * Connects, reads the greeting and negotiates. Errors: NO_SUPERVISOR where
 * nobody listens (ENOENT, ECONNREFUSED), TIMEOUT, GENERIC.
 */
Client *client_connect(const char *path, int timeout_ms, GError **error);
void client_free(Client *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

/*
 * client_begin, client_begun:
 *
 * As client_connect(), but they wait for nothing. client_begun() goes on as
 * far as it can and returns how the supervisor is (query-status, checked), or
 * NULL and @error: TIMEOUT where more must come, again when client_fd() is
 * readable. client_begin() itself fails with TIMEOUT where the supervisor
 * has too many connections to accept yet.
 */
Client *client_begin(const char *path, int timeout_ms, GError **error);
json_t *client_begun(Client *client, GError **error);

/*
 * client_call:
 * @arguments: object, reference taken; NULL for none
 * @send_fd: descriptor passed along with the command, or -1; stays open
 * @received_fd: where to put a descriptor that came with the reply
 *   (close-on-exec, the caller closes it), or NULL; -1 if none came
 *
 * Returns the reply's "return" value. Errors carry the wire's class as code
 * and its "desc" as sentence. Events that arrive in between are kept for
 * client_event(). A connection that ends before the reply is NO_SUPERVISOR.
 */
json_t *client_call(Client *client, const char *command, json_t *arguments,
                    int send_fd, int *received_fd, GError **error);

/* The "data" that came with the last error from the wire, or NULL; stays the
 * client's, until the next call. */
const json_t *client_error_data(const Client *client);

/* In CLOCK_MONOTONIC microseconds; -1 for none. And how many milliseconds,
 * rounded up, are left until then. */
gint64 client_deadline(int timeout_ms);
int client_left(gint64 deadline);

/* The deadline of every later call, milliseconds; -1: none. */
void client_set_timeout(Client *client, int timeout_ms);

/*
 * client_ask, client_answer:
 * @timeout_ms: -1 waits for ever, 0 only looks
 *
 * A call in two halves, between which events may be read; one at a time. The
 * sentences are the reason alone. TIMEOUT: it may still come.
 */
gboolean client_ask(Client *client, const char *command, GError **error);
json_t *client_answer(Client *client, int timeout_ms, GError **error);

/* FALSE where an answer to query-status lacks what all of them have. */
gboolean client_check_status(const json_t *status, GError **error);

/*
 * client_event:
 * @timeout_ms: -1 waits for ever, 0 only looks
 *
 * Returns the next event, or NULL: with @error unset the supervisor closed
 * the connection (it has ended), otherwise TIMEOUT or GENERIC.
 */
json_t *client_event(Client *client, int timeout_ms, GError **error);

/* The descriptor that becomes readable when client_event() may have more;
 * look with a timeout of 0 first, events may have been read already. */
int client_fd(const Client *client);

/* Takes @fd, or -1, and returns it; but one that is a standard descriptor's,
 * which is closed then, is moved above them, close-on-exec, or -1 and errno. */
int client_above_standard(int fd);

/* Paths of all sockets in @run_dir, sorted; empty where there are none. */
GPtrArray *client_sockets(const char *run_dir, GError **error);

/*
 * client_foreach:
 * @visit: called for each supervisor in @run_dir with a connection, which it
 *   must free or keep, and the reply to query-status
 * @timeout_ms: deadline for all of them together, but each one gets a moment
 *
 * Sockets that nobody listens on are skipped. If there are supervisors that
 * cannot be asked, all others are visited before FALSE and @error say so.
 */
typedef void ClientVisit(Client *client, const json_t *status, gpointer data);
gboolean client_foreach(const char *run_dir, int timeout_ms, ClientVisit *visit,
                        gpointer data, GError **error);

/*
 * client_find:
 * @vm: a VM's name or uuid
 *
 * Connects to the one supervisor in @run_dir that answers for @vm. Errors:
 * NO_SUPERVISOR if there is none, BAD_ARGUMENT if the name fits several
 * (the sentence lists their uuids).
 */
Client *client_find(const char *run_dir, const char *vm, int timeout_ms,
                    GError **error);

#endif
