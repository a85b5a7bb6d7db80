/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see credentials.h. */
#include "credentials.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

/* -1 and -2 have meanings of their own for the kernel. */
#define MAX_ID (G_MAXUINT32 - 2)

static gboolean parse_id(const char *text, guint64 *id)
{
    return g_ascii_string_to_unsigned(text, 10, 0, MAX_ID, id, NULL);
}

gboolean credentials_group(const char *name, gid_t *gid, GError **error)
{
    const struct group *group = getgrnam(name);
    guint64 id;

    if (!group && !parse_id(name, &id)) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use group '%s': there is no such group", name);
        return FALSE;
    }
    *gid = group ? group->gr_gid : id;
    return TRUE;
}

/* @group: in place of the user's own; NULL: that one. */
static gboolean find_user(const char *name, const char *group, Credentials *c,
                          GError **error)
{
    const struct passwd *user = getpwnam(name);
    int n = 0;
    guint64 id;

    if (!user && parse_id(name, &id))
        user = getpwuid(id);
    if (!user) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use user '%s': there is no such user", name);
        return FALSE;
    }
    c->uid = user->pw_uid;
    if (!group)
        c->gid = user->pw_gid;
    getgrouplist(user->pw_name, c->gid, NULL, &n);
    c->groups = g_new0(gid_t, n);
    c->n_groups =
        getgrouplist(user->pw_name, c->gid, c->groups, &n) < 0 ? 0 : n;
    return TRUE;
}

Credentials *credentials_new(const char *user, const char *group,
                             GError **error)
{
    Credentials *c = g_new0(Credentials, 1);

    c->uid = getuid();
    if (group && !credentials_group(group, &c->gid, error))
        goto failed;
    if (user && !find_user(user, group, c, error))
        goto failed;
    return c;

failed:
    credentials_free(c);
    return NULL;
}

void credentials_free(Credentials *credentials)
{
    if (!credentials)
        return;
    g_free(credentials->groups);
    g_free(credentials);
}
