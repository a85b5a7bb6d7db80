/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the files of virt-lock-guard share
 *
 *   virt-lock-guard.c       the story: listen, keep a spare, say goodbye
 *   virt-lock-guard-told.c  what the supervisor has told
 *   virt-lock-guard-end.c   the supervisor is gone: kill, wait, drain, let go
 *   virt-lock-guard-self.c  rights given up; what is said
 *
 * No glib, nothing shared: the whole program is a few pages of memory for as
 * long as it has nothing to do, which is nearly always.
 */
#ifndef VIRT_LOCK_GUARD_H
#define VIRT_LOCK_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "../supervisor/guard_wire.h"
#include "../supervisor/sweep.h"

#define GUARD_RESERVE 16
/* Fewer than a sweep can have. */
#define GUARD_OTHERS_MAX 1000

/* One thing that was told, and the descriptors that came with it. */
typedef struct {
    GuardPacket said;
    int fds[GUARD_FDS_MAX]; /* n_fds of them, ours */
    unsigned n_fds;
    bool stale;     /* not told again since RESET */
    bool qemu_seen; /* of a lease: its bytes were held when all ended */
} Told;

typedef struct {
    const char *name;           /* of the VM */
    int log;                    /* never blocks */
    int reserve[GUARD_RESERVE]; /* descriptors for the end, so that leases
                                   cannot have taken the last */
    Told child, live;           /* said.what 0: not told */
    SweepOne *others; /* of the VM's that live; NULL: there never was one */
    size_t n_others;
    Told *leases;
    size_t n_leases, room;
    int spare; /* a socket to it; -1: there is none */
    pid_t spare_pid;
} Guard;

/* virt-lock-guard.c */
/* Waits until @fd is readable (-1: never) or for @ms milliseconds (-1: for
 * ever), and sees to it that there is a spare. FALSE in a spare that has just
 * taken our place: what it was forked in the middle of is to be left. */
bool guard_wait(Guard *guard, int fd, int ms);
/* The spare, too, is told. */
void guard_forward(Guard *guard, const GuardPacket *packet, const int *fds,
                   unsigned n);

/* virt-lock-guard-told.c */
/* Takes the descriptors over. Answers 0, or an errno where it cannot be
 * kept. */
int told_take(Guard *guard, const GuardPacket *packet, const int *fds,
              unsigned n);
/* Gives @sweep all others that are known, or takes back, as others, all that
 * it has. FALSE where it could not, for errno. */
bool told_give_others(Guard *guard, Sweep *sweep);
void told_take_back(Guard *guard, Sweep *sweep);
/* Ends the locks of @lease, whoever has its descriptors besides us. */
void told_let_go(Told *lease);
/* TRUE where a process of the VM has its liveness. */
bool told_lives(const Guard *guard);
/* TRUE where somebody else has the lease, however. */
bool told_another_holds(const Told *lease);

/* virt-lock-guard-end.c */
/* Returns only in a spare, see guard_wait(). */
void end_of_supervisor(Guard *guard);

/* virt-lock-guard-self.c */
void self_confine(Guard *guard);
/* The end is there: descriptors are to be had. */
void self_use_reserve(Guard *guard);
/* What fork(2) does not pass on. */
void self_confine_spare(void);
/* One sentence for the log, as printf(3) makes it. */
#define self_say(guard, ...)                                                   \
    do {                                                                       \
        char sentence_[SELF_SENTENCE_MAX];                                     \
        snprintf(sentence_, sizeof sentence_, __VA_ARGS__);                    \
        self_put(guard, sentence_);                                            \
    } while (0)
#define SELF_SENTENCE_MAX 1024
void self_put(const Guard *guard, char *sentence);
/* Microseconds. */
int64_t self_now(void);

#endif
