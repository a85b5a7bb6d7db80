/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: virt-lockctl's rooms
 *
 *   virt-lockctl.c         command line, table of commands, exit status
 *   virt-lockctl-query.c   list, status, child, leases
 *   virt-lockctl-change.c  acquire, release, revoke, shutdown, quit
 *   virt-lockctl-events.c  events
 *   virt-lockctl-holder.c  holder
 *   virt-lockctl-print.c   how things look
 *
 * A command prints its answer and returns TRUE, or sets an error that main()
 * prints; FALSE without an error is a "no" that was said already.
 */
#ifndef VIRT_LOCKCTL_H
#define VIRT_LOCKCTL_H

#include <glib.h>
#include <jansson.h>
#include <time.h>

#include "client.h"
#include "resource.h"

typedef struct {
    char *run_dir;
    char *state_dir; /* as given; NULL for the default */
    char *target;    /* VM or PATH, or NULL */
    int call_ms;     /* deadline for every answer, milliseconds */
    gint64 timeout;  /* as given, seconds; -1 if it was not */
    gboolean json;
    gboolean force;
    char *reason;   /* or NULL */
    Resource *disk; /* or NULL */
} Request;

typedef gboolean CommandFunc(const Request *request, GError **error);

CommandFunc command_list, command_status, command_child, command_leases;
CommandFunc command_acquire, command_release, command_revoke;
CommandFunc command_shutdown, command_quit;
CommandFunc command_events, command_holder;

/* Connects to the VM that is the target. */
Client *request_connect(const Request *request, GError **error);

/* @value as JSON on stdout: indented, or in one line. */
void print_json(const json_t *value, gboolean one_line);
/* Rows are arrays of @columns strings, the first one is the header; columns
 * are aligned and the last one is not padded. */
void print_table(const GPtrArray *rows, guint columns);
/* @text with what could steer a terminal replaced; newly allocated. */
char *printable(const char *text);
/* Local date and time of @seconds since the epoch, newly allocated; "-" for
 * none. */
char *local_time(gint64 seconds);
/* A field as text, newly allocated; "-" where it is missing. */
char *field_text(const json_t *object, const char *name);

#endif
