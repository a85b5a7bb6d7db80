/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the file driver
 *
 * A lease is an open file description lock (F_OFD_SETLK, fcntl(2)) on byte 0
 * of the image itself, the byte that libvirt's virtlockd locks, so that both
 * exclude each other and every name of one image (symlink, hard link, bind
 * mount) is one lease. Exclusive is a write lock, shared and readonly are
 * read locks. docs/file-protocol.md has every byte and every step; the model
 * in tests/model has been through all of their orders.
 *
 * Two kinds of descriptions: one per file, ours alone (close-on-exec), holds
 * the lease, which ends when we let it go or die, whatever the child does.
 * One per VM and home, read-only, is inherited by the child and holds its
 * liveness bytes, which end when we and the child are both dead, and which
 * every taker must find free.
 *
 * Should:  compare the path with the descriptor after locking: a file that
 *          was replaced in between is not the one others will lock.
 * Mustn't: remove a file that others lock; wait for a lock.
 */
#include "driver_file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

/* How often the file under a path may be replaced while we lock it. */
#define MAX_REPLACED 100

/* How often a step that others stand in the way of is tried again. */
#define TRY_MS 10

/* How often what stands in the way is spoken of, in microseconds. */
#define SAY_FIRST (G_USEC_PER_SEC)
#define SAY_AGAIN (5 * G_USEC_PER_SEC)

#define CHECK_SECONDS 10
#define DRAIN_SECONDS 5
#define SECONDS_MAX   3600

/* --- the driver ----------------------------------------------------------- */

static gboolean to_seconds(const char *value, guint64 *seconds)
{
    return g_ascii_string_to_unsigned(value, 10, 0, SECONDS_MAX, seconds, NULL);
}

static gboolean set_param(FileDriver *driver, const char *param, GError **error)
{
    const char *value = strchr(param, '=') + 1;
    guint64 seconds;

    if (g_str_has_prefix(param, "lockspace=") && *value) {
        g_free(driver->lockspace);
        driver->lockspace = g_canonicalize_filename(value, NULL);
        return TRUE;
    }
    if (g_str_has_prefix(param, "check=") && to_seconds(value, &seconds)) {
        driver->check_s = (guint)seconds;
        driver->check_all = TRUE;
        return TRUE;
    }
    if (g_str_has_prefix(param, "drain=") && to_seconds(value, &seconds)) {
        driver->drain_s = (guint)seconds;
        return TRUE;
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use parameter '%s': driver 'file' has lockspace=DIR, "
                "check=SECONDS and drain=SECONDS (0 to %d)",
                param, SECONDS_MAX);
    return FALSE;
}

static void file_close(gpointer data)
{
    FileDriver *driver = data;

    if (driver->look_source)
        g_source_remove(driver->look_source);
    if (driver->check_source)
        g_source_remove(driver->check_source);
    while (driver->leases->len > 0) /* of whom nobody has let go */
        file_let_go(driver->leases->pdata[0]);
    for (HomeId i = 0; i < N_HOMES; i++) {
        if (driver->homes[i].live >= 0)
            close(driver->homes[i].live);
        if (driver->homes[i].watched >= 0)
            close(driver->homes[i].watched);
    }
    g_ptr_array_unref(driver->leases);
    g_free(driver->lockspace);
    g_free(driver);
}

static gpointer file_open(const DriverContext *context, GError **error)
{
    FileDriver *driver = g_new0(FileDriver, 1);

    driver->context = context;
    driver->me = *context->owner;
    driver->me.generation = 1;
    driver->leases = g_ptr_array_new();
    driver->check_s = CHECK_SECONDS;
    driver->drain_s = DRAIN_SECONDS;
    driver->homes[HOME_HOST] =
        (Home){.directory = context->state_dir, .live = -1, .watched = -1};
    driver->homes[HOME_LOCKSPACE] = (Home){.live = -1, .watched = -1};
    for (char **param = context->params; *param; param++) {
        if (!set_param(driver, *param, error)) {
            file_close(driver);
            return NULL;
        }
    }
    driver->homes[HOME_LOCKSPACE].directory = driver->lockspace;
    return driver;
}

static guint file_inherit(gpointer data, int *fds, guint max)
{
    FileDriver *driver = data;
    guint n = 0;

    for (HomeId i = 0; i < N_HOMES && n < max; i++) {
        if (driver->homes[i].live >= 0)
            fds[n++] = driver->homes[i].live;
    }
    return n;
}

/* --- a lease -------------------------------------------------------------- */

FileLease *file_lease_new(FileDriver *driver, DriverLease *lease)
{
    FileLease *f = g_new0(FileLease, 1);

    f->driver = driver;
    f->lease = lease;
    lease->data = f;
    return f;
}

DriverAnswer file_hold(FileLease *f)
{
    f->role = ROLE_HELD;
    f->recorded = TRUE;
    file_write_records(f);
    return DRIVER_DONE;
}

/* Said, not left to close(): a client may hold the same description. And of
 * that no more than we have locked: another's lease may be on it. */
static void unlock(FileLease *f)
{
    if (f->lives)
        file_set_live(f, F_UNLCK, NULL);
    for (guint i = 0; i < f->n_places; i++) {
        const Place *place = &f->places[i];

        if (place->has_lease)
            file_set_byte(f, place, place->lease, F_UNLCK, NULL);
        if (place->has_claim)
            file_set_byte(f, place, place->claim, F_UNLCK, NULL);
    }
    file_close_places(f);
}

void file_let_go(FileLease *f)
{
    const DriverContext *context = f->driver->context;

    file_stop_trying(f);
    if (context->events->letting_go)
        context->events->letting_go(context->opaque, f->lease->id);
    f->used = FALSE; /* nothing that fails now is a loss */
    if (f->recorded)
        file_remove_records(f);
    unlock(f);
    g_ptr_array_remove(f->driver->leases, f);
    f->lease->data = NULL;
    g_free(f);
}

void file_stop_trying(FileLease *f)
{
    if (f->step_source)
        g_source_remove(f->step_source);
    f->step_source = 0;
    f->step = NULL;
}

static void say_waiting(FileLease *f)
{
    const DriverContext *context = f->driver->context;
    gint64 now = g_get_monotonic_time();
    gint64 next = f->said ? f->said + SAY_AGAIN : f->step_since + SAY_FIRST;

    if (!f->waiting || now < next)
        return;
    f->said = now;
    context->events->waiting(context->opaque, f->lease->id, f->waiting);
}

static gboolean try_again(gpointer data)
{
    FileLease *f = data;
    const DriverContext *context = f->driver->context;
    const guint id = f->lease->id, source = f->step_source;
    const FileStep step = f->step;
    g_autoptr(GError) error = NULL;

    f->step = NULL; /* a step that ends may free @f */
    f->step_source = 0;
    if (step(f, &error) == DRIVER_PENDING) {
        f->step = step;
        f->step_source = source;
        say_waiting(f);
        return G_SOURCE_CONTINUE;
    }
    context->events->done(context->opaque, id, error);
    return G_SOURCE_REMOVE;
}

DriverAnswer file_keep_trying(FileLease *f, FileStep step, GError **error)
{
    DriverAnswer answer;

    file_stop_trying(f);
    f->step_since = g_get_monotonic_time();
    f->said = 0;
    answer = step(f, error);
    if (answer == DRIVER_PENDING) {
        f->step = step;
        f->step_source = g_timeout_add(TRY_MS, try_again, f);
    }
    return answer;
}

/* --- acquire -------------------------------------------------------------- */

static gboolean nobody_lives(FileLease *f, GError **error)
{
    return file_others_gone(f, FALSE, error) &&
           (!file_is_exclusive(f) || file_others_gone(f, TRUE, error));
}

/* Every step of docs/file-protocol.md, "acquire". */
static gboolean take_steps(FileLease *f, GError **error)
{
    int type = file_is_exclusive(f) ? F_WRLCK : F_RDLCK;

    /* The first look spares others a lock that would be dropped again. */
    return nobody_lives(f, error) && file_set_claims(f, F_RDLCK, error) &&
           file_set_leases(f, type, error) && nobody_lives(f, error) &&
           file_taker_looks(f, error) && file_set_live(f, F_RDLCK, error) &&
           file_set_claims(f, F_UNLCK, error);
}

/* Drops all but an object that a client has opened: we might not be able to. */
static void start_again(FileLease *f)
{
    gboolean passed = f->has_image && !f->places[0].path;
    int kept = passed ? fcntl(f->places[0].fd, F_DUPFD_CLOEXEC, 3) : -1;

    unlock(f);
    f->lease->fd = kept;
}

static DriverAnswer file_acquire(gpointer data, DriverLease *lease,
                                 GError **error)
{
    FileDriver *driver = data;
    FileLease *f;

    if (!file_open_homes(driver, error))
        return DRIVER_FAILED;
    f = file_lease_new(driver, lease);
    g_ptr_array_add(driver->leases, f);
    for (int i = 0; i < MAX_REPLACED; i++) {
        if (!file_open_places(f, error) || !take_steps(f, error)) {
            file_let_go(f);
            return DRIVER_FAILED;
        }
        if (file_places_are_current(f)) {
            f->alone = file_is_exclusive(f) && file_is_written(f) &&
                       file_ask_alone(f) == DRIVER_UNUSED;
            return file_hold(f);
        }
        start_again(f);
    }
    file_let_go(f);
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "cannot acquire '%s': it is being replaced all the time",
                lease->resource->name);
    return DRIVER_FAILED;
}

/* --- release -------------------------------------------------------------- */

static DriverAnswer drain(FileLease *f, GError **error)
{
    if (!f->lease->force && !file_drained(f))
        return DRIVER_PENDING;
    file_let_go(f);
    return DRIVER_DONE;
}

static DriverAnswer file_release(gpointer driver, DriverLease *lease,
                                 GError **error)
{
    if (lease->data)
        return file_keep_trying(lease->data, drain, error);
    if (lease->fd >= 0) /* passed along, and never acquired */
        close(lease->fd);
    lease->fd = -1;
    return DRIVER_DONE;
}

const DriverOps driver_file = {
    .name = "file",
    .flags = DRIVER_HOTPLUG | DRIVER_MIGRATE,
    .open = file_open,
    .close = file_close,
    .inherit = file_inherit,
    .exiting = file_exiting,
    .acquire = file_acquire,
    .used = file_used,
    .release = file_release,
    .use = file_use,
    .kept = file_kept,
    .live = file_live,
    .describe = file_describe,
    .offer = file_offer,
    .claimed = file_claimed,
    .claim = file_claim,
    .complete = file_complete,
    .take = file_take,
    .completed = file_completed,
    .told = file_told,
    .tell = file_tell,
};
