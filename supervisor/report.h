/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the supervisor tells its surroundings
 *
 * --pid-fd, --pid-file, --json-status-fd, the service manager (sd_notify(3))
 * and the log, in the journal or on standard error. Files and sockets are
 * opened before the child exists. After that nothing waits: a pipe or terminal
 * that takes no more loses the line, and what the journal does not take goes
 * to standard error.
 */
#ifndef SUPERVISOR_REPORT_H
#define SUPERVISOR_REPORT_H

#include <glib.h>
#include <sys/types.h>

#include "messages.h"

typedef enum {
    REPORT_ERROR,
    REPORT_WARNING,
    REPORT_INFO,
    REPORT_DEBUG,
} ReportLevel;

typedef enum {
    REPORT_TARGET_AUTO, /* the journal where standard error is the journal */
    REPORT_TARGET_STDERR,
    REPORT_TARGET_JOURNAL, /* an error where there is none */
} ReportTarget;

typedef struct {
    int pid_fd;           /* -1: none */
    int json_status_fd;   /* -1: none */
    const char *pid_file; /* NULL: none */
    const char *name;     /* of the VM; NULL before it is known */
    const char *uuid;
    ReportLevel level; /* the least important that is logged */
    ReportTarget target;
} ReportSpec;

typedef struct Report Report;

/* Strings of @spec must outlive the report. Takes NOTIFY_SOCKET out of the
 * environment. */
Report *report_new(const ReportSpec *spec, GError **error);
/* Closes --pid-fd (empty if no child was reported) and removes the pid
 * file. */
void report_free(Report *report);

/* Logs a sentence, where its @kind is important enough. @lease: the name of
 * the lease that it is about; NULL: of none. */
void report_log(Report *report, MessageKind kind, const char *lease,
                const char *format, ...) G_GNUC_PRINTF(4, 5);
/* The VM entered state @to, a static string: logs it, and tells the service
 * manager. */
void report_state(Report *report, const char *from, const char *to,
                  const char *reason);
/* It waits for a lease, @why: tells the service manager. */
void report_waiting(Report *report, const char *why);
/* It is ending, and more will be heard of it within @ms: the service manager
 * should not lose patience. */
void report_ending(Report *report, gint64 ms);
/* An error for the user where there is no report (yet). */
void report_print(const char *name, const char *sentence);

/* The child runs: everybody who asked is told. */
void report_child(Report *report, pid_t pid);
/* Another process is the child now. */
void report_adopted(Report *report, pid_t pid);
/* The last word will say so. */
void report_handed_over(Report *report);
/* The last word. @by_child: the status is the child's own. */
void report_exit(Report *report, int code, const char *reason,
                 gboolean by_child);

#endif
