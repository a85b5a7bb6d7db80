/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: may something still write to this image?
 *
 * One look at the locks on an image whose writers are dead, and what is to be
 * made of it: the rule of docs/file-protocol.md, for the supervisor
 * (driver_file_drain.c) and for virt-lock-guard alike. No glib.
 *
 * QEMU's bytes are waited for without end. Where the child did not lock as
 * QEMU does, all that the kernel tells is that somebody has the file open: a
 * write under way, or anybody else who came since. That is waited for, but
 * not for ever; and where somebody waits for a lock on the file it may well be
 * he who has it open: then no longer than a write usually takes.
 *
 * Mustn't: lock anything; wait.
 */
#ifndef SUPERVISOR_DRAIN_H
#define SUPERVISOR_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

/* QEMU holds one of these for as long as it may do more than read. */
#define DRAIN_QEMU_FIRST 101
#define DRAIN_QEMU_LAST  199

typedef enum {
    DRAIN_QUIET, /* nothing can write any more, as far as can be seen */
    DRAIN_QEMU,  /* one of QEMU's bytes is held */
    DRAIN_OPEN,  /* something has it open */
    DRAIN_BLIND, /* its locks cannot be looked at */
} DrainWhy;

typedef struct {
    int fd;         /* of the image: an open file of ours that has our lock */
    bool alone;     /* nobody else had it open at first */
    bool qemu_seen; /* its child locked as QEMU does */
    int64_t waited; /* microseconds */
    int64_t limit;  /* likewise: for what is not waited for without end */
} DrainAsk;

typedef struct {
    DrainWhy why;
    bool enough; /* it has been waited for long enough: let go, and say so */
} DrainAnswer;

DrainAnswer drain_look(const DrainAsk *ask);
/* What is waited for: a clause. NULL for QUIET. */
const char *drain_clause(DrainWhy why);

/* TRUE where somebody else has locked one of the bytes @first to @last of @fd
 * so that we could not lock it for writing. A failed call answers FALSE and
 * sets errno, which is 0 otherwise. */
bool drain_held(int fd, uint64_t first, uint64_t last);

typedef enum {
    DRAIN_ALONE,
    DRAIN_NOT_ALONE,
    DRAIN_ALONE_UNKNOWN,
} DrainAlone;

/* Whether anybody has the image open but by @fd: a write F_SETLEASE, for a
 * moment, which only who has a file open alone gets. It must be a regular one
 * and ours. */
DrainAlone drain_ask_alone(int fd);

#endif
