/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: files of -readconfig
 *
 *   [drive "disk0"]
 *     file = "web1.raw"
 *
 * Lines as QEMU reads them; groups that are not about storage are skipped.
 */
#include <string.h>

#include "virt-lock-disks.h"

/* [GROUP] or [GROUP "ID"]; the caller owns *@group and the object. */
static json_t *read_group(const char *line, char **group)
{
    gsize length = strcspn(line + 1, " ]");
    const char *quote = strchr(line, '"');
    json_t *options = json_object();

    *group = g_strndup(line + 1, length);
    if (quote) {
        g_autofree char *id = g_strndup(quote + 1, strcspn(quote + 1, "\""));
        keyval_set(options, "id", id);
    }
    return options;
}

/* KEY = "VALUE" */
static gboolean read_member(json_t *options, const char *line)
{
    gsize length = strcspn(line, " \t=");
    const char *p = line + length;
    g_autofree char *key = g_strndup(line, length);

    p += strspn(p, " \t");
    if (!length || *p++ != '=')
        return FALSE;
    p += strspn(p, " \t");
    if (*p++ != '"')
        return FALSE;
    g_autofree char *value = g_strndup(p, strcspn(p, "\""));
    keyval_set(options, key, value);
    return TRUE;
}

static void close_group(Command *command, const char *path, char **group,
                        json_t **options)
{
    if (*options) {
        g_autofree char *name = shown(path);
        g_autofree char *word =
            g_strdup_printf("-readconfig %s: %s", name, *group);
        command_add(command, *group, word, g_steal_pointer(options));
    }
    g_clear_pointer(group, g_free);
}

gboolean config_read(Command *command, const char *path, const World *world,
                     GError **error)
{
    g_autofree char *group = NULL;
    g_autoptr(json_t) options = NULL;
    g_auto(GStrv) lines = NULL;
    gsize length;
    g_autofree char *text =
        world->read(world->data, path, DISKS_MAX_FILE, &length, error);

    if (!text)
        return FALSE;
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *p = g_strstrip(*line);

        if (!*p || *p == '#')
            continue;
        if (*p == '[') {
            close_group(command, path, &group, &options);
            options = read_group(p, &group);
        } else if (!options || !read_member(options, p)) {
            g_autofree char *name = shown(path);
            g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                        "cannot understand '%s': line %d is neither [GROUP] "
                        "nor KEY = \"VALUE\"",
                        name, (int)(line - lines) + 1);
            return FALSE;
        }
    }
    close_group(command, path, &group, &options);
    return TRUE;
}
