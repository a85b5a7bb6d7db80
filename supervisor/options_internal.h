/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what options.c (the table, and splitting) and options_check.c (what
 * GOption cannot know) share; nobody else includes this.
 */
#ifndef SUPERVISOR_OPTIONS_INTERNAL_H
#define SUPERVISOR_OPTIONS_INTERNAL_H

#include "options.h"

/* What GOption fills in, before it is checked. */
typedef struct {
    Options *options;
    char **disks, **leases;
    char *attach, *attach_pidfd;
    char *pid_fd, *json_status_fd, *stop_timeout, *log_level, *log_target,
        *uuid, *name, *pid_file;
    gboolean version, help;
} RawOptions;

/* Each returns FALSE, and a sentence. */
gboolean options_refuse(GError **error, const char *what, const char *value,
                        const char *reason);
gboolean options_seconds(const char *option, const char *text, gint64 *ms,
                         GError **error);
gboolean options_check(Options *options, const RawOptions *raw, GError **error);
/* Before that, where a process is attached. */
gboolean options_check_attach(Options *options, const RawOptions *raw,
                              GError **error);

#endif
