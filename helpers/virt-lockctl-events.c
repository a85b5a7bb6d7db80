/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: events as they come
 *
 * One line per event, flushed at once. Supervisors that start later are not
 * listened to. Ends when the last supervisor has ended; a signal ends it too,
 * there is nothing to tidy up.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "qmp.h"
#include "virt-lockctl.h"

typedef struct {
    Client *client;
    char *name;
    char *uuid;
} Source;

static void source_free(gpointer data)
{
    Source *source = data;

    client_free(source->client);
    g_free(source->name);
    g_free(source->uuid);
    g_free(source);
}

static void add_source(Client *client, const json_t *status, gpointer sources)
{
    Source *source = g_new0(Source, 1);

    source->client = client;
    source->name = field_text(status, "name");
    source->uuid = field_text(status, "uuid");
    g_ptr_array_add(sources, source);
}

/* What happened, in words; the data as it is where the event is unknown. */
static char *describe(const char *event, const json_t *data)
{
    g_autofree char *reason = field_text(data, "reason");

    if (g_str_equal(event, "STATE_CHANGE")) {
        g_autofree char *from = field_text(data, "from");
        g_autofree char *to = field_text(data, "to");

        return g_strdup_printf("%s -> %s: %s", from, to, reason);
    }
    if (g_str_equal(event, "LEASE_LOST")) {
        g_autofree char *kind = field_text(data, "kind");
        g_autofree char *name = field_text(data, "name");

        return g_strdup_printf("%s '%s': %s", kind, name, reason);
    }
    if (g_str_equal(event, "CHILD_EXIT")) {
        const char *how =
            json_object_get(data, "signal") ? "signal" : "exit-code";
        g_autofree char *pid = field_text(data, "pid");
        g_autofree char *value = field_text(data, how);

        return g_strdup_printf(
            "pid %s: %s %s", pid,
            *how == 's' ? "killed by signal" : "exited with status", value);
    }
    if (g_str_equal(event, "RELEASED"))
        return g_strdup("every lease is free");
    g_autofree char *raw = json_dumps(data, JSON_COMPACT);
    return printable(raw ? raw : "");
}

static void print_event(const Source *source, json_t *event, gboolean json)
{
    json_t *timestamp = json_object_get(event, "timestamp");
    json_t *seconds = json_object_get(timestamp, "seconds");

    if (json) {
        json_object_set_new(event, "vm",
                            json_pack("{s:s, s:s}", "name", source->name,
                                      "uuid", source->uuid));
        print_json(event, TRUE);
    } else {
        g_autofree char *time = local_time(json_integer_value(seconds));
        g_autofree char *name = field_text(event, "event");
        g_autofree char *what = describe(name, json_object_get(event, "data"));

        printf("%s %s %s %s\n", time, source->name, name, what);
    }
    fflush(stdout);
}

/* Prints what is there. Returns FALSE when there will be no more; @error is
 * then set if that is not because the supervisor has ended. */
static gboolean drain(const Source *source, gboolean json, GError **error)
{
    g_autoptr(GError) reason = NULL;

    for (;;) {
        g_autoptr(json_t) event = client_event(source->client, 0, &reason);

        if (!event)
            break;
        print_event(source, event, json);
    }
    if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_TIMEOUT))
        return TRUE;
    if (reason && error && !*error)
        g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

/* Waits until one of @sources may have something to read. */
static gboolean wait_for_any(const GPtrArray *sources, GError **error)
{
    g_autofree struct pollfd *polled = g_new0(struct pollfd, sources->len);

    for (guint i = 0; i < sources->len; i++) {
        const Source *source = sources->pdata[i];

        polled[i].fd = client_fd(source->client);
        polled[i].events = POLLIN;
    }
    if (poll(polled, sources->len, -1) >= 0 || errno == EINTR)
        return TRUE;
    return set_errno(error, "cannot wait for events");
}

static gboolean follow(GPtrArray *sources, gboolean json, GError **error)
{
    GError *first = NULL;

    for (;;) {
        for (guint i = sources->len; i-- > 0;) {
            if (!drain(sources->pdata[i], json, &first))
                g_ptr_array_remove_index(sources, i);
        }
        if (sources->len == 0 || ferror(stdout))
            break;
        if (!wait_for_any(sources, first ? NULL : &first))
            break;
    }
    if (first)
        g_propagate_error(error, first);
    return first == NULL;
}

/* Connects to the one VM that is wanted. */
static gboolean add_target(const Request *request, GPtrArray *sources,
                           GError **error)
{
    g_autoptr(Client) client = request_connect(request, error);
    g_autoptr(json_t) status = NULL;

    if (client)
        status = client_call(client, "query-status", NULL, -1, NULL, error);
    if (!status)
        return FALSE;
    add_source(g_steal_pointer(&client), status, sources);
    return TRUE;
}

gboolean command_events(const Request *request, GError **error)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(source_free);
    g_autoptr(GError) silent = NULL;

    if (request->target && !add_target(request, sources, error))
        return FALSE;
    if (!request->target)
        client_foreach(request->run_dir, request->call_ms, add_source, sources,
                       &silent);
    if (!follow(sources, request->json, error))
        return FALSE;
    if (!silent)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&silent));
    return FALSE;
}
