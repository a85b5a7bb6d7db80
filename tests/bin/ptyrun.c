/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a terminal for tests
 *
 * `ptyrun KEYS COMMAND [ARG...]` runs COMMAND in a session of its own, with a
 * new pseudo terminal as its controlling terminal. What comes through the
 * FIFO KEYS is typed on it (so "\003" is ^C), what appears on it goes to
 * standard output, and COMMAND's exit status is ours (128+n for signal n).
 */
#include "register.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

/* Never returns: makes @slave our controlling terminal and executes. */
_Noreturn static void become(const char *slave, char **argv)
{
    int fd;

    setsid();
    fd = open(slave, O_RDWR);
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0))
        err(125, "cannot take the terminal '%s'", slave);
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
    execvp(argv[0], argv);
    err(127, "cannot execute '%s'", argv[0]);
}

/* Copies what there is; 0 at the end. A terminal whose last user has gone
 * answers EIO. */
static ssize_t copy(int from, int to)
{
    char buf[4096];
    ssize_t len = read(from, buf, sizeof(buf));

    if (len < 0 && errno == EINTR)
        return 1;
    for (ssize_t done = 0; done < len;) {
        ssize_t part = write(to, buf + done, len - done);

        if (part < 0)
            return 0;
        done += part;
    }
    return len > 0 ? len : 0;
}

int main(int argc, char **argv)
{
    int master, keys, status;
    pid_t pid;

    register_process();
    if (argc < 3)
        errx(125, "usage: ptyrun KEYS COMMAND [ARG...]");
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) || unlockpt(master))
        err(125, "cannot open a terminal");
    keys = open(argv[1], O_RDWR | O_CLOEXEC);
    if (keys < 0)
        err(125, "cannot open '%s'", argv[1]);
    if ((pid = fork()) < 0)
        err(125, "cannot fork");
    if (pid == 0)
        become(ptsname(master), argv + 2);

    struct pollfd fds[] = {{master, POLLIN, 0}, {keys, POLLIN, 0}};
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents & POLLIN)
            copy(keys, master);
        if (fds[0].revents && copy(master, STDOUT_FILENO) == 0)
            break;
    }
    if (waitpid(pid, &status, 0) != pid)
        err(125, "cannot wait for '%s'", argv[2]);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
