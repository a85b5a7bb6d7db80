/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the commands of a hand-over, see verbs.h. */
#include "verbs.h"

#include <string.h>

#include "../libsupervise/qmp.h"

/* Of a URI; it goes into a line of the log. */
#define URI_MAX 1024

#define STATE(name)  (1u << MACHINE_##name)
#define ANY_STATE    ((1u << MACHINE_N_STATES) - 1)
#define NOT_GONE     (ANY_STATE & ~STATE(GONE))
#define WITH_MACHINE (STATE(RUNNING) | STATE(OUTGOING) | STATE(RECLAIMING))

static void on_reply(gpointer data, json_t *value, const GError *error)
{
    if (error)
        request_fail(data, error, NULL);
    else
        request_reply(data, value, -1);
}

static void refuse(Request *request, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static void refuse(Request *request, const char *format, ...)
{
    g_autoptr(GError) error = NULL;
    va_list ap;

    va_start(ap, format);
    error = g_error_new_valist(QMP_ERROR, QMP_ERROR_BAD_ARGUMENT, format, ap);
    va_end(ap);
    request_fail(request, error, NULL);
}

static const char *string_of(const json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

/* The URI @name, or NULL; FALSE where it is refused. */
static gboolean uri_of(Request *request, const json_t *arguments,
                       const char *name, const char **uri)
{
    const char *text = string_of(arguments, name);
    gboolean good = !text || strlen(text) <= URI_MAX;

    for (const char *c = text; good && c && *c; c++)
        good = !g_ascii_iscntrl(*c);
    *uri = text;
    if (!good)
        refuse(request,
               "cannot use '%s': it is longer than %d bytes, or has a control "
               "character",
               name, URI_MAX);
    return good;
}

static void migrate_prepare(Supervisor *supervisor, Request *request,
                            const json_t *arguments)
{
    const char *uri;

    if (uri_of(request, arguments, "target-uri", &uri))
        supervisor_prepare(supervisor, uri, on_reply, request);
}

static HandoverActive active_of(const json_t *arguments)
{
    const json_t *inactive = json_object_get(arguments, "inactive");

    if (!inactive)
        return HANDOVER_LOOK;
    return json_is_true(inactive) ? HANDOVER_INACTIVE : HANDOVER_ACTIVE;
}

static void migrate_complete(Supervisor *supervisor, Request *request,
                             const json_t *arguments)
{
    const char *direction = string_of(arguments, "direction");
    gboolean in = g_str_equal(direction, "in");
    Completion how = {.wait = json_is_true(json_object_get(arguments, "wait")),
                      .active = active_of(arguments)};
    const char *uri;

    if (!in && !g_str_equal(direction, "out")) {
        refuse(request,
               "cannot run 'migrate-complete': direction '%s' is neither 'in' "
               "nor 'out'",
               direction);
        return;
    }
    if (!uri_of(request, arguments, in ? "source-uri" : "target-uri", &uri))
        return;
    how.uri = uri;
    if (in)
        supervisor_complete_in(supervisor, &how, on_reply, request);
    else
        supervisor_complete_out(supervisor, uri, on_reply, request);
}

static void migrate_cancel(Supervisor *supervisor, Request *request,
                           const json_t *arguments)
{
    supervisor_cancel(supervisor, on_reply, request);
}

static void inquire(Supervisor *supervisor, Request *request,
                    const json_t *arguments)
{
    supervisor_inquire(supervisor, on_reply, request);
}

static void release(Supervisor *supervisor, Request *request,
                    const json_t *arguments)
{
    supervisor_pause(supervisor, on_reply, request);
}

static void acquire(Supervisor *supervisor, Request *request,
                    const json_t *arguments)
{
    supervisor_resume(supervisor, string_of(arguments, "state"), on_reply,
                      request);
}

#define RETURNS_STATE "object: state (a token: names the VM and this hand-over)"

static const Verb table[] = {
    {"migrate-prepare",
     TRUE,
     STATE(RUNNING),
     migrate_prepare,
     "Source: offers every lease to one target, which may claim them from now "
     "on; nobody else gets any of them. The VM runs on.",
     RETURNS_STATE,
     {{"target-uri", JSON_STRING, FALSE,
       "where the VM goes; for log and status, at most 1024 bytes"}}},
    {"migrate-complete",
     TRUE,
     NOT_GONE,
     migrate_complete,
     "Target (in): QEMU has the VM's state, and the source's QEMU has stopped: "
     "answered at once, since nobody but the source has anything left to let "
     "go. Source (out): the child is killed, and when it is dead and drained "
     "the leases are released; the exit status is 0. Refused while no target "
     "has claimed them.",
     "nothing",
     {{"direction", JSON_STRING, TRUE, "in (on the target) or out"},
      {"source-uri", JSON_STRING, FALSE,
       "with in: where the VM came from; for log and status"},
      {"target-uri", JSON_STRING, FALSE, "with out: where the VM went"},
      {"wait", JSON_TRUE, FALSE,
       "with in: answer when the source has let go and its writes are done; "
       "let the guest run after that only"},
      {"inactive", JSON_TRUE, FALSE,
       "with in: whether the target's QEMU has not opened its disks yet; by "
       "default that is looked at"}}},
    {"migrate-cancel",
     TRUE,
     NOT_GONE,
     migrate_cancel,
     "Target: the child is killed. Source: the leases are taken back, when the "
     "target is gone; answered when that is done, and with an error when it "
     "is not within 5 seconds: then they stay offered.",
     "nothing",
     {{0}}},
    {"inquire",
     TRUE,
     STATE(RUNNING) | STATE(OUTGOING),
     inquire,
     "Names the state of the VM's leases; a release that follows begins a "
     "hand-over.",
     RETURNS_STATE,
     {{0}}},
    {"release",
     TRUE,
     STATE(RUNNING),
     release,
     "After inquire: migrate-prepare. Otherwise the guest was paused, and the "
     "leases are kept.",
     RETURNS_STATE,
     {{0}}},
    {"acquire",
     TRUE,
     WITH_MACHINE | STATE(INCOMING) | STATE(CLAIMING),
     acquire,
     "Before the guest runs (again): RUNNING: the leases are held, that is "
     "all (and it was no hand-over that was inquired for). OUTGOING, with "
     "state: migrate-cancel. INCOMING, with state: migrate-complete, in.",
     "nothing",
     {{"state", JSON_STRING, FALSE,
       "token of who held the leases: of the source, or our own"}}},
};

const Verb *verbs_migrate(gsize *n)
{
    *n = G_N_ELEMENTS(table);
    return table;
}
