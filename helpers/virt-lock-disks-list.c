/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the findings, in the order of the command, each once
 *
 * A file that is there twice is known by its device and inode, and has the
 * strongest mode of all its uses.
 */
#include <string.h>
#include <sys/sysmacros.h>

#include "virt-lock-disks.h"

static const char *const mode_names[] = {
#define X(id, name) [MODE_##id] = name,
    DISKS_MODES(X)
#undef X
};

const char *mode_name(Mode mode)
{
    return mode_names[mode];
}

static Mode mode_of(const json_t *line)
{
    const char *name = keyval_string(line, "mode");

    for (guint i = 0; i < G_N_ELEMENTS(mode_names); i++) {
        if (g_strcmp0(mode_names[i], name) == 0)
            return i;
    }
    return MODE_NONE;
}

/* What makes two findings one; newly allocated. */
static char *identity(const List *list, const Storage *storage)
{
    struct stat st;

    if (storage->kind == STORAGE_UNCOVERED)
        return g_strjoin("\n", "u", storage->name, storage->reason, NULL);
    if (storage->kind == STORAGE_LEASE)
        return g_strjoin("\n", "l", storage->lockspace, storage->name, NULL);
    if (!list->world->look(list->world->data, storage->name, &st))
        return g_strjoin("\n", "p", storage->name, NULL);
    if (S_ISBLK(st.st_mode))
        return g_strdup_printf("b\n%u:%u", major(st.st_rdev),
                               minor(st.st_rdev));
    return g_strdup_printf("f\n%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
                           (guint64)st.st_dev, (guint64)st.st_ino);
}

static void set_text(json_t *line, const char *key, const char *value)
{
    g_autofree char *text = shown(value);

    json_object_set_new(line, key, json_string(text));
}

static json_t *line_of(const Storage *storage, Mode mode, const char *from)
{
    json_t *line = json_object();

    if (storage->kind == STORAGE_DISK) {
        set_text(line, "kind", "disk");
        set_text(line, "path", storage->name);
    } else if (storage->kind == STORAGE_LEASE) {
        set_text(line, "kind", "lease");
        set_text(line, "lockspace", storage->lockspace);
        set_text(line, "key", storage->name);
    } else {
        set_text(line, "kind", "uncovered");
        set_text(line, "what", storage->name);
    }
    set_text(line, "mode", mode_name(mode));
    if (storage->kind == STORAGE_UNCOVERED)
        set_text(line, "reason", storage->reason);
    set_text(line, "from", from);
    return line;
}

void list_add(List *list, const Storage *storage, Mode mode, const char *from)
{
    g_autofree char *key = NULL;
    gpointer index;

    if (storage->kind == STORAGE_NOTHING || mode == MODE_NONE)
        return;
    if (storage->readonly)
        mode = MODE_READONLY;
    key = identity(list, storage);
    if (g_hash_table_lookup_extended(list->known, key, NULL, &index)) {
        json_t *line = json_array_get(list->lines, GPOINTER_TO_SIZE(index));

        set_text(line, "mode", mode_name(MAX(mode, mode_of(line))));
        return;
    }
    g_hash_table_insert(list->known, g_steal_pointer(&key),
                        GSIZE_TO_POINTER(json_array_size(list->lines)));
    json_array_append_new(list->lines, line_of(storage, mode, from));
}

void list_warn(List *list, const char *text)
{
    json_t *line = json_object();

    set_text(line, "kind", "warning");
    set_text(line, "text", text);
    json_array_append_new(list->lines, line);
}

/* The node in which the image of @node is stored, or NULL. *@plain where its
 * bytes are those of that node, so that qemu-img sees them there, too. */
static Node *image_node(const Node *node, gboolean *plain)
{
    *plain = TRUE;
    for (guint depth = 0; depth < DISKS_MAX_DEPTH; depth++) {
        const Edge *edge =
            node->edges->len ? g_ptr_array_index(node->edges, 0) : NULL;

        if (!edge || edge->role != ROLE_FILE || !edge->child)
            return NULL;
        node = edge->child;
        if (node->storage)
            return edge->child;
        if (node->driver->kind != DRIVER_FILTER || node->driver->probes ||
            !node->driver_name || node->part)
            *plain = FALSE;
    }
    return NULL;
}

static void find_images(Graph *graph)
{
    for (guint i = 0; i < graph->nodes->len; i++) {
        Node *node = g_ptr_array_index(graph->nodes, i), *stored;
        gboolean plain;

        if (!node->driver->chained)
            continue;
        stored = image_node(node, &plain);
        node->inside = !plain;
        if (stored)
            g_ptr_array_add(stored->images, node);
    }
}

void list_add_images(List *list, Graph *graph)
{
    find_images(graph);
    for (guint i = 0; i < graph->nodes->len; i++) {
        const Node *node = g_ptr_array_index(graph->nodes, i);

        for (guint k = 0; k < node->images->len; k++)
            list_add_image(list, g_ptr_array_index(node->images, k),
                           node->storage, node->mode);
    }
}

static void add_node(List *list, const Node *node)
{
    if (!node->storage)
        return;
    list_add(list, node->storage, node->mode, node->from);
    if (node->unlocked && node->mode > MODE_READONLY &&
        node->storage->kind == STORAGE_DISK) {
        g_autofree char *path = shown(node->storage->name);
        g_autofree char *text = g_strdup_printf(
            "QEMU's own image locks are off for '%s' (locking=off), so the "
            "drain cannot be proved",
            path);
        list_warn(list, text);
    }
    for (guint i = 0; i < node->images->len; i++)
        list_add_image(list, g_ptr_array_index(node->images, i), node->storage,
                       node->mode);
}

static void add_graph(List *list, Graph *graph)
{
    find_images(graph);
    for (guint i = 0; i < graph->nodes->len; i++)
        add_node(list, g_ptr_array_index(graph->nodes, i));
    for (guint i = 0; i < graph->warnings->len; i++)
        list_warn(list, g_ptr_array_index(graph->warnings, i));
}

static void add_vm(List *list, const Command *command)
{
    static const char *const keys[] = {"name", "uuid", "incoming"};
    json_t *line;

    if (json_object_size(command->vm) == 0)
        return;
    line = json_object();
    set_text(line, "kind", "vm");
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        json_object_set(line, keys[i], json_object_get(command->vm, keys[i]));
    json_array_append_new(list->lines, line);
}

json_t *disks_list(char **argv, const World *world, GError **error)
{
    g_autoptr(GPtrArray) options = words_read(argv, world, error);
    g_autoptr(Command) command =
        options ? command_read(options, world, error) : NULL;
    g_autoptr(Graph) graph = NULL;
    g_autoptr(json_t) lines = json_array();
    g_autoptr(GHashTable) known =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    List list = {.lines = lines, .known = known, .world = world};

    if (!command)
        return NULL;
    graph = graph_new(world, command->fdsets);
    if (!graph_fill(graph, command, error))
        return NULL;
    graph_link(graph);
    graph_settle(graph);
    add_vm(&list, command);
    add_graph(&list, graph);
    return g_steal_pointer(&lines);
}
