/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the command line as it was typed */
#ifndef VIRT_LOCKCTL_ARGUMENTS_H
#define VIRT_LOCKCTL_ARGUMENTS_H

#include <glib.h>

/* What the command line says, before anything is checked. */
typedef struct {
    char *run_dir, *state_dir, *lockspace, *timeout, *reason, *interval;
    char *source_uri, *target_uri;
    char **disks;
    char **words; /* command and target */
    gboolean json, force, watch, follow, version;
    gboolean in, out, cancel, wait, active; /* of migrate-complete */
    char *help; /* what --help says, if it is wanted */
} Arguments;

void arguments_clear(Arguments *arguments);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

/* Fills in @arguments. @summary stands in what --help says. */
gboolean arguments_parse(Arguments *arguments, const char *summary, int *argc,
                         char ***argv, GError **error);

/* Which way a hand-over goes, and nothing that belongs to another. */
gboolean arguments_check_direction(const Arguments *arguments,
                                   const char *command, GError **error);

#endif
