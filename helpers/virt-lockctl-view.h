/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what is shown again when it is another
 *
 * On a terminal one picture over the other, otherwise one after the other:
 * an empty line between two tables, JSON line by line.
 */
#ifndef VIRT_LOCKCTL_VIEW_H
#define VIRT_LOCKCTL_VIEW_H

#include "virt-lockctl.h"

/* Writes the picture to @out. @statuses: of all VMs, as query-status tells
 * them (json_t), sorted by name and uuid. @room: cells to fit into, or 0. */
typedef void ViewPrint(FILE *out, GPtrArray *statuses, const Request *request,
                       gpointer data, guint room);

/* Prints it once. FALSE and @error where not all could be asked. */
gboolean view_once(const Request *request, ViewPrint *print, gpointer data,
                   GError **error);

/*
 * view_run:
 * @interval_ms: it is looked at again after that time, too; -1: only when
 *   something has happened
 *
 * Returns when the user has had enough, or nobody reads it any more.
 */
gboolean view_run(const Request *request, int interval_ms, ViewPrint *print,
                  gpointer data, GError **error);

#endif
