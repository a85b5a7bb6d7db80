/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the names and numbers of the convention, and sentences from records. */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "qmp.h"
#include "record.h"
#include "tap.h"

#define UUID_A "6f0e1d2c-0000-4000-8000-00000000000a"
#define UUID_B "6f0e1d2c-0000-4000-8000-00000000000b"

static void test_lock_bytes(void)
{
    guint64 byte = record_lock_byte("vm", UUID_A);

    /* part of the convention between versions and hosts: never change it */
    g_assert_cmpuint(byte, ==, G_GUINT64_CONSTANT(2393986596264833912));
    g_assert_cmpuint(byte % 4, ==, 0);
    g_assert_cmpuint(record_lock_byte("vm", UUID_B), !=, byte);
    g_assert_cmpuint(record_lock_byte("lease:vm", UUID_A), !=, byte);
    g_assert_cmpuint(record_lock_byte("lease:a", "b"), !=,
                     record_lock_byte("lease:", "ab"));
    g_assert_cmpuint(record_lock_byte("lease:a", "b"), <=,
                     (guint64)G_MAXINT64 - 3);
}

static void check_description(const char *name, gint64 since,
                              const char *expected)
{
    g_autoptr(json_t) holder =
        json_pack("{s:s, s:s, s:s, s:i, s:I}", "uuid", UUID_A, "name", name,
                  "host", "h", "pid", 4711, "since", (json_int_t)since);
    g_autofree char *text = record_describe(holder);

    g_assert_cmpstr(text, ==, expected);
}

static void test_describe(void)
{
    g_autofree char *nobody = record_describe(NULL);
    g_autoptr(json_t) empty = json_object();
    g_autofree char *unnamed = record_describe(empty);
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *today = g_date_time_format(
        now, "held by 'web1' (" UUID_A ", h, pid 4711) since %H:%M");

    g_autoptr(json_t) going =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:i}", "uuid", UUID_A, "name",
                  "web1", "host", "h", "pid", 4711, "since", 1, "exiting", 1);
    g_autofree char *exiting = record_describe(going);

    g_assert_cmpstr(exiting, ==,
                    "held by 'web1', which is exiting (" UUID_A
                    ", h, pid 4711)");
    g_assert_cmpstr(nobody, ==, "held by another process");
    g_assert_cmpstr(unnamed, ==, "held by another process");
    check_description("web1", g_date_time_to_unix(now), today);
    g_autoptr(GDateTime) then = g_date_time_new_local(2011, 7, 13, 7, 47, 45);
    check_description("web1", g_date_time_to_unix(then),
                      "held by 'web1' (" UUID_A
                      ", h, pid 4711) since 2011-07-13 07:47");
    check_description("web1", 0, "held by 'web1' (" UUID_A ", h, pid 4711)");
    check_description("web1", G_MAXINT64,
                      "held by 'web1' (" UUID_A ", h, pid 4711)");
    check_description("\033[2Jx\n", 0,
                      "held by '?[2Jx?' (" UUID_A ", h, pid 4711)");
}

static void test_resource(void)
{
    struct stat st = {.st_mode = S_IFREG | 0644,
                      .st_dev = makedev(8, 1),
                      .st_ino = G_MAXUINT64};
    g_autofree char *file = record_resource(&st, 0);
    g_autofree char *far_off = record_resource(&st, G_MAXUINT64);

    g_assert_cmpstr(file, ==, "8:1-18446744073709551615-0");
    g_assert_cmpstr(far_off, ==,
                    "8:1-18446744073709551615-18446744073709551615");
    st.st_mode = S_IFBLK | 0660;
    st.st_rdev = makedev(253, 4);
    g_autofree char *device = record_resource(&st, 7);
    g_assert_cmpstr(device, ==, "block-253:4-7");
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/record/describe", test_describe);
    g_test_add_func("/record/resource", test_resource);
    g_test_add_func("/record/lock-bytes", test_lock_bytes);
    return g_test_run();
}
