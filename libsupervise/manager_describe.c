/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the child, the leases and the status, as a manager that has restarted
 * wants to know them. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "manager_internal.h"

/* --- the child -------------------------------------------------------------
 */

/* There was no child yet. */
static gboolean is_starting(const virLockManager *manager)
{
    return manager->pidfd < 0 &&
           !(manager->flags & VIR_LOCK_MANAGER_NEW_ATTACH);
}

/* Returns its number, and keeps its pidfd: that cannot become another's. */
static pid_t find_child(virLockManagerPtr manager, GError **error)
{
    g_autoptr(json_t) child = NULL;
    gint64 pid;
    int pidfd;

    if (!await_any(manager, error))
        return 0;
    child = is_starting(manager)
                ? await_child(manager, &pidfd, error)
                : ask(manager, "query-child", NULL, -1, &pidfd, error);
    if (!child)
        return 0;
    pid = json_integer_value(json_object_get(child, "pid"));
    if (pidfd >= 0 && manager->pidfd >= 0)
        close(manager->pidfd);
    if (pidfd >= 0)
        manager->pidfd = pidfd;
    if (pid > 0 && pid <= G_MAXINT32 && pidfd >= 0)
        return (pid_t)pid;
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "cannot find the process of VM '%s': the supervisor does not "
                "answer as one does",
                manager_shown(manager));
    return 0;
}

int virLockManagerGetChild(virLockManagerPtr manager, pid_t *pid,
                           unsigned int flags)
{
    GError *error = NULL;

    if (pid)
        *pid = -1;
    if (manager_enter(manager, "find the process of",
                      PHASE_PREPARING | PHASE_STARTED, flags, 0, &error)) {
        if (!pid) {
            manager_bad(&error,
                        "cannot find the process of VM '%s': nowhere "
                        "to put it",
                        manager_shown(manager));
        } else {
            pid_t found = find_child(manager, &error);

            *pid = found ? found : -1;
        }
    }
    return manager_result(manager, error);
}

int virLockManagerGetChildPidfd(virLockManagerPtr manager, int *pidfd,
                                unsigned int flags)
{
    GError *error = NULL;

    if (pidfd)
        *pidfd = -1;
    if (manager_enter(manager, "find the process of",
                      PHASE_PREPARING | PHASE_STARTED, flags, 0, &error)) {
        if (!pidfd) {
            manager_bad(&error,
                        "cannot find the process of VM '%s': nowhere "
                        "to put it",
                        manager_shown(manager));
        } else if (find_child(manager, &error)) {
            *pidfd = fcntl(manager->pidfd, F_DUPFD_CLOEXEC, 3);
            if (*pidfd < 0)
                set_errno(&error, "cannot pass the process of VM '%s' on",
                          manager_shown(manager));
        }
    }
    return manager_result(manager, error);
}

/* --- the leases ------------------------------------------------------------
 */

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* FALSE of the VM's own lease, and of what no lease looks like. */
static gboolean read_lease(const json_t *from, virLockManagerLease *out)
{
    const char *kind = text_of(from, "kind"), *mode = text_of(from, "mode");

    if (!text_of(from, "name") || !text_of(from, "status") || !mode ||
        (g_strcmp0(kind, "disk") != 0 && g_strcmp0(kind, "lease") != 0))
        return FALSE;
    *out = (virLockManagerLease){
        .type = g_str_equal(kind, "disk")
                    ? VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK
                    : VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE,
        .flags =
            g_str_equal(mode, "readonly") ? VIR_LOCK_MANAGER_RESOURCE_READONLY
            : g_str_equal(mode, "shared") ? VIR_LOCK_MANAGER_RESOURCE_SHARED
                                          : 0,
        .name = g_strdup(text_of(from, "name")),
        .status = g_strdup(text_of(from, "status")),
        .since = json_integer_value(json_object_get(from, "since")),
    };
    return TRUE;
}

/* One more than there are: it has no name. */
static virLockManagerLease *read_leases(const json_t *list, size_t *n)
{
    virLockManagerLease *leases =
        g_new0(virLockManagerLease, json_array_size(list) + 1);
    const json_t *lease;
    size_t i;

    *n = 0;
    json_array_foreach (list, i, lease)
        *n += read_lease(lease, &leases[*n]);
    return leases;
}

int virLockManagerGetLeases(virLockManagerPtr manager,
                            virLockManagerLease **leases, size_t *nleases,
                            unsigned int flags)
{
    GError *error = NULL;

    if (leases)
        *leases = NULL;
    if (nleases)
        *nleases = 0;
    if (manager_enter(manager, "list the leases of",
                      PHASE_PREPARING | PHASE_STARTED, flags, 0, &error)) {
        if (!leases || !nleases) {
            manager_bad(&error,
                        "cannot list the leases of VM '%s': nowhere to "
                        "put them",
                        manager_shown(manager));
        } else if (await_any(manager, &error)) {
            g_autoptr(json_t) list =
                ask(manager, "query-leases", NULL, -1, NULL, &error);

            if (list)
                *leases = read_leases(list, nleases);
        }
    }
    return manager_result(manager, error);
}

void virLockManagerFreeLeases(virLockManagerLease *leases)
{
    for (virLockManagerLease *lease = leases; lease && lease->name; lease++) {
        g_free((char *)lease->name);
        g_free((char *)lease->status);
    }
    g_free(leases);
}

/* --- the status ------------------------------------------------------------
 */

static virLockManagerStatus *read_status(const json_t *from)
{
    virLockManagerStatus *status = g_new0(virLockManagerStatus, 1);
    const json_t *migration = json_object_get(from, "migration");
    const char *role = text_of(migration, "role");

    *status = (virLockManagerStatus){
        .uuid = g_strdup(text_of(from, "uuid")),
        .name = g_strdup(text_of(from, "name")),
        .id = g_strdup(text_of(from, "id")),
        .state = g_strdup(text_of(from, "state")),
        .reason = g_strdup(text_of(from, "reason")),
        .supervisor = (pid_t)json_integer_value(json_object_get(from, "pid")),
        .migrating = g_strcmp0(role, "source") == 0   ? 1
                     : g_strcmp0(role, "target") == 0 ? 2
                                                      : 0,
        .claimed = json_is_true(json_object_get(migration, "claimed")),
        .peerURI = g_strdup(text_of(migration, "uri")),
        .migrateState = g_strdup(text_of(migration, "state")),
    };
    return status;
}

int virLockManagerGetStatus(virLockManagerPtr manager,
                            virLockManagerStatus **status, unsigned int flags)
{
    const gboolean waits = manager && manager->phase == PHASE_PREPARING &&
                           !(manager->flags & VIR_LOCK_MANAGER_NEW_ATTACH);
    GError *error = NULL;

    if (status)
        *status = NULL;
    if (manager_enter(manager, "tell how it is with",
                      PHASE_PREPARING | PHASE_STARTED, flags, 0, &error)) {
        if (!status) {
            manager_bad(&error,
                        "cannot tell how it is with VM '%s': nowhere "
                        "to put it",
                        manager_shown(manager));
        } else if (!waits || await_connected(manager, &error)) {
            g_autoptr(json_t) answer =
                ask(manager, "query-status", NULL, -1, NULL, &error);

            if (answer)
                *status = read_status(answer);
        }
    }
    return manager_result(manager, error);
}

void virLockManagerFreeStatus(virLockManagerStatus *status)
{
    if (!status)
        return;
    g_free((char *)status->uuid);
    g_free((char *)status->name);
    g_free((char *)status->id);
    g_free((char *)status->state);
    g_free((char *)status->reason);
    g_free((char *)status->peerURI);
    g_free((char *)status->migrateState);
    g_free(status);
}
