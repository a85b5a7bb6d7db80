/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the test guest's /init, its only program
 *
 * Mounts what a kernel offers, loads the virtio modules, says GUEST-UP on the
 * console, and runs one writer process for each virtio disk, those that are
 * plugged in later too. The kernel command line may say boot=HEX (by default
 * random), slots=N, interval_us=N and ack_every=N. With end_at=S, record S is
 * a disk's last before the guest ends by itself, as end=poweroff, end=reset or
 * end=panic says; a guest that finds record S on its disk already writes on.
 *
 * Says on the console, beside what writer.c says:
 *   GUEST-UP boot=B
 *   DISK EXIT status     a writer ended
 *   GUEST-END            it ends now
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "writer.h"

#define MAX_DISKS 32

typedef struct {
    char name[32];    /* empty: this entry is free */
    uint64_t diskseq; /* tells two disks of one name apart */
    pid_t writer;     /* 0: it has ended */
} Disk;

void say(const char *format, ...)
{
    char line[256];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (len >= (int)sizeof(line))
        len = sizeof(line) - 1;
    if (write(STDOUT_FILENO, line, len) < 0)
        return; /* there is nobody else to tell */
}

static void mount_one(const char *type, const char *path)
{
    mkdir(path, 0755);
    if (mount(type, path, type, 0, NULL) < 0 && errno != EBUSY)
        say("cannot mount '%s': %s\n", path, strerror(errno));
}

/* In the order in which they need each other. */
static void load_modules(void)
{
    static const char *const modules[] = {
        "virtio_ring",           "virtio",     "virtio_pci_modern_dev",
        "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
    };

    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/modules/%s.ko", modules[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
            say("cannot load '%s': %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
}

/* The number after "NAME=" on the kernel command line, or @otherwise. */
static uint64_t option(const char *cmdline, const char *name, int base,
                       uint64_t otherwise)
{
    size_t len = strlen(name);

    for (const char *at = cmdline; (at = strstr(at, name)); at += len) {
        if ((at == cmdline || at[-1] == ' ') && at[len] == '=')
            return strtoull(at + len + 1, NULL, base);
    }
    return otherwise;
}

static void read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, size - 1);

    text[len < 0 ? 0 : len] = '\0';
    if (fd >= 0)
        close(fd);
}

static WriterOptions read_options(void)
{
    char cmdline[2048];
    uint64_t random = 0;
    WriterOptions options;

    if (getrandom(&random, sizeof(random), GRND_INSECURE) < 0)
        random = 0;
    read_file("/proc/cmdline", cmdline, sizeof(cmdline));
    options = (WriterOptions){
        .boot = option(cmdline, "boot", 16, random),
        .slots = option(cmdline, "slots", 10, 1024),
        .interval_us = option(cmdline, "interval_us", 10, 1000),
        .ack_every = option(cmdline, "ack_every", 10, 50),
        .end_at = option(cmdline, "end_at", 10, 0),
    };
    if (options.slots < 2)
        options.slots = 2;
    if (options.ack_every == 0)
        options.ack_every = 1;
    return options;
}

static uint64_t diskseq(const char *name)
{
    char path[64];
    char text[32];

    snprintf(path, sizeof(path), "/sys/block/%.31s/diskseq", name);
    read_file(path, text, sizeof(text));
    return strtoull(text, NULL, 10);
}

static void start_writer(Disk *disk, const WriterOptions *options)
{
    disk->writer = fork();
    if (disk->writer == 0)
        _exit(writer_run(disk->name, options));
    if (disk->writer < 0) {
        say("%s FAILED fork: %s\n", disk->name, strerror(errno));
        disk->writer = 0;
    }
}

/* The entry of the disk named, or a free one; NULL where all are taken. */
static Disk *find_disk(Disk *disks, const char *name)
{
    Disk *unused = NULL;

    for (Disk *disk = disks; disk < disks + MAX_DISKS; disk++) {
        if (strcmp(disk->name, name) == 0)
            return disk;
        if (!unused && disk->name[0] == '\0')
            unused = disk;
    }
    return unused;
}

/* Starts a writer for each virtio disk that has had none. */
static void scan_disks(Disk *disks, const WriterOptions *options)
{
    DIR *dir = opendir("/sys/block");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        Disk *disk;
        uint64_t seq;

        if (strncmp(entry->d_name, "vd", 2) != 0)
            continue;
        disk = find_disk(disks, entry->d_name);
        seq = diskseq(entry->d_name);
        if (!disk || disk->writer || (disk->name[0] && disk->diskseq == seq))
            continue;
        snprintf(disk->name, sizeof(disk->name), "%.31s", entry->d_name);
        disk->diskseq = seq;
        start_writer(disk, options);
    }
    if (dir)
        closedir(dir);
}

/* The kernel panics when its first process ends. */
static void end_guest(void)
{
    char cmdline[2048];

    read_file("/proc/cmdline", cmdline, sizeof(cmdline));
    say("GUEST-END\n");
    if (strstr(cmdline, " end=poweroff"))
        reboot(RB_POWER_OFF);
    else if (strstr(cmdline, " end=reset"))
        reboot(RB_AUTOBOOT);
    _exit(1);
}

static void reap_writers(Disk *disks)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (Disk *disk = disks; disk < disks + MAX_DISKS; disk++) {
            if (disk->writer != pid)
                continue;
            disk->writer = 0;
            say("%s EXIT %d\n", disk->name,
                WIFEXITED(status) ? WEXITSTATUS(status)
                                  : 128 + WTERMSIG(status));
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == WRITER_AT_END)
            end_guest();
    }
}

/* A descriptor that becomes readable when a device comes or goes. */
static int open_uevents(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    NETLINK_KOBJECT_UEVENT);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        say("cannot listen for devices: %s\n", strerror(errno));
    return fd;
}

/* One that becomes readable when a child ends. */
static int open_signals(void)
{
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void drain(int fd)
{
    char buffer[8192];

    ssize_t len;

    do {
        len = read(fd, buffer, sizeof(buffer));
    } while (len > 0);
}

int main(void)
{
    Disk disks[MAX_DISKS] = {0};
    WriterOptions options;
    struct pollfd fds[2];
    int console;

    mount_one("proc", "/proc");
    mount_one("sysfs", "/sys");
    mount_one("devtmpfs", "/dev");
    console = open("/dev/console", O_RDWR);
    if (console >= 0)
        dup2(console, STDOUT_FILENO);
    fds[0] = (struct pollfd){.fd = open_uevents(), .events = POLLIN};
    fds[1] = (struct pollfd){.fd = open_signals(), .events = POLLIN};
    load_modules();
    options = read_options();
    say("GUEST-UP boot=%016" PRIx64 "\n", options.boot);
    for (;;) {
        scan_disks(disks, &options);
        poll(fds, 2, -1);
        drain(fds[0].fd);
        drain(fds[1].fd);
        reap_writers(disks);
    }
}
