/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-refusals.h. */
#include "virt-lockctl-refusals.h"

#include <sys/stat.h>

#include "qmp.h"

/* After 10 ms, 20 ms, 40 ms ... */
#define RETRIES  8
#define RETRY_MS 10
/* Microseconds: a socket that is older will not be listened on any more. */
#define YOUNG (5 * G_USEC_PER_SEC)

typedef struct {
    SocketId id;
    guint tries;
    gint64 again;  /* CLOCK_MONOTONIC microseconds; 0: not before it changes */
    GError *error; /* NULL: nobody is there */
} Refusal;

struct Refusals {
    GHashTable *all; /* of char *path -> Refusal */
};

gboolean socket_id(const char *path, SocketId *id)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return FALSE;
    *id = (SocketId){
        .device = st.st_dev,
        .inode = st.st_ino,
        .changed = st.st_ctim.tv_sec * G_GINT64_CONSTANT(1000000000) +
                   st.st_ctim.tv_nsec,
    };
    return TRUE;
}

gboolean socket_id_equal(const SocketId *one, const SocketId *other)
{
    return one->device == other->device && one->inode == other->inode;
}

static gboolean is_unchanged(const SocketId *one, const SocketId *other)
{
    return socket_id_equal(one, other) && one->changed == other->changed;
}

static void refusal_free(gpointer data)
{
    Refusal *refusal = data;

    g_clear_error(&refusal->error);
    g_free(refusal);
}

Refusals *refusals_new(void)
{
    Refusals *refusals = g_new0(Refusals, 1);

    refusals->all =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, refusal_free);
    return refusals;
}

void refusals_free(Refusals *refusals)
{
    g_hash_table_unref(refusals->all);
    g_free(refusals);
}

void refusals_add(Refusals *refusals, const char *path, const SocketId *id,
                  GError *error)
{
    const Refusal *before = g_hash_table_lookup(refusals->all, path);
    gboolean nobody =
        g_error_matches(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR);
    gint64 age = g_get_real_time() - id->changed / 1000;
    Refusal *refusal = g_new0(Refusal, 1);

    refusal->id = *id;
    if (before && is_unchanged(&before->id, id))
        refusal->tries = before->tries + 1;
    if (nobody && age < YOUNG && refusal->tries < RETRIES)
        refusal->again = g_get_monotonic_time() +
                         ((gint64)RETRY_MS << refusal->tries) * 1000;
    if (nobody)
        g_error_free(error);
    else
        refusal->error = error;
    g_hash_table_replace(refusals->all, g_strdup(path), refusal);
}

void refusals_remove(Refusals *refusals, const char *path)
{
    g_hash_table_remove(refusals->all, path);
}

static gboolean is_not_listed(gpointer path, gpointer refusal, gpointer paths)
{
    return !g_ptr_array_find_with_equal_func(paths, path, g_str_equal, NULL);
}

void refusals_keep(Refusals *refusals, GPtrArray *paths)
{
    g_hash_table_foreach_remove(refusals->all, is_not_listed, paths);
}

gboolean refusals_stand(const Refusals *refusals, const char *path,
                        const SocketId *id)
{
    const Refusal *refusal = g_hash_table_lookup(refusals->all, path);

    return refusal && is_unchanged(&refusal->id, id) &&
           (!refusal->again || refusal->again > g_get_monotonic_time());
}

int refusals_next(const Refusals *refusals)
{
    gint64 first = -1, now = g_get_monotonic_time();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, refusals->all);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Refusal *refusal = value;

        if (refusal->again && (first < 0 || refusal->again < first))
            first = refusal->again;
    }
    return first < 0 ? -1 : (int)MAX((first - now + 999) / 1000, 0);
}

const GError *refusals_error(const Refusals *refusals)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, refusals->all);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Refusal *refusal = value;

        if (refusal->error)
            return refusal->error;
    }
    return NULL;
}
