/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain_lock.h"
#include "domain_lock_internal.h"

#include <glib.h>
#include <string.h>

/* --- A manager for the domain ---------------------------------------------
 *
 * NULL that the caller must not pass goes on to lock_manager.h, which has the
 * sentence for it.
 */

static const virDomainLockDomain nobody;

static int tell_who(virLockManagerPtr manager,
                    const virDomainLockDomain *domain)
{
    if (virLockManagerSetParameter(manager, "uuid", domain->uuid) < 0)
        return -1;
    if (domain->name &&
        virLockManagerSetParameter(manager, "name", domain->name) < 0)
        return -1;
    if (domain->id && virLockManagerSetParameter(manager, "id", domain->id) < 0)
        return -1;
    return 0;
}

/* The text of a lease, "LOCKSPACE:KEY[:PATH[:OFFSET]]"; NULL where it has no
 * key. */
static char *lease_text(const virDomainLockLease *lease)
{
    const char *parts[3];
    GString *text;

    if (!lease || !lease->key)
        return NULL;
    parts[0] = lease->lockspace ? lease->lockspace : "default";
    parts[1] = lease->key;
    /* An offset without a path is refused for its empty path. */
    parts[2] = !lease->path && lease->offset ? "" : lease->path;
    text = g_string_new(NULL);
    for (int i = 0; i < 3 && parts[i]; i++) {
        if (i > 0)
            g_string_append_c(text, ':');
        for (const char *c = parts[i]; *c; c++) {
            if (*c == ':' || *c == '\\')
                g_string_append_c(text, '\\');
            g_string_append_c(text, *c);
        }
    }
    if (lease->offset)
        g_string_append_printf(text, ":%llu", lease->offset);
    return g_string_free(text, FALSE);
}

static int register_lease(virLockManagerPtr manager,
                          const virDomainLockLease *lease)
{
    g_autofree char *text = lease_text(lease);

    return virLockManagerRegisterResource(
        manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE, text, 0);
}

static int register_disk(virLockManagerPtr manager,
                         const virDomainLockDisk *disk)
{
    return virLockManagerRegisterResource(
        manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK, disk ? disk->path : NULL,
        disk ? disk->flags : 0);
}

static int tell_what(virLockManagerPtr manager,
                     const virDomainLockDomain *domain)
{
    for (size_t i = 0; i < domain->ndisks; i++) {
        if (register_disk(manager, domain->disks ? &domain->disks[i] : NULL) <
            0)
            return -1;
    }
    for (size_t i = 0; i < domain->nleases; i++) {
        if (register_lease(manager,
                           domain->leases ? &domain->leases[i] : NULL) < 0)
            return -1;
    }
    return 0;
}

/* PREPARING, with all that the domain has. To attach is not among @flags: with
 * NEW_MIGRATE, too, it is refused. */
static virLockManagerPtr prepared(virLockManagerDriverPtr plugin,
                                  const virDomainLockDomain *domain,
                                  unsigned int flags)
{
    const virDomainLockDomain *d = domain ? domain : &nobody;
    unsigned int both =
        VIR_LOCK_MANAGER_NEW_ATTACH | VIR_LOCK_MANAGER_NEW_MIGRATE;
    virLockManagerPtr manager = virLockManagerNewParams(
        plugin, VIR_LOCK_MANAGER_NEW_DOMAIN, d->nparams, d->params,
        flags & VIR_LOCK_MANAGER_NEW_ATTACH ? flags | both : flags);

    if (manager && (tell_who(manager, d) < 0 || tell_what(manager, d) < 0)) {
        virLockManagerDetach(manager);
        return NULL;
    }
    return manager;
}

virLockManagerPtr domain_lock_attached(virLockManagerDriverPtr plugin,
                                       const virDomainLockDomain *domain,
                                       unsigned int flags)
{
    virLockManagerPtr manager = virLockManagerNew(
        plugin, VIR_LOCK_MANAGER_NEW_DOMAIN, VIR_LOCK_MANAGER_NEW_ATTACH);
    virLockManagerStatus *status = NULL;

    if (!manager)
        return NULL;
    if (tell_who(manager, domain ? domain : &nobody) < 0 ||
        virLockManagerGetStatus(manager, &status, flags) < 0) {
        virLockManagerDetach(manager);
        return NULL;
    }
    virLockManagerFreeStatus(status);
    return manager;
}

int domain_lock_detached(virLockManagerPtr manager, int result)
{
    virLockManagerDetach(manager);
    return result;
}

/* --- Starting ------------------------------------------------------------ */

int virDomainLockProcessStart(virLockManagerDriverPtr plugin,
                              const virDomainLockDomain *domain,
                              const char *state, unsigned int flags)
{
    virLockManagerPtr manager = prepared(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(manager,
                                state ? virLockManagerAcquire(manager, state, 0)
                                      : virLockManagerAcquireObject(manager));
}

/* The supervisor's path, and its arguments. */
static int get_args(virLockManagerPtr manager, char ***argv, int *argc)
{
    char *path = virLockManagerGetSupervisorPath(manager);
    int n;

    if (!path)
        return -1;
    if (virLockManagerGetSupervisorArgs(manager, argv, &n, 0) < 0) {
        g_free(path);
        return -1;
    }
    *argv = g_renew(char *, *argv, n + 2);
    memmove(*argv + 1, *argv, (gsize)(n + 1) * sizeof **argv);
    (*argv)[0] = path;
    if (argc)
        *argc = n + 1;
    return 0;
}

int virDomainLockProcessGetArgs(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, char ***argv,
                                int *argc, unsigned int flags)
{
    virLockManagerPtr manager = prepared(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(manager, get_args(manager, argv, argc));
}

int virDomainLockProcessStarted(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, pid_t *pid,
                                unsigned int flags)
{
    virLockManagerPtr manager = prepared(plugin, domain, flags);
    pid_t child;

    if (!manager)
        return -1;
    return domain_lock_detached(
        manager, virLockManagerGetChild(manager, pid ? pid : &child, 0));
}

/* --- While it runs ------------------------------------------------------- */

int virDomainLockProcessReattach(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain, pid_t *pid,
                                 virLockManagerPtr *manager, unsigned int flags)
{
    virLockManagerPtr found = domain_lock_attached(plugin, domain, flags);

    if (manager)
        *manager = NULL;
    if (!found)
        return -1;
    if (pid && virLockManagerGetChild(found, pid, 0) < 0)
        return domain_lock_detached(found, -1);
    if (!manager)
        return domain_lock_detached(found, 0);
    *manager = found;
    return 0;
}

int virDomainLockProcessPause(virLockManagerDriverPtr plugin,
                              const virDomainLockDomain *domain, char **state,
                              unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(manager,
                                virLockManagerRelease(manager, state, 0));
}

int virDomainLockProcessResume(virLockManagerDriverPtr plugin,
                               const virDomainLockDomain *domain,
                               const char *state, unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(manager,
                                virLockManagerAcquire(manager, state, 0));
}

int virDomainLockProcessInquire(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, char **state,
                                unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(manager,
                                virLockManagerInquire(manager, state, 0));
}

int virDomainLockProcessShutdown(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain,
                                 unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(manager, virLockManagerShutdown(manager, 0));
}

/* --- Plugging ------------------------------------------------------------ */

int virDomainLockImageAttach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockDisk *disk, unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(
        manager, virLockManagerAcquireResource(
                     manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK,
                     disk ? disk->path : NULL, disk ? disk->flags : 0));
}

int virDomainLockImageDetach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockDisk *disk, unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(
        manager, virLockManagerReleaseResource(
                     manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK,
                     disk ? disk->path : NULL, 0));
}

int virDomainLockLeaseAttach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockLease *lease,
                             unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);
    g_autofree char *text = lease_text(lease);

    if (!manager)
        return -1;
    return domain_lock_detached(
        manager, virLockManagerAcquireResource(
                     manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE, text, 0));
}

int virDomainLockLeaseDetach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockLease *lease,
                             unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);
    g_autofree char *text = lease_text(lease);

    if (!manager)
        return -1;
    return domain_lock_detached(
        manager, virLockManagerReleaseResource(
                     manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE, text, 0));
}
