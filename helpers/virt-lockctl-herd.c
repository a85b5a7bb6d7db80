/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-herd.h. */
#include "virt-lockctl-herd.h"

#include <unistd.h>

#include "places.h"
#include "qmp.h"
#include "virt-lockctl-herd-internal.h"

/* Who ends our connection sooner does not want us. Microseconds. */
#define UNWANTED G_USEC_PER_SEC
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
    arrivals_free(herd->arrivals);
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

gboolean herd_is_alive(const Herd *herd)
{
    return herd->members->len > 0 || arrivals_expected(herd->arrivals) > 0;
}

/* --- members -------------------------------------------------------------- */

/* Takes @client and @status. */
static Full *full_new(Client *client, json_t *status)
{
    Full *full = g_new0(Full, 1);

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
    g_autoptr(Client) client =
        client_find(herd->run_dir, herd->vm, herd->call_ms, error);
    g_autoptr(json_t) status = NULL;

    if (client)
        status = client_call(client, "query-status", NULL, -1, NULL, error);
    if (!status || !client_check_status(status, error))
        return FALSE;
    herd->only = full_new(g_steal_pointer(&client), g_steal_pointer(&status));
    herd->only->path = places_socket(herd->run_dir, herd->only->m.uuid);
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
    herd->arrivals = arrivals_new(call_ms);
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

static void call(Herd *herd, const char *path)
{
    gboolean silent = refusals_know(herd->refusals, path);
    GError *error = NULL;
    SocketId socket;

    if (!socket_id(path, &socket) || is_member(herd, path, &socket) ||
        arrivals_have(herd->arrivals, path, &socket) ||
        refusals_stand(herd->refusals, path, &socket))
        return;
    if (arrivals_add(herd->arrivals, path, &socket, silent, &error))
        refusals_remove(herd->refusals, path);
    else
        refusals_add(herd->refusals, path, &socket, error);
}

static void scan(Herd *herd)
{
    g_autoptr(GPtrArray) paths =
        client_sockets(herd->run_dir, herd->lost ? NULL : &herd->lost);

    herd->scan = FALSE;
    if (!paths)
        return;
    refusals_keep(herd->refusals, paths);
    for (guint i = 0; i < paths->len; i++)
        call(herd, paths->pdata[i]);
}

/* Who has hung up may have ended; then nobody listens any more. */
static void refuse(Herd *herd, Arrival *arrival)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) again = client_begin(arrival->path, 0, &error);
    SocketId socket;

    if (!socket_id(arrival->path, &socket) ||
        !socket_id_equal(&socket, &arrival->socket))
        return; /* the next of that name has been called */
    if (g_error_matches(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR)) {
        g_clear_error(&arrival->error);
        arrival->error = nobody();
    }
    refusals_add(herd->refusals, arrival->path, &arrival->socket,
                 g_steal_pointer(&arrival->error));
}

static void admit(Herd *herd, Arrival *arrival, HerdVisit *visit, gpointer data)
{
    Full *full = full_new(g_steal_pointer(&arrival->client),
                          g_steal_pointer(&arrival->status));

    if (!is_wanted(herd, &full->m)) {
        full_free(full);
        refusals_add(herd->refusals, arrival->path, &arrival->socket, NULL);
        return;
    }
    full->path = g_strdup(arrival->path);
    full->socket = arrival->socket;
    refusals_remove(herd->refusals, full->path);
    g_ptr_array_add(herd->members, full);
    visit(&full->m, MEMBER_CAME, NULL, data);
}

static gboolean receive(Herd *herd, HerdVisit *visit, gpointer data)
{
    gboolean any = FALSE;

    for (;;) {
        g_autoptr(Arrival) arrival = arrivals_take(herd->arrivals);

        if (!arrival)
            return any;
        if (arrival->error)
            refuse(herd, arrival);
        else
            admit(herd, arrival, visit, data);
        any = TRUE;
    }
}

/* --- who speaks, who goes ------------------------------------------------- */

/* The answer to herd_ask(), if it has come; FALSE and @error where it is no
 * answer. The end of the connection is for drain() to find. */
static gboolean take_answer(const Herd *herd, Full *full, gboolean *any,
                            GError **error)
{
    GError *reason = NULL;
    json_t *status =
        full->asked ? client_answer(full->m.client, 0, &reason) : NULL;

    if (status && client_check_status(status, &reason)) {
        json_decref(full->m.status);
        full->m.status = status;
        full->m.silent = FALSE;
        full->asked = 0;
        *any = TRUE;
    } else if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_TIMEOUT)) {
        full->m.silent = g_get_monotonic_time() - full->asked >=
                         1000 * (gint64)herd->call_ms;
        g_clear_error(&reason);
    } else if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR)) {
        g_clear_error(&reason);
    }
    if (!reason)
        return TRUE;
    json_decref(status);
    g_propagate_prefixed_error(error, reason, "'%s': ", full->path);
    return FALSE;
}

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

        if (!take_answer(herd, herd->members->pdata[i], &any, &error) ||
            !drain(herd->members->pdata[i], visit, data, &any, &error)) {
            remove_member(herd, i, error, visit, data);
            any = TRUE;
        }
    }
    if (herd->scan)
        scan(herd);
    return receive(herd, visit, data) || any;
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

        if (!full->dirty || full->asked)
            continue;
        full->dirty = FALSE;
        if (client_ask(full->m.client, "query-status", NULL))
            full->asked = g_get_monotonic_time();
    }
}
