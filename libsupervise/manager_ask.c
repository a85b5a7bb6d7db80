/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the connection to the VM's supervisor
 *
 * One connection, made when it is first needed and again when it was lost. The
 * supervisor that answers must be the VM's, by uuid, name and id, and from
 * then on the same one: another that runs for the VM is not this manager's.
 */
#include <unistd.h>

#include "manager_internal.h"
#include "places.h"

int ask_left(const virLockManager *manager)
{
    return client_left(manager->deadline);
}

char *ask_socket(const virLockManager *manager, GError **error)
{
    g_autofree char *run_dir = places_run_dir(manager->run_dir, error);

    if (!run_dir)
        return NULL;
    if (manager->uuid)
        return places_socket(run_dir, manager->uuid);
    manager_bad(error,
                "cannot find the supervisor of VM '%s': its uuid is not "
                "set",
                manager_shown(manager));
    return NULL;
}

/* A copy that fork(2) has made shares the connection with its original, which
 * goes on with it. */
static void leave_what_is_shared(virLockManagerPtr manager)
{
    if (manager->asker == getpid())
        return;
    g_clear_pointer(&manager->client, client_free);
    watch_free(manager);
    manager->events = g_queue_new();
    manager->asker = getpid();
}

void ask_hang_up(virLockManagerPtr manager)
{
    leave_what_is_shared(manager);
    watch_end(manager);
    g_clear_pointer(&manager->client, client_free);
}

void ask_ended(virLockManagerPtr manager)
{
    manager->phase = PHASE_ENDED;
    ask_hang_up(manager);
}

/* --- who answers -----------------------------------------------------------
 */

static const char *text_of(const json_t *status, const char *name)
{
    return json_string_value(json_object_get(status, name));
}

static gboolean is_it(const virLockManager *manager, const char *what,
                      const char *ours, const json_t *status, GError **error)
{
    const char *theirs = text_of(status, what);

    return !ours || g_strcmp0(ours, theirs) == 0 ||
           manager_bad(error,
                       "cannot use the supervisor of VM '%s': its %s is "
                       "'%s', and not '%s'",
                       manager->uuid, what, theirs ? theirs : "", ours);
}

/* A manager that says whose leases they are means no other process's. */
static gboolean is_its_child(const virLockManager *manager,
                             const json_t *status, GError **error)
{
    const json_t *child = json_object_get(status, "child-pid");

    return !manager->pid || !child ||
           (manager->has_args && manager->pid == getpid()) ||
           json_integer_value(child) == manager->pid ||
           manager_bad(error,
                       "cannot use the supervisor of VM '%s': its process is "
                       "%" JSON_INTEGER_FORMAT ", and not %ld",
                       manager->uuid, json_integer_value(child),
                       (long)manager->pid);
}

/* FALSE where another one runs for the VM by now. */
static gboolean is_the_same(virLockManagerPtr manager, const json_t *status,
                            GError **error)
{
    pid_t pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
    gint64 since = json_integer_value(json_object_get(status, "since"));

    if (manager->spoken_to &&
        (pid != manager->spoken_to || since != manager->since)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR,
                    "cannot ask the supervisor of VM '%s': it has ended, and "
                    "another one runs by now",
                    manager_shown(manager));
        return FALSE;
    }
    manager->spoken_to = pid;
    manager->since = since;
    return TRUE;
}

/* What the driver can do; all of it where a supervisor does not say. */
static unsigned int capabilities_of(const json_t *status)
{
    const json_t *names = json_object_get(status, "driver-can"), *name;
    unsigned int can = VIR_LOCK_MANAGER_CAPABILITY_RESOURCES;
    size_t i;

    if (!json_is_array(names))
        return PLUGIN_CAPABILITIES;
    json_array_foreach (names, i, name) {
        const char *text = json_string_value(name);

        if (g_strcmp0(text, "hotplug") == 0)
            can |= VIR_LOCK_MANAGER_CAPABILITY_HOTPLUG;
        else if (g_strcmp0(text, "migrate") == 0)
            can |= VIR_LOCK_MANAGER_CAPABILITY_MIGRATE;
    }
    return can;
}

static gboolean check_supervisor(virLockManagerPtr manager, Client *client,
                                 GError **error)
{
    g_autoptr(json_t) status = NULL;

    client_set_timeout(client, ask_left(manager));
    status = client_call(client, "query-status", NULL, -1, NULL, error);
    if (!status || !client_check_status(status, error) ||
        !is_it(manager, "uuid", manager->uuid, status, error) ||
        !is_it(manager, "name", manager->name, status, error) ||
        !is_it(manager, "id", manager->id, status, error) ||
        !is_its_child(manager, status, error) ||
        !is_the_same(manager, status, error))
        return FALSE;
    manager->capabilities = capabilities_of(status);
    return TRUE;
}

/* --- the connection ---------------------------------------------------------
 */

void ask_pump(virLockManagerPtr manager)
{
    GError *reason = NULL;
    json_t *event;

    leave_what_is_shared(manager);
    while (manager->client) {
        event = client_event(manager->client, 0, &reason);
        if (event) {
            watch_event(manager, event);
            continue;
        }
        if (!g_error_matches(reason, QMP_ERROR, QMP_ERROR_TIMEOUT)) {
            watch_event(manager, NULL);
            ask_hang_up(manager);
        }
        break;
    }
    g_clear_error(&reason);
}

gboolean ask_connect(virLockManagerPtr manager, GError **error)
{
    g_autofree char *path = NULL;
    g_autoptr(Client) client = NULL;

    ask_pump(manager);
    if (manager->client)
        return TRUE;
    path = ask_socket(manager, error);
    if (path)
        client = client_connect(path, ask_left(manager), error);
    if (!client || !check_supervisor(manager, client, error))
        return FALSE;
    manager->client = g_steal_pointer(&client);
    manager->phase = PHASE_STARTED;
    watch_begin(manager);
    return TRUE;
}

static void keep_holder(virLockManagerPtr manager)
{
    const json_t *data = client_error_data(manager->client);

    json_decref(manager->holder);
    manager->holder = json_incref(json_object_get(data, "holder"));
}

json_t *ask(virLockManagerPtr manager, const char *command, json_t *arguments,
            int fd, int *received_fd, GError **error)
{
    GError *reason = NULL;
    json_t *value;

    if (received_fd)
        *received_fd = -1;
    if (!ask_connect(manager, error)) {
        json_decref(arguments);
        return NULL;
    }
    client_set_timeout(manager->client, ask_left(manager));
    value = client_call(manager->client, command, arguments, fd, received_fd,
                        &reason);
    if (value)
        return value;
    keep_holder(manager);
    if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR))
        ask_pump(manager);
    g_propagate_error(error, reason);
    return NULL;
}

gboolean tell(virLockManagerPtr manager, const char *command, json_t *arguments,
              GError **error)
{
    g_autoptr(json_t) value = ask(manager, command, arguments, -1, NULL, error);

    return value != NULL;
}
