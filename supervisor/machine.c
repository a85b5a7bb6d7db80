/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see machine.h. */
#include "machine.h"

/* state, event, action, next state */
#define TABLE(X)                                                               \
    X(STARTING, GRANTED, SPAWN, RUNNING)                                       \
    X(STARTING, CLAIMED, SPAWN, INCOMING)                                      \
    X(STARTING, DENIED, RELEASE, GONE)                                         \
    X(STARTING, REVOKED, RELEASE, GONE)                                        \
    X(STARTING, STOP, RELEASE, GONE)                                           \
    X(STARTING, QUIT, RELEASE, GONE)                                           \
    X(STARTING, DEADLINE, RELEASE, GONE)                                       \
                                                                               \
    X(ATTACHING, GRANTED, ADOPT, RUNNING)                                      \
    X(ATTACHING, CLAIMED, ADOPT, INCOMING)                                     \
    X(ATTACHING, DENIED, RELEASE, GONE)                                        \
    X(ATTACHING, REVOKED, RELEASE, GONE)                                       \
    X(ATTACHING, STOP, RELEASE, GONE)                                          \
    X(ATTACHING, QUIT, RELEASE, GONE)                                          \
    X(ATTACHING, DEADLINE, RELEASE, GONE)                                      \
    X(ATTACHING, CHILD_GONE, RELEASE, GONE)                                    \
                                                                               \
    X(RUNNING, PREPARE, OFFER, OUTGOING)                                       \
    X(RUNNING, STOP, TERM, STOPPING)                                           \
    WITH_CHILD(X, RUNNING)                                                     \
                                                                               \
    X(OUTGOING, COMPLETE, KILL, KILLING)                                       \
    X(OUTGOING, CANCEL, TAKE, RECLAIMING)                                      \
    X(OUTGOING, DENIED, TAKE, RECLAIMING)                                      \
    X(OUTGOING, STOP, TERM, STOPPING)                                          \
    WITH_CHILD(X, OUTGOING)                                                    \
                                                                               \
    X(RECLAIMING, GRANTED, NONE, RUNNING)                                      \
    X(RECLAIMING, DENIED, OFFER, OUTGOING)                                     \
    X(RECLAIMING, DEADLINE, OFFER, OUTGOING)                                   \
    X(RECLAIMING, STOP, TERM, STOPPING)                                        \
    WITH_CHILD(X, RECLAIMING)                                                  \
                                                                               \
    X(INCOMING, COMPLETE, TAKE, CLAIMING)                                      \
    X(INCOMING, CANCEL, KILL, KILLING)                                         \
    X(INCOMING, STOP, KILL, KILLING)                                           \
    WITH_CHILD(X, INCOMING)                                                    \
                                                                               \
    X(CLAIMING, GRANTED, NONE, RUNNING)                                        \
    X(CLAIMING, DENIED, KILL, KILLING)                                         \
    X(CLAIMING, DEADLINE, KILL, KILLING)                                       \
    X(CLAIMING, STOP, TERM, STOPPING)                                          \
    WITH_CHILD(X, CLAIMING)                                                    \
                                                                               \
    X(STOPPING, STOP, KILL, KILLING)                                           \
    X(STOPPING, DEADLINE, KILL, KILLING)                                       \
    WITH_CHILD(X, STOPPING)                                                    \
                                                                               \
    X(KILLING, DEADLINE, SAY, KILLING)                                         \
    X(KILLING, STOP, NONE, KILLING)                                            \
    X(KILLING, QUIT, NONE, KILLING)                                            \
    X(KILLING, REVOKED, NONE, KILLING)                                         \
    X(KILLING, EXEC_FAILED, FINISH, GONE)                                      \
    X(KILLING, CHILD_GONE, FINISH, GONE)

/* What holds in every state with a child that is not being killed yet. */
#define WITH_CHILD(X, state)                                                   \
    X(state, QUIT, KILL, KILLING)                                              \
    X(state, REVOKED, KILL, KILLING)                                           \
    X(state, EXEC_FAILED, FINISH, GONE)                                        \
    X(state, CHILD_GONE, FINISH, GONE)

typedef struct {
    guint8 allowed; /* so that cells that are left out are refused */
    guint8 action;
    guint8 next;
} Cell;

static const Cell table[MACHINE_N_STATES][MACHINE_N_EVENTS] = {
#define X(state, event, act, to)                                               \
    [MACHINE_##state][MACHINE_EVENT_##event] = {TRUE, MACHINE_ACTION_##act,    \
                                                MACHINE_##to},
    TABLE(X)
#undef X
};

gboolean machine_step(MachineState state, MachineEvent event,
                      MachineAction *action, MachineState *next)
{
    const Cell *cell = &table[state][event];

    if (!cell->allowed)
        return FALSE;
    *action = cell->action;
    *next = cell->next;
    return TRUE;
}

gboolean machine_has_child(MachineState state)
{
    return table[state][MACHINE_EVENT_CHILD_GONE].action ==
           MACHINE_ACTION_FINISH;
}

const char *machine_state_name(MachineState state)
{
    static const char *const names[] = {
#define X(id, doc) #id,
        MACHINE_STATES(X)
#undef X
    };
    return names[state];
}

const char *machine_state_doc(MachineState state)
{
    static const char *const docs[] = {
#define X(id, doc) doc,
        MACHINE_STATES(X)
#undef X
    };
    return docs[state];
}

const char *machine_event_name(MachineEvent event)
{
    static const char *const names[] = {
#define X(id) #id,
        MACHINE_EVENTS(X)
#undef X
    };
    return names[event];
}

const char *machine_action_name(MachineAction action)
{
    static const char *const names[] = {
#define X(id, doc) #id,
        MACHINE_ACTIONS(X)
#undef X
    };
    return names[action];
}

const char *machine_action_doc(MachineAction action)
{
    static const char *const docs[] = {
#define X(id, doc) doc,
        MACHINE_ACTIONS(X)
#undef X
    };
    return docs[action];
}
