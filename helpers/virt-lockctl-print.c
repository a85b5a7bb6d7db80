/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: how things look
 *
 * Bytes go out as they are, UTF-8 in every locale; control characters in
 * what others have named never reach the terminal.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qmp.h"
#include "virt-lockctl.h"

void print_json(const json_t *value, gboolean one_line)
{
    json_dumpf(value, stdout,
               JSON_ENCODE_ANY | (one_line ? JSON_COMPACT : JSON_INDENT(2)));
    putchar('\n');
}

void dump_objects(FILE *out, const GPtrArray *objects, gboolean one_line)
{
    g_autoptr(json_t) array = json_array();

    for (guint i = 0; i < objects->len; i++)
        json_array_append(array, objects->pdata[i]);
    json_dumpf(array, out, one_line ? JSON_COMPACT : JSON_INDENT(2));
    fputc('\n', out);
}

/* Controls, and what turns the direction of a line or cannot be seen. Joiners
 * are part of words in some scripts. */
static gboolean is_harmless(gunichar c)
{
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
        return FALSE;
    case G_UNICODE_FORMAT:
        return c == 0x200c || c == 0x200d;
    default:
        return TRUE;
    }
}

char *printable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *shown = g_string_new(NULL);

    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        gunichar u = g_utf8_get_char(c);

        g_string_append_unichar(shown, is_harmless(u) ? u : '?');
    }
    return g_string_free(shown, FALSE);
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

char *short_age(gint64 seconds)
{
    gint64 s = MAX(seconds, 0), minutes = s / 60, hours = s / 3600,
           days = s / 86400;

    if (days)
        return g_strdup_printf("%" G_GINT64_FORMAT "d%" G_GINT64_FORMAT "h",
                               days, hours % 24);
    if (hours)
        return g_strdup_printf("%" G_GINT64_FORMAT "h%" G_GINT64_FORMAT "m",
                               hours, minutes % 60);
    if (minutes)
        return g_strdup_printf("%" G_GINT64_FORMAT "m", minutes);
    return g_strdup_printf("%" G_GINT64_FORMAT "s", s);
}
