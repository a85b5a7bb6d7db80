/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the command line, pure
 *
 * Turns argv into a struct. Looks at no file and no descriptor; what can
 * only be known by looking (is it there, is it ours) is checked by the room
 * that uses it. The command is everything after the first "--"; what it says
 * of disks is read by disks.c, which adds to the struct what is not given.
 */
#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H

#include <glib.h>
#include <sys/types.h>

#include "report.h"

typedef enum {
    OPTIONS_RUN,
    OPTIONS_HELP,    /* print ->text */
    OPTIONS_VERSION, /* print ->text */
} OptionsWhat;

/* What is to be said once there is a log. */
typedef struct {
    MessageKind kind;
    char *sentence;
} OptionsNote;

typedef struct {
    OptionsWhat what;
    char *text;
    char *name;
    char *uuid; /* canonical */
    gboolean name_given, uuid_given;
    gboolean disks_from_command;
    gboolean incoming;    /* the command waits for a VM's state */
    char *state;          /* the source's token; NULL: none */
    gboolean guard;       /* also of a command; attached ones always are */
    gboolean attach;      /* to a process that lives already: no command */
    int attach_pidfd;     /* -1: by number */
    pid_t attach_pid;     /* 0: by pidfd */
    guint64 attach_start; /* clock ticks after boot; 0: not said */
    char *id;             /* NULL: none */
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
    GPtrArray *notes; /* of OptionsNote */
    GError *failure;  /* of disks.c or attach.c; NULL: none */
    char **command;   /* NULL-terminated; NULL with attach */
} Options;

/* Returns newly allocated options; NULL and BAD_ARGUMENT with a sentence.
 * @argv[0] is the program. */
Options *options_parse(char **argv, GError **error);
/* Who the VM is; refused, with a sentence, where that cannot be a name. */
gboolean options_set_name(Options *options, const char *name, GError **error);
gboolean options_set_uuid(Options *options, const char *uuid, GError **error);
void options_free(Options *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)

#endif
