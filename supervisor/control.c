/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see control.h; this file listens and admits, session.c talks. */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "session.h"
#include "watch.h"

#define BACKLOG  32
#define RETRY_MS 100

struct Control {
    ControlSpec spec;
    char *path; /* NULL once unlinked */
    int fd;
    guint source;        /* listening, or waiting to listen again */
    GPtrArray *sessions; /* of Session, the one that spoke last at the end */
};

/* Somebody who holds another lease may answer there: never steal a live
 * socket. */
static gboolean somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    gboolean answers =
        fd >= 0 &&
        (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
         errno == EAGAIN); /* alive, its backlog is full */

    if (fd >= 0)
        close(fd);
    errno = EADDRINUSE;
    return answers;
}

static int bind_socket(const ControlSpec *spec, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    gboolean bound;
    mode_t mask;
    int fd, rc;

    g_strlcpy(address.sun_path, spec->path, sizeof address.sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        set_errno(error, "cannot open '%s'", "control socket");
        return -1;
    }
    mask = umask(0177); /* the socket is born with mode 0600 */
    rc = bind(fd, (struct sockaddr *)&address, sizeof address);
    if (rc < 0 && errno == EADDRINUSE && !somebody_answers(&address)) {
        unlink(spec->path);
        rc = bind(fd, (struct sockaddr *)&address, sizeof address);
    }
    umask(mask);
    bound = rc == 0;
    if (bound && spec->has_group)
        rc = chown(spec->path, -1, spec->group) < 0 ||
                     chmod(spec->path, 0660) < 0
                 ? -1
                 : 0;
    if (rc == 0)
        rc = listen(fd, BACKLOG);
    if (rc == 0)
        return fd;
    if (!bound && errno == EADDRINUSE)
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "cannot listen on '%s': a supervisor of this VM answers "
                    "there (a migration target on the same host needs another "
                    "--run-dir)",
                    spec->path);
    else
        set_errno(error, "cannot listen on '%s'", spec->path);
    if (bound)
        unlink(spec->path);
    close(fd);
    return -1;
}

/* FALSE where the peer has no business here. */
static gboolean admit(const Control *control, int fd, gboolean *may_change)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    gid_t groups[1024];

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return FALSE;
    *may_change = TRUE;
    if (peer.uid == 0 || peer.uid == geteuid())
        return TRUE;
    if (!control->spec.has_group)
        return FALSE;
    *may_change = control->spec.group_rw;
    if (peer.gid == control->spec.group)
        return TRUE;
    len = sizeof groups;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return FALSE;
    for (guint i = 0; i < len / sizeof *groups; i++) {
        if (groups[i] == control->spec.group)
            return TRUE;
    }
    return FALSE;
}

static void on_session_closed(Session *session, gpointer opaque)
{
    Control *control = opaque;

    g_ptr_array_remove(control->sessions, session);
}

static void on_session_spoke(Session *session, gpointer opaque)
{
    Control *control = opaque;
    GPtrArray *sessions = control->sessions;
    guint i;

    if (g_ptr_array_find(sessions, session, &i))
        g_ptr_array_add(sessions, g_ptr_array_steal_index(sessions, i));
}

static void on_command(gpointer opaque, Request *request, const char *name,
                       json_t *arguments)
{
    Control *control = opaque;

    control->spec.run(control->spec.opaque, request, name, arguments);
}

static const SessionEvents session_events = {
    .closed = on_session_closed,
    .spoke = on_session_spoke,
    .run = on_command,
};

static gboolean on_connection(gint listener, GIOCondition condition,
                              gpointer data);

static gboolean listen_again(gpointer data)
{
    Control *control = data;

    control->source = watch_fd(control->fd, G_IO_IN, on_connection, control);
    return G_SOURCE_REMOVE;
}

/* Out of descriptors or memory: the peer would wake us for ever. */
static gboolean cannot_accept(Control *control)
{
    if (errno == EAGAIN || errno == ECONNABORTED)
        return G_SOURCE_CONTINUE;
    control->source = g_timeout_add(RETRY_MS, listen_again, control);
    return G_SOURCE_REMOVE;
}

/* The session that is to end for a new one, or NULL: the one that was silent
 * longest, but none that may change things for a peer that may not. */
static Session *victim(const Control *control, gboolean may_change)
{
    GPtrArray *sessions = control->sessions;

    for (guint i = 0; i < sessions->len; i++) {
        if (!session_may_change(g_ptr_array_index(sessions, i)))
            return g_ptr_array_index(sessions, i);
    }
    return may_change ? g_ptr_array_index(sessions, 0) : NULL;
}

static gboolean on_connection(gint listener, GIOCondition condition,
                              gpointer data)
{
    Control *control = data;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    gboolean full = control->sessions->len >= SESSIONS_MAX;
    gboolean may_change;
    Session *old = NULL;

    if (fd < 0)
        return cannot_accept(control);
    if (!admit(control, fd, &may_change) ||
        (full && !(old = victim(control, may_change)))) {
        close(fd);
        return G_SOURCE_CONTINUE;
    }
    if (old)
        session_close(old);
    g_ptr_array_add(control->sessions,
                    session_new(fd, may_change, &session_events, control));
    return G_SOURCE_CONTINUE;
}

Control *control_new(const ControlSpec *spec, GError **error)
{
    int fd = bind_socket(spec, error);
    Control *control;

    if (fd < 0)
        return NULL;
    control = g_new0(Control, 1);
    control->spec = *spec;
    control->path = g_strdup(spec->path);
    control->fd = fd;
    control->sessions = g_ptr_array_new();
    control->source = watch_fd(fd, G_IO_IN, on_connection, control);
    return control;
}

void control_unlink(Control *control)
{
    if (!control || !control->path)
        return;
    unlink(control->path);
    g_clear_pointer(&control->path, g_free);
}

void control_free(Control *control)
{
    if (!control)
        return;
    control_unlink(control);
    g_source_remove(control->source);
    close(control->fd);
    while (control->sessions->len > 0)
        session_close(g_ptr_array_index(control->sessions, 0));
    g_ptr_array_unref(control->sessions);
    g_free(control);
}

void control_event(Control *control, const char *name, json_t *data)
{
    g_autoptr(GPtrArray) sessions = NULL;
    g_autofree char *line = NULL;
    gsize len;

    if (!control || control->sessions->len == 0) {
        json_decref(data);
        return;
    }
    line = qmp_encode(qmp_event(name, data), &len);
    /* Sending may close a session, and so change the list. */
    sessions = g_ptr_array_copy(control->sessions, NULL, NULL);
    for (guint i = 0; i < sessions->len; i++)
        session_send_event(g_ptr_array_index(sessions, i), line, len);
}
