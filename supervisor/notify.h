/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: words to the service manager, as sd_notify(3) sends them
 *
 * Should:  be opened before the child exists.
 * Mustn't: wait. What the manager does not take at once it does not get.
 */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include <glib.h>

/* A socket to whom NOTIFY_SOCKET names; -1 where that is nobody. Takes it out
 * of the environment: the child is not to speak for us. */
int notify_open(void);
/* Nothing where @fd is -1. FALSE where the manager did not take it. */
gboolean notify_send(int fd, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
