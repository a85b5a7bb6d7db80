/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who could write when, and whether two could at once
 *
 * An interval says that one run had one resource (a disk, a lease, a uuid) at
 * least from a first moment to a last one:
 *
 *  - first: a moment after the grant. The command's own first instruction;
 *    the supervisor's word that every lease is held, or its answer to
 *    lease-acquire, where the manager has heard it.
 *  - last: a moment at which a writer of the run still ran: its last stamp,
 *    whatever killed it; or its own word that it closes the disk now, before
 *    the lease is given up.
 *
 * Both are readings of one clock (CLOCK_MONOTONIC) at moments when the run
 * had the resource. So two intervals of different runs that have an instant
 * in common, one of them exclusive, are an overlap in earnest; and an overlap
 * is missed only if it is shorter than a writer's pause (50 us; none when it
 * is about to be killed) or if that writer did not run meanwhile, so that it
 * could not write either. No lock takes part in this.
 *
 * Should:  say how close conflicting holders came: a test that is never near
 *          the race proves nothing.
 * Mustn't: look at an interval before every writer of its run is dead.
 */
#ifndef TESTS_RACE_OBSERVER_H
#define TESTS_RACE_OBSERVER_H

#include <glib.h>

#include "race.h"

/* How a run ended; part of what an overlap is described by. The number is how
 * many cards of its kind are in the deck from which managers draw. */
#define ENDS(X)                                                                \
    X(KILL_SUPERVISOR, 6, "supervisor killed")                                 \
    X(KILL_CHILD, 2, "child killed")                                           \
    X(KILL_BOTH, 2, "both killed")                                             \
    X(TERM, 1, "TERM")                                                         \
    X(REVOKE, 1, "revoke")                                                     \
    X(REVOKE_DISK, 1, "one disk revoked")                                      \
    X(REVOKE_AND_KILL, 2, "revoke, supervisor killed")                         \
    X(SHUTDOWN, 1, "shutdown")                                                 \
    X(QUIT, 1, "quit")                                                         \
    X(EXIT, 1, "child exits")                                                  \
    X(EARLY_KILL, 3, "killed while it starts")                                 \
    X(EARLY_TERM, 1, "TERM while it starts")
typedef enum {
#define X(code, cards, name) END_##code,
    ENDS(X)
#undef X
        N_ENDS,
    END_UNPLUGGED = N_ENDS, /* not the run's end: one disk's */
} End;

const char *end_name(End end);
const char *form_name(Form form);
char *resource_name(int resource);

typedef struct {
    uint64_t first, last;
    uint32_t run;
    uint8_t slot, resource, mode, form, end;
} Interval;

/* In memory that all managers share. */
typedef struct History History;

History *history_new(void);
/* May be called by all managers at once. */
void history_add(History *history, const Interval *interval);
/* Prints every overlap (the first of them in full) and how close conflicting
 * holders came. Returns how many overlaps there are. Once only. */
unsigned history_judge(History *history);

#endif
