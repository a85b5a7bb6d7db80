/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: two commands that start at the same instant, again and again
 *
 * `race ROUNDS COMMAND... ::: COMMAND...` starts both commands behind one
 * barrier, ROUNDS times. A round is decided when one of the two has ended
 * with status 123 (refused); only then the other is told to finish: the pipe
 * it inherited as descriptor 9 comes to its end. Prints how many rounds each
 * command won and in how many both were refused:
 *
 *   first=97 second=103 neither=0
 *
 * Anything else ends the race with status 1 and a sentence: two that run for
 * ten seconds side by side, or another exit status.
 */
#include "register.h"

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { FINISH_FD = 9, REFUSED = 123, DEADLINE_MS = 10000 };

typedef struct {
    char **argv;
    pid_t pid;
    int pidfd;
    int wins;
} Runner;

/* Never returns: waits for the barrier to fall, then executes. */
_Noreturn static void run(char **argv, const int go[2], const int finish[2])
{
    char byte;

    close(go[1]);
    close(finish[1]);
    if (read(go[0], &byte, 1) != 0)
        errx(2, "cannot wait for the start");
    if (finish[0] == FINISH_FD)
        fcntl(FINISH_FD, F_SETFD, 0);
    else
        dup2(finish[0], FINISH_FD);
    execvp(argv[0], argv);
    err(2, "cannot execute '%s'", argv[0]);
}

static void start(Runner *runner, const int go[2], const int finish[2])
{
    if ((runner->pid = fork()) < 0)
        err(2, "cannot fork");
    if (runner->pid == 0)
        run(runner->argv, go, finish);
    runner->pidfd = syscall(SYS_pidfd_open, runner->pid, 0);
    if (runner->pidfd < 0)
        err(2, "cannot watch process %d", (int)runner->pid);
}

/* Exit status of @runner, which has ended or will. */
static int reap(Runner *runner)
{
    int status;

    if (waitpid(runner->pid, &status, 0) != runner->pid)
        err(2, "cannot wait for process %d", (int)runner->pid);
    close(runner->pidfd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void give_up(Runner *runners, const char *why)
{
    for (int i = 0; i < 2; i++)
        kill(runners[i].pid, SIGKILL);
    errx(1, "%s", why);
}

/* Returns 1 where nobody won. */
static int one_round(Runner *runners)
{
    struct pollfd fds[2];
    int go[2], finish[2], loser, status[2];

    if (pipe2(go, O_CLOEXEC) || pipe2(finish, O_CLOEXEC))
        err(2, "cannot make a pipe");
    for (int i = 0; i < 2; i++) {
        start(&runners[i], go, finish);
        fds[i] = (struct pollfd){runners[i].pidfd, POLLIN, 0};
    }
    close(go[0]);
    close(go[1]);
    close(finish[0]);
    if (poll(fds, 2, DEADLINE_MS) <= 0)
        give_up(runners, "both run");
    loser = fds[0].revents ? 0 : 1;
    status[loser] = reap(&runners[loser]);
    close(finish[1]);
    status[!loser] = reap(&runners[!loser]);
    if (status[loser] != REFUSED ||
        (status[!loser] != REFUSED && status[!loser] != 0))
        errx(1, "the commands ended with %d and %d", status[0], status[1]);
    if (status[!loser] == REFUSED)
        return 1;
    runners[!loser].wins++;
    return 0;
}

int main(int argc, char **argv)
{
    Runner runners[2] = {{.argv = argv + 2}, {0}};
    int rounds = argc > 1 ? atoi(argv[1]) : 0, neither = 0;

    register_process();
    for (int i = 2; i < argc && !runners[1].argv; i++) {
        if (strcmp(argv[i], ":::") == 0) {
            argv[i] = NULL;
            runners[1].argv = argv + i + 1;
        }
    }
    if (rounds <= 0 || !runners[1].argv || !runners[1].argv[0])
        errx(2, "usage: race ROUNDS COMMAND... ::: COMMAND...");
    for (int i = 0; i < rounds; i++)
        neither += one_round(runners);
    printf("first=%d second=%d neither=%d\n", runners[0].wins, runners[1].wins,
           neither);
    return 0;
}
