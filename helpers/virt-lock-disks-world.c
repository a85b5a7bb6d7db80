/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: files and descriptors, as they are. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "virt-lock-disks.h"

static gboolean read_all(int fd, GString *bytes, gsize max)
{
    char buffer[16 * 1024];
    gssize n;

    do {
        n = read(fd, buffer, sizeof(buffer));
        if (n > 0)
            g_string_append_len(bytes, buffer, n);
    } while ((n > 0 && bytes->len <= max) || (n < 0 && errno == EINTR));
    return n >= 0;
}

char *world_read(gpointer data, const char *path, gsize max, gsize *len,
                 GError **error)
{
    g_autofree char *name = shown(path);
    g_autoptr(GString) bytes = g_string_new(NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || !read_all(fd, bytes, max)) {
        set_errno(error, "cannot read '%s'", name);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    close(fd);
    if (bytes->len > max) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot read '%s': it is longer than %" G_GSIZE_FORMAT
                    " bytes",
                    name, max);
        return NULL;
    }
    *len = bytes->len;
    return g_string_free(g_steal_pointer(&bytes), FALSE);
}

gboolean world_look(gpointer data, const char *path, struct stat *st)
{
    return stat(path, st) == 0;
}

char *world_fd_path(gpointer data, int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = g_file_read_link(link, NULL);
    struct stat open_st, st;

    /* what was renamed is found, what was unlinked or replaced is not */
    if (path && *path == '/' && fstat(fd, &open_st) == 0 &&
        stat(path, &st) == 0 && st.st_dev == open_st.st_dev &&
        st.st_ino == open_st.st_ino)
        return g_steal_pointer(&path);
    return NULL;
}
