/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a process that is not our child
 *
 * It is known by a pidfd and by nothing else. Its orphans do not come to us:
 * descendants are known from when somebody looked (sweep.h), and all of them
 * only where it sits in a control group of its own. It is not ours to reap,
 * so that its status is what the kernel tells of it when its parent has.
 *
 * Mustn't: signal anything before child_adopt().
 */
#include "child_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "watch.h"

/* linux/pidfd.h of Linux 6.15; what it is asked for is in the mask, and what
 * it told, too. */
typedef struct {
    guint64 mask;
    guint64 cgroup_id;
    guint32 ids[11];
    gint32 exit_code; /* a wait(2) status */
} PidfdInfo;

#define PIDFD_INFO_EXIT (1 << 3)
#define PIDFD_GET_INFO  _IOWR(0xFF, 11, PidfdInfo)

G_STATIC_ASSERT(sizeof(PidfdInfo) == 64);

/* How long whoever has started it may take to reap it, when all is done. */
#define REAP_MS 200

/* --- its end -------------------------------------------------------------- */

/* Told only once its parent has reaped it. */
static gboolean ask_status(int pidfd, int *status)
{
    PidfdInfo info = {.mask = PIDFD_INFO_EXIT};

    if (ioctl(pidfd, PIDFD_GET_INFO, &info) < 0 ||
        !(info.mask & PIDFD_INFO_EXIT))
        return FALSE;
    *status = info.exit_code;
    return TRUE;
}

gboolean child_ask_status(const Child *child, int *status)
{
    struct pollfd reaped = {.fd = child->kept};

    if (!child->attached)
        return FALSE;
    poll(&reaped, 1, REAP_MS); /* for POLLHUP, of Linux 6.9 */
    return ask_status(child->kept, status);
}

/* --- its descendants ------------------------------------------------------ */

/* Who is new is told of: once its parent is dead nobody else finds it. Nobody
 * is told before child_adopt(), which tells of all. */
static gboolean find(Child *child)
{
    size_t known = child->sweep.n;
    gboolean whole = sweep_find(&child->sweep);

    for (size_t i = known; child->started && i < child->sweep.n; i++)
        child->events->found(child->opaque, child->sweep.all[i].pid,
                             child->sweep.all[i].pidfd);
    return whole;
}

/* The one that was the child is dead, others live: the first of them is the
 * child from now on. */
static void adopt_next(Child *child)
{
    child->pid = child->sweep.all[0].pid;
    child->pidfd = child->sweep.all[0].pidfd;
    child->start_time = 0;
    child->events->adopted(child->opaque, child->pid);
    if (child->terminating)
        child_signal(child, SIGTERM);
}

static void look_after(Child *child)
{
    pid_t was = child->pid;
    size_t alive;

    find(child);
    if (child->killing)
        sweep_kill(&child->sweep);
    alive = sweep_alive(&child->sweep);
    if (alive && child->sweep.all[0].pid == was)
        return; /* somebody else has died */
    child->pid = 0;
    child->pidfd = -1;
    child->events->exited(child->opaque, was, -1);
    if (alive) {
        adopt_next(child);
        return;
    }
    g_source_remove(child->deaths_source);
    child->deaths_source = 0;
    child->events->gone(child->opaque);
}

static gboolean on_death(gint fd, GIOCondition condition, gpointer data)
{
    look_after(data);
    return G_SOURCE_CONTINUE;
}

/* --- from attach to the end ----------------------------------------------- */

gboolean child_attach(Child *child, pid_t pid, int pidfd, GError **error)
{
    int own = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);

    child->attached = TRUE;
    child->kept = -1;
    child->sweep = (Sweep){.deaths = -1, .cgroup_kill = -1, .cgroup_procs = -1};
    if (pidfd_send_signal(pidfd, 0, NULL, 0) < 0 && errno == EPERM) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "cannot attach to process %d: it is another user's, and "
                    "could not be killed (run the supervisor as root)",
                    pid);
        close(own);
        return FALSE;
    }
    child->kept = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
    if (own < 0 || child->kept < 0 || !sweep_init(&child->sweep, pid, own))
        return set_errno(error, "cannot watch process '%d'", pid);
    child->pid = pid;
    sweep_except(&child->sweep, getpid()); /* it may have started us */
    child->pidfd = own;
    child->deaths_source =
        watch_fd(child->sweep.deaths, G_IO_IN, on_death, child);
    return TRUE;
}

void child_adopt(Child *child)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));

    sweep_find(&child->sweep);
    for (size_t i = 0; i < child->sweep.n; i++)
        g_array_append_val(pids, child->sweep.all[i].pid);
    child->sweep.cgroup_procs =
        cgroup_open_of(child->pid, pids, &child->sweep.cgroup_kill);
    child->started = TRUE;
}

void child_say_started(Child *child)
{
    child->events->started(child->opaque);
}

void attached_kill(Child *child)
{
    find(child);
    sweep_kill(&child->sweep);
}

gboolean attached_walk(const Child *child, TreeVisit visit, gpointer data)
{
    const Sweep *sweep = &child->sweep;
    gboolean whole = find((Child *)child);

    for (size_t i = 0; i < sweep->n; i++) {
        if (visit(sweep->all[i].pid, sweep->all[i].pidfd, data))
            break;
    }
    return whole;
}

void attached_free(Child *child)
{
    if (child->deaths_source)
        g_source_remove(child->deaths_source);
    if (child->kept >= 0)
        close(child->kept);
    sweep_clear(&child->sweep);
}
