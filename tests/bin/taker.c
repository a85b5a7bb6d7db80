/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: somebody else who wants the same disk
 *
 * `taker FILE [GRANTED]` waits in the kernel for byte 0 of FILE, the byte
 * that a lease on it locks, puts the moment of the grant (CLOCK_MONOTONIC in
 * ns) into GRANTED, and keeps the lock until it is killed. It is woken at the
 * very moment the lease is let go, so a writer that outlived its lease by
 * some microseconds is seen. `taker --try FILE` does not wait: 0 if the byte
 * was free, 1 if it was not. `taker --every MS FILE GRANTED` tries again and
 * again by the clock, and is as the first once it was free.
 */
#include "register.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <time.h>

static int open_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        err(2, "cannot open '%s'", path);
    return fd;
}

static int lock_byte(int fd, int command)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    return fcntl(fd, command, &lock);
}

static int is_held(void)
{
    return errno == EAGAIN || errno == EACCES;
}

static void announce(const char *path, const struct timespec *ts)
{
    char temp[4096];
    FILE *file;

    snprintf(temp, sizeof(temp), "%s.new", path);
    if (!(file = fopen(temp, "we")))
        err(2, "cannot open '%s'", temp);
    fprintf(file, "%" PRIu64 "\n",
            ts->tv_sec * UINT64_C(1000000000) + ts->tv_nsec);
    if (fclose(file) || rename(temp, path))
        err(2, "cannot write '%s'", path);
}

static int lock_by_the_clock(int fd, long ms)
{
    struct timespec next;

    clock_gettime(CLOCK_MONOTONIC, &next);
    while (lock_byte(fd, F_OFD_SETLK) != 0) {
        if (!is_held())
            return -1;
        next.tv_nsec += ms * 1000000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct timespec granted;
    long every_ms = 0;
    int fd;

    if (argc == 3 && strcmp(argv[1], "--try") == 0) {
        if (lock_byte(open_file(argv[2]), F_OFD_SETLK) == 0)
            return 0;
        return is_held() ? 1 : 2;
    }
    if (argc == 5 && strcmp(argv[1], "--every") == 0) {
        every_ms = atol(argv[2]);
        argv += 2;
        argc -= 2;
    }
    if (argc != 2 && argc != 3)
        errx(2, "usage: taker FILE [GRANTED] | taker --try FILE | "
                "taker --every MS FILE GRANTED");
    register_process();
    fd = open_file(argv[1]);
    if ((every_ms ? lock_by_the_clock(fd, every_ms)
                  : lock_byte(fd, F_OFD_SETLKW)) != 0)
        err(2, "cannot lock '%s'", argv[1]);
    clock_gettime(CLOCK_MONOTONIC, &granted);
    if (argc == 3)
        announce(argv[2], &granted);
    for (;;)
        pause();
}
