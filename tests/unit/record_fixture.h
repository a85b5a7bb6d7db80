/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: a state directory of one's own, for the tests of records. */
#ifndef TEST_RECORD_FIXTURE_H
#define TEST_RECORD_FIXTURE_H

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qmp.h"
#include "record.h"
#include "tap.h"

#define UUID_A "6f0e1d2c-0000-4000-8000-00000000000a"
#define UUID_B "6f0e1d2c-0000-4000-8000-00000000000b"

typedef struct {
    char *state;   /* not made yet: record_write() does */
    char *holders; /* in state */
    char *boot_id;
    char host[256];
} Fixture;

static inline void setup(Fixture *f, gconstpointer unused)
{
    g_autofree char *top = g_dir_make_tmp("test-record-XXXXXX", NULL);

    g_assert_nonnull(top);
    f->state = g_build_filename(top, "a/state", NULL);
    f->holders = g_build_filename(f->state, "holders", NULL);
    g_assert_cmpint(gethostname(f->host, sizeof(f->host)), ==, 0);
    g_assert_true(g_file_get_contents("/proc/sys/kernel/random/boot_id",
                                      &f->boot_id, NULL, NULL));
    g_strchomp(f->boot_id);
}

static inline void remove_tree(const char *path)
{
    const char *name;
    GDir *dir = g_dir_open(path, 0, NULL);

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    if (dir)
        g_dir_close(dir);
    g_remove(path);
}

static inline void teardown(Fixture *f, gconstpointer unused)
{
    g_autofree char *a = g_path_get_dirname(f->state);
    g_autofree char *top = g_path_get_dirname(a);

    remove_tree(top);
    g_free(f->state);
    g_free(f->holders);
    g_free(f->boot_id);
}

static inline Record our_record(const Fixture *f)
{
    return (Record){
        .uuid = UUID_A,
        .name = "web1",
        .host = f->host,
        .boot_id = f->boot_id,
        .pid = getpid(),
        .start_time = record_start_time(getpid()),
        .since = 1000000000,
    };
}

static inline RecordId write_record(const Fixture *f, const char *file,
                                    const Record *record)
{
    g_autoptr(GError) error = NULL;
    RecordId id;

    g_assert_true(record_write(f->state, file, record, &id, &error));
    g_assert_no_error(error);
    return id;
}

static inline const char *string_of(const json_t *holder, const char *name)
{
    return json_string_value(json_object_get(holder, name));
}

static inline gint64 integer_of(const json_t *holder, const char *name)
{
    return json_integer_value(json_object_get(holder, name));
}

static inline guint count_files(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

#endif
