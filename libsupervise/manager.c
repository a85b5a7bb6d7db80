/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: a manager's life, from New to Free or Detach. */
#include <signal.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "manager_internal.h"
#include "places.h"

#define TIMEOUT_MS  30000
#define TIMEOUT_MAX 3600000
/* How long Free waits for a supervisor where it can kill the child itself. */
#define KILL_MS 1000

/* --- what every function does first ----------------------------------------
 */

const char *manager_shown(const virLockManager *manager)
{
    return manager->name   ? manager->name
           : manager->uuid ? manager->uuid
                           : "(without a uuid)";
}

static const char *not_in(ManagerPhase phase)
{
    return phase == PHASE_PREPARING ? "nothing answers for it yet: it is to be "
                                      "started, or found by GetChild, first"
           : phase == PHASE_STARTED ? "it has been started"
                                    : "it has ended";
}

static void set_deadline(virLockManagerPtr manager, int ms)
{
    manager->deadline = g_get_monotonic_time() + ms * G_GINT64_CONSTANT(1000);
}

gboolean manager_enter(virLockManagerPtr manager, const char *verb,
                       unsigned int phases, unsigned int flags,
                       unsigned int allowed, GError **error)
{
    if (!manager)
        return manager_bad(error, "cannot %s a VM: there is no manager", verb);
    g_clear_pointer(&manager->holder, json_decref);
    set_deadline(manager, manager->timeout_ms);
    if (flags & ~allowed)
        return manager_bad(error, "cannot %s VM '%s': flags %#x are unknown",
                           verb, manager_shown(manager), flags & ~allowed);
    if (manager->phase & phases)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                "cannot %s VM '%s': %s", verb, manager_shown(manager),
                not_in(manager->phase));
    return FALSE;
}

gboolean manager_can(const virLockManager *manager, unsigned int capability,
                     const char *verb, GError **error)
{
    if (manager->capabilities & capability)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED,
                "cannot %s VM '%s': driver '%s' does not support it", verb,
                manager_shown(manager), manager->driver);
    return FALSE;
}

/* --- begin and end ---------------------------------------------------------
 */

static void free_setting(gpointer data)
{
    ManagerSetting *setting = data;

    g_free(setting->key);
    g_free(setting->value);
    g_free(setting);
}

static void free_resource(gpointer resource)
{
    resource_free(resource);
}

static virLockManagerPtr make(virLockManagerDriverPtr driver,
                              unsigned int flags)
{
    virLockManagerPtr manager = g_new0(virLockManager, 1);

    manager->driver = g_strdup(plugin_name(driver));
    manager->capabilities = PLUGIN_CAPABILITIES;
    manager->flags = flags;
    manager->phase = PHASE_PREPARING;
    manager->maker = getpid();
    manager->timeout_ms = TIMEOUT_MS;
    manager->settings = g_ptr_array_new_with_free_func(free_setting);
    manager->resources = g_ptr_array_new_with_free_func(free_resource);
    manager->added = g_ptr_array_new_with_free_func(free_resource);
    manager->pidfd = -1;
    manager->events = g_queue_new();
    manager->poll_fd = manager->wake_fd = -1;
    return manager;
}

static gboolean keep_places(virLockManagerPtr manager, GError **error)
{
    /* Where they cannot be told it is said when they are needed. */
    manager->run_dir = places_run_dir(NULL, NULL);
    manager->state_dir = places_state_dir(NULL, NULL);
    return TRUE;
}

static gboolean check_new(virLockManagerDriverPtr driver, unsigned int type,
                          unsigned int flags, GError **error)
{
    const unsigned int both =
        VIR_LOCK_MANAGER_NEW_MIGRATE | VIR_LOCK_MANAGER_NEW_ATTACH;

    if (!driver)
        return manager_bad(error, "cannot make a lock manager: the driver is "
                                  "NULL");
    if (type != VIR_LOCK_MANAGER_NEW_DOMAIN)
        return manager_bad(error,
                           "cannot make a lock manager of type %u: it "
                           "is for a VM (0)",
                           type);
    if (flags & ~both || flags == both)
        return manager_bad(error,
                           "cannot make a lock manager with flags %#x: "
                           "it is none, migrate or attach",
                           flags);
    return TRUE;
}

virLockManagerPtr virLockManagerNew(virLockManagerDriverPtr driver,
                                    unsigned int type, unsigned int flags)
{
    return virLockManagerNewParams(driver, type, 0, NULL, flags);
}

virLockManagerPtr virLockManagerNewParams(virLockManagerDriverPtr driver,
                                          unsigned int type, size_t nparams,
                                          const virLockManagerParam *params,
                                          unsigned int flags)
{
    GError *error = NULL;
    virLockManagerPtr manager = NULL;

    if (nparams > 0 && !params)
        manager_bad(&error, "cannot make a lock manager: its parameters are "
                            "NULL");
    else if (check_new(driver, type, flags, &error))
        manager = make(driver, flags);
    if (manager && keep_places(manager, &error)) {
        for (size_t i = 0; i < nparams && !error; i++)
            params_set(manager, &params[i], &error);
    }
    if (!error)
        return manager;
    virLockManagerDetach(manager);
    manager_result(NULL, error);
    return NULL;
}

int virLockManagerSetTimeout(virLockManagerPtr manager, int milliseconds)
{
    GError *error = NULL;

    if (manager_enter(manager, "set the deadline of", PHASE_ANY, 0, 0,
                      &error)) {
        if (milliseconds > 0 && milliseconds <= TIMEOUT_MAX) {
            manager->timeout_ms = milliseconds;
            manager->timeout_given = TRUE;
        } else {
            manager_bad(&error,
                        "cannot set a deadline of %d milliseconds: it "
                        "is from 1 to %d",
                        milliseconds, TIMEOUT_MAX);
        }
    }
    return manager_result(manager, error);
}

void virLockManagerDetach(virLockManagerPtr manager)
{
    if (!manager)
        return;
    ask_hang_up(manager);
    watch_free(manager);
    if (manager->pidfd >= 0)
        close(manager->pidfd);
    json_decref(manager->holder);
    g_ptr_array_unref(manager->settings);
    g_ptr_array_unref(manager->resources);
    g_ptr_array_unref(manager->added);
    g_free(manager->driver);
    g_free(manager->run_dir);
    g_free(manager->state_dir);
    g_free(manager->uuid);
    g_free(manager->name);
    g_free(manager->id);
    g_free(manager);
}

/* With prejudice, as the RFC has it. Its leases are its supervisor's to keep,
 * whichever of us kills it. */
static void kill_child(virLockManagerPtr manager)
{
    const gboolean can_kill = manager->pidfd >= 0;
    g_autoptr(json_t) told = NULL;

    set_deadline(manager, can_kill ? MIN(manager->timeout_ms, KILL_MS)
                                   : manager->timeout_ms);
    told = ask(manager, "quit", NULL, -1, NULL, NULL);
    if (!told && can_kill)
        pidfd_send_signal(manager->pidfd, SIGKILL, NULL, 0);
}

void virLockManagerFree(virLockManagerPtr manager)
{
    if (manager && manager->phase == PHASE_STARTED &&
        manager->maker == getpid())
        kill_child(manager);
    virLockManagerDetach(manager);
}
