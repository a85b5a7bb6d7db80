/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see cgroup.h. */
#include "cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

struct Cgroup {
    char *path;
    int kill_fd, procs_fd;
};

/* Where the version 2 hierarchy is mounted (hybrid set-ups: beside v1). */
static const char *mount_point(void)
{
    static const char *const places[] = {"/sys/fs/cgroup",
                                         "/sys/fs/cgroup/unified"};
    struct statfs fs;

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
            return places[i];
    }
    return NULL;
}

/* The path of a process's cgroup below the mount point; NULL for the root.
 * @process: its name in /proc */
static char *path_of(const char *process)
{
    g_autofree char *name = g_strdup_printf("/proc/%s/cgroup", process);
    char line[4096], *path = NULL;
    FILE *file = fopen(name, "re");

    if (!file)
        return NULL;
    while (!path && fgets(line, sizeof line, file)) {
        if (g_str_has_prefix(line, "0::/") && line[4] != '\n')
            path = g_strchomp(g_strdup(line + 3));
    }
    fclose(file);
    return path;
}

static int open_in(const char *path, const char *name, int flags)
{
    g_autofree char *file = g_build_filename(path, name, NULL);

    return open(file, flags | O_CLOEXEC);
}

/* But for our guard, which is of a session of its own. */
static gboolean is_alone(const char *path, pid_t session)
{
    g_autofree char *name = g_strdup_printf("%s/cgroup.procs", path);
    FILE *file = fopen(name, "re");
    gboolean ours = FALSE, others = FALSE;
    int pid;

    if (!file)
        return FALSE;
    while (!others && fscanf(file, "%d", &pid) == 1) {
        if (pid == getpid())
            ours = TRUE;
        else
            others = !session || getsid(pid) != session;
    }
    fclose(file);
    return ours && !others;
}

static gboolean is_ours_to_change(const char *path)
{
    char value[8] = "";

    if (!g_str_has_suffix(path, ".service") &&
        !g_str_has_suffix(path, ".scope"))
        return TRUE;
    return (getxattr(path, "trusted.delegate", value, sizeof value - 1) > 0 ||
            getxattr(path, "user.delegate", value, sizeof value - 1) > 0) &&
           value[0] == '1';
}

Cgroup *cgroup_new(pid_t session)
{
    g_autofree char *own = path_of("self");
    const char *mount = own ? mount_point() : NULL;
    g_autofree char *parent = mount ? g_strconcat(mount, own, NULL) : NULL;
    Cgroup *cgroup;

    if (!parent || !is_ours_to_change(parent) || !is_alone(parent, session))
        return NULL;
    cgroup = g_new0(Cgroup, 1);
    cgroup->path = g_strdup_printf("%s/vm-%d", parent, getpid());
    if (mkdir(cgroup->path, 0755) == 0) {
        cgroup->kill_fd = open_in(cgroup->path, "cgroup.kill", O_WRONLY);
        cgroup->procs_fd = open_in(cgroup->path, "cgroup.procs", O_RDONLY);
        if (cgroup->kill_fd >= 0)
            return cgroup;
        rmdir(cgroup->path);
    }
    g_free(cgroup->path);
    g_free(cgroup);
    return NULL;
}

gboolean cgroup_add(Cgroup *cgroup, pid_t pid)
{
    g_autofree char *name = g_strdup_printf("%s/cgroup.procs", cgroup->path);
    char text[16];
    int fd = open(name, O_WRONLY | O_CLOEXEC);
    int len = g_snprintf(text, sizeof text, "%d", pid);
    gboolean done;

    if (fd < 0)
        return FALSE;
    done = write(fd, text, len) == len;
    close(fd);
    return done;
}

int cgroup_kill_fd(const Cgroup *cgroup)
{
    return cgroup->kill_fd;
}

int cgroup_procs_fd(const Cgroup *cgroup)
{
    return cgroup->procs_fd;
}

gboolean cgroup_kill(Cgroup *cgroup)
{
    return write(cgroup->kill_fd, "1", 1) == 1;
}

void cgroup_free(Cgroup *cgroup)
{
    if (!cgroup)
        return;
    close(cgroup->kill_fd);
    if (cgroup->procs_fd >= 0)
        close(cgroup->procs_fd);
    rmdir(cgroup->path);
    g_free(cgroup->path);
    g_free(cgroup);
}

/* TRUE where all in the list, and at least one, are among @pids. */
static gboolean are_all(int list, const GArray *pids)
{
    FILE *file = list < 0 ? NULL : fdopen(dup(list), "r");
    gboolean all = file != NULL;
    int pid, count = 0;

    for (; all && fscanf(file, "%d", &pid) == 1; count++) {
        all = FALSE;
        for (guint i = 0; i < pids->len && !all; i++)
            all = g_array_index(pids, pid_t, i) == pid;
    }
    if (file)
        fclose(file);
    return all && count > 0;
}

static gboolean has_groups_below(const char *path)
{
    char text[256] = "";
    int fd = open_in(path, "cgroup.stat", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    return n <= 0 || !g_str_has_prefix(text, "nr_descendants 0\n");
}

int cgroup_open_of(pid_t pid, const GArray *pids, int *kill_fd)
{
    g_autofree char *process = g_strdup_printf("%d", pid);
    g_autofree char *group = path_of(process);
    const char *mount = group ? mount_point() : NULL;
    g_autofree char *path = mount ? g_strconcat(mount, group, NULL) : NULL;
    int list = path ? open_in(path, "cgroup.procs", O_RDONLY) : -1;

    *kill_fd = -1;
    if (list < 0)
        return -1;
    if (has_groups_below(path) || !are_all(list, pids)) {
        close(list);
        return -1;
    }
    *kill_fd = open_in(path, "cgroup.kill", O_WRONLY);
    return list;
}
