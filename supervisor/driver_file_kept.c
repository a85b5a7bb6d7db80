/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what another process can hold of a lease
 *
 * Its Ds, through which the same locks are held for as long as anybody has
 * them. Never V: what tells whether the child lives must not live on with
 * somebody else. To look at it another description of the same file will do.
 */
#include "driver_file_internal.h"

#include <fcntl.h>

G_STATIC_ASSERT(PLACES_MAX <= DRIVER_KEPT_MAX);
G_STATIC_ASSERT(N_HOMES <= DRIVER_KEPT_MAX);

void file_kept(gpointer driver, const DriverLease *lease, DriverKept *out)
{
    const FileLease *f = lease->data;

    *out = (DriverKept){0};
    if (!f)
        return;
    for (guint i = 0; i < f->n_places; i++) {
        out->fds[out->n] = f->places[i].fd;
        out->bytes[out->n++] = f->places[i].lease;
    }
    out->drained = f->has_image && lease->resource->kind == RESOURCE_DISK;
    out->alone = f->alone;
    out->remote = f->remote;
    out->vm = lease->resource->kind == RESOURCE_VM;
    out->limit_s = f->driver->drain_s;
}

/* That the file was made anew under its name is no matter: it is opened by
 * the one that is locked. */
static int watch(Home *home)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", home->live);

    if (home->watched < 0)
        home->watched = open(path, O_RDONLY | O_CLOEXEC);
    return home->watched;
}

/* VE is the VM's, whoever runs it: in a hand-over source and target both have
 * it. A byte that is this run's alone tells who has our V. */
static guint64 run_byte(const FileDriver *driver)
{
    const Record *me = &driver->me;
    g_autofree char *run =
        g_strdup_printf("%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT,
                        me->boot_id, me->pid, me->start_time);

    return record_lock_byte("run", run);
}

void file_live(gpointer data, const DriverLease *lease, DriverKept *out)
{
    FileDriver *driver = data;
    FileLease *f = lease->data;

    *out = (DriverKept){.vm = TRUE};
    if (f && !driver->run) {
        driver->run = run_byte(driver);
        if (!file_set_live(f, F_RDLCK, NULL))
            return;
    }
    for (HomeId i = 0; f && i < N_HOMES; i++) {
        Home *home = &driver->homes[i];

        if (home->live < 0 || watch(home) < 0)
            continue;
        out->fds[out->n] = home->watched;
        out->bytes[out->n++] = driver->run;
    }
}
