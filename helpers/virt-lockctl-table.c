/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: tables, and their colours. */
#include <stdio.h>
#include <unistd.h>

#include "virt-lockctl.h"

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

static gboolean is_note(char **row)
{
    return !row[1];
}

static gboolean is_state_column(const char *header)
{
    return g_str_equal(header, "STATE") || g_str_equal(header, "STATUS");
}

/* How many cells of a terminal it takes. */
static guint cells(gunichar c)
{
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

static guint width_of(const char *text)
{
    guint width = 0;

    for (; *text; text = g_utf8_next_char(text))
        width += cells(g_utf8_get_char(text));
    return width;
}

/* @text in @width cells at most, newly allocated. */
static char *shortened(const char *text, guint width)
{
    const char *end = text;
    guint used = 1; /* for the dots */

    if (width_of(text) <= width)
        return g_strdup(text);
    for (; used + cells(g_utf8_get_char(end)) <= width;
         end = g_utf8_next_char(end))
        used += cells(g_utf8_get_char(end));
    return g_strdup_printf("%.*s…", (int)(end - text), text);
}

static void print_row(FILE *out, char **header, char **row, guint columns,
                      const guint *width, gboolean colours)
{
    for (guint c = 0; c < columns; c++) {
        g_autofree char *text = shortened(row[c], width[c]);

        if (colours && row == header)
            fprintf(out, BOLD "%s" PLAIN, text);
        else
            print_state(out, text, colours && is_state_column(header[c]));
        if (c + 1 < columns)
            fprintf(out, "%*s", (int)(width[c] - width_of(text)) + 2, "");
    }
    fputc('\n', out);
}

/* Makes columns narrower until all fit into @room: names first, then uuids. */
static void fit(char **header, guint columns, guint *width, guint room)
{
    static const struct {
        const char *column;
        guint least;
    } yielding[] = {{"NAME", 16}, {"UUID", 9}, {"NAME", 5}};
    guint all = 2 * (columns - 1);

    for (guint c = 0; c < columns; c++)
        all += width[c];
    for (gsize i = 0; i < G_N_ELEMENTS(yielding); i++) {
        for (guint c = 0; c < columns; c++) {
            guint least = yielding[i].least;
            guint less = all > room && width[c] > least
                             ? MIN(all - room, width[c] - least)
                             : 0;

            if (!g_str_equal(header[c], yielding[i].column))
                continue;
            width[c] -= less;
            all -= less;
        }
    }
}

void print_table(FILE *out, const GPtrArray *rows, guint columns, guint room)
{
    g_autofree guint *width = g_new0(guint, columns);
    gboolean colours = wants_colours();

    for (guint r = 0; r < rows->len; r++) {
        char **row = rows->pdata[r];

        for (guint c = 0; c < columns && !is_note(row); c++)
            width[c] = MAX(width[c], width_of(row[c]));
    }
    if (room)
        fit(rows->pdata[0], columns, width, room);
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
                   const char *const *notes, guint room)
{
    g_autoptr(GPtrArray) rows = table_new(header);

    for (guint i = 0; i < objects->len; i++) {
        table_add(rows, objects->pdata[i], fields);
        table_note(rows, objects->pdata[i], notes);
    }
    print_table(out, rows, g_strv_length((char **)header), room);
}
