/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the guard itself: what it gives up, what it says
 *
 * Root keeps CAP_KILL, to kill a child of another uid, and CAP_SYS_PTRACE, to
 * see who has the VM's liveness (virt-lock-guard-end.c): nobody but the
 * supervisor can ask it for anything, and that only by packets of fixed size.
 *
 * Should:  be best effort: a guard without a right is better than none.
 */
#include "virt-lock-guard.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int64_t self_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* For the same pipe or terminal as standard error, with flags of our own. */
static int open_log(void)
{
    struct stat st;
    int fd = -1;

    if (fstat(STDERR_FILENO, &st) == 0 &&
        (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        fd = open("/proc/self/fd/2",
                  O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? STDERR_FILENO : fd;
}

static void close_others(void)
{
    int null;

    close_range(GUARD_FD + 1, ~0U, 0);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
    (void)!chdir("/");
}

static void block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_DFL); /* whoever starts us may have ignored it */
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void lower_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)!write(fd, "-1000", 5);
    close(fd);
}

/* (libcap-ng, linked statically, wants to look up users.) */
static void drop_capabilities(void)
{
    const uint32_t kept = 1u << CAP_KILL | 1u << CAP_SYS_PTRACE;
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) < 0)
        return;
    data[0].permitted &= kept;
    data[0].effective = data[0].permitted;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    syscall(SYS_capset, &header, data);
}

static void fill_reserve(Guard *guard)
{
    for (size_t i = 0; i < GUARD_RESERVE; i++)
        guard->reserve[i] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
}

void self_use_reserve(Guard *guard)
{
    for (size_t i = 0; i < GUARD_RESERVE; i++) {
        if (guard->reserve[i] >= 0)
            close(guard->reserve[i]);
        guard->reserve[i] = -1;
    }
}

void self_confine_spare(void)
{
    mlockall(MCL_CURRENT | MCL_ONFAULT);
}

void self_confine(Guard *guard)
{
    block_signals();
    close_others();
    guard->log = open_log();
    raise_descriptor_limit();
    fill_reserve(guard);
    lower_oom_score();
    drop_capabilities();
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    self_confine_spare();
}

/* A reader that takes no more loses the line. */
void self_put(const Guard *guard, char *sentence)
{
    struct pollfd ready = {.fd = guard->log, .events = POLLOUT};
    char line[SELF_SENTENCE_MAX + 300];

    for (char *c = sentence; *c; c++) { /* names may hold anything */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    snprintf(line, sizeof line, GUARD_PROGRAM "[%.255s]: %s\n", guard->name,
             sentence);
    if (poll(&ready, 1, 0) == 1 &&
        send(guard->log, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        (void)!write(guard->log, line, strlen(line));
}
