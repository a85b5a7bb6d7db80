/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the races test and its stampers share
 *
 * A run is one start of a supervisor and everything below it. Its command is
 * a stamper (tests/bin/stamper.c), which finds on fixed descriptors a socket
 * to the manager that started the run, the memory that is described here, and
 * a pipe that comes to its end when the test does.
 *
 * The memory is how we see who could write, and when, without any lock: every
 * writer of a run puts CLOCK_MONOTONIC there, again and again. The last value
 * stands when the writer is killed. See tests/race/observer.h for what is
 * made of it.
 */
#ifndef TESTS_RACE_RACE_H
#define TESTS_RACE_RACE_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum {
    SLOTS = 4,
    DISKS = 8,
    LEASES = 2,
    UUIDS = 6,
    RESOURCES = DISKS + LEASES + UUIDS,
    RUNS_PER_SLOT = 4, /* dying ones among them */
    WRITERS = 2,       /* of one run */
    CONTROL_FD = 10,
    LIFE_FD = 11,
    MEMORY_FD = 12
};

typedef enum { MODE_NONE, MODE_READONLY, MODE_SHARED, MODE_EXCLUSIVE } Mode;

/* What a stamper is: one process, one with two threads, one with a child that
 * writes as well, or a daemon. The last two can outlive their supervisor. */
#define FORMS(X)                                                               \
    X(PLAIN, "plain")                                                          \
    X(THREAD, "thread")                                                        \
    X(FORK, "fork")                                                            \
    X(DAEMON, "daemon")
typedef enum {
#define X(code, name) FORM_##code,
    FORMS(X)
#undef X
        N_FORMS
} Form;

typedef struct {
    _Alignas(64) _Atomic uint64_t born; /* 0: the command never ran */
    _Atomic uint64_t stamps[WRITERS];   /* when each was last seen to run */
    _Atomic uint64_t die_at;     /* writers end by themselves; 0: never */
    _Atomic uint32_t spin;       /* stamp without a pause, for a moment */
    _Atomic uint32_t spinning;   /* somebody does */
    _Atomic uint32_t conflicts;  /* by QEMU's bytes, two should not be here */
    _Atomic uint32_t conflicted; /* bits of the disks of which that is true */
} RunMemory;

typedef struct {
    RunMemory runs[SLOTS * RUNS_PER_SLOT];
} Memory;

/* Manager to stamper, one packet each, and each but EXIT is answered. */
typedef struct {
    enum { ORDER_OPEN, ORDER_CLOSE, ORDER_EXIT } what;
    int disk;
    Mode mode;
    int status; /* for EXIT */
    char path[256];
} Order;

/* Stamper to manager. HELLO comes with the stamper's pidfd. */
typedef struct {
    enum { REPLY_HELLO, REPLY_DONE } what;
    int error;     /* an errno, 0: it worked */
    uint64_t when; /* for CLOSE: the stamper had the disk until then */
} Reply;

static inline uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

#endif
