/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see proc.h. */
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* PF_FORKNOEXEC in the flags of /proc/PID/stat. */
#define FORKED_ONLY 0x40
/* ... and PF_KTHREAD. */
#define KERNEL_THREAD 0x200000

/* Reads a small file whole; returns its length, -1 where it cannot. */
static ssize_t read_small(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = 0, n;

    if (fd < 0)
        return -1;
    while ((n = read(fd, buffer + len, size - 1 - len)) > 0)
        len += n;
    close(fd);
    buffer[len] = 0;
    return n < 0 ? -1 : len;
}

gboolean proc_stat(pid_t pid, ProcStat *stat)
{
    char path[64], text[1024], *p;
    unsigned int flags;
    int parent, group;
    unsigned long long start;

    g_snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_small(path, text, sizeof text) <= 0)
        return FALSE;
    p = strrchr(text, ')'); /* the name may hold anything */
    if (!p || sscanf(p,
                     ") %c %d %d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u "
                     "%*d %*d %*d %*d %*d %*d %llu",
                     &stat->state, &parent, &group, &flags, &start) != 5)
        return FALSE;
    stat->parent = parent;
    stat->group = group;
    stat->executed = !(flags & FORKED_ONLY);
    stat->kernel = (flags & KERNEL_THREAD) != 0;
    stat->start_time = start;
    return TRUE;
}

/* The list can be longer than any buffer: read it in pieces. */
gboolean proc_own_children(int fd, GArray *pids)
{
    char text[4096];
    ssize_t n;
    off_t at = 0;
    pid_t pid = 0;

    while ((n = pread(fd, text, sizeof text, at)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (g_ascii_isdigit(text[i])) {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid) {
                g_array_append_val(pids, pid);
                pid = 0;
            }
        }
        at += n;
    }
    return n == 0;
}

gboolean proc_children(pid_t pid, GArray *pids)
{
    char path[300];
    gboolean found = FALSE;
    struct dirent *entry;
    DIR *dir;

    g_snprintf(path, sizeof path, "/proc/%d/task", pid);
    dir = opendir(path);
    if (!dir)
        return FALSE;
    while ((entry = readdir(dir))) {
        int fd;

        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        g_snprintf(path, sizeof path, "/proc/%d/task/%s/children", pid,
                   entry->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        found |= proc_own_children(fd, pids);
        close(fd);
    }
    closedir(dir);
    return found;
}

int proc_open_own_children(void)
{
    char path[64];

    g_snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* A thread of @pid that sleeps and cannot be woken, or @pid. */
static pid_t sleeping_thread(pid_t pid)
{
    pid_t found = pid;
    struct dirent *entry;
    char path[64];
    ProcStat stat;
    DIR *dir;

    g_snprintf(path, sizeof path, "/proc/%d/task", pid);
    dir = opendir(path);
    if (!dir)
        return pid;
    while (found == pid && (entry = readdir(dir))) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

        if (thread > 0 && proc_stat(thread, &stat) && stat.state == 'D')
            found = thread;
    }
    closedir(dir);
    return found;
}

static gboolean read_wchan(pid_t pid, char *text, size_t size)
{
    char path[64];

    g_snprintf(path, sizeof path, "/proc/%d/wchan", pid);
    return read_small(path, text, size) > 0 && !g_str_equal(text, "0");
}

/* A killed process whose main thread has ended is a zombie to look at: it is
 * another of its threads that does not end. */
char *proc_describe(pid_t pid)
{
    pid_t thread = sleeping_thread(pid);
    g_autoptr(GString) text = g_string_new(NULL);
    char wchan[256];
    ProcStat stat;

    if (thread != pid)
        g_string_printf(text, "thread %d of ", thread);
    g_string_append_printf(text, "process %d ", pid);
    if (!proc_stat(thread, &stat))
        g_string_append(text, "cannot be looked at");
    else
        g_string_append_printf(text, "is in state %c", stat.state);
    if (read_wchan(thread, wchan, sizeof wchan))
        g_string_append_printf(text, " (%s)", wchan);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The object that is asked for. */
typedef struct {
    gboolean block;
    dev_t device;
    ino_t inode;
} Object;

/* Never asks the file's server, which may not answer. */
static gboolean is_object(const Object *object, int dir, const char *name)
{
    struct statx st;

    errno = 0;
    if (statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0)
        return FALSE;
    if (object->block)
        return S_ISBLK(st.stx_mode) &&
               makedev(st.stx_rdev_major, st.stx_rdev_minor) == object->device;
    return S_ISREG(st.stx_mode) && st.stx_ino == object->inode &&
           makedev(st.stx_dev_major, st.stx_dev_minor) == object->device;
}

static ProcOpen has_descriptor(const char *task, const Object *object)
{
    g_autofree char *path = g_strconcat(task, "/fd", NULL);
    ProcOpen found = PROC_NOT_OPEN;
    struct dirent *entry;
    DIR *dir = opendir(path);

    if (!dir)
        return errno == ENOENT ? PROC_NOT_OPEN : PROC_UNREADABLE;
    while (found != PROC_OPEN && (entry = readdir(dir))) {
        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        if (is_object(object, dirfd(dir), entry->d_name))
            found = PROC_OPEN;
        else if (errno == EACCES || errno == EPERM)
            found = PROC_UNREADABLE;
    }
    closedir(dir);
    return found;
}

/* A file that is mapped may be written without a descriptor. */
static ProcOpen has_mapping(const char *task, const Object *object)
{
    g_autofree char *path = g_strconcat(task, "/maps", NULL);
    char line[PATH_MAX + 128];
    ProcOpen found = PROC_NOT_OPEN;
    unsigned int major_number, minor_number;
    unsigned long long number;
    FILE *file = fopen(path, "re");

    if (!file)
        return errno == ENOENT ? PROC_NOT_OPEN : PROC_UNREADABLE;
    while (found != PROC_OPEN && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%*s %*s %*s %x:%x %llu", &major_number, &minor_number,
                   &number) == 3 &&
            makedev(major_number, minor_number) == object->device &&
            number == object->inode)
            found = PROC_OPEN;
    }
    fclose(file);
    return found;
}

/* Each thread is looked at: they need not share their descriptors, and of a
 * main thread that has ended nothing can be seen. */
ProcOpen proc_has_open(pid_t pid, gboolean block, dev_t device, ino_t inode)
{
    const Object object = {block, device, inode};
    ProcOpen found = PROC_NOT_OPEN;
    struct dirent *entry;
    char path[300];
    DIR *dir;

    g_snprintf(path, sizeof path, "/proc/%d/task", pid);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? PROC_NOT_OPEN : PROC_UNREADABLE;
    while (found != PROC_OPEN && (entry = readdir(dir))) {
        ProcOpen here;

        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        g_snprintf(path, sizeof path, "/proc/%d/task/%s", pid, entry->d_name);
        here = has_descriptor(path, &object);
        if (here == PROC_NOT_OPEN && !block)
            here = has_mapping(path, &object);
        if (here != PROC_NOT_OPEN)
            found = here;
    }
    closedir(dir);
    return found;
}
