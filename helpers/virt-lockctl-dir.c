/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-dir.h. */
#include "virt-lockctl-dir.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "qmp.h"

/* A name in the directory, rights to it, and its own end. */
#define WATCHED                                                                \
    (IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |     \
     IN_ONLYDIR)

struct DirWatch {
    char *path;
    int fd; /* inotify */
    int wd; /* the watch that is set, or -1 */
};

/* On the directory, or on the nearest one above it that is there. Returns the
 * watch's number; -1 and @error. */
static int watch_nearest(const DirWatch *watch, GError **error)
{
    g_autofree char *path = g_strdup(watch->path);

    for (;;) {
        int wd = inotify_add_watch(watch->fd, path, WATCHED);
        char *above;

        if (wd >= 0)
            return wd;
        above = g_path_get_dirname(path);
        if (errno != ENOENT || g_str_equal(path, above)) {
            g_free(above);
            set_errno(error, "cannot watch '%s'", path);
            return -1;
        }
        g_free(path);
        path = above;
    }
}

/* Until it is the same one twice: what was made just before the watch was set
 * is not told of. */
static gboolean set_watch(DirWatch *watch, GError **error)
{
    int before;

    do {
        before = watch->wd;
        watch->wd = watch_nearest(watch, error);
        if (watch->wd < 0)
            return FALSE;
        if (before >= 0 && before != watch->wd)
            inotify_rm_watch(watch->fd, before);
    } while (before != watch->wd);
    return TRUE;
}

DirWatch *dir_watch_new(const char *path, GError **error)
{
    DirWatch *watch = g_new0(DirWatch, 1);

    watch->path = g_strdup(path);
    watch->wd = -1;
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0)
        set_errno(error, "cannot watch '%s'", path);
    if (watch->fd >= 0 && set_watch(watch, error))
        return watch;
    dir_watch_free(watch);
    return NULL;
}

void dir_watch_free(DirWatch *watch)
{
    if (!watch)
        return;
    if (watch->fd >= 0)
        close(watch->fd);
    g_free(watch->path);
    g_free(watch);
}

int dir_watch_fd(const DirWatch *watch)
{
    return watch->fd;
}

/* The watch is set again each time: it may be another directory by now. */
gboolean dir_watch_changed(DirWatch *watch, GError **error)
{
    char buffer[4096];
    gboolean any = FALSE;

    while (read(watch->fd, buffer, sizeof(buffer)) > 0)
        any = TRUE;
    if (any)
        set_watch(watch, error);
    return any;
}
