/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the child says, see supervisor.h. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor_internal.h"

static void tell_child(Supervisor *s, pid_t pid)
{
    control_event(s->control, "CHILD_START", json_pack("{s:i}", "pid", pid));
}

static void on_started(gpointer opaque)
{
    Supervisor *s = opaque;

    tell_child(s, child_pid(s->child));
    report_child(s->report, child_pid(s->child));
    start_look(s);
}

static void on_failed(gpointer opaque, ChildStage stage, int err)
{
    Supervisor *s = opaque;
    const char *command = s->options->command[0];
    g_autofree char *why = NULL;
    int code = EXIT_OWN_ERROR;

    if (stage == CHILD_STAGE_EXEC) {
        why = g_strdup_printf("cannot execute '%s': %s", command,
                              g_strerror(err));
        code = err == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    } else if (stage == CHILD_STAGE_CREDENTIALS) {
        why = g_strdup_printf("cannot become '%s': %s",
                              s->options->user ? s->options->user
                                               : s->options->group,
                              g_strerror(err));
    } else {
        why = g_strdup_printf("cannot watch over '%s': %s", command,
                              g_strerror(err));
    }
    end_fail(s, code, why);
    supervisor_step(s, MACHINE_EVENT_EXEC_FAILED, why);
}

static void on_exited(gpointer opaque, pid_t pid, int status)
{
    Supervisor *s = opaque;
    json_t *data = json_pack("{s:i}", "pid", pid);

    s->has_status = status != -1;
    s->status = status;
    if (!s->has_status)
        ; /* the event is all that is known */
    else if (WIFEXITED(status))
        json_object_set_new(data, "exit-code",
                            json_integer(WEXITSTATUS(status)));
    else
        json_object_set_new(data, "signal", json_integer(WTERMSIG(status)));
    control_event(s->control, "CHILD_EXIT", data);
}

static void on_adopted(gpointer opaque, pid_t pid)
{
    Supervisor *s = opaque;

    report_log(s->report, MESSAGE_CHILD_ADOPTED, NULL,
               "process %d, a descendant of the child, lives on and is the "
               "child now",
               pid);
    report_adopted(s->report, pid);
    tell_child(s, pid);
    guard_about_child(s);
}

static void on_found(gpointer opaque, pid_t pid, int pidfd)
{
    Supervisor *s = opaque;

    guard_other(s->guard, pid, pidfd);
}

static void on_gone(gpointer opaque)
{
    Supervisor *s = opaque;
    g_autofree char *reason = s->has_status ? end_describe(s->status)
                                            : g_strdup("the process has ended");

    supervisor_step(s, MACHINE_EVENT_CHILD_GONE, reason);
}

/* So that the shell's job control works: we stop as well, and `fg` wakes the
 * whole group. Not where a lease must be renewed meanwhile, and not without a
 * terminal, where only the child itself can have meant to stop us. */
static void on_stopped(gpointer opaque, int sig)
{
    Supervisor *s = opaque;

    if (s->job_control && child_in_our_group(s->child) &&
        !(s->ops->flags & DRIVER_RENEWS))
        raise(SIGSTOP);
}

const ChildEvents supervisor_child_events = {
    .started = on_started,
    .failed = on_failed,
    .exited = on_exited,
    .adopted = on_adopted,
    .found = on_found,
    .gone = on_gone,
    .stopped = on_stopped,
};
