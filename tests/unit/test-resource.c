/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the text forms of --disk and --lease, good and bad. */
#include "../../libsupervise/qmp.h"
#include "../../libsupervise/resource.h"
#include "tap.h"

#include <limits.h>

static void disks(void)
{
    static const struct {
        const char *text, *path;
        ResourceMode mode;
    } good[] = {
        {"/vm/a.raw", "/vm/a.raw", RESOURCE_EXCLUSIVE},
        {"/vm/a.raw,shared", "/vm/a.raw", RESOURCE_SHARED},
        {"/vm/a.raw,readonly", "/vm/a.raw", RESOURCE_READONLY},
        {"/vm/a,,b.raw", "/vm/a,b.raw", RESOURCE_EXCLUSIVE},
        {"/vm/a,,,shared", "/vm/a,", RESOURCE_SHARED},
        {"/vm/,,", "/vm/,", RESOURCE_EXCLUSIVE},
        {"/vm/,,shared", "/vm/,shared", RESOURCE_EXCLUSIVE},
        {"//vm/./x/../a", "//vm/./x/../a", RESOURCE_EXCLUSIVE},
        {"/vm/a:b\\c", "/vm/a:b\\c", RESOURCE_EXCLUSIVE},
        {"/vm/\xc3\xa4 \n", "/vm/\xc3\xa4 \n", RESOURCE_EXCLUSIVE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Resource) r = resource_parse_disk(good[i].text, &error);

        g_assert_no_error(error);
        g_assert_cmpint(r->kind, ==, RESOURCE_DISK);
        g_assert_cmpstr(r->path, ==, good[i].path);
        g_assert_cmpstr(r->name, ==, good[i].path);
        g_assert_cmpint(r->mode, ==, good[i].mode);
        g_assert_cmpuint(r->offset, ==, 0);
    }
}

static void relative_paths_are_made_absolute(void)
{
    g_autofree char *here = g_get_current_dir();
    g_autofree char *full = g_build_filename(here, "a.raw", NULL);
    g_autoptr(Resource) r = resource_parse_disk("a.raw", NULL);

    g_assert_cmpstr(r->path, ==, full);
    /* x may be a symbolic link: only the kernel knows where x/.. is */
    g_autofree char *dots = g_build_filename(here, "x/../a.raw", NULL);
    g_autoptr(Resource) d = resource_parse_disk("x/../a.raw", NULL);
    g_assert_cmpstr(d->path, ==, dots);
}

static void refused(Resource *(*parse)(const char *, GError **),
                    const char *text, const char *because)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(parse(text, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    g_assert_true(g_str_has_prefix(error->message, "cannot use "));
    g_assert_nonnull(strstr(error->message, because));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

static void bad_disks(void)
{
    g_autofree char *endless = g_strnfill(PATH_MAX, 'x');

    refused(resource_parse_disk, "", "empty");
    refused(resource_parse_disk, ",shared", "empty");
    refused(resource_parse_disk, "/a,", "neither");
    refused(resource_parse_disk, "/a,rw", "neither");
    refused(resource_parse_disk, "/a,shared,readonly", "neither");
    refused(resource_parse_disk, "/a,readonly,", "neither");
    refused(resource_parse_disk, "/a\xff", "UTF-8");
    endless[0] = '/';
    refused(resource_parse_disk, endless, "too long");
}

static void leases(void)
{
    static const struct {
        const char *text, *lockspace, *key, *path;
        guint64 offset;
        const char *name;
    } good[] = {
        {"ls:key", "ls", "key", NULL, 0, "ls:key"},
        {"ls:key:/dev/x", "ls", "key", "/dev/x", 0, "ls:key"},
        {"ls:key:/dev/x:1048576", "ls", "key", "/dev/x", 1048576, "ls:key"},
        {"l\\:s:k\\\\ey:/a\\:b", "l:s", "k\\ey", "/a:b", 0, "l\\:s:k\\\\ey"},
        {"ls:key:/dev/x:99", "ls", "key", "/dev/x", 99, "ls:key"},
        {"ls:key:/dev/x:300", "ls", "key", "/dev/x", 300, "ls:key"},
        {"ls:key:/dev/x:4611686018427387903", "ls", "key", "/dev/x",
         4611686018427387903, "ls:key"},
        {"ls:k\\x", "ls", "k\\x", NULL, 0, "ls:k\\\\x"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Resource) r = resource_parse_lease(good[i].text, &error);

        g_assert_no_error(error);
        g_assert_cmpint(r->kind, ==, RESOURCE_LEASE);
        g_assert_cmpstr(r->lockspace, ==, good[i].lockspace);
        g_assert_cmpstr(r->key, ==, good[i].key);
        g_assert_cmpstr(r->path, ==, good[i].path);
        g_assert_cmpuint(r->offset, ==, good[i].offset);
        g_assert_cmpstr(r->name, ==, good[i].name);
    }
}

static void bad_leases(void)
{
    refused(resource_parse_lease, "", "LOCKSPACE:KEY");
    refused(resource_parse_lease, "ls", "LOCKSPACE:KEY");
    refused(resource_parse_lease, ":key", "LOCKSPACE:KEY");
    refused(resource_parse_lease, "ls:", "LOCKSPACE:KEY");
    refused(resource_parse_lease, "ls:key:/a:1:2", "LOCKSPACE:KEY");
    refused(resource_parse_lease, "ls:key:", "empty");
    refused(resource_parse_lease, "ls:key:/a:", "offset");
    refused(resource_parse_lease, "ls:key:/a:-1", "offset");
    refused(resource_parse_lease, "ls:key:/a:0x10", "offset");
    refused(resource_parse_lease, "ls:key:/a:100", "QEMU");
    refused(resource_parse_lease, "ls:key:/a:299", "QEMU");
    refused(resource_parse_lease, "ls:key:/a:4611686018427387904", "offset");
    refused(resource_parse_lease, "ls:k\xff", "UTF-8");
}

static void modes_and_copies(void)
{
    ResourceMode mode;
    g_autoptr(GError) error = NULL;
    g_autoptr(Resource) r = resource_parse_lease("a:b:/c:7", NULL);
    g_autoptr(Resource) copy = resource_copy(r);

    g_assert_true(resource_mode_parse("readonly", &mode, NULL));
    g_assert_cmpint(mode, ==, RESOURCE_READONLY);
    g_assert_false(resource_mode_parse("ro", &mode, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    g_assert_cmpstr(copy->name, ==, "a:b");
    g_assert_cmpstr(copy->path, ==, "/c");
    g_assert_cmpuint(copy->offset, ==, 7);
    g_assert_true(copy->path != r->path);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(f) g_test_add_func("/resource/" #f, f)
    ADD(disks);
    ADD(relative_paths_are_made_absolute);
    ADD(bad_disks);
    ADD(leases);
    ADD(bad_leases);
    ADD(modes_and_copies);
    return g_test_run();
}
