/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what of the options is about storage
 *
 * Options that are short for a drive (-hda, -cdrom, an image by itself)
 * become drives. -set is done when all of them are there.
 */
#include <stdlib.h>
#include <string.h>

#include "virt-lock-disks.h"

static void given_free(gpointer data)
{
    Given *given = data;

    g_free(given->word);
    json_decref(given->options);
    g_free(given);
}

static void json_free(gpointer data)
{
    json_decref(data);
}

void command_free(Command *command)
{
    if (!command)
        return;
    json_decref(command->vm);
    json_decref(command->machine);
    json_decref(command->fdsets);
    g_ptr_array_unref(command->givens);
    g_ptr_array_unref(command->globals);
    g_ptr_array_unref(command->unknown);
    g_free(command);
}

static void add_given(Command *command, GivenKind kind, const char *word,
                      json_t *options)
{
    Given *given = g_new0(Given, 1);

    given->kind = kind;
    given->word = g_strdup(word);
    given->options = options;
    g_ptr_array_add(command->givens, given);
}

static void add_name(Command *command, const json_t *options)
{
    const char *name = keyval_string(options, "guest");

    if (name) {
        g_autofree char *text = shown(name);
        json_object_set_new(command->vm, "name", json_string(text));
    }
}

/* "driver=D,property=P,value=V", or "D.P=V": then it is {"D.P": "V"}. */
static void add_global(Command *command, json_t *options)
{
    const char *key;
    json_t *value;

    if (keyval_string(options, "property")) {
        g_ptr_array_add(command->globals, json_incref(options));
        return;
    }
    json_object_foreach (options, key, value) {
        const char *dot = strchr(key, '.');
        json_t *global = dot ? json_object() : NULL;
        g_autofree char *driver = dot ? g_strndup(key, dot - key) : NULL;

        if (!dot)
            continue;
        keyval_set(global, "driver", driver);
        keyval_set(global, "property", dot + 1);
        json_object_set(global, "value", value);
        g_ptr_array_add(command->globals, global);
    }
}

static void add_fd(Command *command, const json_t *options)
{
    const char *set = keyval_string(options, "set");
    const char *fd = keyval_string(options, "fd");
    guint64 s, n;

    if (set && fd &&
        g_ascii_string_to_unsigned(set, 10, 0, G_MAXINT, &s, NULL) &&
        g_ascii_string_to_unsigned(fd, 10, 0, G_MAXINT, &n, NULL)) {
        g_autofree char *key = g_strdup_printf("%d", (int)s);

        if (!json_object_get(command->fdsets, key))
            json_object_set_new(command->fdsets, key,
                                json_integer((json_int_t)n));
    }
}

gboolean command_add(Command *command, const char *group, const char *word,
                     json_t *options)
{
    static const struct {
        const char *group;
        GivenKind kind;
    } kinds[] = {
        {"drive", GIVEN_DRIVE},
        {"blockdev", GIVEN_BLOCKDEV},
        {"device", GIVEN_DEVICE},
        {"object", GIVEN_OBJECT},
    };
    g_autoptr(json_t) own = options;

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_str_equal(group, kinds[i].group)) {
            add_given(command, kinds[i].kind, word, g_steal_pointer(&own));
            return TRUE;
        }
    }
    if (g_str_equal(group, "name"))
        add_name(command, own);
    else if (g_str_equal(group, "machine"))
        json_object_update(command->machine, own);
    else if (g_str_equal(group, "global"))
        add_global(command, own);
    else if (g_str_equal(group, "add-fd"))
        add_fd(command, own);
    else
        return FALSE;
    return TRUE;
}

/* Options that are short for a drive; "" is an image by itself. */
static const struct {
    const char *name, *media;
} images[] = {
    {"", "disk"},       {"hda", "disk"},    {"hdb", "disk"}, {"hdc", "disk"},
    {"hdd", "disk"},    {"cdrom", "cdrom"}, {"fda", NULL},   {"fdb", NULL},
    {"mtdblock", NULL}, {"pflash", NULL},   {"sd", NULL},
};

static gboolean add_image(Command *command, const Option *option)
{
    for (gsize i = 0; i < G_N_ELEMENTS(images); i++) {
        g_autofree char *word = NULL;
        json_t *options;

        if (!g_str_equal(option->name, images[i].name))
            continue;
        word =
            *option->name ? g_strconcat("-", option->name, NULL) : g_strdup("");
        options = json_object();
        /* not parsed: a comma is a comma */
        keyval_set(options, "file", option->value);
        if (images[i].media)
            keyval_set(options, "media", images[i].media);
        add_given(command, GIVEN_DRIVE, word, options);
        return TRUE;
    }
    return FALSE;
}

/* Options in QEMU's syntax: their name is that of their group. */
static const struct {
    const char *name, *group, *implied;
} groups[] = {
    {"add-fd", "add-fd", NULL},       {"blockdev", "blockdev", "driver"},
    {"device", "device", "driver"},   {"drive", "drive", NULL},
    {"global", "global", NULL},       {"machine", "machine", "type"},
    {"M", "machine", "type"},         {"name", "name", "guest"},
    {"object", "object", "qom-type"},
};

static gboolean add_group(Command *command, const Option *option,
                          gboolean *added, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(groups); i++) {
        g_autofree char *word = NULL;
        json_t *options;

        if (!g_str_equal(option->name, groups[i].name))
            continue;
        word = g_strconcat("-", option->name, NULL);
        options = keyval_parse(word, option->value, groups[i].implied, error);
        if (!options)
            return FALSE;
        *added = command_add(command, groups[i].group, word, options);
        return TRUE;
    }
    return TRUE;
}

/* -set GROUP.ID.KEY=VALUE */
static void set_member(Command *command, const char *text)
{
    static const char *const kinds[] = {"drive", "blockdev", "device",
                                        "object"};
    g_auto(GStrv) parts = g_strsplit(text, ".", 3);
    char *value;

    if (g_strv_length(parts) < 3 || !(value = strchr(parts[2], '=')))
        return;
    *value++ = '\0';
    for (guint i = 0; i < command->givens->len; i++) {
        const Given *given = g_ptr_array_index(command->givens, i);

        if (g_str_equal(kinds[given->kind], parts[0]) &&
            g_strcmp0(keyval_string(given->options, "id"), parts[1]) == 0)
            keyval_set(given->options, parts[2], value);
    }
}

/* Options that are neither drives nor in QEMU's syntax. */
static gboolean add_other(Command *command, const Option *option,
                          const World *world, GError **error)
{
    g_autofree char *text = shown(option->value);

    if (g_str_equal(option->name, "snapshot"))
        command->snapshot = TRUE;
    else if (g_str_equal(option->name, "incoming"))
        json_object_set_new(command->vm, "incoming", json_true());
    else if (g_str_equal(option->name, "uuid"))
        json_object_set_new(command->vm, "uuid", json_string(text));
    else if (g_str_equal(option->name, "?"))
        g_ptr_array_add(command->unknown, word_of(option->value));
    else if (g_str_equal(option->name, "readconfig"))
        return config_read(command, option->value, world, error);
    return TRUE;
}

static gboolean add_option(Command *command, const Option *option,
                           const World *world, GError **error)
{
    gboolean added = FALSE;

    if (add_image(command, option))
        return TRUE;
    if (!add_group(command, option, &added, error))
        return FALSE;
    return added || add_other(command, option, world, error);
}

Command *command_read(const GPtrArray *options, const World *world,
                      GError **error)
{
    g_autoptr(Command) command = g_new0(Command, 1);

    command->vm = json_object();
    command->machine = json_object();
    command->fdsets = json_object();
    command->givens = g_ptr_array_new_with_free_func(given_free);
    command->globals = g_ptr_array_new_with_free_func(json_free);
    command->unknown = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < options->len; i++) {
        if (!add_option(command, g_ptr_array_index(options, i), world, error))
            return NULL;
    }
    for (guint i = 0; i < options->len; i++) {
        const Option *option = g_ptr_array_index(options, i);

        if (g_str_equal(option->name, "set"))
            set_member(command, option->value);
    }
    return g_steal_pointer(&command);
}
