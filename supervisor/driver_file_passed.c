/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: an object that a client has opened and passed along. */
#include "driver_file_internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

/* FALSE and a sentence where the descriptor that a client passed does not
 * allow the lock, or is not what the client says. */
static gboolean check_passed(const FileLease *f, GError **error)
{
    const char *path = f->lease->resource->path;
    int flags = fcntl(f->lease->fd, F_GETFL);
    int mode = flags & O_ACCMODE;
    struct stat st, now;
    const char *reason = NULL;

    if (fstat(f->lease->fd, &st) < 0)
        return set_errno(error, "cannot look at '%s'", path);
    if (flags < 0 || flags & O_PATH ||
        (file_is_exclusive(f) && mode == O_RDONLY))
        reason = "the descriptor passed along is not open for writing";
    else if (!file_is_exclusive(f) && mode == O_WRONLY)
        reason = "the descriptor passed along is not open for reading";
    else if (stat(path, &now) == 0 &&
             (now.st_dev != st.st_dev || now.st_ino != st.st_ino))
        reason = "the descriptor passed along is of another file";
    if (!reason)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot acquire '%s': %s", path, reason);
    return FALSE;
}

/* TRUE where somebody has locks through the same description (proc(5)). */
static gboolean is_locked(int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", fd);
    g_autofree char *text = NULL;

    return !g_file_get_contents(path, &text, NULL, NULL) ||
           strstr(text, "lock:") != NULL;
}

/*
 * A client opened the object because we may not: confinement left us no right
 * to open other people's files. A description of our own is better where it
 * can be had, since two who share one cannot exclude each other.
 */
static int own_description(FileLease *f, GError **error)
{
    char self[64];
    int fd;

    g_snprintf(self, sizeof self, "/proc/self/fd/%d", f->lease->fd);
    fd = file_open_now(self, file_open_flags(f));
    if (fd < 0 && is_locked(f->lease->fd)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot acquire '%s': the descriptor passed along is "
                    "locked already, and must be opened for us alone",
                    f->lease->resource->path);
        return -1;
    }
    if (fd < 0)
        return f->lease->fd;
    close(f->lease->fd);
    return fd;
}

int file_use_passed(FileLease *f, GError **error)
{
    return check_passed(f, error) ? own_description(f, error) : -1;
}
