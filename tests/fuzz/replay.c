/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: runs a fuzz target over files, without a fuzzer
 *
 * Each argument is an input file or a directory of them. Speaks TAP, so that
 * the corpus is one more test; a target that finds a fault aborts.
 */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay_file(const char *path, guint *count)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, &error)) {
        printf("Bail out! %s\n", error->message);
        exit(1);
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    printf("ok %u - %s\n", ++*count, path);
    fflush(stdout);
}

static void replay(const char *path, guint *count)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    if (!dir) {
        replay_file(path, count);
        return;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        replay(child, count);
    }
    g_dir_close(dir);
}

int main(int argc, char **argv)
{
    guint count = 0;

    for (int i = 1; i < argc; i++)
        replay(argv[i], &count);
    printf("1..%u\n", count);
    return 0;
}
