/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* splitmix64: small, and the same everywhere. */
unsigned draw(Slot *slot, unsigned n)
{
    uint64_t z = slot->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ (z >> 31)) >> 16) % n;
}

bool chance(Slot *slot, unsigned n)
{
    return draw(slot, n) == 0;
}

Mode draw_mode(Slot *slot)
{
    static const Mode modes[] = {MODE_READONLY,  MODE_SHARED,    MODE_SHARED,
                                 MODE_EXCLUSIVE, MODE_EXCLUSIVE, MODE_EXCLUSIVE,
                                 MODE_EXCLUSIVE, MODE_EXCLUSIVE};

    return modes[draw(slot, G_N_ELEMENTS(modes))];
}

void count(Slot *slot, Counter counter)
{
    atomic_fetch_add(&slot->world->counters[counter], 1);
}

Counter refusal(const char *sentence)
{
    if (strstr(sentence, "is exiting"))
        return COUNT_REFUSED_EXITING;
    if (strstr(sentence, "QEMU"))
        return COUNT_REFUSED_QEMU;
    if (strstr(sentence, "held by"))
        return COUNT_REFUSED;
    return COUNT_REFUSED_OTHER;
}

char *disk_path(const World *world, int disk, bool second_name)
{
    return g_strdup_printf("%s/%s%d", world->dir,
                           second_name ? "second" : "disk", disk);
}

char *uuid_text(int uuid)
{
    return g_strdup_printf("6f0e0000-0000-4000-8000-%012d", uuid);
}

/* --- saying what is wrong --------------------------------------------------
 */

static char *read_about(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, NULL);
    return g_strchomp(text ? text : g_strdup("?"));
}

/* All below @pid: name and state, and where in the kernel they are. */
static void print_below(pid_t pid)
{
    g_autofree char *task = g_strdup_printf("task/%d/children", (int)pid);
    g_autofree char *text = read_about(pid, task);

    for (char *next = text, *end; *next; next = end) {
        pid_t child = (pid_t)strtol(next, &end, 10);

        if (end == next)
            break;
        g_autofree char *stat = read_about(child, "stat");
        g_autofree char *stack = read_about(child, "stack");
        if (strrchr(stat, ')'))
            strrchr(stat, ')')[3] = '\0';
        printf("  %s, child of %d\n%s\n", stat, (int)pid, stack);
        print_below(child);
    }
}

void fail(Slot *slot, const Run *run, const char *format, ...)
{
    g_autofree char *log = NULL;
    va_list args;

    printf("FAILED: VM %d, run %u (%s; %s; supervisor %d): ", slot->number,
           run->number, form_name(run->form), end_name(run->end),
           (int)run->pid);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    if (run->log && g_file_get_contents(run->log, &log, NULL, NULL) && *log)
        printf("  it said: %s\n", g_strchomp(log));
    print_below(getpid());
    fflush(stdout);
    _exit(1);
}

/* --- the loop --------------------------------------------------------------
 */

/* From a shuffled deck, so that each kind comes often enough. */
static End draw_end(Slot *slot)
{
    static const int cards[] = {
#define X(code, cards, name) cards,
        ENDS(X)
#undef X
    };
    int i;

    if (slot->cards == 0) {
        for (int end = 0; end < N_ENDS; end++) {
            for (int n = cards[end]; n > 0; n--)
                slot->deck[slot->cards++] = (End)end;
        }
    }
    i = (int)draw(slot, (unsigned)slot->cards);
    End end = slot->deck[i];
    slot->deck[i] = slot->deck[--slot->cards];
    return end;
}

static void draw_resources(Slot *slot, Run *run)
{
    const World *world = slot->world;

    for (int n = 1 + (int)draw(slot, 3); n > 0; n--) {
        int disk = (int)draw(slot, (unsigned)world->disks);

        run->holds[disk] =
            (Hold){.mode = draw_mode(slot),
                   .second_name = disk >= DISKS / 2 && chance(slot, 2)};
    }
    if (chance(slot, 4))
        run->holds[DISKS + (int)draw(slot, LEASES)].mode = MODE_EXCLUSIVE;
    run->holds[DISKS + LEASES + run->uuid].mode = MODE_EXCLUSIVE;
}

/* The next run, in the place of one that is dead. */
static Run *draw_run(Slot *slot)
{
    unsigned index = slot->runs % RUNS_PER_SLOT;
    Run *run = &slot->past[index];

    run_settle(slot, run);
    /* What a run is to be depends on the seed alone, not on how fast those
     * before it were. */
    slot->random =
        (slot->world->seed * SLOTS + (unsigned)slot->number) * (1U << 20) +
        slot->runs;
    if (chance(slot, 2))
        slot->uuid = (int)draw(slot, UUIDS);
    g_free(run->log);
    *run = (Run){
        .number = (unsigned)slot->number + SLOTS * slot->runs,
        .memory = &slot->world->memory
                       ->runs[(unsigned)slot->number * RUNS_PER_SLOT + index],
        .form = (Form)draw(slot, N_FORMS),
        .end = draw_end(slot),
        .uuid = slot->uuid,
        .qemu = chance(slot, 2),
        .deaf = chance(slot, 4),
        .wait = chance(slot, 2),
        .process = -1,
        .control = -1,
        .stamper = -1,
        .deadline = now_ns() + slot->world->patience,
        .log = g_strdup_printf("%s/vm%d-%u.err", slot->world->dir, slot->number,
                               index),
    };
    memset(run->memory, 0, sizeof(*run->memory));
    draw_resources(slot, run);
    slot->runs++;
    return run;
}

static void one_run(Slot *slot)
{
    Run *run = draw_run(slot);

    run_start(slot, run);
    if (run->end == END_EARLY_KILL || run->end == END_EARLY_TERM) {
        run_end_early(slot, run);
    } else if (run_await(slot, run)) {
        live(slot, run);
        invite(slot, run);
        run_end(slot, run);
    }
    slot->world->exclusive[slot->number] = 0;
    slot->world->ending[slot->number] = 0;
    client_free(run->client);
    run->client = NULL;
    for (int i = 0; i < RUNS_PER_SLOT; i++) {
        if (run_is_dead(&slot->past[i]))
            run_settle(slot, &slot->past[i]);
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ; /* what was left to us by those who were killed */
}

/* We are the reaper of everything below us: who has no child left to wait
 * for has left no process behind. */
static void wait_for_everyone(Slot *slot)
{
    const struct timespec gap = {0, 1000 * 1000};
    uint64_t deadline = now_ns() + slot->world->patience;
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0 || errno != ECHILD) {
        if (pid > 0)
            continue;
        if (now_ns() > deadline)
            fail(slot, &slot->past[0], "processes are left behind");
        nanosleep(&gap, NULL);
    }
}

void manage(World *world, int number)
{
    Slot slot = {.world = world, .number = number};

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < RUNS_PER_SLOT; i++)
        slot.past[i].control = -1;
    while (now_ns() < world->until)
        one_run(&slot);
    for (int i = 0; i < RUNS_PER_SLOT; i++)
        run_settle(&slot, &slot.past[i]);
    wait_for_everyone(&slot);
    fflush(stdout);
    _exit(0);
}
