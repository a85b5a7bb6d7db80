/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a manager of virtual machines that is in a hurry
 *
 * Each of the SLOTS managers is a process of its own: it draws a run from its
 * own random numbers, starts it, plugs disks in and out, ends it in one of
 * many ways, and starts the next one at once, while what it killed may still
 * be dying. start.c and end.c start and end a run, plug.c is what happens
 * between; manager.c is the loop.
 *
 * Should:  know of everything that is awaited when it must have happened; say
 *          what the processes do where it has not.
 * Mustn't: lock anything; wait for a run to be dead before the next is
 *          started; leave a process behind.
 */
#ifndef TESTS_RACE_MANAGER_H
#define TESTS_RACE_MANAGER_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../../libsupervise/client.h"
#include "observer.h"
#include "race.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum { ABOVE = 20 }; /* all descriptors on which stampers find something */

/* What is counted, by all managers together. Why something was refused is
 * told by its sentence: the four stand in the same order. */
#define COUNTERS(X)                                                            \
    X(STARTED, "starts")                                                       \
    X(RAN, "ran")                                                              \
    X(REFUSED, "refused: held")                                                \
    X(REFUSED_EXITING, "refused: holder is exiting")                           \
    X(REFUSED_QEMU, "refused: QEMU's byte")                                    \
    X(REFUSED_OTHER, "refused: other")                                         \
    X(WATCHED, "grants heard of")                                              \
    X(PLUGGED, "hot-plugs")                                                    \
    X(DUELS, "duels")                                                          \
    X(BUSY, "hot-plugs refused: held")                                         \
    X(BUSY_EXITING, "hot-plugs refused: holder is exiting")                    \
    X(BUSY_QEMU, "hot-plugs refused: QEMU's byte")                             \
    X(BUSY_OTHER, "hot-plugs refused: other")                                  \
    X(UNPLUGGED, "unplugs")                                                    \
    X(IN_USE, "unplugs refused")                                               \
    X(FORCED, "unplugs by force")                                              \
    X(CONFLICTS, "conflicts of QEMU's bytes")
typedef enum {
#define X(code, name) COUNT_##code,
    COUNTERS(X)
#undef X
        N_COUNTERS
} Counter;

/* Everything that the managers share. */
typedef struct {
    const char *supervisor, *stamper, *dir;
    char *run_dir, *state_dir;
    char **options; /* of every supervisor, NULL-terminated */
    int disks;      /* how many of the DISKS are used */
    uint64_t seed, until;
    uint64_t patience;      /* with one run, and with the end of an old one */
    int memory_fd, life_fd; /* not below 20: the low ones are a stamper's */
    Memory *memory;
    History *history;
    /* By slot, bits: its exclusive disks, and those that it is about to lose */
    _Atomic uint32_t *exclusive, *ending;
    _Atomic uint32_t *duel; /* see plug.c */
    _Atomic uint32_t *counters, *ends;
} World;

/* One resource of one run. @first 0: had since the start. */
typedef struct {
    Mode mode; /* MODE_NONE: not had */
    bool second_name;
    uint64_t first;
} Hold;

typedef struct {
    unsigned number; /* of the run; no other has it */
    RunMemory *memory;
    Form form;
    End end;
    int uuid;
    bool qemu, deaf, wait; /* see stamper.c; --wait */
    Hold holds[RESOURCES];
    pid_t pid;   /* the supervisor's */
    int process; /* a pidfd of it, -1: reaped */
    int status;  /* as waitpid() has it */
    int control; /* socket to the stampers; -1: the run is settled */
    int stamper; /* a pidfd of the first of them, or -1 */
    uint64_t granted, deadline;
    char *log; /* the supervisor's standard error */
    Client *client;
} Run;

typedef struct {
    World *world;
    int number;
    uint64_t random; /* the generator's state */
    unsigned runs;
    int uuid;     /* of the last run */
    End deck[64]; /* of cards; see draw_end() */
    int cards;
    Run past[RUNS_PER_SLOT];
} Slot;

/* --- manager.c --- */

/* The life of a manager, from fork to _exit. */
_Noreturn void manage(World *world, int number);
/* Below @n. */
unsigned draw(Slot *slot, unsigned n);
/* One in @n. */
bool chance(Slot *slot, unsigned n);
Mode draw_mode(Slot *slot);
void count(Slot *slot, Counter counter);
/* Of a sentence: COUNT_REFUSED or one of the next three. */
Counter refusal(const char *sentence);
/* Path of a disk, by one of its names. */
char *disk_path(const World *world, int disk, bool second_name);
char *uuid_text(int uuid);
/* Says what went wrong in @run, and what its processes do; ends the manager.
 * The others are ended by who started us. */
_Noreturn void fail(Slot *slot, const Run *run, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* --- start.c --- */

void run_start(Slot *slot, Run *run);
/* TRUE: the command runs. FALSE: the run has ended, and why was looked at. */
bool run_await(Slot *slot, Run *run);
/* Waits for the supervisor's end. */
void run_reap(Slot *slot, Run *run);
/* Waits for @fd until the run's deadline. */
void await(Slot *slot, Run *run, int fd, const char *what);
bool is_ready(int fd);
/* What is left of the time until @moment, rounded up. */
int ms_until(uint64_t moment);

/* --- end.c --- */

/* Sends SIGKILL or SIGTERM after a while, whatever it does then. */
void run_end_early(Slot *slot, Run *run);
void run_end(Slot *slot, Run *run);
/* Waits until no writer of the run is left, and remembers what it had. */
void run_settle(Slot *slot, Run *run);
bool run_is_dead(const Run *run);

/* --- plug.c --- */

/* Sends an order, and waits for its reply. */
Reply tell(Slot *slot, Run *run, const Order *order);
/* Tells the others that our disks are about to be free, and lets them come. */
void invite(Slot *slot, Run *run);
/* A while in which the VM lives and has disks plugged in and out. */
void live(Slot *slot, Run *run);
void remember(Slot *slot, const Run *run, int resource, End end, uint64_t last);

#endif
