/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: whom the herd cannot ask, and when that is told. */
#include <string.h>

#include "qmp.h"
#include "virt-lockctl-herd-internal.h"

static int by_path(gconstpointer a, gconstpointer b, gpointer data)
{
    return strcmp(a, b);
}

/* Path -> GError; @all: how many there are, of the others, too. */
static GTree *find_silent(const Herd *herd, guint *all)
{
    GTree *silent = g_tree_new_full(
        by_path, NULL, g_free, (GDestroyNotify)(void (*)(void))g_error_free);

    *all = refusals_tell(herd->refusals, silent) +
           arrivals_expected(herd->arrivals);
    for (guint i = 0; i < arrivals_count(herd->arrivals); i++) {
        const Arrival *arrival = arrivals_get(herd->arrivals, i);

        if (arrival->silent)
            g_tree_replace(silent, g_strdup(arrival->path),
                           arrival_silence(arrival->path));
    }
    for (guint i = 0; i < herd->members->len; i++) {
        const Full *full = herd->members->pdata[i];

        *all += !full->m.silent;
        if (full->m.silent)
            g_tree_replace(silent, g_strdup(full->path),
                           arrival_silence(full->path));
    }
    *all += (guint)g_tree_nnodes(silent);
    return silent;
}

static gboolean add_path(gpointer path, gpointer error, gpointer who)
{
    g_string_append_printf(who, "%s\n", (const char *)path);
    return FALSE;
}

/* NULL where all could be asked; @who: what differs where others could not. */
static GError *all_silent(const Herd *herd, char **who)
{
    GString *paths = g_string_new(NULL);
    guint all;
    g_autoptr(GTree) silent = find_silent(herd, &all);
    GTreeNode *node = g_tree_node_first(silent);
    const GError *first = node ? g_tree_node_value(node) : NULL;

    g_tree_foreach(silent, add_path, paths);
    *who = g_string_free(paths, FALSE);
    return first ? g_error_new(QMP_ERROR, first->code,
                               "cannot ask %d of %u supervisors: %s",
                               g_tree_nnodes(silent), all, first->message)
                 : NULL;
}

static char *sentence_of(const Request *request, const GError *error)
{
    g_autofree char *sentence = with_hint(request, error);

    return printable(sentence);
}

char *herd_silence(const Herd *herd, const Request *request)
{
    g_autofree char *who = NULL;
    g_autoptr(GError) error = all_silent(herd, &who);

    return error ? sentence_of(request, error) : NULL;
}

gboolean herd_tell_silence(const Herd *herd, const Request *request,
                           char **told)
{
    char *who;
    g_autoptr(GError) error = all_silent(herd, &who);

    if (error && g_strcmp0(who, *told) != 0) {
        g_autofree char *sentence = sentence_of(request, error);

        fprintf(stderr, "virt-lockctl: %s\n", sentence);
    }
    g_free(*told);
    *told = who;
    return error != NULL;
}
