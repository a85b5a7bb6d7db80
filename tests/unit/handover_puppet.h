/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a driver that can hand leases over, and does as it is told
 *
 * It notes every call in a line of text ("offer vm; take a:1; ") and answers
 * as it is told, so that order, what ends a move, and drivers that answer
 * later can be seen exactly.
 */
#ifndef TEST_HANDOVER_PUPPET_H
#define TEST_HANDOVER_PUPPET_H

#include "../../libsupervise/qmp.h"
#include "../../supervisor/lease.h"
#include "tap.h"

typedef struct {
    LeaseTable *table;
    Lease *vm, *a, *b, *shared;
    GString *calls, *events;
    const char *fails;  /* "VERB NAME" that fails */
    const char *later;  /* "VERB" that is answered PENDING */
    gboolean no_source; /* the VM is acquired instead of claimed */
    gboolean inactive;  /* what the table is told */
} Puppet;

static DriverAnswer answer(Puppet *p, const char *verb, DriverLease *lease,
                           GError **error)
{
    g_autofree char *call =
        g_strdup_printf("%s %s", verb, lease->resource->name);

    g_string_append_printf(p->calls, "%s; ", call);
    if (g_strcmp0(p->fails, call) == 0) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE, "%s fails", call);
        return DRIVER_FAILED;
    }
    return g_strcmp0(p->later, verb) == 0 ? DRIVER_PENDING : DRIVER_DONE;
}

#define ANSWERS(verb)                                                          \
    static DriverAnswer on_##verb(gpointer p, DriverLease *lease,              \
                                  GError **error)                              \
    {                                                                          \
        return answer(p, #verb, lease, error);                                 \
    }
ANSWERS(acquire)
ANSWERS(release)
ANSWERS(offer)

static DriverAnswer on_claim(gpointer data, DriverLease *lease, GError **error)
{
    Puppet *p = data;

    lease->claimed =
        !p->no_source && lease->resource->mode == RESOURCE_EXCLUSIVE;
    return answer(p, "claim", lease, error);
}

static DriverAnswer on_complete(gpointer p, DriverLease *lease,
                                gboolean inactive, GError **error)
{
    return answer(p, inactive ? "complete-inactive" : "complete", lease, error);
}

static DriverAnswer on_take(gpointer p, DriverLease *lease, gboolean inactive,
                            GError **error)
{
    return answer(p, inactive ? "take-inactive" : "take", lease, error);
}

static gboolean on_claimed(gpointer p, DriverLease *lease, GError **error)
{
    return answer(p, "claimed", lease, error) == DRIVER_DONE;
}

static void on_describe(gpointer p, DriverLease *lease, json_t *out)
{
    json_object_set_new(out, "waiting", json_string("the other has it"));
}

static const DriverOps puppet_ops = {
    .name = "puppet",
    .flags = DRIVER_MIGRATE,
    .acquire = on_acquire,
    .release = on_release,
    .offer = on_offer,
    .claim = on_claim,
    .claimed = on_claimed,
    .complete = on_complete,
    .take = on_take,
    .describe = on_describe,
};

static void on_granted(gpointer opaque, LeaseSet set)
{
    Puppet *p = opaque;

    g_string_append(p->events, set == LEASE_SET_VM ? "vm " : "granted ");
}

static void on_denied(gpointer opaque, const GError *error, json_t *holder)
{
    Puppet *p = opaque;

    g_string_append_printf(p->events, "denied(%s) ", error->message);
}

static void on_moved(gpointer opaque, LeaseMove move, const GError *error)
{
    static const char *const names[] = {"offered", "completed", "taken"};
    Puppet *p = opaque;

    g_string_append_printf(p->events, "%s(%s) ", names[move],
                           error ? error->message : "ok");
}

static void on_lost(gpointer opaque, Lease *lease, const char *why)
{
    Puppet *p = opaque;

    g_string_append_printf(p->events, "lost(%s) ", lease_resource(lease)->name);
}

static void on_warning(gpointer opaque, Lease *lease, MessageKind kind,
                       const char *sentence)
{
    Puppet *p = opaque;

    g_string_append_printf(p->events, "warning(%s) ", sentence);
}

static void on_released(gpointer opaque, LeaseSet set)
{
    Puppet *p = opaque;

    g_string_append(p->events,
                    set == LEASE_SET_VM ? "vm-released " : "released ");
}

static gboolean on_inactive(gpointer opaque, Lease *lease)
{
    return ((Puppet *)opaque)->inactive;
}

static const LeaseEvents events = {.granted = on_granted,
                                   .denied = on_denied,
                                   .warning = on_warning,
                                   .lost = on_lost,
                                   .released = on_released,
                                   .moved = on_moved,
                                   .inactive = on_inactive};

#endif
