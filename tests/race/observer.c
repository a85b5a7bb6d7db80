/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observer.h"

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    MAX_INTERVALS = 1 << 20,
    MAX_ACTIVE = 64,  /* that have an instant in common */
    MAX_PRINTED = 20, /* overlaps */
    NS_PER_US = 1000,
    NS_PER_MS = 1000 * 1000
};

struct History {
    _Atomic uint32_t n;
    Interval intervals[MAX_INTERVALS];
};

/* What is found out about one resource after the other. */
typedef struct {
    const Interval *active[MAX_ACTIVE];
    int n_active;
    const Interval *gone, *gone_exclusive; /* those that ended last */
    unsigned overlaps, handovers, close;
    uint64_t longest;                 /* overlap */
    unsigned by[N_FORMS][N_ENDS + 1]; /* overlaps, by what was there and how
                                         it ended */
    uint64_t closest[N_ENDS + 1];     /* hand-over, by how the holder ended */
} Judge;

const char *end_name(End end)
{
    static const char *const names[] = {
#define X(code, cards, name) name,
        ENDS(X)
#undef X
            "unplugged"};

    return names[end];
}

const char *form_name(Form form)
{
    static const char *const names[] = {
#define X(code, name) name,
        FORMS(X)
#undef X
    };

    return names[form];
}

char *resource_name(int resource)
{
    if (resource < DISKS)
        return g_strdup_printf("disk %d", resource);
    if (resource < DISKS + LEASES)
        return g_strdup_printf("lease %d", resource - DISKS);
    return g_strdup_printf("uuid %d", resource - DISKS - LEASES);
}

History *history_new(void)
{
    History *history = mmap(NULL, sizeof(*history), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (history == MAP_FAILED)
        err(2, "cannot map the history");
    return history;
}

void history_add(History *history, const Interval *interval)
{
    uint32_t i = atomic_fetch_add(&history->n, 1);

    if (i >= MAX_INTERVALS)
        errx(2, "cannot remember more than %d intervals", MAX_INTERVALS);
    history->intervals[i] = *interval;
}

static int compare(const void *a, const void *b)
{
    const Interval *x = a, *y = b;

    if (x->resource != y->resource)
        return x->resource < y->resource ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool conflict(const Interval *a, const Interval *b)
{
    return a->run != b->run &&
           (a->mode == MODE_EXCLUSIVE || b->mode == MODE_EXCLUSIVE);
}

static void print_side(const char *what, const Interval *interval)
{
    static const char *const modes[] = {"", "readonly", "shared", "exclusive"};

    printf("  %s: VM %d, run %u (%s, %s; %s)\n", what, interval->slot,
           interval->run, modes[interval->mode],
           form_name((Form)interval->form), end_name((End)interval->end));
}

static void overlap(Judge *judge, const Interval *a, const Interval *b)
{
    uint64_t length = MIN(a->last, b->last) - b->first;
    g_autofree char *name = resource_name(b->resource);

    judge->longest = MAX(judge->longest, length);
    judge->by[a->form][a->end]++;
    if (judge->overlaps++ >= MAX_PRINTED)
        return;
    printf("overlap of %" G_GUINT64_FORMAT " us on %s at %" G_GUINT64_FORMAT
           " ns:\n",
           length / NS_PER_US, name, b->first);
    print_side("had it", a);
    print_side("came in", b);
}

static void keep_later(const Interval **kept, const Interval *interval)
{
    if (!*kept || (*kept)->last < interval->last)
        *kept = interval;
}

/* Puts those away that ended before @next began. */
static void retire(Judge *judge, const Interval *next)
{
    int n = 0;

    for (int i = 0; i < judge->n_active; i++) {
        const Interval *one = judge->active[i];

        if (one->last > next->first) {
            judge->active[n++] = one;
            continue;
        }
        keep_later(&judge->gone, one);
        if (one->mode == MODE_EXCLUSIVE)
            keep_later(&judge->gone_exclusive, one);
    }
    judge->n_active = n;
}

static void measure(Judge *judge, const Interval *next)
{
    const Interval *before =
        next->mode == MODE_EXCLUSIVE ? judge->gone : judge->gone_exclusive;
    uint64_t gap;

    if (!before || before->run == next->run)
        return;
    gap = next->first - before->last;
    judge->handovers++;
    judge->close += gap < NS_PER_MS;
    if (gap < judge->closest[before->end])
        judge->closest[before->end] = gap;
}

static void take(Judge *judge, const Interval *next)
{
    bool alone = true;

    retire(judge, next);
    for (int i = 0; i < judge->n_active; i++) {
        if (conflict(judge->active[i], next)) {
            overlap(judge, judge->active[i], next);
            alone = false;
        }
    }
    if (alone)
        measure(judge, next);
    if (judge->n_active == MAX_ACTIVE)
        errx(2, "more than %d have one resource at once", MAX_ACTIVE);
    judge->active[judge->n_active++] = next;
}

static void print_findings(const Judge *judge, unsigned holds)
{
    printf("hand-overs between those that exclude each other: %u, %u of them "
           "within 1 ms\nthe closest after:\n",
           judge->handovers, judge->close);
    for (int i = 0; i <= N_ENDS; i++) {
        if (judge->closest[i] != UINT64_MAX)
            printf("  %s: %" G_GUINT64_FORMAT " us\n", end_name((End)i),
                   judge->closest[i] / NS_PER_US);
    }
    for (int i = 0; i < N_FORMS * (N_ENDS + 1); i++) {
        int form = i / (N_ENDS + 1), end = i % (N_ENDS + 1);

        if (judge->by[form][end])
            printf("overlaps with %s, %s: %u\n", form_name((Form)form),
                   end_name((End)end), judge->by[form][end]);
    }
    printf("overlaps: %u of %u holds, the longest %" G_GUINT64_FORMAT " us\n",
           judge->overlaps, holds, judge->longest / NS_PER_US);
}

unsigned history_judge(History *history)
{
    Judge judge = {0};

    for (int i = 0; i <= N_ENDS; i++)
        judge.closest[i] = UINT64_MAX;
    qsort(history->intervals, history->n, sizeof(Interval), compare);
    for (uint32_t i = 0; i < history->n; i++) {
        const Interval *one = &history->intervals[i];

        if (i > 0 && one[-1].resource != one->resource) {
            judge.n_active = 0;
            judge.gone = judge.gone_exclusive = NULL;
        }
        take(&judge, one);
    }
    print_findings(&judge, history->n);
    return judge.overlaps;
}
