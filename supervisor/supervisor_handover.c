/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a hand-over, wired: commands to events, moves of the lease table back
 *
 * The source offers (OUTGOING), the target has claimed (INCOMING) and is
 * completed (CLAIMING); the source's child is killed, and what it held is the
 * target's. A command that has to wait for the other side, or for its own
 * driver, leaves a Waiter, which is answered when a move has ended or the VM
 * ends; none is ever left without an answer.
 *
 * Should:  look before it steps: what the machine has begun it ends.
 * Mustn't: let go of a lease; that is done at the end, as for every VM.
 */
#include "../libsupervise/qmp.h"
#include "supervisor_internal.h"
#include "token.h"

typedef struct {
    HandoverWait what;
    SupervisorReply reply;
    gpointer data;
} Waiter;

/* --- answers -------------------------------------------------------------- */

void handover_wait(Supervisor *s, HandoverWait what, SupervisorReply reply,
                   gpointer data)
{
    Waiter *waiter = g_new(Waiter, 1);

    *waiter = (Waiter){what, reply, data};
    s->handover.waiters = g_slist_append(s->handover.waiters, waiter);
}

/* Answers those of @mask. @value stays the caller's. */
static void answer(Supervisor *s, guint mask, json_t *value,
                   const GError *error)
{
    GSList *all = g_steal_pointer(&s->handover.waiters);

    for (GSList *item = all; item; item = item->next) {
        g_autofree Waiter *waiter = item->data;

        if (waiter->what & mask)
            waiter->reply(waiter->data, error ? NULL : json_incref(value),
                          error);
        else
            handover_wait(s, waiter->what, waiter->reply, waiter->data);
    }
    g_slist_free(all);
}

static void answer_done(Supervisor *s, guint mask)
{
    g_autoptr(json_t) nothing = json_object();

    answer(s, mask, nothing, NULL);
}

/* Who waits after the VM was completed here must not take the end of it for a
 * refusal, after which the source may go on. */
void handover_entered(Supervisor *s)
{
    const char *state = machine_state_name(s->state);
    g_autoptr(GError) error = NULL;

    if (!end_has_begun(s) || !s->handover.waiters)
        return;
    if (s->handover.completed)
        error = g_error_new(QMP_ERROR, QMP_ERROR_LEASE_LOST,
                            "cannot wait for the source's end: the VM was "
                            "handed over, and is %s by now (%s)",
                            state, s->reason);
    else
        error =
            g_error_new(QMP_ERROR, QMP_ERROR_WRONG_STATE,
                        "cannot go on with the hand-over: the VM is %s (%s)",
                        state, s->reason);
    answer(s, HANDOVER_WAITS, NULL, error);
}

/* --- tokens --------------------------------------------------------------- */

char *handover_mint(Supervisor *s, GError **error)
{
    g_autoptr(json_t) told = driver_file.told(s->file_driver);

    if (told)
        return token_new(s->ops->name, told);
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "cannot name the state of '%s': its record is gone from '%s'",
                s->options->name, s->state_dir);
    return NULL;
}

gboolean handover_check(Supervisor *s, const char *state, gboolean source,
                        GError **error)
{
    g_autoptr(json_t) told = source ? json_incref(s->handover.source)
                                    : driver_file.told(s->file_driver);

    return !state ||
           token_check(state, s->ops->name, s->options->uuid, told, error);
}

void handover_new_nonce(Supervisor *s)
{
    token_nonce(s->handover.nonce);
}

/* --- the target's start --------------------------------------------------- */

gboolean handover_find_source(Supervisor *s, GError **error)
{
    Handover *h = &s->handover;

    if (!s->options->incoming)
        return TRUE;
    h->target = lease_table_has_source(s->leases);
    if (h->target) {
        h->source = driver_file.told(s->file_driver);
        if (h->source)
            h->token = token_new(s->ops->name, h->source);
        return handover_check(s, s->options->state, TRUE, error);
    }
    if (s->options->state) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot claim VM '%s': nobody offers it (first run "
                    "'virt-lockctl migrate-prepare' on its source, with a "
                    "state directory or lockspace that both sides see)",
                    s->options->uuid);
        return FALSE;
    }
    report_log(s->report, MESSAGE_NO_SOURCE, NULL,
               "nobody holds VM '%s': its leases are taken as for any other "
               "start",
               s->options->uuid);
    return TRUE;
}

/* What a target that was refused should know. */
char *handover_explain(const Supervisor *s, const GError *error)
{
    const Lease *denied = lease_table_denied(s->leases);
    gboolean vm = denied && lease_resource(denied)->kind == RESOURCE_VM;

    if (!s->options->incoming || s->handover.target ||
        !g_error_matches(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY) ||
        g_str_has_prefix(error->message, "cannot claim")) /* it says enough */
        return g_strdup(error->message);
    return g_strconcat(
        error->message,
        vm ? "; 'virt-lockctl migrate-prepare' there offers it (--wait waits "
             "for that)"
           : "; no source of the VM is seen from here (source and target need "
             "one lockspace or state directory)",
        NULL);
}

/* --- moves ---------------------------------------------------------------- */

/* A cancel that does not work offers again: what was in the way is known only
 * before that. */
void handover_offer(Supervisor *s)
{
    g_autofree char *why = lease_table_hindrance(s->leases);

    if (s->handover.reclaiming && !s->handover.obstacle)
        s->handover.obstacle =
            g_error_new(QMP_ERROR, QMP_ERROR_WRONG_STATE, "%s",
                        why ? why : "cannot take the leases back in time");
    s->handover.reclaiming = FALSE;
    lease_table_move(s->leases, LEASE_MOVE_OFFER, FALSE);
}

void handover_take(Supervisor *s)
{
    s->handover.reclaiming = !s->handover.target;
    lease_table_move(s->leases, LEASE_MOVE_TAKE,
                     s->handover.target && s->handover.quiet);
}

/* A cancel did not work, and what it got is offered again: all of it, or some
 * is held as it was before the offer, which no target can claim then. */
static void on_offered_again(Supervisor *s, const GError *obstacle)
{
    g_autoptr(GError) whole =
        g_error_new(obstacle->domain, obstacle->code,
                    "%s; the VM runs on, and its leases stay offered: kept "
                    "from everybody but a target",
                    obstacle->message);

    answer(s, HANDOVER_WAITS_BACK, NULL, whole);
}

static void on_offered(Supervisor *s, const GError *error)
{
    g_autoptr(GError) obstacle = g_steal_pointer(&s->handover.obstacle);
    g_autoptr(json_t) value = json_pack("{s:s}", "state", s->handover.token);

    if (obstacle) {
        on_offered_again(s, obstacle);
    } else if (error) {
        answer(s, HANDOVER_WAITS_OFFER, NULL, error);
        supervisor_step(s, MACHINE_EVENT_DENIED, error->message);
    } else {
        answer(s, HANDOVER_WAITS_OFFER, value, NULL);
    }
}

static void on_taken(Supervisor *s, const GError *error)
{
    Handover *h = &s->handover;

    if (error) {
        g_clear_error(&h->obstacle);
        h->obstacle = g_error_copy(error);
        supervisor_step(s, MACHINE_EVENT_DENIED, error->message);
        return;
    }
    g_clear_error(&h->obstacle);
    g_clear_pointer(&h->token, g_free);
    h->reclaiming = FALSE;
    if (!h->target) { /* whoever comes with the old token comes too late */
        h->inquired = h->offered = FALSE;
        handover_new_nonce(s);
        driver_file.tell(s->file_driver);
    }
    if (h->target)
        start_look(s); /* at what the guest has opened by now */
    h->target = FALSE;
    supervisor_step(s, MACHINE_EVENT_GRANTED,
                    h->completed ? "the source is gone: every lease is held"
                                 : "every lease is held again");
    answer_done(s, HANDOVER_WAITS_BACK | HANDOVER_WAITS_TAKE);
}

static void on_completed(Supervisor *s, const GError *error)
{
    Handover *h = &s->handover;
    g_autoptr(GError) whole = NULL;

    if (error) {
        whole = g_error_new(
            error->domain, error->code, "%s%s", error->message,
            h->unseen && g_str_has_suffix(error->message, DRIVER_SOURCE_WRITES)
                ? ", or the VM's own QEMU does, which cannot be seen from here "
                  "(complete it as active only if its guest runs here)"
                : "");
        answer(s, HANDOVER_WAITS_COMPLETE | HANDOVER_WAITS_TAKE, NULL, whole);
        return;
    }
    /* The guest is down until this is answered: what need not be done before
     * is done after it. */
    h->completed = TRUE;
    answer_done(s, HANDOVER_WAITS_COMPLETE);
    supervisor_step(s, MACHINE_EVENT_COMPLETE, "the VM was migrated here");
}

void handover_on_moved(gpointer opaque, LeaseMove move, const GError *error)
{
    static void (*const functions[])(Supervisor * s, const GError *error) = {
        [LEASE_MOVE_OFFER] = on_offered,
        [LEASE_MOVE_COMPLETE] = on_completed,
        [LEASE_MOVE_TAKE] = on_taken,
    };

    if (!end_has_begun(opaque)) /* then it is too late, and nobody waits */
        functions[move](opaque, error);
}
