/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-arrivals.h. */
#include "virt-lockctl-arrivals.h"

#include "qmp.h"

struct Arrivals {
    int call_ms;
    GPtrArray *all; /* of Arrival */
};

void arrival_free(Arrival *arrival)
{
    if (!arrival)
        return;
    client_free(arrival->client);
    json_decref(arrival->status);
    g_clear_error(&arrival->error);
    g_free(arrival->path);
    g_free(arrival);
}

Arrivals *arrivals_new(int call_ms)
{
    Arrivals *arrivals = g_new0(Arrivals, 1);

    arrivals->call_ms = call_ms;
    arrivals->all = g_ptr_array_new_with_free_func(
        (GDestroyNotify)(void (*)(void))arrival_free);
    return arrivals;
}

void arrivals_free(Arrivals *arrivals)
{
    g_ptr_array_unref(arrivals->all);
    g_free(arrivals);
}

gboolean arrivals_add(Arrivals *arrivals, const char *path,
                      const SocketId *socket, gboolean silent, GError **error)
{
    Client *client = client_begin(path, arrivals->call_ms, error);
    Arrival *arrival;

    if (!client)
        return FALSE;
    arrival = g_new0(Arrival, 1);
    arrival->path = g_strdup(path);
    arrival->socket = *socket;
    arrival->client = client;
    arrival->since = g_get_monotonic_time();
    arrival->silent = silent;
    g_ptr_array_add(arrivals->all, arrival);
    return TRUE;
}

gboolean arrivals_have(const Arrivals *arrivals, const char *path,
                       const SocketId *socket)
{
    for (guint i = 0; i < arrivals->all->len; i++) {
        const Arrival *arrival = arrivals->all->pdata[i];

        if (g_str_equal(arrival->path, path) &&
            socket_id_equal(&arrival->socket, socket))
            return TRUE;
    }
    return FALSE;
}

Arrival *arrivals_take(Arrivals *arrivals)
{
    gint64 now = g_get_monotonic_time();

    for (guint i = 0; i < arrivals->all->len; i++) {
        Arrival *arrival = arrivals->all->pdata[i];

        arrival->status = client_begun(arrival->client, &arrival->error);
        if (!g_error_matches(arrival->error, QMP_ERROR, QMP_ERROR_TIMEOUT))
            return g_ptr_array_steal_index(arrivals->all, i);
        g_clear_error(&arrival->error);
        if (now - arrival->since >= 1000 * (gint64)arrivals->call_ms)
            arrival->silent = TRUE;
    }
    return NULL;
}

guint arrivals_count(const Arrivals *arrivals)
{
    return arrivals->all->len;
}

const Arrival *arrivals_get(const Arrivals *arrivals, guint i)
{
    return arrivals->all->pdata[i];
}

guint arrivals_expected(const Arrivals *arrivals)
{
    guint n = 0;

    for (guint i = 0; i < arrivals->all->len; i++)
        n += !arrivals_get(arrivals, i)->silent;
    return n;
}

GError *arrival_silence(const char *path)
{
    return g_error_new(QMP_ERROR, QMP_ERROR_TIMEOUT,
                       "cannot connect to '%s': no answer in time", path);
}
