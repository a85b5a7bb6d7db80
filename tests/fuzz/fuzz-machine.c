/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: fuzzes the state machine with strings of events
 *
 * The first byte says where it begins, with a child to be started or with a
 * process that lives already; each other byte is an event. A world of one bit,
 * "is there a child", follows the actions; the oracle is the promise: leases
 * are released only while there is none, and only once.
 */
#include <stdint.h>

#include "../../supervisor/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    MachineState state;
    gboolean other;    /* a process that is not ours (yet) lives */
    gboolean child;    /* something that could write exists */
    gboolean released; /* the leases are free */
} World;

/* What the event means for the world, before the machine hears of it. */
static gboolean happens(World *world, MachineEvent event)
{
    if (event != MACHINE_EVENT_CHILD_GONE && event != MACHINE_EVENT_EXEC_FAILED)
        return TRUE;
    if (world->other && event == MACHINE_EVENT_CHILD_GONE) {
        world->other = FALSE;
        return TRUE;
    }
    if (!world->child)
        return FALSE; /* cannot happen */
    world->child = FALSE;
    return TRUE;
}

static void act(World *world, MachineAction action)
{
    switch (action) {
    case MACHINE_ACTION_SPAWN:
        g_assert_false(world->child || world->released);
        world->child = TRUE;
        break;
    case MACHINE_ACTION_ADOPT:
        g_assert_true(world->other && !world->released);
        world->other = FALSE;
        world->child = TRUE;
        break;
    case MACHINE_ACTION_RELEASE:
    case MACHINE_ACTION_FINISH:
        g_assert_false(world->child || world->released);
        world->released = TRUE;
        break;
    case MACHINE_ACTION_OFFER:
    case MACHINE_ACTION_TAKE:
    case MACHINE_ACTION_TERM:
    case MACHINE_ACTION_KILL:
    case MACHINE_ACTION_SAY:
        g_assert_true(world->child);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gboolean attach = size > 0 && data[0] & 1;
    World world = {.state = attach ? MACHINE_ATTACHING : MACHINE_STARTING,
                   .other = attach};

    for (size_t i = 1; i < size; i++) {
        MachineEvent event = data[i] % MACHINE_N_EVENTS;
        MachineAction action;

        if (!happens(&world, event))
            continue;
        if (machine_step(world.state, event, &action, &world.state))
            act(&world, action);
        g_assert_cmpint(machine_has_child(world.state), ==, world.child);
        g_assert_cmpint(world.state == MACHINE_GONE, ==, world.released);
    }
    return 0;
}
