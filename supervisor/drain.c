/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see drain.h. */
#include "drain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* How long a write usually takes at most, in microseconds. */
#define USUAL_WRITE 500000

bool drain_held(int fd, uint64_t first, uint64_t last)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = (off_t)first,
                         .l_len = (off_t)(last - first + 1)};

    errno = 0;
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Whoever opens it in between is let through by the last line; the signal that
 * tells of it is blocked. */
DrainAlone drain_ask_alone(int fd)
{
    struct stat st;

    /* Confined, root may not do it to other people's files either. */
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
        return DRAIN_ALONE_UNKNOWN;
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
        return errno == EAGAIN ? DRAIN_NOT_ALONE : DRAIN_ALONE_UNKNOWN;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return DRAIN_ALONE;
}

/* TRUE where somebody waits for a lock on the file: "->" in /proc/locks. */
static bool is_waited_for(int fd)
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[256], file[64];
    bool found = false;
    struct stat st;

    if (!locks)
        return false;
    if (fstat(fd, &st) == 0) {
        snprintf(file, sizeof file, " %02x:%02x:%ju ", major(st.st_dev),
                 minor(st.st_dev), (uintmax_t)st.st_ino);
        while (!found && fgets(line, sizeof line, locks))
            found = strstr(line, " -> ") && strstr(line, file);
    }
    fclose(locks);
    return found;
}

static bool is_enough(const DrainAsk *ask)
{
    int64_t least = ask->limit < USUAL_WRITE ? ask->limit : USUAL_WRITE;

    return ask->waited >= least &&
           (ask->waited >= ask->limit || is_waited_for(ask->fd));
}

DrainAnswer drain_look(const DrainAsk *ask)
{
    DrainAnswer answer = {DRAIN_QUIET, false};

    if (drain_held(ask->fd, DRAIN_QEMU_FIRST, DRAIN_QEMU_LAST)) {
        answer.why = DRAIN_QEMU;
        return answer;
    }
    if (errno)
        answer.why = DRAIN_BLIND;
    else if (ask->alone && !ask->qemu_seen &&
             drain_ask_alone(ask->fd) != DRAIN_ALONE)
        answer.why = DRAIN_OPEN;
    if (answer.why != DRAIN_QUIET)
        answer.enough = is_enough(ask);
    return answer;
}

const char *drain_clause(DrainWhy why)
{
    static const char *const clauses[] = {
        [DRAIN_QUIET] = NULL,
        [DRAIN_QEMU] = "writes to it may still be under way, or some QEMU has "
                       "it open (QEMU's lock byte 101 is held)",
        [DRAIN_OPEN] = "something still has it open",
        [DRAIN_BLIND] = "its locks cannot be looked at",
    };

    return clauses[why];
}
