/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see lease.h. */
#include "lease_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

static void lease_free(gpointer data)
{
    Lease *lease = data;

    if (lease->d.fd >= 0)
        close(lease->d.fd);
    g_clear_pointer(&lease->d.holder, json_decref);
    resource_free(lease->resource);
    g_free(lease);
}

LeaseTable *lease_table_new(const LeaseEvents *events, gpointer opaque)
{
    LeaseTable *table = g_new0(LeaseTable, 1);

    table->events = events;
    table->opaque = opaque;
    table->leases = g_ptr_array_new_with_free_func(lease_free);
    return table;
}

gpointer lease_table_owner(const LeaseTable *table)
{
    return table->opaque;
}

void lease_table_free(LeaseTable *table)
{
    if (!table)
        return;
    if (table->retry)
        g_source_remove(table->retry);
    g_ptr_array_unref(table->leases);
    g_clear_error(&table->error);
    g_clear_error(&table->busy);
    g_clear_pointer(&table->holder, json_decref);
    g_free(table);
}

static gint compare(gconstpointer a, gconstpointer b)
{
    const Lease *x = *(Lease *const *)a, *y = *(Lease *const *)b;

#define ORDER(p, q)                                                            \
    if ((p) != (q))                                                            \
    return (p) < (q) ? -1 : 1
    ORDER(x->resource->kind != RESOURCE_VM, y->resource->kind != RESOURCE_VM);
    ORDER(!x->d.identified, !y->d.identified);
    ORDER(x->d.device, y->d.device);
    ORDER(x->d.inode, y->d.inode);
    ORDER(x->resource->offset, y->resource->offset);
#undef ORDER
    return strcmp(x->resource->name, y->resource->name);
}

/* What the path stands for, and whether that can be leased at all. Where a
 * client passed it opened, that counts: we may not be able to go there. */
static gboolean look_at(Lease *lease, GError **error)
{
    struct stat st;
    const char *reason = NULL;

    if (!lease->resource->path)
        return TRUE;
    if (lease->d.fd >= 0 ? fstat(lease->d.fd, &st) < 0
                         : stat(lease->resource->path, &st) < 0)
        reason = g_strerror(errno);
    else if (S_ISDIR(st.st_mode))
        reason = "it is a directory";
    else if (S_ISFIFO(st.st_mode))
        reason = "it is a FIFO";
    else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        reason = "it is neither a file nor a block device";
    if (reason) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use %s '%s': %s",
                    resource_kind_name(lease->resource->kind),
                    lease->resource->path, reason);
        return FALSE;
    }
    lease->d.identified = TRUE;
    lease->d.block = S_ISBLK(st.st_mode);
    lease->d.device = lease->d.block ? st.st_rdev : st.st_dev;
    lease->d.inode = lease->d.block ? 0 : st.st_ino;
    return TRUE;
}

static gboolean same_object(const Lease *a, const Lease *b)
{
    if (!a->d.identified || !b->d.identified)
        return a->resource->kind == b->resource->kind &&
               g_str_equal(a->resource->name, b->resource->name);
    return a->d.block == b->d.block && a->d.device == b->d.device &&
           a->d.inode == b->d.inode &&
           a->resource->offset == b->resource->offset;
}

Lease *lease_table_add(LeaseTable *table, const DriverOps *ops, gpointer driver,
                       Resource *resource, int fd, GError **error)
{
    Lease *lease = g_new0(Lease, 1);

    lease->table = table;
    lease->resource = resource;
    lease->d.resource = resource;
    lease->d.fd = fd;
    lease->d.offset = resource->offset;
    lease->ops = ops;
    lease->driver = driver;
    if (!look_at(lease, error)) {
        lease_free(lease);
        return NULL;
    }
    for (guint i = 0; i < table->leases->len; i++) {
        const Resource *other = lease_at(table, i)->resource;

        if (!same_object(lease, lease_at(table, i)))
            continue;
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    !g_str_equal(resource->name, other->name)
                        ? "cannot use %s '%s': it is the same file as '%s'"
                    : lease_at(table, i)->status == LEASE_WANTED
                        ? "cannot use %s '%s': it is given twice"
                        : "cannot use %s '%s': the VM has that lease already",
                    resource_kind_name(resource->kind), resource->name,
                    other->name);
        lease_free(lease);
        return NULL;
    }
    if (lease_table_find(table, resource)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use %s '%s': the VM has a lease of that name, on "
                    "the file that was there before",
                    resource_kind_name(resource->kind), resource->name);
        lease_free(lease);
        return NULL;
    }
    lease->d.id = ++table->last_id;
    g_ptr_array_add(table->leases, lease);
    g_ptr_array_sort(table->leases, compare);
    return lease;
}

void lease_force(Lease *lease)
{
    lease->d.force = TRUE;
}

void lease_mark_lost(Lease *lease)
{
    if (lease_is_ours(lease))
        lease->status = LEASE_LOST;
}

/* However it is spelled. */
static gboolean same_name(const Resource *a, const Resource *b)
{
    g_autofree char *x = NULL, *y = NULL;

    if (a->kind != b->kind)
        return FALSE;
    if (a->kind != RESOURCE_DISK)
        return g_str_equal(a->name, b->name);
    x = g_canonicalize_filename(a->name, "/");
    y = g_canonicalize_filename(b->name, "/");
    return g_str_equal(x, y);
}

Lease *lease_table_find(LeaseTable *table, const Resource *resource)
{
    for (guint i = 0; i < table->leases->len; i++) {
        Lease *lease = lease_at(table, i);

        if (same_name(lease->resource, resource))
            return lease;
    }
    return NULL;
}

const Resource *lease_table_covering(LeaseTable *table, gboolean block,
                                     dev_t device, ino_t inode)
{
    for (guint i = 0; i < table->leases->len; i++) {
        const Lease *lease = lease_at(table, i);

        if (lease->d.identified && lease->status != LEASE_WANTED &&
            lease->d.block == block && lease->d.device == device &&
            lease->d.inode == inode && lease->resource->offset == 0)
            return lease->resource;
    }
    return NULL;
}

const GError *lease_table_error(LeaseTable *table)
{
    return table->error ? table->error : table->busy;
}

const Lease *lease_table_denied(LeaseTable *table)
{
    return table->denied;
}

json_t *lease_table_holder(LeaseTable *table)
{
    return table->holder;
}

guint lease_table_count(LeaseTable *table)
{
    guint count = 0;

    for (guint i = 0; i < table->leases->len; i++)
        count += lease_at(table, i)->resource->kind != RESOURCE_VM;
    return count;
}

const Resource *lease_resource(const Lease *lease)
{
    return lease->resource;
}

LeaseStatus lease_status(const Lease *lease)
{
    return lease->status;
}

guint lease_id(const Lease *lease)
{
    return lease->d.id;
}

guint lease_driver_flags(const Lease *lease)
{
    return lease->ops->flags;
}

DriverUse lease_use(const Lease *lease)
{
    return lease->ops->use ? lease->ops->use(lease->driver, &lease->d)
                           : DRIVER_USE_UNKNOWN;
}

gboolean lease_identity(const Lease *lease, gboolean *block, dev_t *device,
                        ino_t *inode)
{
    *block = lease->d.block;
    *device = lease->d.device;
    *inode = lease->d.inode;
    return lease->d.identified;
}

/* What is promised of it: of every real lease that it outlives the child's
 * tree, the rest is the driver's to tell. */
static void describe(Lease *lease, json_t *out)
{
    json_t *words = json_array();

    json_object_set_new(out, "guarantee", words);
    if (!lease->ops->describe || lease->status == LEASE_WANTED)
        return;
    json_array_append_new(words, json_string("reaped"));
    if (lease->ops->kept && lease->table->used &&
        lease->table->events->guarded &&
        lease->table->events->guarded(lease->table->opaque))
        json_array_append_new(words, json_string("guarded"));
    lease->ops->describe(lease->driver, &lease->d, out);
}

json_t *lease_to_json(Lease *lease)
{
    static const char *const statuses[] = {
#define X(id) [LEASE_##id] = #id,
        LEASE_STATUSES(X)
#undef X
    };
    const Resource *resource = lease->resource;
    json_t *out = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s}", "id", (json_int_t)lease->d.id, "kind",
        resource_kind_name(resource->kind), "name", resource->name, "mode",
        resource_mode_name(resource->mode), "status", statuses[lease->status],
        "driver", lease->ops->name);

    if (lease->since && lease->status != LEASE_WANTED)
        json_object_set_new(out, "since", json_integer(lease->since));
    if (lease->expires)
        json_object_set_new(out, "expires", json_integer(lease->expires));
    if (lease->d.identified) {
        g_autofree char *device = g_strdup_printf(
            "%u:%u", major(lease->d.device), minor(lease->d.device));
        json_object_set_new(out, "device", json_string(device));
        if (!lease->d.block)
            json_object_set_new(out, "inode", json_integer(lease->d.inode));
        json_object_set_new(out, "offset", json_integer(lease->d.offset));
    }
    describe(lease, out);
    return out;
}

json_t *lease_table_to_json(LeaseTable *table)
{
    json_t *out = json_array();

    for (guint i = 0; i < table->leases->len; i++)
        json_array_append_new(out, lease_to_json(lease_at(table, i)));
    return out;
}

json_t *lease_table_guarantees(LeaseTable *table)
{
    json_t *out = json_object();

    for (guint i = 0; i < table->leases->len; i++) {
        Lease *lease = lease_at(table, i);
        g_autoptr(json_t) all = json_object();

        if (lease->resource->kind == RESOURCE_VM)
            continue;
        describe(lease, all);
        json_object_set(out, lease->resource->name,
                        json_object_get(all, "guarantee"));
    }
    return out;
}
