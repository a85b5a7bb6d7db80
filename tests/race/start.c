/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libsupervise/qmp.h"

enum {
    ANSWER_MS = 10000,
    RETRY_MS = 2, /* between two looks for the control socket */
    REFUSED = 123,
};

/* --- starting --------------------------------------------------------------
 */

static const char *suffix(Mode mode)
{
    return mode == MODE_EXCLUSIVE ? ""
           : mode == MODE_SHARED  ? ",shared"
                                  : ",readonly";
}

static char **command_line(Slot *slot, const Run *run, int orders)
{
    const World *world = slot->world;
    GPtrArray *argv = g_ptr_array_new();

#define ADD(...) g_ptr_array_add(argv, g_strdup_printf(__VA_ARGS__))
    ADD("%s", world->supervisor);
    ADD("--name=vm%d", slot->number);
    g_autofree char *uuid = uuid_text(run->uuid);
    ADD("--uuid=%s", uuid);
    ADD("--run-dir=%s", world->run_dir);
    ADD("--state-dir=%s", world->state_dir);
    ADD("--stop-timeout=0.03");
    if (run->wait)
        ADD("--wait=0.2");
    for (char **option = world->options; *option; option++)
        ADD("%s", *option);
    for (int i = 0; i < DISKS + LEASES; i++) {
        const Hold *hold = &run->holds[i];
        g_autofree char *path = disk_path(world, i, hold->second_name);

        if (hold->mode && i < DISKS)
            ADD("--disk=%s%s", path, suffix(hold->mode));
        else if (hold->mode)
            ADD("--lease=race:lease%d", i);
    }
    ADD("--");
    ADD("%s", world->stamper);
    ADD("%d", (int)(run->memory - world->memory->runs));
    ADD("%d", run->form);
    ADD("%d", run->qemu);
    ADD("%d", run->deaf);
    ADD("%d", orders);
#undef ADD
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}

/* In the new process: descriptors where the stamper looks for them. */
_Noreturn static void become(const World *world, const Run *run, char **argv,
                             int control, pid_t manager)
{
    int log = open(run->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != manager || log < 0 || null < 0 || dup2(null, 0) < 0 ||
        dup2(log, 1) < 0 || dup2(log, 2) < 0 || dup2(control, CONTROL_FD) < 0 ||
        dup2(world->life_fd, LIFE_FD) < 0 ||
        dup2(world->memory_fd, MEMORY_FD) < 0)
        _exit(125);
    execv(argv[0], argv);
    _exit(125);
}

/* Orders that the stamper will find when it starts. Returns how many. */
static int order_disks(Slot *slot, const Run *run)
{
    int n = 0;

    for (int i = 0; i < DISKS; i++) {
        const Hold *hold = &run->holds[i];
        Order order = {.what = ORDER_OPEN, .disk = i, .mode = hold->mode};
        g_autofree char *path = disk_path(slot->world, i, hold->second_name);

        if (!hold->mode)
            continue;
        g_strlcpy(order.path, path, sizeof(order.path));
        if (send(run->control, &order, sizeof(order), 0) < 0)
            fail(slot, run, "cannot give orders");
        n++;
    }
    return n;
}

void run_start(Slot *slot, Run *run)
{
    int pair[2], theirs;
    pid_t manager = getpid();

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
        (theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, ABOVE)) < 0)
        fail(slot, run, "cannot make a socket");
    close(pair[1]);
    run->control = pair[0];
    g_auto(GStrv) argv = command_line(slot, run, order_disks(slot, run));
    if ((run->pid = fork()) < 0)
        fail(slot, run, "cannot fork");
    if (run->pid == 0)
        become(slot->world, run, argv, theirs, manager);
    close(theirs);
    run->process = (int)syscall(SYS_pidfd_open, run->pid, 0);
    if (run->process < 0)
        fail(slot, run, "cannot watch the supervisor");
    count(slot, COUNT_STARTED);
}

/* --- waiting ---------------------------------------------------------------
 */

bool is_ready(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    return poll(&pollfd, 1, 0) > 0;
}

int ms_until(uint64_t moment)
{
    uint64_t now = now_ns();

    return now >= moment ? 0 : (int)((moment - now) / NS_PER_MS) + 1;
}

void await(Slot *slot, Run *run, int fd, const char *what)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    if (poll(&pollfd, 1, ms_until(run->deadline)) <= 0)
        fail(slot, run, "stuck: it was waited for %s", what);
}

void run_reap(Slot *slot, Run *run)
{
    await(slot, run, run->process, "the supervisor's end");
    if (waitpid(run->pid, &run->status, 0) != run->pid)
        fail(slot, run, "cannot wait for the supervisor");
    close(run->process);
    run->process = -1;
}

/* One reply; a pidfd that comes along is the stamper's: no number can be
 * mistaken for another process's. FALSE: no more will come. */
static bool receive(Run *run, Reply *reply)
{
    struct iovec iov = {reply, sizeof(*reply)};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    struct cmsghdr *cmsg;

    if (recvmsg(run->control, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) !=
        sizeof(*reply))
        return false;
    cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
        memcpy(&run->stamper, CMSG_DATA(cmsg), sizeof(int));
    return true;
}

/* Replies to the orders that it found when it started, and the last one. */
static bool says_hello(Slot *slot, Run *run, bool *hopeful)
{
    Reply reply = {0};

    *hopeful = receive(run, &reply);
    if (*hopeful && reply.error)
        fail(slot, run, "the stamper cannot open a disk: %s",
             g_strerror(reply.error));
    return *hopeful && reply.what == REPLY_HELLO;
}

/* Connects to the supervisor, if it is ours that answers. */
static void try_connect(Slot *slot, Run *run)
{
    g_autofree char *uuid = uuid_text(run->uuid);
    g_autofree char *path =
        g_strdup_printf("%s/%s.sock", slot->world->run_dir, uuid);
    g_autoptr(Client) client = client_connect(path, ANSWER_MS, NULL);
    g_autoptr(json_t) status = NULL;
    const char *state;

    if (client)
        status = client_call(client, "query-status", NULL, -1, NULL, NULL);
    if (json_integer_value(json_object_get(status, "pid")) != run->pid)
        return;
    run->client = g_steal_pointer(&client);
    state = json_string_value(json_object_get(status, "state"));
    if (g_strcmp0(state, "RUNNING") == 0)
        run->granted = now_ns();
}

/* The moment of the grant, where it is told. */
static void take_events(Slot *slot, Run *run)
{
    json_t *event;

    while ((event = client_event(run->client, 0, NULL))) {
        const char *name = json_string_value(json_object_get(event, "event"));
        const json_t *data = json_object_get(event, "data");
        const char *to = json_string_value(json_object_get(data, "to"));

        if (!g_strcmp0(name, "STATE_CHANGE") && !g_strcmp0(to, "RUNNING")) {
            run->granted = now_ns();
            count(slot, COUNT_WATCHED);
        }
        json_decref(event);
    }
}

/* The supervisor has ended before the command ran: only a busy lease is a
 * reason for that. */
static void check_refusal(Slot *slot, Run *run)
{
    g_autofree char *said = NULL;

    run_reap(slot, run);
    if (!WIFEXITED(run->status) || WEXITSTATUS(run->status) != REFUSED)
        fail(slot, run, "it did not start: wait status %#x",
             (unsigned)run->status);
    if (run->memory->born)
        fail(slot, run, "it was refused, but the command ran");
    if (!g_file_get_contents(run->log, &said, NULL, NULL))
        fail(slot, run, "cannot read '%s'", run->log);
    Counter reason = refusal(said);
    if (reason == COUNT_REFUSED_OTHER)
        fail(slot, run, "a refusal that does not say why");
    count(slot, reason);
}

bool run_await(Slot *slot, Run *run)
{
    bool hopeful = true; /* that it says hello */

    for (;;) {
        bool look = run->wait && !run->client;
        struct pollfd fds[] = {
            {run->process, POLLIN, 0},
            {hopeful ? run->control : -1, POLLIN, 0},
            {run->client ? client_fd(run->client) : -1, POLLIN, 0}};

        if (now_ns() > run->deadline)
            fail(slot, run, "stuck: it was waited for the start");
        if (poll(fds, 3, look ? RETRY_MS : ms_until(run->deadline)) == 0)
            try_connect(slot, run);
        if (fds[2].revents) {
            take_events(slot, run);
            if (is_ready(client_fd(run->client)))
                g_clear_pointer(&run->client, client_free);
        }
        if (fds[1].revents && says_hello(slot, run, &hopeful))
            break;
        if (fds[0].revents) {
            check_refusal(slot, run);
            return false;
        }
    }
    if (!run->client)
        try_connect(slot, run);
    if (!run->client)
        fail(slot, run, "the supervisor does not answer");
    count(slot, COUNT_RAN);
    return true;
}
