/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: lines
 *
 * JSON escapes the control characters below the blank; DEL and those of
 * Latin-1, which can steer a terminal as well, are escaped here.
 */
#include <stdlib.h>

#include "virt-lock-disks.h"

char *shown(const char *text)
{
    return g_utf8_make_valid(text, -1);
}

/* In JSON they can be in nothing but strings. */
static void append_escaped(GString *out, const char *json)
{
    for (const char *p = json; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (c >= 0x7f && c < 0xa0)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_unichar(out, c);
    }
}

char *print_lines(const json_t *lines)
{
    GString *out = g_string_new(NULL);
    const json_t *line;
    size_t i;

    json_array_foreach (lines, i, line) {
        char *json = json_dumps(line, JSON_COMPACT);

        if (json)
            append_escaped(out, json);
        g_string_append_c(out, '\n');
        free(json);
    }
    return g_string_free(out, FALSE);
}
