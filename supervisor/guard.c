/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see guard.h; the language is in guard_wire.h. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "beside.h"
#include "guard_wire.h"
#include "watch.h"

/* How long a guard may take to say that it runs, and to close what it has. */
#define START_MS 10000
#define END_MS   1000

/* How often it is tried to tell all again, and from when on that is said. */
#define AGAIN_MS  100
#define AGAIN_SAY 20

G_STATIC_ASSERT(DRIVER_KEPT_MAX <= GUARD_FDS_MAX);

struct Guard {
    const GuardEvents *events;
    gpointer opaque;
    int socket; /* -1: there is none any more */
    guint source;
    pid_t pid, session;
    gboolean told;
    gboolean telling; /* everything */
    gboolean refused; /* said that it could not keep something */
    guint again;      /* source id */
    guint tries;
};

static void tell_all(Guard *guard);

static void warn(Guard *guard, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void warn(Guard *guard, const char *format, ...)
{
    g_autofree char *sentence = NULL;
    va_list args;

    va_start(args, format);
    sentence = g_strdup_vprintf(format, args);
    va_end(args);
    guard->events->warning(guard->opaque, sentence);
}

/* --- telling -------------------------------------------------------------- */

static gboolean again(gpointer data)
{
    Guard *guard = data;

    if (++guard->tries == AGAIN_SAY)
        warn(guard,
             "the guard (process %d) takes nothing that it is told: no lease "
             "is guarded until it does",
             guard->pid);
    tell_all(guard);
    if (!guard->told)
        return G_SOURCE_CONTINUE;
    if (guard->tries >= AGAIN_SAY)
        warn(guard, "the guard (process %d) has been told everything again",
             guard->pid);
    guard->again = 0;
    guard->tries = 0;
    return G_SOURCE_REMOVE;
}

static void send_packet(Guard *guard, GuardPacket *packet, const int *fds,
                        guint n)
{
    if (guard->socket < 0 || !(guard->told || guard->telling))
        return; /* it will be told with all the rest */
    packet->version = GUARD_VERSION;
    if (guard_wire_send(guard->socket, packet, fds, n))
        return;
    guard->told = guard->telling = FALSE;
    if (errno != EPIPE && errno != ECONNRESET && !guard->again)
        guard->again = g_timeout_add(AGAIN_MS, again, guard);
}

static void send_word(Guard *guard, guint32 what)
{
    GuardPacket packet = {.what = what};

    send_packet(guard, &packet, NULL, 0);
}

static void tell_all(Guard *guard)
{
    guard->telling = TRUE;
    send_word(guard, GUARD_RESET);
    guard->events->tell(guard->opaque);
    send_word(guard, GUARD_ALL);
    guard->told = guard->telling;
    guard->telling = FALSE;
}

void guard_child(Guard *guard, pid_t pid, int pidfd, int cgroup_kill,
                 int cgroup_procs, gboolean ours)
{
    GuardPacket packet = {
        .what = GUARD_CHILD, .pid = pid, .flags = ours ? GUARD_OURS : 0};
    const int fds[] = {pidfd, cgroup_kill, cgroup_procs};

    if (guard && pidfd >= 0)
        send_packet(guard, &packet, fds,
                    cgroup_kill >= 0 && cgroup_procs >= 0 ? 3 : 1);
}

void guard_other(Guard *guard, pid_t pid, int pidfd)
{
    GuardPacket packet = {.what = GUARD_OTHER, .pid = pid};

    if (guard)
        send_packet(guard, &packet, &pidfd, 1);
}

void guard_live(Guard *guard, const DriverKept *live)
{
    GuardPacket packet = {.what = GUARD_LIVE};

    memcpy(packet.bytes, live->bytes, live->n * sizeof *live->bytes);
    if (guard)
        send_packet(guard, &packet, live->fds, live->n);
}

void guard_lease(Guard *guard, guint id, const DriverKept *lease)
{
    GuardPacket packet = {.what = GUARD_LEASE,
                          .id = id,
                          .limit = lease->limit_s,
                          .flags = (lease->drained ? GUARD_DRAINED : 0) |
                                   (lease->alone ? GUARD_ALONE : 0) |
                                   (lease->remote ? GUARD_REMOTE : 0) |
                                   (lease->vm ? GUARD_VM : 0)};

    memcpy(packet.bytes, lease->bytes, lease->n * sizeof *lease->bytes);
    if (guard)
        send_packet(guard, &packet, lease->fds, lease->n);
}

void guard_forget(Guard *guard, guint id)
{
    GuardPacket packet = {.what = GUARD_FORGET, .id = id};

    if (guard)
        send_packet(guard, &packet, NULL, 0);
}

/* --- being told ----------------------------------------------------------- */

static void is_gone(Guard *guard)
{
    if (guard->source)
        g_source_remove(guard->source);
    if (guard->again)
        g_source_remove(guard->again);
    guard->source = guard->again = 0;
    close(guard->socket);
    guard->socket = -1;
    guard->told = FALSE;
    warn(guard,
         "the guard (process %d) and its spare are gone: no lease is guarded "
         "any more",
         guard->pid);
    guard->pid = 0;
}

static void on_refused(Guard *guard, int err)
{
    if (!guard->refused)
        warn(guard,
             "the guard (process %d) cannot keep every lease: %s; none is "
             "called guarded any more",
             guard->pid, g_strerror(err));
    guard->refused = TRUE;
}

/* FALSE where there is nothing more to be read now. */
static gboolean read_packet(Guard *guard)
{
    GuardPacket packet = {0};
    int fds[GUARD_FDS_MAX];
    unsigned n;

    switch (guard_wire_receive(guard->socket, &packet, fds, &n, MSG_DONTWAIT)) {
    case GUARD_WIRE_PACKET:
        break;
    case GUARD_WIRE_END:
        is_gone(guard);
        return FALSE;
    default:
        return FALSE;
    }
    while (n > 0)
        close(fds[--n]); /* it has nothing to give */
    if (packet.what == GUARD_REFUSED)
        on_refused(guard, packet.pid);
    if (packet.what != GUARD_HELLO)
        return TRUE;
    guard->pid = packet.pid;
    guard->refused = FALSE;
    tell_all(guard);
    return TRUE;
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    Guard *guard = data;

    while (read_packet(guard))
        ;
    return G_SOURCE_CONTINUE;
}

/* --- start and end -------------------------------------------------------- */

/* Of the guard's process. Says why it could not be one. */
static void G_GNUC_NORETURN run_guard(const char *path, const char *name,
                                      int socket)
{
    char *argv[] = {(char *)GUARD_PROGRAM, (char *)name, NULL};
    GuardPacket packet = {.version = GUARD_VERSION, .what = GUARD_REFUSED};

    setsid();
    if (socket == GUARD_FD)
        fcntl(socket, F_SETFD, 0);
    else
        dup2(socket, GUARD_FD);
    execv(path, argv);
    packet.pid = errno;
    guard_wire_send(GUARD_FD, &packet, NULL, 0);
    _exit(127);
}

static gboolean fork_twice(const char *path, const char *name, int socket)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            run_guard(path, name, socket);
        _exit(pid < 0);
    }
    /* (Where SIGCHLD is ignored nobody is left to be waited for.) */
    return pid > 0 && (waitpid(pid, &status, 0) < 0 || status == 0);
}

static gboolean await_hello(Guard *guard, const char *path, GError **error)
{
    struct pollfd ready = {.fd = guard->socket, .events = POLLIN};
    GuardPacket packet = {0};
    int fds[GUARD_FDS_MAX];
    unsigned n;

    if (poll(&ready, 1, START_MS) == 1 &&
        guard_wire_receive(guard->socket, &packet, fds, &n, MSG_DONTWAIT) ==
            GUARD_WIRE_PACKET &&
        packet.what == GUARD_HELLO) {
        guard->pid = guard->session = packet.pid;
        return TRUE;
    }
    errno = packet.what == GUARD_REFUSED ? packet.pid
            : ready.revents              ? EIO
                                         : ETIMEDOUT;
    return set_errno(error, "cannot start the guard '%s'", path);
}

Guard *guard_new(const char *name, const GuardEvents *events, gpointer opaque,
                 GError **error)
{
    g_autofree char *path =
        beside_find(GUARD_PROGRAM, "../libexec", NULL, error);
    Guard *guard;
    int pair[2];

    if (!path)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        set_errno(error, "cannot make '%s'", "socket of the guard");
        return NULL;
    }
    guard = g_new0(Guard, 1);
    *guard = (Guard){.events = events, .opaque = opaque, .socket = pair[0]};
    if (!fork_twice(path, name, pair[1])) {
        close(pair[1]);
        set_errno(error, "cannot fork '%s'", GUARD_PROGRAM);
    } else {
        close(pair[1]);
        if (await_hello(guard, path, error)) {
            guard->source =
                watch_fd(guard->socket, G_IO_IN | G_IO_HUP, on_readable, guard);
            guard->told = TRUE;
            return guard;
        }
    }
    close(guard->socket);
    g_free(guard);
    return NULL;
}

/* Whoever starts next, or unmounts, shall find nothing of ours open. */
static void say_goodbye(Guard *guard)
{
    struct pollfd gone = {.fd = guard->socket, .events = POLLIN};
    gint64 until = g_get_monotonic_time() + END_MS * 1000;
    GuardPacket packet = {.version = GUARD_VERSION, .what = GUARD_END};
    int fds[GUARD_FDS_MAX];
    unsigned n;

    if (!guard_wire_send(guard->socket, &packet, NULL, 0))
        return;
    while (g_get_monotonic_time() < until &&
           poll(&gone, 1, (int)((until - g_get_monotonic_time()) / 1000)) > 0 &&
           guard_wire_receive(guard->socket, &packet, fds, &n, MSG_DONTWAIT) !=
               GUARD_WIRE_END)
        ;
}

void guard_free(Guard *guard)
{
    if (!guard)
        return;
    if (guard->source)
        g_source_remove(guard->source);
    if (guard->again)
        g_source_remove(guard->again);
    if (guard->socket >= 0) {
        say_goodbye(guard);
        close(guard->socket);
    }
    g_free(guard);
}

gboolean guard_is_told(const Guard *guard)
{
    return guard && guard->told && !guard->refused;
}

pid_t guard_pid(const Guard *guard)
{
    return guard ? guard->pid : 0;
}

pid_t guard_session(const Guard *guard)
{
    return guard ? guard->session : 0;
}
