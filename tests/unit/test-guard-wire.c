/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: packets between supervisor and guard, and what is made of bad ones. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../supervisor/guard_wire.h"
#include "tap.h"

typedef struct {
    int pair[2];
    GuardPacket packet;
    int fds[GUARD_FDS_MAX];
    unsigned n;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    *f = (Fixture){0};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, f->pair), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    close(f->pair[0]);
    close(f->pair[1]);
}

static GuardWire receive(Fixture *f)
{
    return guard_wire_receive(f->pair[1], &f->packet, f->fds, &f->n,
                              MSG_DONTWAIT);
}

static gboolean send_lease(Fixture *f, guint id, unsigned n)
{
    const GuardPacket packet = {.version = GUARD_VERSION,
                                .what = GUARD_LEASE,
                                .id = id,
                                .bytes = {1, G_MAXUINT64}};
    const int fds[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};

    return guard_wire_send(f->pair[0], &packet, fds, n);
}

static int highest_fd(void)
{
    int fd = dup(STDIN_FILENO);

    close(fd);
    return fd;
}

static void passes_descriptors(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(receive(f), ==, GUARD_WIRE_NOTHING);
    for (unsigned n = 0; n <= GUARD_FDS_MAX; n++) {
        g_assert_true(send_lease(f, 7, n));
        g_assert_cmpint(receive(f), ==, GUARD_WIRE_PACKET);
        g_assert_cmpuint(f->n, ==, n);
        g_assert_cmpuint(f->packet.id, ==, 7);
        g_assert_cmpuint(f->packet.bytes[1], ==, G_MAXUINT64);
        while (f->n > 0) {
            g_assert_cmpint(fcntl(f->fds[--f->n], F_GETFD), ==, FD_CLOEXEC);
            close(f->fds[f->n]);
        }
    }
}

/* Of another size, another version: dropped, and nothing of it is left open. */
static void drops_what_it_does_not_know(Fixture *f, gconstpointer data)
{
    const GuardPacket old = {.version = GUARD_VERSION + 1};
    const int fd = STDIN_FILENO;
    const int before = highest_fd();
    char longer[sizeof(GuardPacket) + 1] = {GUARD_VERSION};

    g_assert_cmpint(send(f->pair[0], longer, 4, 0), ==, 4);
    g_assert_cmpint(receive(f), ==, GUARD_WIRE_NOTHING);
    g_assert_cmpint(send(f->pair[0], longer, sizeof longer, 0), ==,
                    sizeof longer);
    g_assert_cmpint(receive(f), ==, GUARD_WIRE_NOTHING);
    g_assert_true(guard_wire_send(f->pair[0], &old, &fd, 1));
    g_assert_cmpint(receive(f), ==, GUARD_WIRE_NOTHING);
    g_assert_cmpint(highest_fd(), ==, before);
}

static void says_that_there_is_no_room(Fixture *f, gconstpointer data)
{
    struct rlimit limit, low;
    int before = highest_fd();

    g_assert_true(send_lease(f, 1, 3));
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    low = (struct rlimit){(rlim_t)before + 1, limit.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    g_assert_cmpint(receive(f), ==, GUARD_WIRE_NO_ROOM);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    g_assert_cmpint(highest_fd(), ==, before);
}

/* A supervisor that is killed has told what it has sent, even where it had
 * not read everything itself. */
static void what_was_sent_counts(Fixture *f, gconstpointer data)
{
    const GuardPacket hello = {.version = GUARD_VERSION, .what = GUARD_HELLO};
    guint got = 0;

    g_assert_true(guard_wire_send(f->pair[1], &hello, NULL, 0));
    g_assert_true(send_lease(f, 1, 1));
    g_assert_true(send_lease(f, 2, 1));
    close(f->pair[0]);
    for (;;) {
        GuardWire answer = receive(f);

        if (answer == GUARD_WIRE_END)
            break;
        if (answer == GUARD_WIRE_PACKET)
            g_assert_cmpuint(f->packet.id, ==, ++got);
        if (answer == GUARD_WIRE_PACKET)
            close(f->fds[0]);
    }
    g_assert_cmpuint(got, ==, 2);
    g_assert_false(guard_wire_send(f->pair[1], &hello, NULL, 0));
    g_assert_cmpint(errno, ==, EPIPE);
    f->pair[0] = -1;
}

static void never_waits(Fixture *f, gconstpointer data)
{
    guint sent = 0;

    while (send_lease(f, sent, 1))
        sent++;
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_cmpuint(sent, >, 64);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(name, function)                                                    \
    g_test_add("/guard-wire/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("descriptors", passes_descriptors);
    ADD("unknown", drops_what_it_does_not_know);
    ADD("no-room", says_that_there_is_no_room);
    ADD("sent-counts", what_was_sent_counts);
    ADD("never-waits", never_waits);
    return g_test_run();
}
