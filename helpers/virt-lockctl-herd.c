/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-herd.h. */
#include "virt-lockctl-herd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "places.h"
#include "qmp.h"
#include "virt-lockctl-dir.h"
#include "virt-lockctl-refusals.h"
#include "virt-lockctl.h"

/* Who ends our connection sooner does not want us. Microseconds. */
#define UNWANTED G_USEC_PER_SEC

typedef struct {
    Member m; /* must be first */
    char *path;
    SocketId socket;
    gint64 since; /* of the connection, CLOCK_MONOTONIC microseconds */
    gboolean dirty;
} Full;

struct Herd {
    char *run_dir;
    int call_ms;
    char *vm;           /* the one that is wanted; or NULL */
    Full *only;         /* found by herd_new(), until herd_update() */
    GPtrArray *members; /* of Full */
    Refusals *refusals;
    DirWatch *dir; /* NULL: not followed */
    gboolean scan; /* the directory must be looked at */
    GError *lost;  /* the directory cannot be looked at any more */
};

static void full_free(gpointer data)
{
    Full *full = data;

    if (!full)
        return;
    client_free(full->m.client);
    json_decref(full->m.status);
    g_free(full->m.name);
    g_free(full->m.uuid);
    g_free(full->path);
    g_free(full);
}

void herd_free(Herd *herd)
{
    if (!herd)
        return;
    full_free(herd->only);
    g_ptr_array_unref(herd->members);
    refusals_free(herd->refusals);
    dir_watch_free(herd->dir);
    g_clear_error(&herd->lost);
    g_free(herd->run_dir);
    g_free(herd->vm);
    g_free(herd);
}

guint herd_count(const Herd *herd)
{
    return herd->members->len;
}

const Member *herd_member(const Herd *herd, guint i)
{
    return herd->members->pdata[i];
}

const GError *herd_lost(const Herd *herd)
{
    return herd->lost;
}

const GError *herd_silent(const Herd *herd)
{
    return refusals_error(herd->refusals);
}

/* --- members -------------------------------------------------------------- */

/* Takes @client; NULL and @error where it does not say how it is. */
static Full *full_new(Client *client, GError **error)
{
    json_t *status = client_call(client, "query-status", NULL, -1, NULL, error);
    Full *full;

    if (!status) {
        client_free(client);
        return NULL;
    }
    full = g_new0(Full, 1);
    full->m.client = client;
    full->m.status = status;
    full->m.name = field_text(status, "name");
    full->m.uuid = field_text(status, "uuid");
    full->since = g_get_monotonic_time();
    return full;
}

/* The one VM that is there. */
static gboolean find_only(Herd *herd, GError **error)
{
    Client *client = client_find(herd->run_dir, herd->vm, herd->call_ms, error);
    const char *uuid;

    herd->only = client ? full_new(client, error) : NULL;
    if (!herd->only)
        return FALSE;
    uuid = json_string_value(json_object_get(herd->only->m.status, "uuid"));
    herd->only->path = places_socket(herd->run_dir, uuid ? uuid : "");
    socket_id(herd->only->path, &herd->only->socket);
    return TRUE;
}

Herd *herd_new(const char *run_dir, const char *vm, gboolean follow,
               int call_ms, GError **error)
{
    g_autoptr(Herd) herd = g_new0(Herd, 1);

    herd->run_dir = g_strdup(run_dir);
    herd->vm = g_strdup(vm);
    herd->call_ms = call_ms;
    herd->members = g_ptr_array_new_with_free_func(full_free);
    herd->refusals = refusals_new();
    herd->scan = follow || !vm;
    if (!follow)
        return !vm || find_only(herd, error) ? g_steal_pointer(&herd) : NULL;
    herd->dir = dir_watch_new(run_dir, error);
    if (!herd->dir)
        return NULL;
    return g_steal_pointer(&herd);
}

/* --- who comes ------------------------------------------------------------ */

static gboolean is_member(const Herd *herd, const char *path,
                          const SocketId *socket)
{
    for (guint i = 0; i < herd->members->len; i++) {
        const Full *full = herd->members->pdata[i];

        if (g_str_equal(full->path, path) &&
            socket_id_equal(&full->socket, socket))
            return TRUE;
    }
    return FALSE;
}

static GError *nobody(void)
{
    return g_error_new(QMP_ERROR, QMP_ERROR_NO_SUPERVISOR, "nobody is there");
}

static gboolean is_wanted(const Herd *herd, const Member *member)
{
    const char *name =
        json_string_value(json_object_get(member->status, "name"));

    return !herd->vm || g_strcmp0(name, herd->vm) == 0 ||
           g_ascii_strcasecmp(member->uuid, herd->vm) == 0;
}

static gboolean admit(Herd *herd, const char *path, int left_ms,
                      HerdVisit *visit, gpointer data)
{
    GError *error = NULL;
    SocketId socket;
    Client *client;
    Full *full;

    if (!socket_id(path, &socket) || is_member(herd, path, &socket) ||
        refusals_stand(herd->refusals, path, &socket))
        return FALSE;
    client = client_connect(path, left_ms, &error);
    full = client ? full_new(client, &error) : NULL;
    if (!full) {
        refusals_add(herd->refusals, path, &socket, error);
        return FALSE;
    }
    if (!is_wanted(herd, &full->m)) {
        full_free(full);
        refusals_add(herd->refusals, path, &socket, NULL);
        return FALSE;
    }
    full->path = g_strdup(path);
    full->socket = socket;
    refusals_remove(herd->refusals, path);
    g_ptr_array_add(herd->members, full);
    visit(&full->m, MEMBER_CAME, NULL, data);
    return TRUE;
}

/* All that are silent share one deadline, as in client_foreach(). */
static gboolean scan(Herd *herd, HerdVisit *visit, gpointer data)
{
    gint64 deadline = g_get_monotonic_time() + 1000 * (gint64)herd->call_ms;
    g_autoptr(GPtrArray) paths =
        client_sockets(herd->run_dir, herd->lost ? NULL : &herd->lost);
    gboolean any = FALSE;

    herd->scan = FALSE;
    if (!paths)
        return FALSE;
    refusals_keep(herd->refusals, paths);
    for (guint i = 0; i < paths->len; i++) {
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;

        any |= admit(herd, paths->pdata[i],
                     (int)CLAMP(left, MIN(herd->call_ms, 500), G_MAXINT), visit,
                     data);
    }
    return any;
}

/* --- who speaks, who goes ------------------------------------------------- */

/* Returns FALSE when there will be no more; @error is then set if that is not
 * because the supervisor has ended. */
static gboolean drain(Full *full, HerdVisit *visit, gpointer data,
                      gboolean *any, GError **error)
{
    g_autoptr(GError) reason = NULL;
    json_t *event;

    while ((event = client_event(full->m.client, 0, &reason))) {
        full->dirty = *any = TRUE;
        visit(&full->m, MEMBER_EVENT, event, data);
        json_decref(event);
    }
    if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_TIMEOUT))
        return TRUE;
    if (reason)
        g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

/* Takes @error. The next of that name is looked for, and itself too if it
 * has only lost us; but not if it drops us each time. */
static void remove_member(Herd *herd, guint i, GError *error, HerdVisit *visit,
                          gpointer data)
{
    Full *full = g_ptr_array_steal_index(herd->members, i);

    if (!error && g_get_monotonic_time() - full->since < UNWANTED &&
        access(full->path, F_OK) == 0)
        error = nobody();
    if (error)
        refusals_add(herd->refusals, full->path, &full->socket, error);
    herd->scan = herd->dir != NULL;
    visit(&full->m, MEMBER_WENT, NULL, data);
    full_free(full);
}

static gboolean update(Herd *herd, HerdVisit *visit, gpointer data)
{
    gboolean any = FALSE;

    if (herd->only) {
        visit(&herd->only->m, MEMBER_CAME, NULL, data);
        g_ptr_array_add(herd->members, g_steal_pointer(&herd->only));
        any = TRUE;
    }
    if (herd->dir && !herd->lost && dir_watch_changed(herd->dir, &herd->lost))
        herd->scan = TRUE;
    for (guint i = herd->members->len; i-- > 0;) {
        GError *error = NULL;

        if (!drain(herd->members->pdata[i], visit, data, &any, &error)) {
            remove_member(herd, i, error, visit, data);
            any = TRUE;
        }
    }
    if (herd->scan)
        any |= scan(herd, visit, data);
    return any;
}

/* What came along with an answer is not in the socket any more, and would wake
 * nobody: therefore until there is nothing. */
gboolean herd_update(Herd *herd, HerdVisit *visit, gpointer data)
{
    gboolean any = FALSE;

    while (update(herd, visit, data))
        any = TRUE;
    return any;
}

void herd_ask(Herd *herd)
{
    for (guint i = 0; i < herd->members->len; i++) {
        Full *full = herd->members->pdata[i];
        json_t *status;

        if (!full->dirty)
            continue;
        full->dirty = FALSE;
        status =
            client_call(full->m.client, "query-status", NULL, -1, NULL, NULL);
        if (!status)
            continue; /* its end is read next */
        json_decref(full->m.status);
        full->m.status = status;
    }
}

/* --- waiting -------------------------------------------------------------- */

static int sooner(int one, int two)
{
    return one < 0 ? two : two < 0 ? one : MIN(one, two);
}

gboolean herd_wait(Herd *herd, struct pollfd *more, guint n_more,
                   int timeout_ms, GError **error)
{
    guint n = herd->members->len, at = n;
    g_autofree struct pollfd *polled = g_new0(struct pollfd, n + n_more + 2);
    int retry = herd->dir ? refusals_next(herd->refusals) : -1;

    if (herd->lost) {
        g_propagate_error(error, g_steal_pointer(&herd->lost));
        return FALSE;
    }
    for (guint i = 0; i < n; i++)
        polled[i] =
            (struct pollfd){client_fd(herd_member(herd, i)->client), POLLIN, 0};
    polled[at++] = (struct pollfd){STDOUT_FILENO, 0, 0}; /* its end */
    for (guint i = 0; i < n_more; i++)
        polled[at++] = more[i];
    if (herd->dir)
        polled[at++] = (struct pollfd){dir_watch_fd(herd->dir), POLLIN, 0};
    if (poll(polled, at, sooner(retry, timeout_ms)) < 0 && errno != EINTR)
        return set_errno(error, "cannot wait for events");
    for (guint i = 0; i < n_more; i++)
        more[i] = polled[n + 1 + i];
    if (retry >= 0 && refusals_next(herd->refusals) == 0)
        herd->scan = TRUE;
    return !(polled[n].revents & (POLLERR | POLLNVAL));
}
