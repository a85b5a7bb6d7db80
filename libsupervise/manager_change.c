/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: hand-over, the whole object, the end
 *
 * Each is a command of the supervisor's, by its name on the wire.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "manager_internal.h"

/* What a supervisor gives a VM to end by itself, unless it was told otherwise:
 * so much longer is its end waited for. */
#define STOP_TIMEOUT_US (30 * G_USEC_PER_SEC)

/* --- hand-over, as the RFC has it --------------------------------------------
 */

static gboolean can_migrate(virLockManagerPtr manager, GError **error)
{
    return ask_connect(manager, error) &&
           manager_can(manager, VIR_LOCK_MANAGER_CAPABILITY_MIGRATE, "migrate",
                       error);
}

/* An object with the URI that is known. */
static json_t *uri_arguments(const char *name, const char *uri, GError **error)
{
    json_t *arguments = json_object();

    if (uri && json_object_set_new(arguments, name, json_string(uri)) < 0) {
        manager_bad(error, "cannot use the %s: it is not UTF-8", name);
        g_clear_pointer(&arguments, json_decref);
    }
    return arguments;
}

int virLockManagerPrepareMigrate(virLockManagerPtr manager,
                                 const char *targetURI, unsigned int flags)
{
    GError *error = NULL;

    if (manager_enter(manager, "migrate", PHASE_STARTED, flags, 0, &error) &&
        can_migrate(manager, &error)) {
        json_t *arguments = uri_arguments("target-uri", targetURI, &error);

        if (arguments)
            tell(manager, "migrate-prepare", arguments, &error);
    }
    return manager_result(manager, error);
}

/* The side that this manager is of is the supervisor's to check. */
static int complete(virLockManagerPtr manager, const char *direction,
                    const char *uri_name, const char *uri, unsigned int flags)
{
    json_t *arguments;
    GError *error = NULL;

    if (!manager_enter(manager, "migrate", PHASE_STARTED, flags,
                       VIR_LOCK_MANAGER_MIGRATE_CANCEL, &error) ||
        !can_migrate(manager, &error))
        return manager_result(manager, error);
    if (flags & VIR_LOCK_MANAGER_MIGRATE_CANCEL) {
        tell(manager, "migrate-cancel", NULL, &error);
    } else if ((arguments = uri_arguments(uri_name, uri, &error))) {
        json_object_set_new(arguments, "direction", json_string(direction));
        tell(manager, "migrate-complete", arguments, &error);
    }
    return manager_result(manager, error);
}

int virLockManagerCompleteMigrateIn(virLockManagerPtr manager,
                                    const char *sourceURI, unsigned int flags)
{
    return complete(manager, "in", "source-uri", sourceURI, flags);
}

int virLockManagerCompleteMigrateOut(virLockManagerPtr manager,
                                     const char *targetURI, unsigned int flags)
{
    return complete(manager, "out", "target-uri", targetURI, flags);
}

/* --- the whole object, as the design has it
 * ------------------------------------ */

static gboolean acquire_all(virLockManagerPtr manager, const char *state,
                            GError **error)
{
    json_t *arguments = json_object();

    if (state &&
        json_object_set_new(arguments, "state", json_string(state)) < 0) {
        json_decref(arguments);
        return manager_bad(error,
                           "cannot acquire the leases of VM '%s': the "
                           "state is not UTF-8",
                           manager_shown(manager));
    }
    return tell(manager, "acquire", arguments, error);
}

/* Nothing runs yet, and this process is to be it, or has asked for the
 * arguments to start it. */
static gboolean is_to_start(const virLockManager *manager)
{
    return manager->phase == PHASE_PREPARING &&
           !(manager->flags & VIR_LOCK_MANAGER_NEW_ATTACH) &&
           (manager->pid == 0 || manager->pid == getpid());
}

/* The state goes to the supervisor with its arguments: one that has them by now
 * would take it for the end of the migration. */
static gboolean keep_state(virLockManagerPtr manager, const char *state,
                           GError **error)
{
    if (!state || g_strcmp0(state, params_get(manager, "state")) == 0)
        return TRUE;
    if (!manager->has_args)
        return params_put(manager, "state", state, error);
    g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                "cannot start VM '%s' with a state: its arguments were made "
                "without it (parameter 'state')",
                manager_shown(manager));
    return FALSE;
}

static gboolean start(virLockManagerPtr manager, const char *state,
                      GError **error)
{
    if (!argv_can_start(manager, error) || !keep_state(manager, state, error))
        return FALSE;
    if (!manager->has_args && manager->pid && manager->pid != getpid())
        return manager_bad(error,
                           "cannot start VM '%s': this process is %ld, and "
                           "not %ld",
                           manager_shown(manager), (long)getpid(),
                           (long)manager->pid);
    return manager->has_args ? await_started(manager, error)
                             : become_supervised(manager, error);
}

/* The resources of a manager that starts nothing are those that are wanted
 * now. */
static gboolean connect_to_running(virLockManagerPtr manager, GError **error)
{
    if (manager->phase != PHASE_PREPARING)
        return TRUE;
    if (!ask_connect(manager, error))
        return FALSE;
    while (manager->resources->len > 0)
        g_ptr_array_add(manager->added,
                        g_ptr_array_steal_index(manager->resources, 0));
    return TRUE;
}

int virLockManagerAcquire(virLockManagerPtr manager, const char *state,
                          unsigned int flags)
{
    GError *error = NULL;

    if (manager_enter(manager, "acquire the leases of",
                      PHASE_PREPARING | PHASE_STARTED, flags, 0, &error)) {
        if (is_to_start(manager))
            start(manager, state, &error);
        else if (connect_to_running(manager, &error) &&
                 (state || hotplug_added(manager, &error)))
            acquire_all(manager, state, &error);
    }
    return manager_result(manager, error);
}

int virLockManagerAcquireObject(virLockManagerPtr manager)
{
    GError *error = NULL;

    if (manager_enter(manager, "start", PHASE_PREPARING, 0, 0, &error))
        start(manager, NULL, &error);
    return manager_result(manager, error);
}

static int ask_state(virLockManagerPtr manager, const char *verb,
                     const char *command, char **state, unsigned int flags,
                     GError *error)
{
    g_autoptr(json_t) value = NULL;
    const char *text;

    if (manager_enter(manager, verb, PHASE_STARTED, flags, 0, &error))
        value = ask(manager, command, NULL, -1, NULL, &error);
    text = json_string_value(json_object_get(value, "state"));
    if (value && !text)
        g_set_error(&error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "cannot %s VM '%s': the supervisor does not answer as one "
                    "does",
                    verb, manager_shown(manager));
    else if (value && state)
        *state = strdup(text);
    return manager_result(manager, error);
}

int virLockManagerRelease(virLockManagerPtr manager, char **state,
                          unsigned int flags)
{
    if (state)
        *state = NULL;
    return ask_state(manager, "release the leases of", "release", state, flags,
                     NULL);
}

int virLockManagerInquire(virLockManagerPtr manager, char **state,
                          unsigned int flags)
{
    GError *error = NULL;

    if (state)
        *state = NULL;
    else
        manager_bad(&error, "cannot inquire the leases of a VM: nowhere to put "
                            "the state");
    return error ? manager_result(manager, error)
                 : ask_state(manager, "inquire the leases of", "inquire", state,
                             flags, NULL);
}

/* --- the end ---------------------------------------------------------------
 */

/* Nobody answers any more. One that has ended in order takes its socket with
 * it; of one that was killed it stays. */
static gboolean has_ended_in_order(virLockManagerPtr manager)
{
    g_autofree char *socket = ask_socket(manager, NULL);
    struct pollfd child = {.fd = manager->pidfd, .events = POLLIN};

    return socket && access(socket, F_OK) < 0 && errno == ENOENT &&
           (manager->pidfd < 0 || poll(&child, 1, 0) == 1);
}

static void shut_down(virLockManagerPtr manager, GError **error)
{
    GError *reason = NULL;

    if (ask_connect(manager, &reason) &&
        tell(manager, "shutdown", NULL, &reason) &&
        watch_until_released(manager, manager->deadline, &reason))
        return;
    /* In KILLING, say, it is on its way. */
    if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_WRONG_STATE) &&
        manager->client) {
        g_clear_error(&reason);
        watch_until_released(manager, manager->deadline, &reason);
    }
    if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR) &&
        (manager->released || has_ended_in_order(manager))) {
        g_clear_error(&reason);
        manager->released = TRUE;
        ask_ended(manager);
    }
    if (reason)
        g_propagate_error(error, reason);
}

int virLockManagerShutdown(virLockManagerPtr manager, unsigned int flags)
{
    GError *error = NULL;

    if (manager_enter(manager, "shut down", PHASE_STARTED | PHASE_ENDED, flags,
                      0, &error) &&
        manager->phase == PHASE_STARTED) {
        if (!manager->timeout_given)
            manager->deadline += STOP_TIMEOUT_US;
        shut_down(manager, &error);
    }
    return manager_result(manager, error);
}
