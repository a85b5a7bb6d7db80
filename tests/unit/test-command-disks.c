/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what becomes of the disks that the command names. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "../../libsupervise/resource.h"
#include "../../supervisor/disks.h"
#include "tap.h"

#define UUID  "6f0e8a52-7c1b-4d5e-9a3f-0123456789ab"
#define OTHER "6f0e8a52-7c1b-4d5e-9a3f-ba9876543210"

/* Options of words that are separated by single spaces. */
static Options *given(const char *words)
{
    g_auto(GStrv) argv = g_strsplit(words, " ", -1);
    g_autoptr(GError) error = NULL;
    Options *options = options_parse(argv, &error);

    g_assert_no_error(error);
    return options;
}

static void read_all(Options *options, const char *text)
{
    g_autoptr(GError) error = NULL;

    disks_read(options, text, &error);
    g_assert_no_error(error);
}

static void refused(const char *text, const char *sentence)
{
    g_autoptr(Options) o = given("v -A -- qemu");
    g_autoptr(GError) error = NULL;

    g_assert_false(disks_read(o, text, &error));
    g_assert_cmpstr(error->message, ==, sentence);
}

static const Resource *resource(const Options *options, guint i)
{
    g_assert_cmpuint(i, <, options->resources->len);
    return options->resources->pdata[i];
}

static void all_kinds(void)
{
    g_autoptr(Options) o = given("v -A -- qemu");
    const OptionsNote *note;

    g_assert_true(o->disks_from_command);
    read_all(o, "{\"kind\":\"vm\",\"name\":\"web 1\",\"uuid\":\"" UUID "\"}\n"
                "{\"kind\":\"disk\",\"path\":\"/a\",\"mode\":\"exclusive\"}\n"
                "{\"kind\":\"disk\",\"path\":\"/b\",\"mode\":\"shared\"}\n"
                "{\"kind\":\"lease\",\"lockspace\":\"rbd\",\"key\":\"p/i:1\","
                "\"mode\":\"readonly\"}\n"
                "{\"kind\":\"uncovered\",\"what\":\"nbd:x\",\"mode\":"
                "\"exclusive\",\"reason\":\"it is far\"}\n"
                "{\"kind\":\"uncovered\",\"what\":\"http:x\",\"mode\":"
                "\"readonly\",\"reason\":\"it is far\"}\n"
                "{\"kind\":\"warning\",\"text\":\"look out\"}\n");
    g_assert_cmpstr(o->name, ==, "web 1");
    g_assert_cmpstr(o->uuid, ==, UUID);
    g_assert_false(o->incoming);
    g_assert_cmpuint(o->resources->len, ==, 3);
    g_assert_cmpstr(resource(o, 0)->path, ==, "/a");
    g_assert_cmpint(resource(o, 0)->mode, ==, RESOURCE_EXCLUSIVE);
    g_assert_cmpint(resource(o, 1)->mode, ==, RESOURCE_SHARED);
    g_assert_cmpint(resource(o, 2)->mode, ==, RESOURCE_READONLY);
    g_assert_cmpint(resource(o, 2)->kind, ==, RESOURCE_LEASE);
    g_assert_cmpstr(resource(o, 2)->name, ==, "rbd:p/i\\:1");
    g_assert_null(resource(o, 2)->path);
    g_assert_cmpuint(o->notes->len, ==, 3);
    note = o->notes->pdata[0];
    g_assert_cmpint(note->kind, ==, MESSAGE_UNCOVERED);
    g_assert_cmpstr(note->sentence, ==, "'nbd:x' is not leased: it is far");
    note = o->notes->pdata[1];
    g_assert_cmpint(note->kind, ==, MESSAGE_UNCOVERED_READ);
    note = o->notes->pdata[2];
    g_assert_cmpstr(note->sentence, ==, "look out");
}

static void incoming(void)
{
    g_autoptr(Options) o = given("v -A -- qemu");
    g_autoptr(Options) said = given("v --incoming -- qemu");

    read_all(o, "{\"kind\":\"vm\",\"incoming\":true}\n");
    g_assert_true(o->incoming);
    g_assert_cmpstr(o->name, ==, "qemu");
    g_assert_true(said->incoming);
}

static void options_win(void)
{
    g_autoptr(Options) o =
        given("v -A --name n --uuid " UUID " --disk /a,readonly --disk /x "
              "--lease rbd:p/i -- qemu");

    read_all(o, "{\"kind\":\"vm\",\"name\":\"m\",\"uuid\":\"" OTHER "\"}\n"
                "{\"kind\":\"disk\",\"path\":\"/a\",\"mode\":\"exclusive\"}\n"
                "{\"kind\":\"lease\",\"lockspace\":\"rbd\",\"key\":\"p/i\","
                "\"mode\":\"shared\"}\n");
    g_assert_cmpstr(o->name, ==, "n");
    g_assert_cmpstr(o->uuid, ==, UUID);
    g_assert_cmpuint(o->resources->len, ==, 3);
    g_assert_cmpint(resource(o, 0)->mode, ==, RESOURCE_READONLY);
    g_assert_cmpint(resource(o, 2)->mode, ==, RESOURCE_EXCLUSIVE);
}

/* However the file is called. */
static void options_win_by_file(void)
{
    g_autofree char *dir = g_dir_make_tmp(NULL, NULL);
    g_autofree char *one = g_build_filename(dir, "one", NULL);
    g_autofree char *two = g_build_filename(dir, "two", NULL);
    g_autofree char *words =
        g_strdup_printf("v -A --disk %s,shared -- qemu", one);
    g_autofree char *line = g_strdup_printf(
        "{\"kind\":\"disk\",\"path\":\"%s\",\"mode\":\"exclusive\"}\n", two);
    g_autoptr(Options) o = given(words);

    g_assert_true(g_file_set_contents(one, "", 0, NULL));
    g_assert_cmpint(link(one, two), ==, 0);
    read_all(o, line);
    g_assert_cmpuint(o->resources->len, ==, 1);
    g_assert_cmpint(resource(o, 0)->mode, ==, RESOURCE_SHARED);
    g_unlink(one);
    g_unlink(two);
    g_rmdir(dir);
}

static void garbage(void)
{
    static const char *const lines[] = {
        "x",
        "[]",
        "{}",
        "{\"kind\":\"moon\"}",
        "{\"kind\":1}",
        "{\"kind\":\"uncovered\",\"mode\":\"shared\"}",
        "{\"kind\":\"warning\"}",
    };

    for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *sentence =
            g_strdup_printf("cannot understand '%s' of 'virt-lock-disks': is "
                            "it of another version?",
                            lines[i]);

        refused(lines[i], sentence);
    }
    refused("{\"kind\":\"disk\",\"path\":\"/a\"}",
            "cannot use mode '': it is none of exclusive, shared, readonly");
    refused("{\"kind\":\"disk\",\"mode\":\"shared\"}",
            "cannot use disk '': the path is empty");
    refused("{\"kind\":\"lease\",\"mode\":\"shared\",\"lockspace\":\"x\"}",
            "cannot use lease 'x:': lockspace and key must be UTF-8 and not "
            "empty");
    refused("{\"kind\":\"vm\",\"uuid\":\"x\"}",
            "cannot use 'x' as a uuid: it is not of the form "
            "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    refused("{\"kind\":\"vm\",\"name\":\"\"}",
            "cannot use name '': it is empty or longer than 255 bytes");
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/command-disks/all-kinds", all_kinds);
    g_test_add_func("/command-disks/incoming", incoming);
    g_test_add_func("/command-disks/options-win", options_win);
    g_test_add_func("/command-disks/options-win-by-file", options_win_by_file);
    g_test_add_func("/command-disks/garbage", garbage);
    return g_test_run();
}
