/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the client's files share, and nobody else sees. */
#ifndef LIBSUPERVISE_CLIENT_INTERNAL_H
#define LIBSUPERVISE_CLIENT_INTERNAL_H

#include "client.h"
#include "qmp.h"

/* What client_begun() waits for. */
typedef enum {
    STAGE_GREETING,
    STAGE_NEGOTIATING,
    STAGE_ASKING,
} ClientStage;

struct Client {
    char *path;
    int fd;
    int timeout_ms;
    int received_fd; /* came along and is not handed out yet, or -1 */
    gint64 calls;    /* made so far: the id of the last one */
    gint64 asked;    /* the id of client_ask()'s, or 0 */
    json_t *answer;  /* the reply to that, met while reading events */
    json_t *data;    /* of the last error from the wire; NULL: none */
    ClientStage stage;
    QmpStream *stream;
    GQueue *events; /* of json_t */
};

/* The reason alone: the callers say what could not be done. Always FALSE. */
gboolean client_set_reason(GError **error, QmpErrorCode code,
                           const char *reason);

/* Returns the next object of any kind; NULL with @error unset where the
 * connection has ended. */
json_t *client_next_message(Client *client, gint64 deadline, GError **error);

#endif
