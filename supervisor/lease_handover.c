/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: leases in a hand-over, see lease.h. */
#include "lease_internal.h"

#include "../libsupervise/qmp.h"

/* The VM's own lease is the first of all; NULL in tests only. */
static Lease *vm_lease(const LeaseTable *table)
{
    Lease *first = table->leases->len > 0 ? lease_at(table, 0) : NULL;

    return first && first->resource->kind == RESOURCE_VM ? first : NULL;
}

gboolean lease_table_has_source(const LeaseTable *table)
{
    const Lease *vm = vm_lease(table);

    return vm && vm->d.claimed;
}

gboolean lease_table_can_move(const LeaseTable *table, GError **error)
{
    for (guint i = 0; i < table->leases->len; i++) {
        const Lease *lease = lease_at(table, i);

        if (!(lease->ops->flags & DRIVER_MIGRATE)) {
            g_set_error(error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED,
                        "cannot hand '%s' over: driver '%s' does not support "
                        "it",
                        lease->resource->name, lease->ops->name);
            return FALSE;
        }
        if (lease_is_ours(lease) && !lease->reply && !lease->moving)
            continue;
        g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot hand '%s' over: it is being acquired or released",
                    lease->resource->name);
        return FALSE;
    }
    return TRUE;
}

gboolean lease_table_is_claimed(LeaseTable *table, GError **error)
{
    for (guint i = 0; i < table->leases->len; i++) {
        Lease *lease = lease_at(table, i);

        if (!lease->ops->claimed(lease->driver, &lease->d, error))
            return FALSE;
    }
    return TRUE;
}

/* Of what the driver says that its take waits for. */
static char *waits_for(const Lease *lease)
{
    g_autoptr(json_t) told = json_pack("{s:[]}", "guarantee");

    if (lease->ops->describe)
        lease->ops->describe(lease->driver, (DriverLease *)&lease->d, told);
    return g_strdup(json_string_value(json_object_get(told, "waiting")));
}

char *lease_table_hindrance(LeaseTable *table)
{
    for (guint i = table->leases->len; i-- > 0;) {
        const Lease *lease = lease_at(table, i);
        g_autofree char *why = lease->moving ? waits_for(lease) : NULL;

        if (lease->moving)
            return g_strdup_printf("cannot take '%s' back: %s",
                                   lease->resource->name,
                                   why ? why : "somebody else holds it");
    }
    return NULL;
}

/* --- moving --------------------------------------------------------------- */

static DriverAnswer ask(LeaseTable *table, Lease *lease, GError **error)
{
    const DriverOps *ops = lease->ops;
    gboolean inactive = (table->move == LEASE_MOVE_COMPLETE || table->quiet) &&
                        table->events->inactive &&
                        table->events->inactive(table->opaque, lease);

    switch (table->move) {
    case LEASE_MOVE_OFFER:
        return ops->offer(lease->driver, &lease->d, error);
    case LEASE_MOVE_COMPLETE:
        return ops->complete(lease->driver, &lease->d, inactive, error);
    case LEASE_MOVE_TAKE:
        return ops->take(lease->driver, &lease->d, inactive, error);
    }
    return DRIVER_FAILED;
}

/* A lease that others may share is neither offered nor claimed. */
static void done(LeaseTable *table, Lease *lease)
{
    if (lease->resource->mode != RESOURCE_EXCLUSIVE)
        return;
    if (table->move == LEASE_MOVE_OFFER) {
        lease->status = LEASE_OFFERED;
    } else if (table->move == LEASE_MOVE_TAKE) {
        if (lease->status == LEASE_CLAIMED)
            lease->since = g_get_real_time() / G_USEC_PER_SEC;
        lease->status = LEASE_HELD;
        lease->d.claimed = FALSE;
    }
}

/* The table may be at other work when this returns. */
static void end(LeaseTable *table, const GError *error)
{
    table->work = IDLE;
    table->events->moved(table->opaque, table->move, error);
}

/* One after the other, the VM's own last; but what is taken is taken by all at
 * once, since each waits for somebody else. */
void lease_move_on(LeaseTable *table)
{
    gboolean at_once = table->move == LEASE_MOVE_TAKE, moving = FALSE;
    g_autoptr(GError) error = NULL;

    while (table->moved < table->leases->len && (at_once || !moving)) {
        Lease *lease = lease_at(table, table->leases->len - 1 - table->moved++);

        switch (ask(table, lease, &error)) {
        case DRIVER_DONE:
            done(table, lease);
            break;
        case DRIVER_PENDING:
            lease->moving = moving = TRUE;
            break;
        case DRIVER_FAILED:
            end(table, error);
            return;
        }
    }
    for (guint i = 0; i < table->leases->len; i++)
        moving |= lease_at(table, i)->moving;
    if (!moving)
        end(table, NULL);
}

void lease_moved(LeaseTable *table, Lease *lease, const GError *error)
{
    lease->moving = FALSE;
    if (!error)
        done(table, lease);
    if (table->work != MOVING)
        return;
    if (error)
        end(table, error);
    else
        lease_move_on(table);
}

void lease_table_move(LeaseTable *table, LeaseMove move, gboolean quiet)
{
    for (guint i = 0; i < table->leases->len; i++)
        lease_at(table, i)->moving = FALSE;
    table->work = MOVING;
    table->move = move;
    table->quiet = quiet;
    table->moved = 0;
    lease_move_on(table);
}
