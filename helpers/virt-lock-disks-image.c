/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what images say of themselves
 *
 * Backing files are only read; data files and extents are used as the image
 * is. What cannot be found out is said, and is no error: whether the command
 * may run all the same is for others to decide.
 */
#include <string.h>

#include "virt-lock-disks.h"

/* How often an image may name several that name several ... */
#define MAX_NESTED 4

/* What qemu-img has in place of bytes that are not UTF-8 (U+FFFD). */
#define REPLACED "\xef\xbf\xbd"

/* Of a name that stands for several images qemu-img follows none. */
static void add_inner_images(List *list, Graph *graph, const char *from)
{
    guint stored = 0;

    for (guint i = 0; i < graph->nodes->len; i++) {
        const Node *node = g_ptr_array_index(graph->nodes, i);

        stored += node->storage != NULL;
    }
    if (stored < 2)
        return;
    if (list->depth == MAX_NESTED) {
        g_autoptr(Storage) deep =
            storage_uncovered(from, "its images are nested too deeply");
        list_add(list, deep, MODE_EXCLUSIVE, from);
        return;
    }
    list->depth++;
    list_add_images(list, graph);
    list->depth--;
}

/* The file that an image calls @filename, with all that is in the name. */
static void add_named(List *list, const char *filename, gboolean probed,
                      Mode mode, const char *from)
{
    g_autoptr(Graph) graph = graph_new(list->world, NULL);
    g_autoptr(json_t) none = json_object();
    g_autoptr(GError) error = NULL;
    const Inherited inherited = {
        .read_only = mode == MODE_READONLY, .probed = probed, .from = from};
    Node *node;

    if (strstr(filename, REPLACED)) {
        g_autoptr(Storage) storage = storage_uncovered(
            from, "the name that the image has for it is not UTF-8");
        list_add(list, storage, MODE_EXCLUSIVE, from);
        return;
    }
    if (!graph_add(graph, none, filename, &inherited, &node, &error)) {
        g_autoptr(Storage) storage = storage_uncovered(from, error->message);
        list_add(list, storage, mode, from);
        return;
    }
    graph_link(graph);
    graph_settle(graph);
    for (guint i = 0; i < graph->nodes->len; i++) {
        const Node *found = g_ptr_array_index(graph->nodes, i);

        if (found->storage)
            list_add(list, found->storage, MIN(mode, found->mode), from);
    }
    for (guint i = 0; i < graph->warnings->len; i++)
        list_warn(list, g_ptr_array_index(graph->warnings, i));
    add_inner_images(list, graph, from);
}

/* "data file of '/vm/web1.qcow2'": the image's own name may be anything. */
static char *from_image(const char *what, const char *filename)
{
    g_autofree char *protocol = filename_protocol(filename);

    if (protocol)
        return g_strdup_printf("%s of '%s:...'", what, protocol);
    return g_strdup_printf("%s of '%s'", what, filename);
}

/* Files besides the one that has its header; not its data file where that
 * is @known. */
static void add_parts(List *list, const json_t *info, const char *filename,
                      gboolean known, Mode mode)
{
    const json_t *data =
        json_object_get(json_object_get(info, "format-specific"), "data");
    const char *data_file = keyval_string(data, "data-file");
    const json_t *extents = json_object_get(data, "extents"), *extent;
    g_autofree char *from = from_image("data file", filename);
    g_autofree char *from_extent = from_image("extent", filename);
    size_t i;

    if (data_file && !known)
        add_named(list, data_file, FALSE, mode, from);
    json_array_foreach (extents, i, extent) {
        const char *name = keyval_string(extent, "filename");

        if (name && !g_str_equal(name, filename))
            add_named(list, name, FALSE, mode, from_extent);
    }
}

/* @chain is what qemu-img says, the image itself first. */
static void add_chain(List *list, const json_t *chain, const Node *node,
                      const Storage *storage, Mode mode)
{
    const char *above = storage->name;
    const json_t *info;
    size_t i;

    json_array_foreach (chain, i, info) {
        const char *filename = keyval_string(info, "filename");

        if (i > 0)
            mode = node->backing_written ? MODE_EXCLUSIVE : MODE_READONLY;
        if (i > 0 && filename) {
            g_autofree char *from = from_image("backing file", above);

            add_named(list, filename, TRUE, mode, from);
            above = filename;
        }
        add_parts(list, info, above, i == 0 && node->data_file, mode);
    }
}

static void add_doubt(List *list, const Storage *storage, const char *reason)
{
    g_autofree char *what =
        g_strdup_printf("backing chain of '%s'", storage->name);
    g_autofree char *from = g_strdup_printf("image '%s'", storage->name);
    g_autoptr(Storage) doubt = storage_uncovered(what, reason);

    list_add(list, doubt, MODE_EXCLUSIVE, from); /* in doubt the stronger */
}

/* TRUE where there is something that only the image knows. */
static gboolean must_ask(const Node *node)
{
    gboolean has_data_file =
        g_strcmp0(node->driver_name, "qcow2") == 0 && !node->data_file;

    return !node->overlaid || has_data_file || !node->driver_name ||
           g_str_equal(node->driver_name, "vmdk");
}

/* Why qemu-img is not asked; NULL where it can be. */
static const char *why_not(const Node *node, const Storage *storage)
{
    if (storage->kind == STORAGE_LEASE)
        return "it is not in a file: say format=raw, or which is its backing "
               "file";
    if (storage->kind == STORAGE_DISK && node->inside)
        return "it is not simply a file: say format=raw, or which is its "
               "backing file";
    return NULL;
}

/* What is done to the image, its data file and its extents: @mode, but that
 * QEMU writes metadata whatever the guest does, and shares it with nobody.
 * What is not known to be raw may have some. */
static Mode image_mode(const Node *node, const json_t *chain, Mode mode)
{
    const char *format = keyval_string(json_array_get(chain, 0), "format");

    if (node->read_only)
        return MODE_READONLY;
    if (!node->driver_name && g_strcmp0(format, "raw") != 0)
        return MODE_EXCLUSIVE;
    return mode;
}

/* What qemu-img says; NULL where it is not asked, or does not know. */
static json_t *ask(List *list, const Node *node, const Storage *storage)
{
    const World *world = list->world;
    const char *reason = why_not(node, storage);
    g_autoptr(GError) error = NULL;
    json_t *chain;
    struct stat st;

    if (!world->inspect || !must_ask(node))
        return NULL;
    if (reason)
        add_doubt(list, storage, reason);
    if (reason || storage->kind != STORAGE_DISK ||
        !world->look(world->data, storage->name, &st) || S_ISDIR(st.st_mode))
        return NULL;
    chain = world->inspect(world->data, storage->name, node->driver_name,
                           !node->overlaid, &error);
    if (!chain)
        add_doubt(list, storage, error->message);
    return chain;
}

void list_add_image(List *list, const Node *node, const Storage *storage,
                    Mode mode)
{
    g_autoptr(json_t) chain = ask(list, node, storage);

    mode = image_mode(node, chain, mode);
    list_add(list, storage, mode, node->from);
    add_chain(list, chain, node, storage, mode);
}
