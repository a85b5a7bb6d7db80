/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see attach.h. */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "proc.h"

static void refuse(Options *o, const char *reason)
{
    g_autofree char *what = o->attach_pid > 0
                                ? g_strdup_printf("process %d", o->attach_pid)
                                : g_strdup_printf("pidfd %d", o->attach_pidfd);

    if (!o->failure)
        g_set_error(&o->failure, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot attach to %s: %s", what, reason);
}

/* The number of the process in our name space; 0: it has none, -1: it is
 * dead. FALSE where it is no pidfd. */
static gboolean pid_of(int pidfd, pid_t *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", pidfd);
    g_autofree char *text = NULL;
    const char *line;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;
    line = strstr(text, "\nPid:");
    return line && sscanf(line, "\nPid: %d", pid) == 1;
}

/* One of our own is close-on-exec, and none that came with us is. */
static gboolean is_given(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    return flags >= 0 && !(flags & FD_CLOEXEC);
}

static void by_pidfd(Options *o)
{
    pid_t pid = 0;

    if (!is_given(o->attach_pidfd))
        refuse(o, "there is no such descriptor");
    else if (!pid_of(o->attach_pidfd, &pid))
        refuse(o, "it is not a pidfd");
    else if (pid == 0)
        refuse(o, "its process is in another PID name space");
    else if (pid < 0)
        refuse(o, "its process has ended");
    else
        o->attach_pid = pid;
}

static void by_number(Options *o)
{
    o->attach_pidfd = pidfd_open(o->attach_pid, 0);
    if (o->attach_pidfd < 0)
        refuse(o, errno == ESRCH ? "there is no such process"
                  : errno == EINVAL || errno == ENOENT /* since Linux 6.15 */
                      ? "it is a thread, not a process"
                      : g_strerror(errno));
}

static gboolean is_dead(int pidfd)
{
    struct pollfd dead = {.fd = pidfd, .events = POLLIN};

    return poll(&dead, 1, 0) != 0;
}

/* All that is running descends from the first process of a PID name space, and
 * would be killed with it; it alone would live on. */
static const char *not_to_be_killed(pid_t pid, const ProcStat *stat)
{
    return pid == getpid() ? "that is the supervisor itself"
           : pid == 1      ? "it is init, which nobody in here can kill"
           : stat->kernel  ? "it is a thread of the kernel's"
                           : NULL;
}

/* What is read by number is its own where it still lives afterwards. */
static void look_at(Options *o)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", o->attach_pid);
    g_autofree char *name = NULL;
    ProcStat stat = {0};
    gboolean found = proc_stat(o->attach_pid, &stat);
    const char *never = not_to_be_killed(o->attach_pid, &stat);

    g_file_get_contents(path, &name, NULL, NULL);
    if (!found || is_dead(o->attach_pidfd)) {
        refuse(o, "it has ended");
    } else if (o->attach_start && o->attach_start != stat.start_time) {
        refuse(o, "it was not started at that time: another process has its "
                  "number by now");
    } else if (never) {
        refuse(o, never);
    } else if (name && !o->name_given) {
        g_autofree char *valid = g_utf8_make_valid(g_strchomp(name), -1);

        options_set_name(o, *valid ? valid : "attached", NULL);
    }
}

void attach_open(Options *o)
{
    if (o->attach_pid)
        by_number(o);
    else
        by_pidfd(o);
    if (!o->failure)
        look_at(o);
}
