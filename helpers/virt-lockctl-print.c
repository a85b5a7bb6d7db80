/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: how things look
 *
 * Bytes go out as they are, UTF-8 in every locale; control characters in
 * what others have named never reach the terminal.
 */
#include <stdio.h>
#include <string.h>

#include "virt-lockctl.h"

void print_json(const json_t *value, gboolean one_line)
{
    json_dumpf(value, stdout,
               JSON_ENCODE_ANY | (one_line ? JSON_COMPACT : JSON_INDENT(2)));
    putchar('\n');
}

char *printable(const char *text)
{
    char *valid = g_utf8_make_valid(text, -1);

    for (char *c = valid; *c; c++) {
        if (g_ascii_iscntrl(*c))
            *c = '?';
    }
    return valid;
}

char *local_time(gint64 seconds)
{
    time_t then = (time_t)seconds;
    struct tm tm;
    char text[64];

    if (seconds <= 0 || !localtime_r(&then, &tm) ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
        return g_strdup("-");
    return g_strdup(text);
}

char *field_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (json_is_string(value))
        return printable(json_string_value(value));
    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT,
                               json_integer_value(value));
    return g_strdup("-");
}

char *joined(const json_t *array, const char *separator)
{
    g_autoptr(GString) all = g_string_new(NULL);
    const json_t *value;
    size_t i;

    json_array_foreach (array, i, value) {
        const char *text = json_string_value(value);

        g_string_append_printf(all, "%s%s", i ? separator : "",
                               text ? text : "?");
    }
    return all->len ? printable(all->str) : g_strdup("-");
}

static gboolean is_note(char **row)
{
    return !row[1];
}

void print_table(const GPtrArray *rows, guint columns)
{
    g_autofree glong *width = g_new0(glong, columns);

    for (guint r = 0; r < rows->len; r++) {
        char **row = rows->pdata[r];

        for (guint c = 0; c + 1 < columns && !is_note(row); c++)
            width[c] = MAX(width[c], g_utf8_strlen(row[c], -1));
    }
    for (guint r = 0; r < rows->len; r++) {
        char **row = rows->pdata[r];

        for (guint c = 0; c + 1 < columns && !is_note(row); c++)
            printf("%s%*s", row[c],
                   (int)(width[c] - g_utf8_strlen(row[c], -1)) + 2, "");
        printf("%s%s\n", is_note(row) ? "    " : "",
               row[is_note(row) ? 0 : columns - 1]);
    }
}
