/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the command that the races test supervises
 *
 * `stamper RUN FORM QEMU DEAF ORDERS`: stamps slot RUN of the shared memory
 * (tests/race/race.h), opens and closes disks as the manager orders over the
 * socket. FORM is what it is: plain, thread, fork or daemon. QEMU 1: it locks
 * bytes 100, 101 and 201 of its disks the way QEMU does, and says where QEMU
 * would refuse to go on. DEAF 1: it ignores SIGTERM. The first ORDERS orders
 * are followed before anything else, so that a fork has these disks, too.
 *
 * Should:  stamp as densely as it can when told to: who is about to be killed
 *          must be seen to the very end.
 * Mustn't: live on when the test has ended (the life pipe), or for a minute.
 */
#include "../race/race.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAUSE_NS = 50 * 1000,       /* between two stamps */
    SPIN_NS = 20 * 1000 * 1000, /* how long to do without it */
    SPINS = 200,                /* stamps before we look around */
    LONGEST_LIFE = 60,          /* seconds */
    READ = 100,
    WRITE = 101,
    UNSHARED = 100 /* QEMU's bytes; + what */
};

typedef struct {
    RunMemory *run;
    bool qemu;
    int disks[DISKS]; /* descriptors, -1: not open */
} Stamper;

static bool lock_byte(int fd, int byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool byte_is_locked(int fd, int byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* As QEMU: first say what we do and what we do not want, then look whether
 * others do it, or do not want us. */
static void be_qemu(Stamper *stamper, int disk, Mode mode)
{
    int fd = stamper->disks[disk];
    bool fine = lock_byte(fd, READ);

    if (mode != MODE_READONLY)
        fine = lock_byte(fd, WRITE) && fine;
    if (mode == MODE_EXCLUSIVE)
        fine = lock_byte(fd, WRITE + UNSHARED) && fine;
    if (mode == MODE_READONLY)
        fine = fine && !byte_is_locked(fd, READ + UNSHARED);
    else
        fine = fine && !byte_is_locked(fd, WRITE + UNSHARED);
    if (mode == MODE_EXCLUSIVE)
        fine = fine && !byte_is_locked(fd, WRITE);
    if (fine)
        return;
    atomic_fetch_or(&stamper->run->conflicted, 1U << disk);
    atomic_fetch_add(&stamper->run->conflicts, 1);
}

static int open_disk(Stamper *stamper, const Order *order)
{
    int flags = order->mode == MODE_READONLY ? O_RDONLY : O_RDWR;
    int fd = open(order->path, flags | O_CLOEXEC);

    if (fd < 0)
        return errno;
    stamper->disks[order->disk] = fd;
    if (stamper->qemu)
        be_qemu(stamper, order->disk, order->mode);
    return 0;
}

static void follow(Stamper *stamper, const Order *order)
{
    Reply reply = {.what = REPLY_DONE};

    if (order->what == ORDER_EXIT)
        exit(order->status);
    if (order->what == ORDER_OPEN) {
        reply.error = open_disk(stamper, order);
    } else {
        reply.when = now_ns();
        close(stamper->disks[order->disk]);
        stamper->disks[order->disk] = -1;
    }
    send(CONTROL_FD, &reply, sizeof(reply), MSG_NOSIGNAL);
}

/* Follows one order that is there, or comes within a while. */
static void take_order(Stamper *stamper)
{
    Order order;

    if (recv(CONTROL_FD, &order, sizeof(order), 0) != sizeof(order))
        exit(2); /* the manager is gone */
    follow(stamper, &order);
}

/* Looks around for at most @pause; @stamper NULL: orders are another's. */
static void look(Stamper *stamper, const struct timespec *pause)
{
    struct pollfd fds[] = {{LIFE_FD, POLLIN, 0},
                           {stamper ? CONTROL_FD : -1, POLLIN, 0}};

    if (ppoll(fds, 2, pause, NULL) <= 0)
        return;
    if (fds[0].revents)
        _exit(2); /* the test is over */
    if (fds[1].revents)
        take_order(stamper);
}

static void stamp(RunMemory *run, int writer, int times)
{
    uint64_t now = 0, die_at;

    for (int i = 0; i < times; i++) {
        now = now_ns();
        atomic_store_explicit(&run->stamps[writer], now, memory_order_relaxed);
    }
    die_at = run->die_at;
    if (die_at && now >= die_at)
        _exit(0);
}

_Noreturn static void write_for_ever(RunMemory *run, int writer, Stamper *mine)
{
    const struct timespec gap = {0, PAUSE_NS}, none = {0, 0};
    uint64_t since = 0; /* when we began to spin */

    prctl(PR_SET_TIMERSLACK, 1L);
    for (;;) {
        bool spin = run->spin;

        if (spin && !since) {
            since = now_ns();
            atomic_store(&run->spinning, 1);
        }
        spin = spin && now_ns() - since < SPIN_NS;
        stamp(run, writer, spin ? SPINS : 1);
        look(mine, spin ? &none : &gap);
    }
}

static void *write_beside(void *run)
{
    write_for_ever(run, 1, NULL);
}

static void say_hello(void)
{
    Reply hello = {.what = REPLY_HELLO};
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct iovec iov = {&hello, sizeof(hello)};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &pidfd, sizeof(int));
    if (pidfd < 0 || sendmsg(CONTROL_FD, &msg, MSG_NOSIGNAL) < 0)
        exit(2);
    close(pidfd);
}

/* The first process ends when the last one runs; only that one returns. */
static void daemonize(void)
{
    int fds[2];
    char byte;

    if (pipe2(fds, O_CLOEXEC))
        err(2, "cannot make a pipe");
    if (fork() > 0) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 1 ? 0 : 2);
    }
    close(fds[0]);
    setsid();
    if (fork() > 0)
        _exit(0);
    alarm(LONGEST_LIFE);
    signal(SIGPIPE, SIG_IGN); /* the first may have been told to end */
    (void)!write(fds[1], "r", 1);
    signal(SIGPIPE, SIG_DFL);
    close(fds[1]);
}

/* The second writer, where there is one. */
static void add_writer(Form form, RunMemory *run)
{
    pthread_t thread;

    if (form == FORM_THREAD && pthread_create(&thread, NULL, write_beside, run))
        errx(2, "cannot make a thread");
    if (form == FORM_FORK && fork() == 0) {
        alarm(LONGEST_LIFE);
        write_for_ever(run, 1, NULL);
    }
}

int main(int argc, char **argv)
{
    uint64_t born = now_ns();
    Stamper stamper = {0};
    Memory *memory;
    Form form;

    alarm(LONGEST_LIFE);
    if (argc != 6)
        errx(2, "usage: stamper RUN FORM QEMU DEAF ORDERS");
    memory = mmap(NULL, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED,
                  MEMORY_FD, 0);
    if (memory == MAP_FAILED)
        err(2, "cannot map the memory");
    stamper.run = &memory->runs[atoi(argv[1])];
    atomic_store(&stamper.run->born, born);
    atomic_store(&stamper.run->stamps[0], now_ns());
    form = (Form)atoi(argv[2]);
    stamper.qemu = atoi(argv[3]);
    memset(stamper.disks, -1, sizeof(stamper.disks));
    if (atoi(argv[4]))
        signal(SIGTERM, SIG_IGN);
    if (form == FORM_DAEMON)
        daemonize();
    for (int n = atoi(argv[5]); n > 0; n--)
        take_order(&stamper);
    add_writer(form, stamper.run);
    say_hello();
    write_for_ever(stamper.run, 0, &stamper);
}
