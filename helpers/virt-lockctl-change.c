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
    return reply != NULL;
}

static gboolean is_released(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event"));

    return g_strcmp0(name, "RELEASED") == 0;
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

/* Calls @command and waits for the end. Takes @arguments. */
static gboolean end(const Request *request, const char *command,
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
    return request->timeout < 0 ? -1 : request->call_ms;
}

gboolean command_revoke(const Request *request, GError **error)
{
    json_t *arguments = request->disk ? disk_arguments(request) : json_object();

    if (request->reason)
        json_object_set_new(arguments, "reason", json_string(request->reason));
    return end(request, "revoke", arguments, end_timeout_ms(request), error);
}

gboolean command_shutdown(const Request *request, GError **error)
{
    json_t *arguments = json_object();

    if (request->timeout >= 0)
        json_object_set_new(arguments, "timeout",
                            json_integer(request->timeout));
    return end(request, "shutdown", arguments, -1, error);
}

gboolean command_quit(const Request *request, GError **error)
{
    return end(request, "quit", NULL, end_timeout_ms(request), error);
}
