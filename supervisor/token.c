/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see token.h. */
#include "token.h"

#include <string.h>
#include <sys/random.h>

#include "../libsupervise/qmp.h"

#define VERSION_WORD "v1"
#define SUM_DIGITS   8
#define BOOT_DIGITS  8
/* Of a token that is shown. */
#define SHOWN_MAX 160

enum { WORD_VERSION, DRIVER, UUID, GENERATION, OWNER, NONCE, SUM, N_PARTS };

void token_nonce(char nonce[TOKEN_NONCE + 1])
{
    guint64 number = 0;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = ((guint64)g_random_int() << 32) | g_random_int();
    g_snprintf(nonce, TOKEN_NONCE + 1, "%016" G_GINT64_MODIFIER "x", number);
}

static const char *string_of(const json_t *record, const char *name)
{
    const char *value = json_string_value(json_object_get(record, name));

    return value ? value : "";
}

static gint64 integer_of(const json_t *record, const char *name)
{
    return json_integer_value(json_object_get(record, name));
}

static char *sum_of(const char *text)
{
    g_autofree char *sum =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

    return g_strndup(sum, SUM_DIGITS);
}

static char *owner_of(const json_t *record)
{
    return g_strdup_printf("%.*s.%" G_GINT64_FORMAT ".%" G_GINT64_FORMAT,
                           BOOT_DIGITS, string_of(record, "boot-id"),
                           integer_of(record, "pid"),
                           integer_of(record, "start-time"));
}

char *token_new(const char *driver, const json_t *record)
{
    g_autofree char *owner = owner_of(record);
    g_autofree char *body = g_strdup_printf(
        VERSION_WORD ":%s:%s:%" G_GINT64_FORMAT ":%s:%s", driver,
        string_of(record, "uuid"), integer_of(record, "generation"), owner,
        string_of(record, "nonce"));
    g_autofree char *sum = sum_of(body);

    return g_strconcat(body, ":", sum, NULL);
}

static gboolean refuse(const char *text, QmpErrorCode code, const char *why,
                       GError **error)
{
    g_autofree char *shown =
        g_utf8_make_valid(text, (gssize)strnlen(text, SHOWN_MAX));

    for (char *c = shown; *c; c++) { /* it must not steer a terminal */
        if (g_ascii_iscntrl(*c))
            *c = '?';
    }
    g_set_error(error, QMP_ERROR, code, "cannot use state '%s': %s", shown,
                why);
    return FALSE;
}

/* Whole, and as token_new() made it; NULL-terminated parts, or NULL. */
static char **split(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", N_PARTS + 1);
    const char *last = strrchr(text, ':');
    g_autofree char *body = last ? g_strndup(text, last - text) : NULL;
    g_autofree char *sum = body ? sum_of(body) : NULL;

    if (g_strv_length(parts) != N_PARTS || g_strcmp0(parts[SUM], sum) != 0)
        return NULL;
    return g_steal_pointer(&parts);
}

/* Who holds the VM, and is it who gave the token, for this hand-over? */
static gboolean check_owner(const char *text, char **parts,
                            const json_t *record, GError **error)
{
    g_autofree char *owner = owner_of(record);
    gint64 generation = g_ascii_strtoll(parts[GENERATION], NULL, 10);
    const char *why = NULL;

    if (generation < integer_of(record, "generation"))
        why = "it is stale: the VM has changed hands since";
    else if (!g_str_equal(parts[OWNER], owner))
        why = "it is stale: it is of another start of the VM";
    else if (generation > integer_of(record, "generation"))
        why = "it is of a later generation than is known here";
    else if (!g_str_equal(parts[NONCE], string_of(record, "nonce")))
        why = "it is stale: that hand-over was cancelled";
    return !why || refuse(text, QMP_ERROR_BAD_ARGUMENT, why, error);
}

gboolean token_check(const char *text, const char *driver, const char *uuid,
                     const json_t *record, GError **error)
{
    g_auto(GStrv) parts = NULL;

    if (!g_str_has_prefix(text, VERSION_WORD ":"))
        return refuse(text, QMP_ERROR_BAD_ARGUMENT, "it is no state token",
                      error);
    parts = split(text);
    if (!parts)
        return refuse(text, QMP_ERROR_BAD_ARGUMENT,
                      "it is not whole (cut off, or altered on its way)",
                      error);
    if (!g_str_equal(parts[UUID], uuid))
        return refuse(text, QMP_ERROR_BAD_ARGUMENT, "it is of another VM",
                      error);
    if (!g_str_equal(parts[DRIVER], driver))
        return refuse(text, QMP_ERROR_BAD_ARGUMENT,
                      "it is of another lease driver", error);
    if (!record)
        return refuse(text, QMP_ERROR_WRONG_STATE,
                      "nobody is known to hold the VM (source and target need "
                      "one lockspace or state directory)",
                      error);
    return check_owner(text, parts, record, error);
}
