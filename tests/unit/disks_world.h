/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a machine for virt-lock-disks that has no files
 *
 * A test is a row: a command line, quoted as in a shell, and what is found,
 * one line each: "exclusive /vm/a.raw", "readonly rbd:pool/image", "exclusive
 * ?what is not covered", "! a warning" (a part of it), "vm NAME UUID incoming".
 */
#ifndef TEST_DISKS_WORLD_H
#define TEST_DISKS_WORLD_H

#include "../../helpers/virt-lock-disks.h"
#include "tap.h"

typedef struct {
    const char *path;
    guint inode;       /* 0: there is no such file */
    mode_t type;       /* S_IFREG ... */
    const char *text;  /* what is in it */
    const char *image; /* what qemu-img says of it, or NULL: it fails */
} FakeFile;

static const FakeFile *fake_find(gpointer data, const char *path)
{
    const FakeFile *file = data;

    for (; file && file->path; file++) {
        if (g_str_equal(file->path, path))
            return file;
    }
    return NULL;
}

static char *fake_read(gpointer data, const char *path, gsize max, gsize *len,
                       GError **error)
{
    const FakeFile *file = fake_find(data, path);

    if (!file || !file->text) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "cannot read '%s'",
                    path);
        return NULL;
    }
    *len = strlen(file->text);
    return g_strdup(file->text);
}

static gboolean fake_look(gpointer data, const char *path, struct stat *st)
{
    const FakeFile *file = fake_find(data, path);

    memset(st, 0, sizeof(*st));
    if (!file || !file->inode)
        return FALSE;
    st->st_ino = st->st_rdev = file->inode;
    st->st_mode = file->type;
    return TRUE;
}

static char *fake_fd_path(gpointer data, int fd)
{
    return fd < 10 ? g_strdup_printf("/fd/%d", fd) : NULL;
}

static json_t *fake_inspect(gpointer data, const char *path, const char *format,
                            gboolean backing, GError **error)
{
    const FakeFile *file = fake_find(data, path);
    json_t *chain;

    if (!file || !file->image) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "qemu-img: no");
        return NULL;
    }
    chain = json_loads(file->image, 0, NULL);
    g_assert_true(json_is_array(chain));
    while (!backing && json_array_size(chain) > 1)
        json_array_remove(chain, 1);
    return chain;
}

static World fake_world(const FakeFile *files)
{
    return (World){.read = fake_read,
                   .look = fake_look,
                   .fd_path = fake_fd_path,
                   .inspect = fake_inspect,
                   .host = "Host1",
                   .data = (gpointer)files};
}

/* A line as rows have it. */
static char *summary(const json_t *line)
{
    const char *kind = keyval_string(line, "kind");
    const char *mode = keyval_string(line, "mode");
    const char *name = keyval_string(line, "name");
    const char *uuid = keyval_string(line, "uuid");

    if (g_str_equal(kind, "vm"))
        return g_strconcat("vm", name ? " " : "", name ? name : "",
                           uuid ? " " : "", uuid ? uuid : "",
                           json_object_get(line, "incoming") ? " incoming" : "",
                           NULL);
    if (g_str_equal(kind, "warning"))
        return g_strconcat("! ", keyval_string(line, "text"), NULL);
    if (g_str_equal(kind, "disk"))
        return g_strconcat(mode, " ", keyval_string(line, "path"), NULL);
    if (g_str_equal(kind, "lease"))
        return g_strconcat(mode, " ", keyval_string(line, "lockspace"), ":",
                           keyval_string(line, "key"), NULL);
    return g_strconcat(mode, " ?", keyval_string(line, "what"), NULL);
}

static gboolean is_expected(const char *found, const char *expected)
{
    if (g_str_has_prefix(expected, "! "))
        return *found == '!' && strstr(found, expected + 2);
    return g_str_equal(found, expected);
}

/* "/here" in a row is the current directory. */
static char **expected_rows(const char *expected)
{
    g_auto(GStrv) parts = g_strsplit(expected, "/here", -1);
    g_autofree char *here = g_get_current_dir();
    g_autofree char *all = g_strjoinv(here, parts);

    return g_strsplit(all, "\n", -1);
}

static void check_line(const char *command, const json_t *line,
                       const char *expected)
{
    g_autofree char *found = summary(line);

    if (!expected || !is_expected(found, expected))
        g_error("%s: found '%s', expected '%s'", command, found,
                expected ? expected : "nothing");
}

/* @expected begins with "cannot " where the command is refused. */
static void check_command(const World *world, const char *command,
                          const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = NULL;
    g_auto(GStrv) rows = expected_rows(expected);
    json_t *line;
    size_t i;

    g_assert_true(g_shell_parse_argv(command, NULL, &argv, NULL));
    g_autoptr(json_t) lines = disks_list(argv, world, &error);
    if (g_str_has_prefix(expected, "cannot ")) {
        g_assert_null(lines);
        if (!strstr(error->message, expected))
            g_error("%s: '%s'", command, error->message);
        return;
    }
    if (!lines)
        g_error("%s: '%s'", command, error->message);
    json_array_foreach (lines, i, line)
        check_line(command, line, i < g_strv_length(rows) ? rows[i] : NULL);
    if (json_array_size(lines) != g_strv_length(rows))
        g_error("%s: '%s' is missing", command, rows[json_array_size(lines)]);
}

typedef struct {
    const char *command, *expected;
} Row;

static void check_rows(const FakeFile *files, const Row *rows, gsize count)
{
    const World world = fake_world(files);

    for (gsize i = 0; i < count; i++)
        check_command(&world, rows[i].command, rows[i].expected);
}

#endif
