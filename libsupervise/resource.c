/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see resource.h. */
#include "resource.h"

#include <limits.h>
#include <string.h>

#include "qmp.h"

static const char *const kind_names[] = {
#define X(id, name) [RESOURCE_##id] = name,
    RESOURCE_KINDS(X)
#undef X
};

static const char *const mode_names[] = {
#define X(id, name) [RESOURCE_##id] = name,
    RESOURCE_MODES(X)
#undef X
};

const char *resource_kind_name(ResourceKind kind)
{
    return kind_names[kind];
}

const char *resource_mode_name(ResourceMode mode)
{
    return mode_names[mode];
}

gboolean resource_mode_parse(const char *name, ResourceMode *mode,
                             GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(mode_names); i++) {
        if (g_str_equal(name, mode_names[i])) {
            *mode = i;
            return TRUE;
        }
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use mode '%s': it is none of exclusive, shared, "
                "readonly",
                name);
    return FALSE;
}

static gboolean has_dots(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);

    return g_strv_contains((const char *const *)names, "..");
}

/* The path that the kernel will be asked for: absolute, UTF-8, not too long.
 * An absolute one stays as it is given: its SHA-256 is a name that other
 * hosts and virtlockd know, and "x/.." need not be where it seems to be. */
static char *checked_path(const char *path, GError **error)
{
    const char *reason = NULL;

    if (!*path)
        reason = "the path is empty";
    else if (!g_utf8_validate(path, -1, NULL))
        reason = "the path is not UTF-8";
    else if (strlen(path) >= PATH_MAX)
        reason = "the path is too long";
    if (!reason) {
        g_autofree char *here = *path == '/' ? NULL : g_get_current_dir();
        g_autofree char *full = *path == '/' ? g_strdup(path)
                                : has_dots(path)
                                    ? g_build_filename(here, path, NULL)
                                    : g_canonicalize_filename(path, here);

        if (strlen(full) < PATH_MAX)
            return g_steal_pointer(&full);
        reason = "the path is too long";
    }
    g_autofree char *shown = g_utf8_make_valid(path, MIN(strlen(path), 80));
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use disk '%s': %s", shown, reason);
    return NULL;
}

Resource *resource_new_disk(const char *path, ResourceMode mode, GError **error)
{
    g_autofree char *full = checked_path(path, error);
    Resource *resource;

    if (!full)
        return NULL;
    resource = g_new0(Resource, 1);
    resource->kind = RESOURCE_DISK;
    resource->mode = mode;
    resource->name = g_strdup(full);
    resource->path = g_steal_pointer(&full);
    return resource;
}

Resource *resource_new_vm(const char *uuid)
{
    Resource *resource = g_new0(Resource, 1);

    resource->kind = RESOURCE_VM;
    resource->name = g_strdup(uuid);
    return resource;
}

Resource *resource_parse_disk(const char *text, GError **error)
{
    g_autoptr(GString) path = g_string_new(NULL);
    ResourceMode mode = RESOURCE_EXCLUSIVE;
    const char *p = text;

    for (; *p && !(p[0] == ',' && p[1] != ','); p++) {
        g_string_append_c(path, *p);
        if (*p == ',')
            p++;
    }
    if (*p) {
        mode = RESOURCE_SHARED;
        if (g_str_equal(p, ",readonly"))
            mode = RESOURCE_READONLY;
        else if (!g_str_equal(p, ",shared")) {
            g_autofree char *shown = g_utf8_make_valid(p + 1, -1);
            g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                        "cannot use disk '%s': ',%s' is neither ',readonly' "
                        "nor ',shared' (a comma in the path is doubled)",
                        path->str, shown);
            return NULL;
        }
    }
    return resource_new_disk(path->str, mode, error);
}

/* Splits at each colon that is not escaped. */
static GPtrArray *split_escaped(const char *text)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) part = g_string_new(NULL);

    for (const char *p = text;; p++) {
        if (*p == ':' || !*p) {
            g_ptr_array_add(parts, g_strdup(part->str));
            g_string_truncate(part, 0);
            if (!*p)
                return parts;
            continue;
        }
        if (*p == '\\' && (p[1] == ':' || p[1] == '\\'))
            p++;
        g_string_append_c(part, *p);
    }
}

void resource_append_escaped(GString *text, const char *part)
{
    for (; *part; part++) {
        if (*part == ':' || *part == '\\')
            g_string_append_c(text, '\\');
        g_string_append_c(text, *part);
    }
}

/* "LOCKSPACE:KEY", escaped: no two leases have one name. */
static char *lease_name(const char *lockspace, const char *key)
{
    GString *name = g_string_new(NULL);

    resource_append_escaped(name, lockspace);
    g_string_append_c(name, ':');
    resource_append_escaped(name, key);
    return g_string_free(name, FALSE);
}

Resource *resource_new_lease(const char *lockspace, const char *key,
                             ResourceMode mode, GError **error)
{
    Resource *resource;

    if (!*lockspace || !*key || !g_utf8_validate(lockspace, -1, NULL) ||
        !g_utf8_validate(key, -1, NULL)) {
        g_autofree char *space = g_utf8_make_valid(lockspace, -1);
        g_autofree char *shown = g_utf8_make_valid(key, -1);

        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use lease '%s:%s': lockspace and key must be "
                    "UTF-8 and not empty",
                    space, shown);
        return NULL;
    }
    resource = g_new0(Resource, 1);
    resource->kind = RESOURCE_LEASE;
    resource->mode = mode;
    resource->name = lease_name(lockspace, key);
    resource->lockspace = g_strdup(lockspace);
    resource->key = g_strdup(key);
    return resource;
}

static gboolean parse_offset(const char *text, guint64 *offset)
{
    return g_ascii_string_to_unsigned(text, 10, 0, RESOURCE_OFFSET_MAX, offset,
                                      NULL) &&
           (*offset < RESOURCE_QEMU_FIRST || *offset >= RESOURCE_QEMU_END);
}

Resource *resource_parse_lease(const char *text, GError **error)
{
    g_autoptr(GPtrArray) parts = split_escaped(text);
    char **part = (char **)parts->pdata;
    g_autoptr(Resource) resource = g_new0(Resource, 1);
    const char *reason = NULL;

    if (!g_utf8_validate(text, -1, NULL))
        reason = "it is not UTF-8";
    else if (parts->len < 2 || parts->len > 4 || !*part[0] || !*part[1])
        reason = "it is not LOCKSPACE:KEY[:PATH[:OFFSET]]";
    else if (parts->len > 2 && !*part[2])
        reason = "its path is empty";
    else if (parts->len == 4 && !parse_offset(part[3], &resource->offset))
        reason = "the offset is not a number below 2^62, or lies in 100-299, "
                 "which are "
                 "QEMU's own lock bytes";
    if (reason) {
        g_autofree char *shown = g_utf8_make_valid(text, -1);
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use lease '%s': %s", shown, reason);
        return NULL;
    }
    if (parts->len > 2) {
        resource->path = checked_path(part[2], error);
        if (!resource->path)
            return NULL;
    }
    resource->kind = RESOURCE_LEASE;
    resource->lockspace = g_strdup(part[0]);
    resource->key = g_strdup(part[1]);
    resource->name = lease_name(part[0], part[1]);
    return g_steal_pointer(&resource);
}

char *resource_format(const Resource *resource)
{
    GString *text = g_string_new(NULL);

    if (resource->kind == RESOURCE_DISK) {
        for (const char *p = resource->path; *p; p++)
            g_string_append(text, *p == ',' ? ",," : (char[]){*p, 0});
        if (resource->mode != RESOURCE_EXCLUSIVE)
            g_string_append_printf(text, ",%s",
                                   resource_mode_name(resource->mode));
        return g_string_free(text, FALSE);
    }
    g_string_append(text, resource->name);
    if (resource->path) {
        g_string_append_c(text, ':');
        resource_append_escaped(text, resource->path);
        g_string_append_printf(text, ":%" G_GUINT64_FORMAT, resource->offset);
    }
    return g_string_free(text, FALSE);
}

Resource *resource_copy(const Resource *resource)
{
    Resource *copy = g_new0(Resource, 1);

    *copy = *resource;
    copy->name = g_strdup(resource->name);
    copy->path = g_strdup(resource->path);
    copy->lockspace = g_strdup(resource->lockspace);
    copy->key = g_strdup(resource->key);
    return copy;
}

void resource_free(Resource *resource)
{
    if (!resource)
        return;
    g_free(resource->name);
    g_free(resource->path);
    g_free(resource->lockspace);
    g_free(resource->key);
    g_free(resource);
}
