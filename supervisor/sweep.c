/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see sweep.h. */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define MAX_PINNED 1024

static bool add(Sweep *sweep, pid_t pid, int pidfd)
{
    struct epoll_event death = {.events = EPOLLIN};

    if (epoll_ctl(sweep->deaths, EPOLL_CTL_ADD, pidfd, &death) < 0)
        return false;
    sweep->all[sweep->n++] = (SweepOne){pid, pidfd};
    return true;
}

bool sweep_init_empty(Sweep *sweep)
{
    *sweep = (Sweep){.cgroup_kill = -1, .cgroup_procs = -1};
    sweep->all = calloc(MAX_PINNED, sizeof *sweep->all);
    sweep->deaths = epoll_create1(EPOLL_CLOEXEC);
    if (sweep->all && sweep->deaths >= 0)
        return true;
    sweep_clear(sweep);
    return false;
}

bool sweep_init(Sweep *sweep, pid_t pid, int pidfd)
{
    if (sweep_init_empty(sweep)) {
        if (add(sweep, pid, pidfd))
            return true;
        sweep_clear(sweep);
    }
    close(pidfd);
    return false;
}

void sweep_clear(Sweep *sweep)
{
    int err = errno;

    for (size_t i = 0; sweep->all && i < sweep->n; i++)
        close(sweep->all[i].pidfd);
    if (sweep->deaths >= 0)
        close(sweep->deaths);
    if (sweep->cgroup_kill >= 0)
        close(sweep->cgroup_kill);
    if (sweep->cgroup_procs >= 0)
        close(sweep->cgroup_procs);
    free(sweep->all);
    *sweep = (Sweep){.deaths = -1, .cgroup_kill = -1, .cgroup_procs = -1};
    errno = err;
}

static bool is_dead(int pidfd)
{
    struct pollfd dead = {.fd = pidfd, .events = POLLIN};

    return poll(&dead, 1, 0) == 1;
}

/* The parent of @pid, whoever that is by now, and its session; 0: unknown. */
static pid_t parent_of(pid_t pid, pid_t *session)
{
    char path[64], text[1024];
    const char *end;
    int fd, parent;
    ssize_t n;

    *session = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    end = strrchr(text, ')'); /* the name may hold anything */
    return end && sscanf(end, ") %*c %d %*d %d", &parent, session) == 2 ? parent
                                                                        : 0;
}

static bool is_known(const Sweep *sweep, pid_t pid)
{
    for (size_t i = 0; i < SWEEP_EXCEPT_MAX; i++) {
        if (sweep->except[i] == pid)
            return true;
    }
    for (size_t i = 0; i < sweep->n; i++) {
        if (sweep->all[i].pid == pid)
            return true;
    }
    return false;
}

void sweep_except(Sweep *sweep, pid_t pid)
{
    for (size_t i = 0; i < SWEEP_EXCEPT_MAX; i++) {
        if (!sweep->except[i] || i == SWEEP_EXCEPT_MAX - 1) {
            sweep->except[i] = pid;
            return;
        }
    }
}

void sweep_except_session(Sweep *sweep, pid_t session)
{
    sweep->except_session = session;
}

/* A number may be another process's by the time it is used: so the process is
 * pinned first and looked at then. Without @test it is known. */
static bool pin(Sweep *sweep, pid_t pid, SweepTest test, const void *data)
{
    int pidfd;

    if (is_known(sweep, pid))
        return true;
    if (sweep->n == MAX_PINNED)
        return false;
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return errno == ESRCH;
    if (test && (!test(sweep, pid, data) || is_dead(pidfd))) {
        close(pidfd);
        return true;
    }
    if (add(sweep, pid, pidfd))
        return true;
    close(pidfd);
    return false;
}

bool sweep_take(Sweep *sweep, pid_t pid, int pidfd)
{
    return sweep->n < MAX_PINNED && add(sweep, pid, pidfd);
}

bool sweep_add(Sweep *sweep, pid_t pid)
{
    return pin(sweep, pid, NULL, NULL);
}

bool sweep_add_if(Sweep *sweep, pid_t pid, SweepTest test, const void *data)
{
    return pin(sweep, pid, test, data);
}

/* The parent must still be there when all has been looked at. */
static bool is_child(const Sweep *sweep, pid_t pid, const void *data)
{
    const SweepOne *parent = data;
    pid_t session, of = parent_of(pid, &session);

    return of == parent->pid && !is_dead(parent->pidfd) &&
           (!session || session != sweep->except_session);
}

/* The list can be longer than any buffer: read it in pieces. */
static bool pin_listed(Sweep *sweep, int list, SweepTest test, const void *data)
{
    char text[4096];
    bool whole = true;
    pid_t pid = 0;
    ssize_t n;

    while ((n = read(list, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid) {
                whole &= pin(sweep, pid, test, data);
                pid = 0;
            }
        }
    }
    return whole && n == 0;
}

/* Of all its threads: each has children of its own. */
static bool pin_children(Sweep *sweep, const SweepOne *parent)
{
    char path[300];
    struct dirent *entry;
    bool whole = true;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/task", parent->pid);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT;
    while ((entry = readdir(dir))) {
        int list;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", parent->pid,
                 entry->d_name);
        list = open(path, O_RDONLY | O_CLOEXEC);
        if (list < 0) {
            whole &= errno == ENOENT || errno == ESRCH;
            continue;
        }
        whole &= pin_listed(sweep, list, is_child, parent);
        close(list);
    }
    closedir(dir);
    return whole;
}

/* Whoever is in their group came there by them. */
static bool pin_members(Sweep *sweep)
{
    return lseek(sweep->cgroup_procs, 0, SEEK_SET) == 0 &&
           pin_listed(sweep, sweep->cgroup_procs, NULL, NULL);
}

bool sweep_find(Sweep *sweep)
{
    bool whole = sweep->cgroup_procs < 0 || pin_members(sweep);

    for (size_t i = 0; i < sweep->n; i++) /* which grows */
        whole &= pin_children(sweep, &sweep->all[i]);
    return whole;
}

bool sweep_kill(Sweep *sweep)
{
    bool whole = sweep_find(sweep);

    for (size_t i = 0; i < sweep->n; i++)
        pidfd_send_signal(sweep->all[i].pidfd, SIGKILL, NULL, 0);
    if (sweep->cgroup_kill >= 0)
        whole |= write(sweep->cgroup_kill, "1", 1) == 1;
    return whole;
}

size_t sweep_alive(Sweep *sweep)
{
    size_t alive = 0;

    for (size_t i = 0; i < sweep->n; i++) {
        if (is_dead(sweep->all[i].pidfd))
            close(sweep->all[i].pidfd);
        else
            sweep->all[alive++] = sweep->all[i];
    }
    return sweep->n = alive;
}
