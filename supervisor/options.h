/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the command line, pure
 *
 * Turns argv into a struct. Looks at no file and no descriptor; what can
 * only be known by looking (is it there, is it ours) is checked by the room
 * that uses it. The command is everything after the first "--".
 */
#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H

#include <glib.h>

#include "report.h"

typedef enum {
    OPTIONS_RUN,
    OPTIONS_HELP,    /* print ->text */
    OPTIONS_VERSION, /* print ->text */
} OptionsWhat;

typedef struct {
    OptionsWhat what;
    char *text;
    char *name;
    char *uuid; /* canonical */
    char *id;   /* NULL: none */
    char *driver;
    char **params;        /* "KEY=VALUE", NULL-terminated */
    GPtrArray *resources; /* of Resource; the VM's own is not among them */
    char *run_dir;        /* as given; NULL: default */
    char *state_dir;      /* as given; NULL: default */
    gboolean wait;
    gint64 wait_ms;     /* 0 with wait: for ever */
    int pid_fd;         /* -1: none */
    char *pid_file;     /* absolute; NULL: none */
    int json_status_fd; /* -1: none */
    char *user;         /* NULL: unchanged */
    char *group;        /* NULL: unchanged */
    gint64 stop_timeout_ms;
    char *control_group; /* NULL: none */
    gboolean control_group_rw;
    ReportLevel log_level;
    ReportTarget log_target;
    char **command; /* NULL-terminated */
} Options;

/* Returns newly allocated options; NULL and BAD_ARGUMENT with a sentence.
 * @argv[0] is the program. */
Options *options_parse(char **argv, GError **error);
void options_free(Options *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)

#endif
