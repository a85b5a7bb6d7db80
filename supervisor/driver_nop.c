/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the nop driver
 *
 * Grants everything to everybody and protects nothing: for tests, and for
 * measuring what supervision alone costs. (The VM's own uuid lease is taken
 * by the file driver whatever driver the disks use.)
 */
#include "driver.h"

#include <unistd.h>

#include "../libsupervise/qmp.h"

static gpointer nop_open(const DriverContext *context, GError **error)
{
    if (context->params[0]) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use parameter '%s': driver 'nop' has none",
                    context->params[0]);
        return NULL;
    }
    return (gpointer)context;
}

static void nop_close(gpointer driver)
{
}

static DriverAnswer nop_acquire(gpointer driver, DriverLease *lease,
                                GError **error)
{
    return DRIVER_DONE;
}

static DriverAnswer nop_release(gpointer driver, DriverLease *lease,
                                GError **error)
{
    if (lease->fd >= 0)
        close(lease->fd);
    lease->fd = -1;
    return DRIVER_DONE;
}

static DriverAnswer nop_offer(gpointer driver, DriverLease *lease,
                              GError **error)
{
    return DRIVER_DONE;
}

static DriverAnswer nop_claim(gpointer driver, DriverLease *lease,
                              GError **error)
{
    lease->claimed = lease->resource->mode == RESOURCE_EXCLUSIVE;
    return DRIVER_DONE;
}

static gboolean nop_claimed(gpointer driver, DriverLease *lease, GError **error)
{
    return TRUE;
}

static DriverAnswer nop_take(gpointer driver, DriverLease *lease,
                             gboolean inactive, GError **error)
{
    return DRIVER_DONE;
}

static DriverUse nop_use(gpointer driver, const DriverLease *lease)
{
    return DRIVER_UNUSED; /* nothing is protected */
}

const DriverOps driver_nop = {
    .name = "nop",
    .flags = DRIVER_HOTPLUG | DRIVER_MIGRATE,
    .open = nop_open,
    .close = nop_close,
    .acquire = nop_acquire,
    .release = nop_release,
    .use = nop_use,
    .offer = nop_offer,
    .claimed = nop_claimed,
    .claim = nop_claim,
    .complete = nop_take,
    .take = nop_take,
};
