/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who holds a disk
 *
 * First every supervisor that can be asked is asked; the disk is known by its
 * path and by its device and inode, whatever it is called. For who cannot be
 * asked (another user's VM, another run directory, another host, a VM whose
 * supervisor was killed) the locks are looked at: virt-lockctl-holder-locks.c.
 */
#include <stdio.h>
#include <sys/sysmacros.h>

#include "qmp.h"
#include "record.h"
#include "virt-lockctl.h"

typedef struct {
    const Resource *disk;
    struct stat st;
    gboolean exists;    /* st is valid */
    GPtrArray *holders; /* of json_t: records */
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

/* TRUE where @lease is on that path, and not on what was there before. */
static gboolean same_path(const Hunt *hunt, const json_t *lease)
{
    const char *kind = json_string_value(json_object_get(lease, "kind"));
    const char *name = json_string_value(json_object_get(lease, "name"));

    if (g_strcmp0(kind, "disk") != 0 || g_strcmp0(name, hunt->disk->path) != 0)
        return FALSE;
    return !hunt->exists || !json_object_get(lease, "changed");
}

static gboolean is_wanted(const Hunt *hunt, const json_t *lease)
{
    const char *kind = json_string_value(json_object_get(lease, "kind"));
    const char *status = json_string_value(json_object_get(lease, "status"));

    if (g_strcmp0(kind, "vm") == 0 || g_strcmp0(status, "PENDING") == 0 ||
        g_strcmp0(status, "WANTED") == 0)
        return FALSE;
    return same_file(hunt, lease) || same_path(hunt, lease);
}

/* As its records say it by then. */
static gboolean is_exiting(const json_t *status)
{
    const char *state = json_string_value(json_object_get(status, "state"));

    return g_strcmp0(state, "KILLING") == 0 || g_strcmp0(state, "GONE") == 0;
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
    json_object_set_new(holder, "exiting", json_integer(is_exiting(status)));
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

static void print_sentence(const Hunt *hunt, const Finding *finding)
{
    g_autofree char *disk = printable(hunt->disk->path);
    g_autofree char *who = record_describe(finding->holder);
    g_autofree char *mode = field_text(finding->holder, "mode");

    printf("'%s' is ", disk);
    if (finding->kind == FINDING_FREE)
        printf("not held\n");
    else if (finding->kind == FINDING_QEMU)
        printf("open in a QEMU that no supervisor answers for (its lock byte "
               "%u is held)\n",
               finding->byte);
    else if (finding->holder)
        printf("%s (%s)\n", who, mode);
    else
        printf("%s%s\n", who,
               finding->kind == FINDING_EXITING ? ", which is exiting" : "");
}

/* The record, where there is one, and what was found. */
static void print_object(const Hunt *hunt, const Finding *finding)
{
    static const char *const kinds[] = {[FINDING_FREE] = "free",
                                        [FINDING_HELD] = "held",
                                        [FINDING_EXITING] = "exiting",
                                        [FINDING_QEMU] = "qemu"};
    g_autoptr(json_t) object = json_object();

    json_object_set_new(object, "finding", json_string(kinds[finding->kind]));
    json_object_set_new(object, "resource", json_string(hunt->disk->path));
    if (finding->holder)
        json_object_update(object, finding->holder);
    if (finding->byte)
        json_object_set_new(object, "byte", json_integer(finding->byte));
    print_json(object, TRUE);
}

static void print_finding(const Hunt *hunt, const Finding *finding,
                          gboolean json)
{
    if (json)
        print_object(hunt, finding);
    else
        print_sentence(hunt, finding);
}

static void print_holder(const Hunt *hunt, json_t *holder, gboolean json)
{
    gint64 exiting = json_integer_value(json_object_get(holder, "exiting"));
    const Finding finding = {.kind = exiting ? FINDING_EXITING : FINDING_HELD,
                             .holder = holder};

    print_finding(hunt, &finding, json);
}

/* A wrong name would look like a lockspace in which nobody holds anything. */
static gboolean check_lockspace(const char *lockspace, GError **error)
{
    struct stat st;

    if (!lockspace)
        return TRUE;
    if (stat(lockspace, &st) < 0)
        return set_errno(error, "cannot look into lockspace '%s'", lockspace);
    if (S_ISDIR(st.st_mode))
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot look into lockspace '%s': it is not a directory",
                lockspace);
    return FALSE;
}

/* For holders that cannot be asked. A disk that is not there may still be
 * held by its path; @missing says that it is not. */
static gboolean find_unasked(const Hunt *hunt, const Request *request,
                             const GError *missing, Finding *finding,
                             GError **error)
{
    gboolean possible = hunt->exists || request->lockspace;

    if (possible && !look_at_locks(request, hunt->exists ? &hunt->st : NULL,
                                   finding, error))
        return FALSE;
    if (hunt->exists || (possible && finding->kind != FINDING_FREE))
        return TRUE;
    g_propagate_error(error, g_error_copy(missing));
    return FALSE;
}

/* Others than these cannot be leased, so that to say "not held" would mislead.
 * What is not there may still be held by its path. */
static gboolean check_kind(const Hunt *hunt, GError **error)
{
    if (!hunt->exists || S_ISREG(hunt->st.st_mode) || S_ISBLK(hunt->st.st_mode))
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot tell who holds '%s': it is neither a file nor a block "
                "device",
                hunt->disk->path);
    return FALSE;
}

gboolean command_holder(const Request *request, GError **error)
{
    g_autoptr(GPtrArray) holders = g_ptr_array_new_with_free_func(free_json);
    Hunt hunt = {.disk = request->disk, .holders = holders};
    g_autoptr(GError) missing = NULL;
    Finding finding;
    gboolean found;

    if (!check_lockspace(request->lockspace, error))
        return FALSE;
    hunt.exists = stat(hunt.disk->path, &hunt.st) == 0;
    if (!hunt.exists)
        set_errno(&missing, "cannot look at '%s'", hunt.disk->path);
    if (!check_kind(&hunt, error))
        return FALSE;
    client_foreach(request->run_dir, request->call_ms, ask_leases, &hunt, NULL);
    for (guint i = 0; i < holders->len; i++)
        print_holder(&hunt, holders->pdata[i], request->json);
    if (holders->len > 0)
        return TRUE;
    if (!find_unasked(&hunt, request, missing, &finding, error))
        return FALSE;
    print_finding(&hunt, &finding, request->json);
    found = finding.kind != FINDING_FREE;
    json_decref(finding.holder);
    return found;
}
