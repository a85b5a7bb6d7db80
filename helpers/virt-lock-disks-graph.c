/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: who uses whom, and for what
 *
 * fill: drives, nodes, and what is open without being one, in the order of
 * the command -> use: devices -> link: names -> settle: what is done to a
 * node follows from what is done to its parents; modes only grow, so cycles
 * end.
 *
 * A node that nobody uses counts as written: it can be plugged later.
 */
#include <string.h>

#include "virt-lock-disks.h"

void graph_use(Graph *graph, const char *name, Mode mode)
{
    Node *node = g_hash_table_lookup(graph->names, name);

    if (!node)
        return;
    node->used = TRUE;
    if (node->read_only)
        mode = MIN(mode, MODE_READONLY);
    node->mode = MAX(node->mode, mode);
}

void graph_link(Graph *graph)
{
    for (guint i = 0; i < graph->nodes->len; i++) {
        const Node *node = g_ptr_array_index(graph->nodes, i);

        for (guint e = 0; e < node->edges->len; e++) {
            Edge *edge = g_ptr_array_index(node->edges, e);

            if (edge->child)
                continue;
            edge->child = g_hash_table_lookup(graph->names, edge->name);
            if (edge->child)
                edge->child->used = TRUE;
            else
                graph_warn(graph,
                           "node '%s' is used, but the command does not "
                           "define it",
                           edge->name);
        }
    }
}

/* What @edge does to its child when @parent is used as it is. */
static Mode mode_through(const Node *parent, const Edge *edge)
{
    if (parent->mode == MODE_NONE)
        return MODE_NONE;
    if (edge->role == ROLE_BACKING)
        return MODE_READONLY;
    if (edge->role == ROLE_WRITTEN)
        return MODE_EXCLUSIVE;
    /* it is opened for writing all the same, and can be plugged itself */
    if (parent->read_only)
        return edge->child->auto_read_only ? MODE_READONLY : MODE_EXCLUSIVE;
    /* metadata is written whatever the guest does, and never shared */
    if (parent->driver->kind != DRIVER_FILTER)
        return MODE_EXCLUSIVE;
    return parent->mode;
}

static void strengthen(Node *node, Mode mode, GQueue *changed)
{
    if (node->read_only || (node->storage && node->storage->readonly))
        mode = MIN(mode, MODE_READONLY);
    if (mode <= node->mode)
        return;
    node->mode = mode;
    g_queue_push_tail(changed, node);
}

void graph_settle(Graph *graph)
{
    GQueue changed = G_QUEUE_INIT;
    Node *node;

    for (guint i = 0; i < graph->nodes->len; i++) {
        node = g_ptr_array_index(graph->nodes, i);
        if (node->mode != MODE_NONE)
            g_queue_push_tail(&changed, node);
        else if (!node->used)
            strengthen(node, MODE_EXCLUSIVE, &changed);
    }
    while ((node = g_queue_pop_head(&changed))) {
        for (guint e = 0; e < node->edges->len; e++) {
            const Edge *edge = g_ptr_array_index(node->edges, e);

            if (edge->child)
                strengthen(edge->child, mode_through(node, edge), &changed);
        }
    }
}

/* --- what the command says ----------------------------------------------- */

/* "id=disk0", or what else tells it from others; NULL where nothing does. */
static char *telling_member(const Given *given)
{
    static const char *const keys[] = {"id", "node-name", "driver", "qom-type"};

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *value = keyval_string(given->options, keys[i]);

        if (value && *value)
            return g_strdup_printf("%s=%s", keys[i], value);
    }
    return NULL;
}

/* Where the words are: "-drive file=web1.raw"; never more of their text than
 * a path or an id, since there may be secrets in it. */
static char *from_words(const Given *given, const char *file)
{
    const char *inner = keyval_string(given->options, "file.filename");
    const char *path = given->kind != GIVEN_DRIVE ? NULL : file ? file : inner;
    g_autofree char *protocol = path ? filename_protocol(path) : NULL;
    g_autofree char *member = telling_member(given);
    const char *key = !g_str_equal(given->word, "-drive") ? ""
                      : file                              ? "file="
                                                          : "file.filename=";
    const char *blank = *given->word ? " " : "";

    if (path && !protocol)
        return g_strconcat(given->word, blank, key, path, NULL);
    if (member)
        return g_strconcat(given->word, blank, member, NULL);
    if (protocol)
        return g_strconcat(given->word, blank, key, protocol, ":...", NULL);
    return g_strdup(given->word);
}

/* As the legacy options become those of a node. */
static json_t *drive_options(const Given *given, gboolean snapshot)
{
    static const char *const renamed[][2] = {{"format", "driver"},
                                             {"readonly", "read-only"}};
    json_t *options = json_copy(given->options);

    for (gsize i = 0; i < G_N_ELEMENTS(renamed); i++) {
        json_t *value = json_object_get(options, renamed[i][0]);

        if (value)
            json_object_set(options, renamed[i][1], value);
    }
    if (g_strcmp0(keyval_string(options, "media"), "cdrom") == 0 ||
        keyval_bool(options, "snapshot", snapshot))
        keyval_set(options, "read-only", "on");
    json_object_del(options, "file");
    json_object_del(options, "id");
    return options;
}

static gboolean add_drive(Graph *graph, const Given *given, gboolean snapshot,
                          GError **error)
{
    const char *file = keyval_string(given->options, "file");
    const char *id = keyval_string(given->options, "id");
    g_autofree char *from = from_words(given, file && *file ? file : NULL);
    g_autoptr(json_t) flat = drive_options(given, snapshot);
    g_autoptr(json_t) options = keyval_nest(given->word, flat, error);
    const Inherited none = {
        .from = from, .probed = TRUE, .auto_read_only = TRUE};
    Node *node;

    if (!options || !graph_add(graph, options, file && *file ? file : NULL,
                               &none, &node, error))
        return FALSE;
    if (node && id) {
        node->id = g_strdup(id);
        g_hash_table_insert(graph->names, node->id, node);
    }
    return TRUE;
}

static gboolean add_blockdev(Graph *graph, const Given *given, GError **error)
{
    g_autofree char *from = from_words(given, NULL);
    g_autoptr(json_t) options = keyval_nest(given->word, given->options, error);
    const Inherited none = {.from = from, .probed = TRUE};
    Node *node;

    return options && graph_add(graph, options, NULL, &none, &node, error);
}

static const Given *find_object(const Command *command, const char *id)
{
    for (guint i = 0; id && i < command->givens->len; i++) {
        const Given *given = g_ptr_array_index(command->givens, i);

        if (given->kind == GIVEN_OBJECT &&
            g_strcmp0(keyval_string(given->options, "id"), id) == 0)
            return given;
    }
    return NULL;
}

/* Persistent memory: a file that the guest writes to without any drive. */
static void add_memory(Graph *graph, const Command *command,
                       const Given *device)
{
    const Given *object =
        find_object(command, keyval_string(device->options, "memdev"));
    const char *path, *type;
    g_autofree char *from = NULL;
    gboolean written;
    struct stat st;

    if (!object)
        return;
    path = keyval_string(object->options, "mem-path");
    type = keyval_string(object->options, "qom-type");
    if (!path || g_strcmp0(type, "memory-backend-file") != 0 ||
        (graph->world->look(graph->world->data, path, &st) &&
         S_ISDIR(st.st_mode)))
        return;
    written = keyval_bool(object->options, "share", FALSE) &&
              !keyval_bool(object->options, "readonly", FALSE);
    from = from_words(object, NULL);
    graph_add_storage(graph, storage_of_file(path, graph->fdsets, graph->world),
                      written ? MODE_EXCLUSIVE : MODE_READONLY, from);
}

/* Devices that have storage of their own. */
static void add_device(Graph *graph, const Command *command, const Given *given)
{
    static const char *const foreign[] = {
        "vhost-scsi",
        "vhost-user-blk",
        "vhost-user-scsi",
        "vhost-vdpa-device",
    };
    static const char *const memories[] = {"nvdimm", "virtio-pmem"};
    const char *driver = keyval_string(given->options, "driver");

    if (!driver)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(memories); i++) {
        if (g_str_has_prefix(driver, memories[i]))
            add_memory(graph, command, given);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(foreign); i++) {
        g_autofree char *from = NULL;

        if (!g_str_has_prefix(driver, foreign[i]))
            continue;
        from = from_words(given, NULL);
        graph_add_storage(
            graph,
            storage_uncovered(foreign[i],
                              "its back end has the disk: lease it there"),
            MODE_EXCLUSIVE, from);
    }
}

/* --- who uses nodes ------------------------------------------------------ */

static gboolean global_bool(const Command *command, const char *driver,
                            const char *property)
{
    gboolean value = FALSE;

    for (guint i = 0; i < command->globals->len; i++) {
        const json_t *global = g_ptr_array_index(command->globals, i);

        if (g_strcmp0(keyval_string(global, "driver"), driver) == 0 &&
            g_strcmp0(keyval_string(global, "property"), property) == 0)
            value = keyval_bool(global, "value", FALSE);
    }
    return value;
}

static const char *const drive_keys[] = {"drive", "driveA", "driveB"};

static void use_device(Graph *graph, const Command *command,
                       const json_t *options)
{
    const char *driver = keyval_string(options, "driver");
    gboolean shared = keyval_bool(options, "share-rw",
                                  global_bool(command, driver, "share-rw"));
    Mode mode = shared ? MODE_SHARED : MODE_EXCLUSIVE;

    if (g_strcmp0(driver, "ide-cd") == 0 || g_strcmp0(driver, "scsi-cd") == 0)
        mode = MODE_READONLY;
    for (gsize i = 0; i < G_N_ELEMENTS(drive_keys); i++) {
        const char *name = keyval_string(options, drive_keys[i]);

        if (name)
            graph_use(graph, name, mode);
    }
}

static void use_all(Graph *graph, const Command *command)
{
    static const char *const flashes[] = {"pflash0", "pflash1"};

    for (guint i = 0; i < command->givens->len; i++) {
        const Given *given = g_ptr_array_index(command->givens, i);

        if (given->kind == GIVEN_DEVICE)
            use_device(graph, command, given->options);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(flashes); i++) {
        const char *name = keyval_string(command->machine, flashes[i]);

        if (name)
            graph_use(graph, name, MODE_EXCLUSIVE);
    }
    for (guint i = 0; i < command->globals->len; i++) {
        const json_t *global = g_ptr_array_index(command->globals, i);
        const char *property = keyval_string(global, "property");
        const char *value = keyval_string(global, "value");

        for (gsize k = 0; value && k < G_N_ELEMENTS(drive_keys); k++) {
            if (g_strcmp0(property, drive_keys[k]) == 0)
                graph_use(graph, value, MODE_EXCLUSIVE);
        }
    }
}

gboolean graph_fill(Graph *graph, const Command *command, GError **error)
{
    for (guint i = 0; i < command->givens->len; i++) {
        const Given *given = g_ptr_array_index(command->givens, i);

        if (given->kind == GIVEN_DRIVE &&
            !add_drive(graph, given, command->snapshot, error))
            return FALSE;
        if (given->kind == GIVEN_BLOCKDEV && !add_blockdev(graph, given, error))
            return FALSE;
        if (given->kind == GIVEN_DEVICE)
            add_device(graph, command, given);
    }
    use_all(graph, command);
    for (guint i = 0; i < command->unknown->len; i++)
        graph_warn(graph,
                   "option '-%s' is not known here: whether it has an "
                   "argument was guessed",
                   (const char *)g_ptr_array_index(command->unknown, i));
    return TRUE;
}
