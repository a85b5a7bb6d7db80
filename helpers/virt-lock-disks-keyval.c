/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: "key=value,..." and JSON
 *
 * QEMU has two parsers for the former that differ in what they refuse; this
 * one takes what either takes. A comma in a value is doubled; a key without a
 * value is a switch, "no" before it turns it off; the last of two wins.
 */
#include <string.h>

#include "virt-lock-disks.h"

const char *keyval_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

char *keyval_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT,
                               json_integer_value(value));
    return g_strdup(json_string_value(value));
}

gboolean keyval_bool(const json_t *object, const char *key, gboolean otherwise)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    const json_t *value = json_object_get(object, key);

    if (json_is_boolean(value))
        return json_is_true(value);
    if (json_is_string(value))
        return g_strv_contains(yes, json_string_value(value));
    return otherwise;
}

void keyval_set(json_t *object, const char *key, const char *value)
{
    json_object_set_new_nocheck(object, key, json_string_nocheck(value));
}

static gboolean refuse(GError **error, const char *what, const char *reason)
{
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot understand '%s': %s", what, reason);
    return FALSE;
}

/* Up to a single comma; *@end is there. Two commas are one. */
static char *take_value(const char *text, const char **end)
{
    GString *value = g_string_new(NULL);
    const char *p = text;

    for (; *p && !(p[0] == ',' && p[1] != ','); p++) {
        g_string_append_c(value, *p);
        if (*p == ',')
            p++;
    }
    *end = p;
    return g_string_free(value, FALSE);
}

static void set_switch(json_t *object, const char *key)
{
    if (g_str_has_prefix(key, "no"))
        keyval_set(object, key + 2, "off");
    else
        keyval_set(object, key, "on");
}

static json_t *parse_flat(const char *text, const char *implied)
{
    json_t *object = json_object();
    const char *p = text;

    while (*p) {
        gsize length = strcspn(p, "=,");
        g_autofree char *key = g_strndup(p, length);

        if (p[length] == '=') {
            g_autofree char *value = take_value(p + length + 1, &p);
            keyval_set(object, key, value);
        } else if (p == text && implied) {
            g_autofree char *value = take_value(p, &p);
            keyval_set(object, implied, value);
        } else {
            set_switch(object, key);
            p += length;
        }
        if (*p)
            p++;
    }
    return object;
}

/* 'It''s' with double quotes: what stands in single quotes may have double
 * ones in it. */
static char *double_quotes(const char *text)
{
    GString *json = g_string_new(NULL);
    char quote = 0;

    for (const char *p = text; *p; p++) {
        if (*p == '\\' && p[1]) {
            if (p[1] != '\'')
                g_string_append_c(json, *p);
            g_string_append_c(json, *++p);
        } else if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? 0 : *p;
            g_string_append_c(json, '"');
        } else {
            if (quote && *p == '"')
                g_string_append_c(json, '\\');
            g_string_append_c(json, *p);
        }
    }
    return g_string_free(json, FALSE);
}

json_t *keyval_json(const char *what, const char *text, GError **error)
{
    json_error_t bad;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &bad);

    if (!value && strchr(text, '\'')) {
        g_autofree char *json = double_quotes(text);
        value = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    }
    if (json_is_object(value))
        return value;
    /* jansson's own sentence may quote the text, and a secret in it */
    refuse(error, what, value ? "it is not an object" : "it is not JSON");
    json_decref(value);
    return NULL;
}

json_t *keyval_parse(const char *what, const char *text, const char *implied,
                     GError **error)
{
    if (*text == '{')
        return keyval_json(what, text, error);
    return parse_flat(text, implied);
}

static json_t *nested(const char *what, const json_t *value, guint depth,
                      GError **error);

/* The object at @parts but the last, made where it is not there. */
static json_t *descend(json_t *object, char **parts)
{
    for (; object && parts[0] && parts[1]; parts++) {
        json_t *next = json_object_get(object, parts[0]);

        if (!next) {
            next = json_object();
            json_object_set_new_nocheck(object, parts[0], next);
        }
        object = json_is_object(next) ? next : NULL;
    }
    return object;
}

/* Sets what @key, which may have dots in it, stands for. Takes @value. */
static gboolean set_dotted(const char *what, json_t *object, const char *key,
                           json_t *value, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", DISKS_MAX_DEPTH + 1);
    guint count = g_strv_length(parts);
    json_t *inner = count <= DISKS_MAX_DEPTH ? descend(object, parts) : NULL;
    const char *last = count ? parts[count - 1] : "";
    json_t *old = json_object_get(inner, last);

    if (!inner || (old && json_typeof(old) != json_typeof(value))) {
        json_decref(value);
        return refuse(error, what,
                      count > DISKS_MAX_DEPTH
                          ? "it is nested too deeply"
                          : "an option is there twice, in different ways");
    }
    if (json_is_object(old)) {
        json_object_update(old, value);
        json_decref(value);
    } else {
        json_object_set_new_nocheck(inner, last, value);
    }
    return TRUE;
}

static json_t *nested_array(const char *what, const json_t *array, guint depth,
                            GError **error)
{
    g_autoptr(json_t) copy = json_array();
    const json_t *value;
    size_t i;

    json_array_foreach (array, i, value) {
        json_t *inner = nested(what, value, depth + 1, error);

        if (!inner)
            return NULL;
        json_array_append_new(copy, inner);
    }
    return g_steal_pointer(&copy);
}

static json_t *nested(const char *what, const json_t *value, guint depth,
                      GError **error)
{
    g_autoptr(json_t) copy = NULL;
    const char *key;
    json_t *member;

    if (depth > DISKS_MAX_DEPTH) {
        refuse(error, what, "it is nested too deeply");
        return NULL;
    }
    if (json_is_array(value))
        return nested_array(what, value, depth, error);
    if (!json_is_object(value))
        return json_deep_copy(value);
    copy = json_object();
    json_object_foreach ((json_t *)value, key, member) {
        json_t *inner = nested(what, member, depth + 1, error);

        if (!inner || !set_dotted(what, copy, key, inner, error))
            return NULL;
    }
    return g_steal_pointer(&copy);
}

json_t *keyval_nest(const char *what, const json_t *flat, GError **error)
{
    return nested(what, flat, 0, error);
}
