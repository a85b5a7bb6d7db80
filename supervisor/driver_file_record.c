/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the file driver tells others of its leases, see record.h. */
#include "driver_file_internal.h"

static char *vm_file(const FileDriver *driver)
{
    return g_strconcat("vm-", driver->me.uuid, NULL);
}

/* The record's file name: an exclusive holder is alone. */
static char *lease_file(const FileLease *f, HomeId home)
{
    if (file_is_exclusive(f))
        return g_strdup(f->names[home]);
    return g_strdup_printf("%s.%s", f->names[home], f->driver->me.uuid);
}

gboolean file_record_vm(FileDriver *driver, GError **error)
{
    g_autofree char *file = vm_file(driver);

    for (HomeId i = 0; i < N_HOMES; i++) {
        Home *home = &driver->homes[i];

        if (home->directory && !record_write(home->directory, file, &driver->me,
                                             &home->record, error))
            return FALSE;
    }
    return TRUE;
}

/* Without a record the lease stands just as well; only a message that says
 * "held by another process" is the poorer for it. */
void file_write_records(FileLease *f)
{
    FileDriver *driver = f->driver;
    g_autofree char *vm = vm_file(driver);

    if (f->lease->resource->kind == RESOURCE_VM) {
        if (!driver->homes[HOME_HOST].record.inode) /* a target's is there */
            file_record_vm(driver, NULL);
        return;
    }
    for (HomeId i = 0; i < N_HOMES; i++) {
        g_autofree char *file = lease_file(f, i);

        if (driver->homes[i].directory && f->names[i])
            record_link(driver->homes[i].directory, vm, file, NULL);
    }
}

void file_remove_records(FileLease *f)
{
    FileDriver *driver = f->driver;

    for (HomeId i = 0; i < N_HOMES; i++) {
        Home *home = &driver->homes[i];
        g_autofree char *file = lease_file(f, i);

        if (!home->directory || !f->names[i])
            continue;
        record_remove(home->directory, file, &home->record);
        if (f->lease->resource->kind == RESOURCE_VM)
            home->record = (RecordId){0};
    }
}

/* FALSE where one of them is not ours any more. */
static gboolean mark(FileDriver *driver)
{
    g_autofree char *vm = vm_file(driver);
    gboolean ours = TRUE;

    for (HomeId i = 0; i < N_HOMES; i++) {
        const Home *home = &driver->homes[i];

        if (home->directory)
            ours &=
                record_mark(home->directory, vm, &driver->me, &home->record);
    }
    return ours;
}

/* A target that could not be completed may have written over them. */
void file_tell(gpointer data)
{
    FileDriver *driver = data;

    if (mark(driver) || !file_record_vm(driver, NULL))
        return;
    for (guint i = 0; i < driver->leases->len; i++)
        file_write_records(driver->leases->pdata[i]);
}

void file_record_exiting(FileDriver *driver)
{
    driver->me.exiting = TRUE;
    mark(driver);
}

/* In the lockspace it is told to all; what is told on this host may have been
 * left behind there when the VM was on it last. */
json_t *file_told(gpointer data)
{
    const FileDriver *driver = data;
    g_autofree char *vm = vm_file(driver);
    json_t *told = NULL;

    for (int i = N_HOMES - 1; i >= 0 && !told; i--) {
        const Home *home = &driver->homes[i];

        told = home->directory ? record_get(home->directory, vm) : NULL;
    }
    return told;
}
