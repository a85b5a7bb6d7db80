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

/* --- colours -------------------------------------------------------------- */

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

gboolean wants_colours(void)
{
    const char *none = g_getenv("NO_COLOR"), *term = g_getenv("TERM");

    return isatty(STDOUT_FILENO) && !(none && *none) && term && *term &&
           !g_str_equal(term, "dumb");
}

/* Of a state or a status; NULL for none. */
static const char *colour_of(const char *word)
{
    static const struct {
        const char *word, *colour;
    } colours[] = {
        {"RUNNING", GREEN},    {"HELD", GREEN},      {"STARTING", YELLOW},
        {"OUTGOING", YELLOW},  {"INCOMING", YELLOW}, {"RECLAIMING", YELLOW},
        {"CLAIMING", YELLOW},  {"STOPPING", YELLOW}, {"PENDING", YELLOW},
        {"WANTED", YELLOW},    {"OFFERED", YELLOW},  {"CLAIMED", YELLOW},
        {"RELEASING", YELLOW}, {"KILLING", RED},     {"GONE", RED},
        {"LOST", RED},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(colours); i++) {
        if (g_str_equal(word, colours[i].word))
            return colours[i].colour;
    }
    return NULL;
}

void print_state(FILE *out, const char *word, gboolean colours)
{
    const char *colour = colours ? colour_of(word) : NULL;

    fprintf(out, "%s%s%s", colour ? colour : "", word, colour ? PLAIN : "");
}

/* --- tables --------------------------------------------------------------- */

static gboolean is_state_column(const char *header)
{
    return g_str_equal(header, "STATE") || g_str_equal(header, "STATUS");
}

static void print_row(FILE *out, char **header, char **row, guint columns,
                      const glong *width, gboolean colours)
{
    for (guint c = 0; c < columns; c++) {
        if (colours && row == header)
            fprintf(out, BOLD "%s" PLAIN, row[c]);
        else
            print_state(out, row[c], colours && is_state_column(header[c]));
        if (c + 1 < columns)
            fprintf(out, "%*s", (int)(width[c] - g_utf8_strlen(row[c], -1)) + 2,
                    "");
    }
    fputc('\n', out);
}

void print_table(FILE *out, const GPtrArray *rows, guint columns)
{
    g_autofree glong *width = g_new0(glong, columns);
    gboolean colours = wants_colours();

    for (guint r = 0; r < rows->len; r++) {
        char **row = rows->pdata[r];

        for (guint c = 0; c + 1 < columns && !is_note(row); c++)
            width[c] = MAX(width[c], g_utf8_strlen(row[c], -1));
    }
    for (guint r = 0; r < rows->len; r++) {
        char **row = rows->pdata[r];

        if (is_note(row))
            fprintf(out, "    %s\n", row[0]);
        else
            print_row(out, rows->pdata[0], row, columns, width, colours);
    }
}

static void free_row(gpointer row)
{
    g_strfreev(row);
}

static GPtrArray *table_new(const char *const *header)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);

    g_ptr_array_add(rows, g_strdupv((char **)header));
    return rows;
}

/* "since" is a time, and an array is words. */
static char *cell(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    if (g_str_equal(field, "since"))
        return local_time(json_integer_value(value));
    return json_is_array(value) ? joined(value, ",")
                                : field_text(object, field);
}

/* Adds a row with the text of @fields of @object. */
static void table_add(GPtrArray *rows, const json_t *object,
                      const char *const *fields)
{
    guint columns = g_strv_length((char **)fields);
    char **row = g_new0(char *, columns + 1);

    for (guint c = 0; c < columns; c++)
        row[c] = cell(object, fields[c]);
    g_ptr_array_add(rows, row);
}

/* Adds a note for each of @fields that @object has. */
static void table_note(GPtrArray *rows, const json_t *object,
                       const char *const *fields)
{
    for (; *fields; fields++) {
        g_autofree char *text = field_text(object, *fields);
        char **row;

        if (!json_object_get(object, *fields))
            continue;
        row = g_new0(char *, 2);
        row[0] = g_strdup_printf("%s: %s", *fields, text);
        g_ptr_array_add(rows, row);
    }
}

void print_objects(FILE *out, const GPtrArray *objects,
                   const char *const *header, const char *const *fields,
                   const char *const *notes)
{
    g_autoptr(GPtrArray) rows = table_new(header);

    for (guint i = 0; i < objects->len; i++) {
        table_add(rows, objects->pdata[i], fields);
        table_note(rows, objects->pdata[i], notes);
    }
    print_table(out, rows, g_strv_length((char **)header));
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
