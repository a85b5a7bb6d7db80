/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a directory that is watched (inotify), be it there or not
 *
 * While it is not there the nearest one above it is watched. What has
 * happened is not told, only that something has.
 */
#ifndef VIRT_LOCKCTL_DIR_H
#define VIRT_LOCKCTL_DIR_H

#include <glib.h>

typedef struct DirWatch DirWatch;

/* @path: absolute */
DirWatch *dir_watch_new(const char *path, GError **error);
void dir_watch_free(DirWatch *watch);

/* Becomes readable when dir_watch_changed() may be TRUE. */
int dir_watch_fd(const DirWatch *watch);

/* TRUE where something in it has changed since it was asked last. @error is
 * set where it cannot be watched any more. */
gboolean dir_watch_changed(DirWatch *watch, GError **error);

#endif
