/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: handing a lease from one supervisor to another
 *
 * The source offers (its write lock becomes a read lock), the target claims
 * (the claim byte, a read lock, and its liveness from then on), and at no
 * instant can a third party get in: fresh takers need the claim byte for a
 * moment, and find liveness. When the source's child is gone and drained the
 * source lets go, and the target's read lock becomes a write lock. Each
 * function is a row of the table in docs/file-protocol.md.
 *
 * Shared leases need none of it: the target acquires, the source releases.
 */
#include "driver_file_internal.h"

#include <fcntl.h>

#include "../libsupervise/qmp.h"

/* Fresh takers hold C for some calls only; the claim waits for them, this
 * long (microseconds). */
#define CLAIM_TIME (200 * 1000)

static DriverAnswer wrong_state(const FileLease *f, const char *verb,
                                const char *why, GError **error)
{
    g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE, "cannot %s '%s': %s",
                verb, f->lease->resource->name, why);
    return DRIVER_FAILED;
}

static gboolean is_busy(const GError *error)
{
    return g_error_matches(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY);
}

/* What stands in the way goes by: PENDING for as long as that is all. */
static DriverAnswer pending_if_busy(GError *failure, GError **error)
{
    if (is_busy(failure)) {
        g_error_free(failure);
        return DRIVER_PENDING;
    }
    g_propagate_error(error, failure);
    return DRIVER_FAILED;
}

/* Nobody has QEMU's bytes for writing; an inactive QEMU of ours has none. */
static gboolean is_quiet(const FileLease *f)
{
    return !file_is_written(f) || (!file_writing_byte(f) && !errno);
}

/* The generation that is told of the VM; 0: none. */
static gint64 told_generation(const FileDriver *driver)
{
    g_autofree char *vm = g_strconcat("vm-", driver->me.uuid, NULL);
    gint64 highest = 0;

    for (HomeId i = 0; i < N_HOMES; i++) {
        if (driver->homes[i].directory)
            highest =
                MAX(highest, record_generation(driver->homes[i].directory, vm));
    }
    return highest;
}

gboolean file_completed(gpointer data)
{
    const FileDriver *driver = data;

    return told_generation(driver) > driver->me.generation;
}

gboolean file_was_completed(const FileLease *f)
{
    return file_completed(f->driver);
}

/* --- source --------------------------------------------------------------- */

DriverAnswer file_offer(gpointer driver, DriverLease *lease, GError **error)
{
    FileLease *f = lease->data;

    file_stop_trying(f);
    f->waiting = NULL;
    if (f->role != ROLE_HELD && f->role != ROLE_OFFERED)
        return wrong_state(f, "offer", "it is not ours yet", error);
    file_look_now(f);
    if (file_is_exclusive(f) && !file_set_leases(f, F_RDLCK, error))
        return DRIVER_FAILED;
    f->role = ROLE_OFFERED;
    return DRIVER_DONE;
}

gboolean file_claimed(gpointer driver, DriverLease *lease, GError **error)
{
    FileLease *f = lease->data;

    if (!file_is_exclusive(f) || file_another_claims(f))
        return TRUE;
    wrong_state(f, "let go of", "no target has claimed it", error);
    return FALSE;
}

/* Cancel: L, then who lives, and the generation last of all, so that a target
 * that is completed meanwhile is seen, or sees us. */
static DriverAnswer take_back(FileLease *f, GError **error)
{
    GError *failure = NULL;

    f->waiting = "a target has claimed it (cancel it there)";
    if (!file_set_leases(f, F_WRLCK, &failure))
        return pending_if_busy(failure, error);
    f->waiting = "the target's child lives yet";
    if (!file_others_gone(f, FALSE, &failure))
        return pending_if_busy(failure, error);
    f->waiting = NULL;
    if (file_was_completed(f)) {
        file_set_leases(f, F_RDLCK, NULL);
        return wrong_state(f, "take back", "the target was completed", error);
    }
    f->role = ROLE_HELD;
    return DRIVER_DONE;
}

/* --- target --------------------------------------------------------------- */

/* The VM's own lease, which is claimed first. */
static const FileLease *find_vm(const FileDriver *driver)
{
    for (guint i = 0; i < driver->leases->len; i++) {
        const FileLease *f = driver->leases->pdata[i];

        if (f->lease->resource->kind == RESOURCE_VM)
            return f;
    }
    return NULL;
}

/* Who holds the object must be who holds the VM: otherwise its liveness and
 * generation are told in a directory that we do not see. */
static gboolean source_is_seen(const FileLease *f, GError **error)
{
    const FileLease *vm = find_vm(f->driver);

    if (!vm || vm == f || !file_another_holds(f) || file_another_holds(vm))
        return TRUE;
    wrong_state(f, "claim",
                "who offers it is not seen to hold the VM (both need one "
                "lockspace or state directory)",
                error);
    return FALSE;
}

/* A target that was completed may have run the guest; its source, which lives
 * on, must not hand over once more what the guest was before. */
static gboolean was_not_completed(const FileLease *f, GError **error)
{
    g_autoptr(json_t) told = NULL;

    if (f->lease->resource->kind != RESOURCE_VM || !file_another_holds(f))
        return TRUE;
    told = file_told(f->driver);
    if (!json_integer_value(json_object_get(told, "taking")))
        return TRUE;
    wrong_state(f, "claim",
                "it was handed over to a target that is gone (run "
                "'virt-lockctl migrate-complete --out' on the source, then "
                "start it anew)",
                error);
    return FALSE;
}

static gboolean claim_steps(FileLease *f, GError **error)
{
    return file_set_leases(f, F_RDLCK, error) && source_is_seen(f, error) &&
           was_not_completed(f, error) && file_others_gone(f, TRUE, error) &&
           file_set_live(f, F_RDLCK, error);
}

/* A VM that nobody holds has no source: it is a start like any other. */
static DriverAnswer claimed(FileLease *f, GError **error)
{
    FileDriver *driver = f->driver;
    DriverLease *lease = f->lease;

    if (lease->resource->kind == RESOURCE_VM && !file_another_holds(f)) {
        file_let_go(f);
        return driver_file.acquire(driver, lease, error);
    }
    if (lease->resource->kind == RESOURCE_VM)
        driver->me.generation = MAX(told_generation(driver), 1);
    f->role = ROLE_CLAIMED;
    lease->claimed = TRUE;
    return DRIVER_DONE;
}

static GError *claimed_by_another(const FileLease *f)
{
    return g_error_new(QMP_ERROR, QMP_ERROR_LEASE_BUSY,
                       "cannot claim '%s': another target has claimed it "
                       "(migrate-cancel there)",
                       f->lease->resource->name);
}

static DriverAnswer try_claim(FileLease *f, GError **error)
{
    GError *failure = NULL;

    if (!file_set_claims(f, F_WRLCK, &failure)) {
        if (is_busy(failure) &&
            g_get_monotonic_time() - f->step_since < CLAIM_TIME)
            return pending_if_busy(failure, error);
        if (is_busy(failure) && file_another_claims(f)) {
            g_error_free(failure);
            failure = claimed_by_another(f);
        }
    } else if (claim_steps(f, &failure)) {
        return claimed(f, error);
    }
    g_propagate_error(error, failure);
    file_let_go(f);
    return DRIVER_FAILED;
}

DriverAnswer file_claim(gpointer data, DriverLease *lease, GError **error)
{
    FileDriver *driver = data;
    FileLease *f;

    if (lease->resource->mode != RESOURCE_EXCLUSIVE)
        return driver_file.acquire(driver, lease, error);
    if (!file_open_homes(driver, error))
        return DRIVER_FAILED;
    f = file_lease_new(driver, lease);
    g_ptr_array_add(driver->leases, f);
    if (!file_open_places(f, error)) {
        file_let_go(f);
        return DRIVER_FAILED;
    }
    return file_keep_trying(f, try_claim, error);
}

/* The generation is raised before anybody is told that the target may run:
 * the VM's own lease is completed last, and all others with it, so that a
 * target that was refused halfway is what it was. */
static DriverAnswer complete_vm(FileLease *vm, GError **error)
{
    FileDriver *driver = vm->driver;
    gint64 told = told_generation(driver);

    if (told == 0 && file_another_holds(vm))
        return wrong_state(vm, "complete", "the source's record is gone",
                           error);
    driver->me.generation = MAX(told, driver->me.generation) + 1;
    driver->me.taking = TRUE;
    if (!file_record_vm(driver, error)) { /* where it could be is seen, too */
        driver->me.generation = told;
        driver->me.taking = FALSE;
        file_record_vm(driver, NULL);
        return DRIVER_FAILED;
    }
    for (guint i = 0; i < driver->leases->len; i++) {
        FileLease *f = driver->leases->pdata[i];

        if (f->role == ROLE_CLAIMED)
            f->role = ROLE_COMPLETED;
        else if (f != vm) /* what is shared: the source's record goes */
            file_write_records(f);
    }
    return DRIVER_DONE;
}

DriverAnswer file_complete(gpointer driver, DriverLease *lease,
                           gboolean inactive, GError **error)
{
    FileLease *f = lease->data;

    if (!file_is_exclusive(f) || f->role == ROLE_COMPLETED)
        return DRIVER_DONE;
    if (f->role != ROLE_CLAIMED)
        return wrong_state(f, "complete", "it was not claimed", error);
    /* A source that offers, or none whose child lives. */
    if (!file_another_holds(f) && !file_others_gone(f, FALSE, error))
        return DRIVER_FAILED;
    if (inactive && !is_quiet(f))
        return wrong_state(f, "complete", DRIVER_SOURCE_WRITES, error);
    return lease->resource->kind == RESOURCE_VM ? complete_vm(f, error)
                                                : DRIVER_DONE;
}

static DriverAnswer take_over(FileLease *f, GError **error)
{
    GError *failure = NULL;

    f->waiting = "the source holds it";
    if (file_another_holds(f)) /* a refusal would tell at length who does */
        return DRIVER_PENDING;
    if (!file_set_leases(f, F_WRLCK, &failure))
        return pending_if_busy(failure, error);
    f->waiting = "the source's child lives yet";
    if (!file_others_gone(f, FALSE, &failure))
        return pending_if_busy(failure, error);
    f->waiting = "writes of the source may still be under way";
    if (f->inactive && !is_quiet(f))
        return DRIVER_PENDING;
    f->waiting = NULL;
    file_set_claims(f, F_UNLCK, NULL);
    if (f->lease->resource->kind == RESOURCE_VM) { /* the source's last */
        f->driver->me.taking = FALSE;
        file_tell(f->driver);
    }
    return file_hold(f);
}

DriverAnswer file_take(gpointer driver, DriverLease *lease, gboolean inactive,
                       GError **error)
{
    FileLease *f = lease->data;

    f->inactive = inactive;
    if (f->role == ROLE_COMPLETED)
        return file_keep_trying(f, take_over, error);
    if (f->role == ROLE_CLAIMED)
        return wrong_state(f, "take", "it was not completed", error);
    if (file_is_exclusive(f) && f->role == ROLE_OFFERED)
        return file_keep_trying(f, take_back, error);
    f->role = ROLE_HELD;
    return DRIVER_DONE;
}
