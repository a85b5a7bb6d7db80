/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the wiring: events in, actions out
 *
 * The only room that knows all others. What happens (a lease granted, a
 * child gone, a command, a signal, a deadline) becomes an event of the
 * machine; the action that the machine names is carried out here. Starting
 * and ending are told in start.c and end.c.
 *
 * Should:  reap, then release: the leases are let go in the actions RELEASE
 *          and FINISH and nowhere else.
 * Mustn't: decide by state: a new behaviour is a new cell of the machine.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <glib.h>
#include <jansson.h>

#include "child.h"
#include "lease.h"
#include "machine.h"
#include "options.h"

typedef struct Supervisor Supervisor;

/* Exit statuses of our own (design.md; timeout(1), env(1) for the last). */
enum {
    EXIT_DENIED = 123, /* a lease could not be had; no child ran */
    EXIT_LOST = 124,   /* a lease was lost, the child killed */
    EXIT_OWN_ERROR = 125,
    EXIT_NOT_EXECUTABLE = 126,
    EXIT_NOT_FOUND = 127,
};

/*
 * supervisor_run:
 * @options: stay the caller's
 * @signals: likewise
 *
 * Takes the leases, runs the command, waits for its end, releases. Prints
 * its own errors. Returns the exit status.
 */
int supervisor_run(const Options *options, Signals *signals);

/* What verbs.c may ask for. Each that changes something answers FALSE and
 * WRONG_STATE where the machine refuses it. */
MachineState supervisor_state(const Supervisor *supervisor);
Child *supervisor_child(const Supervisor *supervisor);
LeaseTable *supervisor_leases(const Supervisor *supervisor);
json_t *supervisor_status(const Supervisor *supervisor);

/*
 * supervisor_liveness:
 * @number: which, from 0
 * @count: set to how many there are
 * @peer: who asks
 *
 * The descriptor that holds liveness (docs/file-protocol.md), for the attached
 * process to keep; stays the supervisor's. -1 and BAD_ARGUMENT or
 * WRONG_STATE.
 */
int supervisor_liveness(Supervisor *supervisor, guint number, guint *count,
                        pid_t peer, GError **error);

/* Acquires one more lease. Takes @resource and @fd over. @reply is called
 * exactly once. */
void supervisor_acquire(Supervisor *supervisor, Resource *resource, int fd,
                        LeaseReply reply, gpointer data);
/* Releases one. @force: also where the child may still have it open. */
void supervisor_release(Supervisor *supervisor, Lease *lease, gboolean force,
                        LeaseReply reply, gpointer data);
/* @lease: NULL for all of the VM. */
gboolean supervisor_revoke(Supervisor *supervisor, Lease *lease,
                           const char *reason, GError **error);
/* @timeout_ms: from SIGTERM to SIGKILL; -1: as configured. */
gboolean supervisor_shutdown(Supervisor *supervisor, gint64 timeout_ms,
                             GError **error);
gboolean supervisor_quit(Supervisor *supervisor, GError **error);

/* The answer to a command of a hand-over, given exactly once, now or later.
 * @value: taken over; NULL where there is an @error. */
typedef void (*SupervisorReply)(gpointer data, json_t *value,
                                const GError *error);

/* Has the child its images open, so that QEMU's locks on them are its own? */
typedef enum {
    HANDOVER_LOOK,
    HANDOVER_INACTIVE,
    HANDOVER_ACTIVE,
} HandoverActive;

typedef struct {
    const char *uri;   /* of the source; NULL: not said */
    const char *state; /* its token; likewise */
    gboolean wait;     /* answer when the leases are ours alone */
    HandoverActive active;
} Completion;

/* Source: offers all leases; answers with the token. */
void supervisor_prepare(Supervisor *supervisor, const char *uri,
                        SupervisorReply reply, gpointer data);
/* Source: kills the child, for a target. */
void supervisor_complete_out(Supervisor *supervisor, const char *uri,
                             SupervisorReply reply, gpointer data);
/* Target: the VM is here now. */
void supervisor_complete_in(Supervisor *supervisor, const Completion *how,
                            SupervisorReply reply, gpointer data);
/* Either: back to what was before, as far as that can be. */
void supervisor_cancel(Supervisor *supervisor, SupervisorReply reply,
                       gpointer data);
/* inquire, release and acquire of virt-lock-protocol(7). */
void supervisor_inquire(Supervisor *supervisor, SupervisorReply reply,
                        gpointer data);
void supervisor_pause(Supervisor *supervisor, SupervisorReply reply,
                      gpointer data);
void supervisor_resume(Supervisor *supervisor, const char *state,
                       SupervisorReply reply, gpointer data);

#endif
