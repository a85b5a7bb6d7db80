/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the commands of the control socket
 *
 * One table says what there is: dispatch, the check of the arguments, who may
 * do it, in which states it makes sense, query-commands and the manual page
 * virt-lock-protocol(7) all come from it.
 */
#ifndef SUPERVISOR_VERBS_H
#define SUPERVISOR_VERBS_H

#include "control.h"
#include "supervisor.h"

#define VERB_MAX_ARGUMENTS 6

typedef struct {
    const char *name;
    json_type type; /* JSON_TRUE stands for a boolean, JSON_REAL for any
                       number */
    gboolean required;
    const char *doc;
} VerbArgument;

typedef struct {
    const char *name;
    gboolean changes; /* more than a query: not for every peer */
    guint states;     /* mask of 1 << MachineState it is allowed in */
    void (*run)(Supervisor *supervisor, Request *request,
                const json_t *arguments);
    const char *doc;
    const char *returns;
    VerbArgument arguments[VERB_MAX_ARGUMENTS];
} Verb;

/* For Control: runs a command, answers with an error where it may not. */
void verbs_run(gpointer supervisor, Request *request, const char *name,
               json_t *arguments);

/* FALSE and BAD_ARGUMENT where @arguments (an object, or NULL) are not those
 * that the table has for @verb. */
gboolean verb_check_arguments(const Verb *verb, json_t *arguments,
                              GError **error);

/* The @i-th of all commands, from 0; NULL where there is none. */
const Verb *verbs_at(gsize i);
/* verbs_migrate.c: its part of the table; @n is set to its length. */
const Verb *verbs_migrate(gsize *n);

#endif
