/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: a process and what it has started, seen from outside. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../supervisor/sweep.h"
#include "tap.h"

/* How long a death may take, in milliseconds. */
#define PATIENCE 10000

/* A process with @children children, which do nothing; all are there when
 * this returns. With @session, it leads one. */
static pid_t make_family_in(int children, bool session)
{
    int ready[2];
    char byte;
    pid_t pid;

    g_assert_cmpint(pipe(ready), ==, 0);
    pid = fork();
    if (pid == 0) {
        if (session && setsid() < 0)
            _exit(1);
        for (int i = 0; i < children; i++) {
            if (fork() == 0)
                break;
        }
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    for (int i = 0; i <= children; i++)
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static pid_t make_family(int children)
{
    return make_family_in(children, false);
}

static void pin_family(Sweep *sweep, pid_t pid)
{
    g_assert_true(sweep_init(sweep, pid, pidfd_open(pid, 0)));
    g_assert_true(sweep_find(sweep));
}

/* All are dead in the end, and @sweep notices each. */
static void await_end(Sweep *sweep)
{
    while (sweep_alive(sweep) > 0) {
        struct pollfd death = {.fd = sweep->deaths, .events = POLLIN};

        g_assert_cmpint(poll(&death, 1, PATIENCE), ==, 1);
    }
    g_assert_cmpuint(sweep->n, ==, 0);
    sweep_clear(sweep);
}

static void reap(pid_t pid)
{
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void kills_all(void)
{
    pid_t pid = make_family(5);
    Sweep sweep;

    pin_family(&sweep, pid);
    g_assert_cmpuint(sweep.n, ==, 6);
    g_assert_cmpint(sweep.all[0].pid, ==, pid);
    g_assert_cmpuint(sweep_alive(&sweep), ==, 6);
    g_assert_true(sweep_kill(&sweep));
    await_end(&sweep);
    reap(pid);
}

/* Once pinned they are known, whoever their parent is by then. */
static void remembers_orphans(void)
{
    pid_t pid = make_family(3);
    Sweep sweep;

    pin_family(&sweep, pid);
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    reap(pid);
    while (sweep_alive(&sweep) > 3) {
        struct pollfd death = {.fd = sweep.deaths, .events = POLLIN};

        g_assert_cmpint(poll(&death, 1, PATIENCE), ==, 1);
    }
    g_assert_cmpuint(sweep.n, ==, 3);
    g_assert_true(sweep_kill(&sweep));
    await_end(&sweep);
}

static void leaves_others_alone(void)
{
    pid_t pid = make_family(1), other = make_family(0);
    Sweep sweep;

    pin_family(&sweep, pid);
    g_assert_cmpuint(sweep.n, ==, 2);
    g_assert_true(sweep_kill(&sweep));
    await_end(&sweep);
    g_assert_cmpint(waitpid(other, NULL, WNOHANG), ==, 0);
    kill(other, SIGKILL);
    reap(other);
    reap(pid);
}

/* What it has started may be us. */
static void makes_exceptions(void)
{
    pid_t pid = make_family(2), child;
    Sweep sweep;

    pin_family(&sweep, pid);
    child = sweep.all[1].pid;
    sweep_clear(&sweep);
    g_assert_true(sweep_init(&sweep, pid, pidfd_open(pid, 0)));
    sweep_except(&sweep, child);
    g_assert_true(sweep_find(&sweep));
    g_assert_cmpuint(sweep.n, ==, 2);
    for (size_t i = 0; i < sweep.n; i++)
        g_assert_cmpint(sweep.all[i].pid, !=, child);
    g_assert_true(sweep_add(&sweep, child)); /* nor so */
    g_assert_cmpuint(sweep.n, ==, 2);
    g_assert_true(sweep_kill(&sweep));
    await_end(&sweep);
    g_assert_cmpint(kill(child, SIGKILL), ==, 0);
    reap(pid);
}

/* A guard is known by its session, whoever takes its place. */
static void spares_a_session(void)
{
    pid_t pid = make_family_in(2, true), child;
    Sweep sweep;

    pin_family(&sweep, pid);
    child = sweep.all[1].pid;
    sweep_clear(&sweep);
    g_assert_true(sweep_init(&sweep, pid, pidfd_open(pid, 0)));
    sweep_except_session(&sweep, pid); /* that of all of them */
    g_assert_true(sweep_find(&sweep));
    g_assert_cmpuint(sweep.n, ==, 1);
    sweep_except_session(&sweep, child); /* no session of that number */
    g_assert_true(sweep_find(&sweep));
    g_assert_cmpuint(sweep.n, ==, 3);
    g_assert_true(sweep_kill(&sweep));
    await_end(&sweep);
    reap(pid);
}

static bool is_the_one(const Sweep *sweep, pid_t pid, const void *data)
{
    return pid == *(const pid_t *)data;
}

static void adds_whom_it_is_told(void)
{
    pid_t one = make_family(0), other = make_family(0);
    Sweep sweep;

    g_assert_true(sweep_init_empty(&sweep));
    g_assert_cmpuint(sweep_alive(&sweep), ==, 0);
    g_assert_true(sweep_add_if(&sweep, other, is_the_one, &one));
    g_assert_cmpuint(sweep.n, ==, 0);
    g_assert_true(sweep_add_if(&sweep, one, is_the_one, &one));
    g_assert_cmpuint(sweep.n, ==, 1);
    g_assert_true(sweep_kill(&sweep));
    await_end(&sweep);
    reap(one);
    kill(other, SIGKILL);
    reap(other);
}

static void adds_who_is_known(void)
{
    pid_t pid = make_family(0), other = make_family(0);
    Sweep sweep;

    pin_family(&sweep, pid);
    g_assert_true(sweep_add(&sweep, other));
    g_assert_true(sweep_add(&sweep, other));
    g_assert_cmpuint(sweep.n, ==, 2);
    g_assert_true(sweep_kill(&sweep));
    await_end(&sweep);
    reap(pid);
    reap(other);
    g_assert_true(sweep_init(&sweep, getpid(), pidfd_open(getpid(), 0)));
    g_assert_true(sweep_add(&sweep, pid)); /* dead: no failure */
    g_assert_cmpuint(sweep.n, ==, 1);
    sweep_clear(&sweep);
}

static void says_where_it_cannot(void)
{
    Sweep sweep;

    g_assert_false(sweep_init(&sweep, 1, -1));
    g_assert_cmpint(errno, ==, EBADF);
    sweep_clear(&sweep); /* does no harm */
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/sweep/kills-all", kills_all);
    g_test_add_func("/sweep/remembers-orphans", remembers_orphans);
    g_test_add_func("/sweep/leaves-others-alone", leaves_others_alone);
    g_test_add_func("/sweep/makes-exceptions", makes_exceptions);
    g_test_add_func("/sweep/spares-a-session", spares_a_session);
    g_test_add_func("/sweep/adds-whom-it-is-told", adds_whom_it_is_told);
    g_test_add_func("/sweep/adds-who-is-known", adds_who_is_known);
    g_test_add_func("/sweep/says-where-it-cannot", says_where_it_cannot);
    return g_test_run();
}
