/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: somebody else who wants the same disk
 *
 * `taker FILE [GRANTED]` waits in the kernel for byte 0 of FILE, the byte
 * that a lease on it locks, puts the moment of the grant (CLOCK_MONOTONIC in
 * ns) into GRANTED, and keeps the lock until it is killed. It is woken at the
 * very moment the lease is let go, so a writer that outlived its lease by
 * some microseconds is seen. `taker --try FILE` does not wait: 0 if the byte
 * was free, 1 if it was not.
 */
#include "register.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <time.h>

static int lock_byte(const char *path, int command)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        err(2, "cannot open '%s'", path);
    return fcntl(fd, command, &lock);
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

int main(int argc, char **argv)
{
    struct timespec granted;

    if (argc == 3 && strcmp(argv[1], "--try") == 0) {
        if (lock_byte(argv[2], F_OFD_SETLK) == 0)
            return 0;
        return errno == EAGAIN || errno == EACCES ? 1 : 2;
    }
    if (argc != 2 && argc != 3)
        errx(2, "usage: taker FILE [GRANTED] | taker --try FILE");
    register_process();
    if (lock_byte(argv[1], F_OFD_SETLKW))
        err(2, "cannot lock '%s'", argv[1]);
    clock_gettime(CLOCK_MONOTONIC, &granted);
    if (argc == 3)
        announce(argv[2], &granted);
    for (;;)
        pause();
}
