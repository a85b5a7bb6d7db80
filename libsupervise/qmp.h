/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the control protocol's codec
 *
 * The language on the control socket is QMP's: a stream of JSON objects from
 * the client (no newline needed between them), one line per object from the
 * server. This room turns bytes into objects and objects into lines; it does
 * no I/O and knows no command. Supervisor, helpers and library share it.
 *
 * Should:  bound every input (size, depth) before it is parsed; refuse
 *          duplicate keys, embedded NULs and invalid UTF-8.
 * Mustn't: read, write, log, or remember anything between two streams.
 */
#ifndef LIBSUPERVISE_QMP_H
#define LIBSUPERVISE_QMP_H

#include <glib.h>
#include <jansson.h>

/* Longest message to a supervisor, in bytes. */
#define QMP_MAX_MESSAGE (64 * 1024)
/* Longest answer of a supervisor: a list of leases may be long. */
#define QMP_MAX_ANSWER (1024 * 1024)
/* Deepest nesting of objects and arrays. */
#define QMP_MAX_DEPTH 16

/*
 * The error classes of the wire, each with the code that a GError of domain
 * QMP_ERROR carries. "Generic" is everything that has no class of its own.
 */
#define QMP_ERROR_CLASSES(X)                                                   \
    X(GENERIC, "GenericError")                                                 \
    X(LEASE_BUSY, "LeaseBusy")                                                 \
    X(LEASE_LOST, "LeaseLost")                                                 \
    X(NO_SUPERVISOR, "NoSupervisor")                                           \
    X(WRONG_STATE, "WrongState")                                               \
    X(NOT_SUPPORTED, "NotSupported")                                           \
    X(BAD_ARGUMENT, "BadArgument")                                             \
    X(TIMEOUT, "Timeout")                                                      \
    X(COMMAND_NOT_FOUND, "CommandNotFound")

typedef enum {
#define X(code, name) QMP_ERROR_##code,
    QMP_ERROR_CLASSES(X)
#undef X
} QmpErrorCode;

#define QMP_ERROR (qmp_error_quark())
GQuark qmp_error_quark(void);

/* Class name for @error; "GenericError" for errors of other domains. */
const char *qmp_error_class(const GError *error);
/* Code for a class name from the wire; QMP_ERROR_GENERIC if unknown. */
QmpErrorCode qmp_error_code(const char *class_name);

/*
 * set_errno:
 * @error: where to put the error, or NULL
 * @format: "cannot <verb> '<object>'"
 *
 * Sets a QMP_ERROR_GENERIC error whose sentence is @format, ": " and
 * strerror(errno). Keeps errno. Always returns FALSE.
 */
gboolean set_errno(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A receiver's half-read input. */
typedef struct QmpStream QmpStream;

/* Returns a new empty stream of messages of at most @max bytes each; free
 * with qmp_stream_free(). */
QmpStream *qmp_stream_new(gsize max);
void qmp_stream_free(QmpStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpStream, qmp_stream_free)

/*
 * qmp_stream_feed:
 * @data: bytes as they came from the socket; copied
 * @len: how many
 *
 * Appends input. It is the caller who bounds how much it feeds before it
 * takes messages out: feed at most QMP_MAX_MESSAGE bytes, then call
 * qmp_stream_next() until it has no more.
 */
void qmp_stream_feed(QmpStream *stream, const char *data, gsize len);

/*
 * qmp_stream_next:
 * @error: set where the input is not a JSON object or breaks a bound
 *
 * Returns the next complete object (the caller owns the reference), or NULL:
 * with @error unset more input is needed, with @error set
 * (QMP_ERROR_BAD_ARGUMENT) the stream cannot be followed any more and the
 * connection must be closed. Time is linear in the bytes fed.
 */
json_t *qmp_stream_next(QmpStream *stream, GError **error);

/* Returns @message as one line with its newline, g_free() it; @len may be
 * NULL. Takes @message's reference. What could not be made (NULL) reads
 * "null". */
char *qmp_encode(json_t *message, gsize *len);

/* Messages; each takes the references given to it (NULL allowed: left out)
 * and returns a new one. */
json_t *qmp_greeting(const char *version);
json_t *qmp_command(const char *name, json_t *arguments, json_t *id);
json_t *qmp_return(json_t *value, json_t *id);
/* @data: {"holder": ...} or NULL. @error stays the caller's. */
json_t *qmp_error_reply(const GError *error, json_t *data, json_t *id);
/* Timestamped with CLOCK_REALTIME. */
json_t *qmp_event(const char *name, json_t *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

#endif
