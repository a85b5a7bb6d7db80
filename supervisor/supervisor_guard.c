/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the guard, wired: what happens to leases and child is told to it
 *
 * A lease is told when a child may begin to write under it, before whoever
 * asked for it is answered, and forgotten when it is let go.
 */
#include "supervisor_internal.h"

void guard_about_child(Supervisor *s)
{
    int pidfd, kill, procs;

    child_handles(s->child, &pidfd, &kill, &procs);
    guard_child(s->guard, child_pid(s->child), pidfd, kill, procs,
                !s->options->attach);
    child_find_again(s->child);
}

void guard_on_used(gpointer opaque, Lease *lease)
{
    Supervisor *s = opaque;
    DriverKept kept;

    if (s->guard && lease_kept(lease, &kept))
        guard_lease(s->guard, lease_id(lease), &kept);
    if (s->guard && lease_resource(lease)->kind == RESOURCE_VM &&
        lease_table_live(s->leases, &kept))
        guard_live(s->guard, &kept);
}

void guard_on_letting_go(gpointer opaque, Lease *lease)
{
    Supervisor *s = opaque;

    guard_forget(s->guard, lease_id(lease));
}

gboolean guard_on_guarded(gpointer opaque)
{
    const Supervisor *s = opaque;

    return guard_is_told(s->guard);
}

static void on_tell(gpointer opaque)
{
    Supervisor *s = opaque;

    guard_about_child(s);
    lease_table_each_used(s->leases, guard_on_used);
}

static void on_warning(gpointer opaque, const char *sentence)
{
    Supervisor *s = opaque;

    report_log(s->report, MESSAGE_GUARD_LESS, NULL, "%s", sentence);
}

gboolean guard_begin(Supervisor *s, GError **error)
{
    static const GuardEvents events = {on_tell, on_warning};

    if (!s->options->guard && !s->options->attach)
        return TRUE;
    s->guard = guard_new(s->options->name, &events, s, error);
    return s->guard != NULL;
}
