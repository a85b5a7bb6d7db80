/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see session.h. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "watch.h"

#define READ_SIZE 4096

struct Session {
    const SessionEvents *events;
    gpointer opaque;
    int fd;
    guint source;
    GIOCondition waiting_for;
    gboolean may_change;
    gboolean negotiated;
    gboolean in_use; /* further up in the stack: do not free */
    gboolean closing;
    QmpStream *input;
    int passed_fd;      /* came along with input, not yet taken; or -1 */
    GString *output;    /* not yet taken by the peer */
    int output_fd;      /* goes along with a byte of output; or -1 */
    gsize output_fd_at; /* ... which is the first after so many */
    Request *request;   /* being worked on, or NULL */
};

struct Request {
    Session *session; /* NULL: gone meanwhile */
    json_t *id;       /* or NULL */
    gboolean may_change;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void session_free(Session *session)
{
    session->events->closed(session, session->opaque);
    if (session->source)
        g_source_remove(session->source);
    if (session->request)
        session->request->session = NULL;
    close_fd(&session->fd);
    close_fd(&session->passed_fd);
    close_fd(&session->output_fd);
    qmp_stream_free(session->input);
    g_string_free(session->output, TRUE);
    g_free(session);
}

void session_close(Session *session)
{
    if (session->in_use)
        session->closing = TRUE;
    else
        session_free(session);
}

gboolean session_may_change(const Session *session)
{
    return session->may_change;
}

/* Offers output to the peer, to the byte that a descriptor goes along with or
 * from there on. Returns what was taken, or -1. */
static ssize_t send_piece(Session *session)
{
    const gboolean has_fd = session->output_fd >= 0;
    const gboolean with_fd = has_fd && session->output_fd_at == 0;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec data = {session->output->str, has_fd && !with_fd
                                                   ? session->output_fd_at
                                                   : session->output->len};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

    if (with_fd) {
        struct cmsghdr *header;

        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &session->output_fd, sizeof(int));
    }
    return sendmsg(session->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* FALSE where the peer is lost. */
static gboolean flush(Session *session)
{
    while (session->output->len > 0) {
        ssize_t n = send_piece(session);

        if (n < 0)
            return errno == EAGAIN;
        if (session->output_fd >= 0 && session->output_fd_at > 0)
            session->output_fd_at -= (gsize)n;
        else
            close_fd(&session->output_fd);
        g_string_erase(session->output, 0, n);
    }
    return TRUE;
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer data);

/* Watches for what can happen next: no input while a command runs. */
static void watch(Session *session)
{
    GIOCondition wanted = 0;

    if (!session->request)
        wanted |= G_IO_IN;
    if (session->output->len > 0)
        wanted |= G_IO_OUT;
    if (session->source && wanted == session->waiting_for)
        return;
    if (session->source)
        g_source_remove(session->source);
    session->waiting_for = wanted;
    session->source =
        watch_fd(session->fd, wanted | G_IO_HUP | G_IO_ERR, on_ready, session);
}

static void send_bytes(Session *session, const char *line, gsize len)
{
    gboolean too_much = session->output->len + len > OUTPUT_MAX;

    if (!too_much)
        g_string_append_len(session->output, line, len);
    if (too_much || !flush(session))
        session_close(session);
    else if (!session->closing)
        watch(session);
}

/* With a descriptor: it goes along with the first byte of the line, or the peer
 * could not tell which one it belongs to. One at a time. */
static void send_message(Session *session, json_t *message, int fd)
{
    gsize len;
    g_autofree char *line = qmp_encode(message, &len);

    if (fd >= 0 && session->output_fd >= 0) {
        session_close(session);
        return;
    }
    if (fd >= 0) {
        session->output_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        session->output_fd_at = session->output->len;
    }
    send_bytes(session, line, len);
}

void session_send_event(Session *session, const char *line, gsize len)
{
    if (session->negotiated)
        send_bytes(session, line, len);
}

static void work(Session *session);

/* Ends the request, answers, and goes on with what came after it. */
static void answer(Request *request, json_t *message, int fd)
{
    Session *session = request->session;

    g_clear_pointer(&request->id, json_decref);
    g_free(request);
    if (!session) {
        json_decref(message);
        return;
    }
    session->request = NULL;
    if (session->in_use) { /* answered at once: work() goes on by itself */
        send_message(session, message, fd);
        return;
    }
    session->in_use = TRUE;
    send_message(session, message, fd);
    session->in_use = FALSE;
    work(session);
}

void request_reply(Request *request, json_t *value, int fd)
{
    answer(request, qmp_return(value, json_incref(request->id)), fd);
}

void request_fail(Request *request, const GError *error, json_t *data)
{
    answer(request, qmp_error_reply(error, data, json_incref(request->id)), -1);
}

int request_take_fd(Request *request)
{
    int fd = request->session ? request->session->passed_fd : -1;

    if (fd >= 0)
        request->session->passed_fd = -1;
    return fd;
}

pid_t request_peer(const Request *request)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;

    if (request->session)
        getsockopt(request->session->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    return peer.pid;
}

gboolean request_may_change(const Request *request)
{
    return request->may_change;
}

static void fail(Request *request, QmpErrorCode code, const char *sentence)
{
    g_autoptr(GError) error = g_error_new_literal(QMP_ERROR, code, sentence);

    request_fail(request, error, NULL);
}

static void run(Session *session, json_t *message)
{
    Request *request = g_new0(Request, 1);
    const char *name = json_string_value(json_object_get(message, "execute"));
    json_t *arguments = json_object_get(message, "arguments");
    const char *key;
    json_t *value;

    request->session = session;
    request->id = json_incref(json_object_get(message, "id"));
    request->may_change = session->may_change;
    session->request = request;
    json_object_foreach (message, key, value) {
        if (!g_str_equal(key, "execute") && !g_str_equal(key, "arguments") &&
            !g_str_equal(key, "id")) {
            fail(request, QMP_ERROR_BAD_ARGUMENT,
                 "cannot understand the message: it has a member that is "
                 "none of execute, arguments, id");
            return;
        }
    }
    if (!name || (arguments && !json_is_object(arguments))) {
        fail(request, QMP_ERROR_BAD_ARGUMENT,
             "cannot understand the message: 'execute' must be a string and "
             "'arguments' an object");
    } else if (g_str_equal(name, "qmp_capabilities")) {
        session->negotiated = TRUE;
        request_reply(request, json_object(), -1);
    } else if (!session->negotiated) {
        fail(request, QMP_ERROR_COMMAND_NOT_FOUND,
             "cannot run a command: 'qmp_capabilities' comes first");
    } else {
        session->events->run(session->opaque, request, name, arguments);
    }
}

/* The input makes no sense: say so, and end. */
static void give_up(Session *session, const GError *error)
{
    send_message(session, qmp_error_reply(error, NULL, NULL), -1);
    session_close(session);
}

/* Runs the commands that are there. May free the session. */
static void work(Session *session)
{
    session->in_use = TRUE;
    while (!session->closing && !session->request) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) message = qmp_stream_next(session->input, &error);

        if (message)
            run(session, message);
        else if (error)
            give_up(session, error);
        else
            break;
    }
    session->in_use = FALSE;
    if (session->closing)
        session_free(session);
    else
        watch(session);
}

/* Keeps the last descriptor that came; closes the others. */
static void take_descriptors(Session *session, struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        gsize n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (gsize i = 0; i < n; i++) {
            close_fd(&session->passed_fd);
            memcpy(&session->passed_fd, CMSG_DATA(header) + i * sizeof(int),
                   sizeof(int));
        }
    }
}

/* FALSE where the peer has gone. */
static gboolean receive(Session *session)
{
    char bytes[READ_SIZE];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec data = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t n = recvmsg(session->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == EAGAIN;
    take_descriptors(session, &message);
    qmp_stream_feed(session->input, bytes, n);
    return n > 0;
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer data)
{
    Session *session = data;
    gboolean alive = TRUE;

    if (condition & G_IO_IN) {
        session->events->spoke(session, session->opaque);
        alive = receive(session);
    }
    if (alive && condition & G_IO_OUT)
        alive = flush(session);
    /* A peer that shut down its side may still have sent commands. */
    if (!alive || (condition & (G_IO_HUP | G_IO_ERR) && !(condition & G_IO_IN)))
        session_close(session);
    else
        work(session);
    return G_SOURCE_CONTINUE;
}

Session *session_new(int fd, gboolean may_change, const SessionEvents *events,
                     gpointer opaque)
{
    Session *session = g_new0(Session, 1);

    session->events = events;
    session->opaque = opaque;
    session->fd = fd;
    session->may_change = may_change;
    session->passed_fd = -1;
    session->output_fd = -1;
    session->input = qmp_stream_new(QMP_MAX_MESSAGE);
    session->output = g_string_new(NULL);
    session->in_use = TRUE; /* the greeting fits, or the peer is gone */
    send_message(session, qmp_greeting(VERSION), -1);
    session->in_use = FALSE;
    watch(session);
    return session;
}
