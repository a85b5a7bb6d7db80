/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a supervisor that is being started
 *
 * Whoever starts it is not told when its socket is there, so that the directory
 * is watched; a directory that is missing is waited for in the one above.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "manager_internal.h"
#include "places.h"

/* A socket that is there may not be listened on yet: nothing tells of that. */
#define ALMOST_MS 5

static gboolean is_starting(const char *state)
{
    return g_str_equal(state, "STARTING") || g_str_equal(state, "ATTACHING");
}

/* --- until it is there ------------------------------------------------------
 */

/* Has @fd tell what comes in @dir, or in the first that is there of those above
 * it. FALSE, and errno, where it cannot, and where that changed meanwhile
 * (EAGAIN): of what came before a directory was watched nobody tells. */
static gboolean add_watch(int fd, const char *dir)
{
    const guint32 mask =
        IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_ONLYDIR;
    g_autofree char *above = NULL;

    if (inotify_add_watch(fd, dir, mask) >= 0)
        return TRUE;
    above = g_path_get_dirname(dir);
    if (errno != ENOENT || g_str_equal(above, dir) || !add_watch(fd, above))
        return FALSE;
    errno = EAGAIN;
    return access(dir, F_OK) < 0;
}

/* -1 where nobody will tell, and one must look again and again. */
static int watch_dir(const char *dir)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    while (fd >= 0 && !add_watch(fd, dir)) {
        if (errno == EAGAIN)
            continue;
        close(fd);
        fd = -1;
    }
    return fd;
}

static void wait_for_change(int fd, const char *socket, int left_ms)
{
    struct pollfd change = {.fd = fd, .events = POLLIN};

    if (fd < 0 || access(socket, F_OK) == 0)
        left_ms = MIN(left_ms, ALMOST_MS);
    poll(&change, 1, left_ms);
}

/* The VM can be started again. */
static void begin_again(virLockManagerPtr manager)
{
    ask_hang_up(manager);
    manager->phase = PHASE_PREPARING;
    manager->spoken_to = 0;
}

/* Always FALSE. Takes @reason, why it could not be asked. */
static gboolean say_absent(virLockManagerPtr manager, GError *reason,
                           GError **error)
{
    if (!g_error_matches(reason, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR)) {
        g_propagate_error(error, reason);
        return FALSE;
    }
    g_error_free(reason);
    g_set_error(error, QMP_ERROR, QMP_ERROR_TIMEOUT,
                "cannot find the supervisor of VM '%s': it is not there in "
                "time",
                manager_shown(manager));
    return FALSE;
}

static struct stat look_at(virLockManagerPtr manager)
{
    g_autofree char *socket = ask_socket(manager, NULL);
    struct stat st;

    return socket && stat(socket, &st) == 0 ? st : (struct stat){0};
}

void await_begun(virLockManagerPtr manager)
{
    manager->before = look_at(manager);
}

/* FALSE where who answers did so before there were arguments to start another:
 * that one is refused, by itself. A socket that is new is another's. */
static gboolean is_new(virLockManagerPtr manager, GError **error)
{
    const struct stat *before = &manager->before;
    const struct stat now = look_at(manager);

    if (!manager->has_args || !before->st_ino || before->st_ino != now.st_ino ||
        before->st_dev != now.st_dev ||
        before->st_ctim.tv_sec != now.st_ctim.tv_sec ||
        before->st_ctim.tv_nsec != now.st_ctim.tv_nsec)
        return TRUE;
    begin_again(manager);
    g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                "cannot start VM '%s': a supervisor for it runs already",
                manager_shown(manager));
    return FALSE;
}

/* Watch first, look then: what comes in between is seen by one of them. */
gboolean await_connected(virLockManagerPtr manager, GError **error)
{
    g_autofree char *socket = ask_socket(manager, error);
    g_autofree char *dir = socket ? g_path_get_dirname(socket) : NULL;

    while (socket) {
        GError *reason = NULL;
        int fd = watch_dir(dir), left_ms = 0;
        gboolean there = ask_connect(manager, &reason);

        if (g_error_matches(reason, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR))
            left_ms = ask_left(manager);
        if (left_ms > 0)
            wait_for_change(fd, socket, left_ms);
        if (fd >= 0)
            close(fd);
        if (there)
            return is_new(manager, error);
        if (left_ms == 0)
            return say_absent(manager, reason, error);
        g_clear_error(&reason);
    }
    return FALSE;
}

/* --- until it has its leases ------------------------------------------------
 */

/* Always FALSE. @data: of the STATE_CHANGE, if there was one. */
static gboolean say_refused(virLockManagerPtr manager, const json_t *data,
                            GError **error)
{
    const char *class = json_string_value(json_object_get(data, "class"));
    const char *reason = json_string_value(json_object_get(data, "reason"));

    if (class) {
        json_decref(manager->holder);
        manager->holder = json_incref(json_object_get(data, "holder"));
        g_set_error_literal(error, QMP_ERROR, (gint)qmp_error_code(class),
                            reason);
    } else {
        g_set_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR,
                    "cannot start VM '%s': %s", manager_shown(manager),
                    reason ? reason : "its supervisor has ended");
    }
    begin_again(manager);
    return FALSE;
}

/* Of an event: the state that the VM is in by now, or NULL. */
static const char *new_state(const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event"));

    return g_strcmp0(name, "STATE_CHANGE") == 0
               ? json_string_value(
                     json_object_get(json_object_get(event, "data"), "to"))
               : NULL;
}

/* FALSE where it is the last that happens. @held: set where it is a state in
 * which every lease is; may be NULL. */
static gboolean wait_for_event(virLockManagerPtr manager, gboolean *held,
                               GError **error)
{
    GError *reason = NULL;
    json_t *event = client_event(manager->client, ask_left(manager), &reason);
    const char *state = new_state(event);

    if (reason) {
        g_propagate_error(error, reason);
        return FALSE;
    }
    if (!event || g_strcmp0(state, "GONE") == 0) {
        say_refused(manager, json_object_get(event, "data"), error);
        json_decref(event);
        return FALSE;
    }
    if (held && state)
        *held = !is_starting(state);
    watch_event(manager, event);
    return TRUE;
}

static gboolean wait_for_leases(virLockManagerPtr manager, GError **error)
{
    gboolean held = FALSE;

    while (!held && wait_for_event(manager, &held, error))
        ;
    return held;
}

gboolean await_started(virLockManagerPtr manager, GError **error)
{
    g_autoptr(json_t) status = NULL;
    const char *state;

    if (!await_connected(manager, error))
        return FALSE;
    status = ask(manager, "query-status", NULL, -1, NULL, error);
    state = json_string_value(json_object_get(status, "state"));
    if (!status)
        return FALSE;
    if (g_strcmp0(state, "GONE") == 0)
        return say_refused(manager, status, error);
    return !state || !is_starting(state) || wait_for_leases(manager, error);
}

/* In which there is a child, or will be in a moment. */
static gboolean has_child(const char *state)
{
    static const char *const states[] = {"RUNNING",  "OUTGOING", "RECLAIMING",
                                         "INCOMING", "CLAIMING", NULL};

    return g_strv_contains(states, state);
}

/* The state that it was in, new; NULL and @error where it cannot be asked. */
static char *ask_state(virLockManagerPtr manager, GError **error)
{
    g_autoptr(json_t) status =
        ask(manager, "query-status", NULL, -1, NULL, error);
    const char *state = json_string_value(json_object_get(status, "state"));

    return status ? g_strdup(state ? state : "") : NULL;
}

/* A child that is there, but has not executed yet, is none yet. The state is
 * asked for first: what has changed by the answer is an event after it. */
json_t *await_child(virLockManagerPtr manager, int *pidfd, GError **error)
{
    for (;;) {
        g_autofree char *state = ask_state(manager, error);
        GError *reason = NULL;
        json_t *child;

        if (!state)
            return NULL;
        child = ask(manager, "query-child", NULL, -1, pidfd, &reason);
        if (child)
            return child;
        if (!g_error_matches(reason, QMP_ERROR, QMP_ERROR_WRONG_STATE) ||
            !has_child(state)) {
            g_propagate_error(error, reason);
            return NULL;
        }
        g_error_free(reason);
        if (!wait_for_event(manager, NULL, error))
            return NULL;
    }
}

gboolean await_any(virLockManagerPtr manager, GError **error)
{
    return manager->phase == PHASE_PREPARING &&
                   !(manager->flags & VIR_LOCK_MANAGER_NEW_ATTACH)
               ? await_started(manager, error)
               : ask_connect(manager, error);
}
