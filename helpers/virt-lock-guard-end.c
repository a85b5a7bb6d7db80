/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the supervisor is gone
 *
 *  1. Which disks does a QEMU have locked?
 *  2. Kill: the child, its descendants and who was told of as one, its control
 *     group, again whenever one has died and every second; and who has the
 *     VM's liveness, however deep or orphaned, where we are allowed to see
 *     that. (Not of an attached process: that may have it from somebody who
 *     has it, too.)
 *  3. Wait until all of them are dead and nobody has the VM's liveness: that
 *     is what tells of those whom we cannot see.
 *  4. Drain every disk as the supervisor would have (drain.h), and let go of
 *     each as soon as it is quiet; of the VM's own lease last.
 *
 * Who waits for a lease is told meanwhile that its holder is exiting.
 */
#include "virt-lock-guard.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../supervisor/drain.h"

#define SECOND     1000000
#define LOOK_MS    10   /* what nothing tells of is looked at so often */
#define KILL_MS    1000 /* who lives on is killed again so often */
#define SAY_FIRST  SECOND
#define SAY_AGAIN  (5 * SECOND)
#define FDINFO_MAX 8192

/* When what is waited for is to be spoken of. */
typedef struct {
    int64_t since, next;
} Pace;

static Pace pace_begin(void)
{
    int64_t now = self_now();

    return (Pace){now, now + SAY_FIRST};
}

static bool pace_is_due(Pace *pace)
{
    int64_t now = self_now();

    if (now < pace->next)
        return false;
    pace->next = now + SAY_AGAIN;
    return true;
}

/* --- who has the VM's liveness -------------------------------------------- */

/* A line of fdinfo(5), "lock: 1: OFDLCK ADVISORY READ -1 fe:01:131 5 5", tells
 * of one of its bytes. */
static bool is_liveness(const char *line, const Told *live,
                        const struct stat *st)
{
    unsigned long long inode, first, last;

    if (sscanf(line, "lock: %*d: OFDLCK %*s %*s %*d %*x:%*x:%llu %llu %llu",
               &inode, &first, &last) != 3)
        return false;
    for (unsigned i = 0; i < live->n_fds; i++) {
        if (inode == st[i].st_ino && first <= live->said.bytes[i] &&
            live->said.bytes[i] <= last)
            return true;
    }
    return false;
}

static bool has_liveness(int dir, const char *name, const Told *live,
                         const struct stat *st)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char text[FDINFO_MAX], *rest = text, *line;
    bool found = false;
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    while (!found && (line = strsep(&rest, "\n")))
        found = is_liveness(line, live, st);
    return found;
}

/* FALSE also where we may not look. */
static bool holds_liveness(const Sweep *sweep, pid_t pid, const void *data)
{
    const Told *live = data;
    struct stat st[GUARD_FDS_MAX] = {0};
    struct dirent *entry;
    bool found = false;
    char path[64];
    DIR *dir;

    for (unsigned i = 0; i < live->n_fds; i++)
        fstat(live->fds[i], &st[i]);
    snprintf(path, sizeof path, "/proc/%d/fdinfo", pid);
    dir = opendir(path);
    if (!dir)
        return false;
    while (!found && (entry = readdir(dir))) {
        if (isdigit((unsigned char)*entry->d_name))
            found = has_liveness(dirfd(dir), entry->d_name, live, st);
    }
    closedir(dir);
    return found;
}

static void find_holders(Sweep *sweep, const Told *live)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 0)
            sweep_add_if(sweep, pid, holds_liveness, live);
    }
    closedir(dir);
}

/* --- kill and wait -------------------------------------------------------- */

static void say_alive(const Guard *guard, const Sweep *sweep)
{
    if (sweep->n > 0)
        self_say(guard,
                 "cannot kill the child: process %d lives on; its leases are "
                 "kept",
                 sweep->all[0].pid);
    else
        self_say(guard, "a process of the VM lives on that cannot be seen from "
                        "here (it has the VM's liveness); the leases are kept");
}

static bool init_sweep(const Told *child, Sweep *sweep)
{
    int pidfd;

    if (child->n_fds == 0)
        return sweep_init_empty(sweep);
    pidfd = fcntl(child->fds[0], F_DUPFD_CLOEXEC, 3);
    return pidfd >= 0 && sweep_init(sweep, child->said.pid, pidfd);
}

/* Of a spare that begins anew: whom its predecessor knew of it knows, too. */
static void leave_sweep(Guard *guard, Sweep *sweep)
{
    told_take_back(guard, sweep);
    sweep_clear(sweep);
}

static bool begin_sweep(Guard *guard, Sweep *sweep)
{
    const Told *child = &guard->child;

    while (!init_sweep(child, sweep)) {
        self_say(guard, "cannot kill the child: %s", strerror(errno));
        if (!guard_wait(guard, -1, KILL_MS))
            return false;
    }
    if (child->n_fds > 2) {
        sweep->cgroup_kill = fcntl(child->fds[1], F_DUPFD_CLOEXEC, 3);
        sweep->cgroup_procs = fcntl(child->fds[2], F_DUPFD_CLOEXEC, 3);
    }
    sweep_except(sweep, getpid());
    sweep_except_session(sweep, getsid(0));
    while (!told_give_others(guard, sweep)) {
        self_say(guard, "cannot kill the child: %s", strerror(errno));
        if (!guard_wait(guard, -1, KILL_MS)) {
            leave_sweep(guard, sweep);
            return false;
        }
    }
    return true;
}

/* FALSE: see guard_wait(). */
static bool kill_all(Guard *guard)
{
    Pace pace = pace_begin();
    const bool ours = guard->child.said.flags & GUARD_OURS;
    int64_t look = 0;
    bool go_on = true;
    Sweep sweep;

    if (!begin_sweep(guard, &sweep))
        return false;
    while (go_on) {
        size_t alive;
        bool lives;

        sweep_kill(&sweep);
        alive = sweep_alive(&sweep);
        lives = told_lives(guard);
        if (!alive && !lives)
            break;
        if (lives && ours && self_now() >= (alive ? pace.since + SECOND : 0) &&
            self_now() >= look) {
            find_holders(&sweep, &guard->live);
            look = self_now() + SECOND;
            sweep_kill(&sweep);
        }
        if (pace_is_due(&pace))
            say_alive(guard, &sweep);
        go_on = guard_wait(guard, sweep.deaths, sweep.n ? KILL_MS : LOOK_MS);
    }
    if (go_on)
        sweep_clear(&sweep);
    else
        leave_sweep(guard, &sweep);
    return go_on;
}

/* --- drain and let go ----------------------------------------------------- */

static void look_at_qemu(Guard *guard)
{
    for (size_t i = 0; i < guard->n_leases; i++) {
        Told *lease = &guard->leases[i];

        if ((lease->said.flags & (GUARD_DRAINED | GUARD_REMOTE)) ==
            GUARD_DRAINED)
            lease->qemu_seen |=
                drain_held(lease->fds[0], DRAIN_QEMU_FIRST, DRAIN_QEMU_LAST);
    }
}

/* The name of the image by now. */
static const char *name_of(const Told *lease, char *path, size_t size)
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", lease->fds[0]);
    n = readlink(link, path, size - 1);
    path[n > 0 ? n : 0] = 0;
    return path;
}

static void say_enough(const Guard *guard, const Told *lease, DrainWhy why)
{
    char path[512];

    self_say(guard,
             "'%s' is released although %s: whether it is written to cannot be "
             "seen",
             name_of(lease, path, sizeof path), drain_clause(why));
}

static void say_waiting(const Guard *guard, const Told *lease, DrainWhy why)
{
    char path[512];

    self_say(guard, "cannot release '%s' yet: %s",
             name_of(lease, path, sizeof path), drain_clause(why));
}

/* Sets @why to what it waits for. Who else has the lease waits after us. */
static bool is_drained(const Guard *guard, const Told *lease, int64_t since,
                       DrainWhy *why)
{
    DrainAsk ask = {
        .fd = lease->fds[0],
        .alone = lease->said.flags & GUARD_ALONE,
        .qemu_seen = lease->qemu_seen,
        .waited = self_now() - since,
        .limit = (int64_t)lease->said.limit * SECOND,
    };
    DrainAnswer answer;

    *why = DRAIN_QUIET;
    if (!(lease->said.flags & GUARD_DRAINED) || lease->n_fds == 0 ||
        told_another_holds(lease))
        return true;
    answer = drain_look(&ask);
    if (answer.enough)
        say_enough(guard, lease, answer.why);
    *why = answer.why;
    return answer.why == DRAIN_QUIET || answer.enough;
}

static void let_go(Guard *guard, Told *lease)
{
    GuardPacket packet = {
        .version = GUARD_VERSION, .what = GUARD_FORGET, .id = lease->said.id};
    const int none = -1;

    told_let_go(lease);
    guard_forward(guard, &packet, NULL, 0);
    told_take(guard, &packet, &none, 0); /* another takes its place */
}

/* FALSE: see guard_wait(). */
static bool drain_all(Guard *guard)
{
    Pace pace = pace_begin();

    for (;;) {
        bool due = pace_is_due(&pace), waiting = false;

        for (size_t i = guard->n_leases; i-- > 0;) {
            Told *lease = &guard->leases[i];
            DrainWhy why;

            if (lease->said.flags & GUARD_VM)
                continue;
            if (is_drained(guard, lease, pace.since, &why)) {
                let_go(guard, lease);
                continue;
            }
            waiting = true;
            if (due)
                say_waiting(guard, lease, why);
        }
        if (!waiting)
            return true;
        if (!guard_wait(guard, -1, LOOK_MS))
            return false;
    }
}

void end_of_supervisor(Guard *guard)
{
    GuardPacket packet = {.version = GUARD_VERSION, .what = GUARD_END};

    self_use_reserve(guard);
    look_at_qemu(guard);
    if (guard->n_leases > 0)
        self_say(guard, "the supervisor is gone: its child is killed, and its "
                        "leases are kept until nothing can write");
    if (!kill_all(guard) || !drain_all(guard))
        return;
    while (guard->n_leases > 0)
        let_go(guard, &guard->leases[0]);
    guard_forward(guard, &packet, NULL, 0);
    _exit(EXIT_SUCCESS);
}
