/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: virt-lock-guard, a second pair of eyes
 *
 * `virt-lock-guard NAME` is started by a supervisor and by nobody else, with
 * a socket to it as descriptor 3. It holds a copy of every lease of the
 * supervisor's, so that no lease ends with the supervisor alone. When that is
 * gone without a goodbye: the child and all that is of the VM is killed,
 * waited for, its writes are drained, and only then the leases are let go.
 *
 * It does not trust itself to live either: a forked spare of it is told all
 * that it is told. When the guard dies the spare is the guard, forks another,
 * and asks the supervisor to tell everything again, since a packet may have
 * died with its predecessor. All of them are of one session, by which they
 * are known (sweep.h, cgroup.h).
 *
 * Should:  keep the leases whenever in doubt; never give up.
 * Mustn't: wait for the supervisor, the spare or who reads its log; let go
 *          while anything of the VM lives.
 */
#include "virt-lock-guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* When a spare cannot be forked, that is tried again so much later. */
#define FORK_AGAIN_MS 1000

/* --- the spare ------------------------------------------------------------ */

/* It may be stopped, and must not wake up as a second guard. */
static void drop_spare(Guard *guard)
{
    siginfo_t info;

    kill(guard->spare_pid, SIGKILL); /* our child, and not reaped yet */
    waitid(P_PID, guard->spare_pid, &info, WEXITED);
    close(guard->spare);
    guard->spare = -1;
}

void guard_forward(Guard *guard, const GuardPacket *packet, const int *fds,
                   unsigned n)
{
    if (guard->spare >= 0 && !guard_wire_send(guard->spare, packet, fds, n))
        drop_spare(guard); /* the next one knows it from its birth */
}

/* Of the spare: returns when the guard is dead. */
static void stand_by(Guard *guard, int socket)
{
    GuardPacket packet = {0};
    int fds[GUARD_FDS_MAX];
    unsigned n;

    for (;;) {
        switch (guard_wire_receive(socket, &packet, fds, &n, 0)) {
        case GUARD_WIRE_PACKET:
            if (packet.what == GUARD_END)
                _exit(EXIT_SUCCESS);
            told_take(guard, &packet, fds, n);
            break;
        case GUARD_WIRE_END:
            close(socket);
            return;
        default: /* what is missing will be told again when it is our turn */
            break;
        }
    }
}

/* TRUE in the spare, when it is the guard. */
static bool fork_spare(Guard *guard)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    guard->spare_pid = fork();
    if (guard->spare_pid == 0) {
        close(pair[0]);
        self_confine_spare();
        stand_by(guard, pair[1]);
        return true;
    }
    close(pair[1]);
    if (guard->spare_pid < 0)
        close(pair[0]);
    else
        guard->spare = pair[0];
    return false;
}

bool guard_wait(Guard *guard, int fd, int ms)
{
    struct pollfd fds[2];

    if (guard->spare < 0 && fork_spare(guard))
        return false;
    if (guard->spare < 0 && (ms < 0 || ms > FORK_AGAIN_MS))
        ms = FORK_AGAIN_MS;
    fds[0] = (struct pollfd){.fd = fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = guard->spare, .events = POLLIN};
    poll(fds, 2, ms);
    if (fds[1].revents) /* it never says anything */
        drop_spare(guard);
    return true;
}

/* --- the supervisor ------------------------------------------------------- */

static void tell(uint32_t what, int32_t number)
{
    GuardPacket packet = {
        .version = GUARD_VERSION, .what = what, .pid = number};

    guard_wire_send(GUARD_FD, &packet, NULL, 0);
}

static void say_goodbye(Guard *guard)
{
    GuardPacket packet = {.version = GUARD_VERSION, .what = GUARD_END};

    guard_forward(guard, &packet, NULL, 0);
    _exit(EXIT_SUCCESS);
}

/* What a supervisor says while it lives. */
static void listen_to(Guard *guard)
{
    GuardPacket packet = {0};
    int fds[GUARD_FDS_MAX], err;
    unsigned n;

    switch (guard_wire_receive(GUARD_FD, &packet, fds, &n, MSG_DONTWAIT)) {
    case GUARD_WIRE_PACKET:
        if (packet.what == GUARD_END)
            say_goodbye(guard);
        guard_forward(guard, &packet, fds, n);
        err = told_take(guard, &packet, fds, n);
        if (err)
            tell(GUARD_REFUSED, err);
        break;
    case GUARD_WIRE_NO_ROOM:
        tell(GUARD_REFUSED, EMFILE);
        break;
    case GUARD_WIRE_END:
        end_of_supervisor(guard);
        tell(GUARD_HELLO, getpid()); /* a spare: it begins anew */
        break;
    case GUARD_WIRE_NOTHING:
        break;
    }
}

int main(int argc, char **argv)
{
    Guard guard = {.name = argc > 1 ? argv[1] : "?", .spare = -1};
    int type = 0;
    socklen_t len = sizeof type;

    if (argc != 2 ||
        getsockopt(GUARD_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
        type != SOCK_SEQPACKET) {
        fputs("virt-lock-guard: cannot guard anything: only a supervisor "
              "starts it\n",
              stderr);
        return EXIT_FAILURE;
    }
    self_confine(&guard);
    tell(GUARD_HELLO, getpid());
    for (;;) {
        if (guard_wait(&guard, GUARD_FD, -1))
            listen_to(&guard);
        else
            tell(GUARD_HELLO, getpid());
    }
}
