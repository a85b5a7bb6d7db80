/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the command line as it was typed */
#ifndef VIRT_LOCKCTL_ARGUMENTS_H
#define VIRT_LOCKCTL_ARGUMENTS_H

#include <glib.h>

/* What the command line says, before anything is checked. */
typedef struct {
    char *run_dir, *state_dir, *lockspace, *timeout, *reason, *interval;
    char **disks;
    char **words; /* command and target */
    gboolean json, force, watch, follow, version;
    char *help; /* what --help says, if it is wanted */
} Arguments;

void arguments_clear(Arguments *arguments);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

/* Fills in @arguments. @summary stands in what --help says. */
gboolean arguments_parse(Arguments *arguments, const char *summary, int *argc,
                         char ***argv, GError **error);

#endif
