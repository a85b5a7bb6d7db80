/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a supervisor that does as a test says
 *
 * A thread that listens on RUNDIR/UUID.sock, takes every connection, answers
 * every command, and writes down what it was asked. Its child is a process in
 * earnest. On one command, "at", it can misbehave.
 */
#ifndef TEST_FAKE_SUPERVISOR_H
#define TEST_FAKE_SUPERVISOR_H

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qmp.h"

#define FAKE_UUID  "6f0e0000-0000-4000-8000-000000000001"
#define FAKE_PEERS 16

typedef enum {
    FAKE_POLITE,
    FAKE_SILENT,    /* never answers */
    FAKE_TRICKLING, /* an answer without an end, byte by byte */
    FAKE_CHATTING,  /* events without an end, and no answer */
    FAKE_BABBLING,  /* what is no JSON */
    FAKE_FOREIGN,   /* answers with what is no answer */
    FAKE_HALF,      /* dies in the middle of its answer */
    FAKE_ENDING,    /* RELEASED in place of an answer, and the end */
} FakeManners;

typedef struct {
    int fd;
    QmpStream *stream;
    FakeManners now; /* what is being done to it */
} FakePeer;

typedef struct {
    /* For the test to set before fake_start(). */
    FakeManners manners;
    const char *at;     /* the command; "greeting": at the connection */
    const char *uuid;   /* NULL: FAKE_UUID */
    const char *status; /* more of query-status, as JSON members */
    const char *answer; /* to every command without one of its own, JSON */
    const char *error;  /* ... in place of it, JSON */

    char *path;
    int listener, wake[2];
    pid_t child;
    FakePeer peers[FAKE_PEERS];
    guint n_peers, connections;
    GThread *thread;
    GMutex lock;
    GString *heard; /* "COMMAND ARGUMENTS\n", but for the ordinary */
    char *order;    /* a line that every peer is to get; NULL: none */
    gboolean hang_up;
} Fake;

/* --- what it says ----------------------------------------------------------
 */

static void fake_send(int fd, const char *text, gsize len, int passed)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(char *)text, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (passed >= 0) {
        struct cmsghdr *cmsg = &control.align;

        msg.msg_control = control.space;
        msg.msg_controllen = sizeof control.space;
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &passed, sizeof(int));
    }
    sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void fake_say(int fd, json_t *message, int passed)
{
    gsize len;
    g_autofree char *line = qmp_encode(message, &len);

    fake_send(fd, line, len, passed);
}

static json_t *fake_json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    g_assert_nonnull(value);
    return value;
}

static json_t *fake_status(const Fake *fake)
{
    g_autofree char *text = g_strdup_printf(
        "{\"uuid\": \"%s\", \"name\": \"web1\", \"id\": \"17\", \"pid\": 4711, "
        "\"since\": 1795258782, \"driver\": \"file\", \"state\": \"RUNNING\", "
        "\"reason\": \"every lease is held\"}",
        fake->uuid);
    g_autofree char *more =
        fake->status ? g_strdup_printf("{%s}", fake->status) : NULL;
    json_t *status = fake_json(text);

    if (more) {
        g_autoptr(json_t) members = fake_json(more);

        json_object_update(status, members);
    }
    return status;
}

/* --- what it does ----------------------------------------------------------
 */

static void fake_hang_up(Fake *fake, FakePeer *peer)
{
    close(peer->fd);
    qmp_stream_free(peer->stream);
    *peer = fake->peers[--fake->n_peers];
}

/* FALSE: the connection is to be closed. */
static gboolean fake_misbehave(const Fake *fake, FakePeer *peer, json_t *id)
{
    static const char half[] = "{\"return\": {\"pid\": 47";
    static const char trickle[] = "{\"return\": \"";

    peer->now = fake->manners;
    if (fake->manners == FAKE_BABBLING)
        fake_send(peer->fd, "SSH-2.0\r\n", 9, -1);
    else if (fake->manners == FAKE_TRICKLING)
        fake_send(peer->fd, trickle, sizeof trickle - 1, -1);
    else if (fake->manners == FAKE_FOREIGN)
        fake_say(peer->fd, json_pack("{s:[i], s:O?}", "answer", 1, "id", id),
                 -1);
    else if (fake->manners == FAKE_HALF)
        fake_send(peer->fd, half, sizeof half - 1, -1);
    else if (fake->manners == FAKE_ENDING)
        fake_say(peer->fd, qmp_event("RELEASED", NULL), -1);
    return fake->manners != FAKE_HALF && fake->manners != FAKE_ENDING;
}

static void fake_answer(const Fake *fake, FakePeer *peer, const char *what,
                        json_t *id)
{
    int passed = -1;
    json_t *value;

    if (g_str_equal(what, "query-status")) {
        value = fake_status(fake);
    } else if (g_str_equal(what, "query-child")) {
        value = json_pack("{s:i, s:i}", "pid", fake->child, "start-time", 1);
        passed = pidfd_open(fake->child, 0);
    } else if (fake->error && !g_str_equal(what, "qmp_capabilities")) {
        fake_say(
            peer->fd,
            json_pack("{s:o, s:O?}", "error", fake_json(fake->error), "id", id),
            -1);
        return;
    } else {
        value = fake_json(fake->answer);
    }
    fake_say(peer->fd, qmp_return(value, json_incref(id)), passed);
    if (passed >= 0)
        close(passed);
}

static gboolean fake_obey(Fake *fake, FakePeer *peer, const json_t *message)
{
    const char *what = json_string_value(json_object_get(message, "execute"));
    json_t *id = json_object_get(message, "id");

    g_assert_nonnull(what);
    if (!g_str_has_prefix(what, "query-") &&
        !g_str_equal(what, "qmp_capabilities")) {
        json_t *arguments = json_object_get(message, "arguments");
        char *text = json_dumps(arguments, JSON_COMPACT | JSON_SORT_KEYS);

        g_mutex_lock(&fake->lock);
        g_string_append_printf(fake->heard, "%s %s\n", what, text ? text : "");
        g_mutex_unlock(&fake->lock);
        free(text);
    }
    if (g_strcmp0(fake->at, what) == 0)
        return fake_misbehave(fake, peer, id);
    fake_answer(fake, peer, what, id);
    return TRUE;
}

static gboolean fake_hear(Fake *fake, FakePeer *peer)
{
    char buffer[8192];
    ssize_t n = recv(peer->fd, buffer, sizeof buffer, 0);
    json_t *message;
    gboolean stays = n > 0;

    if (stays)
        qmp_stream_feed(peer->stream, buffer, (gsize)n);
    while (stays && (message = qmp_stream_next(peer->stream, NULL))) {
        stays = fake_obey(fake, peer, message);
        json_decref(message);
    }
    return stays;
}

static void fake_accept(Fake *fake)
{
    int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
    FakePeer *peer = &fake->peers[fake->n_peers++];

    g_assert_cmpuint(fake->n_peers, <=, FAKE_PEERS);
    *peer = (FakePeer){fd, qmp_stream_new(QMP_MAX_MESSAGE), FAKE_POLITE};
    g_atomic_int_inc(&fake->connections);
    if (g_strcmp0(fake->at, "greeting") != 0)
        fake_say(fd, qmp_greeting("1.2.3"), -1);
    else if (!fake_misbehave(fake, peer, NULL))
        fake_hang_up(fake, peer);
}

/* A little more of what has no end, to those that get it. */
static gboolean fake_go_on(const Fake *fake)
{
    gboolean any = FALSE;

    for (guint i = 0; i < fake->n_peers; i++) {
        const FakePeer *peer = &fake->peers[i];

        any |= peer->now == FAKE_TRICKLING || peer->now == FAKE_CHATTING;
        if (peer->now == FAKE_TRICKLING)
            fake_send(peer->fd, "x", 1, -1);
        else if (peer->now == FAKE_CHATTING)
            fake_say(peer->fd, qmp_event("WEATHER", NULL), -1);
    }
    return any;
}

/* FALSE: it is to end. */
static gboolean fake_take_orders(Fake *fake)
{
    g_autofree char *order = NULL;
    gboolean hang_up;
    char go_on = 0;

    g_assert_cmpint(read(fake->wake[0], &go_on, 1), ==, 1);
    g_mutex_lock(&fake->lock);
    order = g_steal_pointer(&fake->order);
    hang_up = fake->hang_up;
    fake->hang_up = FALSE;
    g_mutex_unlock(&fake->lock);
    for (guint i = 0; order && i < fake->n_peers; i++)
        fake_send(fake->peers[i].fd, order, strlen(order), -1);
    while (hang_up && fake->n_peers > 0)
        fake_hang_up(fake, &fake->peers[0]);
    return go_on;
}

static gpointer fake_run(gpointer data)
{
    struct pollfd polls[FAKE_PEERS + 2];
    Fake *fake = data;

    for (;;) {
        guint n = fake->n_peers;

        polls[0] = (struct pollfd){.fd = fake->wake[0], .events = POLLIN};
        polls[1] = (struct pollfd){.fd = fake->listener, .events = POLLIN};
        for (guint i = 0; i < n; i++)
            polls[i + 2] =
                (struct pollfd){.fd = fake->peers[i].fd, .events = POLLIN};
        poll(polls, n + 2, fake_go_on(fake) ? 1 : -1);
        if (polls[0].revents && !fake_take_orders(fake))
            return NULL;
        if (fake->n_peers == n)
            for (guint i = n; i-- > 0;)
                if (polls[i + 2].revents && !fake_hear(fake, &fake->peers[i]))
                    fake_hang_up(fake, &fake->peers[i]);
        if (polls[1].revents)
            fake_accept(fake);
    }
}

/* --- for tests -------------------------------------------------------------
 */

static void fake_start(Fake *fake, const char *run_dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    fake->uuid = fake->uuid ? fake->uuid : FAKE_UUID;
    fake->answer = fake->answer ? fake->answer : "{}";
    fake->path = g_strdup_printf("%s/%s.sock", run_dir, fake->uuid);
    fake->heard = g_string_new(NULL);
    g_mutex_init(&fake->lock);
    fake->child = fork();
    if (fake->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("sleep", "sleep", "600", NULL);
        _exit(127);
    }
    g_assert_cmpint(pipe2(fake->wake, O_CLOEXEC), ==, 0);
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, fake->path, sizeof address.sun_path);
    g_assert_cmpint(
        bind(fake->listener, (struct sockaddr *)&address, sizeof address), ==,
        0);
    g_assert_cmpint(listen(fake->listener, FAKE_PEERS), ==, 0);
    fake->thread = g_thread_new("fake", fake_run, fake);
}

static void fake_wake(Fake *fake, char go_on)
{
    g_assert_cmpint(write(fake->wake[1], &go_on, 1), ==, 1);
}

/* Every peer gets @line, and is hung up upon if @hang_up. */
static inline void fake_tell(Fake *fake, const char *line, gboolean hang_up)
{
    g_mutex_lock(&fake->lock);
    fake->order = g_strconcat(line, "\n", NULL);
    fake->hang_up = hang_up;
    g_mutex_unlock(&fake->lock);
    fake_wake(fake, 1);
}

/* What it was asked since the last time. */
static inline char *fake_heard(Fake *fake)
{
    char *text;

    g_mutex_lock(&fake->lock);
    text = g_strdup(fake->heard->str);
    g_string_truncate(fake->heard, 0);
    g_mutex_unlock(&fake->lock);
    return text;
}

/* Returns how its child ended, whose end this is. */
static int fake_stop(Fake *fake)
{
    int status = 0;

    fake_wake(fake, 0);
    g_thread_join(fake->thread);
    while (fake->n_peers > 0)
        fake_hang_up(fake, &fake->peers[0]);
    close(fake->listener);
    close(fake->wake[0]);
    close(fake->wake[1]);
    g_unlink(fake->path);
    kill(fake->child, SIGTERM);
    g_assert_cmpint(waitpid(fake->child, &status, 0), ==, fake->child);
    g_free(fake->path);
    g_string_free(fake->heard, TRUE);
    g_free(fake->order);
    g_mutex_clear(&fake->lock);
    memset(fake, 0, sizeof *fake);
    return status;
}

#endif
