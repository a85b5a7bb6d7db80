/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what a lease is for
 *
 * The text forms that --disk and --lease, the control protocol and the
 * library share, and the struct that they become. Pure: touches no file.
 *
 *   disk    PATH[,readonly|,shared]              a comma in PATH is doubled
 *   lease   LOCKSPACE:KEY[:PATH[:OFFSET]]        "\:" and "\\" escape
 */
#ifndef LIBSUPERVISE_RESOURCE_H
#define LIBSUPERVISE_RESOURCE_H

#include <glib.h>

#define RESOURCE_KINDS(X)                                                      \
    X(VM, "vm")                                                                \
    X(DISK, "disk")                                                            \
    X(LEASE, "lease")

#define RESOURCE_MODES(X)                                                      \
    X(EXCLUSIVE, "exclusive")                                                  \
    X(SHARED, "shared")                                                        \
    X(READONLY, "readonly")

typedef enum {
#define X(id, name) RESOURCE_##id,
    RESOURCE_KINDS(X)
#undef X
} ResourceKind;

/* Exclusive excludes every other lease on the resource; shared (read-write)
 * and readonly exclude only exclusive ones. */
typedef enum {
#define X(id, name) RESOURCE_##id,
    RESOURCE_MODES(X)
#undef X
} ResourceMode;

/* QEMU locks bytes of this range in its images; no lease may lie there. */
#define RESOURCE_QEMU_FIRST  100
#define RESOURCE_QEMU_WRITE  101 /* to 199: does more to it than read */
#define RESOURCE_QEMU_FORBID 200 /* to 299: does not let others do it */
#define RESOURCE_QEMU_END    300
/* What lies behind it is the claim bytes': docs/file-protocol.md. */
#define RESOURCE_OFFSET_MAX ((G_GUINT64_CONSTANT(1) << 62) - 1)

typedef struct {
    ResourceKind kind;
    ResourceMode mode;
    char *name;      /* as users see it: path, escaped "LOCKSPACE:KEY", uuid */
    char *path;      /* absolute; NULL: a lock file in the state directory */
    char *lockspace; /* of kind LEASE, else NULL */
    char *key;       /* of kind LEASE, else NULL */
    guint64 offset;  /* byte of PATH that is locked; 0 for disks */
} Resource;

/* Each returns a new resource, resource_free() it; BAD_ARGUMENT with a
 * sentence where @text is not of that form. Relative paths are taken from
 * the current directory. */
Resource *resource_parse_disk(const char *text, GError **error);
Resource *resource_parse_lease(const char *text, GError **error);
/* The text that these two parse, newly allocated. A lease's mode is no part of
 * it. */
char *resource_format(const Resource *resource);
/* Appends @part of a lease's text, with backslashes where they are needed. */
void resource_append_escaped(GString *text, const char *part);
/* A disk by its plain path, no grammar. */
Resource *resource_new_disk(const char *path, ResourceMode mode,
                            GError **error);
/* A lease without a path. */
Resource *resource_new_lease(const char *lockspace, const char *key,
                             ResourceMode mode, GError **error);
/* The VM's own lease. */
Resource *resource_new_vm(const char *uuid);
Resource *resource_copy(const Resource *resource);
void resource_free(Resource *resource);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Resource, resource_free)

const char *resource_kind_name(ResourceKind kind);
const char *resource_mode_name(ResourceMode mode);
/* FALSE and BAD_ARGUMENT where @name is no mode. */
gboolean resource_mode_parse(const char *name, ResourceMode *mode,
                             GError **error);

#endif
