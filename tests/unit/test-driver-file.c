/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the file driver: who is let in, when, and what is said to who is not
 *
 * Each test runs with the second party in this process, and in one of its
 * own.
 */
#include "party.h"

#define UUID_A "6f0e1d2c-0000-4000-8000-00000000000a"
#define UUID_B "6f0e1d2c-0000-4000-8000-00000000000b"

typedef struct {
    Fixture f;
    Party *a, *b;
} Two;

static void set_up(Two *t, gconstpointer process)
{
    fixture_make(&t->f);
    t->a = party_new(&t->f, UUID_A, "a", process != NULL);
    t->b = party_new(&t->f, UUID_B, "b", FALSE);
    TELL(t->a, ACQUIRE, VM, "done");
    TELL(t->b, ACQUIRE, VM, "done");
}

static void tear_down(Two *t, gconstpointer process)
{
    party_end(t->a);
    party_end(t->b);
    fixture_remove(&t->f);
}

/* --- modes ------------------------------------------------------------------
 */

static void modes(Two *t, gconstpointer process)
{
    static const ResourceMode all[] = {RESOURCE_EXCLUSIVE, RESOURCE_SHARED,
                                       RESOURCE_READONLY};

    for (int thing = DISK; thing < N_THINGS; thing++) {
        for (int i = 0; i < 3; i++) {
            TELL_MODE(t->a, ACQUIRE, thing, all[i], "done");
            for (int j = 0; j < 3; j++) {
                if (i && j) {
                    TELL_MODE(t->b, ACQUIRE, thing, all[j], "done");
                    TELL(t->b, RELEASE, thing, "done");
                    continue;
                }
                TELL_MODE(t->b, ACQUIRE, thing, all[j], "LeaseBusy");
                SAID(t->b, "held by 'a' (" UUID_A);
            }
            TELL(t->a, RELEASE, thing, "done");
        }
        TELL(t->b, ACQUIRE, thing, "done");
        TELL(t->b, RELEASE, thing, "done");
    }
}

static void one_vm_runs_once(Two *t, gconstpointer process)
{
    Party *again = party_new(&t->f, UUID_A, "again", FALSE);

    TELL(again, ACQUIRE, VM, "LeaseBusy");
    SAID(again, "cannot acquire VM '" UUID_A "': held by 'a'");
    party_end(again);
}

/* --- liveness ---------------------------------------------------------------
 */

/* The supervisor is dead, its child is not. */
static void child_outlives(Two *t, ResourceMode mode)
{
    pid_t child;

    TELL_MODE(t->a, ACQUIRE, DISK, mode, "done");
    TELL_MODE(t->a, ACQUIRE, NAMED, mode, "done");
    told(t->a, CHILD, 0, 0);
    child = t->a->last.child;
    party_end(t->a);
    for (int thing = DISK; thing <= NAMED; thing += NAMED - DISK) {
        TELL(t->b, ACQUIRE, thing, "LeaseBusy");
        SAID(t->b, "held by 'a', which is exiting (" UUID_A);
        if (mode == RESOURCE_EXCLUSIVE)
            TELL_MODE(t->b, ACQUIRE, thing, RESOURCE_SHARED, "LeaseBusy");
    }
    t->a = party_new(&t->f, UUID_A, "a", FALSE);
    TELL(t->a, ACQUIRE, VM, "LeaseBusy");
    SAID(t->a, "held by 'a', which is exiting");
    end_child(child);
    TELL(t->a, ACQUIRE, VM, "done");
    TELL(t->b, ACQUIRE, DISK, "done");
    TELL(t->b, ACQUIRE, NAMED, "done");
}

static void exclusive_child_outlives(Two *t, gconstpointer process)
{
    child_outlives(t, RESOURCE_EXCLUSIVE);
}

static void shared_child_outlives(Two *t, gconstpointer process)
{
    child_outlives(t, RESOURCE_SHARED);
}

/* What a child of an earlier lease holds is nothing that a later one needs. */
static void released_liveness_is_free(Two *t, gconstpointer process)
{
    pid_t child;

    TELL(t->a, ACQUIRE, DISK, "done");
    told(t->a, CHILD, 0, 0);
    child = t->a->last.child;
    TELL(t->a, RELEASE, DISK, "done");
    TELL(t->b, ACQUIRE, DISK, "done"); /* while a's child lives */
    TELL(t->b, RELEASE, DISK, "done");
    TELL(t->a, ACQUIRE, OTHER_DISK, "done"); /* plugged in: covered as well */
    if (process) {
        party_end(t->a);
        TELL(t->b, ACQUIRE, OTHER_DISK, "LeaseBusy");
        end_child(child);
        TELL(t->b, ACQUIRE, OTHER_DISK, "done");
        t->a = party_new(&t->f, UUID_A, "a", FALSE);
    } else {
        end_child(child);
    }
}

/* --- QEMU's bytes -----------------------------------------------------------
 */

static void taker_looks(Two *t, gconstpointer process)
{
    static const struct {
        int byte;
        const char *words[3]; /* exclusive, shared, readonly */
    } cases[] = {
        {100, {"done", "done", "done"}},
        {101, {"LeaseBusy", "done", "LeaseBusy"}},
        {103, {"LeaseBusy", "done", "LeaseBusy"}},
        {200, {"LeaseBusy", "LeaseBusy", "LeaseBusy"}},
        {201, {"LeaseBusy", "LeaseBusy", "done"}},
        {203, {"LeaseBusy", "LeaseBusy", "done"}},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        int fd = qemu_locks(&t->f, cases[i].byte, 0);

        for (int mode = 0; mode < 3; mode++) {
            g_autofree char *text =
                g_strdup_printf("lock byte %d is held", cases[i].byte);

            TELL_MODE(t->a, ACQUIRE, DISK, (ResourceMode)mode,
                      cases[i].words[mode]);
            if (g_str_equal(cases[i].words[mode], "done"))
                TELL(t->a, RELEASE, DISK, "done");
            else
                SAID(t->a, text);
        }
        close(fd);
        TELL(t->a, ACQUIRE, DISK, "done"); /* nothing of it is left */
        TELL(t->a, RELEASE, DISK, "done");
    }
}

static void drains(Two *t, gconstpointer process)
{
    int fd;

    TELL(t->a, ACQUIRE, DISK, "done");
    told(t->a, USED, DISK, 0);
    fd = qemu_locks(&t->f, 101, 201);
    TELL(t->a, RELEASE, DISK, "pending");
    TELL(t->b, ACQUIRE, DISK, "LeaseBusy");
    SAID(t->b, "held by 'a'");
    close(fd);
    TELL(t->a, WAIT, DISK, "done");
    TELL(t->b, ACQUIRE, DISK, "done");
}

static void drain_is_forced(Two *t, gconstpointer process)
{
    int fd;

    TELL(t->a, ACQUIRE, DISK, "done");
    told(t->a, USED, DISK, 0);
    fd = qemu_locks(&t->f, 101, 0);
    TELL(t->a, RELEASE, DISK, "pending");
    told(t->a, FORCE, DISK, 0);
    g_strlcpy(t->a->last.word, "pending", sizeof t->a->last.word);
    TELL(t->a, RELEASE, DISK, "done");
    close(fd);
}

/* Who needs not wait: it was never used; nothing is written; another sharer
 * holds it after us. */
static void nothing_to_drain(Two *t, gconstpointer process)
{
    int fd;

    TELL(t->a, ACQUIRE, DISK, "done");
    fd = qemu_locks(&t->f, 101, 0);
    TELL(t->a, RELEASE, DISK, "done");
    close(fd);

    TELL_MODE(t->a, ACQUIRE, DISK, RESOURCE_SHARED, "done");
    told(t->a, USED, DISK, 0);
    fd = qemu_locks(&t->f, 101, 0);
    TELL_MODE(t->b, ACQUIRE, DISK, RESOURCE_SHARED, "done");
    told(t->b, USED, DISK, 0);
    TELL(t->a, RELEASE, DISK, "done");
    TELL(t->b, RELEASE, DISK, "pending"); /* the last one waits */
    close(fd);
    TELL(t->b, WAIT, DISK, "done");
}

/* A reader who stays behind answers for the sharer's writes. */
static void the_last_one_waits(Two *t, gconstpointer process)
{
    int fd;

    TELL_MODE(t->a, ACQUIRE, DISK, RESOURCE_SHARED, "done");
    told(t->a, USED, DISK, 0);
    TELL_MODE(t->b, ACQUIRE, DISK, RESOURCE_READONLY, "done");
    told(t->b, USED, DISK, 0);
    fd = qemu_locks(&t->f, 101, 0);
    TELL(t->a, RELEASE, DISK, "done");
    TELL(t->b, RELEASE, DISK, "pending");
    close(fd);
    TELL(t->b, WAIT, DISK, "done");
}

/* No QEMU: the kernel tells whether anybody has it open. */
static void drains_by_write_lease(Two *t, gconstpointer process)
{
    int fd;

    TELL(t->a, ACQUIRE, DISK, "done");
    told(t->a, USED, DISK, 0);
    fd = open(t->f.disk, O_RDWR | O_CLOEXEC);
    TELL(t->a, RELEASE, DISK, "pending");
    close(fd);
    TELL(t->a, WAIT, DISK, "done");
    /* somebody had it open from the start: then it says nothing */
    fd = open(t->f.disk, O_RDONLY | O_CLOEXEC);
    TELL(t->a, ACQUIRE, DISK, "done");
    told(t->a, USED, DISK, 0);
    TELL(t->a, RELEASE, DISK, "done");
    close(fd);
}

/* --- lockspace --------------------------------------------------------------
 */

/* Two hosts: a state directory each, one lockspace. */
static void lockspace(void)
{
    Fixture f = {0}, g;
    g_autofree char *param = NULL, *here = NULL, *file = NULL, *sum = NULL;
    g_autofree char *elsewhere = NULL;
    const char *params[] = {NULL, NULL};
    Party *a, *b, *again;

    fixture_make(&f);
    here = g_build_filename(f.dir, "space", NULL);
    params[0] = param = g_strconcat("lockspace=", here, NULL);
    f.params = params;
    g = f;
    g.state = elsewhere = g_build_filename(f.dir, "elsewhere", NULL);
    g_assert_cmpint(g_mkdir(g.state, 0755), ==, 0);
    a = party_new(&f, UUID_A, "a", TRUE);
    b = party_new(&g, UUID_B, "b", FALSE);
    again = party_new(&g, UUID_A, "again", FALSE);
    TELL(a, ACQUIRE, VM, "done");
    TELL(b, ACQUIRE, VM, "done");
    TELL(again, ACQUIRE, VM, "LeaseBusy");
    SAID(again, "held by 'a'");
    TELL(a, ACQUIRE, DISK, "done");
    TELL(a, ACQUIRE, NAMED, "done");
    TELL(b, ACQUIRE, NAMED, "LeaseBusy");
    SAID(b, "held by 'a'");

    sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, f.disk, -1);
    file = g_build_filename(here, sum, NULL);
    g_assert_cmpint(access(file, F_OK), ==, 0);
    /* The other host has a disk of its own by that name. */
    g_assert_cmpint(g_unlink(f.disk), ==, 0);
    g_assert_true(g_file_set_contents(f.disk, "y", 1, NULL));
    TELL(b, ACQUIRE, DISK, "LeaseBusy");
    SAID(b, "held by 'a'");

    told(a, CHILD, 0, 0);
    pid_t child = a->last.child;
    party_end(a);
    TELL(b, ACQUIRE, DISK, "LeaseBusy");
    SAID(b, "which is exiting");
    TELL(again, ACQUIRE, VM, "LeaseBusy");
    end_child(child);
    TELL(b, ACQUIRE, DISK, "done");
    TELL(again, ACQUIRE, VM, "done");
    party_end(b);
    party_end(again);
    fixture_remove(&f);
}

static void bad_params(void)
{
    static const char *const bad[] = {"lockspace=", "check=x", "check=-1",
                                      "drain=3601", "no=such"};
    static const char *const good[] = {"lockspace=/nowhere", "check=0",
                                       "drain=3600"};
    Record record = {.uuid = UUID_A};

    for (gsize i = 0; i < G_N_ELEMENTS(bad) + G_N_ELEMENTS(good); i++) {
        gboolean is_bad = i < G_N_ELEMENTS(bad);
        const char *params[] = {is_bad ? bad[i] : good[i - G_N_ELEMENTS(bad)],
                                NULL};
        DriverContext context = {.state_dir = "/nowhere",
                                 .params = (char **)params,
                                 .owner = &record};
        g_autoptr(GError) error = NULL;
        gpointer driver = driver_file.open(&context, &error);

        g_assert_cmpint(driver == NULL, ==, is_bad);
        if (driver)
            driver_file.close(driver);
        else
            g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    }
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define TWO(f)                                                                 \
    g_test_add("/file/" #f "/two-processes", Two, argv, set_up, f, tear_down)
#define ADD(f)                                                                 \
    g_test_add("/file/" #f "/one-process", Two, NULL, set_up, f, tear_down);   \
    TWO(f)
    ADD(modes);
    ADD(one_vm_runs_once);
    TWO(exclusive_child_outlives);
    TWO(shared_child_outlives);
    ADD(released_liveness_is_free);
    ADD(taker_looks);
    ADD(drains);
    ADD(drain_is_forced);
    ADD(nothing_to_drain);
    ADD(drains_by_write_lease);
    ADD(the_last_one_waits);
    g_test_add_func("/file/lockspace", lockspace);
    g_test_add_func("/file/params", bad_params);
    return g_test_run();
}
