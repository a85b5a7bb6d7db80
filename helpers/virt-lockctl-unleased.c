/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: images that a VM writes to without a lease
 *
 * What the supervisor's child and its descendants have open for writing
 * (libsupervise/opened.h says what counts) is compared with the VM's leases.
 * Nothing is locked or opened but what is in /proc.
 *
 * Should:  say that something cannot be seen rather than that all is leased.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "opened.h"
#include "qmp.h"
#include "virt-lockctl-proc.h"
#include "virt-lockctl.h"

typedef struct {
    const json_t *leases;
    json_t *found;   /* array: of processes that are known to be the VM's */
    json_t *pending; /* array: of those that are being looked at */
} Search;

/* --- one file ------------------------------------------------------------- */

/* The lease on that file or device; one that is not held yet, or no more,
 * keeps nobody from it. */
static const json_t *covering_lease(const Search *search, const char *device,
                                    const OpenedFile *file)
{
    const json_t *lease;
    size_t i;

    json_array_foreach (search->leases, i, lease) {
        const json_t *inode = json_object_get(lease, "inode");

        if (g_strcmp0(json_string_value(json_object_get(lease, "device")),
                      device) != 0 ||
            g_strcmp0(json_string_value(json_object_get(lease, "status")),
                      "WANTED") == 0)
            continue;
        if (file->block
                ? !inode
                : inode && (guint64)json_integer_value(inode) == file->inode)
            return lease;
    }
    return NULL;
}

/* The same file in the same process; NULL where it was not met before. */
static json_t *met_before(const json_t *all, const json_t *one)
{
    static const char *const same[] = {"pid", "device", "inode"};
    json_t *other;
    size_t i;

    json_array_foreach (all, i, other) {
        guint equal = 0;

        for (gsize s = 0; s < G_N_ELEMENTS(same); s++)
            equal += json_object_get(one, same[s]) ==
                         json_object_get(other, same[s]) ||
                     json_equal(json_object_get(one, same[s]),
                                json_object_get(other, same[s]));
        if (equal == G_N_ELEMENTS(same))
            return other;
    }
    return NULL;
}

static gboolean on_file(const OpenedFile *file, gpointer data)
{
    Search *search = data;
    g_autofree char *device =
        g_strdup_printf("%u:%u", major(file->device), minor(file->device));
    g_autofree char *path = g_utf8_make_valid(file->path, -1);
    const json_t *lease = covering_lease(search, device, file);
    const char *mode = json_string_value(json_object_get(lease, "mode"));
    g_autoptr(json_t) item = NULL;
    json_t *before;

    if (!opened_is_image(file) || (lease && g_strcmp0(mode, "readonly") != 0))
        return FALSE;
    item = json_pack("{s:i, s:i, s:s, s:s, s:s, s:b}", "pid", file->pid, "fd",
                     file->fd, "path", path, "kind",
                     file->block ? "block" : "file", "device", device,
                     "qemu-locks", file->qemu);
    if (!file->block)
        json_object_set_new(item, "inode",
                            json_integer((json_int_t)file->inode));
    if (lease)
        json_object_set_new(item, "lease", json_string(mode));
    before = met_before(search->pending, item);
    if (!before)
        json_array_append(search->pending, item);
    else if (file->qemu)
        json_object_set_new(before, "qemu-locks", json_true());
    return FALSE;
}

/* --- all processes -------------------------------------------------------- */

static gboolean on_process(pid_t pid, gpointer data)
{
    return opened_walk(pid, on_file, data);
}

/* What was seen under the number of a process that has ended meanwhile may be
 * of somebody else. */
static void on_process_done(pid_t pid, gboolean lived, gpointer data)
{
    Search *search = data;

    for (size_t i = json_array_size(search->pending); i-- > 0;) {
        json_t *item = json_array_get(search->pending, i);

        if (json_integer_value(json_object_get(item, "pid")) != pid)
            continue;
        if (lived)
            json_array_append(search->found, item);
        json_array_remove(search->pending, i);
    }
}

/* The supervisor's number here; 0 where it has none here (it is in another
 * PID namespace), or where that cannot be told. */
static pid_t peer_of(const Client *client)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);

    if (getsockopt(client_fd(client), SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return 0;
    return peer.pid;
}

static gboolean cannot_see(const char *why, GError **error)
{
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "cannot see what the VM's processes have open: %s", why);
    return FALSE;
}

/* TRUE where that number is the child's here, too. */
static gboolean is_child(pid_t pid, guint64 start_time)
{
    ProcessStat stat;

    return process_stat(pid, &stat) && stat.start_time == start_time;
}

gboolean find_unleased(Client *client, const json_t *leases, json_t *found,
                       GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autoptr(json_t) pending = json_array();
    g_autoptr(json_t) child =
        client_call(client, "query-child", NULL, -1, NULL, &reason);
    pid_t pid = (pid_t)json_integer_value(json_object_get(child, "pid"));
    guint64 start =
        (guint64)json_integer_value(json_object_get(child, "start-time"));
    pid_t supervisor = peer_of(client);
    Search search = {leases, found, pending};

    if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_WRONG_STATE))
        return TRUE; /* there is none, so nothing is open */
    if (!child) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return FALSE;
    }
    if (!is_child(pid, start))
        return cannot_see("its child is not to be found in /proc (is this "
                          "another PID namespace, or has it just ended?)",
                          error);
    if (process_walk(supervisor, pid, start, on_process, on_process_done,
                     &search))
        return TRUE;
    if (errno == EACCES || errno == EPERM)
        return cannot_see("permission denied; run virt-lockctl as root", error);
    return cannot_see(g_strerror(errno), error);
}

char *unleased_sentence(const json_t *item)
{
    g_autofree char *path = field_text(item, "path");
    g_autofree char *pid = field_text(item, "pid");
    gboolean sure = json_is_true(json_object_get(item, "qemu-locks")) ||
                    !json_object_get(item, "inode");

    if (json_object_get(item, "lease"))
        return g_strdup_printf("'%s' is open for writing in process %s, and "
                               "its lease is readonly: other readers are let "
                               "in",
                               path, pid);
    return g_strdup_printf("'%s' is open for writing in process %s without a "
                           "lease: nobody is kept from it (name it with "
                           "--disk%s)",
                           path, pid, sure ? "" : ", if it is a disk");
}

gboolean command_unleased(const Request *request, GError **error)
{
    g_autoptr(Client) client = request_connect(request, error);
    g_autoptr(json_t) found = json_array();
    g_autoptr(json_t) leases = NULL;
    gboolean complete;
    json_t *item;
    size_t i;

    if (client)
        leases = client_call(client, "query-leases", NULL, -1, NULL, error);
    if (!leases)
        return FALSE;
    complete = find_unleased(client, leases, found, error);
    if (request->json)
        print_json(found, FALSE);
    json_array_foreach (found, i, item) {
        g_autofree char *sentence = unleased_sentence(item);

        if (!request->json)
            printf("%s\n", sentence);
    }
    return complete;
}
