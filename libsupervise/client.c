/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the connection
 *
 * The socket never blocks; poll() waits with what is left of the deadline.
 * Replies are matched to calls by id, so that the late reply to a call that
 * timed out is not taken for the next one's.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client_internal.h"
#include "qmp.h"

/* Descriptors that one message may bring; all but the last are closed. */
#define MAX_FDS 8

static void free_event(gpointer event)
{
    json_decref(event);
}

void client_free(Client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    if (client->received_fd >= 0)
        close(client->received_fd);
    qmp_stream_free(client->stream);
    g_queue_free_full(client->events, free_event);
    json_decref(client->answer);
    json_decref(client->data);
    g_free(client->path);
    g_free(client);
}

int client_fd(const Client *client)
{
    return client->fd;
}

gint64 client_deadline(int timeout_ms)
{
    return timeout_ms < 0
               ? -1
               : g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
}

int client_left(gint64 deadline)
{
    gint64 us = deadline - g_get_monotonic_time();

    if (deadline < 0)
        return -1;
    return us <= 0 ? 0 : (int)MIN((us + 999) / 1000, G_MAXINT);
}

gboolean client_set_reason(GError **error, QmpErrorCode code,
                           const char *reason)
{
    g_set_error_literal(error, QMP_ERROR, (gint)code, reason);
    return FALSE;
}

/* Waits until @events happen on the socket; TIMEOUT at @deadline. */
static gboolean wait_for(Client *client, short events, gint64 deadline,
                         GError **error)
{
    struct pollfd pollfd = {.fd = client->fd, .events = events};
    int n;

    do {
        n = poll(&pollfd, 1, client_left(deadline));
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return TRUE;
    if (n < 0)
        return client_set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
    return client_set_reason(error, QMP_ERROR_TIMEOUT, "no answer in time");
}

/* What a program prints must not go there, nor what it runs inherit it. */
int client_above_standard(int fd)
{
    int above;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return above;
}

/* Keeps the last descriptor that came with @msg, closes the others. */
static void take_fds(Client *client, struct msghdr *msg)
{
    struct cmsghdr *cmsg;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        for (gsize i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= cmsg->cmsg_len;
             i++) {
            int fd;

            if (client->received_fd >= 0)
                close(client->received_fd);
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            client->received_fd = client_above_standard(fd);
        }
    }
}

/* Feeds what the socket has to the stream. Returns how many bytes there
 * were, 0 at the end of the connection, -1 with errno set. */
static ssize_t receive(Client *client)
{
    char buffer[QMP_MAX_MESSAGE];
    union {
        char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {buffer, sizeof(buffer)};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.space,
        .msg_controllen = sizeof(control.space),
    };
    ssize_t got;

    do {
        got = recvmsg(client->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == ECONNRESET ? 0 : -1;
    take_fds(client, &msg);
    qmp_stream_feed(client->stream, buffer, (gsize)got);
    return got;
}

json_t *client_next_message(Client *client, gint64 deadline, GError **error)
{
    for (;;) {
        GError *reason = NULL;
        json_t *message = qmp_stream_next(client->stream, &reason);
        ssize_t got;

        if (message)
            return message;
        if (reason) {
            g_propagate_error(error, reason);
            return NULL;
        }
        got = receive(client);
        if (got == 0)
            return NULL;
        if (got > 0)
            continue;
        if (errno != EAGAIN) {
            client_set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
            return NULL;
        }
        if (!wait_for(client, POLLIN, deadline, error))
            return NULL;
    }
}

/* Sends one piece of the line, with @fd if that is not -1. */
static ssize_t send_piece(Client *client, char *line, gsize len, int fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {line, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
    }
    return sendmsg(client->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends @message, whose reference it takes. A peer that has closed is no
 * error here: its last words may still be there to be read. */
static gboolean send_message(Client *client, json_t *message, int fd,
                             gint64 deadline, GError **error)
{
    gsize len, sent = 0;
    g_autofree char *line = qmp_encode(message, &len);

    if (len - 1 > QMP_MAX_MESSAGE) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "the command is longer than %d bytes", QMP_MAX_MESSAGE);
        return FALSE;
    }
    while (sent < len) {
        ssize_t n = send_piece(client, line + sent, len - sent, fd);

        if (n > 0) {
            sent += (gsize)n;
            fd = -1;
        } else if (errno == EAGAIN) {
            if (!wait_for(client, POLLOUT, deadline, error))
                return FALSE;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return TRUE;
        } else if (errno != EINTR) {
            return client_set_reason(error, QMP_ERROR_GENERIC,
                                     g_strerror(errno));
        }
    }
    return TRUE;
}

/* Forgets a message that nobody waits for any more. */
static void drop_message(Client *client, json_t *message)
{
    json_decref(message);
    if (client->received_fd >= 0)
        close(client->received_fd);
    client->received_fd = -1;
}

/* Reads until the reply with @id is there; it is the whole message. At
 * @deadline 0 all that has come is read, however much. */
static json_t *next_reply(Client *client, gint64 id, gint64 deadline,
                          GError **error)
{
    for (;;) {
        GError *reason = NULL;
        json_t *message = client_next_message(client, deadline, &reason);
        json_t *reply_id = json_object_get(message, "id");

        if (reason) {
            g_propagate_error(error, reason);
            return NULL;
        }
        if (!message) {
            client_set_reason(error, QMP_ERROR_NO_SUPERVISOR,
                              "the supervisor has closed the connection");
            return NULL;
        }
        if (json_object_get(message, "event"))
            g_queue_push_tail(client->events, message);
        else if (!reply_id || json_integer_value(reply_id) == id)
            return message;
        else
            drop_message(client, message);
        if (deadline > 0 && g_get_monotonic_time() > deadline) {
            client_set_reason(error, QMP_ERROR_TIMEOUT, "no answer in time");
            return NULL;
        }
    }
}

/* Sends a command; returns its id, or 0. */
static gint64 send_command(Client *client, const char *command,
                           json_t *arguments, int fd, gint64 deadline,
                           GError **error)
{
    gint64 id = ++client->calls;
    json_t *message = qmp_command(command, arguments, json_integer(id));

    return send_message(client, message, fd, deadline, error) ? id : 0;
}

static void set_wire_error(Client *client, GError **error, const json_t *reply)
{
    const json_t *body = json_object_get(reply, "error");
    const char *class = json_string_value(json_object_get(body, "class"));
    const char *desc = json_string_value(json_object_get(body, "desc"));

    client->data = json_incref(json_object_get(body, "data"));
    client_set_reason(error, qmp_error_code(class),
                      desc ? desc
                           : "cannot tell why the supervisor refuses: it gave "
                             "no reason");
}

const json_t *client_error_data(const Client *client)
{
    return client->data;
}

void client_set_timeout(Client *client, int timeout_ms)
{
    client->timeout_ms = timeout_ms;
}

/* What @reply, which it takes, returns. */
static json_t *take_value(Client *client, json_t *reply, int *received_fd,
                          GError **error)
{
    json_t *value = json_incref(json_object_get(reply, "return"));

    if (!value)
        set_wire_error(client, error, reply);
    if (value && received_fd) {
        *received_fd = client->received_fd;
        client->received_fd = -1;
    }
    drop_message(client, reply);
    return value;
}

json_t *client_call(Client *client, const char *command, json_t *arguments,
                    int send_fd, int *received_fd, GError **error)
{
    gint64 deadline = client_deadline(client->timeout_ms);
    GError *reason = NULL;
    json_t *reply = NULL;
    gint64 id =
        send_command(client, command, arguments, send_fd, deadline, &reason);

    if (received_fd)
        *received_fd = -1;
    g_clear_pointer(&client->data, json_decref);
    if (id)
        reply = next_reply(client, id, deadline, &reason);
    if (reply)
        return take_value(client, reply, received_fd, error);
    g_propagate_prefixed_error(error, reason, "cannot call '%s': ", command);
    return NULL;
}

gboolean client_ask(Client *client, const char *command, GError **error)
{
    g_clear_pointer(&client->answer, json_decref);
    client->asked = send_command(client, command, NULL, -1, 0, error);
    return client->asked != 0;
}

json_t *client_answer(Client *client, int timeout_ms, GError **error)
{
    json_t *reply = g_steal_pointer(&client->answer);

    if (!reply)
        reply = next_reply(client, client->asked,
                           timeout_ms == 0 ? 0 : client_deadline(timeout_ms),
                           error);
    return reply ? take_value(client, reply, NULL, error) : NULL;
}

/* Keeps the reply that client_answer() will want; forgets those to calls that
 * were given up. */
static void keep_reply(Client *client, json_t *message)
{
    const json_t *id = json_object_get(message, "id");

    if (client->asked && !client->answer &&
        json_integer_value(id) == client->asked)
        client->answer = message;
    else
        drop_message(client, message);
}

json_t *client_event(Client *client, int timeout_ms, GError **error)
{
    gint64 deadline = client_deadline(timeout_ms);
    json_t *message = g_queue_pop_head(client->events);
    GError *reason = NULL;

    while (!message) {
        message = client_next_message(client, deadline, &reason);
        if (reason)
            g_propagate_prefixed_error(error, reason,
                                       "cannot wait for events: ");
        if (!message)
            return NULL;
        if (!json_object_get(message, "event")) {
            keep_reply(client, message);
            message = NULL;
        }
    }
    return message;
}
