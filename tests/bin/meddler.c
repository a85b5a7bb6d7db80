/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a child that wants to be rid of its leases
 *
 * `meddler REPORT` tries, with every descriptor that it was started with
 * beyond the standard ones, to write-lock and then to unlock all of its file,
 * with locks of both kinds, and to open the file anew for writing. Writes a
 * line for each into REPORT,
 *
 *   PATH write-lock=ERROR,ERROR unlock=ERROR,ERROR reopen=ERROR
 *
 * where ERROR is a name (EBADF) or 0, and stays.
 */
#include "register.h"

#include <err.h>
#include <errno.h>

enum { FIRST_FD = 3, LAST_FD = 255, PATH_SIZE = 4096 };

/* Sets all of the file that @fd stands for to @type: an open file description
 * lock, then a process's own. Writes both errors into @file. */
static void try_locks(FILE *file, int fd, short type, const char *what)
{
    static const int commands[] = {F_OFD_SETLK, F_SETLK};

    fprintf(file, " %s=", what);
    for (int i = 0; i < 2; i++) {
        struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
        int error = fcntl(fd, commands[i], &lock) ? errno : 0;

        fprintf(file, "%s%s", i ? "," : "",
                error ? strerrorname_np(error) : "0");
    }
}

static void try_open(FILE *file, const char *link)
{
    int fd = open(link, O_RDWR | O_CLOEXEC);

    fprintf(file, " reopen=%s\n", fd < 0 ? strerrorname_np(errno) : "0");
    if (fd >= 0)
        close(fd);
}

static void meddle(FILE *file, int fd)
{
    char link[64], path[PATH_SIZE];
    ssize_t len;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    if (len < 0)
        return;
    path[len] = '\0';
    fputs(path, file);
    try_locks(file, fd, F_WRLCK, "write-lock");
    try_locks(file, fd, F_UNLCK, "unlock");
    try_open(file, link);
}

int main(int argc, char **argv)
{
    char temp[PATH_SIZE];
    int inherited[LAST_FD], count = 0;
    FILE *file;

    if (argc != 2)
        errx(2, "usage: meddler REPORT");
    for (int fd = FIRST_FD; fd <= LAST_FD; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            inherited[count++] = fd;
    }
    register_process();
    snprintf(temp, sizeof(temp), "%s.new", argv[1]);
    if (!(file = fopen(temp, "we")))
        err(2, "cannot open '%s'", temp);
    for (int i = 0; i < count; i++)
        meddle(file, inherited[i]);
    if (fclose(file) || rename(temp, argv[1]))
        err(2, "cannot write '%s'", argv[1]);
    for (;;)
        pause();
}
