/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see child.h; the walk over descendants is in tree.c. */
#include "child_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "proc.h"
#include "watch.h"

Child *child_new(const ChildEvents *events, gpointer opaque, GError **error)
{
    Child *child = g_new0(Child, 1);

    child->events = events;
    child->opaque = opaque;
    child->pidfd = -1;
    child->barrier = -1;
    child->foreign = g_array_new(FALSE, FALSE, sizeof(pid_t));
    child->children = proc_open_own_children();
    if (child->children < 0)
        set_errno(error, "cannot read '%s'", "/proc/self/task/PID/children");
    else if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        set_errno(error, "cannot become '%s'", "child subreaper");
    else
        return child;
    child_free(child);
    return NULL;
}

void child_free(Child *child)
{
    if (!child)
        return;
    if (child->barrier_source)
        g_source_remove(child->barrier_source);
    if (child->barrier >= 0)
        close(child->barrier);
    if (child->attached)
        attached_free(child);
    else if (child->pidfd >= 0)
        close(child->pidfd);
    cgroup_free(child->cgroup);
    if (child->children >= 0)
        close(child->children);
    g_array_unref(child->foreign);
    g_free(child);
}

static void G_GNUC_NORETURN fail(int barrier, ChildStage stage, int err)
{
    Failure failure = {stage, err};

    if (send(barrier, &failure, sizeof failure, MSG_NOSIGNAL) < 0)
        _exit(125); /* nobody is left to be told */
    _exit(125);
}

/* In the child. Nothing here may allocate or take a lock. */
static void G_GNUC_NORETURN run_child(const ChildSpec *spec, pid_t parent,
                                      int barrier)
{
    char go;

    umask(spec->mask);
    for (guint i = 0; i < spec->n_inherit; i++)
        fcntl(spec->inherit[i], F_SETFD, 0);
    if (spec->credentials && (setgroups(spec->n_groups, spec->groups) < 0 ||
                              setresgid(spec->gid, spec->gid, spec->gid) < 0 ||
                              setresuid(spec->uid, spec->uid, spec->uid) < 0))
        fail(barrier, CHILD_STAGE_CREDENTIALS, errno);
    /* Credential changes clear it, so it comes after them; and if we died
     * before it was set nobody will send it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        fail(barrier, CHILD_STAGE_PARENT, ESRCH);
    if (read(barrier, &go, 1) != 1)
        _exit(125); /* the parent is gone, and so is the barrier */
    signals_restore(spec->signals);
    execvp(spec->command[0], spec->command);
    fail(barrier, CHILD_STAGE_EXEC, errno);
}

/* Ends a child that cannot be watched. Parked as it is, it dies at once. */
static void end_parked(Child *child)
{
    siginfo_t info;

    close(child->barrier); /* it ends by itself where we may not kill it */
    child->barrier = -1;
    kill(child->pid, SIGKILL);
    waitid(P_PID, child->pid, &info, WEXITED);
    child->pid = 0;
}

gboolean child_park(Child *child, const ChildSpec *spec, GError **error)
{
    pid_t parent = getpid();
    int pair[2];

    g_array_set_size(child->foreign, 0);
    if (!proc_own_children(child->children, child->foreign))
        return set_errno(error, "cannot read '%s'", "our children");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return set_errno(error, "cannot make '%s'", "barrier");
    child->cgroup = cgroup_new(child->guard);
    child->pid = fork();
    if (child->pid == 0) {
        close(pair[0]);
        run_child(spec, parent, pair[1]);
    }
    close(pair[1]);
    child->barrier = pair[0];
    if (child->pid < 0) {
        child->pid = 0;
        return set_errno(error, "cannot fork '%s'", spec->command[0]);
    }
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0) {
        set_errno(error, "cannot open a pidfd of '%s'", spec->command[0]);
        end_parked(child);
        return FALSE;
    }
    if (child->cgroup && !cgroup_add(child->cgroup, child->pid))
        g_clear_pointer(&child->cgroup, cgroup_free);
    return TRUE;
}

/* Reads what the child said about exec, if it has. The end of the file means
 * that exec has closed it; or that the child was killed before it came so
 * far, which its flags tell as long as it is not reaped. */
static void read_barrier(Child *child)
{
    ProcStat stat;
    ssize_t n;

    if (child->barrier < 0)
        return;
    n = recv(child->barrier, &child->failure, sizeof child->failure,
             MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    child->has_failed = n == sizeof child->failure;
    if (child->barrier_source)
        g_source_remove(child->barrier_source);
    child->barrier_source = 0;
    close(child->barrier);
    child->barrier = -1;
    if (child->has_failed) /* told when it is reaped */
        return;
    child->started = !proc_stat(child->pid, &stat) || stat.executed;
    if (child->started)
        child->events->started(child->opaque);
}

static gboolean on_barrier(gint fd, GIOCondition condition, gpointer data)
{
    read_barrier(data);
    return G_SOURCE_CONTINUE;
}

void child_start(Child *child)
{
    child->barrier_source =
        watch_fd(child->barrier, G_IO_IN | G_IO_HUP, on_barrier, child);
    /* Fails where the child is dead already: then it will be reaped. */
    (void)!send(child->barrier, "", 1, MSG_NOSIGNAL);
}

void child_signal(Child *child, int sig)
{
    if (child->pidfd >= 0)
        pidfd_send_signal(child->pidfd, sig, NULL, 0);
}

void child_terminate(Child *child)
{
    child->terminating = TRUE;
    child_signal(child, SIGTERM);
}

static gboolean kill_one(pid_t pid, int pidfd, gpointer data)
{
    pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    return FALSE;
}

void child_kill(Child *child)
{
    child->killing = TRUE;
    if (child->attached) {
        attached_kill(child);
        return;
    }
    if (child->cgroup)
        cgroup_kill(child->cgroup);
    child_signal(child, SIGKILL);
    tree_walk(child->children, child->foreign, kill_one, NULL);
}

static gboolean is_job_control(int sig)
{
    return sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* The child has ended. */
static void reaped(Child *child, const siginfo_t *info)
{
    pid_t pid = child->pid;
    int status = info->si_code == CLD_EXITED ? W_EXITCODE(info->si_status, 0)
                                             : W_EXITCODE(0, info->si_status);

    close(child->pidfd);
    child->pidfd = -1;
    child->pid = 0;
    child->start_time = 0;
    if (!child->has_failed)
        child->events->exited(child->opaque, pid, status);
}

typedef enum {
    ALIVE,
    REAPED,
    NOT_OURS, /* any more */
} Fate;

/* Looks what became of one of our children. */
static Fate look_after(Child *child, pid_t pid)
{
    siginfo_t info = {0};

    if (pid == child->pid)
        read_barrier(child);
    if (waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WNOHANG) < 0)
        return NOT_OURS;
    if (info.si_pid == 0)
        return ALIVE;
    if (info.si_code == CLD_STOPPED) {
        if (pid == child->pid && is_job_control(info.si_status))
            child->events->stopped(child->opaque, info.si_status);
        return ALIVE;
    }
    if (pid == child->pid)
        reaped(child, &info);
    return REAPED;
}

/*
 * Reaps who is dead and collects who is alive. A process that dies while we
 * go through the list leaves us its children, which the list has not: so it
 * is read again until nobody was reaped since it was read. (A process can be
 * reaped only after its children were given to us.)
 */
static gboolean go_through(Child *child, GArray *alive)
{
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    gboolean again;

    do {
        again = FALSE;
        g_array_set_size(pids, 0);
        g_array_set_size(alive, 0);
        if (!proc_own_children(child->children, pids))
            return FALSE;
        for (guint i = 0; i < pids->len; i++) {
            pid_t pid = g_array_index(pids, pid_t, i);
            Fate fate = tree_is_foreign(child->foreign, pid)
                            ? NOT_OURS
                            : look_after(child, pid);

            again |= fate == REAPED;
            if (fate == ALIVE)
                g_array_append_val(alive, pid);
        }
    } while (again && child->pid == 0 && alive->len == 0);
    return TRUE;
}

/* The oldest that lives on is the child now. */
static void adopt(Child *child, GArray *alive)
{
    guint64 oldest = G_MAXUINT64;
    ProcStat stat;

    for (guint i = 0; i < alive->len; i++) {
        pid_t pid = g_array_index(alive, pid_t, i);

        if (proc_stat(pid, &stat) && stat.start_time < oldest) {
            oldest = stat.start_time;
            child->pid = pid;
        }
    }
    if (!child->pid) /* /proc hides it: any will do */
        child->pid = g_array_index(alive, pid_t, 0);
    child->pidfd = pidfd_open(child->pid, 0);
    child->events->adopted(child->opaque, child->pid);
    if (child->terminating)
        child_signal(child, SIGTERM);
}

void child_reap(Child *child)
{
    g_autoptr(GArray) alive = g_array_new(FALSE, FALSE, sizeof(pid_t));

    if (child->attached || child->pid == 0 || !go_through(child, alive))
        return;
    if (child->pid == 0 && alive->len > 0)
        adopt(child, alive);
    if (alive->len > 0 && child->killing)
        tree_walk(child->children, child->foreign, kill_one, NULL);
    if (child->pid)
        return;
    if (child->has_failed)
        child->events->failed(child->opaque, child->failure.stage,
                              child->failure.err);
    else
        child->events->gone(child->opaque);
}

pid_t child_pid(const Child *child)
{
    return child->pid;
}

gboolean child_in_our_group(const Child *child)
{
    ProcStat stat;

    return !proc_stat(child->pid, &stat) || stat.group == getpgrp();
}

guint64 child_start_time(Child *child)
{
    ProcStat stat;

    if (!child->start_time && proc_stat(child->pid, &stat))
        child->start_time = stat.start_time;
    return child->start_time;
}

int child_pidfd(const Child *child)
{
    return child->pidfd;
}

gboolean child_is_started(const Child *child)
{
    return child->started;
}

char *child_describe(const Child *child)
{
    return proc_describe(child->pid);
}

gboolean child_walk(const Child *child, TreeVisit visit, gpointer data)
{
    return child->attached
               ? attached_walk(child, visit, data)
               : tree_walk(child->children, child->foreign, visit, data);
}

pid_t child_find_open(const Child *child, gboolean block, dev_t device,
                      ino_t inode, gboolean *sure)
{
    TreeWanted wanted = {block, device, inode, 0, TRUE};

    *sure = child_walk(child, tree_has_open, &wanted) && wanted.sure;
    return wanted.found;
}
