/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the lease table in a hand-over, against a puppet driver */
#include "handover_puppet.h"

static Lease *add(Puppet *p, Resource *resource)
{
    g_autoptr(GError) error = NULL;
    Lease *lease =
        lease_table_add(p->table, &puppet_ops, p, resource, -1, &error);

    g_assert_no_error(error);
    return lease;
}

static void set_up(Puppet *p, gconstpointer data)
{
    Resource *shared = resource_parse_lease("c:3", NULL);

    shared->mode = RESOURCE_SHARED;
    p->calls = g_string_new(NULL);
    p->events = g_string_new(NULL);
    p->table = lease_table_new(&events, p);
    p->vm = add(p, resource_new_vm("vm"));
    p->b = add(p, resource_parse_lease("b:2", NULL));
    p->shared = add(p, shared);
    p->a = add(p, resource_parse_lease("a:1", NULL));
}

static void tear_down(Puppet *p, gconstpointer data)
{
    lease_table_free(p->table);
    g_string_free(p->calls, TRUE);
    g_string_free(p->events, TRUE);
}

static void expect(GString *got, const char *wanted)
{
    g_assert_cmpstr(got->str, ==, wanted);
    g_string_truncate(got, 0);
}

static void forget(Puppet *p)
{
    g_string_truncate(p->calls, 0);
    g_string_truncate(p->events, 0);
}

static void are(Puppet *p, LeaseStatus exclusive)
{
    g_assert_cmpint(lease_status(p->vm), ==, exclusive);
    g_assert_cmpint(lease_status(p->a), ==, exclusive);
    g_assert_cmpint(lease_status(p->b), ==, exclusive);
    g_assert_cmpint(lease_status(p->shared), ==, LEASE_HELD);
}

static void hold(Puppet *p)
{
    lease_table_acquire(p->table, LEASE_SET_VM, FALSE);
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    forget(p);
}

static void claim(Puppet *p)
{
    lease_table_claim(p->table, LEASE_SET_VM, FALSE);
    lease_table_claim(p->table, LEASE_SET_OTHERS, FALSE);
    forget(p);
}

static void done(Puppet *p, Lease *lease, const GError *error)
{
    lease_driver_events.done(p->table, lease_id(lease), error);
}

static void note_reply(gpointer data, Lease *lease, const GError *error,
                       json_t *holder)
{
    g_string_append(((Puppet *)data)->events, error ? "no " : "yes ");
}

static void offered_the_vm_last(Puppet *p, gconstpointer data)
{
    hold(p);
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    expect(p->calls, "offer c:3; offer b:2; offer a:1; offer vm; ");
    expect(p->events, "offered(ok) ");
    are(p, LEASE_OFFERED);
    lease_table_release(p->table, LEASE_SET_OTHERS);
    lease_table_release(p->table, LEASE_SET_VM);
    expect(p->calls, "release c:3; release b:2; release a:1; release vm; ");
}

static void an_offer_that_fails_is_taken_back(Puppet *p, gconstpointer data)
{
    hold(p);
    p->fails = "offer a:1";
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    expect(p->events, "offered(offer a:1 fails) ");
    g_assert_cmpint(lease_status(p->b), ==, LEASE_OFFERED);
    g_assert_cmpint(lease_status(p->a), ==, LEASE_HELD);
    lease_table_move(p->table, LEASE_MOVE_TAKE, FALSE);
    expect(p->events, "taken(ok) ");
    are(p, LEASE_HELD);
}

static void offered_later(Puppet *p, gconstpointer data)
{
    hold(p);
    p->later = "offer";
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    expect(p->calls, "offer c:3; ");
    done(p, p->shared, NULL);
    expect(p->calls, "offer b:2; ");
    done(p, p->b, NULL);
    done(p, p->a, NULL);
    expect(p->events, "");
    done(p, p->vm, NULL);
    expect(p->events, "offered(ok) ");
    are(p, LEASE_OFFERED);
}

static void claimed_the_vm_first(Puppet *p, gconstpointer data)
{
    lease_table_claim(p->table, LEASE_SET_VM, FALSE);
    expect(p->calls, "claim vm; ");
    g_assert_true(lease_table_has_source(p->table));
    lease_table_claim(p->table, LEASE_SET_OTHERS, FALSE);
    expect(p->calls, "claim a:1; claim b:2; claim c:3; ");
    expect(p->events, "vm granted ");
    are(p, LEASE_CLAIMED);
}

static void without_a_source(Puppet *p, gconstpointer data)
{
    p->no_source = TRUE;
    lease_table_claim(p->table, LEASE_SET_VM, FALSE);
    g_assert_false(lease_table_has_source(p->table));
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    are(p, LEASE_HELD);
}

static void a_claim_is_all_or_none(Puppet *p, gconstpointer data)
{
    p->fails = "claim b:2";
    lease_table_claim(p->table, LEASE_SET_OTHERS, FALSE);
    expect(p->calls, "claim a:1; claim b:2; release a:1; ");
    expect(p->events, "denied(claim b:2 fails) ");
    p->fails = NULL; /* a plain acquire comes after it */
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    expect(p->calls, "acquire a:1; acquire b:2; acquire c:3; ");
    g_assert_cmpint(lease_status(p->a), ==, LEASE_HELD);
}

static void one_more_after_it_is_acquired(Puppet *p, gconstpointer data)
{
    Lease *more;

    claim(p);
    more = add(p, resource_parse_lease("d:4", NULL));
    lease_acquire(p->table, more, note_reply, p);
    expect(p->calls, "acquire d:4; ");
    g_assert_cmpint(lease_status(more), ==, LEASE_HELD);
}

static void completed_then_taken(Puppet *p, gconstpointer data)
{
    claim(p);
    lease_table_move(p->table, LEASE_MOVE_COMPLETE, FALSE);
    expect(p->calls, "complete c:3; complete b:2; complete a:1; complete vm; ");
    expect(p->events, "completed(ok) ");
    are(p, LEASE_CLAIMED);
    lease_table_move(p->table, LEASE_MOVE_TAKE, FALSE);
    expect(p->calls, "take c:3; take b:2; take a:1; take vm; ");
    expect(p->events, "taken(ok) ");
    are(p, LEASE_HELD);
    g_assert_false(lease_table_has_source(p->table));
}

static void completed_by_half(Puppet *p, gconstpointer data)
{
    claim(p);
    p->fails = "complete-inactive a:1";
    p->inactive = TRUE;
    lease_table_move(p->table, LEASE_MOVE_COMPLETE, FALSE);
    expect(p->calls, "complete-inactive c:3; complete-inactive b:2; "
                     "complete-inactive a:1; ");
    expect(p->events, "completed(complete-inactive a:1 fails) ");
    are(p, LEASE_CLAIMED);
}

/* All at once: none is kept from it by another that waits. */
static void taken_at_once(Puppet *p, gconstpointer data)
{
    claim(p);
    p->later = "take";
    lease_table_move(p->table, LEASE_MOVE_TAKE, FALSE);
    expect(p->calls, "take c:3; take b:2; take a:1; take vm; ");
    are(p, LEASE_CLAIMED);
    done(p, p->b, NULL);
    done(p, p->vm, NULL);
    g_assert_cmpint(lease_status(p->b), ==, LEASE_HELD);
    g_assert_cmpint(lease_status(p->a), ==, LEASE_CLAIMED);
    done(p, p->shared, NULL);
    expect(p->events, "");
    done(p, p->a, NULL);
    expect(p->events, "taken(ok) ");
    are(p, LEASE_HELD);
}

static void taken_when_it_is_quiet(Puppet *p, gconstpointer data)
{
    claim(p);
    p->inactive = TRUE;
    p->fails = "take-inactive vm";
    lease_table_move(p->table, LEASE_MOVE_TAKE, TRUE);
    expect(p->events, "taken(take-inactive vm fails) ");
    g_assert_cmpint(lease_status(p->vm), ==, LEASE_CLAIMED);
}

/* What could not be taken is held as it was held before. */
static void a_late_refusal_leaves_what_was(Puppet *p, gconstpointer data)
{
    g_autoptr(GError) error =
        g_error_new(QMP_ERROR, QMP_ERROR_WRONG_STATE, "completed");

    hold(p);
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    forget(p);
    p->later = "take";
    lease_table_move(p->table, LEASE_MOVE_TAKE, FALSE);
    done(p, p->a, error);
    expect(p->events, "taken(completed) ");
    are(p, LEASE_OFFERED);
    p->later = NULL;
    forget(p);
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    expect(p->calls, "offer c:3; offer b:2; offer a:1; offer vm; ");
    expect(p->events, "offered(ok) ");
}

static void what_is_waited_for_is_said(Puppet *p, gconstpointer data)
{
    g_autofree char *none = NULL, *why = NULL;

    hold(p);
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    none = lease_table_hindrance(p->table);
    g_assert_null(none);
    p->later = "take";
    lease_table_move(p->table, LEASE_MOVE_TAKE, FALSE);
    done(p, p->shared, NULL);
    why = lease_table_hindrance(p->table);
    g_assert_cmpstr(why, ==, "cannot take 'b:2' back: the other has it");
    forget(p);
    lease_driver_events.waiting(p->table, lease_id(p->b), "of that");
    lease_driver_events.waiting(p->table, lease_id(p->shared), "of that");
    expect(p->events, "warning(cannot take 'b:2' yet: of that) ");
}

static void released_while_it_is_taken(Puppet *p, gconstpointer data)
{
    claim(p);
    p->later = "take";
    lease_table_move(p->table, LEASE_MOVE_TAKE, FALSE);
    lease_table_release(p->table, LEASE_SET_OTHERS);
    lease_table_release(p->table, LEASE_SET_VM);
    expect(p->events, "released vm-released ");
    done(p, p->a, NULL); /* one that comes too late */
    g_assert_cmpint(lease_status(p->a), ==, LEASE_WANTED);
    expect(p->events, "");
}

static void lost_while_it_is_offered(Puppet *p, gconstpointer data)
{
    hold(p);
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    forget(p);
    lease_driver_events.lost(p->table, lease_id(p->a), 0, "gone");
    expect(p->events, "lost(a:1) ");
    g_assert_cmpint(lease_status(p->a), ==, LEASE_LOST);
}

static void what_is_claimed_is_asked(Puppet *p, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    hold(p);
    lease_table_move(p->table, LEASE_MOVE_OFFER, FALSE);
    g_assert_true(lease_table_is_claimed(p->table, NULL));
    p->fails = "claimed b:2";
    g_assert_false(lease_table_is_claimed(p->table, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE);
}

static void a_driver_that_cannot(Puppet *p, gconstpointer data)
{
    static const DriverOps plain = {
        .name = "plain", .acquire = on_acquire, .release = on_release};
    g_autoptr(GError) error = NULL;

    hold(p);
    g_assert_true(lease_table_can_move(p->table, NULL));
    g_assert_nonnull(lease_table_add(
        p->table, &plain, p, resource_parse_lease("d:4", NULL), -1, NULL));
    g_assert_false(lease_table_can_move(p->table, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED);
    lease_table_claim(p->table, LEASE_SET_OTHERS, FALSE);
    expect(p->events,
           "denied(cannot claim 'd:4': driver 'plain' does not support it) ");
}

static void not_while_one_comes_or_goes(Puppet *p, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Lease *more;

    hold(p);
    p->later = "acquire";
    more = add(p, resource_parse_lease("d:4", NULL));
    lease_acquire(p->table, more, note_reply, p);
    g_assert_false(lease_table_can_move(p->table, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE);
    done(p, more, NULL);
    g_assert_true(lease_table_can_move(p->table, NULL));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(f)                                                                 \
    g_test_add("/lease-handover/" #f, Puppet, NULL, set_up, f, tear_down)
    ADD(offered_the_vm_last);
    ADD(an_offer_that_fails_is_taken_back);
    ADD(offered_later);
    ADD(claimed_the_vm_first);
    ADD(without_a_source);
    ADD(a_claim_is_all_or_none);
    ADD(one_more_after_it_is_acquired);
    ADD(completed_then_taken);
    ADD(completed_by_half);
    ADD(taken_at_once);
    ADD(taken_when_it_is_quiet);
    ADD(a_late_refusal_leaves_what_was);
    ADD(what_is_waited_for_is_said);
    ADD(released_while_it_is_taken);
    ADD(lost_while_it_is_offered);
    ADD(what_is_claimed_is_asked);
    ADD(a_driver_that_cannot);
    ADD(not_while_one_comes_or_goes);
    return g_test_run();
}
