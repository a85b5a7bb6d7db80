/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the locks say of a disk
 *
 * For holders that cannot be asked. Each home (the state directory, and a
 * lockspace where one is given) has lease bytes, which a supervisor holds,
 * and two liveness bytes, which a child holds too: docs/file-protocol.md. A
 * lease byte that is held means a holder; liveness alone means that the
 * supervisor was killed and its child is not dead yet. QEMU locks bytes of
 * its own, whoever started it. Records say whose it may be.
 *
 * Should:  say that something cannot be seen rather than that it is free.
 * Mustn't: take a lock, not even for a moment; open anything for writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "places.h"
#include "qmp.h"
#include "record.h"
#include "virt-lockctl.h"

/* How often an open() is tried that somebody's F_SETLEASE has refused; a
 * supervisor has one for two system calls. */
#define MAX_LEASED 1000

#define LEASES_MAX 2

/* A place that was not there to be opened has nobody who locks it. */
#define ABSENT (-1)

typedef struct {
    char *directory; /* NULL: there is none */
    char *resource;  /* its name in the records */
    int liveness;
    guint64 live;           /* VE; VS is the byte after it */
    int leases[LEASES_MAX]; /* files of lease bytes ... */
    guint64 bytes[LEASES_MAX];
    guint n_leases;
} Home;

typedef struct {
    const Resource *disk;
    int image; /* ABSENT where it cannot be opened */
    Home host, lockspace;
    GError *unseen; /* the first thing that could not be looked at */
} Look;

/* --- single calls --------------------------------------------------------- */

/* @path: what could not be opened, or NULL where a look at locks failed */
static void note_unseen(Look *look, const char *path)
{
    const char *disk = look->disk->path;

    if (look->unseen)
        return;
    if (path)
        set_errno(&look->unseen,
                  "cannot see whether '%s' is held: cannot open '%s'", disk,
                  path);
    else
        set_errno(&look->unseen,
                  "cannot see whether '%s' is held: cannot look at locks",
                  disk);
}

static int open_to_look(Look *look, const char *path, int flags)
{
    int fd = -1;

    for (int i = 0; i < MAX_LEASED; i++) {
        fd = open(path, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 || errno != EWOULDBLOCK)
            break;
        sched_yield();
    }
    if (fd < 0 && (errno != ENOENT || !(flags & O_NOFOLLOW)))
        note_unseen(look, path);
    return fd;
}

/* A file that supervisors make where they need it. */
static int open_own(Look *look, const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);

    return open_to_look(look, path, O_NOFOLLOW);
}

/* Somebody's lock on bytes @first to @last; l_type is F_UNLCK if there is
 * none. */
static struct flock lock_on(Look *look, int fd, guint64 first, guint64 last)
{
    struct flock lock = {.l_type = F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = (off_t)first,
                         .l_len = (off_t)(last - first + 1)};

    if (fd != ABSENT && fcntl(fd, F_OFD_GETLK, &lock) == 0)
        return lock;
    if (fd != ABSENT)
        note_unseen(look, NULL);
    return (struct flock){.l_type = F_UNLCK};
}

/* --- homes ---------------------------------------------------------------- */

static void add_lease(Home *home, int fd, guint64 byte)
{
    home->leases[home->n_leases] = fd;
    home->bytes[home->n_leases++] = byte;
}

/* What it is to this host. @st is of the disk. */
static void open_host(Look *look, const Request *request, const struct stat *st)
{
    Home *home = &look->host;
    GError **error = look->unseen ? NULL : &look->unseen;

    look->image = open_to_look(look, look->disk->path, 0);
    add_lease(home, look->image, 0);
    home->resource = record_resource(st, 0);
    home->directory = places_state_dir(request->state_dir, error);
    if (!home->directory)
        return;
    home->liveness = open_own(look, home->directory, "liveness");
    home->live = record_lock_byte("file", home->resource);
    if (S_ISBLK(st->st_mode)) /* "block-MAJ:MIN-0" without the first word */
        add_lease(home, open_own(look, home->directory, "locks"),
                  record_lock_byte("block", strchr(home->resource, '-') + 1));
}

/* What its path is to whoever has the lockspace. */
static void open_lockspace(Look *look, const char *directory)
{
    Home *home = &look->lockspace;
    const char *path = look->disk->path;
    g_autofree char *sum =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, path, -1);

    home->directory = g_strdup(directory);
    home->resource = g_strdup_printf("%s-0", sum);
    home->liveness = open_own(look, directory, "liveness");
    home->live = record_lock_byte("path", path);
    add_lease(home, open_own(look, directory, sum), 0);
}

static void close_home(Home *home)
{
    for (guint i = 0; i < home->n_leases; i++) {
        if (home->leases[i] != ABSENT)
            close(home->leases[i]);
    }
    if (home->liveness != ABSENT)
        close(home->liveness);
    g_free(home->directory);
    g_free(home->resource);
}

static short lease_type(Look *look, const Home *home)
{
    short type = F_UNLCK;

    for (guint i = 0; i < home->n_leases && type == F_UNLCK; i++)
        type = lock_on(look, home->leases[i], home->bytes[i], home->bytes[i])
                   .l_type;
    return type;
}

static gboolean is_live(Look *look, const Home *home, guint which)
{
    guint64 byte = home->live + which;

    return lock_on(look, home->liveness, byte, byte).l_type != F_UNLCK;
}

/* --- findings ------------------------------------------------------------- */

static json_t *record_of(const Home *home, guint flags)
{
    return home->directory ? record_find(home->directory, home->resource, flags)
                           : NULL;
}

/* The record of the one whose child lives on; NULL where it is not known. An
 * exclusive record counts only where that liveness is held: it may have been
 * left by somebody who is long dead. */
static json_t *record_of_exiting(const Home *home, gboolean alone)
{
    g_autoptr(json_t) record =
        record_of(home, RECORD_DEAD | (alone ? 0 : RECORD_SHARED));
    const char *mode = json_string_value(json_object_get(record, "mode"));

    if (!record || alone != (g_strcmp0(mode, "exclusive") == 0))
        return NULL;
    json_object_set_new(record, "exiting", json_integer(1));
    return g_steal_pointer(&record);
}

static gboolean says_exiting(const json_t *record)
{
    return json_integer_value(json_object_get(record, "exiting")) != 0;
}

static Finding look_at_home(Look *look, const Home *home)
{
    Finding found = {.kind = FINDING_FREE};
    short type = lease_type(look, home);
    gboolean alone = is_live(look, home, 0);
    gboolean lives = alone || is_live(look, home, 1);

    if (type == F_UNLCK && lives) /* it may have been taken just now */
        type = lease_type(look, home);
    if (type != F_UNLCK) {
        found.kind = FINDING_HELD;
        found.holder = record_of(home, type == F_RDLCK ? RECORD_SHARED : 0);
    }
    if (lives && !found.holder) {
        found.holder = record_of_exiting(home, alone);
        if (type == F_UNLCK)
            found.kind = FINDING_EXITING;
    }
    if (says_exiting(found.holder))
        found.kind = FINDING_EXITING;
    return found;
}

/* An image that we may not open: who is recorded, and lives, has it. */
static Finding trust_record(const Home *home)
{
    g_autoptr(json_t) record = record_of(home, RECORD_SHARED);

    if (!record_alive(record))
        return (Finding){.kind = FINDING_FREE};
    return (Finding){.kind =
                         says_exiting(record) ? FINDING_EXITING : FINDING_HELD,
                     .holder = g_steal_pointer(&record)};
}

/* What it does to the image (writing first), then what it does not let
 * others do, then that it reads. */
static Finding look_for_qemu(Look *look)
{
    static const struct {
        guint first, last;
    } ranges[] = {{RESOURCE_QEMU_FIRST + 1, 199},
                  {200, RESOURCE_QEMU_END - 1},
                  {RESOURCE_QEMU_FIRST, RESOURCE_QEMU_FIRST}};

    for (guint i = 0; i < G_N_ELEMENTS(ranges); i++) {
        guint first = ranges[i].first, last = ranges[i].last;
        struct flock lock = lock_on(look, look->image, first, last);

        if (lock.l_type != F_UNLCK)
            return (Finding){
                .kind = FINDING_QEMU,
                .byte = (guint)CLAMP(lock.l_start, (off_t)first, (off_t)last)};
    }
    return (Finding){.kind = FINDING_FREE};
}

/* The better one of two about one disk; the other one is dropped. */
static Finding better(Finding one, Finding other)
{
    if (one.holder || (one.kind != FINDING_FREE && !other.holder)) {
        json_decref(other.holder);
        return one;
    }
    return other;
}

gboolean look_at_locks(const Request *request, const struct stat *st,
                       Finding *finding, GError **error)
{
    Look look = {.disk = request->disk,
                 .image = ABSENT,
                 .host = {.liveness = ABSENT},
                 .lockspace = {.liveness = ABSENT}};

    if (st)
        open_host(&look, request, st);
    if (request->lockspace)
        open_lockspace(&look, request->lockspace);
    *finding = better(look_at_home(&look, &look.host),
                      look_at_home(&look, &look.lockspace));
    if (finding->kind == FINDING_FREE && st && look.image == ABSENT)
        *finding = trust_record(&look.host);
    if (finding->kind == FINDING_FREE)
        *finding = look_for_qemu(&look);
    close_home(&look.host); /* with the image */
    close_home(&look.lockspace);
    if (finding->kind != FINDING_FREE || !look.unseen) {
        g_clear_error(&look.unseen);
        return TRUE;
    }
    g_propagate_error(error, look.unseen);
    return FALSE;
}
