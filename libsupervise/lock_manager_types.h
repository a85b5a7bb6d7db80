/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the types of the lock manager API, see lock_manager.h, which includes it
 */
#ifndef LIBSUPERVISE_LOCK_MANAGER_TYPES_H
#define LIBSUPERVISE_LOCK_MANAGER_TYPES_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A plug-in: how leases are taken. RFC, which does not say what it is. */
typedef struct virLockManagerDriver virLockManagerDriver;
typedef virLockManagerDriver *virLockManagerDriverPtr;

/* A lock manager: one VM, whose supervisor it speaks to. RFC. */
typedef struct virLockManager virLockManager;
typedef virLockManager *virLockManagerPtr;

/* How a resource is used; neither: exclusively, for writing. RFC. */
typedef enum {
    VIR_LOCK_MANAGER_RESOURCE_READONLY = (1 << 0),
    VIR_LOCK_MANAGER_RESOURCE_SHARED = (1 << 1), /* shared, for writing */
    /* ReleaseResource: it is unplugged, seen or not. Extension. */
    VIR_LOCK_MANAGER_RESOURCE_FORCE = (1 << 2)
} virLockManagerResourceFlags;

/* What a resource is. RFC; LEASE: DESIGN. */
typedef enum {
    VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK = 0, /* an absolute path */
    VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE = 1 /* a name: see AddResource */
} virLockManagerResourceType;

/* What is supervised: one thing, by the name of each document. */
typedef enum {
    VIR_LOCK_MANAGER_NEW_DOMAIN = 0,    /* RFC */
    VIR_LOCK_MANAGER_START_DOMAIN = 0,  /* USAGE */
    VIR_LOCK_MANAGER_OBJECT_DOMAIN = 0, /* USAGE */
    VIR_LOCK_MANAGER_TYPE_DOMAIN = 0    /* DESIGN */
} virLockManagerNewType;

/* RFC. */
typedef enum {
    VIR_LOCK_MANAGER_NEW_MIGRATE = (1 << 0), /* the VM comes from elsewhere */
    VIR_LOCK_MANAGER_NEW_ATTACH = (1 << 1)   /* it runs already */
} virLockManagerNewFlags;

/* RFC. */
typedef enum {
    VIR_LOCK_MANAGER_MIGRATE_CANCEL = (1 << 0) /* it stays where it was */
} virLockManagerCompleteMigrateFlags;

/* DESIGN. */
typedef enum {
    VIR_LOCK_MANAGER_PARAM_TYPE_STRING = 0,  /* value.str */
    VIR_LOCK_MANAGER_PARAM_TYPE_CSTRING = 1, /* value.cstr */
    VIR_LOCK_MANAGER_PARAM_TYPE_INT = 2,     /* value.i */
    VIR_LOCK_MANAGER_PARAM_TYPE_LONG = 3,    /* value.l */
    VIR_LOCK_MANAGER_PARAM_TYPE_UINT = 4,    /* value.ui */
    VIR_LOCK_MANAGER_PARAM_TYPE_ULONG = 5,   /* value.ul */
    VIR_LOCK_MANAGER_PARAM_TYPE_DOUBLE = 6,  /* value.d */
    VIR_LOCK_MANAGER_PARAM_TYPE_UUID = 7     /* value.uuid, 16 raw bytes */
} virLockManagerParamType;

/* DESIGN. All is the caller's, and copied. */
typedef struct virLockManagerParam virLockManagerParam;
typedef virLockManagerParam *virLockManagerParamPtr;
struct virLockManagerParam {
    int type; /* virLockManagerParamType */
    const char *key;
    union {
        int i;
        long long l;
        unsigned int ui;
        unsigned long long ul;
        double d;
        char *str;
        unsigned char uuid[16];
        const char *cstr;
    } value;
};

/* What kind of failure it was: the error classes of virt-lock-protocol(7).
 * Extension. */
typedef enum {
    VIR_LOCK_MANAGER_ERROR_NONE = 0,
    VIR_LOCK_MANAGER_ERROR_GENERIC = 1,
    VIR_LOCK_MANAGER_ERROR_LEASE_BUSY = 2,    /* somebody else has it */
    VIR_LOCK_MANAGER_ERROR_LEASE_LOST = 3,    /* not used yet: see the event */
    VIR_LOCK_MANAGER_ERROR_NO_SUPERVISOR = 4, /* nobody answers for the VM */
    VIR_LOCK_MANAGER_ERROR_WRONG_STATE = 5,   /* not now */
    VIR_LOCK_MANAGER_ERROR_NOT_SUPPORTED = 6, /* not by this driver, or this */
                                              /* supervisor, or for this user */
    VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT = 7,
    VIR_LOCK_MANAGER_ERROR_TIMEOUT = 8
} virLockManagerErrorCode;

/* Who has a lease. What is not known is NULL or 0. Extension. */
typedef struct {
    const char *uuid;
    const char *name;
    const char *host;
    pid_t pid;       /* of its supervisor, on @host */
    long long since; /* seconds since 1970 */
    int exiting;     /* it is being ended */
} virLockManagerHolder;

/* Extension. */
typedef struct {
    int code;                           /* virLockManagerErrorCode */
    const char *message;                /* "cannot <verb> '<object>': <why>" */
    const virLockManagerHolder *holder; /* with LEASE_BUSY, or NULL */
} virLockManagerError;

#ifdef __cplusplus
}
#endif

#endif
