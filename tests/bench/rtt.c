/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: how fast a supervisor answers, and how fast it kills
 *
 * rtt query SOCKET ROUNDS   round trips of query-child: median_us, p10_us,
 *                           p90_us, each on its line
 * rtt revoke SOCKET         revokes; from the command to the child's death
 * rtt kill PID              sends SIGKILL; from the signal to the death
 *
 * Death is when the process's pidfd becomes readable. The last two print
 * the microseconds as one number. This client is as thin as one can be: it
 * speaks the control protocol in fixed strings, without a JSON parser.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WARM_UPS    100
#define DEADLINE_MS 60000

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool failed(const char *what)
{
    fprintf(stderr, "rtt: cannot %s: %s\n", what,
            errno ? strerror(errno) : "unexpected answer");
    return false;
}

/* Reads one line; a descriptor that comes with it goes to @passed. */
static bool read_line(int fd, char *line, size_t size, int *passed)
{
    size_t have = 0;

    while (have == 0 || line[have - 1] != '\n') {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {line + have, size - 1 - have};
        struct msghdr message = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control),
        };
        ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        struct cmsghdr *header;

        if (got <= 0)
            return false;
        header = CMSG_FIRSTHDR(&message);
        if (header && header->cmsg_type == SCM_RIGHTS) {
            int received;

            memcpy(&received, CMSG_DATA(header), sizeof(received));
            if (*passed >= 0)
                close(*passed);
            *passed = received;
        }
        have += got;
    }
    line[have] = '\0';
    return true;
}

/* Sends @command and reads its reply; events in between are passed over. */
static bool call(int fd, const char *command, int *passed)
{
    char line[8192];

    errno = 0;
    if (send(fd, command, strlen(command), MSG_NOSIGNAL) < 0)
        return failed("send a command");
    do {
        if (!read_line(fd, line, sizeof(line), passed))
            return failed("read a reply");
    } while (strncmp(line, "{\"event\"", 8) == 0 ||
             strncmp(line, "{\"timestamp\"", 12) == 0);
    if (!strstr(line, "\"return\"")) {
        fprintf(stderr, "rtt: %s: %s", command, line);
        return false;
    }
    return true;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char greeting[8192];
    int passed = -1;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    errno = 0;
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        !read_line(fd, greeting, sizeof(greeting), &passed)) {
        failed("connect");
        return -1;
    }
    return call(fd, "{\"execute\":\"qmp_capabilities\"}", &passed) ? fd : -1;
}

static int time_queries(const char *path, int rounds)
{
    int fd = connect_to(path);
    double *us = calloc(rounds, sizeof(*us));

    if (fd < 0 || !us)
        return 1;
    for (int i = -WARM_UPS; i < rounds; i++) {
        int passed = -1;
        double began = now_us();

        if (!call(fd, "{\"execute\":\"query-child\"}", &passed))
            return 1;
        if (i >= 0)
            us[i] = now_us() - began;
        if (passed >= 0)
            close(passed);
    }
    qsort(us, rounds, sizeof(*us), by_value);
    printf("median_us %.1f\np10_us %.1f\np90_us %.1f\n", us[rounds / 2],
           us[rounds / 10], us[rounds * 9 / 10]);
    free(us);
    return 0;
}

/* Waits for the death of @pidfd and prints how long it took. */
static int print_death(int pidfd, double began)
{
    struct pollfd dead = {.fd = pidfd, .events = POLLIN};

    if (poll(&dead, 1, DEADLINE_MS) != 1) {
        fprintf(stderr, "rtt: the process lives after a minute\n");
        return 1;
    }
    printf("%.0f\n", now_us() - began);
    return 0;
}

static int time_revoke(const char *path)
{
    static const char command[] = "{\"execute\":\"revoke\"}";
    int fd = connect_to(path);
    int pidfd = -1;
    double began;

    if (fd < 0 || !call(fd, "{\"execute\":\"query-child\"}", &pidfd))
        return 1;
    if (pidfd < 0) {
        fprintf(stderr, "rtt: query-child passed no pidfd\n");
        return 1;
    }
    began = now_us();
    if (send(fd, command, strlen(command), MSG_NOSIGNAL) < 0) {
        failed("revoke");
        return 1;
    }
    return print_death(pidfd, began);
}

static int time_kill(pid_t pid)
{
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    double began = now_us();

    if (pidfd < 0 ||
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0) {
        failed("kill");
        return 1;
    }
    return print_death(pidfd, began);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "query") == 0 && atoi(argv[3]) > 0)
        return time_queries(argv[2], atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "revoke") == 0)
        return time_revoke(argv[2]);
    if (argc == 3 && strcmp(argv[1], "kill") == 0 && atoi(argv[2]) > 1)
        return time_kill(atoi(argv[2]));
    fprintf(stderr,
            "usage: %s query SOCKET ROUNDS | revoke SOCKET | kill PID\n",
            argv[0]);
    return 2;
}
