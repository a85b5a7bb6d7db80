/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: g_unix_fd_add() for functions that never run the loop themselves
 *
 * A source that may recurse is not taken out of the poll set while its
 * function runs, which otherwise wakes the loop once more each time.
 */
#ifndef SUPERVISOR_WATCH_H
#define SUPERVISOR_WATCH_H

#include <glib-unix.h>

/* Returns the source's id, for g_source_remove(). */
static inline guint watch_fd(int fd, GIOCondition condition,
                             GUnixFDSourceFunc function, gpointer data)
{
    GSource *source = g_unix_fd_source_new(fd, condition);
    guint id;

    g_source_set_callback(source, (GSourceFunc)(void (*)(void))function, data,
                          NULL);
    g_source_set_can_recurse(source, TRUE);
    id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}

#endif
