/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who holds a disk
 *
 * First every supervisor that can be asked is asked; the disk is known by its
 * path and by its device and inode, whatever it is called. Who cannot be
 * asked (another user's VM, another run directory, another host) may have
 * left a record; it counts only while the image is locked.
 *
 * Mustn't: take a lock, not even for a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "places.h"
#include "qmp.h"
#include "record.h"
#include "virt-lockctl.h"

typedef struct {
    const Resource *disk;
    struct stat st;
    gboolean exists;    /* st is valid */
    GPtrArray *holders; /* of json_t */
} Hunt;

static void free_json(gpointer value)
{
    json_decref(value);
}

/* TRUE where @lease is on the file or device of the hunt. */
static gboolean same_file(const Hunt *hunt, const json_t *lease)
{
    const char *device = json_string_value(json_object_get(lease, "device"));
    const json_t *inode = json_object_get(lease, "inode");
    dev_t dev = S_ISBLK(hunt->st.st_mode) && !inode ? hunt->st.st_rdev
                                                    : hunt->st.st_dev;
    g_autofree char *here = g_strdup_printf("%u:%u", major(dev), minor(dev));

    if (!hunt->exists || g_strcmp0(device, here) != 0)
        return FALSE;
    return inode ? (guint64)json_integer_value(inode) == hunt->st.st_ino
                 : S_ISBLK(hunt->st.st_mode);
}

static gboolean is_wanted(const Hunt *hunt, const json_t *lease)
{
    const char *kind = json_string_value(json_object_get(lease, "kind"));
    const char *name = json_string_value(json_object_get(lease, "name"));
    const char *status = json_string_value(json_object_get(lease, "status"));

    if (g_strcmp0(kind, "vm") == 0 || g_strcmp0(status, "PENDING") == 0 ||
        g_strcmp0(status, "WANTED") == 0)
        return FALSE;
    return same_file(hunt, lease) || (g_strcmp0(kind, "disk") == 0 &&
                                      g_strcmp0(name, hunt->disk->path) == 0);
}

/* A holder as in records and errors, made from what its supervisor says. */
static json_t *holder_from(const json_t *status, const json_t *lease)
{
    static const char *const from_status[] = {"uuid", "name", "host", "pid"};
    static const char *const from_lease[] = {"since", "mode"};
    json_t *holder = json_object();

    for (gsize i = 0; i < G_N_ELEMENTS(from_status); i++)
        json_object_set(holder, from_status[i],
                        json_object_get(status, from_status[i]));
    for (gsize i = 0; i < G_N_ELEMENTS(from_lease); i++)
        json_object_set(holder, from_lease[i],
                        json_object_get(lease, from_lease[i]));
    json_object_set(holder, "resource", json_object_get(lease, "name"));
    return holder;
}

static void ask_leases(Client *client, const json_t *status, gpointer data)
{
    g_autoptr(Client) owned = client;
    g_autoptr(json_t) leases =
        client_call(owned, "query-leases", NULL, -1, NULL, NULL);
    Hunt *hunt = data;
    json_t *lease;
    size_t i;

    json_array_foreach (leases, i, lease) {
        if (is_wanted(hunt, lease))
            g_ptr_array_add(hunt->holders, holder_from(status, lease));
    }
}

/* Returns 1 if someone has locked the image, 0 if not, -1 with errno set if
 * that cannot be seen. */
static int probe_lock(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int rc, saved;

    if (fd < 0)
        return -1;
    rc = fcntl(fd, F_OFD_GETLK, &lock);
    saved = errno;
    close(fd);
    errno = saved;
    return rc < 0 ? -1 : lock.l_type != F_UNLCK;
}

/* TRUE where the process that @record names could be the holder: it lives,
 * or it is on another host, where we cannot see it. */
static gboolean is_credible(const json_t *record)
{
    const char *host = json_string_value(json_object_get(record, "host"));

    return record &&
           (record_alive(record) || g_strcmp0(host, g_get_host_name()) != 0);
}

/* Asks the lock and the record, for holders that could not be asked. */
static gboolean look_at_record(Hunt *hunt, const Request *request,
                               gboolean *locked, GError **error)
{
    g_autofree char *state_dir = places_state_dir(request->state_dir, NULL);
    g_autofree char *resource = record_resource(&hunt->st, 0);
    g_autoptr(json_t) record =
        state_dir ? record_find(state_dir, resource, RECORD_SHARED) : NULL;
    int probed = probe_lock(hunt->disk->path);

    if (probed < 0 && !record_alive(record))
        return set_errno(error, "cannot see whether '%s' is held",
                         hunt->disk->path);
    *locked = probed != 0;
    if (*locked && is_credible(record))
        g_ptr_array_add(hunt->holders, g_steal_pointer(&record));
    return TRUE;
}

static void print_holder(const Hunt *hunt, const json_t *holder, gboolean json)
{
    g_autofree char *who = record_describe(holder);
    g_autofree char *mode = field_text(holder, "mode");

    if (json)
        print_json(holder, TRUE);
    else if (holder)
        printf("'%s' is %s (%s)\n", hunt->disk->path, who, mode);
    else
        printf("'%s' is %s\n", hunt->disk->path, who);
}

gboolean command_holder(const Request *request, GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func(free_json);
    Hunt hunt = {.disk = request->disk, .holders = holders};
    gboolean locked = FALSE;

    hunt.exists = stat(hunt.disk->path, &hunt.st) == 0;
    if (!hunt.exists)
        set_errno(error, "cannot look at '%s'", hunt.disk->path);
    client_foreach(request->run_dir, request->call_ms, ask_leases, &hunt, NULL);
    if (holders->len == 0) {
        if (!hunt.exists || !look_at_record(&hunt, request, &locked, error))
            return FALSE;
        if (!locked)
            printf("'%s' is not held\n", hunt.disk->path);
        else if (holders->len == 0)
            print_holder(&hunt, NULL, FALSE);
    }
    g_clear_error(error);
    for (guint i = 0; i < holders->len; i++)
        print_holder(&hunt, holders->pdata[i], request->json);
    return locked || holders->len > 0;
}
