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
/* One that takes no connection: after 1 s, 2 s, 4 s ... 30 s. */
#define BUSY_S     1
#define BUSY_MOST  5
#define BUSY_MAX_S 30

typedef struct {
    SocketId id;
    guint tries;
    gint64 again;   /* CLOCK_MONOTONIC microseconds; 0: not before it changes */
    gboolean there; /* somebody listens */
    GError *error;  /* NULL: it is of no interest */
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

/* Microseconds until it is to be tried again; -1: not before it changes. */
static gint64 pause_after(const Refusal *refusal, gboolean nobody)
{
    gint64 age = g_get_real_time() - refusal->id.changed / 1000;

    if (g_error_matches(refusal->error, QMP_ERROR, QMP_ERROR_TIMEOUT))
        return MIN(BUSY_S << MIN(refusal->tries, BUSY_MOST), BUSY_MAX_S) *
               G_USEC_PER_SEC;
    if (nobody && age < YOUNG && refusal->tries < RETRIES)
        return ((gint64)RETRY_MS << refusal->tries) * 1000;
    return -1;
}

void refusals_add(Refusals *refusals, const char *path, const SocketId *id,
                  GError *error)
{
    const Refusal *before = g_hash_table_lookup(refusals->all, path);
    gboolean nobody =
        g_error_matches(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR);
    Refusal *refusal = g_new0(Refusal, 1);
    gint64 pause;

    refusal->id = *id;
    refusal->there = !nobody;
    if (before && is_unchanged(&before->id, id))
        refusal->tries = before->tries + 1;
    if (nobody)
        g_error_free(error);
    else
        refusal->error = error;
    pause = pause_after(refusal, nobody);
    refusal->again = pause < 0 ? 0 : g_get_monotonic_time() + pause;
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

gboolean refusals_know(const Refusals *refusals, const char *path)
{
    const Refusal *refusal = g_hash_table_lookup(refusals->all, path);

    return refusal && refusal->error;
}

guint refusals_tell(const Refusals *refusals, GTree *silent)
{
    GHashTableIter iter;
    gpointer path, value;
    guint others = 0;

    g_hash_table_iter_init(&iter, refusals->all);
    while (g_hash_table_iter_next(&iter, &path, &value)) {
        const Refusal *refusal = value;

        if (refusal->error)
            g_tree_replace(silent, g_strdup(path),
                           g_error_copy(refusal->error));
        else if (refusal->there)
            others++;
    }
    return others;
}
