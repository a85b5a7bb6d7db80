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
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "qmp.h"

/* Descriptors that one message may bring; all but the last are closed. */
#define MAX_FDS 8

struct Client {
    int fd;
    int timeout_ms;
    int received_fd; /* came along and is not handed out yet, or -1 */
    gint64 calls;    /* made so far: the id of the last one */
    QmpStream *stream;
    GQueue *events; /* of json_t */
};

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
    g_free(client);
}

int client_fd(const Client *client)
{
    return client->fd;
}

static gint64 deadline_after(int timeout_ms)
{
    return timeout_ms < 0
               ? -1
               : g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
}

/* The reason alone: client_call() and its like say what could not be done. */
static gboolean set_reason(GError **error, QmpErrorCode code,
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
    int left = -1, n;

    do {
        if (deadline >= 0) {
            gint64 us = deadline - g_get_monotonic_time();

            left = us <= 0 ? 0 : (int)MIN((us + 999) / 1000, G_MAXINT);
        }
        n = poll(&pollfd, 1, left);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return TRUE;
    if (n < 0)
        return set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
    return set_reason(error, QMP_ERROR_TIMEOUT, "no answer in time");
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
            if (client->received_fd >= 0)
                close(client->received_fd);
            memcpy(&client->received_fd, CMSG_DATA(cmsg) + i * sizeof(int),
                   sizeof(int));
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

/* Returns the next object of any kind; NULL with @error unset where the
 * connection has ended. */
static json_t *next_message(Client *client, gint64 deadline, GError **error)
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
            set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
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
            return set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
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

/* Reads until the reply with @id is there; it is the whole message. */
static json_t *next_reply(Client *client, gint64 id, gint64 deadline,
                          GError **error)
{
    for (;;) {
        GError *reason = NULL;
        json_t *message = next_message(client, deadline, &reason);
        json_t *reply_id = json_object_get(message, "id");

        if (reason) {
            g_propagate_error(error, reason);
            return NULL;
        }
        if (!message) {
            set_reason(error, QMP_ERROR_NO_SUPERVISOR,
                       "the supervisor has closed the connection");
            return NULL;
        }
        if (json_object_get(message, "event"))
            g_queue_push_tail(client->events, message);
        else if (!reply_id || json_integer_value(reply_id) == id)
            return message;
        else
            drop_message(client, message);
        if (deadline >= 0 && g_get_monotonic_time() > deadline) {
            set_reason(error, QMP_ERROR_TIMEOUT, "no answer in time");
            return NULL;
        }
    }
}

/* Sends a command and returns the message that answers it. */
static json_t *exchange(Client *client, const char *command, json_t *arguments,
                        int fd, GError **error)
{
    gint64 deadline = deadline_after(client->timeout_ms);
    gint64 id = ++client->calls;
    json_t *message = qmp_command(command, arguments, json_integer(id));

    if (!send_message(client, message, fd, deadline, error))
        return NULL;
    return next_reply(client, id, deadline, error);
}

static void set_wire_error(GError **error, const json_t *reply)
{
    const json_t *body = json_object_get(reply, "error");
    const char *class = json_string_value(json_object_get(body, "class"));
    const char *desc = json_string_value(json_object_get(body, "desc"));

    set_reason(error, qmp_error_code(class),
               desc ? desc : "the supervisor refused and gave no reason");
}

json_t *client_call(Client *client, const char *command, json_t *arguments,
                    int send_fd, int *received_fd, GError **error)
{
    GError *reason = NULL;
    json_t *reply, *value;

    if (received_fd)
        *received_fd = -1;
    reply = exchange(client, command, arguments, send_fd, &reason);
    if (!reply) {
        g_propagate_prefixed_error(error, reason,
                                   "cannot call '%s': ", command);
        return NULL;
    }
    value = json_incref(json_object_get(reply, "return"));
    if (!value)
        set_wire_error(error, reply);
    if (value && received_fd) {
        *received_fd = client->received_fd;
        client->received_fd = -1;
    }
    drop_message(client, reply);
    return value;
}

json_t *client_event(Client *client, int timeout_ms, GError **error)
{
    gint64 deadline = deadline_after(timeout_ms);
    json_t *message = g_queue_pop_head(client->events);
    GError *reason = NULL;

    while (!message) {
        message = next_message(client, deadline, &reason);
        if (reason)
            g_propagate_prefixed_error(error, reason,
                                       "cannot wait for events: ");
        if (!message)
            return NULL;
        if (!json_object_get(message, "event")) {
            drop_message(client, message); /* the reply to a call given up */
            message = NULL;
        }
    }
    return message;
}

/* Connects client->fd; the kernel keeps the deadline. */
static gboolean connect_to(Client *client, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {
        .tv_sec = client->timeout_ms / 1000,
        .tv_usec = MAX(client->timeout_ms % 1000, 1) * 1000,
    };

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >=
        sizeof(address.sun_path))
        return set_reason(error, QMP_ERROR_GENERIC, "the path is too long");
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
    if (client->timeout_ms >= 0)
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return TRUE;
    if (errno == ENOENT || errno == ECONNREFUSED)
        return set_reason(error, QMP_ERROR_NO_SUPERVISOR, g_strerror(errno));
    if (errno == EAGAIN)
        return set_reason(error, QMP_ERROR_TIMEOUT, "no answer in time");
    return set_reason(error, QMP_ERROR_GENERIC, g_strerror(errno));
}

static gboolean negotiate(Client *client, const char *path, GError **error)
{
    gint64 deadline = deadline_after(client->timeout_ms);
    GError *reason = NULL;
    g_autoptr(json_t) greeting = next_message(client, deadline, &reason);
    g_autoptr(json_t) reply = NULL;

    if (reason) {
        g_propagate_error(error, reason);
        return FALSE;
    }
    if (!greeting && access(path, F_OK) < 0)
        return set_reason(error, QMP_ERROR_NO_SUPERVISOR, "it has ended");
    if (!greeting) /* it has no room, or does not admit us */
        return set_reason(error, QMP_ERROR_GENERIC, "it has hung up");
    if (!json_object_get(greeting, "QMP"))
        return set_reason(error, QMP_ERROR_GENERIC,
                          "what listens there is no supervisor");
    reply = exchange(client, "qmp_capabilities", NULL, -1, error);
    if (!reply)
        return FALSE;
    if (!json_object_get(reply, "return")) {
        set_wire_error(error, reply);
        return FALSE;
    }
    return TRUE;
}

Client *client_connect(const char *path, int timeout_ms, GError **error)
{
    g_autoptr(Client) client = g_new0(Client, 1);
    GError *reason = NULL;

    client->fd = -1;
    client->timeout_ms = timeout_ms;
    client->received_fd = -1;
    client->stream = qmp_stream_new(QMP_MAX_ANSWER);
    client->events = g_queue_new();
    if (connect_to(client, path, &reason) && negotiate(client, path, &reason))
        return g_steal_pointer(&client);
    g_propagate_prefixed_error(error, reason, "cannot connect to '%s': ", path);
    return NULL;
}
