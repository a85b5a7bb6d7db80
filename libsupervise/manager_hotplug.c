/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: leases that come and go while the VM runs
 *
 * Each is a command of the supervisor's, by its name on the wire.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "manager_internal.h"

/* The caller's right to open it decides, see virt-lock-protocol(7). -1 where
 * there is nothing to open. */
static gboolean open_resource(const Resource *resource, int *fd, GError **error)
{
    const int access = resource->mode == RESOURCE_EXCLUSIVE ? O_RDWR : O_RDONLY;

    *fd = -1;
    if (!resource->path)
        return TRUE;
    *fd = client_above_standard(
        open(resource->path, access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    return *fd >= 0 || set_errno(error, "cannot open '%s'", resource->path);
}

static json_t *lease_arguments(const Resource *resource)
{
    g_autofree char *lease =
        resource->kind == RESOURCE_LEASE ? resource_format(resource) : NULL;

    return lease ? json_pack("{s:s}", "lease", lease)
                 : json_pack("{s:s}", "disk", resource->path);
}

static gboolean acquire(virLockManagerPtr manager, const Resource *resource,
                        GError **error)
{
    g_autoptr(json_t) lease = NULL;
    json_t *arguments;
    int fd;

    if (!open_resource(resource, &fd, error))
        return FALSE;
    arguments = lease_arguments(resource);
    json_object_set_new(arguments, "mode",
                        json_string(resource_mode_name(resource->mode)));
    lease = ask(manager, "lease-acquire", arguments, fd, NULL, error);
    if (fd >= 0)
        close(fd);
    return lease != NULL;
}

static gboolean can_hotplug(virLockManagerPtr manager, const char *verb,
                            GError **error)
{
    return ask_connect(manager, error) &&
           manager_can(manager, VIR_LOCK_MANAGER_CAPABILITY_HOTPLUG, verb,
                       error);
}

int virLockManagerAcquireResource(virLockManagerPtr manager, unsigned int type,
                                  const char *name, unsigned int flags)
{
    const char *verb = "acquire a resource for";
    g_autoptr(Resource) resource = NULL;
    GError *error = NULL;

    if (manager_enter(manager, verb, PHASE_STARTED, 0, 0, &error))
        resource = manager_resource(type, name, flags, &error);
    if (resource && can_hotplug(manager, verb, &error))
        acquire(manager, resource, &error);
    return manager_result(manager, error);
}

static gboolean release(virLockManagerPtr manager, const Resource *resource,
                        gboolean force, GError **error)
{
    json_t *arguments = lease_arguments(resource);

    if (force)
        json_object_set_new(arguments, "force", json_true());
    return tell(manager, "lease-release", arguments, error);
}

/* --- those that were added -------------------------------------------------
 */

/* The mode that it is held in; NULL: it is not. */
static const char *held_mode(const json_t *leases, const Resource *resource)
{
    const json_t *lease;
    size_t i;

    json_array_foreach (leases, i, lease) {
        const char *kind = json_string_value(json_object_get(lease, "kind"));
        const char *name = json_string_value(json_object_get(lease, "name"));

        if (g_strcmp0(kind, resource_kind_name(resource->kind)) == 0 &&
            g_strcmp0(name, resource->name) == 0)
            return json_string_value(json_object_get(lease, "mode"));
    }
    return NULL;
}

/* The VM cannot have any of them open: nobody has been told that they were
 * held. */
static void give_back(virLockManagerPtr manager, const GPtrArray *taken)
{
    for (guint i = 0; i < taken->len; i++)
        release(manager, g_ptr_array_index(taken, i), TRUE, NULL);
}

gboolean hotplug_added(virLockManagerPtr manager, GError **error)
{
    g_autoptr(GPtrArray) taken = g_ptr_array_new();
    g_autoptr(json_t) leases = NULL;

    if (manager->added->len == 0)
        return TRUE;
    if (can_hotplug(manager, "acquire a resource for", error))
        leases = ask(manager, "query-leases", NULL, -1, NULL, error);
    if (!leases)
        return FALSE;
    for (guint i = 0; i < manager->added->len; i++) {
        Resource *next = g_ptr_array_index(manager->added, i);

        /* In another mode it is another lease, which is refused. */
        if (g_strcmp0(held_mode(leases, next),
                      resource_mode_name(next->mode)) == 0)
            continue;
        if (!acquire(manager, next, error)) {
            give_back(manager, taken);
            return FALSE;
        }
        g_ptr_array_add(taken, next);
    }
    g_ptr_array_set_size(manager->added, 0);
    return TRUE;
}

/* TRUE where it was added, and is not held besides. */
static gboolean is_only_added(virLockManagerPtr manager,
                              const Resource *resource)
{
    g_autoptr(json_t) leases = NULL;

    if (!manager_find(manager->added, resource))
        return FALSE;
    leases = ask(manager, "query-leases", NULL, -1, NULL, NULL);
    return leases && !held_mode(leases, resource);
}

static void forget_added(virLockManagerPtr manager, const Resource *resource)
{
    const Resource *added = manager_find(manager->added, resource);

    if (added)
        g_ptr_array_remove(manager->added, (gpointer)added);
}

int virLockManagerReleaseResource(virLockManagerPtr manager, unsigned int type,
                                  const char *name, unsigned int flags)
{
    const char *verb = "release a resource of";
    const gboolean force = flags & VIR_LOCK_MANAGER_RESOURCE_FORCE;
    g_autoptr(Resource) resource = NULL;
    GError *error = NULL;

    if (manager_enter(manager, verb, PHASE_STARTED, 0, 0, &error))
        resource = manager_resource(type, name, 0, &error);
    if (resource && can_hotplug(manager, verb, &error) &&
        (is_only_added(manager, resource) ||
         release(manager, resource, force, &error)))
        forget_added(manager, resource);
    return manager_result(manager, error);
}
