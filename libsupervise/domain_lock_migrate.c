/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: a VM that goes to another host, or comes from one: see domain_lock.h. */
#include "domain_lock.h"
#include "domain_lock_internal.h"

#include <glib.h>

/* The state string that is to go to the target. */
static int get_state(virLockManagerPtr manager, char **state)
{
    virLockManagerStatus *status = NULL;

    if (!state)
        return 0;
    if (virLockManagerGetStatus(manager, &status, 0) < 0)
        return -1;
    *state = g_strdup(status->migrateState);
    virLockManagerFreeStatus(status);
    return 0;
}

int virDomainLockMigrateOutBegin(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain,
                                 const char *targetURI, char **state,
                                 unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (state)
        *state = NULL;
    if (!manager)
        return -1;
    if (virLockManagerPrepareMigrate(manager, targetURI, 0) < 0)
        return domain_lock_detached(manager, -1);
    return domain_lock_detached(manager, get_state(manager, state));
}

int virDomainLockMigrateInBegin(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, char ***argv,
                                int *argc, unsigned int flags)
{
    /* Other flags are refused, as both of these are. */
    return virDomainLockProcessGetArgs(
        plugin, domain, argv, argc,
        (flags ? VIR_LOCK_MANAGER_NEW_ATTACH : 0) |
            VIR_LOCK_MANAGER_NEW_MIGRATE);
}

int virDomainLockMigrateInConfirm(virLockManagerDriverPtr plugin,
                                  const virDomainLockDomain *domain,
                                  const char *sourceURI, unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(
        manager, virLockManagerCompleteMigrateIn(manager, sourceURI, 0));
}

int virDomainLockMigrateInCancel(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain,
                                 const char *sourceURI, unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);
    virLockManagerStatus *status = NULL;
    unsigned int cancel = VIR_LOCK_MANAGER_MIGRATE_CANCEL;

    if (!manager)
        return -1;
    if (virLockManagerGetStatus(manager, &status, 0) < 0)
        return domain_lock_detached(manager, -1);
    /* A source would be cancelled, too, and is not to end here: to complete it
     * so is refused, in words. */
    if (status->migrating == 1)
        cancel = 0;
    virLockManagerFreeStatus(status);
    if (virLockManagerCompleteMigrateIn(manager, sourceURI, cancel) < 0)
        return domain_lock_detached(manager, -1);
    return domain_lock_detached(manager, virLockManagerShutdown(manager, 0));
}

int virDomainLockMigrateOutConfirm(virLockManagerDriverPtr plugin,
                                   const virDomainLockDomain *domain,
                                   const char *targetURI, unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    if (virLockManagerCompleteMigrateOut(manager, targetURI, 0) < 0)
        return domain_lock_detached(manager, -1);
    return domain_lock_detached(manager, virLockManagerShutdown(manager, 0));
}

int virDomainLockMigrateOutCancel(virLockManagerDriverPtr plugin,
                                  const virDomainLockDomain *domain,
                                  const char *targetURI, unsigned int flags)
{
    virLockManagerPtr manager = domain_lock_attached(plugin, domain, flags);

    if (!manager)
        return -1;
    return domain_lock_detached(
        manager, virLockManagerCompleteMigrateOut(
                     manager, targetURI, VIR_LOCK_MANAGER_MIGRATE_CANCEL));
}
