/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who still has the image open, and watching held leases
 *
 * Nothing tells when a lock of somebody else ends, nor that a file server has
 * forgotten one of ours: both are looked at. Locally that costs nothing and
 * cannot hang; where a network may stand before the file it is done by timer
 * only, and never to answer a query.
 *
 * Should:  keep the lease as long as a write may still be under way, and say
 *          where that cannot be seen.
 * Mustn't: kill for a file that was renamed or replaced.
 */
#include "driver_file_internal.h"

#include <errno.h>
#include <fcntl.h>

#include "../libsupervise/qmp.h"
#include "drain.h"

/* A QEMU has locked its images by then. */
#define LOOK_SECONDS 2

G_STATIC_ASSERT(DRAIN_QEMU_FIRST == RESOURCE_QEMU_WRITE);
G_STATIC_ASSERT(DRAIN_QEMU_LAST == RESOURCE_QEMU_FORBID - 1);

/* --- drain ---------------------------------------------------------------- */

DriverUse file_ask_alone(const FileLease *f)
{
    static const DriverUse uses[] = {
        [DRAIN_ALONE] = DRIVER_UNUSED,
        [DRAIN_NOT_ALONE] = DRIVER_IN_USE,
        [DRAIN_ALONE_UNKNOWN] = DRIVER_USE_UNKNOWN,
    };

    return uses[drain_ask_alone(f->places[0].fd)];
}

/*
 * Byte 101 does not say whose it is. Sharers, and a target that was not
 * completed, need not wait for it: somebody else who holds the lease does so
 * after them. Nor does a source whose target was completed: the target has
 * looked after our last write.
 */
static gboolean somebody_waits_after_us(const FileLease *f)
{
    if (!file_is_exclusive(f) || f->role == ROLE_CLAIMED)
        return file_another_holds(f);
    return f->role == ROLE_OFFERED && file_was_completed(f);
}

static void say_enough(FileLease *f, DrainWhy why)
{
    const DriverContext *context = f->driver->context;
    g_autofree char *sentence = g_strdup_printf(
        "'%s' is released although %s: whether it is written to cannot be "
        "seen",
        f->lease->resource->name, drain_clause(why));

    context->events->warning(context->opaque, f->lease->id,
                             MESSAGE_RELEASED_UNPROVED, sentence);
}

gboolean file_drained(FileLease *f)
{
    DrainAsk ask = {
        .fd = f->places[0].fd,
        .alone = f->alone,
        .qemu_seen = f->qemu_seen,
        .waited = g_get_monotonic_time() - f->step_since,
        .limit = f->driver->drain_s * G_USEC_PER_SEC,
    };
    DrainAnswer answer;

    f->waiting = NULL;
    if (!f->used || !f->has_image ||
        f->lease->resource->kind != RESOURCE_DISK || somebody_waits_after_us(f))
        return TRUE;
    answer = drain_look(&ask);
    if (answer.why == DRAIN_BLIND && f->lost)
        return TRUE; /* there is no lease to be kept any more */
    if (answer.enough)
        say_enough(f, answer.why);
    else
        f->waiting = drain_clause(answer.why);
    return f->waiting == NULL;
}

/* --- while it is held ----------------------------------------------------- */

static void look_at_path(FileLease *f)
{
    const DriverContext *context = f->driver->context;
    const char *changed = f->changed ? NULL : file_image_changed(f);
    g_autofree char *sentence = NULL;

    if (!changed)
        return;
    f->changed = TRUE;
    sentence = g_strdup_printf(
        "'%s' was %s while its lease is held: the lease stays on the file "
        "that it named before; which of them the child has open is not known",
        f->lease->resource->name, changed);
    context->events->warning(context->opaque, f->lease->id,
                             MESSAGE_LEASE_CHANGED, sentence);
}

static void look_at_qemu(FileLease *f)
{
    if (f->qemu_seen || !f->used || !file_is_written(f))
        return;
    f->qemu_seen = file_writing_byte(f) != 0;
    if (!f->qemu_seen)
        file_is_lost(f, errno);
}

void file_look_now(FileLease *f)
{
    if (!f->remote)
        look_at_qemu(f);
}

void file_exiting(gpointer data)
{
    FileDriver *driver = data;

    /* Killed it is, but it takes a while to die. */
    for (guint i = 0; i < driver->leases->len; i++)
        file_look_now(driver->leases->pdata[i]);
    file_record_exiting(driver);
}

static gboolean look_once(gpointer data)
{
    FileDriver *driver = data;

    driver->look_source = 0;
    for (guint i = 0; i < driver->leases->len; i++) {
        look_at_qemu(driver->leases->pdata[i]);
        look_at_path(driver->leases->pdata[i]);
    }
    return G_SOURCE_REMOVE;
}

/* Sets again what we have: a file server that has forgotten it says so. FALSE
 * where it is lost. */
static gboolean assert_again(FileLease *f)
{
    const DriverContext *context = f->driver->context;
    g_autoptr(GError) error = NULL;
    g_autofree char *sentence = NULL;

    if (file_set_leases(f, f->type, &error) &&
        file_set_live(f, F_RDLCK, &error))
        return TRUE;
    if (g_error_matches(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY))
        file_is_lost(f, EAGAIN);
    if (f->lost)
        return FALSE;
    if (!f->doubtful) {
        sentence = g_strdup_printf("'%s' may be lost: %s",
                                   f->lease->resource->name, error->message);
        context->events->warning(context->opaque, f->lease->id,
                                 MESSAGE_LEASE_DOUBTFUL, sentence);
    }
    f->doubtful = TRUE;
    return TRUE;
}

static gboolean is_checked(const FileLease *f)
{
    return f->driver->check_all || f->remote;
}

static gboolean check_again(gpointer data)
{
    FileDriver *driver = data;

    for (guint i = 0; i < driver->leases->len; i++) {
        FileLease *f = driver->leases->pdata[i];

        if (!is_checked(f) || f->step)
            continue;
        if (!assert_again(f))
            break; /* once is enough: all are let go */
        look_at_path(f);
    }
    return G_SOURCE_CONTINUE;
}

void file_used(gpointer data, DriverLease *lease)
{
    FileDriver *driver = data;
    FileLease *f = lease->data;

    f->used = TRUE;
    if (!driver->look_source && file_is_written(f))
        driver->look_source =
            g_timeout_add_seconds(LOOK_SECONDS, look_once, driver);
    if (!driver->check_source && driver->check_s && is_checked(f))
        driver->check_source =
            g_timeout_add_seconds(driver->check_s, check_again, driver);
}

/* --- what can be told ----------------------------------------------------- */

DriverUse file_use(gpointer driver, const DriverLease *lease)
{
    const FileLease *f = lease->data;

    if (lease->resource->kind != RESOURCE_DISK)
        return DRIVER_UNUSED; /* nobody writes into a lock file */
    if (!f->has_image || !file_is_exclusive(f))
        return DRIVER_USE_UNKNOWN; /* others may have it open, too */
    return file_qemu_byte(f, RESOURCE_QEMU_FIRST, RESOURCE_QEMU_END - 1)
               ? DRIVER_IN_USE
               : file_ask_alone(f);
}

void file_describe(gpointer driver, DriverLease *lease, json_t *out)
{
    FileLease *f = lease->data;
    json_t *words = json_object_get(out, "guarantee");
    const char *changed = NULL;

    if (!f)
        return;
    if (!f->remote) {
        look_at_qemu(f);
        look_at_path(f);
        changed = file_image_changed(f);
    }
    if (f->driver->context->inherited)
        json_array_append_new(words, json_string("liveness"));
    if (f->has_image && lease->resource->kind == RESOURCE_DISK)
        json_array_append_new(words, json_string("taker-looks"));
    if (file_is_written(f))
        json_array_append_new(words,
                              json_string(f->qemu_seen ? "drained-by-qemu-locks"
                                          : f->alone ? "drained-by-write-lease"
                                                     : "drain-unproved"));
    if (changed)
        json_object_set_new(out, "changed", json_string(changed));
    if (f->waiting)
        json_object_set_new(out, "waiting", json_string(f->waiting));
}
