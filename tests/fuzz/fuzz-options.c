/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: fuzzes the command line, and with it the forms of --disk and --lease
 *
 * Each line of the input is a word of the command line. Whatever is accepted
 * must be what later rooms rely on: UTF-8 names, absolute paths, no offset
 * among QEMU's bytes. Whatever is refused must say so in one sentence.
 */
#include <stdint.h>

#include "../../libsupervise/resource.h"
#include "../../supervisor/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const Options *options)
{
    g_assert_true(g_utf8_validate(options->name, -1, NULL));
    g_assert_true(g_uuid_string_is_valid(options->uuid));
    g_assert_nonnull(options->command[0]);
    g_assert_cmpint(options->wait_ms, >=, 0);
    g_assert_cmpint(options->stop_timeout_ms, >=, 0);
    for (guint i = 0; i < options->resources->len; i++) {
        const Resource *r = g_ptr_array_index(options->resources, i);

        g_assert_true(g_utf8_validate(r->name, -1, NULL));
        g_assert_true(!r->path || r->path[0] == '/');
        g_assert_true(r->offset < RESOURCE_QEMU_FIRST ||
                      r->offset >= RESOURCE_QEMU_END);
        g_assert_true(r->kind == RESOURCE_DISK || (r->lockspace && r->key));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autofree char *all = g_strconcat("v\n", text, NULL);
    g_auto(GStrv) argv = g_strsplit(all, "\n", -1);
    g_autoptr(GError) error = NULL;
    g_autoptr(Options) options = options_parse(argv, &error);

    if (!options) {
        g_assert_nonnull(error);
        g_assert_true(g_str_has_prefix(error->message, "cannot "));
    } else if (options->what == OPTIONS_RUN) {
        check(options);
    }
    return 0;
}
