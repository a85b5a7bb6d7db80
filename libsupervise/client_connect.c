/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: how a connection begins
 *
 * connect -> greeting -> qmp_capabilities, and for those who wait for many at
 * once also -> query-status, step by step as answers come.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client_internal.h"

static Client *client_new(const char *path, int timeout_ms)
{
    Client *client = g_new0(Client, 1);

    client->path = g_strdup(path);
    client->fd = -1;
    client->timeout_ms = timeout_ms;
    client->received_fd = -1;
    client->stream = qmp_stream_new(QMP_MAX_ANSWER);
    client->events = g_queue_new();
    return client;
}

static GError *prefixed(const Client *client, GError *reason)
{
    g_prefix_error(&reason, "cannot connect to '%s': ", client->path);
    return reason;
}

/* Connects client->fd. The kernel keeps the deadline; or with SOCK_NONBLOCK
 * in @flags a full backlog is TIMEOUT at once. */
static gboolean connect_to(Client *client, int flags, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {
        .tv_sec = client->timeout_ms / 1000,
        .tv_usec = MAX(client->timeout_ms % 1000, 1) * 1000,
    };

    if (g_strlcpy(address.sun_path, client->path, sizeof(address.sun_path)) >=
        sizeof(address.sun_path))
        return client_set_reason(error, QMP_ERROR_GENERIC,
                                 "the path is too long");
    client->fd = client_above_standard(
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    if (client->fd < 0)
        return client_set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
    if (client->timeout_ms >= 0)
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return TRUE;
    if (errno == ENOENT || errno == ECONNREFUSED)
        return client_set_reason(error, QMP_ERROR_NO_SUPERVISOR,
                                 g_strerror(errno));
    if (errno == EAGAIN)
        return client_set_reason(error, QMP_ERROR_TIMEOUT, "no answer in time");
    return client_set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
}

static gboolean read_greeting(Client *client, gint64 deadline, GError **error)
{
    GError *reason = NULL;
    g_autoptr(json_t) greeting = client_next_message(client, deadline, &reason);

    if (reason) {
        g_propagate_error(error, reason);
        return FALSE;
    }
    if (!greeting && access(client->path, F_OK) < 0)
        return client_set_reason(error, QMP_ERROR_NO_SUPERVISOR,
                                 "it has ended");
    if (!greeting) /* it has no room, or does not admit us */
        return client_set_reason(error, QMP_ERROR_GENERIC, "it has hung up");
    if (!json_object_get(greeting, "QMP"))
        return client_set_reason(error, QMP_ERROR_GENERIC,
                                 "what listens there is no supervisor");
    return TRUE;
}

/* @deadline: see client_deadline(). */
static gboolean negotiate(Client *client, gint64 deadline, GError **error)
{
    g_autoptr(json_t) reply = NULL;

    if (read_greeting(client, deadline, error) &&
        client_ask(client, "qmp_capabilities", error))
        reply = client_answer(client, client_left(deadline), error);
    client->asked = 0;
    return reply != NULL;
}

Client *client_connect(const char *path, int timeout_ms, GError **error)
{
    g_autoptr(Client) client = client_new(path, timeout_ms);
    gint64 deadline = client_deadline(timeout_ms);
    GError *reason = NULL;

    if (connect_to(client, 0, &reason) && negotiate(client, deadline, &reason))
        return g_steal_pointer(&client);
    g_propagate_error(error, prefixed(client, reason));
    return NULL;
}

Client *client_begin(const char *path, int timeout_ms, GError **error)
{
    g_autoptr(Client) client = client_new(path, timeout_ms);
    GError *reason = NULL;

    if (connect_to(client, SOCK_NONBLOCK, &reason))
        return g_steal_pointer(&client);
    g_propagate_error(error, prefixed(client, reason));
    return NULL;
}

gboolean client_check_status(const json_t *status, GError **error)
{
    static const char *const texts[] = {"name", "uuid", "state"};

    gboolean sane = json_integer_value(json_object_get(status, "since")) > 0;

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        sane = sane && json_is_string(json_object_get(status, texts[i]));
    return sane || client_set_reason(error, QMP_ERROR_GENERIC,
                                     "it does not answer as a supervisor does");
}

json_t *client_begun(Client *client, GError **error)
{
    g_autoptr(json_t) status = NULL;
    GError *reason = NULL;

    if (client->stage == STAGE_GREETING && read_greeting(client, 0, &reason) &&
        client_ask(client, "qmp_capabilities", &reason))
        client->stage = STAGE_NEGOTIATING;
    if (client->stage == STAGE_NEGOTIATING && !reason) {
        g_autoptr(json_t) reply = client_answer(client, 0, &reason);

        if (reply && client_ask(client, "query-status", &reason))
            client->stage = STAGE_ASKING;
    }
    if (client->stage == STAGE_ASKING && !reason)
        status = client_answer(client, 0, &reason);
    if (status && client_check_status(status, &reason)) {
        client->asked = 0;
        return g_steal_pointer(&status);
    }
    g_propagate_error(error, prefixed(client, reason));
    return NULL;
}
