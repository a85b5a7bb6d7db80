/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: no fake outlives its test
 *
 * Each process of a fake writes "PID START-TIME" at the end of the file that
 * $FAKEVMM_PIDS names, so that a test can end it by name, and only it; and it
 * dies of SIGALRM after two minutes, whatever became of the test.
 */
#ifndef TESTS_BIN_REGISTER_H
#define TESTS_BIN_REGISTER_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Field 22 of /proc/self/stat, or 0. */
static inline unsigned long long own_start_time(void)
{
    unsigned long long start = 0;
    char buf[1024];
    FILE *file = fopen("/proc/self/stat", "re");

    if (!file)
        return 0;
    if (fgets(buf, sizeof(buf), file) && strrchr(buf, ')'))
        sscanf(strrchr(buf, ')') + 2,
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
               "%*d %*d %*d %*d %llu",
               &start);
    fclose(file);
    return start;
}

/* Called once in every process. */
static inline void register_process(void)
{
    const char *path = getenv("FAKEVMM_PIDS");
    int fd;

    alarm(120);
    if (!path || (fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0)
        return;
    dprintf(fd, "%d %llu\n", (int)getpid(), own_start_time());
    close(fd);
}

#endif
