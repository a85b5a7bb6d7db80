/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what supervisor and guard say to each other
 *
 * One struct of fixed size a packet, over a SOCK_SEQPACKET pair; descriptors
 * come along (SCM_RIGHTS) and are the receiver's. Both ends are of one build;
 * a packet of another size or version is not understood, and dropped.
 *
 *   guard to supervisor   HELLO    I am the guard now: tell me everything
 *                         REFUSED  something could not be kept: errno in pid
 *   supervisor to guard   RESET    what follows, up to ALL, is everything
 *                         CHILD    pid; its pidfd, and maybe cgroup.kill and
 *                                  cgroup.procs of a group of its own
 *                         OTHER    pid; its pidfd: is to be killed with it,
 *                                  however it is related by then
 *                         LIVE     bytes: the VM's own liveness byte in each
 *                                  of the descriptors, none of which is V
 *                         LEASE    id, flags, limit, and its D descriptors,
 *                                  the image first; bytes: L in each of them
 *                         FORGET   id: it is released
 *                         ALL      what was not told since RESET is no more
 *                         END      goodbye: nothing is left to be kept
 *
 * The same goes from a guard to its spare. No glib.
 */
#ifndef SUPERVISOR_GUARD_WIRE_H
#define SUPERVISOR_GUARD_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define GUARD_PROGRAM "virt-lock-guard"
#define GUARD_VERSION 1
#define GUARD_FD      3 /* of the guard: its socket */
#define GUARD_FDS_MAX 3 /* in one packet */

enum {
    GUARD_HELLO = 1,
    GUARD_REFUSED,
    GUARD_RESET,
    GUARD_CHILD,
    GUARD_LIVE,
    GUARD_LEASE,
    GUARD_FORGET,
    GUARD_ALL,
    GUARD_END,
    GUARD_OTHER,
};

/* Of a CHILD. */
enum {
    GUARD_OURS = 1 << 0, /* it has inherited the VM's liveness, and who has that
                            is a descendant of it */
};

/* Of a LEASE. */
enum {
    GUARD_DRAINED = 1 << 0, /* the first descriptor is a disk: it is drained */
    GUARD_ALONE = 1 << 1,   /* nobody else had it open at first */
    GUARD_REMOTE = 1 << 2,  /* to look at it may take long */
    GUARD_VM = 1 << 3,      /* the VM's own: let go last */
};

typedef struct {
    uint32_t version;
    uint32_t what;
    int32_t pid;
    uint32_t id;
    uint32_t flags;
    uint32_t limit; /* of the drain, in seconds */
    uint64_t bytes[GUARD_FDS_MAX];
} GuardPacket;

_Static_assert(sizeof(GuardPacket) == 48, "no padding goes over the wire");

typedef enum {
    GUARD_WIRE_PACKET,
    GUARD_WIRE_NOTHING, /* there is none, or it was not understood */
    GUARD_WIRE_NO_ROOM, /* no more descriptors can be had: it is lost */
    GUARD_WIRE_END,     /* nobody has the other end any more */
} GuardWire;

/* Never waits. FALSE and errno where it was not sent, whole. */
bool guard_wire_send(int socket, const GuardPacket *packet, const int *fds,
                     unsigned n);
/* @flags: of recvmsg(2). The descriptors, @n of them, go to @fds, which has
 * GUARD_FDS_MAX, and are the caller's. */
GuardWire guard_wire_receive(int socket, GuardPacket *packet, int *fds,
                             unsigned *n, int flags);

#endif
