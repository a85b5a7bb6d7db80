/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: asks qemu-img
 *
 * spawn -> read its answer until it ends or its time is over -> kill -> reap.
 * The only room that runs a program, and so the only one beside the
 * supervisor's child.c that kills and waits: its own child, by its pidfd.
 *
 * Should:  bound time and output; run no shell.
 * Mustn't: wait for a process that cannot be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virt-lock-disks.h"

#define MAX_COMPLAINT 4096
/* How long a killed child may take to be dead, milliseconds. */
#define LAST_MS 2000

typedef struct {
    pid_t pid;
    int pidfd, out, err;
    gint64 deadline; /* microseconds, monotonic */
    gboolean late, too_much;
    GString *answer, *complaint;
} Run;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void run_clear(Run *run)
{
    close_fd(&run->pidfd);
    close_fd(&run->out);
    close_fd(&run->err);
    g_string_free(run->answer, TRUE);
    g_string_free(run->complaint, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

static gboolean spawn(Run *run, char **argv, GError **error)
{
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
    g_autoptr(GError) reason = NULL;

    if (!g_spawn_async_with_pipes(
            NULL, argv, env, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
            NULL, NULL, &run->pid, NULL, &run->out, &run->err, &reason)) {
        g_autofree char *name = shown(argv[0]);
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "cannot run '%s': %s",
                    name,
                    g_error_matches(reason, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT)
                        ? "it is not there"
                        : reason->message);
        return FALSE;
    }
    fcntl(run->out, F_SETFL, O_NONBLOCK);
    fcntl(run->err, F_SETFL, O_NONBLOCK);
    run->pidfd = pidfd_open(run->pid, 0);
    if (run->pidfd < 0)
        return set_errno(error, "cannot watch '%s'", argv[0]);
    return TRUE;
}

/* All that is there now; closes *@fd at its end, or with too much of it. */
static void drain(int *fd, GString *into, gsize max)
{
    char buffer[16 * 1024];
    gssize n;

    while (*fd >= 0) {
        n = read(*fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0)
            g_string_append_len(into, buffer, n);
        if (n <= 0 || into->len > max)
            close_fd(fd);
    }
}

/* One wait for whatever comes; FALSE when the child has ended. */
static gboolean watch(Run *run, int timeout_ms)
{
    struct pollfd fds[] = {
        {.fd = run->pidfd, .events = POLLIN},
        {.fd = run->out, .events = POLLIN},
        {.fd = run->err, .events = POLLIN},
    };

    poll(fds, G_N_ELEMENTS(fds), timeout_ms);
    drain(&run->out, run->answer, DISKS_MAX_INFO);
    drain(&run->err, run->complaint, MAX_COMPLAINT);
    return fds[0].revents == 0;
}

static int left_ms(const Run *run)
{
    gint64 left = run->deadline - g_get_monotonic_time();

    return left > 0 ? (int)(left / 1000) + 1 : 0;
}

/* Until it has ended, and been killed if it must be. Returns the status as
 * of wait(), -1 where it could not be reaped. */
static int finish(Run *run)
{
    siginfo_t info = {0};
    struct pollfd end = {.fd = run->pidfd, .events = POLLIN};

    while (run->answer->len <= DISKS_MAX_INFO && left_ms(run) > 0) {
        if (!watch(run, left_ms(run)))
            break;
    }
    run->too_much = run->answer->len > DISKS_MAX_INFO;
    run->late = poll(&end, 1, 0) <= 0;
    if (run->late) {
        pidfd_send_signal(run->pidfd, SIGKILL, NULL, 0);
        poll(&end, 1, LAST_MS);
    }
    if (waitid(P_PIDFD, run->pidfd, &info, WEXITED | WNOHANG) < 0 ||
        info.si_pid == 0)
        return -1;
    return info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
}

/* The last line of what it has said, without the program's name; not where
 * there is a name in it that may have a password in it. */
static char *complaint_of(const Run *run)
{
    static const char *const secretive[] = {"://", "json:", "rbd:"};
    g_autofree char *text = shown(g_strchomp(run->complaint->str));
    char *line = strrchr(text, '\n');
    char *start = line ? line + 1 : text;

    for (gsize i = 0; i < G_N_ELEMENTS(secretive); i++) {
        if (strstr(start, secretive[i]))
            return g_strdup("it cannot open what the image names");
    }
    if (g_str_has_prefix(start, "qemu-img: "))
        start += strlen("qemu-img: ");
    return g_strdup(*start ? start : "it says nothing");
}

static gboolean check(const Run *run, int status, int timeout_ms,
                      GError **error)
{
    g_autofree char *reason = NULL;

    if (run->too_much)
        reason = g_strdup_printf("it says more than %d bytes", DISKS_MAX_INFO);
    else if (run->late)
        reason = g_strdup_printf("no answer within %g s", timeout_ms / 1000.0);
    else if (status != 0)
        reason = complaint_of(run);
    if (!reason)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "qemu-img: %s", reason);
    return FALSE;
}

/* One image is an object, a chain an array of them. */
static json_t *parse(const char *text, GError **error)
{
    g_autoptr(json_t) value = json_loads(text, 0, NULL);
    json_t *array;

    if (json_is_array(value) && json_array_size(value) > 0)
        return g_steal_pointer(&value);
    if (!json_is_object(value)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "qemu-img: its answer cannot be understood");
        return NULL;
    }
    array = json_array();
    json_array_append(array, value);
    return array;
}

json_t *chain_inspect(gpointer data, const char *path, const char *format,
                      gboolean backing, GError **error)
{
    const Chain *chain = data;
    g_auto(Run) run = {.pidfd = -1,
                       .out = -1,
                       .err = -1,
                       .answer = g_string_new(NULL),
                       .complaint = g_string_new(NULL)};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const head[] = {chain->qemu_img, "info", "-U", "--output=json"};

    for (gsize i = 0; i < G_N_ELEMENTS(head); i++)
        g_ptr_array_add(argv, (gpointer)head[i]);
    if (backing)
        g_ptr_array_add(argv, (gpointer) "--backing-chain");
    if (format) {
        g_ptr_array_add(argv, (gpointer) "-f");
        g_ptr_array_add(argv, (gpointer)format);
    }
    g_ptr_array_add(argv, (gpointer) "--");
    g_ptr_array_add(argv, (gpointer)path);
    g_ptr_array_add(argv, NULL);
    run.deadline = g_get_monotonic_time() + chain->timeout_ms * 1000LL;
    if (!spawn(&run, (char **)argv->pdata, error) ||
        !check(&run, finish(&run), chain->timeout_ms, error))
        return NULL;
    return parse(run.answer->str, error);
}
