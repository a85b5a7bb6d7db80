/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see verbs.h. */
#include "verbs.h"

#include <string.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

/* It goes into a line of the log, which may have little room. */
#define REASON_MAX 1024

#define ANY_STATE ((1u << MACHINE_N_STATES) - 1)
#define NOT_GONE  (ANY_STATE & ~(1u << MACHINE_GONE))
#define RUNNING   (1u << MACHINE_RUNNING)
#define INCOMING  (1u << MACHINE_INCOMING)

static const char *string_of(const json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

/* Answers a command that returns nothing. */
static void answer(Request *request, gboolean done, const GError *error)
{
    if (done)
        request_reply(request, json_object(), -1);
    else
        request_fail(request, error, NULL);
}

static void query_status(Supervisor *supervisor, Request *request,
                         const json_t *arguments)
{
    request_reply(request, supervisor_status(supervisor), -1);
}

static void query_child(Supervisor *supervisor, Request *request,
                        const json_t *arguments)
{
    Child *child = supervisor_child(supervisor);
    pid_t pid = child_pid(child);

    if (!pid || !child_is_started(child)) {
        g_autoptr(GError) error =
            g_error_new(QMP_ERROR, QMP_ERROR_WRONG_STATE,
                        "cannot name the child: there is none");
        request_fail(request, error, NULL);
        return;
    }
    request_reply(request,
                  json_pack("{s:i, s:I}", "pid", pid, "start-time",
                            (json_int_t)child_start_time(child)),
                  child_pidfd(child));
}

static void query_leases(Supervisor *supervisor, Request *request,
                         const json_t *arguments)
{
    request_reply(request, lease_table_to_json(supervisor_leases(supervisor)),
                  -1);
}

static void query_commands(Supervisor *supervisor, Request *request,
                           const json_t *arguments)
{
    json_t *names = json_array();
    const Verb *verb;

    json_array_append_new(names,
                          json_pack("{s:s}", "name", "qmp_capabilities"));
    for (gsize i = 0; (verb = verbs_at(i)); i++)
        json_array_append_new(names, json_pack("{s:s}", "name", verb->name));
    request_reply(request, names, -1);
}

static void query_liveness(Supervisor *supervisor, Request *request,
                           const json_t *arguments)
{
    json_int_t number =
        json_integer_value(json_object_get(arguments, "number"));
    g_autoptr(GError) error = NULL;
    guint count = 0;
    int fd = supervisor_liveness(supervisor, (guint)CLAMP(number, 0, 1000),
                                 &count, request_peer(request), &error);

    if (fd < 0)
        request_fail(request, error, NULL);
    else
        request_reply(request, json_pack("{s:i}", "count", count), fd);
}

/* "disk" or "lease", one of them. @kind, @text: which, and its value. */
static gboolean one_of(const json_t *arguments, ResourceKind *kind,
                       const char **text, GError **error)
{
    const char *disk = string_of(arguments, "disk");
    const char *lease = string_of(arguments, "lease");

    *kind = disk ? RESOURCE_DISK : RESOURCE_LEASE;
    *text = disk ? disk : lease;
    if (!disk != !lease)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot tell which lease is meant: exactly one of 'disk' and "
                "'lease' must be given");
    return FALSE;
}

/* The resource that a client describes. */
static Resource *make_resource(const json_t *arguments, GError **error)
{
    const char *mode_name = string_of(arguments, "mode");
    ResourceMode mode = RESOURCE_EXCLUSIVE;
    ResourceKind kind;
    const char *text;
    Resource *resource;

    if (!one_of(arguments, &kind, &text, error) ||
        (mode_name && !resource_mode_parse(mode_name, &mode, error)))
        return NULL;
    if (*text != '/' && kind == RESOURCE_DISK) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use disk '%s': the path is not absolute", text);
        return NULL;
    }
    if (kind == RESOURCE_DISK)
        return resource_new_disk(text, mode, error);
    resource = resource_parse_lease(text, error);
    if (resource)
        resource->mode = mode;
    return resource;
}

static void acquired(gpointer data, Lease *lease, const GError *error,
                     json_t *holder)
{
    json_t *details = holder ? json_pack("{s:O}", "holder", holder) : NULL;

    if (error) {
        request_fail(data, error, details);
        return;
    }
    request_reply(data, lease_to_json(lease), -1);
}

static void lease_acquire_verb(Supervisor *supervisor, Request *request,
                               const json_t *arguments)
{
    g_autoptr(GError) error = NULL;
    Resource *resource = make_resource(arguments, &error);
    int fd = request_take_fd(request);

    if (resource && (fd >= 0) == (resource->path != NULL)) {
        supervisor_acquire(supervisor, resource, fd, acquired, request);
        return;
    }
    if (resource)
        g_set_error(&error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    resource->path
                        ? "cannot acquire '%s': its opened descriptor must "
                          "be passed along (SCM_RIGHTS)"
                        : "cannot acquire '%s': it has no path, so no "
                          "descriptor can be passed along",
                    resource->name);
    if (fd >= 0)
        close(fd);
    resource_free(resource);
    request_fail(request, error, NULL);
}

/* The lease of the table that a client names. */
static Lease *find_lease(Supervisor *supervisor, const json_t *arguments,
                         GError **error)
{
    g_autoptr(Resource) resource = make_resource(arguments, error);
    Lease *lease;

    if (!resource)
        return NULL;
    lease = lease_table_find(supervisor_leases(supervisor), resource);
    if (!lease)
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot find %s '%s': the VM has no such lease",
                    resource_kind_name(resource->kind), resource->name);
    return lease;
}

static void released(gpointer data, Lease *lease, const GError *error,
                     json_t *holder)
{
    answer(data, !error, error);
}

static void lease_release_verb(Supervisor *supervisor, Request *request,
                               const json_t *arguments)
{
    g_autoptr(GError) error = NULL;
    Lease *lease = find_lease(supervisor, arguments, &error);

    if (lease)
        supervisor_release(supervisor, lease,
                           json_is_true(json_object_get(arguments, "force")),
                           released, request);
    else
        request_fail(request, error, NULL);
}

static void revoke_verb(Supervisor *supervisor, Request *request,
                        const json_t *arguments)
{
    g_autoptr(GError) error = NULL;
    const char *reason = string_of(arguments, "reason");
    gboolean named =
        string_of(arguments, "disk") || string_of(arguments, "lease");
    Lease *lease = named ? find_lease(supervisor, arguments, &error) : NULL;

    if (reason && strlen(reason) > REASON_MAX)
        g_set_error(&error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot run 'revoke': the reason is longer than %d bytes",
                    REASON_MAX);
    answer(request,
           !error && supervisor_revoke(supervisor, lease,
                                       reason ? reason : "revoked", &error),
           error);
}

static void shutdown_verb(Supervisor *supervisor, Request *request,
                          const json_t *arguments)
{
    g_autoptr(GError) error = NULL;
    const json_t *timeout = json_object_get(arguments, "timeout");
    double seconds = json_number_value(timeout);
    gint64 ms = timeout ? (gint64)(MIN(seconds, 1e6) * 1000) : -1;

    if (seconds < 0)
        g_set_error(&error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot run 'shutdown': the timeout is negative");
    answer(request, !error && supervisor_shutdown(supervisor, ms, &error),
           error);
}

static void quit_verb(Supervisor *supervisor, Request *request,
                      const json_t *arguments)
{
    g_autoptr(GError) error = NULL;

    answer(request, supervisor_quit(supervisor, &error), error);
}

#define DISK_OR_LEASE(form)                                                    \
    {"disk", JSON_STRING, FALSE, "absolute path of a disk"},                   \
    {                                                                          \
        "lease", JSON_STRING, FALSE,                                           \
            "or a lease: LOCKSPACE:KEY[:PATH[:OFFSET]]"                        \
    }

static const Verb table[] = {
    {"query-status",
     FALSE,
     ANY_STATE,
     query_status,
     "Says what the VM is and how it is.",
     "object: name, uuid, id (if given), host, pid (the supervisor's), state, "
     "reason (of the state), since and state-since (seconds since the epoch), "
     "child-pid (if there is a child), driver, leases (how many, the VM's own "
     "not counted), migration (in a hand-over: role, claimed, uri, state), "
     "confined (array of what was given up), guarantee (object: "
     "name of each lease, array of words)",
     {{0}}},
    {"query-child",
     FALSE,
     ANY_STATE,
     query_child,
     "Names the child, and passes its pidfd along (SCM_RIGHTS).",
     "object: pid, start-time (field 22 of /proc/PID/stat)",
     {{0}}},
    {"query-leases",
     FALSE,
     ANY_STATE,
     query_leases,
     "Lists the leases.",
     "array of objects: id, kind (vm, disk, lease), name, mode (exclusive, "
     "shared, readonly), status (WANTED, PENDING, HELD, OFFERED, CLAIMED, "
     "LOST, RELEASING), "
     "driver, since, guarantee (array of words, see virt-lock-supervisor(8)); "
     "device, inode and offset where known; changed (replaced, unlinked: the "
     "path names something else by now), waiting (for what its release waits)",
     {{0}}},
    {"query-liveness",
     TRUE,
     RUNNING | INCOMING,
     query_liveness,
     "Passes on a descriptor that an attached process is to keep open, for "
     "ever and across exec (SCM_RIGHTS): its leases then outlive a supervisor "
     "that is killed. Ask for each of them.",
     "object: count (how many there are)",
     {{"number", JSON_INTEGER, FALSE, "which of them, from 0 (default)"}}},
    {"query-commands",
     FALSE,
     ANY_STATE,
     query_commands,
     "Lists the commands.",
     "array of objects: name",
     {{0}}},
    {"lease-acquire",
     TRUE,
     RUNNING,
     lease_acquire_verb,
     "Acquires one more lease, for a disk that is about to be plugged in. "
     "What has a path comes as an open descriptor along with the command "
     "(SCM_RIGHTS): the client's right to open it decides.",
     "the lease, as in query-leases",
     {DISK_OR_LEASE("LOCKSPACE:KEY[:PATH[:OFFSET]]"),
      {"mode", JSON_STRING, FALSE, "exclusive (default), shared, readonly"}}},
    {"lease-release",
     TRUE,
     RUNNING | (1u << MACHINE_GONE),
     lease_release_verb,
     "Releases the lease of a disk that was unplugged. Refused while a "
     "process of the VM can be seen to have it open. In state GONE it needs "
     "force, and ends the wait for writes that are still under way.",
     "nothing",
     {DISK_OR_LEASE("LOCKSPACE:KEY"),
      {"force", JSON_TRUE, FALSE, "release it even so"}}},
    {"revoke",
     TRUE,
     NOT_GONE,
     revoke_verb,
     "Declares one lease, or the whole VM's, lost: the child is killed, the "
     "exit status is 124. The connection ends when the leases are free.",
     "nothing",
     {DISK_OR_LEASE("LOCKSPACE:KEY"),
      {"reason", JSON_STRING, FALSE,
       "for log and status, at most 1024 bytes"}}},
    {"shutdown",
     TRUE,
     NOT_GONE,
     shutdown_verb,
     "Asks the child to end (SIGTERM); kills it after the timeout, or at the "
     "second call.",
     "nothing",
     {{"timeout", JSON_REAL, FALSE,
       "seconds; default: the supervisor's --stop-timeout"}}},
    {"quit", TRUE, NOT_GONE, quit_verb, "Kills the child.", "nothing", {{0}}},
};

const Verb *verbs_at(gsize i)
{
    gsize n;
    const Verb *more = verbs_migrate(&n);

    if (i < G_N_ELEMENTS(table))
        return &table[i];
    i -= G_N_ELEMENTS(table);
    return i < n ? &more[i] : NULL;
}

static const Verb *find_verb(const char *name)
{
    const Verb *verb;

    for (gsize i = 0; (verb = verbs_at(i)); i++) {
        if (g_str_equal(verb->name, name))
            break;
    }
    return verb;
}

void verbs_run(gpointer opaque, Request *request, const char *name,
               json_t *arguments)
{
    Supervisor *supervisor = opaque;
    MachineState state = supervisor_state(supervisor);
    const Verb *verb = find_verb(name);
    g_autoptr(GError) error = NULL;

    if (!verb)
        g_set_error(&error, QMP_ERROR, QMP_ERROR_COMMAND_NOT_FOUND,
                    "cannot run '%s': there is no such command", name);
    else if (verb->changes && !request_may_change(request))
        g_set_error(&error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED,
                    "cannot run '%s': this peer may only query", name);
    else if (!(verb->states & (1u << state)))
        g_set_error(&error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot run '%s': the VM is %s", name,
                    machine_state_name(state));
    else
        verb_check_arguments(verb, arguments, &error);
    if (verb && !error)
        verb->run(supervisor, request, arguments);
    else
        request_fail(request, error, NULL);
}
