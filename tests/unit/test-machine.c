/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the machine, walked cell by cell
 *
 * Every state x event; the invariants of machine.h; and, for the cells that
 * people rely on, what they do.
 */
#include "../../supervisor/machine.h"
#include "tap.h"

typedef struct {
    gboolean allowed;
    MachineAction action;
    MachineState next;
} Cell;

static Cell cell(MachineState state, MachineEvent event)
{
    Cell c = {0};

    c.allowed = machine_step(state, event, &c.action, &c.next);
    return c;
}

#define EACH_CELL(state, event)                                                \
    for (MachineState state = 0; state < MACHINE_N_STATES; state++)            \
        for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++)

static void leases_go_only_when_no_child_is_left(void)
{
    EACH_CELL(state, event)
    {
        Cell c = cell(state, event);
        gboolean child_ended = event == MACHINE_EVENT_CHILD_GONE ||
                               event == MACHINE_EVENT_EXEC_FAILED;

        if (!c.allowed)
            continue;
        if (c.action == MACHINE_ACTION_RELEASE)
            g_assert_false(machine_has_child(state));
        if (c.action == MACHINE_ACTION_FINISH)
            g_assert_true(child_ended);
        /* ... and the end is reached in no other way, and never in silence */
        if (c.next == MACHINE_GONE)
            g_assert_true(c.action == MACHINE_ACTION_RELEASE ||
                          c.action == MACHINE_ACTION_FINISH);
        else
            g_assert_true(c.action != MACHINE_ACTION_RELEASE &&
                          c.action != MACHINE_ACTION_FINISH);
    }
}

static void every_death_is_noticed(void)
{
    for (MachineState state = 0; state < MACHINE_N_STATES; state++) {
        Cell gone = cell(state, MACHINE_EVENT_CHILD_GONE);
        gboolean child = state != MACHINE_STARTING &&
                         state != MACHINE_ATTACHING && state != MACHINE_GONE;

        g_assert_cmpint(gone.allowed, ==, child || state == MACHINE_ATTACHING);
        g_assert_cmpint(machine_has_child(state), ==, child);
        g_assert_cmpint(cell(state, MACHINE_EVENT_EXEC_FAILED).allowed, ==,
                        child);
        if (child)
            g_assert_cmpint(gone.next, ==, MACHINE_GONE);
    }
}

static void a_lost_lease_kills(void)
{
    for (MachineState state = 0; state < MACHINE_N_STATES; state++) {
        Cell c = cell(state, MACHINE_EVENT_REVOKED);

        if (!machine_has_child(state))
            continue;
        g_assert_true(c.allowed);
        g_assert_cmpint(c.next, ==, MACHINE_KILLING);
        g_assert_cmpint(c.action, ==,
                        state == MACHINE_KILLING ? MACHINE_ACTION_NONE
                                                 : MACHINE_ACTION_KILL);
    }
}

static void killing_never_gives_up(void)
{
    for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++) {
        Cell c = cell(MACHINE_KILLING, event);

        if (c.allowed && event != MACHINE_EVENT_CHILD_GONE &&
            event != MACHINE_EVENT_EXEC_FAILED)
            g_assert_cmpint(c.next, ==, MACHINE_KILLING);
    }
    g_assert_cmpint(cell(MACHINE_KILLING, MACHINE_EVENT_DEADLINE).action, ==,
                    MACHINE_ACTION_SAY);
}

static void gone_is_the_end(void)
{
    for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++)
        g_assert_false(cell(MACHINE_GONE, event).allowed);
}

static void a_child_is_started_only_once_and_only_with_leases(void)
{
    EACH_CELL(state, event)
    {
        Cell c = cell(state, event);
        gboolean adopt = c.action == MACHINE_ACTION_ADOPT;

        if (!c.allowed || (!adopt && c.action != MACHINE_ACTION_SPAWN))
            continue;
        g_assert_cmpint(state, ==,
                        adopt ? MACHINE_ATTACHING : MACHINE_STARTING);
        g_assert_true(event == MACHINE_EVENT_GRANTED ||
                      event == MACHINE_EVENT_CLAIMED);
    }
    for (MachineState state = 1; state < MACHINE_N_STATES; state++) {
        for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++) {
            Cell c = cell(state, event);
            g_assert_false(c.allowed && c.next == MACHINE_STARTING);
            g_assert_false(c.allowed && c.next == MACHINE_ATTACHING);
        }
    }
}

/* Whatever ends the wait for the leases, the process lives on. */
static void who_is_not_attached_is_left_alone(void)
{
    for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++) {
        Cell c = cell(MACHINE_ATTACHING, event);
        Cell same = cell(MACHINE_STARTING, event);

        if (event == MACHINE_EVENT_CHILD_GONE) {
            g_assert_cmpint(c.action, ==, MACHINE_ACTION_RELEASE);
            continue;
        }
        g_assert_cmpint(c.allowed, ==, same.allowed);
        g_assert_cmpint(c.next, ==, same.next);
        g_assert_cmpint(c.action, ==,
                        same.action == MACHINE_ACTION_SPAWN
                            ? MACHINE_ACTION_ADOPT
                            : same.action);
    }
}

/* Kill is entered by the action KILL, stop by TERM, and OUTGOING by OFFER,
 * whatever the way. */
static void entering_a_state_does_what_it_says(void)
{
    EACH_CELL(state, event)
    {
        Cell c = cell(state, event);

        if (!c.allowed || c.next == state)
            continue;
        if (c.next == MACHINE_KILLING)
            g_assert_cmpint(c.action, ==, MACHINE_ACTION_KILL);
        if (c.next == MACHINE_STOPPING)
            g_assert_cmpint(c.action, ==, MACHINE_ACTION_TERM);
        if (c.next == MACHINE_OUTGOING)
            g_assert_cmpint(c.action, ==, MACHINE_ACTION_OFFER);
    }
}

/* A migration target that is not complete has no right to write: it never
 * gets it but by a granted take. */
static void incoming_runs_only_through_claiming(void)
{
    for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++) {
        Cell incoming = cell(MACHINE_INCOMING, event);
        Cell claiming = cell(MACHINE_CLAIMING, event);

        if (incoming.allowed)
            g_assert_cmpint(incoming.next, !=, MACHINE_RUNNING);
        if (claiming.allowed && claiming.next == MACHINE_RUNNING)
            g_assert_cmpint(event, ==, MACHINE_EVENT_GRANTED);
    }
}

/* From everywhere, STOP again and again, and then the child's death, ends. */
static void stop_always_leads_to_the_end(void)
{
    for (MachineState state = 0; state < MACHINE_N_STATES; state++) {
        MachineState at = state;

        for (int i = 0; i < 3 && at != MACHINE_GONE; i++) {
            Cell c = cell(at, MACHINE_EVENT_STOP);
            g_assert_true(c.allowed);
            at = c.next;
        }
        g_assert_true(at == MACHINE_KILLING || at == MACHINE_GONE);
    }
}

static void second_stop_and_deadline_escalate(void)
{
    Cell first = cell(MACHINE_RUNNING, MACHINE_EVENT_STOP);
    Cell again = cell(MACHINE_STOPPING, MACHINE_EVENT_STOP);
    Cell late = cell(MACHINE_STOPPING, MACHINE_EVENT_DEADLINE);

    g_assert_cmpint(first.next, ==, MACHINE_STOPPING);
    g_assert_cmpint(again.action, ==, MACHINE_ACTION_KILL);
    g_assert_cmpint(late.action, ==, MACHINE_ACTION_KILL);
}

static void cancel_keeps_the_source(void)
{
    Cell cancel = cell(MACHINE_OUTGOING, MACHINE_EVENT_CANCEL);
    Cell back = cell(MACHINE_RECLAIMING, MACHINE_EVENT_GRANTED);
    Cell not = cell(MACHINE_RECLAIMING, MACHINE_EVENT_DEADLINE);

    g_assert_cmpint(cancel.next, ==, MACHINE_RECLAIMING);
    g_assert_cmpint(cancel.action, ==, MACHINE_ACTION_TAKE);
    g_assert_cmpint(back.next, ==, MACHINE_RUNNING);
    g_assert_cmpint(not .next, ==, MACHINE_OUTGOING);
}

static void everything_has_a_name(void)
{
    for (MachineState state = 0; state < MACHINE_N_STATES; state++) {
        g_assert_nonnull(machine_state_name(state));
        g_assert_cmpuint(strlen(machine_state_doc(state)), >, 0);
    }
    for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++)
        g_assert_nonnull(machine_event_name(event));
    for (MachineAction action = 0; action < MACHINE_N_ACTIONS; action++) {
        g_assert_nonnull(machine_action_name(action));
        g_assert_cmpuint(strlen(machine_action_doc(action)), >, 0);
    }
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(f) g_test_add_func("/machine/" #f, f)
    ADD(leases_go_only_when_no_child_is_left);
    ADD(every_death_is_noticed);
    ADD(a_lost_lease_kills);
    ADD(killing_never_gives_up);
    ADD(gone_is_the_end);
    ADD(a_child_is_started_only_once_and_only_with_leases);
    ADD(who_is_not_attached_is_left_alone);
    ADD(entering_a_state_does_what_it_says);
    ADD(incoming_runs_only_through_claiming);
    ADD(stop_always_leads_to_the_end);
    ADD(second_stop_and_deadline_escalate);
    ADD(cancel_keeps_the_source);
    ADD(everything_has_a_name);
    return g_test_run();
}
