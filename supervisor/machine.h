/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the state machine, pure
 *
 * One table decides what a supervisor does: (state, event) -> (action, next
 * state). Everything that is not in the table is refused. Nothing here does
 * I/O; supervisor.c steps the machine and carries out the actions. The same
 * table draws the picture in docs/design.md.
 *
 * Invariants, each checked by tests/unit/test-machine.c for every cell:
 *  - leases are let go (RELEASE, FINISH) only where there was no child, or
 *    after it is gone: RELEASE leaves STARTING or ATTACHING, FINISH answers
 *    CHILD_GONE or EXEC_FAILED, and nothing else does either;
 *  - a process that is attached is a child from ADOPT on, and not before: who
 *    is refused a lease leaves it alone;
 *  - KILLING ends only when the child is gone;
 *  - REVOKED in any state with a child leads to KILLING;
 *  - GONE is the end.
 */
#ifndef SUPERVISOR_MACHINE_H
#define SUPERVISOR_MACHINE_H

#include <glib.h>

#define MACHINE_STATES(X)                                                      \
    X(STARTING, "taking the leases; no child yet")                             \
    X(ATTACHING, "taking the leases; the process is left alone yet")           \
    X(RUNNING, "every lease held, the child runs")                             \
    X(OUTGOING, "leases offered to a migration target, the child runs")        \
    X(RECLAIMING, "migration cancelled, taking exclusive leases back")         \
    X(INCOMING, "leases claimed from a source, the child waits for its state") \
    X(CLAIMING, "migration complete, waiting for the source to be gone")       \
    X(STOPPING, "the child was asked to end")                                  \
    X(KILLING, "the child is being killed")                                    \
    X(GONE, "the child is gone; the leases are being released")

#define MACHINE_EVENTS(X)                                                      \
    X(GRANTED)                                                                 \
    X(CLAIMED)                                                                 \
    X(DENIED)                                                                  \
    X(REVOKED)                                                                 \
    X(EXEC_FAILED)                                                             \
    X(CHILD_GONE)                                                              \
    X(STOP)                                                                    \
    X(QUIT)                                                                    \
    X(PREPARE)                                                                 \
    X(COMPLETE)                                                                \
    X(CANCEL)                                                                  \
    X(DEADLINE)

#define MACHINE_ACTIONS(X)                                                     \
    X(NONE, "stay")                                                            \
    X(SPAWN, "start the child")                                                \
    X(ADOPT, "make the attached process the child")                            \
    X(RELEASE, "release the leases (there was no child)")                      \
    X(OFFER, "offer the leases")                                               \
    X(TAKE, "take the leases exclusively")                                     \
    X(TERM, "SIGTERM the child")                                               \
    X(KILL, "SIGKILL the child and its tree")                                  \
    X(SAY, "kill again and say that it still lives")                           \
    X(FINISH, "release the leases (the child is gone)")

typedef enum {
#define X(id, doc) MACHINE_##id,
    MACHINE_STATES(X)
#undef X
        MACHINE_N_STATES
} MachineState;

typedef enum {
#define X(id) MACHINE_EVENT_##id,
    MACHINE_EVENTS(X)
#undef X
        MACHINE_N_EVENTS
} MachineEvent;

typedef enum {
#define X(id, doc) MACHINE_ACTION_##id,
    MACHINE_ACTIONS(X)
#undef X
        MACHINE_N_ACTIONS
} MachineAction;

/*
 * machine_step:
 * @action: set to what has to be done
 * @next: set to the state that follows
 *
 * Returns FALSE, and sets nothing, where @event is refused in @state.
 */
gboolean machine_step(MachineState state, MachineEvent event,
                      MachineAction *action, MachineState *next);

/* TRUE where a child exists or may exist in @state: one that is ours to kill.
 */
gboolean machine_has_child(MachineState state);

const char *machine_state_name(MachineState state);
const char *machine_event_name(MachineEvent event);
const char *machine_action_name(MachineAction action);
/* One clause each, for the documents. */
const char *machine_state_doc(MachineState state);
const char *machine_action_doc(MachineAction action);

#endif
