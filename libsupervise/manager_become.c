/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the process that will be the VM starts a supervisor for itself
 *
 * Between fork and exec of a manager that may have threads: the supervisor's
 * process is made by clone(2) without a signal for us, twice, so that it is
 * nobody's child that the caller could stumble over; and whatever is done
 * before its exec is a system call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager_internal.h"

/* The supervisor's descriptors. */
enum {
    FD_SELF = 3, /* the pidfd of the process that is attached */
    FD_READY,    /* --pid-fd: every lease is held */
    FD_STATUS,   /* --json-status-fd: why not */
    FD_END,
};

/* Longest last word, in bytes. */
#define STATUS_MAX 65536

typedef struct {
    int self;
    int ready[2], status[2]; /* pipes */
} Ends;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_ends(Ends *ends)
{
    close_fd(&ends->self);
    for (int i = 0; i < 2; i++) {
        close_fd(&ends->ready[i]);
        close_fd(&ends->status[i]);
    }
}

/* All above those that they will be in the supervisor. */
static gboolean make_ends(Ends *ends, GError **error)
{
    int *const all[] = {&ends->self, &ends->ready[0], &ends->ready[1],
                        &ends->status[0], &ends->status[1]};
    gboolean made = TRUE;

    *ends = (Ends){-1, {-1, -1}, {-1, -1}};
    ends->self = pidfd_open(getpid(), 0);
    if (ends->self < 0 || pipe2(ends->ready, O_CLOEXEC) < 0 ||
        pipe2(ends->status, O_CLOEXEC) < 0)
        made = FALSE;
    for (gsize i = 0; made && i < G_N_ELEMENTS(all); i++) {
        int above = fcntl(*all[i], F_DUPFD_CLOEXEC, FD_END);

        if (above < 0)
            made = FALSE;
        close(*all[i]);
        *all[i] = above;
    }
    if (!made) {
        set_errno(error, "cannot make '%s'", "pipe to the supervisor");
        close_ends(ends);
    }
    return made;
}

/* --- the supervisor's process -----------------------------------------------
 */

static pid_t fork_silently(void)
{
    return (pid_t)syscall(SYS_clone, 0L, NULL, NULL, NULL, 0L);
}

static void G_GNUC_NORETURN run_supervisor(const char *path, char **argv,
                                           const Ends *ends)
{
    int null = open("/dev/null", O_RDWR);

    setsid();
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    if (dup2(ends->self, FD_SELF) == FD_SELF &&
        dup2(ends->ready[1], FD_READY) == FD_READY &&
        dup2(ends->status[1], FD_STATUS) == FD_STATUS && chdir("/") == 0) {
        close_range(FD_END, ~0u, 0);
        execv(path, argv);
    }
    _exit(127);
}

/* FALSE, and errno, where there is no process. */
static gboolean start_supervisor(const char *path, char **argv,
                                 const Ends *ends)
{
    pid_t pid = fork_silently();
    int status = 0;

    if (pid == 0) {
        pid = fork_silently();
        if (pid == 0)
            run_supervisor(path, argv, ends);
        _exit(pid < 0 ? errno : 0);
    }
    if (pid < 0)
        return FALSE;
    while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
        ;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    return errno == 0;
}

/* --- what it says -----------------------------------------------------------
 */

/* Reads @fd to its end. NULL where that does not come in time. */
static char *read_all(int fd, gint64 deadline)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[4096];

    for (;;) {
        struct pollfd more = {.fd = fd, .events = POLLIN};
        int ready = poll(&more, 1, client_left(deadline));
        ssize_t n;

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0 || text->len > STATUS_MAX)
            return NULL;
        n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            return g_string_free(g_steal_pointer(&text), FALSE);
        g_string_append_len(text, buffer, n);
    }
}

/* The last of the lines in @text, as an object; NULL where there is none. */
static json_t *last_object(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    json_t *last = NULL;

    for (char **line = lines; *line; line++) {
        json_t *object = json_loads(*line, 0, NULL);

        if (object) {
            json_decref(last);
            last = object;
        }
    }
    return last;
}

/* Always FALSE. @text: of the status pipe. */
static gboolean say_refused(virLockManagerPtr manager, const char *path,
                            const char *text, GError **error)
{
    g_autoptr(json_t) status = last_object(text);
    const char *reason = json_string_value(json_object_get(status, "reason"));
    const char *class = json_string_value(json_object_get(status, "class"));

    manager->holder = json_incref(json_object_get(status, "holder"));
    if (reason)
        g_set_error_literal(error, QMP_ERROR,
                            (gint)qmp_error_code(class ? class : ""), reason);
    else
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "cannot start '%s' for VM '%s': it ended without a word "
                    "(its standard error may have one)",
                    path, manager_shown(manager));
    return FALSE;
}

static gboolean hear(virLockManagerPtr manager, const char *path, Ends *ends,
                     GError **error)
{
    g_autofree char *ready = NULL, *status = NULL;

    ready = read_all(ends->ready[0], manager->deadline);
    if (ready && *ready)
        return TRUE;
    if (ready)
        status = read_all(ends->status[0], manager->deadline);
    if (status)
        return say_refused(manager, path, status, error);
    g_set_error(error, QMP_ERROR, QMP_ERROR_TIMEOUT,
                "cannot start VM '%s': its supervisor has not got all leases "
                "in time",
                manager_shown(manager));
    return FALSE;
}

/* --- liveness --------------------------------------------------------------
 */

/* Descriptors that are to outlive this process's exec. */
static gboolean keep_liveness(virLockManagerPtr manager, GError **error)
{
    gint64 count = 1;

    for (gint64 i = 0; i < count; i++) {
        json_t *arguments = json_pack("{s:I}", "number", (json_int_t)i);
        int fd = -1;
        g_autoptr(json_t) value =
            ask(manager, "query-liveness", arguments, -1, &fd, error);

        if (!value)
            return FALSE;
        count = json_integer_value(json_object_get(value, "count"));
        if (fd < 0 || fcntl(fd, F_SETFD, 0) < 0)
            return set_errno(error, "cannot keep the liveness of VM '%s'",
                             manager_shown(manager));
    }
    return TRUE;
}

/* --- all of it -------------------------------------------------------------
 */

/* NULL-terminated, with the program's own name first; for g_strfreev(). */
static char **make_argv(const virLockManager *manager)
{
    const char *const extra[] = {
        "virt-lock-supervisor",     "--attach-pidfd=" G_STRINGIFY(3), /* FD_SELF
                                                                       */
        "--pid-fd=" G_STRINGIFY(4), "--json-status-fd=" G_STRINGIFY(5), NULL,
    };

    return argv_make(manager, extra);
}

/* FALSE where somebody answers for the VM. */
static gboolean is_free(virLockManagerPtr manager, GError **error)
{
    g_autofree char *socket = ask_socket(manager, error);
    g_autoptr(Client) other =
        socket ? client_connect(socket, ask_left(manager), NULL) : NULL;

    if (other)
        g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot start VM '%s': a supervisor for it runs already",
                    manager_shown(manager));
    return socket && !other;
}

gboolean become_supervised(virLockManagerPtr manager, GError **error)
{
    g_autofree char *path = argv_supervisor(error);
    g_auto(GStrv) argv = NULL;
    gboolean heard;
    Ends ends;

    if (!path || !is_free(manager, error) || !make_ends(&ends, error))
        return FALSE;
    argv = make_argv(manager);
    if (!start_supervisor(path, argv, &ends)) {
        set_errno(error, "cannot start '%s'", path);
        close_ends(&ends);
        return FALSE;
    }
    close_fd(&ends.ready[1]);
    close_fd(&ends.status[1]);
    heard = hear(manager, path, &ends, error);
    close_ends(&ends);
    return heard && ask_connect(manager, error) &&
           keep_liveness(manager, error);
}
