/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: commands that change something
 *
 * A disk is opened here, with the rights of whoever runs the command, and the
 * open descriptor goes along; the supervisor opens nothing. What ends a VM is
 * done when the supervisor has closed the connection: then the child is dead
 * and the leases are released.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "qmp.h"
#include "virt-lockctl.h"

/* How often it is looked whether a lease is free; events end that early. */
#define LISTEN_MS 10

static json_t *disk_arguments(const Request *request)
{
    return json_pack("{s:s}", "disk", request->disk->path);
}

static int open_disk(const Resource *disk, GError **error)
{
    int access = disk->mode == RESOURCE_EXCLUSIVE ? O_RDWR : O_RDONLY;
    int fd = open(disk->path, access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        set_errno(error, "cannot open '%s'", disk->path);
    return fd;
}

gboolean command_acquire(const Request *request, GError **error)
{
    g_autoptr(Client) client = request_connect(request, error);
    g_autoptr(json_t) lease = NULL;
    json_t *arguments;
    int fd;

    if (!client)
        return FALSE;
    fd = open_disk(request->disk, error);
    if (fd < 0)
        return FALSE;
    arguments = disk_arguments(request);
    json_object_set_new(arguments, "mode",
                        json_string(resource_mode_name(request->disk->mode)));
    lease = client_call(client, "lease-acquire", arguments, fd, NULL, error);
    close(fd);
    if (lease && request->json)
        print_json(lease, FALSE);
    return lease != NULL;
}

static gboolean is_released(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event"));

    return g_strcmp0(name, "RELEASED") == 0;
}

/* TRUE where @leases has one on that disk that is not released yet. */
static gboolean is_still_held(const json_t *leases, const Resource *disk)
{
    g_autofree char *path = g_canonicalize_filename(disk->path, "/");
    const json_t *lease;
    size_t i;

    json_array_foreach (leases, i, lease) {
        const char *name = json_string_value(json_object_get(lease, "name"));
        const char *kind = json_string_value(json_object_get(lease, "kind"));
        const char *status =
            json_string_value(json_object_get(lease, "status"));
        g_autofree char *held =
            name ? g_canonicalize_filename(name, "/") : NULL;

        if (g_strcmp0(held, path) == 0 && g_strcmp0(kind, "disk") == 0 &&
            g_strcmp0(status, "WANTED") != 0)
            return TRUE;
    }
    return FALSE;
}

/* Listens for RELEASED, for a moment. Returns TRUE when it has come. */
static gboolean listen_for_end(Client *client)
{
    json_t *event;
    gboolean released = FALSE;

    do {
        event = client_event(client, LISTEN_MS, NULL);
        released |= event && is_released(event);
        json_decref(event);
    } while (event && !released);
    return released;
}

/* A VM whose child is gone says at once that it will not wait for that disk
 * any longer, and lets it go later, when it comes to it: waits until then. */
static gboolean wait_for_release(Client *client, const Request *request,
                                 GError **error)
{
    gint64 deadline = g_get_monotonic_time() + 1000 * (gint64)request->call_ms;

    while (g_get_monotonic_time() < deadline) {
        g_autoptr(GError) reason = NULL;
        g_autoptr(json_t) leases =
            client_call(client, "query-leases", NULL, -1, NULL, &reason);

        if (leases && !is_still_held(leases, request->disk))
            return TRUE;
        if (listen_for_end(client))
            return TRUE;
        if (!leases) {
            g_propagate_prefixed_error(
                error, g_steal_pointer(&reason),
                "cannot tell whether '%s' is free: ", request->disk->path);
            return FALSE;
        }
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_TIMEOUT,
                "cannot wait for the release of '%s' any longer: it is still "
                "held",
                request->disk->path);
    return FALSE;
}

gboolean command_release(const Request *request, GError **error)
{
    g_autoptr(Client) client = request_connect(request, error);
    g_autoptr(json_t) reply = NULL;
    json_t *arguments;

    if (!client)
        return FALSE;
    arguments = disk_arguments(request);
    if (request->force)
        json_object_set_new(arguments, "force", json_true());
    reply = client_call(client, "lease-release", arguments, -1, NULL, error);
    if (!reply || !request->force)
        return reply != NULL;
    return wait_for_release(client, request, error);
}

/* Waits until the supervisor has said that every lease is released, and has
 * ended; for @timeout_ms at most, -1 for ever. An end without that word may
 * be anything: it was killed, or has dropped us. */
static gboolean wait_for_end(Client *client, const Request *request,
                             int timeout_ms, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + 1000 * (gint64)timeout_ms;
    g_autoptr(GError) reason = NULL;
    gboolean released = FALSE;
    json_t *event;

    do {
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;

        event = client_event(client, timeout_ms < 0 ? -1 : (int)MAX(left, 0),
                             &reason);
        released |= event && is_released(event);
        json_decref(event);
    } while (event);
    if (!reason && released)
        return TRUE;
    if (!reason)
        g_set_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR,
                    "cannot tell whether '%s' is gone: the connection ended "
                    "before its leases were released; see 'virt-lockctl "
                    "list'",
                    request->target);
    else if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_TIMEOUT))
        g_set_error(error, QMP_ERROR, QMP_ERROR_TIMEOUT,
                    "cannot wait for the end of '%s' any longer: it is still "
                    "there",
                    request->target);
    else
        g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

gboolean request_end(const Request *request, const char *command,
                     json_t *arguments, int timeout_ms, GError **error)
{
    g_autoptr(json_t) taken = arguments;
    g_autoptr(Client) client = request_connect(request, error);
    g_autoptr(json_t) reply = NULL;

    if (!client)
        return FALSE;
    reply =
        client_call(client, command, g_steal_pointer(&taken), -1, NULL, error);
    return reply && wait_for_end(client, request, timeout_ms, error);
}

/* Without --timeout the end may take as long as it takes. */
static int end_timeout_ms(const Request *request)
{
    return request->timeout_ms < 0 ? -1 : request->call_ms;
}

gboolean command_revoke(const Request *request, GError **error)
{
    json_t *arguments = request->disk ? disk_arguments(request) : json_object();

    if (request->reason)
        json_object_set_new(arguments, "reason", json_string(request->reason));
    return request_end(request, "revoke", arguments, end_timeout_ms(request),
                       error);
}

gboolean command_shutdown(const Request *request, GError **error)
{
    json_t *arguments = json_object();

    if (request->timeout_ms >= 0)
        json_object_set_new(arguments, "timeout",
                            json_real(request->timeout_ms / 1000.0));
    return request_end(request, "shutdown", arguments, -1, error);
}

gboolean command_quit(const Request *request, GError **error)
{
    return request_end(request, "quit", NULL, end_timeout_ms(request), error);
}
