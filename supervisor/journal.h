/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: entries for the journal, in its own protocol
 *
 * An entry is one datagram of fields, to the socket that journald reads
 * (systemd.journal-fields(7), "Native Journal Protocol" of systemd).
 *
 * Why not g_log_writer_journald(): its socket blocks, so with a journal that
 * is stopped, or slower than we are, it would make us wait while a child is
 * to be killed; and it makes that socket, and a file in /dev/shm for what is
 * too long, when it is first used, which is after confinement.
 *
 * Should:  have everything open before the child exists.
 * Mustn't: wait. What the journal does not take at once it does not get.
 */
#ifndef SUPERVISOR_JOURNAL_H
#define SUPERVISOR_JOURNAL_H

#include <glib.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

typedef struct Journal Journal;

/* NULL and an error where nobody listens at @path. */
Journal *journal_new(const char *path, GError **error);
/* NULL is fine. */
void journal_free(Journal *journal);

/* TRUE where the journal reads what is written to @fd: JOURNAL_STREAM says
 * so (systemd.exec(5)). */
gboolean journal_reads(int fd);

/* Appends a field; @value may hold newlines. Nothing where it is NULL. */
void journal_add_field(GString *entry, const char *name, const char *value);
/* FALSE where the journal did not take it: it is full, or gone. One that was
 * started anew at the same path is found. */
gboolean journal_send(Journal *journal, const GString *entry);

#endif
