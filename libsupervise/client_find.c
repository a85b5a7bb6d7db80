/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: which supervisor is meant
 *
 * A uuid names its socket. For a name every supervisor is asked; all of them
 * share one deadline, so that many silent ones take no longer than one, but
 * each still gets a moment of its own.
 */
#include "client.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "places.h"
#include "qmp.h"

/* What every supervisor gets to answer in when others have used up the
 * time, milliseconds. */
#define LEAST_TIMEOUT 100

static int by_path(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* TRUE for UUID.sock */
static gboolean is_socket_name(const char *name)
{
    g_autofree char *uuid = NULL;

    if (!g_str_has_suffix(name, ".sock"))
        return FALSE;
    uuid = g_strndup(name, strlen(name) - strlen(".sock"));
    return g_uuid_string_is_valid(uuid);
}

GPtrArray *client_sockets(const char *run_dir, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    struct dirent *entry;
    DIR *dir = opendir(run_dir);

    if (!dir && errno != ENOENT) {
        set_errno(error, "cannot open '%s'", run_dir);
        return NULL;
    }
    while (dir && (entry = readdir(dir))) {
        if (is_socket_name(entry->d_name))
            g_ptr_array_add(paths,
                            g_strdup_printf("%s/%s", run_dir, entry->d_name));
    }
    if (dir)
        closedir(dir);
    g_ptr_array_sort(paths, by_path);
    return g_steal_pointer(&paths);
}

/* Milliseconds until @deadline, but never too few; -1 for no deadline. */
static int time_left(gint64 deadline)
{
    gint64 left = (deadline - g_get_monotonic_time()) / 1000;

    return deadline < 0 ? -1 : (int)CLAMP(left, LEAST_TIMEOUT, G_MAXINT);
}

static gboolean visit_one(const char *path, int timeout_ms, ClientVisit *visit,
                          gpointer data, GError **error)
{
    g_autoptr(Client) client = client_connect(path, timeout_ms, error);
    g_autoptr(json_t) status = NULL;

    if (!client)
        return FALSE;
    status = client_call(client, "query-status", NULL, -1, NULL, error);
    if (!status || !client_check_status(status, error)) {
        g_prefix_error(error, "'%s': ", path);
        return FALSE;
    }
    visit(g_steal_pointer(&client), status, data);
    return TRUE;
}

gboolean client_foreach(const char *run_dir, int timeout_ms, ClientVisit *visit,
                        gpointer data, GError **error)
{
    g_autoptr(GPtrArray) paths = client_sockets(run_dir, error);
    g_autoptr(GError) first = NULL;
    gint64 deadline = g_get_monotonic_time() + 1000 * (gint64)timeout_ms;
    guint silent = 0, ended = 0; /* sockets that are only left over */

    for (guint i = 0; paths && i < paths->len; i++) {
        g_autoptr(GError) reason = NULL;

        if (visit_one(paths->pdata[i],
                      timeout_ms < 0 ? -1 : time_left(deadline), visit, data,
                      &reason))
            continue;
        if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR)) {
            ended++;
            continue;
        }
        silent++;
        if (!first)
            first = g_steal_pointer(&reason);
    }
    if (silent > 0)
        g_set_error(error, QMP_ERROR, first->code,
                    "cannot ask %u of %u supervisors: %s", silent,
                    paths->len - ended, first->message);
    return paths && silent == 0;
}

typedef struct {
    const char *name;
    GPtrArray *uuids; /* of those that have the name */
} Search;

static void compare_name(Client *client, const json_t *status, gpointer data)
{
    const char *name = json_string_value(json_object_get(status, "name"));
    const char *uuid = json_string_value(json_object_get(status, "uuid"));
    Search *search = data;

    if (uuid && g_strcmp0(name, search->name) == 0)
        g_ptr_array_add(search->uuids, g_strdup(uuid));
    client_free(client);
}

static Client *find_by_name(const char *run_dir, const char *vm, int timeout_ms,
                            GError **error)
{
    g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
    Search search = {vm, uuids};
    g_autoptr(GError) reason = NULL;

    client_foreach(run_dir, timeout_ms, compare_name, &search, &reason);
    if (uuids->len == 1) {
        g_autofree char *path = places_socket(run_dir, uuids->pdata[0]);

        return client_connect(path, timeout_ms, error);
    }
    if (uuids->len > 1) {
        g_ptr_array_add(uuids, NULL);
        g_autofree char *all = g_strjoinv(", ", (char **)uuids->pdata);
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot choose VM '%s': %u have that name: %s", vm,
                    uuids->len - 1, all);
    } else if (reason) {
        g_set_error(error, QMP_ERROR, reason->code, "cannot find VM '%s': %s",
                    vm, reason->message);
    } else {
        g_set_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR,
                    "cannot find VM '%s': no supervisor in '%s' answers for it",
                    vm, run_dir);
    }
    return NULL;
}

Client *client_find(const char *run_dir, const char *vm, int timeout_ms,
                    GError **error)
{
    g_autofree char *uuid = places_uuid(vm, NULL);
    GError *reason = NULL;

    if (uuid) {
        g_autofree char *path = places_socket(run_dir, uuid);
        Client *client = client_connect(path, timeout_ms, &reason);

        if (client)
            return client;
        if (!g_error_matches(reason, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR)) {
            g_propagate_error(error, reason);
            return NULL;
        }
        g_clear_error(&reason);
    }
    return find_by_name(run_dir, vm, timeout_ms, error);
}
