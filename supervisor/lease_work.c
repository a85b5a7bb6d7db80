/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: acquiring and releasing, see lease.h. */
#include "lease_internal.h"

#include "../libsupervise/qmp.h"

#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 30

/* How often the wait is spoken of, in microseconds. */
#define SAY_AGAIN (60 * G_USEC_PER_SEC)

static gboolean in_set(const Lease *lease, LeaseSet set)
{
    return (lease->resource->kind == RESOURCE_VM) == (set == LEASE_SET_VM);
}

static void use(LeaseTable *table, Lease *lease)
{
    if (!lease_is_ours(lease))
        return;
    if (lease->ops->used)
        lease->ops->used(lease->driver, &lease->d);
    if (table->events->used)
        table->events->used(table->opaque, lease);
}

static void held(LeaseTable *table, Lease *lease)
{
    lease->status = lease->d.claimed ? LEASE_CLAIMED : LEASE_HELD;
    lease->since = g_get_real_time() / G_USEC_PER_SEC;
    if (table->used)
        use(table, lease);
}

void lease_table_used(LeaseTable *table)
{
    table->used = TRUE;
    for (guint i = 0; i < table->leases->len; i++)
        use(table, lease_at(table, i));
}

void lease_table_each_used(LeaseTable *table,
                           void (*each)(gpointer opaque, Lease *lease))
{
    for (guint i = 0; table->used && i < table->leases->len; i++) {
        Lease *lease = lease_at(table, i);

        if (lease->status != LEASE_WANTED && lease->status != LEASE_PENDING)
            each(table->opaque, lease);
    }
}

gboolean lease_kept(Lease *lease, DriverKept *out)
{
    if (!lease->ops->kept)
        return FALSE;
    lease->ops->kept(lease->driver, &lease->d, out);
    return out->n > 0;
}

/* The VM's own lease is the first of all. */
gboolean lease_table_live(LeaseTable *table, DriverKept *out)
{
    Lease *lease = table->leases->len > 0 ? lease_at(table, 0) : NULL;

    if (!lease || lease->resource->kind != RESOURCE_VM || !lease->ops->live)
        return FALSE;
    lease->ops->live(lease->driver, &lease->d, out);
    return out->n > 0;
}

static DriverAnswer acquire_or_claim(LeaseTable *table, Lease *lease,
                                     GError **error)
{
    const DriverOps *ops = lease->ops;

    lease->d.claimed = FALSE;
    if (!table->claim)
        return ops->acquire(lease->driver, &lease->d, error);
    if (ops->flags & DRIVER_MIGRATE)
        return ops->claim(lease->driver, &lease->d, error);
    g_set_error(error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED,
                "cannot claim '%s': driver '%s' does not support it",
                lease->resource->name, ops->name);
    return DRIVER_FAILED;
}

static void ask_acquire(LeaseTable *table, Lease *lease, GError **error)
{
    switch (acquire_or_claim(table, lease, error)) {
    case DRIVER_DONE:
        held(table, lease);
        break;
    case DRIVER_PENDING:
        lease->status = LEASE_PENDING;
        break;
    case DRIVER_FAILED:
        lease->status = LEASE_WANTED;
        break;
    }
}

/* A release that fails leaves nothing to hold: the driver has lost it. */
static void ask_release(Lease *lease)
{
    lease->moving = FALSE;
    if (lease->ops->release(lease->driver, &lease->d, NULL) == DRIVER_PENDING)
        lease->status = LEASE_RELEASING;
    else
        lease->status = LEASE_WANTED;
}

/* Goes on acquiring; TRUE when that has ended, either way. */
static gboolean acquire_more(LeaseTable *table)
{
    for (guint i = 0; i < table->leases->len; i++) {
        Lease *lease = lease_at(table, i);

        if (!in_set(lease, table->set) || lease_is_ours(lease))
            continue;
        if (lease->status == LEASE_WANTED && !table->error)
            ask_acquire(table, lease, &table->error);
        if (table->error) {
            g_clear_pointer(&table->holder, json_decref);
            table->holder = g_steal_pointer(&lease->d.holder);
            table->denied = lease;
            return TRUE;
        }
        if (!lease_is_ours(lease))
            return FALSE;
    }
    return TRUE;
}

/* Goes on releasing, last got first, and none waits for another; TRUE when
 * nothing is left. */
static gboolean release_more(LeaseTable *table)
{
    gboolean done = TRUE;

    for (guint i = table->leases->len; i-- > 0;) {
        Lease *lease = lease_at(table, i);

        if (!in_set(lease, table->set))
            continue;
        if (lease_is_ours(lease) || lease->status == LEASE_LOST)
            ask_release(lease);
        done &= lease->status == LEASE_WANTED; /* or a driver will say when */
    }
    return done;
}

static void begin(LeaseTable *table, LeaseSet set, gboolean claim,
                  gboolean wait);

static gboolean retry(gpointer data)
{
    LeaseTable *table = data;

    table->retry = 0;
    begin(table, table->set, table->claim, table->wait);
    return G_SOURCE_REMOVE;
}

/* Not at every try, and others may take turns. */
static void say_waiting(LeaseTable *table)
{
    gint64 now = g_get_monotonic_time();

    if (table->told && now - table->told < SAY_AGAIN)
        return;
    table->told = now;
    table->events->warning(table->opaque, (Lease *)table->denied,
                           MESSAGE_LEASE_AWAITED, table->error->message);
}

/* What comes later, one by one, is not claimed. */
static void idle(LeaseTable *table)
{
    table->work = IDLE;
    table->claim = FALSE;
}

static void rolled_back(LeaseTable *table)
{
    if (table->wait &&
        g_error_matches(table->error, QMP_ERROR, QMP_ERROR_LEASE_BUSY)) {
        table->work = RETRYING;
        g_clear_error(&table->busy);
        table->busy = g_error_copy(table->error);
        say_waiting(table);
        table->retry = g_timeout_add(
            g_random_int_range(RETRY_MIN_MS, RETRY_MAX_MS + 1), retry, table);
        return;
    }
    idle(table);
    table->events->denied(table->opaque, table->error, table->holder);
}

static void go_on(LeaseTable *table)
{
    if (table->work == ACQUIRING && acquire_more(table)) {
        if (!table->error) {
            idle(table);
            table->events->granted(table->opaque, table->set);
            return;
        }
        table->work = ROLLING_BACK;
    }
    if (table->work == ROLLING_BACK && release_more(table)) {
        rolled_back(table);
    } else if (table->work == RELEASING && release_more(table)) {
        idle(table);
        table->events->released(table->opaque, table->set);
    } else if (table->work == MOVING) {
        lease_move_on(table);
    }
}

static void begin(LeaseTable *table, LeaseSet set, gboolean claim,
                  gboolean wait)
{
    g_clear_error(&table->error);
    table->denied = NULL;
    table->work = ACQUIRING;
    table->set = set;
    table->claim = claim;
    table->wait = wait;
    go_on(table);
}

void lease_table_acquire(LeaseTable *table, LeaseSet set, gboolean wait)
{
    begin(table, set, FALSE, wait);
}

void lease_table_claim(LeaseTable *table, LeaseSet set, gboolean wait)
{
    begin(table, set, TRUE, wait);
}

void lease_table_release(LeaseTable *table, LeaseSet set)
{
    if (table->retry)
        g_source_remove(table->retry);
    table->retry = 0;
    table->work = RELEASING;
    table->set = set;
    go_on(table);
}

/* Ends a single operation; the lease leaves the table unless it is held. */
static void reply(LeaseTable *table, Lease *lease, const GError *error)
{
    LeaseReply function = lease->reply;
    gpointer data = lease->reply_data;
    g_autoptr(json_t) holder = g_steal_pointer(&lease->d.holder);

    lease->reply = NULL;
    if (lease->status == LEASE_WANTED) {
        g_ptr_array_remove(table->leases, lease);
        lease = NULL;
    }
    function(data, lease, error, holder);
}

void lease_acquire(LeaseTable *table, Lease *lease, LeaseReply answer,
                   gpointer data)
{
    g_autoptr(GError) error = NULL;

    lease->reply = answer;
    lease->reply_data = data;
    ask_acquire(table, lease, &error);
    if (lease->status != LEASE_PENDING)
        reply(table, lease, error);
}

void lease_release(LeaseTable *table, Lease *lease, LeaseReply answer,
                   gpointer data)
{
    lease->reply = answer;
    lease->reply_data = data;
    ask_release(lease);
    if (lease->status != LEASE_RELEASING)
        reply(table, lease, NULL);
}

static Lease *find_id(LeaseTable *table, guint id)
{
    for (guint i = 0; i < table->leases->len; i++) {
        if (lease_at(table, i)->d.id == id)
            return lease_at(table, i);
    }
    return NULL;
}

static void driver_done(gpointer opaque, guint id, const GError *error)
{
    LeaseTable *table = opaque;
    Lease *lease = find_id(table, id);

    if (lease && lease->moving) {
        lease_moved(table, lease, error);
        return;
    }
    if (!lease ||
        (lease->status != LEASE_PENDING && lease->status != LEASE_RELEASING))
        return;
    if (lease->status == LEASE_PENDING && !error) {
        held(table, lease);
    } else {
        lease->status = LEASE_WANTED;
    }
    if (lease->reply)
        reply(table, lease, error);
    else if (error && table->work == ACQUIRING && !table->error)
        table->error = g_error_copy(error);
    go_on(table);
}

static void driver_renewed(gpointer opaque, guint id, gint64 expires)
{
    Lease *lease = find_id(opaque, id);

    if (lease)
        lease->expires = expires;
}

static void driver_waiting(gpointer opaque, guint id, const char *why)
{
    LeaseTable *table = opaque;
    Lease *lease = find_id(table, id);
    g_autofree char *sentence = NULL;

    if (!lease || (lease->status != LEASE_RELEASING && !lease->moving))
        return;
    sentence = g_strdup_printf("cannot %s '%s' yet: %s",
                               lease->moving ? "take" : "release",
                               lease->resource->name, why);
    table->events->warning(
        table->opaque, lease,
        lease->moving ? MESSAGE_TAKE_WAITS : MESSAGE_RELEASE_WAITS, sentence);
}

static void driver_warning(gpointer opaque, guint id, MessageKind kind,
                           const char *sentence)
{
    LeaseTable *table = opaque;
    Lease *lease = find_id(table, id);

    if (lease)
        table->events->warning(table->opaque, lease, kind, sentence);
}

static void driver_letting_go(gpointer opaque, guint id)
{
    LeaseTable *table = opaque;
    Lease *lease = find_id(table, id);

    if (lease && table->used && table->events->letting_go)
        table->events->letting_go(table->opaque, lease);
}

static void driver_lost(gpointer opaque, guint id, guint grace_ms,
                        const char *why)
{
    LeaseTable *table = opaque;
    Lease *lease = find_id(table, id);

    if (!lease || !lease_is_ours(lease))
        return;
    lease->status = LEASE_LOST;
    table->events->lost(table->opaque, lease, why);
}

const DriverEvents lease_driver_events = {
    .done = driver_done,
    .renewed = driver_renewed,
    .waiting = driver_waiting,
    .warning = driver_warning,
    .letting_go = driver_letting_go,
    .lost = driver_lost,
};
