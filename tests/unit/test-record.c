/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: records of holders: written whole, read with suspicion. */
#include <sys/sysmacros.h>
#include <time.h>

#include "record_fixture.h"

static void test_write(Fixture *f, gconstpointer unused)
{
    Record record = our_record(f);
    g_autofree char *path = g_build_filename(f->holders, "r", NULL);
    g_autoptr(json_t) holder = NULL;
    mode_t mask = umask(022);
    RecordId id;
    struct stat st;

    write_record(f, "r", &record);
    record.name = "web2";
    id = write_record(f, "r", &record);
    umask(mask);
    g_assert_cmpuint(count_files(f->holders), ==, 1);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 07777, ==, 0644);
    g_assert_cmpint(stat(f->holders, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 07777, ==, 0755);

    holder = record_find(f->state, "r", 0);
    g_assert_cmpstr(string_of(holder, "uuid"), ==, UUID_A);
    g_assert_cmpstr(string_of(holder, "name"), ==, "web2");
    g_assert_cmpstr(string_of(holder, "host"), ==, f->host);
    g_assert_cmpstr(string_of(holder, "mode"), ==, "exclusive");
    g_assert_cmpint(integer_of(holder, "pid"), ==, getpid());
    g_assert_cmpint(integer_of(holder, "since"), ==, 1000000000);
    g_assert_true(record_alive(holder));

    record_remove(f->state, "r", &id);
    g_assert_cmpuint(count_files(f->holders), ==, 0);
    g_assert_null(record_find(f->state, "r", RECORD_SHARED));
    record_remove(f->state, "r", &id);
}

static void test_link(Fixture *f, gconstpointer unused)
{
    Record record = our_record(f);
    g_autoptr(json_t) alone = NULL;
    g_autoptr(json_t) one_of = NULL;
    g_autoptr(GError) error = NULL;

    write_record(f, "vm-a", &record);
    g_assert_true(record_link(f->state, "vm-a", "r", NULL));
    g_assert_true(record_link(f->state, "vm-a", "s." UUID_A, NULL));
    /* what an earlier holder left is replaced, also the same thing again */
    record.uuid = UUID_B;
    write_record(f, "vm-b", &record);
    g_assert_true(record_link(f->state, "vm-b", "r", NULL));
    g_assert_true(record_link(f->state, "vm-b", "r", NULL));
    alone = record_find(f->state, "r", 0);
    g_assert_cmpstr(string_of(alone, "uuid"), ==, UUID_B);
    g_assert_cmpstr(string_of(alone, "mode"), ==, "exclusive");
    one_of = record_find(f->state, "s", RECORD_SHARED);
    g_assert_cmpstr(string_of(one_of, "uuid"), ==, UUID_A);
    g_assert_cmpstr(string_of(one_of, "mode"), ==, "shared");
    g_assert_false(record_link(f->state, "vm-c", "r", &error));
    g_assert_true(g_str_has_prefix(error->message, "cannot link '"));
}

static void test_write_fails(Fixture *f, gconstpointer unused)
{
    RecordId id;
    Record record = our_record(f);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(f->holders, "r", NULL);

    g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
    g_assert_false(record_write(f->state, "r", &record, &id, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_GENERIC);
    g_assert_true(g_str_has_prefix(error->message, "cannot write '"));
    g_assert_cmpuint(count_files(f->holders), ==, 1);
    g_clear_error(&error);
    g_assert_false(record_write("/proc/nowhere", "r", &record, &id, &error));
    g_assert_true(g_str_has_prefix(error->message, "cannot create '"));
    g_assert_cmpuint(id.inode, ==, 0);
    g_assert_null(record_find("/proc/nowhere", "r", RECORD_SHARED));
}

/* Every prefix of a record, every record without one field or with a field
 * of another type, and plain garbage read as nobody. */
static void test_garbage(Fixture *f, gconstpointer unused)
{
    Record record = our_record(f);
    g_autofree char *path = g_build_filename(f->holders, "r", NULL);
    g_autofree char *whole = NULL;
    g_autofree char *large = g_strnfill(1024 * 1024, ' ');
    g_autoptr(json_t) object = NULL;
    const char *key;
    json_t *value;
    gsize len;

    write_record(f, "r", &record);
    g_assert_true(g_file_get_contents(path, &whole, &len, NULL));
    object = json_loads(whole, 0, NULL);
    for (gsize n = 0; n < len - 1; n++) {
        g_assert_true(g_file_set_contents(path, whole, (gssize)n, NULL));
        g_assert_null(record_find(f->state, "r", RECORD_SHARED));
    }
    json_object_foreach (object, key, value) {
        g_autoptr(json_t) copy = json_copy(object);

        json_object_del(copy, key);
        for (guint i = 0; i < 3; i++) {
            g_autofree char *text = json_dumps(copy, 0);

            g_assert_true(g_file_set_contents(path, text, -1, NULL));
            g_assert_null(record_find(f->state, "r", RECORD_SHARED));
            json_object_set_new(copy, key, i ? json_array() : json_null());
        }
    }
    g_assert_true(g_file_set_contents(path, large, 1024 * 1024, NULL));
    g_assert_null(record_find(f->state, "r", RECORD_SHARED));
    g_assert_true(g_file_set_contents(path, "\0\xff{}[]", 7, NULL));
    g_assert_null(record_find(f->state, "r", RECORD_SHARED));
    g_assert_true(g_file_set_contents(path, "[1]", -1, NULL));
    g_assert_null(record_find(f->state, "r", RECORD_SHARED));
}

static void test_bad_values(Fixture *f, gconstpointer unused)
{
    static const gint64 pids[] = {0, -1, G_MININT64, G_MAXINT64,
                                  (gint64)G_MAXINT32 + 1};
    Record record = our_record(f);

    for (gsize i = 0; i < G_N_ELEMENTS(pids); i++) {
        record.pid = pids[i];
        write_record(f, "r", &record);
        g_assert_null(record_find(f->state, "r", 0));
    }
    record.pid = 1;
    record.uuid = "../../x";
    write_record(f, "r", &record);
    g_assert_null(record_find(f->state, "r", 0));
    record.uuid = UUID_A;
    record.host = "not utf-8: \xff";
    record.name = NULL;
    write_record(f, "r", &record);
    g_autoptr(json_t) holder = record_find(f->state, "r", 0);
    g_assert_cmpstr(string_of(holder, "host"), ==, "not utf-8: \xef\xbf\xbd");
    g_assert_cmpstr(string_of(holder, "name"), ==, "");
}

/* Links, pipes and directories in the place of a record. */
static void test_not_files(Fixture *f, gconstpointer unused)
{
    Record record = our_record(f);
    g_autofree char *link = g_build_filename(f->holders, "link", NULL);
    g_autofree char *pipe = g_build_filename(f->holders, "pipe", NULL);
    g_autofree char *dir = g_build_filename(f->holders, "dir", NULL);

    write_record(f, "r", &record);
    g_assert_cmpint(symlink("r", link), ==, 0);
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
    g_assert_null(record_find(f->state, "link", 0));
    g_assert_null(record_find(f->state, "pipe", 0));
    g_assert_null(record_find(f->state, "dir", 0));
}

static void test_shared(Fixture *f, gconstpointer unused)
{
    Record record = our_record(f);
    g_autoptr(json_t) holder = NULL;

    write_record(f, "8:1-5-0." UUID_A, &record);
    record.uuid = UUID_B;
    write_record(f, "8:1-55-0." UUID_B, &record); /* another resource */
    g_assert_null(record_find(f->state, "8:1-5-0", 0));
    g_assert_null(record_find(f->state, "8:1-5", RECORD_SHARED));
    holder = record_find(f->state, "8:1-5-0", RECORD_SHARED);
    g_assert_cmpstr(string_of(holder, "uuid"), ==, UUID_A);
}

/* The living are preferred, wherever they stand; of another host nobody can
 * tell; the dead of this one hold nothing. */
static void test_prefers_alive(Fixture *f, gconstpointer unused)
{
    Record dead = our_record(f);
    Record alive = our_record(f);
    Record distant = our_record(f);
    g_autoptr(json_t) holder = NULL;

    dead.start_time--;
    write_record(f, "r", &dead);
    write_record(f, "r." UUID_B, &dead);
    g_assert_null(record_find(f->state, "r", RECORD_SHARED));
    distant.host = "elsewhere";
    distant.uuid = UUID_B;
    write_record(f, "r." UUID_B, &distant);
    holder = record_find(f->state, "r", RECORD_SHARED);
    g_assert_cmpstr(string_of(holder, "uuid"), ==, UUID_B);
    g_assert_false(record_alive(holder));
    json_decref(holder);
    write_record(f, "r." UUID_A, &alive);
    holder = record_find(f->state, "r", RECORD_SHARED);
    g_assert_cmpstr(string_of(holder, "uuid"), ==, UUID_A);
    g_assert_true(record_alive(holder));
}

static void check_alive(const Fixture *f, const Record *record,
                        gboolean expected)
{
    g_autoptr(json_t) holder = NULL;

    write_record(f, "r", record);
    holder = record_find(f->state, "r", 0);
    if (expected || !g_str_equal(record->host, f->host))
        g_assert_cmpint(record_alive(holder), ==, expected);
    else
        g_assert_null(holder);
}

static void test_alive(Fixture *f, gconstpointer unused)
{
    Record record = our_record(f);

    check_alive(f, &record, TRUE);
    record.host = "elsewhere";
    check_alive(f, &record, FALSE);
    record = our_record(f);
    record.boot_id = "00000000-0000-0000-0000-000000000000";
    check_alive(f, &record, FALSE);
    record = our_record(f);
    record.start_time++;
    check_alive(f, &record, FALSE);
    record.start_time = 0;
    check_alive(f, &record, FALSE);
    record = our_record(f);
    record.pid = G_MAXINT32;
    check_alive(f, &record, FALSE);
    record.start_time = 0; /* what an unreadable process would have */
    check_alive(f, &record, FALSE);
    g_assert_false(record_alive(NULL));
}

static void test_start_time(void)
{
    g_assert_cmpint(record_start_time(getpid()), >, 0);
    g_assert_cmpint(record_start_time(getpid()), ==,
                    record_start_time(getpid()));
    g_assert_cmpint(record_start_time(0), ==, 0);
    g_assert_cmpint(record_start_time(-1), ==, 0);
    g_assert_cmpint(record_start_time(G_MAXINT64), ==, 0);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(name, func)                                                        \
    g_test_add("/record/" name, Fixture, NULL, setup, func, teardown)
    ADD("write", test_write);
    ADD("link", test_link);
    ADD("write-fails", test_write_fails);
    ADD("garbage", test_garbage);
    ADD("bad-values", test_bad_values);
    ADD("not-files", test_not_files);
    ADD("shared", test_shared);
    ADD("prefers-alive", test_prefers_alive);
    ADD("alive", test_alive);
    g_test_add_func("/record/start-time", test_start_time);
    return g_test_run();
}
