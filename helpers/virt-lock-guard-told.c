/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the supervisor has told, see virt-lock-guard.h. */
#include "virt-lock-guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../supervisor/drain.h"

static void close_fds(Told *told)
{
    while (told->n_fds > 0)
        close(told->fds[--told->n_fds]);
}

static void replace(Told *told, const GuardPacket *packet, const int *fds,
                    unsigned n)
{
    close_fds(told);
    *told = (Told){.said = *packet, .n_fds = n};
    memcpy(told->fds, fds, n * sizeof *fds);
}

static void drop(Told *told)
{
    close_fds(told);
    told->said = (GuardPacket){0};
}

static Told *find(Guard *guard, uint32_t id)
{
    for (size_t i = 0; i < guard->n_leases; i++) {
        if (guard->leases[i].said.id == id)
            return &guard->leases[i];
    }
    return NULL;
}

static Told *find_or_add(Guard *guard, uint32_t id)
{
    Told *found = find(guard, id), *more;
    size_t room = guard->room ? guard->room * 2 : 8;

    if (found)
        return found;
    if (guard->n_leases == guard->room) {
        more = reallocarray(guard->leases, room, sizeof *more);
        if (!more)
            return NULL;
        guard->leases = more;
        guard->room = room;
    }
    found = &guard->leases[guard->n_leases++];
    *found = (Told){.said.id = id};
    return found;
}

static void forget(Guard *guard, Told *lease)
{
    if (!lease)
        return;
    close_fds(lease);
    *lease = guard->leases[--guard->n_leases];
}

/* Who was one of the VM's stays one, whatever is told again. (So does the
 * child: without it nobody is killed.) */
static void begin(Guard *guard)
{
    guard->live.stale = true;
    for (size_t i = 0; i < guard->n_leases; i++)
        guard->leases[i].stale = true;
}

static void end(Guard *guard)
{
    if (guard->live.stale)
        drop(&guard->live);
    for (size_t i = guard->n_leases; i-- > 0;) {
        if (guard->leases[i].stale)
            forget(guard, &guard->leases[i]);
    }
}

static int take_lease(Guard *guard, const GuardPacket *packet, const int *fds,
                      unsigned n)
{
    Told *lease = find_or_add(guard, packet->id);

    if (lease) {
        replace(lease, packet, fds, n);
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
    return ENOMEM;
}

/* Leaves those that live. TRUE where @pid is one. */
static bool prune_others(Guard *guard, pid_t pid)
{
    size_t alive = 0;
    bool known = false;

    for (size_t i = 0; i < guard->n_others; i++) {
        struct pollfd dead = {.fd = guard->others[i].pidfd, .events = POLLIN};

        if (poll(&dead, 1, 0) == 1) {
            close(guard->others[i].pidfd);
            continue;
        }
        known |= guard->others[i].pid == pid;
        guard->others[alive++] = guard->others[i];
    }
    guard->n_others = alive;
    return known;
}

static bool make_others(Guard *guard)
{
    if (!guard->others)
        guard->others = calloc(GUARD_OTHERS_MAX, sizeof *guard->others);
    return guard->others != NULL;
}

static int take_other(Guard *guard, pid_t pid, const int *fds, unsigned n)
{
    bool known = prune_others(guard, pid);

    if (!known && n == 1 && make_others(guard) &&
        guard->n_others < GUARD_OTHERS_MAX) {
        guard->others[guard->n_others++] = (SweepOne){pid, fds[0]};
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
    return known ? 0 : ENOMEM;
}

bool told_give_others(Guard *guard, Sweep *sweep)
{
    while (guard->n_others > 0) {
        const SweepOne *last = &guard->others[guard->n_others - 1];

        if (!sweep_take(sweep, last->pid, last->pidfd))
            return false;
        guard->n_others--;
    }
    return true;
}

void told_take_back(Guard *guard, Sweep *sweep)
{
    for (size_t i = 0; i < sweep->n; i++)
        take_other(guard, sweep->all[i].pid, &sweep->all[i].pidfd, 1);
    sweep->n = 0;
}

int told_take(Guard *guard, const GuardPacket *packet, const int *fds,
              unsigned n)
{
    switch (packet->what) {
    case GUARD_CHILD:
        replace(&guard->child, packet, fds, n);
        return 0;
    case GUARD_OTHER:
        return take_other(guard, packet->pid, fds, n);
    case GUARD_LIVE:
        replace(&guard->live, packet, fds, n);
        return 0;
    case GUARD_LEASE:
        return take_lease(guard, packet, fds, n);
    case GUARD_RESET:
        begin(guard);
        break;
    case GUARD_FORGET:
        forget(guard, find(guard, packet->id));
        break;
    case GUARD_ALL:
        end(guard);
        break;
    default:
        break;
    }
    for (unsigned i = 0; i < n; i++)
        close(fds[i]); /* none belongs to these */
    return 0;
}

/* Said, not left to close(): a spare that is stopped has them, too. */
void told_let_go(Told *lease)
{
    for (unsigned i = 0; i < lease->n_fds; i++) {
        struct flock lock = {.l_type = F_UNLCK,
                             .l_whence = SEEK_SET,
                             .l_start = (off_t)lease->said.bytes[i],
                             .l_len = 1};

        fcntl(lease->fds[i], F_OFD_SETLK, &lock);
    }
    close_fds(lease);
}

bool told_lives(const Guard *guard)
{
    for (unsigned i = 0; i < guard->live.n_fds; i++) {
        uint64_t byte = guard->live.said.bytes[i];

        if (drain_held(guard->live.fds[i], byte, byte))
            return true;
    }
    return false;
}

bool told_another_holds(const Told *lease)
{
    for (unsigned i = 0; i < lease->n_fds; i++) {
        uint64_t byte = lease->said.bytes[i];

        if (drain_held(lease->fds[i], byte, byte))
            return true;
    }
    return false;
}
