/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libsupervise/qmp.h"

enum {
    SPIN_UP_US = 2000,
    REFUSED = 123,
    REVOKED = 124,
    EXIT_STATUS = 7 /* of a command that is told to end */
};

static void send_signal(Slot *slot, const Run *run, int process, int signal)
{
    if (syscall(SYS_pidfd_send_signal, process, signal, NULL, 0) < 0 &&
        errno != ESRCH)
        fail(slot, run, "cannot send signal %d", signal);
}

/* Who can outlive what has just happened ends itself a little later. */
static void limit_survivors(Slot *slot, Run *run)
{
    if (run->form == FORM_FORK || run->form == FORM_DAEMON)
        run->memory->die_at = now_ns() + draw(slot, 30) * NS_PER_MS + 1;
}

/* No order is waited for after this. */
static void spin_up(Slot *slot, Run *run)
{
    const struct timespec gap = {0, 20 * NS_PER_US};
    uint64_t until = now_ns() + SPIN_UP_US * NS_PER_US;

    if (chance(slot, 4))
        return;
    run->memory->spin = 1;
    while (!run->memory->spinning && now_ns() < until)
        nanosleep(&gap, NULL);
}

static void check_status(Slot *slot, const Run *run, const int *expected)
{
    int status = WIFEXITED(run->status) ? WEXITSTATUS(run->status)
                                        : -WTERMSIG(run->status);

    for (; *expected != G_MAXINT; expected++) {
        if (status == *expected)
            return;
    }
    fail(slot, run, "it ended with %d", status);
}
#define EXPECT(slot, run, ...)                                                 \
    check_status(slot, run, (const int[]){__VA_ARGS__, G_MAXINT})

bool run_is_dead(const Run *run)
{
    struct pollfd pollfd = {.fd = run->control};

    return run->control >= 0 && poll(&pollfd, 1, 0) > 0 &&
           pollfd.revents & POLLHUP;
}

/* Reap, then release: by then nobody has the other end of our socket. */
static void check_dead(Slot *slot, const Run *run, const char *when)
{
    if (!run_is_dead(run))
        fail(slot, run, "a process of the VM lives on %s", when);
}

static void kill_supervisor(Slot *slot, Run *run)
{
    send_signal(slot, run, run->process, SIGKILL);
    limit_survivors(slot, run);
    run_reap(slot, run);
}

static void command(Slot *slot, Run *run, const char *name, json_t *arguments)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer =
        client_call(run->client, name, arguments, -1, NULL, &error);

    if (!answer)
        fail(slot, run, "%s: %s", name, error->message);
}

/* After revoke and its like: the connection tells when all is over. */
static void await_released(Slot *slot, Run *run)
{
    bool released = false;

    while (!released) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) event =
            client_event(run->client, ms_until(run->deadline), &error);

        if (!event)
            fail(slot, run, "it was waited for RELEASED: %s",
                 error ? error->message : "the connection is closed");
        released = !g_strcmp0(
            json_string_value(json_object_get(event, "event")), "RELEASED");
    }
    check_dead(slot, run, "after RELEASED");
}

static json_t *some_disk(Slot *slot, const Run *run)
{
    for (int i = 0; i < DISKS; i++) {
        const Hold *hold = &run->holds[i];
        g_autofree char *path = disk_path(slot->world, i, hold->second_name);

        if (hold->mode)
            return json_pack("{s:s}", "disk", path);
    }
    return NULL;
}

/* Ends that the supervisor is asked for. */
static void end_by_command(Slot *slot, Run *run)
{
    switch (run->end) {
    case END_REVOKE:
        command(slot, run, "revoke", NULL);
        break;
    case END_REVOKE_DISK:
        command(slot, run, "revoke", some_disk(slot, run));
        break;
    case END_SHUTDOWN:
        command(slot, run, "shutdown",
                chance(slot, 2) ? json_pack("{s:f}", "timeout", 0.01) : NULL);
        break;
    default:
        command(slot, run, "quit", NULL);
    }
    await_released(slot, run);
    run_reap(slot, run);
    if (run->end == END_REVOKE || run->end == END_REVOKE_DISK)
        EXPECT(slot, run, REVOKED);
    else
        EXPECT(slot, run, 128 + SIGTERM, 128 + SIGKILL);
}

/* Ends of the child that the supervisor has to find out. */
static void end_of_child(Slot *slot, Run *run)
{
    const Order order = {.what = ORDER_EXIT, .status = EXIT_STATUS};

    if (run->end == END_TERM) {
        send_signal(slot, run, run->process, SIGTERM);
    } else if (run->end == END_KILL_CHILD) {
        send_signal(slot, run, run->stamper, SIGKILL);
        limit_survivors(slot, run);
    } else {
        send(run->control, &order, sizeof(order), MSG_NOSIGNAL);
        limit_survivors(slot, run);
    }
    run_reap(slot, run);
    check_dead(slot, run, "after its supervisor's end");
    if (run->end == END_TERM)
        EXPECT(slot, run, 128 + SIGTERM, 128 + SIGKILL);
    else /* 0: of one that has ended itself */
        EXPECT(slot, run, run->end == END_EXIT ? EXIT_STATUS : 128 + SIGKILL,
               0);
}

void run_end(Slot *slot, Run *run)
{
    spin_up(slot, run);
    switch (run->end) {
    case END_KILL_SUPERVISOR:
        kill_supervisor(slot, run);
        EXPECT(slot, run, -SIGKILL);
        break;
    case END_KILL_BOTH:
        send_signal(slot, run, run->stamper, SIGKILL);
        kill_supervisor(slot, run);
        EXPECT(slot, run, -SIGKILL, 128 + SIGKILL);
        break;
    case END_REVOKE_AND_KILL:
        command(slot, run, "revoke", NULL);
        kill_supervisor(slot, run);
        EXPECT(slot, run, -SIGKILL, REVOKED);
        break;
    case END_TERM:
    case END_KILL_CHILD:
    case END_EXIT:
        end_of_child(slot, run);
        break;
    default:
        end_by_command(slot, run);
    }
    atomic_fetch_add(&slot->world->ends[run->end], 1);
}

void run_end_early(Slot *slot, Run *run)
{
    bool term = run->end == END_EARLY_TERM;
    uint64_t until =
        now_ns() + draw(slot, run->wait ? 60000 : 12000) * NS_PER_US;
    struct pollfd pollfd = {.fd = run->process, .events = POLLIN};
    struct timespec left = {0, (long)(until - now_ns())};

    if (ppoll(&pollfd, 1, &left, NULL) == 0) {
        send_signal(slot, run, run->process, term ? SIGTERM : SIGKILL);
        if (!term)
            limit_survivors(slot, run);
        atomic_fetch_add(&slot->world->ends[run->end], 1);
    }
    run_reap(slot, run);
    if (!term)
        EXPECT(slot, run, -SIGKILL, REFUSED);
    else /* -SIGTERM: before it could see to it; 2: a daemon's parent */
        EXPECT(slot, run, 128 + SIGTERM, 128 + SIGKILL, REFUSED, -SIGTERM, 2);
    if (term)
        check_dead(slot, run, "after its supervisor's end");
}

void run_settle(Slot *slot, Run *run)
{
    char reply[sizeof(Reply)];
    uint64_t last = 0;

    if (run->control < 0)
        return;
    run->deadline = MAX(run->deadline, now_ns() + slot->world->patience);
    do
        await(slot, run, run->control, "the death of every process");
    while (recv(run->control, reply, sizeof(reply), MSG_DONTWAIT) > 0);
    close(run->control);
    run->control = -1;
    if (run->stamper >= 0)
        close(run->stamper);
    run->stamper = -1;
    for (int i = 0; i < WRITERS; i++)
        last = MAX(last, run->memory->stamps[i]);
    for (int i = 0; i < RESOURCES; i++)
        remember(slot, run, i, run->end, last);
    for (int i = 0; i < (int)run->memory->conflicts; i++)
        count(slot, COUNT_CONFLICTS);
}
