/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: makes a GLib test program speak TAP without being told to. */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <glib.h>
#include <string.h>

/* g_test_init() with --tap before the arguments. */
static inline void tap_init(int argc, char **argv)
{
    g_autofree char **all = g_new0(char *, (gsize)argc + 2);
    char **args = all;
    int n = argc + 1;

    all[0] = argv[0];
    all[1] = (char *)"--tap";
    memcpy(all + 2, argv + 1, ((gsize)argc - 1) * sizeof(*argv));
    g_test_init(&n, &args, NULL);
}

#endif
