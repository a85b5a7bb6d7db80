/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: user and group names of the command line, looked up
 *
 * Asks the name service, which may read files, load modules and wait: so it
 * is done first, before there is anything to lose.
 */
#ifndef SUPERVISOR_CREDENTIALS_H
#define SUPERVISOR_CREDENTIALS_H

#include <glib.h>
#include <sys/types.h>

typedef struct {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary */
    gsize n_groups;
} Credentials;

/* What --user and --group (names or numbers, one of them may be NULL) stand
 * for: a user brings its groups, a group replaces the user's own. */
Credentials *credentials_new(const char *user, const char *group,
                             GError **error);
void credentials_free(Credentials *credentials);

gboolean credentials_group(const char *name, gid_t *gid, GError **error);

#endif
