/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see supervisor.h. */
#include "supervisor.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "confine.h"
#include "supervisor_internal.h"
#include "watch.h"

/* How often an unkillable child is spoken of. */
#define SAY_MS 5000

/* How long a cancel waits for the target's end. */
#define RECLAIM_MS 5000

/* Deadlines. */

static gboolean on_deadline(gpointer data)
{
    Supervisor *s = data;
    const GError *busy = lease_table_error(s->leases);
    const char *why = "time is up";

    s->deadline = 0;
    /* Of all states with a deadline only the first ends without a child. */
    if (!machine_has_child(s->state) && busy) {
        why = busy->message;
        end_denied(s, busy, lease_table_holder(s->leases));
    } else if (!machine_has_child(s->state)) {
        why = "cannot acquire the leases: timed out";
        end_fail(s, EXIT_DENIED, why);
    }
    supervisor_step(s, MACHINE_EVENT_DEADLINE, why);
    return G_SOURCE_REMOVE;
}

/* Milliseconds until the state that was entered gets DEADLINE; 0: never. */
static gint64 deadline_of(const Supervisor *s)
{
    const gint64 deadlines[MACHINE_N_STATES] = {
        [MACHINE_STARTING] = s->options->wait_ms,
        [MACHINE_ATTACHING] = s->options->wait_ms,
        [MACHINE_RECLAIMING] = RECLAIM_MS,
        [MACHINE_STOPPING] = MAX(s->stop_timeout_ms, 1),
        [MACHINE_KILLING] = SAY_MS,
    };

    return deadlines[s->state];
}

static void set_deadline(Supervisor *s)
{
    gint64 ms = deadline_of(s);

    if (s->deadline)
        g_source_remove(s->deadline);
    s->deadline = ms ? g_timeout_add(MIN(ms, G_MAXUINT), on_deadline, s) : 0;
    if (end_has_begun(s))
        report_ending(s->report, ms);
}

/* Actions, each with the reason that it is done for. */

static void do_spawn(Supervisor *s)
{
    g_autoptr(GError) error = NULL;

    if (start_child(s, &error))
        return;
    end_fail(s, EXIT_OWN_ERROR, error->message);
    supervisor_step(s, MACHINE_EVENT_EXEC_FAILED, error->message);
}

static void do_adopt(Supervisor *s)
{
    start_adopt(s);
}

static void do_release(Supervisor *s)
{
    lease_table_release(s->leases, LEASE_SET_OTHERS);
}

static void do_term(Supervisor *s)
{
    child_terminate(s->child);
}

static void do_kill(Supervisor *s)
{
    child_kill(s->child);
}

static void do_say(Supervisor *s)
{
    g_autofree char *what = child_describe(s->child);

    report_log(s->report, MESSAGE_CHILD_UNKILLABLE, NULL,
               "cannot kill the child: %s; its leases are kept", what);
    child_kill(s->child);
    child_reap(s->child);
}

static void do_finish(Supervisor *s)
{
    handover_look_back(s);
    do_release(s);
}

static void (*const actions[MACHINE_N_ACTIONS])(Supervisor *) = {
    [MACHINE_ACTION_SPAWN] = do_spawn,
    [MACHINE_ACTION_ADOPT] = do_adopt,
    [MACHINE_ACTION_RELEASE] = do_release,
    [MACHINE_ACTION_OFFER] = handover_offer,
    [MACHINE_ACTION_TAKE] = handover_take,
    [MACHINE_ACTION_TERM] = do_term,
    [MACHINE_ACTION_KILL] = do_kill,
    [MACHINE_ACTION_SAY] = do_say,
    [MACHINE_ACTION_FINISH] = do_finish,
};

static void enter(Supervisor *s, MachineState next, const char *reason)
{
    const char *from = machine_state_name(s->state);
    const char *to = machine_state_name(next);
    json_t *data;

    report_state(s->report, from, to, reason);
    s->state = next;
    s->state_since = g_get_real_time() / G_USEC_PER_SEC;
    g_free(s->reason);
    s->reason = g_strdup(reason);
    data =
        json_pack("{s:s, s:s, s:s}", "from", from, "to", to, "reason", reason);
    if (s->denied)
        json_object_update(data, s->denied);
    control_event(s->control, "STATE_CHANGE", data);
    handover_entered(s);
}

/* Whoever is refused shall know that it will not be for long. */
static void tell_exiting(Supervisor *s)
{
    if (s->exiting)
        return;
    s->exiting = TRUE;
    driver_file.exiting(s->file_driver);
}

void supervisor_step(Supervisor *s, MachineEvent event, const char *reason)
{
    MachineAction action;
    MachineState next;
    g_autofree char *kept = g_utf8_make_valid(reason, -1); /* a copy */

    if (!machine_step(s->state, event, &action, &next)) {
        report_log(s->report, MESSAGE_EVENT_REFUSED, NULL,
                   "%s refused in %s: %s", machine_event_name(event),
                   machine_state_name(s->state), kept);
        return;
    }
    if (next != s->state)
        enter(s, next, kept);
    if (next != s->state || action != MACHINE_ACTION_NONE)
        set_deadline(s);
    if (actions[action])
        actions[action](s);
    if (next == MACHINE_KILLING || next == MACHINE_GONE)
        tell_exiting(s);
}

/* What the leases say. */

static void take(Supervisor *s, LeaseSet set, gboolean claim)
{
    (claim ? lease_table_claim : lease_table_acquire)(s->leases, set,
                                                      s->options->wait);
}

static void on_granted(gpointer opaque, LeaseSet set)
{
    Supervisor *s = opaque;
    g_autoptr(GError) error = NULL;

    if (set == LEASE_SET_OTHERS && s->handover.target) {
        supervisor_step(s, MACHINE_EVENT_CLAIMED,
                        "every lease is claimed; nothing may be written yet");
    } else if (set == LEASE_SET_OTHERS) {
        supervisor_step(s, MACHINE_EVENT_GRANTED, "every lease is held");
    } else if (!start_listen(s, &error)) {
        end_refused(s, EXIT_OWN_ERROR, error);
        supervisor_step(s, MACHINE_EVENT_DENIED, error->message);
    } else if (!handover_find_source(s, &error)) {
        end_refused(s, EXIT_DENIED, error);
        supervisor_step(s, MACHINE_EVENT_DENIED, error->message);
    } else {
        take(s, LEASE_SET_OTHERS, s->handover.target);
    }
}

static void on_denied(gpointer opaque, const GError *error, json_t *holder)
{
    Supervisor *s = opaque;

    end_denied(s, error, holder);
    supervisor_step(s, MACHINE_EVENT_DENIED, s->why);
}

static void on_warning(gpointer opaque, Lease *lease, MessageKind kind,
                       const char *sentence)
{
    Supervisor *s = opaque;

    report_log(s->report, kind, lease_resource(lease)->name, "%s", sentence);
    if (kind == MESSAGE_TAKE_WAITS)
        handover_look_again(s);
    if (kind == MESSAGE_LEASE_AWAITED)
        report_waiting(s->report, sentence);
    if (end_has_begun(s))
        report_ending(s->report, deadline_of(s));
}

static void on_lost(gpointer opaque, Lease *lease, const char *why)
{
    supervisor_revoke(opaque, lease, why, NULL);
}

/* The socket's name goes before the VM's lease: whoever has the lease next
 * will make it anew. Sessions end last, so that clients who wait for that
 * find every lease free. */
static void on_released(gpointer opaque, LeaseSet set)
{
    Supervisor *s = opaque;

    handover_look_back(s);
    if (set == LEASE_SET_OTHERS) {
        control_unlink(s->control);
        lease_table_release(s->leases, LEASE_SET_VM);
    } else {
        control_event(s->control, "RELEASED", json_object());
        s->finished = TRUE;
    }
}

const LeaseEvents supervisor_lease_events = {
    .granted = on_granted,
    .denied = on_denied,
    .warning = on_warning,
    .lost = on_lost,
    .released = on_released,
    .used = guard_on_used,
    .letting_go = guard_on_letting_go,
    .guarded = guard_on_guarded,
    .moved = handover_on_moved,
    .inactive = handover_on_inactive,
};

/* Signals. */

static void stop_by_signal(Supervisor *s, int sig)
{
    g_autofree char *reason =
        g_strdup_printf("stopped by SIG%s", sigabbrev_np(sig));

    if (!machine_has_child(s->state))
        end_fail(s, 128 + sig, reason);
    supervisor_step(s, MACHINE_EVENT_STOP, reason);
}

/* The terminal signals the whole foreground process group, and the child
 * with us if it is still of it; but of its hanging up it tells the session
 * leader alone. */
static gboolean child_has_it(const Supervisor *s, int sig, gboolean typed)
{
    return typed && !(sig == SIGHUP && s->session_leader) &&
           child_in_our_group(s->child);
}

static void on_signal(Supervisor *s, int sig, gboolean typed)
{
    gboolean child = machine_has_child(s->state);

    if (sig == SIGCHLD)
        child_reap(s->child);
    else if (sig == SIGTERM)
        stop_by_signal(s, sig);
    else if (child && sig != SIGTSTP && !child_has_it(s, sig, typed))
        child_signal(s->child, sig);
    else if (!child && (sig == SIGINT || sig == SIGHUP || sig == SIGQUIT))
        stop_by_signal(s, sig);
    else if (!child && sig == SIGTSTP)
        raise(SIGSTOP);
}

static gboolean on_signals(gint fd, GIOCondition condition, gpointer data)
{
    Supervisor *s = data;
    gboolean typed;
    int sig;

    /* Not for ever: peers and deadlines have their turn too. */
    for (int i = 0; i < 16 && (sig = signals_next(s->signals, &typed)); i++)
        on_signal(s, sig, typed);
    return G_SOURCE_CONTINUE;
}

/* Until the last lease is let go. */
static void run(Supervisor *s)
{
    s->signal_source = watch_fd(signals_fd(s->signals), G_IO_IN, on_signals, s);
    set_deadline(s);
    take(s, LEASE_SET_VM, s->options->incoming);
    while (!s->finished)
        g_main_context_iteration(NULL, TRUE);
    if (s->deadline)
        g_source_remove(s->deadline);
    if (s->look)
        g_source_remove(s->look);
    g_source_remove(s->signal_source);
}

int supervisor_run(const Options *options, Signals *signals)
{
    Supervisor s = {
        .options = options,
        .signals = signals,
        .state = options->attach ? MACHINE_ATTACHING : MACHINE_STARTING,
        .pid_fd = -1,
        .json_status_fd = -1,
    };
    g_autoptr(GError) error = NULL;
    int code = EXIT_OWN_ERROR;

    if (start_prepare(&s, &error)) {
        run(&s);
        code = end_conclude(&s);
    } else if (s.report) {
        g_autoptr(json_t) more =
            json_pack("{s:s}", "class", qmp_error_class(error));

        report_log(s.report, MESSAGE_ENDED_BY_ERROR, NULL, "%s",
                   error->message);
        report_exit(s.report, code, error->message, more, FALSE);
    } else {
        report_print(options->name, error->message);
    }
    end_undo(&s);
    return code;
}
