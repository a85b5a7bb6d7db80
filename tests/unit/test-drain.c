/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what one look at an image says, and for how long it is waited. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../supervisor/drain.h"
#include "tap.h"

#define SECOND 1000000

typedef struct {
    char *path;
    int fd, other;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    f->fd = g_file_open_tmp("drain-XXXXXX", &f->path, NULL);
    g_assert_cmpint(f->fd, >=, 0);
    f->other = -1;
}

static void tear_down(Fixture *f, gconstpointer data)
{
    unlink(f->path);
    g_free(f->path);
    close(f->fd);
    if (f->other >= 0)
        close(f->other);
}

static void open_again(Fixture *f)
{
    f->other = open(f->path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(f->other, >=, 0);
}

static void lock(int fd, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_start = byte, .l_len = 1};

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
}

static DrainAnswer look(const Fixture *f, bool alone, bool seen, gint64 waited)
{
    const DrainAsk ask = {.fd = f->fd,
                          .alone = alone,
                          .qemu_seen = seen,
                          .waited = waited,
                          .limit = 5 * SECOND};

    return drain_look(&ask);
}

static void qemu_is_waited_for_without_end(Fixture *f, gconstpointer data)
{
    DrainAnswer answer;

    open_again(f);
    for (off_t byte = 99; byte <= 200; byte++) {
        lock(f->other, F_RDLCK, byte);
        answer = look(f, FALSE, FALSE, 3600 * (gint64)SECOND);
        g_assert_cmpint(answer.why, ==,
                        byte > 100 && byte < 200 ? DRAIN_QEMU : DRAIN_QUIET);
        g_assert_false(answer.enough);
        lock(f->other, F_UNLCK, byte);
    }
    lock(f->fd, F_RDLCK, 101); /* our own do not count */
    g_assert_cmpint(look(f, FALSE, FALSE, 0).why, ==, DRAIN_QUIET);
}

static void who_was_alone_is_asked(Fixture *f, gconstpointer data)
{
    DrainAnswer answer;

    g_assert_cmpint(look(f, TRUE, FALSE, 0).why, ==, DRAIN_QUIET);
    open_again(f);
    answer = look(f, TRUE, FALSE, SECOND);
    g_assert_cmpint(answer.why, ==, DRAIN_OPEN);
    g_assert_false(answer.enough);
    g_assert_true(look(f, TRUE, FALSE, 5 * SECOND).enough);
    g_assert_cmpint(look(f, TRUE, TRUE, 0).why, ==, DRAIN_QUIET);
    g_assert_cmpint(look(f, FALSE, FALSE, 0).why, ==, DRAIN_QUIET);
}

static void blind_is_no_answer(Fixture *f, gconstpointer data)
{
    int good = f->fd;
    DrainAnswer answer;

    f->fd = -1;
    answer = look(f, FALSE, TRUE, 0);
    g_assert_cmpint(answer.why, ==, DRAIN_BLIND);
    g_assert_false(answer.enough);
    g_assert_true(look(f, FALSE, TRUE, 5 * SECOND).enough);
    f->fd = good;
}

static void finds_the_byte(Fixture *f, gconstpointer data)
{
    open_again(f);
    g_assert_false(drain_held(f->fd, 0, 1000));
    g_assert_cmpint(errno, ==, 0);
    lock(f->other, F_RDLCK, 500);
    g_assert_true(drain_held(f->fd, 0, 1000));
    g_assert_false(drain_held(f->fd, 501, 1000));
    g_assert_false(drain_held(-1, 0, 1));
    g_assert_cmpint(errno, ==, EBADF);
    lock(f->other, F_RDLCK, 0); /* the lease byte of most disks */
    g_assert_true(drain_held(f->fd, 0, 0));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(name, function)                                                    \
    g_test_add("/drain/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("qemu", qemu_is_waited_for_without_end);
    ADD("alone", who_was_alone_is_asked);
    ADD("blind", blind_is_no_answer);
    ADD("held", finds_the_byte);
    return g_test_run();
}
