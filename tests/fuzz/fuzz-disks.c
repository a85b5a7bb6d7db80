/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: fuzzes QEMU command lines, and what images say of themselves
 *
 * Each line of the input is a word of the command line. What follows an empty
 * line is what any file has in it that is read, and what qemu-img answers.
 * Whatever is found must be what others rely on: absolute UTF-8 paths, known
 * modes, lines of JSON without control characters. Whatever is refused must
 * be refused in one sentence.
 */
#include <stdint.h>
#include <string.h>

#include "../../helpers/virt-lock-disks.h"
#include "../../libsupervise/resource.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *read_file(gpointer data, const char *path, gsize max, gsize *len,
                       GError **error)
{
    if (!data) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "cannot read '%s'",
                    "it");
        return NULL;
    }
    *len = strlen(data);
    return g_strdup(data);
}

/* A few files are there, some are one. */
static gboolean look(gpointer data, const char *path, struct stat *st)
{
    guint hash = g_str_hash(path);

    memset(st, 0, sizeof(*st));
    st->st_mode = hash % 7 == 0   ? S_IFBLK
                  : hash % 7 == 1 ? S_IFCHR
                  : hash % 7 == 2 ? S_IFDIR
                                  : S_IFREG;
    st->st_ino = hash % 13;
    st->st_rdev = hash % 11;
    return hash % 5 != 0;
}

static char *fd_path(gpointer data, int fd)
{
    return fd % 3 ? g_strdup_printf("/fd/%d", fd) : NULL;
}

static json_t *inspect(gpointer data, const char *path, const char *format,
                       gboolean backing, GError **error)
{
    json_t *value = data ? json_loads(data, 0, NULL) : NULL;

    g_assert_true(path[0] == '/');
    if (!json_is_array(value)) {
        json_decref(value);
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "qemu-img: no");
        return NULL;
    }
    return value;
}

static const char *member(const json_t *line, const char *key)
{
    const char *value = json_string_value(json_object_get(line, key));

    g_assert_nonnull(value);
    g_assert_true(g_utf8_validate(value, -1, NULL));
    return value;
}

static void check(const json_t *line)
{
    const char *kind = member(line, "kind");
    ResourceMode mode;

    if (g_str_equal(kind, "vm"))
        return;
    if (g_str_equal(kind, "warning")) {
        g_assert_cmpstr(member(line, "text"), !=, "");
        return;
    }
    g_assert_true(resource_mode_parse(member(line, "mode"), &mode, NULL));
    member(line, "from");
    if (g_str_equal(kind, "disk")) {
        g_autoptr(Resource) disk =
            resource_new_disk(member(line, "path"), mode, NULL);

        g_assert_true(member(line, "path")[0] == '/');
        g_assert_nonnull(disk);
    } else if (g_str_equal(kind, "lease")) {
        g_assert_cmpstr(member(line, "lockspace"), !=, "");
        g_assert_cmpstr(member(line, "key"), !=, "");
    } else {
        g_assert_cmpstr(kind, ==, "uncovered");
        member(line, "what");
        g_assert_cmpstr(member(line, "reason"), !=, "");
    }
}

static void check_text(const char *text, gsize count)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_assert_cmpuint(g_strv_length(lines), ==, count ? count + 1 : 0);
    for (gsize i = 0; i < count; i++) {
        g_autoptr(json_t) line = json_loads(lines[i], 0, NULL);

        g_assert_nonnull(line);
        check(line);
        for (const char *p = lines[i]; *p; p = g_utf8_next_char(p))
            g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    char *file = strstr(text, "\n\n");
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    const World world = {.read = read_file,
                         .look = look,
                         .fd_path = fd_path,
                         .inspect = inspect,
                         .host = "host1",
                         .data = file ? file + 2 : NULL};

    if (file)
        *file = '\0';
    argv = g_strsplit(text, "\n", -1);
    g_autoptr(json_t) lines = disks_list(argv, &world, &error);
    if (lines) {
        g_autofree char *out = print_lines(lines);
        check_text(out, json_array_size(lines));
    } else {
        g_assert_nonnull(error);
        g_assert_true(g_str_has_prefix(error->message, "cannot "));
    }
    return 0;
}
