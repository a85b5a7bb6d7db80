/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the file driver's hand-over, row by row of docs/file-protocol.md
 *
 * S is the source, T its target (the same VM), F a thief. Each test runs with
 * T in this process, and in one of its own.
 */
#include "party.h"

#define UUID_VM    "6f0e1d2c-0000-4000-8000-00000000000a"
#define UUID_THIEF "6f0e1d2c-0000-4000-8000-00000000000b"

typedef struct {
    Fixture f;
    Party *s, *t, *thief;
    gboolean process;
} Three;

static void set_up(Three *x, gconstpointer process)
{
    x->process = process != NULL;
    fixture_make(&x->f);
    x->s = party_new(&x->f, UUID_VM, "source", x->process);
    x->t = party_new(&x->f, UUID_VM, "target", x->process);
    x->thief = party_new(&x->f, UUID_THIEF, "thief", FALSE);
    TELL(x->s, ACQUIRE, VM, "done");
    TELL(x->s, ACQUIRE, DISK, "done");
    told(x->s, USED, VM, 0);
    told(x->s, USED, DISK, 0);
}

static void tear_down(Three *x, gconstpointer process)
{
    if (x->s)
        party_end(x->s);
    if (x->t)
        party_end(x->t);
    party_end(x->thief);
    fixture_remove(&x->f);
}

static void nobody_gets_in(Three *x)
{
    TELL(x->thief, ACQUIRE, DISK, "LeaseBusy");
    TELL_MODE(x->thief, ACQUIRE, DISK, RESOURCE_SHARED, "LeaseBusy");
    TELL_MODE(x->thief, ACQUIRE, DISK, RESOURCE_READONLY, "LeaseBusy");
}

static void claim(Party *party, const char *word)
{
    if (g_str_equal(told(party, CLAIM, DISK, RESOURCE_EXCLUSIVE), "pending"))
        told(party, WAIT, DISK, 0);
    g_assert_cmpstr(party->last.word, ==, word);
}

static void offer_and_claim(Three *x)
{
    TELL(x->s, OFFER, VM, "done");
    TELL(x->s, OFFER, DISK, "done");
    nobody_gets_in(x);
    TELL(x->t, CLAIM, VM, "done");
    claim(x->t, "done");
    nobody_gets_in(x);
}

static void complete(Three *x)
{
    TELL(x->t, COMPLETE, DISK, "done");
    TELL(x->t, COMPLETE, VM, "done");
}

static guint count_records(const Three *x)
{
    g_autofree char *holders = g_build_filename(x->f.state, "holders", NULL);
    GDir *dir = g_dir_open(holders, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

/* The whole way, in the RFC's order: target first. */
static void handed_over(Three *x, gconstpointer process)
{
    offer_and_claim(x);
    TELL(x->s, CLAIMED, DISK, "done");
    TELL(x->t, TAKE, DISK, "WrongState");
    complete(x);
    nobody_gets_in(x);
    TELL(x->t, TAKE, DISK, "pending");
    nobody_gets_in(x);
    TELL(x->s, RELEASE, DISK, "done");
    TELL(x->t, WAIT, DISK, "done");
    TELL(x->s, RELEASE, VM, "done");
    TELL(x->t, TAKE, VM, "done");
    nobody_gets_in(x);
    SAID(x->thief, "held by 'target'");
    TELL(x->t, RELEASE, DISK, "done");
    TELL(x->thief, ACQUIRE, DISK, "done");
    TELL(x->thief, RELEASE, DISK, "done");
    TELL(x->t, RELEASE, VM, "done");
    g_assert_cmpuint(count_records(x), ==, 0);
}

/* Not before somebody has claimed it: a thief would be first. */
static void not_let_go_unclaimed(Three *x, gconstpointer process)
{
    TELL(x->s, OFFER, DISK, "done");
    TELL(x->s, CLAIMED, DISK, "WrongState");
    SAID(x->s, "no target has claimed it");
}

static void one_target_only(Three *x, gconstpointer process)
{
    Party *second = party_new(&x->f, UUID_VM, "second", FALSE);

    offer_and_claim(x);
    claim(second, "LeaseBusy");
    TELL(x->t, RELEASE, DISK, "done"); /* cancel on the target */
    claim(second, "done");
    nobody_gets_in(x);
    party_end(second);
}

static void claim_what_is_not_offered(Three *x, gconstpointer process)
{
    claim(x->t, "LeaseBusy");
    SAID(x->t, "held by 'source'");
    TELL(x->s, OFFER, DISK, "done"); /* nothing of the attempt is left */
    claim(x->t, "done");
}

/* A plain sharer is no source. */
static void claim_beside_a_sharer(Three *x, gconstpointer process)
{
    TELL(x->s, RELEASE, DISK, "done");
    TELL_MODE(x->thief, ACQUIRE, DISK, RESOURCE_SHARED, "done");
    claim(x->t, "LeaseBusy");
}

static void cancelled_on_the_target(Three *x, gconstpointer process)
{
    offer_and_claim(x);
    TELL(x->s, TAKE, DISK, "pending");
    nobody_gets_in(x);
    TELL(x->t, RELEASE, DISK, "done");
    TELL(x->s, WAIT, DISK, "done");
    nobody_gets_in(x);
    SAID(x->thief, "held by 'source'");
    TELL(x->s, RELEASE, DISK, "done");
    TELL(x->thief, ACQUIRE, DISK, "done");
}

static void cancelled_before_a_claim(Three *x, gconstpointer process)
{
    TELL(x->s, OFFER, DISK, "done");
    TELL(x->s, TAKE, DISK, "done");
    claim(x->t, "LeaseBusy");
}

/* The deadline of a cancel: back to what it was, and the target may go on. */
static void cancel_given_up(Three *x, gconstpointer process)
{
    offer_and_claim(x);
    TELL(x->s, TAKE, DISK, "pending");
    TELL(x->s, OFFER, DISK, "done");
    nobody_gets_in(x);
    complete(x);
    TELL(x->s, RELEASE, DISK, "done");
    TELL(x->t, TAKE, DISK, "done");
}

/* The target was completed, ran, and is dead: its guest has moved on. */
static void no_way_back(Three *x, gconstpointer process)
{
    offer_and_claim(x);
    complete(x);
    TELL(x->s, TAKE, DISK, "pending");
    TELL(x->t, RELEASE, DISK, "done");
    TELL(x->s, WAIT, DISK, "WrongState");
    SAID(x->s, "the target was completed");
    nobody_gets_in(x); /* it stays offered */
    TELL(x->s, RELEASE, DISK, "done");
    TELL(x->thief, ACQUIRE, DISK, "done");
}

/* Its supervisor is dead, its child is not. */
static void target_killed(Three *x, gconstpointer process)
{
    pid_t child;

    offer_and_claim(x);
    told(x->t, CHILD, 0, 0);
    child = x->t->last.child;
    party_end(x->t);
    x->t = NULL;
    TELL(x->s, TAKE, DISK, "pending");
    nobody_gets_in(x);
    end_child(child);
    TELL(x->s, WAIT, DISK, "done");
}

static void source_killed(Three *x, gconstpointer process)
{
    pid_t child;

    offer_and_claim(x);
    told(x->s, CHILD, 0, 0);
    child = x->s->last.child;
    party_end(x->s);
    x->s = NULL;
    TELL(x->t, COMPLETE, DISK, "LeaseBusy");
    SAID(x->t, "which is exiting");
    nobody_gets_in(x);
    end_child(child);
    complete(x);
    TELL(x->t, TAKE, DISK, "done");
}

/* A QEMU that is not active yet has none of the bytes, so they are the
 * source's: it has not been migrated. */
static void not_complete_while_the_source_writes(Three *x,
                                                 gconstpointer process)
{
    int fd;

    offer_and_claim(x);
    fd = qemu_locks(&x->f, 101, 0);
    TELL(x->t, COMPLETE_INACTIVE, DISK, "WrongState");
    SAID(x->t, "still writes to it");
    close(fd);
    TELL(x->t, COMPLETE_INACTIVE, DISK, "done");
}

/* Byte 101 does not say whose it is: who waits for it, and who need not. */
static void draining_in_a_hand_over(Three *x, gconstpointer process)
{
    int fd;

    offer_and_claim(x);
    told(x->t, USED, DISK, 0);
    fd = qemu_locks(&x->f, 101, 0);
    TELL(x->t, RELEASE, DISK, "done"); /* the source holds it after us */
    claim(x->t, "done");
    told(x->t, USED, DISK, 0);
    TELL(x->s, RELEASE, DISK, "pending"); /* may be ours */
    complete(x);
    TELL(x->s, WAIT, DISK, "done"); /* the target has looked after us */
    TELL(x->t, RELEASE, DISK, "pending");
    close(fd);
    TELL(x->t, WAIT, DISK, "done");
}

/* A QEMU that has left locks nothing any more, and the target has the image
 * open: that it locked it before was seen in time. */
static void qemu_is_seen_when_it_is_offered(Three *x, gconstpointer process)
{
    int fd = qemu_locks(&x->f, 101, 0);

    TELL(x->s, OFFER, VM, "done");
    TELL(x->s, OFFER, DISK, "done");
    close(fd);
    TELL(x->t, CLAIM, VM, "done");
    claim(x->t, "done");
    TELL(x->s, RELEASE, DISK, "done");
}

/* One disk is ready, another is not: all is as if nobody had asked. */
static void completed_by_half(Three *x, gconstpointer process)
{
    int fd;

    offer_and_claim(x);
    told(x->t, USED, DISK, 0);
    TELL(x->t, COMPLETE_INACTIVE, DISK, "done");
    fd = qemu_locks(&x->f, 101, 0); /* the source goes on */
    TELL(x->t, COMPLETE_INACTIVE, DISK, "WrongState");
    TELL(x->t, TAKE, DISK, "WrongState");
    TELL(x->t, RELEASE, DISK, "done");
    TELL(x->s, TAKE, DISK, "done");
    close(fd);
}

/* Two hosts that see one disk, and not each other's state. */
static void no_claim_across_states(Three *x, gconstpointer process)
{
    Fixture elsewhere = x->f;
    g_autofree char *state = g_build_filename(x->f.dir, "elsewhere", NULL);
    Party *far;

    elsewhere.state = state;
    g_assert_cmpint(g_mkdir(state, 0755), ==, 0);
    far = party_new(&elsewhere, UUID_VM, "far", FALSE);
    TELL(x->s, OFFER, VM, "done");
    TELL(x->s, OFFER, DISK, "done");
    TELL(far, CLAIM, VM, "done"); /* a byte of another file */
    claim(far, "WrongState");
    SAID(far, "both need one lockspace");
    TELL(x->s, TAKE, DISK, "done"); /* nothing of the attempt is left */
    party_end(far);
}

/* Without a record nobody knows which generation the source is of. */
static void no_completion_without_a_record(Three *x, gconstpointer process)
{
    g_autofree char *record =
        g_strdup_printf("%s/holders/vm-%s", x->f.state, UUID_VM);

    offer_and_claim(x);
    g_assert_cmpint(g_unlink(record), ==, 0);
    TELL(x->t, COMPLETE, DISK, "done");
    TELL(x->t, COMPLETE, VM, "WrongState");
    SAID(x->t, "the source's record is gone");
    TELL(x->t, TAKE, DISK, "WrongState");
}

static void shared_needs_no_claim(Three *x, gconstpointer process)
{
    TELL_MODE(x->s, ACQUIRE, OTHER_DISK, RESOURCE_SHARED, "done");
    TELL(x->s, OFFER, OTHER_DISK, "done");
    TELL_MODE(x->t, CLAIM, OTHER_DISK, RESOURCE_SHARED, "done");
    TELL(x->s, CLAIMED, OTHER_DISK, "done");
    TELL(x->t, COMPLETE, OTHER_DISK, "done");
    TELL(x->s, RELEASE, OTHER_DISK, "done");
    TELL(x->t, TAKE, OTHER_DISK, "done");
    TELL(x->thief, ACQUIRE, OTHER_DISK, "LeaseBusy");
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define TWO(f)                                                                 \
    g_test_add("/handover/" #f "/processes", Three, argv, set_up, f, tear_down)
#define ADD(f)                                                                 \
    g_test_add("/handover/" #f "/one-process", Three, NULL, set_up, f,         \
               tear_down);                                                     \
    TWO(f)
    ADD(handed_over);
    ADD(not_let_go_unclaimed);
    ADD(one_target_only);
    ADD(claim_what_is_not_offered);
    ADD(claim_beside_a_sharer);
    ADD(cancelled_on_the_target);
    ADD(cancelled_before_a_claim);
    ADD(cancel_given_up);
    ADD(no_way_back);
    TWO(target_killed);
    TWO(source_killed);
    ADD(not_complete_while_the_source_writes);
    ADD(draining_in_a_hand_over);
    ADD(qemu_is_seen_when_it_is_offered);
    ADD(completed_by_half);
    ADD(no_claim_across_states);
    ADD(no_completion_without_a_record);
    ADD(shared_needs_no_claim);
    return g_test_run();
}
