/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see guard_wire.h. */
#include "guard_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union {
    char space[CMSG_SPACE(GUARD_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
} Control;

bool guard_wire_send(int socket, const GuardPacket *packet, const int *fds,
                     unsigned n)
{
    Control control = {0};
    struct iovec iov = {(void *)packet, sizeof *packet};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* However many came. */
static unsigned take_fds(struct msghdr *message, int *fds)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    unsigned n = 0;

    if (header && header->cmsg_level == SOL_SOCKET &&
        header->cmsg_type == SCM_RIGHTS) {
        n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(header), n * sizeof(int));
    }
    return n;
}

GuardWire guard_wire_receive(int socket, GuardPacket *packet, int *fds,
                             unsigned *n, int flags)
{
    Control control = {0};
    struct iovec iov = {packet, sizeof *packet};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got;

    *n = 0;
    do
        got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0) /* reset: the other end had not read all; packets may follow */
        return errno == EAGAIN || errno == ECONNRESET ? GUARD_WIRE_NOTHING
                                                      : GUARD_WIRE_END;
    *n = take_fds(&message, fds);
    if (got == sizeof *packet && packet->version == GUARD_VERSION &&
        !(message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)))
        return GUARD_WIRE_PACKET;
    while (*n > 0)
        close(fds[--*n]);
    if (got == 0)
        return GUARD_WIRE_END;
    return message.msg_flags & MSG_CTRUNC ? GUARD_WIRE_NO_ROOM
                                          : GUARD_WIRE_NOTHING;
}
