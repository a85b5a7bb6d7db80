/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the commands of a hand-over ask of the supervisor
 *
 * Each looks whether it can be done, answers at once where not, and otherwise
 * makes an event of it; see supervisor_handover.c for what follows.
 */
#include "../libsupervise/qmp.h"
#include "supervisor_internal.h"

static void fail(SupervisorReply reply, gpointer data, QmpErrorCode code,
                 const char *format, ...) G_GNUC_PRINTF(4, 5);

static void fail(SupervisorReply reply, gpointer data, QmpErrorCode code,
                 const char *format, ...)
{
    g_autoptr(GError) error = NULL;
    va_list ap;

    va_start(ap, format);
    error = g_error_new_valist(QMP_ERROR, (int)code, format, ap);
    va_end(ap);
    reply(data, NULL, error);
}

/* TRUE where the machine would answer @event with @action. */
static gboolean would(const Supervisor *s, MachineEvent event,
                      MachineAction action)
{
    MachineAction its;
    MachineState next;

    return machine_step(s->state, event, &its, &next) && its == action;
}

static void refuse(const Supervisor *s, const char *what, SupervisorReply reply,
                   gpointer data)
{
    fail(reply, data, QMP_ERROR_WRONG_STATE, "cannot %s: the VM is %s", what,
         machine_state_name(s->state));
}

static void know_peer(Supervisor *s, const char *uri)
{
    if (!uri)
        return;
    g_free(s->handover.uri);
    s->handover.uri = g_strdup(uri);
}

void supervisor_prepare(Supervisor *s, const char *uri, SupervisorReply reply,
                        gpointer data)
{
    Handover *h = &s->handover;
    g_autoptr(GError) error = NULL;
    g_autofree char *reason = NULL;
    char *token;

    if (!would(s, MACHINE_EVENT_PREPARE, MACHINE_ACTION_OFFER)) {
        refuse(s, "prepare a hand-over", reply, data);
        return;
    }
    if (!lease_table_can_move(s->leases, &error) ||
        !(token = handover_mint(s, &error))) {
        reply(data, NULL, error);
        return;
    }
    g_free(h->token);
    h->token = token;
    g_clear_pointer(&h->uri, g_free);
    know_peer(s, uri);
    h->completed = FALSE;
    h->offered = TRUE;
    reason =
        g_strconcat("prepared to be handed over", uri ? " to " : "", uri, NULL);
    handover_wait(s, HANDOVER_WAITS_OFFER, reply, data);
    supervisor_step(s, MACHINE_EVENT_PREPARE, reason);
}

void supervisor_complete_out(Supervisor *s, const char *uri,
                             SupervisorReply reply, gpointer data)
{
    g_autoptr(GError) error = NULL;

    if (!would(s, MACHINE_EVENT_COMPLETE, MACHINE_ACTION_KILL)) {
        refuse(s, "complete a hand-over to a target", reply, data);
        return;
    }
    if (!driver_file.completed(s->file_driver) && /* it may be dead by now */
        !lease_table_is_claimed(s->leases, &error)) {
        reply(data, NULL, error);
        return;
    }
    know_peer(s, uri);
    s->handover.handed_over = TRUE;
    supervisor_step(s, MACHINE_EVENT_COMPLETE, "handed over");
    reply(data, json_object(), NULL);
}

/* It was completed before, and whoever asks has not heard of it. */
static void complete_again(Supervisor *s, const Completion *how,
                           SupervisorReply reply, gpointer data)
{
    if (!s->handover.target) {
        reply(data, json_object(), NULL);
        return;
    }
    if (how->wait)
        handover_wait(s, HANDOVER_WAITS_TAKE, reply, data);
    if (!how->wait && s->handover.quiet) { /* the guest may run from now on */
        s->handover.quiet = FALSE;
        handover_take(s);
    }
    if (!how->wait)
        reply(data, json_object(), NULL);
}

static void no_source(Supervisor *s, SupervisorReply reply, gpointer data)
{
    if (s->options->incoming && s->state == MACHINE_RUNNING)
        fail(reply, data, QMP_ERROR_WRONG_STATE,
             "cannot complete a hand-over from a source: there was none when "
             "the VM was started, and every lease is held already");
    else
        refuse(s, "complete a hand-over from a source", reply, data);
}

void supervisor_complete_in(Supervisor *s, const Completion *how,
                            SupervisorReply reply, gpointer data)
{
    Handover *h = &s->handover;
    g_autoptr(GError) error = NULL;

    if (h->target && !handover_check(s, how->state, TRUE, &error)) {
        reply(data, NULL, error);
        return;
    }
    if (h->completed && !end_has_begun(s)) {
        complete_again(s, how, reply, data);
        return;
    }
    if (!would(s, MACHINE_EVENT_COMPLETE, MACHINE_ACTION_TAKE)) {
        no_source(s, reply, data);
        return;
    }
    if (!lease_table_can_move(s->leases, &error)) {
        reply(data, NULL, error);
        return;
    }
    know_peer(s, how->uri);
    h->quiet = how->wait;
    handover_look(s, how->active);
    handover_wait(s, how->wait ? HANDOVER_WAITS_TAKE : HANDOVER_WAITS_COMPLETE,
                  reply, data);
    lease_table_move(s->leases, LEASE_MOVE_COMPLETE, FALSE);
}

/* Of a target that has no child yet: it waits for leases. */
static void cancel_start(Supervisor *s, const char *reason,
                         SupervisorReply reply, gpointer data)
{
    g_autofree char *why =
        g_strconcat("cannot claim the leases: ", reason, NULL);

    end_fail(s, EXIT_DENIED, why);
    supervisor_step(s, MACHINE_EVENT_QUIT, reason);
    reply(data, json_object(), NULL);
}

void supervisor_cancel(Supervisor *s, SupervisorReply reply, gpointer data)
{
    static const char reason[] = "the migration was cancelled";

    if (s->options->incoming &&
        would(s, MACHINE_EVENT_QUIT, MACHINE_ACTION_RELEASE)) {
        cancel_start(s, reason, reply, data);
    } else if (would(s, MACHINE_EVENT_CANCEL, MACHINE_ACTION_KILL)) {
        supervisor_step(s, MACHINE_EVENT_CANCEL, reason);
        reply(data, json_object(), NULL);
    } else if (s->handover.offered && driver_file.completed(s->file_driver)) {
        fail(reply, data, QMP_ERROR_WRONG_STATE,
             "cannot cancel the hand-over: the target was completed, and is "
             "the VM now; the leases stay offered until this side is ended");
    } else if (would(s, MACHINE_EVENT_CANCEL, MACHINE_ACTION_TAKE)) {
        handover_wait(s, HANDOVER_WAITS_BACK, reply, data);
        supervisor_step(s, MACHINE_EVENT_CANCEL, reason);
    } else if (s->state == MACHINE_RECLAIMING) {
        handover_wait(s, HANDOVER_WAITS_BACK, reply, data);
    } else {
        refuse(s, "cancel the hand-over", reply, data);
    }
}

void supervisor_inquire(Supervisor *s, SupervisorReply reply, gpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *token = NULL;

    if (lease_table_can_move(s->leases, &error))
        token = s->handover.token ? g_strdup(s->handover.token)
                                  : handover_mint(s, &error);
    if (!token) {
        reply(data, NULL, error);
        return;
    }
    s->handover.inquired = TRUE;
    reply(data, json_pack("{s:s}", "state", token), NULL);
}

void supervisor_pause(Supervisor *s, SupervisorReply reply, gpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *token = NULL;

    if (s->handover.inquired) {
        supervisor_prepare(s, NULL, reply, data);
        return;
    }
    token = handover_mint(s, &error);
    reply(data, token ? json_pack("{s:s}", "state", token) : NULL, error);
}

void supervisor_resume(Supervisor *s, const char *state, SupervisorReply reply,
                       gpointer data)
{
    const Completion how = {.state = state, .active = HANDOVER_LOOK};
    const gboolean target = s->handover.target, offered = s->handover.offered;
    g_autoptr(GError) error = NULL;

    if ((target || offered) && !state) {
        fail(reply, data, QMP_ERROR_WRONG_STATE,
             "cannot acquire the leases again: the VM is %s, and %s",
             machine_state_name(s->state),
             target ? "it takes the source's state to complete that"
                    : "it takes its state to undo that");
    } else if (target) {
        supervisor_complete_in(s, &how, reply, data);
    } else if (!handover_check(s, state, FALSE, &error)) {
        reply(data, NULL, error);
    } else if (offered) {
        supervisor_cancel(s, reply, data);
    } else {
        s->handover.inquired = s->handover.inquired && !state;
        reply(data, json_object(), NULL);
    }
}
