/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the commands may ask of the supervisor, see supervisor.h. */
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "confine.h"
#include "supervisor_internal.h"

MachineState supervisor_state(const Supervisor *s)
{
    return s->state;
}

Child *supervisor_child(const Supervisor *s)
{
    return s->child;
}

LeaseTable *supervisor_leases(const Supervisor *s)
{
    return s->leases;
}

static json_t *driver_can(const DriverOps *ops)
{
    json_t *names = json_array();

    if (ops->flags & DRIVER_HOTPLUG)
        json_array_append_new(names, json_string("hotplug"));
    if (ops->flags & DRIVER_MIGRATE)
        json_array_append_new(names, json_string("migrate"));
    return names;
}

json_t *supervisor_status(const Supervisor *s)
{
    const GError *busy = lease_table_error(s->leases);
    const char *reason = s->reason ? s->reason
                         : busy    ? busy->message
                                   : "taking the leases";
    json_t *confined = json_array();
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:I, s:I, s:s, s:i}", "name",
                  s->options->name, "uuid", s->options->uuid, "host", s->host,
                  "pid", getpid(), "state", machine_state_name(s->state),
                  "reason", reason, "since", (json_int_t)s->since,
                  "state-since", (json_int_t)s->state_since, "driver",
                  s->ops->name, "leases", lease_table_count(s->leases));

    for (guint i = 0; i < CONFINE_N_STEPS; i++) {
        if (s->confined & (1u << i))
            json_array_append_new(confined, json_string(confine_name(i)));
    }
    json_object_set_new(out, "confined", confined);
    json_object_set_new(out, "driver-can", driver_can(s->ops));
    json_object_set_new(out, "guarantee", lease_table_guarantees(s->leases));
    if (guard_pid(s->guard))
        json_object_set_new(out, "guard",
                            json_pack("{s:i}", "pid", guard_pid(s->guard)));
    if (s->options->incoming)
        json_object_set_new(out, "incoming", json_true());
    json_object_set_new(out, "migration", handover_status(s));
    if (s->options->id)
        json_object_set_new(out, "id", json_string(s->options->id));
    if (child_pid(s->child) && child_is_started(s->child))
        json_object_set_new(out, "child-pid",
                            json_integer(child_pid(s->child)));
    return out;
}

int supervisor_liveness(Supervisor *s, guint number, guint *count, pid_t peer,
                        GError **error)
{
    int fd = s->options->attach ? start_inherit(s, number, count, peer) : -1;

    if (!s->options->attach)
        g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot pass liveness on: the child has inherited it");
    else if (fd < 0)
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot pass descriptor %u on: there are %u of them",
                    number, *count);
    return fd;
}

static gboolean can_hotplug(Supervisor *s, GError **error)
{
    if (s->ops->flags & DRIVER_HOTPLUG)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED,
                "cannot acquire or release a lease while the VM runs: driver "
                "'%s' does not support it",
                s->ops->name);
    return FALSE;
}

static void give_up(Resource *resource, int fd)
{
    resource_free(resource);
    if (fd >= 0)
        close(fd);
}

/* A lease of a running VM that comes or goes: its client is told, and all
 * others by an event. */
typedef struct {
    Supervisor *s;
    const char *kind;
    char *name;
    LeaseReply reply;
    gpointer data;
} HotPlug;

static HotPlug *hot_plug_new(Supervisor *s, const Lease *lease,
                             LeaseReply reply, gpointer data)
{
    const Resource *resource = lease_resource(lease);
    HotPlug *plug = g_new0(HotPlug, 1);

    *plug = (HotPlug){.s = s,
                      .kind = resource_kind_name(resource->kind),
                      .name = g_strdup(resource->name),
                      .reply = reply,
                      .data = data};
    return plug;
}

/* Takes @plug. */
static void hot_plug_end(HotPlug *plug, Lease *lease, const GError *error,
                         json_t *holder)
{
    plug->reply(plug->data, lease, error, holder);
    g_free(plug->name);
    g_free(plug);
}

static void on_acquired(gpointer data, Lease *lease, const GError *error,
                        json_t *holder)
{
    HotPlug *plug = data;
    json_t *what =
        json_pack("{s:s, s:s}", "kind", plug->kind, "name", plug->name);

    if (error) {
        json_object_set_new(what, "reason", json_string(error->message));
        control_event(plug->s->control, "LEASE_DENIED", what);
    } else {
        control_event(plug->s->control, "LEASE_ACQUIRED", what);
    }
    hot_plug_end(plug, lease, error, holder);
}

static void on_released(gpointer data, Lease *lease, const GError *error,
                        json_t *holder)
{
    HotPlug *plug = data;

    control_event(
        plug->s->control, "LEASE_RELEASED",
        json_pack("{s:s, s:s}", "kind", plug->kind, "name", plug->name));
    hot_plug_end(plug, lease, error, holder);
}

void supervisor_acquire(Supervisor *s, Resource *resource, int fd,
                        LeaseReply reply, gpointer data)
{
    g_autoptr(GError) error = NULL;
    Lease *lease = NULL;

    if (can_hotplug(s, &error))
        lease =
            lease_table_add(s->leases, s->ops, s->driver, resource, fd, &error);
    else
        give_up(resource, fd);
    if (lease) {
        lease_acquire(s->leases, lease, on_acquired,
                      hot_plug_new(s, lease, reply, data));
        return;
    }
    reply(data, NULL, error, NULL);
}

/* FALSE where the child may still have open what the lease is for. A reader
 * is only looked for. */
static gboolean check_unused(Supervisor *s, const Lease *lease, GError **error)
{
    const Resource *resource = lease_resource(lease);
    gboolean block, sure = TRUE;
    DriverUse use;
    dev_t device;
    ino_t inode;
    pid_t pid = 0;

    if (lease_identity(lease, &block, &device, &inode))
        pid = child_find_open(s->child, block, device, inode, &sure);
    if (pid) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot release '%s': still open by pid %d", resource->name,
                    pid);
        return FALSE;
    }
    if (sure || resource->mode == RESOURCE_READONLY)
        return TRUE;
    use = lease_use(lease);
    if (use == DRIVER_UNUSED)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                use == DRIVER_IN_USE
                    ? "cannot release '%s': still open by some process"
                    : "cannot release '%s': whether it is still open cannot "
                      "be seen from here; if it is not, use force",
                resource->name);
    return FALSE;
}

void supervisor_release(Supervisor *s, Lease *lease, gboolean force,
                        LeaseReply reply, gpointer data)
{
    const char *name = lease_resource(lease)->name;
    gboolean releasing =
        s->state == MACHINE_GONE || lease_status(lease) == LEASE_RELEASING;
    g_autoptr(GError) error = NULL;

    if (releasing && force)
        lease_force(lease);
    else if (releasing)
        g_set_error(&error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot release '%s': it is being released (force ends "
                    "what it waits for)",
                    name);
    else if (lease_status(lease) != LEASE_HELD)
        g_set_error(&error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot release '%s': it is not held", name);
    else if (can_hotplug(s, &error) &&
             (force || check_unused(s, lease, &error))) {
        if (force)
            lease_force(lease);
        lease_release(s->leases, lease, on_released,
                      hot_plug_new(s, lease, reply, data));
        return;
    }
    reply(data, lease, error, NULL);
}

/* TRUE where the machine will accept @event. */
static gboolean may(Supervisor *s, MachineEvent event, GError **error)
{
    MachineAction action;
    MachineState next;

    if (machine_step(s->state, event, &action, &next))
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                "cannot do that: the VM is %s", machine_state_name(s->state));
    return FALSE;
}

gboolean supervisor_revoke(Supervisor *s, Lease *lease, const char *reason,
                           GError **error)
{
    const Resource *resource = lease ? lease_resource(lease) : NULL;
    const char *kind = resource_kind_name(lease ? resource->kind : RESOURCE_VM);
    const char *name = lease ? resource->name : s->options->uuid;
    g_autofree char *why = g_strdup_printf(
        "%s '%s' lost: %s", lease ? "lease" : "leases of VM", name, reason);

    if (!may(s, MACHINE_EVENT_REVOKED, error))
        return FALSE;
    if (lease)
        lease_mark_lost(lease);
    end_lost(s, why);
    end_about(s, lease);
    supervisor_step(s, MACHINE_EVENT_REVOKED, why);
    if (s->verdict == VERDICT_LOST) /* otherwise it is said at the end */
        report_log(s->report, MESSAGE_LEASE_LOST, lease ? name : NULL, "%s",
                   why);
    control_event(s->control, "LEASE_LOST",
                  json_pack("{s:s, s:s, s:s}", "kind", kind, "name", name,
                            "reason", reason));
    return TRUE;
}

gboolean supervisor_shutdown(Supervisor *s, gint64 timeout_ms, GError **error)
{
    if (!may(s, MACHINE_EVENT_STOP, error))
        return FALSE;
    if (timeout_ms >= 0)
        s->stop_timeout_ms = timeout_ms;
    if (!machine_has_child(s->state))
        end_fail(s, 128 + SIGTERM, "shutdown by command");
    supervisor_step(s, MACHINE_EVENT_STOP, "shutdown by command");
    return TRUE;
}

gboolean supervisor_quit(Supervisor *s, GError **error)
{
    if (!may(s, MACHINE_EVENT_QUIT, error))
        return FALSE;
    if (!machine_has_child(s->state))
        end_fail(s, 128 + SIGKILL, "quit by command");
    supervisor_step(s, MACHINE_EVENT_QUIT, "quit by command");
    return TRUE;
}
