/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: virt-lockctl's rooms
 *
 *   virt-lockctl.c         command line, table of commands, exit status
 *   virt-lockctl-arguments.c  ... as it was typed
 *   virt-lockctl-query.c   status, child, leases
 *   virt-lockctl-list.c    list, once and --watch
 *   virt-lockctl-top.c     top
 *   virt-lockctl-view.c    ... shown again and again
 *   virt-lockctl-screen.c  ... on a terminal
 *   virt-lockctl-herd.c    all supervisors, those that come included
 *   virt-lockctl-herd-silent.c  ... those that cannot be asked
 *   virt-lockctl-herd-wait.c  ... what is waited for
 *   virt-lockctl-arrivals.c  ... called, but without an answer
 *   virt-lockctl-refusals.c  ... not worth a call
 *   virt-lockctl-unleased.c  unleased, and what leases says of it
 *   virt-lockctl-proc.c    ... processes
 *   virt-lockctl-change.c  acquire, release, revoke, shutdown, quit
 *   virt-lockctl-migrate.c  migrate-prepare, -complete, -cancel
 *   virt-lockctl-events.c  events
 *   virt-lockctl-holder.c  holder: whom it asks, and what it says
 *   virt-lockctl-holder-locks.c  ... what the locks say
 *   virt-lockctl-print.c   how things look
 *   virt-lockctl-table.c   ... tables
 *   virt-lockctl-hint.c    what to type after an error
 *
 * A command prints its answer and returns TRUE, or sets an error that main()
 * prints; FALSE without an error is a "no" that was said already.
 */
#ifndef VIRT_LOCKCTL_H
#define VIRT_LOCKCTL_H

#include <glib.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "client.h"
#include "resource.h"

typedef struct {
    const char *command; /* static */
    char *run_dir;
    gboolean run_dir_given; /* it is not the default */
    char *state_dir;        /* as given; NULL for the default */
    char *lockspace;        /* absolute; or NULL */
    char *target;           /* VM or PATH, or NULL */
    int call_ms;            /* deadline for every answer, milliseconds */
    int timeout_ms;         /* as given; -1 if it was not */
    gboolean json;
    gboolean force;
    gboolean watch;
    gboolean follow;
    int interval_ms; /* of top */
    char *reason;    /* or NULL */
    Resource *disk;  /* or NULL */
    char *uri;       /* of the other side of a hand-over, or NULL */
    gboolean in, cancel, wait, active; /* of migrate-complete; or out */
} Request;

typedef gboolean CommandFunc(const Request *request, GError **error);

CommandFunc command_list, command_status, command_child, command_leases;
CommandFunc command_acquire, command_release, command_revoke;
CommandFunc command_shutdown, command_quit;
CommandFunc command_migrate_prepare, command_migrate_complete;
CommandFunc command_migrate_cancel;
CommandFunc command_events, command_holder, command_unleased, command_top;

/* The error's sentence, and what to type next where there is something;
 * newly allocated. */
char *with_hint(const Request *request, const GError *error);
/* As it is typed in a shell, newly allocated. */
char *shell_word(const char *word);

/* Connects to the VM that is the target. */
Client *request_connect(const Request *request, GError **error);
/* Calls @command, which ends the VM, and waits until that is done, for
 * @timeout_ms at most, -1 for ever. Takes @arguments. */
gboolean request_end(const Request *request, const char *command,
                     json_t *arguments, int timeout_ms, GError **error);

typedef enum {
    FINDING_FREE,
    FINDING_HELD,
    FINDING_EXITING, /* its supervisor is killed, or ends it; it lives yet */
    FINDING_QEMU,    /* nobody holds it, but a QEMU has it open */
} FindingKind;

typedef struct {
    FindingKind kind;
    json_t *holder; /* a record; NULL where nobody is known */
    guint byte;     /* of FINDING_QEMU: which of its lock bytes is held */
} Finding;

/* What locks and records say of the disk, for holders that cannot be asked;
 * @st is of the disk, or NULL where it is not there. The caller owns the
 * holder. FALSE where nobody was found, but not everything could be looked
 * at. */
gboolean look_at_locks(const Request *request, const struct stat *st,
                       Finding *finding, GError **error);

/* Appends to @found, an array, what the VM's processes write to without a
 * lease of @leases; FALSE where not everything could be looked at. */
gboolean find_unleased(Client *client, const json_t *leases, json_t *found,
                       GError **error);
/* One of them for people, newly allocated. */
char *unleased_sentence(const json_t *item);

/* Writes what has been printed; FALSE and @error where it could not be. To be
 * called before anything else can have changed errno. */
gboolean flush_answer(GError **error);
/* @value as JSON on stdout: indented, or in one line. */
void print_json(const json_t *value, gboolean one_line);
/* @objects (of json_t) as an array. */
void dump_objects(FILE *out, const GPtrArray *objects, gboolean one_line);
/* Rows are arrays of @columns (two at least) strings, the first one is the
 * header; columns are aligned and the last one is not padded. A row of one
 * string is a note on the row above it. @room: cells of the terminal that it
 * has to fit into, for which names and uuids are shortened; or 0. */
void print_table(FILE *out, const GPtrArray *rows, guint columns, guint room);
/* A table of @objects (of json_t): the text of @fields below @header, and a
 * note for each of @notes that there is; all three end with NULL. */
void print_objects(FILE *out, const GPtrArray *objects,
                   const char *const *header, const char *const *fields,
                   const char *const *notes, guint room);
/* A state or status, in its colour or not. */
void print_state(FILE *out, const char *word, gboolean colours);
/* TRUE where stdout is a terminal that can show them, and its user has
 * nothing against it (NO_COLOR). */
gboolean wants_colours(void);
/* "3d4h", "4h12m", "12m", "45s"; newly allocated. */
char *short_age(gint64 seconds);
/* @text with what could steer a terminal, or is not seen on it, replaced; newly
 * allocated. */
char *printable(const char *text);
/* Local date and time of @seconds since the epoch, newly allocated; "-" for
 * none. */
char *local_time(gint64 seconds);
/* "a, b, c" with @separator ", ", newly allocated; "-" for none. */
char *joined(const json_t *array, const char *separator);
/* A field as text, newly allocated; "-" where it is missing. */
char *field_text(const json_t *object, const char *name);

#endif
