/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what a program was given at its start
 *
 * `showself fds` prints one line "NUMBER TARGET" for each open descriptor;
 * `showself status` prints everything that a careless supervisor could have
 * left on its child: identity, capabilities, confinement, signals, limits.
 * With --to FILE the answer goes there and not to standard output.
 */
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void print_fds(FILE *out)
{
    char path[64], target[4096];
    struct dirent *entry;
    ssize_t len;
    DIR *dir = opendir("/proc/self/fd");

    if (!dir)
        err(2, "cannot open '/proc/self/fd'");
    while ((entry = readdir(dir))) {
        int fd = atoi(entry->d_name);

        if (entry->d_name[0] == '.' || fd == dirfd(dir) || fd == fileno(out))
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, target, sizeof(target) - 1);
        fprintf(out, "%d %.*s\n", fd, len > 0 ? (int)len : 0, target);
    }
    closedir(dir);
}

/* Copies those lines of /proc/self/NAME that @wanted (NULL: all) starts. */
static void copy_lines(FILE *out, const char *name, const char *const *wanted)
{
    char path[64], line[4096];
    FILE *in;

    snprintf(path, sizeof(path), "/proc/self/%s", name);
    if (!(in = fopen(path, "re")))
        err(2, "cannot open '%s'", path);
    while (fgets(line, sizeof(line), in)) {
        if (!wanted)
            fprintf(out, "%s: %s", name, line);
        for (size_t i = 0; wanted && wanted[i]; i++) {
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
                fputs(line, out);
        }
    }
    fclose(in);
}

static void print_status(FILE *out)
{
    static const char *const wanted[] = {
        "Umask:",  "Uid:",    "Gid:",     "Groups:",  "VmLck:",      "SigPnd:",
        "ShdPnd:", "SigBlk:", "SigIgn:",  "CapInh:",  "CapPrm:",     "CapEff:",
        "CapBnd:", "CapAmb:", "Threads:", "Seccomp:", "NoNewPrivs:", NULL};
    int subreaper = 0, death_signal = 0;

    copy_lines(out, "status", wanted);
    copy_lines(out, "oom_score_adj", NULL);
    copy_lines(out, "timerslack_ns", NULL);
    copy_lines(out, "limits", NULL);
    copy_lines(out, "cgroup", NULL);
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    prctl(PR_GET_PDEATHSIG, &death_signal);
    fprintf(out, "Dumpable:\t%d\n", prctl(PR_GET_DUMPABLE));
    fprintf(out, "SecureBits:\t%d\n", prctl(PR_GET_SECUREBITS));
    fprintf(out, "Subreaper:\t%d\n", subreaper);
    fprintf(out, "DeathSignal:\t%d\n", death_signal);
    fprintf(out, "Session:\t%d\n", (int)getsid(0));
    fprintf(out, "ProcessGroup:\t%d\n", (int)getpgrp());
}

int main(int argc, char **argv)
{
    FILE *out = stdout;

    if (argc == 4 && strcmp(argv[2], "--to") == 0)
        out = fopen(argv[3], "we");
    else if (argc != 2)
        errx(2, "usage: showself fds|status [--to FILE]");
    if (!out)
        err(2, "cannot open '%s'", argv[3]);
    if (strcmp(argv[1], "fds") == 0)
        print_fds(out);
    else if (strcmp(argv[1], "status") == 0)
        print_status(out);
    else
        errx(2, "cannot show '%s'", argv[1]);
    return fclose(out) ? 2 : 0;
}
