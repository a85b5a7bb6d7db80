/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the end: which exit status, the truth about it, and taking down
 *
 * What is known first stays, but for a lost lease. No status is invented:
 * where nothing is known that is what is said.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "supervisor_internal.h"

void end_fail(Supervisor *s, int code, const char *why)
{
    if (s->verdict != VERDICT_NONE)
        return;
    s->verdict = VERDICT_OWN;
    s->code = code;
    s->why = g_strdup(why);
}

gboolean end_has_begun(const Supervisor *s)
{
    return s->state == MACHINE_STOPPING || s->state == MACHINE_KILLING ||
           s->state == MACHINE_GONE;
}

void end_about(Supervisor *s, const Lease *lease)
{
    if (!s->why_lease && lease)
        s->why_lease = g_strdup(lease_resource(lease)->name);
}

/* What a program reads of it, unless something else came first. */
static void note_class(Supervisor *s, const GError *error, json_t *holder)
{
    if (s->verdict != VERDICT_NONE)
        return;
    s->denied = json_pack("{s:s}", "class", qmp_error_class(error));
    if (holder)
        json_object_set(s->denied, "holder", holder);
}

void end_refused(Supervisor *s, int code, const GError *error)
{
    note_class(s, error, NULL);
    end_fail(s, code, error->message);
}

void end_denied(Supervisor *s, const GError *error, json_t *holder)
{
    g_autofree char *why = handover_explain(s, error);

    note_class(s, error, holder);
    end_fail(s,
             g_error_matches(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY) ||
                     g_error_matches(error, QMP_ERROR, QMP_ERROR_WRONG_STATE)
                 ? EXIT_DENIED
                 : EXIT_OWN_ERROR,
             why);
    end_about(s, lease_table_denied(s->leases));
}

void end_lost(Supervisor *s, const char *why)
{
    if (!machine_has_child(s->state)) {
        end_fail(s, EXIT_DENIED, why);
        return;
    }
    s->verdict = VERDICT_LOST;
    g_free(s->why);
    s->why = g_strdup(why);
}

char *end_describe(int status)
{
    return WIFEXITED(status)
               ? g_strdup_printf("the child exited with status %d",
                                 WEXITSTATUS(status))
               : g_strdup_printf("the child was killed by signal %d",
                                 WTERMSIG(status));
}

/* The process that was attached has ended by itself: that is no failure, and
 * its status is its parent's to know. */
static int conclude_attached(Supervisor *s)
{
    g_autofree char *how = NULL;
    int status;

    how = child_ask_status(s->child, &status)
              ? end_describe(status)
              : g_strdup("the process has ended; how is not known");
    report_exit(s->report, 0, how, NULL, FALSE);
    return s->code = 0;
}

/* Its child has done what it was for, however it ended here. */
static int conclude_handed_over(Supervisor *s)
{
    const char *uri = s->handover.uri;
    g_autofree char *how =
        g_strconcat("handed over", uri ? " to " : "", uri, NULL);
    g_autoptr(json_t) more = json_pack("{s:b}", "handed-over", 1);

    report_exit(s->report, 0, how, more, FALSE);
    return s->code = 0;
}

int end_conclude(Supervisor *s)
{
    g_autofree char *ended = NULL;

    if (s->verdict == VERDICT_LOST)
        s->code = EXIT_LOST;
    else if (s->handover.handed_over)
        return conclude_handed_over(s);
    if (s->verdict == VERDICT_NONE && s->options->attach)
        return conclude_attached(s);
    if (s->verdict == VERDICT_NONE && !s->has_status)
        end_fail(s, EXIT_OWN_ERROR, "cannot tell how the child ended");
    if (s->verdict != VERDICT_NONE) {
        if (s->verdict == VERDICT_OWN && s->code < 128)
            report_log(s->report,
                       s->code == EXIT_DENIED ? MESSAGE_LEASE_DENIED
                                              : MESSAGE_ENDED_BY_ERROR,
                       s->why_lease, "%s", s->why);
        report_exit(s->report, s->code, s->why, s->denied, FALSE);
        return s->code;
    }
    ended = end_describe(s->status);
    s->code = WIFEXITED(s->status) ? WEXITSTATUS(s->status)
                                   : 128 + WTERMSIG(s->status);
    report_exit(s->report, s->code, ended, NULL, TRUE);
    return s->code;
}

void end_undo(Supervisor *s)
{
    control_free(s->control);
    if (s->file_driver && s->file_driver != s->driver)
        driver_file.close(s->file_driver);
    if (s->driver)
        s->ops->close(s->driver);
    lease_table_free(s->leases);
    guard_free(s->guard);
    child_free(s->child);
    if (s->report) {
        report_free(s->report);
    } else {
        if (s->pid_fd >= 0)
            close(s->pid_fd);
        if (s->json_status_fd >= 0)
            close(s->json_status_fd);
    }
    credentials_free(s->credentials);
    handover_free(s);
    g_free(s->run_dir);
    g_free(s->state_dir);
    g_free(s->socket_path);
    g_free(s->reason);
    g_free(s->why);
    g_free(s->why_lease);
    json_decref(s->denied);
}
