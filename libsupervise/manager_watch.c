/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what happens to the VM
 *
 * Events come on the connection, between answers; they are kept until the
 * manager dispatches them. A poll descriptor is made when it is asked for: of
 * the connection, and of one that is readable while events are kept.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "manager_internal.h"

/* A manager that never looks keeps the latest. */
#define KEPT_MAX 256

static const struct {
    const char *name;
    int type;
} kinds[] = {
    {"LEASE_LOST", VIR_LOCK_MANAGER_EVENT_LEASE_LOST},
    {"CHILD_EXIT", VIR_LOCK_MANAGER_EVENT_CHILD_EXIT},
    {"STATE_CHANGE", VIR_LOCK_MANAGER_EVENT_STATE_CHANGE},
    {"RELEASED", VIR_LOCK_MANAGER_EVENT_RELEASED},
    {"CLOSED", VIR_LOCK_MANAGER_EVENT_CLOSED},
};

/* 0: one that nobody wants to know of. */
static int type_of(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event"));

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_strcmp0(name, kinds[i].name) == 0)
            return kinds[i].type;
    }
    return 0;
}

/* --- the descriptor ---------------------------------------------------------
 */

static void watch_fd(virLockManagerPtr manager, int fd)
{
    struct epoll_event readable = {.events = EPOLLIN};

    if (manager->poll_fd >= 0 && fd >= 0)
        epoll_ctl(manager->poll_fd, EPOLL_CTL_ADD, fd, &readable);
}

void watch_begin(virLockManagerPtr manager)
{
    watch_fd(manager, client_fd(manager->client));
}

void watch_end(virLockManagerPtr manager)
{
    if (manager->poll_fd >= 0 && manager->client)
        epoll_ctl(manager->poll_fd, EPOLL_CTL_DEL, client_fd(manager->client),
                  NULL);
}

static void wake(virLockManagerPtr manager)
{
    eventfd_t count;

    if (manager->wake_fd < 0)
        return;
    if (g_queue_is_empty(manager->events))
        eventfd_read(manager->wake_fd, &count);
    else
        eventfd_write(manager->wake_fd, 1);
}

static gboolean make_poll(virLockManagerPtr manager, GError **error)
{
    if (manager->poll_fd >= 0)
        return TRUE;
    manager->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    manager->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (manager->wake_fd < 0 || manager->poll_fd < 0)
        return set_errno(error, "cannot watch VM '%s'", manager_shown(manager));
    watch_fd(manager, manager->wake_fd);
    if (manager->client)
        watch_begin(manager);
    wake(manager);
    return TRUE;
}

static void free_event(gpointer event)
{
    json_decref(event);
}

void watch_free(virLockManagerPtr manager)
{
    g_queue_free_full(manager->events, free_event);
    manager->events = NULL;
    if (manager->poll_fd >= 0)
        close(manager->poll_fd);
    if (manager->wake_fd >= 0)
        close(manager->wake_fd);
    manager->poll_fd = manager->wake_fd = -1;
}

/* --- events ----------------------------------------------------------------
 */

static void keep(virLockManagerPtr manager, json_t *event)
{
    if (g_queue_get_length(manager->events) == KEPT_MAX)
        json_decref(g_queue_pop_head(manager->events));
    g_queue_push_tail(manager->events, event);
    wake(manager);
}

/* @event NULL: the connection has ended. */
void watch_event(virLockManagerPtr manager, json_t *event)
{
    int type = event ? type_of(event) : 0;

    if (!event) {
        keep(manager,
             json_pack("{s:s, s:{s:s}}", "event", "CLOSED", "data", "reason",
                       manager->released ? "the VM has ended"
                                         : "the connection was lost"));
        if (manager->released)
            manager->phase = PHASE_ENDED;
        return;
    }
    if (type == VIR_LOCK_MANAGER_EVENT_RELEASED)
        manager->released = TRUE;
    if (type)
        keep(manager, event);
    else
        json_decref(event);
}

static gint64 integer(const json_t *data, const char *name, gint64 otherwise)
{
    const json_t *value = json_object_get(data, name);

    return value ? json_integer_value(value) : otherwise;
}

static void call_back(virLockManagerPtr manager, const json_t *message)
{
    const json_t *data = json_object_get(message, "data");
    const char *state = json_string_value(json_object_get(data, "to"));
    const char *name = json_string_value(json_object_get(data, "name"));
    virLockManagerEvent event = {
        .type = type_of(message),
        .name = state ? state : name,
        .reason = json_string_value(json_object_get(data, "reason")),
        .pid = (pid_t)integer(data, "pid", 0),
        .exitCode = (int)integer(data, "exit-code", -1),
        .signal = (int)integer(data, "signal", 0),
    };

    if (manager->callback)
        manager->callback(manager, &event, manager->opaque);
}

/* The callback may ask, and so bring more. */
static void tell_all(virLockManagerPtr manager)
{
    json_t *event;

    while ((event = g_queue_pop_head(manager->events))) {
        call_back(manager, event);
        json_decref(event);
    }
    wake(manager);
}

int virLockManagerSetEventCallback(virLockManagerPtr manager,
                                   virLockManagerEventCallback callback,
                                   void *opaque)
{
    GError *error = NULL;

    if (manager_enter(manager, "watch", PHASE_ANY, 0, 0, &error)) {
        manager->callback = callback;
        manager->opaque = opaque;
    }
    return manager_result(manager, error);
}

int virLockManagerGetEventFD(virLockManagerPtr manager, int *fd)
{
    GError *error = NULL;

    if (fd)
        *fd = -1;
    if (manager_enter(manager, "watch", PHASE_STARTED, 0, 0, &error)) {
        if (!fd)
            manager_bad(&error,
                        "cannot watch VM '%s': nowhere to put the "
                        "descriptor",
                        manager_shown(manager));
        else if (ask_connect(manager, &error) && make_poll(manager, &error))
            *fd = manager->poll_fd;
    }
    return manager_result(manager, error);
}

int virLockManagerDispatch(virLockManagerPtr manager)
{
    GError *error = NULL;

    if (manager_enter(manager, "watch", PHASE_STARTED | PHASE_ENDED, 0, 0,
                      &error)) {
        ask_pump(manager);
        tell_all(manager);
    }
    return manager_result(manager, error);
}

/* --- the end ---------------------------------------------------------------
 */

/* It is not over: whoever was only cut can be asked once more. */
static gboolean is_lost(virLockManagerPtr manager, GError **error)
{
    if (manager->client || manager->released)
        return FALSE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR,
                "cannot wait for the end of VM '%s': its supervisor has "
                "vanished without having told of it",
                manager_shown(manager));
    return TRUE;
}

/* Nothing comes after RELEASED but the end of the connection, and that is not
 * waited for. */
static void hear_no_more(virLockManagerPtr manager)
{
    if (manager->client)
        watch_event(manager, NULL);
    ask_ended(manager);
    tell_all(manager);
}

gboolean watch_until_released(virLockManagerPtr manager, gint64 deadline,
                              GError **error)
{
    GError *reason = NULL;

    ask_pump(manager);
    for (;;) {
        json_t *event;

        tell_all(manager);
        if (manager->released) {
            hear_no_more(manager);
            return TRUE;
        }
        if (is_lost(manager, error))
            return FALSE;
        event = client_event(manager->client, client_left(deadline), &reason);
        if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_TIMEOUT)) {
            g_error_free(reason);
            g_set_error(error, QMP_ERROR, QMP_ERROR_TIMEOUT,
                        "cannot wait longer for the end of VM '%s': it has not "
                        "ended",
                        manager_shown(manager));
            return FALSE;
        }
        g_clear_error(&reason);
        watch_event(manager, event);
        if (!event)
            ask_hang_up(manager);
    }
}

/* It has ended, and said so, or there is somebody to wait for. */
static gboolean can_wait(virLockManagerPtr manager, GError **error)
{
    ask_pump(manager);
    return manager->released || ask_connect(manager, error);
}

int virLockManagerWait(virLockManagerPtr manager, int milliseconds)
{
    GError *error = NULL;

    if (manager_enter(manager, "wait for", PHASE_STARTED | PHASE_ENDED, 0, 0,
                      &error)) {
        if (milliseconds < -1)
            manager_bad(&error,
                        "cannot wait for %d milliseconds: it is -1 or "
                        "more",
                        milliseconds);
        else if (can_wait(manager, &error))
            watch_until_released(manager, client_deadline(milliseconds),
                                 &error);
    }
    return manager_result(manager, error);
}
