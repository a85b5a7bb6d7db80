/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see beside.h. */
#include "beside.h"

#include "../libsupervise/qmp.h"

char *beside_find(const char *program, const char *place, const char *otherwise,
                  GError **error)
{
    const char *const places[] = {"", place};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = g_path_get_dirname(self ? self : "/");

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        char *path = g_build_filename(here, places[i], program, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
            return path;
        g_free(path);
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "cannot find '%s': it is neither in '%s' nor in '%s' from "
                "there (install it%s%s)",
                program, here, place, otherwise ? ", or " : "",
                otherwise ? otherwise : "");
    return NULL;
}
