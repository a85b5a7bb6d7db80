/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?QUERY]
 *
 * GUri is stricter than what QEMU takes (iSCSI has user%password, ports may
 * be names), and a URI that is refused here would be a disk that is missed.
 */
#include <string.h>

#include "virt-lock-disks.h"

/* A percent sign that is not one of an escape stays. */
static char *decoded(const char *text, gsize length)
{
    GString *out = g_string_new(NULL);

    for (gsize i = 0; i < length; i++) {
        int high = -1, low = -1;

        if (text[i] == '%' && i + 2 < length) {
            high = g_ascii_xdigit_value(text[i + 1]);
            low = g_ascii_xdigit_value(text[i + 2]);
        }
        if (high >= 0 && low >= 0 && (high || low)) {
            g_string_append_c(out, (char)(high * 16 + low));
            i += 2;
        } else {
            g_string_append_c(out, text[i]);
        }
    }
    return g_string_free(out, FALSE);
}

/* "HOST:PORT", the host perhaps in brackets. */
static void set_authority(Uri *uri, const char *text, gsize length)
{
    const char *end = text + length, *colon = NULL;
    const char *at = memrchr(text, '@', length);

    if (at)
        text = at + 1;
    if (*text == '[') {
        const char *close = memchr(text, ']', end - text);

        if (close) {
            uri->host = decoded(text + 1, close - text - 1);
            colon = close + 1 < end && close[1] == ':' ? close + 1 : NULL;
        }
    }
    if (!uri->host) {
        colon = memrchr(text, ':', end - text);
        uri->host = decoded(text, (colon ? colon : end) - text);
    }
    if (colon && colon + 1 < end)
        uri->port = g_strndup(colon + 1, end - colon - 1);
}

Uri *uri_parse(const char *text)
{
    const char *colon = strstr(text, "://"), *rest;
    g_autoptr(Uri) uri = NULL;
    gsize length;

    if (!colon || colon == text)
        return NULL;
    uri = g_new0(Uri, 1);
    uri->scheme = g_ascii_strdown(text, colon - text);
    rest = colon + 3;
    length = strcspn(rest, "/?#");
    set_authority(uri, rest, length);
    rest += length;
    length = strcspn(rest, "?#");
    uri->path = decoded(rest, length);
    rest += length;
    if (*rest == '?')
        uri->query = g_strndup(rest + 1, strcspn(rest + 1, "#"));
    return g_steal_pointer(&uri);
}

char *uri_parameter(const Uri *uri, const char *name)
{
    g_auto(GStrv) parts = NULL;

    if (!uri->query)
        return NULL;
    parts = g_strsplit_set(uri->query, "&;", -1);
    for (char **part = parts; *part; part++) {
        gsize length = strcspn(*part, "=");
        g_autofree char *key = decoded(*part, length);

        if (g_str_equal(key, name) && (*part)[length])
            return decoded(*part + length + 1, strlen(*part + length + 1));
    }
    return NULL;
}

void uri_free(Uri *uri)
{
    if (!uri)
        return;
    g_free(uri->scheme);
    g_free(uri->host);
    g_free(uri->path);
    g_free(uri->port);
    g_free(uri->query);
    g_free(uri);
}
