/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what values can be
 *
 * The supervisor checks its options by these, and the library the parameters
 * that become these options. Pure. Each returns NULL, or why it cannot be, a
 * clause.
 */
#ifndef LIBSUPERVISE_SETTINGS_H
#define LIBSUPERVISE_SETTINGS_H

#include <glib.h>

/* Of a VM. */
const char *settings_name(const char *text);
/* A time, with a fraction; *@ms is set to milliseconds. */
const char *settings_seconds(const char *text, gint64 *ms);
/* *@level is set to a ReportLevel, in its order; NULL: which one does not
 * matter. */
const char *settings_log_level(const char *text, int *level);
/* *@target: likewise, to a ReportTarget. */
const char *settings_log_target(const char *text, int *target);

#endif
