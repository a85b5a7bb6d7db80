/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a virtual machine monitor that only pretends
 *
 * What a supervisor must cope with, each on demand: children that ignore
 * TERM, daemonize, leave writers behind, stop themselves, count signals, live
 * on without their supervisor, or leave a write in flight.
 * Static and without libraries, so that starting one costs next to nothing.
 *
 * Writing is stamping: every process of ours puts CLOCK_MONOTONIC into its
 * own slot of a mapped file, again and again, so that an observer who knows
 * when somebody else was let in can tell whether we could still write then.
 *
 * Images: --qemu-locks, --qemu-shares and --qemu-reads open one and lock its
 * bytes as a QEMU that is alone, shares or reads does; --keep-open only opens
 * one; --uring gives io_uring a write of one (through the same open file where
 * it is one of the others) and --submitted tells when. With --later all this
 * waits for SIGUSR1, and --ready is only about the start.
 *
 * Order: register, outlive, close, ignore, daemonize, fork writers, use the
 * images, announce, run.
 */
#include "image.h"
#include "register.h"

#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

enum {
    SLOTS = 16,           /* processes that can stamp one file */
    STATUS_BUSY = 99,     /* --exclusive: somebody else runs */
    PAUSE_NS = 50 * 1000, /* between two stamps */
    NS_PER_MS = 1000 * 1000
};

typedef struct {
    uint64_t ns;
    uint64_t pid;
} Slot;

typedef struct {
    bool ignore_term, daemonize, grandchild, stop_self, close_fds;
    bool outlive_parent, busy, later;
    int writers;     /* children that go on writing */
    int exit_status; /* -1: run until a signal */
    int on_term;     /* exit status on TERM, -1: default action */
    int until_eof;   /* descriptor to read to its end, -1: none */
    int after_ms;    /* with exit_status: how long to run before it */
    const char *stamp, *ready, *born, *exclusive, *log;
    const char *qemu_locks, *qemu_shares, *qemu_reads, *keep_open;
    const char *uring, *submitted;
} Options;

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

/* Writes @value and a newline to @path, complete or not at all. */
static void announce(const char *path, uint64_t value)
{
    char temp[4096];
    FILE *file;

    snprintf(temp, sizeof(temp), "%s.%d.new", path, (int)getpid());
    if (!(file = fopen(temp, "we")))
        err(2, "cannot open '%s'", temp);
    fprintf(file, "%" PRIu64 "\n", value);
    if (fclose(file) || rename(temp, path))
        err(2, "cannot write '%s'", path);
}

static Slot *map_stamps(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    Slot *slots;

    if (fd < 0 || ftruncate(fd, SLOTS * sizeof(Slot)))
        err(2, "cannot open '%s'", path);
    slots = mmap(NULL, SLOTS * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED,
                 fd, 0);
    if (slots == MAP_FAILED)
        err(2, "cannot map '%s'", path);
    close(fd);
    return slots;
}

static void stamp(volatile Slot *slot)
{
    slot->pid = getpid();
    slot->ns = now_ns();
}

/* A process that stamps @slot for ever; without one it only stays. */
_Noreturn static void write_for_ever(Slot *slot)
{
    const struct timespec gap = {0, PAUSE_NS};

    register_process();
    prctl(PR_SET_TIMERSLACK, 1L);
    while (slot) {
        stamp(slot);
        nanosleep(&gap, NULL);
    }
    for (;;)
        pause();
}

/* Slot 0 is the caller's own, the last one the grandchild's. */
static void fork_writers(const Options *opt, Slot *slots)
{
    for (int i = 0; i < opt->writers; i++) {
        if (fork() == 0)
            write_for_ever(slots ? &slots[1 + i % (SLOTS - 2)] : NULL);
    }
    if (opt->grandchild && fork() == 0) {
        setsid();
        if (fork() == 0)
            write_for_ever(slots ? &slots[SLOTS - 1] : NULL);
        _exit(0);
    }
}

/* As QEMU does it: the first process waits for the last to be ready, then
 * exits with 0. Returns, in the last one only, where to say so. */
static int daemonize(void)
{
    int pipe_fds[2];
    char byte;

    if (pipe2(pipe_fds, O_CLOEXEC))
        err(2, "cannot make a pipe");
    if (fork() > 0) {
        close(pipe_fds[1]);
        _exit(read(pipe_fds[0], &byte, 1) == 1 ? 0 : 2);
    }
    close(pipe_fds[0]);
    setsid();
    if (fork() > 0)
        _exit(0);
    register_process();
    return pipe_fds[1];
}

/* Opens @path and locks @bytes of it, where a path is given. Returns the
 * descriptor where the write goes through it, else @fd. */
static int use_image(const Options *opt, const char *path, const int *bytes,
                     int access, int fd)
{
    bool direct = path && opt->uring && strcmp(path, opt->uring) == 0;
    int new_fd;

    if (!path)
        return fd;
    new_fd = image_open(path, access | (direct ? O_DIRECT : 0));
    if (bytes)
        image_lock(new_fd, bytes);
    return direct ? new_fd : fd;
}

static void use_images(const Options *opt)
{
    int fd = -1;

    fd = use_image(opt, opt->qemu_locks, image_alone, O_RDWR, fd);
    fd = use_image(opt, opt->qemu_shares, image_sharing, O_RDWR, fd);
    fd = use_image(opt, opt->qemu_reads, image_reading, O_RDONLY, fd);
    fd = use_image(opt, opt->keep_open, NULL, O_RDWR, fd);
    if (opt->uring)
        image_write(fd >= 0 ? fd : image_open(opt->uring, O_RDWR | O_DIRECT));
    if (opt->submitted)
        announce(opt->submitted, now_ns());
}

static int open_signals(const Options *opt)
{
    static const int logged[] = {SIGINT,  SIGHUP,   SIGQUIT, SIGUSR1,
                                 SIGUSR2, SIGWINCH, SIGCONT, SIGTERM};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; opt->log && i < sizeof(logged) / sizeof(*logged); i++)
        sigaddset(&set, logged[i]);
    if (opt->on_term >= 0)
        sigaddset(&set, SIGTERM);
    if (opt->later)
        sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Appends "INT kernel" or "INT user"; one write, so lines stay whole. */
static void log_signal(const char *path, const struct signalfd_siginfo *info)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        err(2, "cannot open '%s'", path);
    dprintf(fd, "%s %s\n", sigabbrev_np(info->ssi_signo),
            info->ssi_code == SI_KERNEL ? "kernel" : "user");
    close(fd);
}

static void take_signal(const Options *opt, int fd)
{
    struct signalfd_siginfo info;
    sigset_t term;

    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (opt->log)
        log_signal(opt->log, &info);
    if (info.ssi_signo == SIGUSR1 && opt->later)
        use_images(opt);
    if (info.ssi_signo != SIGTERM || opt->ignore_term)
        return;
    if (opt->on_term >= 0)
        exit(opt->on_term);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    raise(SIGTERM);
    sigprocmask(SIG_UNBLOCK, &term, NULL);
}

static int open_timer(const Options *opt)
{
    const struct itimerspec when = {
        .it_value = {opt->after_ms / 1000,
                     opt->after_ms % 1000 * NS_PER_MS + 1}};
    int fd;

    if (opt->exit_status < 0)
        return -1;
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    timerfd_settime(fd, 0, &when, NULL);
    return fd;
}

/* Returns the exit status. */
static int run(const Options *opt, int signals, Slot *slot)
{
    const struct timespec gap = {0, opt->busy ? 0 : PAUSE_NS};
    struct pollfd fds[] = {{signals, POLLIN, 0},
                           {open_timer(opt), POLLIN, 0},
                           {opt->until_eof, POLLIN, 0}};
    char buf[256];

    prctl(PR_SET_TIMERSLACK, 1L);
    for (;;) {
        if (slot)
            stamp(slot);
        if (ppoll(fds, 3, slot ? &gap : NULL, NULL) <= 0)
            continue;
        if (fds[0].revents)
            take_signal(opt, signals);
        if (fds[1].revents)
            return opt->exit_status;
        if (fds[2].revents && read(opt->until_eof, buf, sizeof(buf)) <= 0)
            return 0;
    }
}

/* Holds @path as long as we live; exits where another process does. */
static void be_the_only_one(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        err(2, "cannot open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB))
        exit(STATUS_BUSY);
}

/* One option; exactly one of the pointers is set. */
typedef struct {
    const char *name;
    bool *flag;
    int *number;
    const char **text;
} Choice;

static void parse(char **argv, Options *opt)
{
    const Choice choices[] = {
        {"--ignore-term", &opt->ignore_term, NULL, NULL},
        {"--daemonize", &opt->daemonize, NULL, NULL},
        {"--setsid-grandchild", &opt->grandchild, NULL, NULL},
        {"--stop-self", &opt->stop_self, NULL, NULL},
        {"--close-fds", &opt->close_fds, NULL, NULL},
        {"--outlive-parent", &opt->outlive_parent, NULL, NULL},
        {"--busy", &opt->busy, NULL, NULL},
        {"--later", &opt->later, NULL, NULL},
        {"--fork-writer", NULL, &opt->writers, NULL},
        {"--exit", NULL, &opt->exit_status, NULL},
        {"--after-ms", NULL, &opt->after_ms, NULL},
        {"--on-term", NULL, &opt->on_term, NULL},
        {"--until-eof", NULL, &opt->until_eof, NULL},
        {"--stamp", NULL, NULL, &opt->stamp},
        {"--ready", NULL, NULL, &opt->ready},
        {"--born", NULL, NULL, &opt->born},
        {"--exclusive", NULL, NULL, &opt->exclusive},
        {"--log-signals", NULL, NULL, &opt->log},
        {"--qemu-locks", NULL, NULL, &opt->qemu_locks},
        {"--qemu-shares", NULL, NULL, &opt->qemu_shares},
        {"--qemu-reads", NULL, NULL, &opt->qemu_reads},
        {"--keep-open", NULL, NULL, &opt->keep_open},
        {"--uring", NULL, NULL, &opt->uring},
        {"--submitted", NULL, NULL, &opt->submitted},
        {NULL, NULL, NULL, NULL}};

    while (*++argv) {
        const Choice *c = choices;

        while (c->name && strcmp(c->name, *argv) != 0)
            c++;
        if (!c->name || (!c->flag && !argv[1]))
            errx(2, "cannot understand '%s'", *argv);
        if (c->flag)
            *c->flag = true;
        else if (c->number)
            *c->number = atoi(*++argv);
        else
            *c->text = *++argv;
    }
}

int main(__attribute__((unused)) int argc, char **argv)
{
    uint64_t born = now_ns();
    Options opt = {.exit_status = -1, .on_term = -1, .until_eof = -1};
    Slot *slots = NULL;
    int daemon_fd = -1, signals;

    register_process();
    parse(argv, &opt);
    if (opt.outlive_parent)
        prctl(PR_SET_PDEATHSIG, 0);
    if (opt.close_fds)
        close_range(3, ~0U, 0);
    if (opt.born)
        announce(opt.born, born);
    if (opt.exclusive)
        be_the_only_one(opt.exclusive);
    if (opt.ignore_term && !opt.log)
        signal(SIGTERM, SIG_IGN);
    if (opt.stamp)
        slots = map_stamps(opt.stamp);
    if (opt.daemonize)
        daemon_fd = daemonize();
    fork_writers(&opt, slots);
    signals = open_signals(&opt);
    if (!opt.later)
        use_images(&opt);
    if (opt.ready)
        announce(opt.ready, getpid());
    if (daemon_fd >= 0 && write(daemon_fd, "r", 1) != 1)
        err(2, "cannot announce the daemon");
    if (opt.stop_self)
        raise(SIGTSTP);
    return run(&opt, signals, slots);
}
