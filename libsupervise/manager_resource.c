/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what a VM needs: resources, as both documents describe them. */
#include "manager_internal.h"

static gboolean mode_of(unsigned int flags, ResourceMode *mode, GError **error)
{
    const unsigned int both =
        VIR_LOCK_MANAGER_RESOURCE_READONLY | VIR_LOCK_MANAGER_RESOURCE_SHARED;

    if (flags & ~both || flags == both)
        return manager_bad(error,
                           "cannot use a resource with flags %#x: it "
                           "is exclusive (0), readonly or shared",
                           flags);
    *mode = flags & VIR_LOCK_MANAGER_RESOURCE_READONLY ? RESOURCE_READONLY
            : flags & VIR_LOCK_MANAGER_RESOURCE_SHARED ? RESOURCE_SHARED
                                                       : RESOURCE_EXCLUSIVE;
    return TRUE;
}

Resource *manager_resource(unsigned int type, const char *name,
                           unsigned int flags, GError **error)
{
    ResourceMode mode = RESOURCE_EXCLUSIVE;
    Resource *resource = NULL;

    if (!name) {
        manager_bad(error, "cannot use a resource: its name is NULL");
        return NULL;
    }
    if (!mode_of(flags, &mode, error))
        return NULL;
    if (type == VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE) {
        resource = resource_parse_lease(name, error);
        if (resource)
            resource->mode = mode;
    } else if (type != VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK) {
        manager_bad(error,
                    "cannot use a resource of type %u: it is neither a "
                    "disk nor a lease",
                    type);
    } else if (*name != '/') {
        g_autofree char *shown = g_utf8_make_valid(name, -1);

        manager_bad(error, "cannot use disk '%s': the path is not absolute",
                    shown);
    } else {
        resource = resource_new_disk(name, mode, error);
    }
    return resource;
}

const Resource *manager_find(const GPtrArray *resources,
                             const Resource *resource)
{
    for (guint i = 0; i < resources->len; i++) {
        const Resource *other = g_ptr_array_index(resources, i);

        if (other->kind == resource->kind &&
            g_str_equal(other->name, resource->name))
            return other;
    }
    return NULL;
}

/* Takes @resource, which may be NULL with @error set. */
static gboolean add_resource(virLockManagerPtr manager, Resource *resource,
                             GError **error)
{
    gboolean starts = manager->phase == PHASE_PREPARING;
    GPtrArray *list = starts ? manager->resources : manager->added;

    if (!resource)
        return FALSE;
    if (manager_find(list, resource))
        manager_bad(error, "cannot use '%s': it is registered already",
                    resource->name);
    else if (starts && resource->kind == RESOURCE_LEASE &&
             resource->mode != RESOURCE_EXCLUSIVE)
        g_set_error(error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED,
                    "cannot register lease '%s': before the start it can only "
                    "be exclusive",
                    resource->name);
    else {
        g_ptr_array_add(list, resource);
        return TRUE;
    }
    resource_free(resource);
    return FALSE;
}

int virLockManagerRegisterResource(virLockManagerPtr manager, unsigned int type,
                                   const char *name, unsigned int flags)
{
    GError *error = NULL;

    if (manager_enter(manager, "register a resource of", PHASE_PREPARING, 0, 0,
                      &error) &&
        manager_can(manager, VIR_LOCK_MANAGER_CAPABILITY_RESOURCES,
                    "register a resource of", &error))
        add_resource(manager, manager_resource(type, name, flags, &error),
                     &error);
    return manager_result(manager, error);
}

typedef struct {
    char *lockspace, *path, *offset;
} LeaseParams;

static gboolean read_lease_param(LeaseParams *out,
                                 const virLockManagerParam *param,
                                 GError **error)
{
    char **where = !param->key                            ? NULL
                   : g_str_equal(param->key, "lockspace") ? &out->lockspace
                   : g_str_equal(param->key, "path")      ? &out->path
                   : g_str_equal(param->key, "offset")    ? &out->offset
                                                          : NULL;
    char *text = where ? param_text(param) : NULL;

    if (!text)
        return manager_bad(error,
                           "cannot use a lease with parameter '%s': it "
                           "is none of lockspace, path and offset, or "
                           "has no value",
                           param->key ? param->key : "");
    g_free(*where);
    *where = text;
    return TRUE;
}

/* The text form of a lease, "LOCKSPACE:KEY[:PATH[:OFFSET]]", new. */
static char *lease_text(const LeaseParams *params, const char *key)
{
    GString *text = g_string_new(NULL);

    resource_append_escaped(text,
                            params->lockspace ? params->lockspace : "default");
    g_string_append_c(text, ':');
    resource_append_escaped(text, key);
    if (params->path) {
        g_string_append_c(text, ':');
        resource_append_escaped(text, params->path);
    }
    if (params->offset)
        g_string_append_printf(text, ":%s", params->offset);
    return g_string_free(text, FALSE);
}

static Resource *lease_of(const char *key, size_t nparams,
                          const virLockManagerParam *params, unsigned int flags,
                          GError **error)
{
    LeaseParams given = {0};
    Resource *resource = NULL;
    gboolean known = TRUE;

    for (size_t i = 0; i < nparams && known; i++)
        known = read_lease_param(&given, &params[i], error);
    if (known && given.path && *given.path != '/') {
        manager_bad(error, "cannot use lease '%s': its path is not absolute",
                    key);
    } else if (known && given.offset && !given.path) {
        manager_bad(error, "cannot use lease '%s': an offset needs a path",
                    key);
    } else if (known) {
        g_autofree char *text = lease_text(&given, key);

        resource = manager_resource(VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE, text,
                                    flags, error);
    }
    g_free(given.lockspace);
    g_free(given.path);
    g_free(given.offset);
    return resource;
}

static Resource *described(unsigned int type, const char *name, size_t nparams,
                           const virLockManagerParam *params,
                           unsigned int flags, GError **error)
{
    if (nparams > 0 && !params)
        manager_bad(error, "cannot use a resource: its parameters are NULL");
    else if (name && type == VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE)
        return lease_of(name, nparams, params, flags, error);
    else if (nparams > 0)
        manager_bad(error, "cannot use '%s': a disk has no parameters",
                    name ? name : "");
    else
        return manager_resource(type, name, flags, error);
    return NULL;
}

int virLockManagerAddResource(virLockManagerPtr manager, unsigned int type,
                              const char *name, size_t nparams,
                              const virLockManagerParam *params,
                              unsigned int flags)
{
    GError *error = NULL;

    if (manager_enter(manager, "add a resource to",
                      PHASE_PREPARING | PHASE_STARTED, 0, 0, &error) &&
        manager_can(manager, VIR_LOCK_MANAGER_CAPABILITY_RESOURCES,
                    "add a resource to", &error))
        add_resource(manager,
                     described(type, name, nparams, params, flags, &error),
                     &error);
    return manager_result(manager, error);
}
