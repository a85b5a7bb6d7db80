/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see unleased.h. */
#include "unleased.h"

#include "../libsupervise/opened.h"

/* More than these are counted only. */
#define MAX_SENTENCES 8

typedef struct {
    LeaseTable *leases;
    GPtrArray *sentences;
    GHashTable *seen; /* of char *: the files */
    gboolean sure;
} Look;

static gboolean is_told(Look *look, const OpenedFile *file)
{
    return !g_hash_table_add(look->seen,
                             g_strdup_printf("%d:%" G_GUINT64_FORMAT
                                             ":%" G_GUINT64_FORMAT,
                                             file->block, (guint64)file->device,
                                             (guint64)file->inode));
}

static gboolean on_file(const OpenedFile *file, gpointer data)
{
    Look *look = data;
    const Resource *leased = NULL;
    g_autofree char *path = NULL;

    if (!opened_is_image(file))
        return FALSE;
    leased = lease_table_covering(look->leases, file->block, file->device,
                                  file->inode);
    if ((leased && leased->mode != RESOURCE_READONLY) || is_told(look, file))
        return FALSE;
    path = g_utf8_make_valid(file->path, -1);
    g_ptr_array_add(
        look->sentences,
        g_strdup_printf(
            leased ? "'%s' is open for writing in process %d, and its lease "
                     "is readonly: other readers are let in"
                   : "'%s' is open for writing in process %d without a lease: "
                     "nobody is kept from it (name it with --disk%s)",
            path, file->pid,
            file->qemu || file->block ? "" : ", if it is a disk"));
    return FALSE;
}

static gboolean on_process(pid_t pid, int pidfd, gpointer data)
{
    Look *look = data;

    look->sure &= opened_walk(pid, on_file, look);
    return FALSE;
}

GPtrArray *unleased_find(const Child *child, LeaseTable *leases, gboolean *sure)
{
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Look look = {leases, g_ptr_array_new_with_free_func(g_free), seen, TRUE};
    guint more;

    look.sure &= child_walk(child, on_process, &look);
    more = look.sentences->len;
    if (more > MAX_SENTENCES) {
        more -= MAX_SENTENCES;
        g_ptr_array_set_size(look.sentences, MAX_SENTENCES);
        g_ptr_array_add(look.sentences,
                        g_strdup_printf("%u more files are open for writing "
                                        "without a lease",
                                        more));
    }
    *sure = look.sure;
    return look.sentences;
}
