/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: options become block nodes
 *
 * A node is made of its options, or of a file name, or of both. Its children
 * stand inline in the options, or are named and stand somewhere else. What
 * QEMU hands down from parent to child (read-only) is handed down here.
 */
#include <string.h>

#include "virt-lock-disks.h"

static void edge_free(gpointer data)
{
    Edge *edge = data;

    g_free(edge->name);
    g_free(edge);
}

static void node_free(gpointer data)
{
    Node *node = data;

    g_free(node->name);
    g_free(node->id);
    g_free(node->from);
    g_free(node->driver_name);
    g_ptr_array_unref(node->edges);
    g_ptr_array_unref(node->images);
    storage_free(node->storage);
    g_free(node);
}

Graph *graph_new(const World *world, const json_t *fdsets)
{
    Graph *graph = g_new0(Graph, 1);

    graph->nodes = g_ptr_array_new_with_free_func(node_free);
    graph->names = g_hash_table_new(g_str_hash, g_str_equal);
    graph->warnings = g_ptr_array_new_with_free_func(g_free);
    graph->fdsets = fdsets;
    graph->world = world;
    return graph;
}

void graph_free(Graph *graph)
{
    if (!graph)
        return;
    g_hash_table_unref(graph->names);
    g_ptr_array_unref(graph->nodes);
    g_ptr_array_unref(graph->warnings);
    g_free(graph);
}

void graph_warn(Graph *graph, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_ptr_array_add(graph->warnings, g_strdup_vprintf(format, ap));
    va_end(ap);
}

Node *graph_new_node(Graph *graph, const char *driver, const char *from)
{
    Node *node = g_new0(Node, 1);

    node->edges = g_ptr_array_new_with_free_func(edge_free);
    node->images = g_ptr_array_new();
    node->driver = driver_find(driver);
    node->driver_name = g_strdup(driver);
    node->from = g_strdup(from);
    g_ptr_array_add(graph->nodes, node);
    return node;
}

void graph_add_storage(Graph *graph, Storage *storage, Mode mode,
                       const char *from)
{
    Node *node = graph_new_node(graph, "file", from);

    node->storage = storage;
    node->mode = mode;
    node->used = TRUE;
}

/* A child by its name, or in @child; NULL and NULL is none. */
static void add_edge(Node *node, Node *child, const char *name, Role role)
{
    Edge *edge;

    if (!child && !name)
        return;
    edge = g_new0(Edge, 1);
    edge->child = child;
    edge->name = g_strdup(name);
    edge->role = role;
    if (child)
        child->used = TRUE;
    g_ptr_array_add(node->edges, edge);
}

/* Members that are children, but for "file". */
static const struct {
    const char *key;
    const char *filename; /* or a file name, in a member of that name */
    Role role;
} children[] = {
    {"backing", NULL, ROLE_BACKING}, {"data-file", NULL, ROLE_FILE},
    {"header", NULL, ROLE_FILE},     {"raw", "x-raw", ROLE_FILE},
    {"image", "x-image", ROLE_FILE}, {"test", "x-test", ROLE_FILE},
    {"log", NULL, ROLE_WRITTEN},     {"target", NULL, ROLE_WRITTEN},
};

/* Members with several children in them. */
static const char *const lists[] = {"children", "extents"};

/* TRUE where something in @options is a node, so that they are one, too. */
static gboolean has_children(const json_t *options)
{
    for (gsize i = 0; i < G_N_ELEMENTS(children); i++) {
        if (json_is_object(json_object_get(options, children[i].key)))
            return TRUE;
    }
    return json_object_get(options, "file") != NULL;
}

/* "json:{...}" counts as options; those that are there already win. */
static gboolean merge_json(json_t *options, const char *text, GError **error)
{
    g_autoptr(json_t) flat = keyval_json("json:...", text, error);
    g_autoptr(json_t) more = flat ? keyval_nest("json:...", flat, error) : NULL;

    if (!more)
        return FALSE;
    json_object_update_missing(options, more);
    return TRUE;
}

/* The driver of @options where they do not say it, and the options that a
 * file name stands for. *@filename stays where it is its child's. NULL where
 * QEMU looks what the image is; *@nothing where there is no node. */
static const char *settle_driver(json_t *options, const char **filename,
                                 gboolean is_probed, gboolean *nothing)
{
    const char *driver = keyval_string(options, "driver");
    const Driver *row = driver_find(driver);
    gboolean named = row->kind == DRIVER_PROTOCOL ||
                     g_strcmp0(driver, "blkdebug") == 0 ||
                     g_strcmp0(driver, "blkverify") == 0;

    if (driver && !(*filename && named))
        return driver;
    if (!driver &&
        (json_object_get(options, "file") || (*filename && is_probed)))
        return NULL;
    if (*filename) {
        g_autoptr(json_t) more = filename_options(*filename, driver);

        json_object_update_missing(options, more);
        *filename = NULL;
    } else if (keyval_string(options, "filename")) {
        keyval_set(options, "driver", "file");
    } else if (!has_children(options)) {
        *nothing = TRUE;
    }
    return keyval_string(options, "driver");
}

/* What the children of @node are told, but for their role. */
static Inherited bequest(const Node *node, const Inherited *inherited)
{
    return (Inherited){
        .read_only = node->read_only,
        .auto_read_only = node->auto_read_only,
        .unlocked = node->unlocked,
        .probed = node->driver->probes,
        .depth = inherited->depth + 1,
        .from = node->from,
    };
}

/* @value is a child, a name, or neither. */
static gboolean add_child(Graph *graph, Node *node, const json_t *value,
                          const char *filename, Role role,
                          const Inherited *inherited, GError **error)
{
    g_autoptr(json_t) none = json_object();
    Inherited own = bequest(node, inherited);
    Node *child = NULL;

    if (json_is_string(value)) {
        const char *name = json_string_value(value);

        add_edge(node, NULL, *name ? name : NULL, role);
        return TRUE;
    }
    if (!json_is_object(value) && !filename)
        return TRUE;
    if (role == ROLE_BACKING) {
        own.read_only = own.probed = TRUE;
        own.auto_read_only = FALSE;
    }
    if (!graph_add(graph, json_is_object(value) ? value : none, filename, &own,
                   &child, error))
        return FALSE;
    add_edge(node, child, NULL, role);
    return TRUE;
}

/* Children in an array, or in an object whose keys are numbers. */
static gboolean add_list(Graph *graph, Node *node, const json_t *list,
                         const Inherited *inherited, GError **error)
{
    const char *key;
    json_t *value;
    size_t i;

    json_array_foreach (list, i, value) {
        if (!add_child(graph, node, value, NULL, ROLE_FILE, inherited, error))
            return FALSE;
    }
    json_object_foreach ((json_t *)list, key, value) {
        if (!add_child(graph, node, value, NULL, ROLE_FILE, inherited, error))
            return FALSE;
    }
    return TRUE;
}

/* TRUE where it is said what the bytes of @node are: otherwise its image's
 * name is what the image above it says. */
static gboolean names_storage(const Node *node)
{
    for (guint depth = 0; depth < DISKS_MAX_DEPTH && node; depth++) {
        const Edge *edge =
            node->edges->len ? g_ptr_array_index(node->edges, 0) : NULL;

        if (node->storage)
            return node->storage->kind != STORAGE_UNCOVERED;
        if (!edge || edge->role == ROLE_BACKING)
            return FALSE;
        if (edge->name)
            return TRUE;
        node = edge->child;
    }
    return FALSE;
}

/* TRUE where it is said, however deep, that something is not read-only. */
static gboolean is_written(const json_t *options)
{
    const char *key;
    json_t *value;

    if (!keyval_bool(options, "read-only", TRUE))
        return TRUE;
    json_object_foreach ((json_t *)options, key, value) {
        if (json_is_object(value) && is_written(value))
            return TRUE;
    }
    return FALSE;
}

/* TRUE where the backing file is not the one that the image names. */
static gboolean is_overlaid(const Node *node, const json_t *options)
{
    const json_t *value = json_object_get(options, "backing");
    const Edge *edge;

    if (!json_is_object(value))
        return value != NULL;
    if (node->edges->len == 0)
        return FALSE;
    edge = g_ptr_array_index(node->edges, node->edges->len - 1);
    return edge->role == ROLE_BACKING && edge->child &&
           names_storage(edge->child);
}

static void note_backing(Node *node, const json_t *options)
{
    const json_t *value = json_object_get(options, "backing");

    node->overlaid = is_overlaid(node, options);
    node->backing_written = json_is_object(value) && is_written(value);
}

/* The children of a driver that is not known: whatever looks like one. */
static gboolean add_unknown(Graph *graph, Node *node, json_t *options,
                            const Inherited *inherited, GError **error)
{
    g_autofree char *word = word_of(node->driver_name);
    const char *filename = keyval_string(options, "filename");
    const char *key;
    json_t *value;

    graph_warn(graph,
               "block driver '%s' is not known here: it may open more "
               "than is listed",
               word);
    json_object_foreach (options, key, value) {
        if (json_is_object(value) &&
            !add_child(graph, node, value, NULL, ROLE_FILE, inherited, error))
            return FALSE;
    }
    if (filename)
        node->storage = storage_of_file(filename, graph->fdsets, graph->world);
    return TRUE;
}

static gboolean add_children(Graph *graph, Node *node, json_t *options,
                             const char *filename, const Inherited *inherited,
                             GError **error)
{
    gboolean reads = g_strcmp0(node->driver_name, "snapshot-access") == 0;

    if (!add_child(graph, node, json_object_get(options, "file"), filename,
                   reads ? ROLE_BACKING : ROLE_FILE, inherited, error))
        return FALSE;
    json_object_del(options, "file");
    for (gsize i = 0; i < G_N_ELEMENTS(children); i++) {
        const char *name = children[i].filename
                               ? keyval_string(options, children[i].filename)
                               : NULL;

        if (!add_child(graph, node, json_object_get(options, children[i].key),
                       name, children[i].role, inherited, error))
            return FALSE;
        if (children[i].role == ROLE_BACKING)
            note_backing(node, options);
        json_object_del(options, children[i].key);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++) {
        if (!add_list(graph, node, json_object_get(options, lists[i]),
                      inherited, error))
            return FALSE;
        json_object_del(options, lists[i]);
    }
    return node->driver->kind != DRIVER_UNKNOWN ||
           add_unknown(graph, node, options, inherited, error);
}

static void set_flags(Node *node, const json_t *options,
                      const Inherited *inherited)
{
    const char *locking = keyval_string(options, "locking");
    const char *name = keyval_string(options, "node-name");

    node->name = name && *name ? g_strdup(name) : NULL;
    node->read_only = keyval_bool(options, "read-only", inherited->read_only);
    node->auto_read_only =
        keyval_bool(options, "auto-read-only", inherited->auto_read_only);
    node->unlocked =
        locking ? g_str_equal(locking, "off") : inherited->unlocked;
    node->data_file = json_object_get(options, "data-file") != NULL;
    node->part =
        json_object_get(options, "offset") || json_object_get(options, "size");
}

gboolean graph_add(Graph *graph, const json_t *options, const char *filename,
                   const Inherited *inherited, Node **node, GError **error)
{
    g_autoptr(json_t) own = json_copy((json_t *)options);
    gboolean nothing = FALSE;
    const char *driver;

    *node = NULL;
    if (inherited->depth > DISKS_MAX_DEPTH) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot understand '%s': it is nested too deeply",
                    inherited->from);
        return FALSE;
    }
    if (filename && g_str_has_prefix(filename, "json:")) {
        if (!merge_json(own, filename + strlen("json:"), error))
            return FALSE;
        filename = NULL;
    }
    driver = settle_driver(own, &filename, inherited->probed, &nothing);
    if (nothing)
        return TRUE;
    *node = graph_new_node(graph, driver, inherited->from);
    set_flags(*node, own, inherited);
    if ((*node)->name)
        g_hash_table_insert(graph->names, (*node)->name, *node);
    if ((*node)->driver->kind != DRIVER_PROTOCOL && g_strcmp0(driver, "?") != 0)
        return add_children(graph, *node, own, filename, inherited, error);
    (*node)->storage =
        storage_of_node(driver, own, graph->fdsets, graph->world);
    return TRUE;
}
