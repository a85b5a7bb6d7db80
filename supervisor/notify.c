/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see notify.h. */
#include "notify.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A datagram socket to a path or abstract name; -1 where that fails. */
static int connect_datagram(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd;

    if (len >= sizeof address.sun_path || (*name != '/' && *name != '@'))
        return -1;
    memcpy(address.sun_path, name, len);
    if (*name == '@')
        address.sun_path[0] = 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
                           offsetof(struct sockaddr_un, sun_path) + len) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int notify_open(void)
{
    const char *name = g_getenv("NOTIFY_SOCKET");
    int fd = name ? connect_datagram(name) : -1;

    g_unsetenv("NOTIFY_SOCKET");
    return fd;
}

gboolean notify_send(int fd, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (fd < 0)
        return TRUE;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}
