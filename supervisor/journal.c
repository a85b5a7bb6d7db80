/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see journal.h. */
#include "journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

struct Journal {
    int fd;
    struct sockaddr_un address;
};

Journal *journal_new(const char *path, GError **error)
{
    g_autofree Journal *journal = g_new0(Journal, 1);

    journal->address.sun_family = AF_UNIX;
    if (g_strlcpy(journal->address.sun_path, path,
                  sizeof journal->address.sun_path) >=
        sizeof journal->address.sun_path) {
        errno = ENAMETOOLONG;
        set_errno(error, "cannot log to the journal at '%s'", path);
        return NULL;
    }
    journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (journal->fd >= 0 &&
        connect(journal->fd, (struct sockaddr *)&journal->address,
                sizeof journal->address) == 0)
        return g_steal_pointer(&journal);
    set_errno(error, "cannot log to the journal at '%s'", path);
    if (journal->fd >= 0)
        close(journal->fd);
    return NULL;
}

void journal_free(Journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    g_free(journal);
}

gboolean journal_reads(int fd)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* One line; where the value has several, its length (64 bit, little endian)
 * stands before it. */
void journal_add_field(GString *entry, const char *name, const char *value)
{
    gsize len = value ? strlen(value) : 0;
    guint64 size = GUINT64_TO_LE(len);

    if (!value)
        return;
    g_string_append(entry, name);
    if (strchr(value, '\n')) {
        g_string_append_c(entry, '\n');
        g_string_append_len(entry, (const char *)&size, sizeof size);
    } else {
        g_string_append_c(entry, '=');
    }
    g_string_append_len(entry, value, len);
    g_string_append_c(entry, '\n');
}

/* By its name, not to the socket that we were connected to: that one is gone
 * for good where the journal had to bind another. */
gboolean journal_send(Journal *journal, const GString *entry)
{
    return sendto(journal->fd, entry->str, entry->len,
                  MSG_DONTWAIT | MSG_NOSIGNAL,
                  (struct sockaddr *)&journal->address,
                  sizeof journal->address) == (ssize_t)entry->len;
}
