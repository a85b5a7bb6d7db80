/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what a real manager needs besides, see lock_manager.h, which includes it
 *
 * Why a call failed; how the VM is; what happens to it; how long it is waited
 * for. All of it is extension.
 */
#ifndef LIBSUPERVISE_LOCK_MANAGER_MORE_H
#define LIBSUPERVISE_LOCK_MANAGER_MORE_H

#include <stddef.h>
#include <sys/types.h>

#include "lock_manager_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * virLockManagerGetLastError:
 *
 * Why the last call of this thread that failed did so; any phase. A call that
 * works does not change it. Extension.
 *
 * Returns the error, which is valid until this thread's next failure; code
 * NONE and an empty message where there was none. Never NULL.
 */
const virLockManagerError *virLockManagerGetLastError(void);

/* What a driver can do; a bit for each. Extension. */
typedef enum {
    VIR_LOCK_MANAGER_CAPABILITY_RESOURCES = (1 << 0), /* leases resources, */
                                                      /* not only the VM */
    VIR_LOCK_MANAGER_CAPABILITY_HOTPLUG = (1 << 1),   /* while it runs */
    VIR_LOCK_MANAGER_CAPABILITY_MIGRATE = (1 << 2)    /* hands leases over */
} virLockManagerCapabilities;

/**
 * virLockManagerGetCapabilities:
 * @driver: the driver
 * @capabilities: set to a mask of virLockManagerCapabilities
 *
 * Calls that need what the driver lacks fail with NOT_SUPPORTED (USAGE,
 * Notes). Of a driver that is a process of its own all bits are set: what it
 * lacks, it refuses itself. Extension.
 */
int virLockManagerGetCapabilities(virLockManagerDriverPtr driver,
                                  unsigned int *capabilities);

/**
 * virLockManagerSetTimeout:
 * @milliseconds: from 1 to 3600000
 *
 * The deadline of every later call on @manager; any phase. Extension.
 */
int virLockManagerSetTimeout(virLockManagerPtr manager, int milliseconds);

/**
 * virLockManagerGetChildPidfd:
 * @pidfd: set to a pidfd of the managed process (pidfd_open(2)), close-on-exec,
 *   which the caller closes
 *
 * Phases and errors as virLockManagerGetChild(). Comes from the supervisor
 * itself, so that it cannot be another process's. Extension.
 */
int virLockManagerGetChildPidfd(virLockManagerPtr manager, int *pidfd,
                                unsigned int flags);

/* One lease of a VM. Extension. */
typedef struct {
    unsigned int type;  /* virLockManagerResourceType */
    unsigned int flags; /* virLockManagerResourceFlags */
    const char *name;   /* a path, or "LOCKSPACE:KEY" */
    const char *status; /* WANTED, PENDING, HELD, RELEASING, LOST, or a later */
                        /* one: query-leases */
    long long since;    /* seconds since 1970; 0: not held */
} virLockManagerLease;

/**
 * virLockManagerGetLeases:
 * @leases: set to an array, for virLockManagerFreeLeases()
 * @nleases: set to their number
 *
 * All leases of the VM but that of the VM itself. Phases as
 * virLockManagerGetChild(). Extension.
 */
int virLockManagerGetLeases(virLockManagerPtr manager,
                            virLockManagerLease **leases, size_t *nleases,
                            unsigned int flags);

/* Frees what virLockManagerGetLeases() returned; NULL is allowed.
 * Extension. */
void virLockManagerFreeLeases(virLockManagerLease *leases);

/* How a VM is. Strings are NULL where there is nothing. Extension. */
typedef struct {
    const char *uuid;
    const char *name;
    const char *id;
    const char *state;        /* RUNNING, OUTGOING, ...: query-status */
    const char *reason;       /* why it is in that state, a clause */
    pid_t supervisor;         /* its PID */
    int migrating;            /* 0: no; 1: source; 2: target */
    int claimed;              /* the source's offer has been taken up */
    const char *peerURI;      /* as the manager has told */
    const char *migrateState; /* the state string, on the source */
} virLockManagerStatus;

/**
 * virLockManagerGetStatus:
 * @status: set to how the VM is, for virLockManagerFreeStatus()
 *
 * Phases as virLockManagerGetChild(), but that there need not be a process
 * yet. Extension.
 */
int virLockManagerGetStatus(virLockManagerPtr manager,
                            virLockManagerStatus **status, unsigned int flags);

/* Frees what virLockManagerGetStatus() returned; NULL is allowed.
 * Extension. */
void virLockManagerFreeStatus(virLockManagerStatus *status);

/* What can happen to a VM. Extension. */
typedef enum {
    VIR_LOCK_MANAGER_EVENT_LEASE_LOST = 1,   /* it is being killed */
    VIR_LOCK_MANAGER_EVENT_CHILD_EXIT = 2,   /* a process of it has ended */
    VIR_LOCK_MANAGER_EVENT_STATE_CHANGE = 3, /* the supervisor's state */
    VIR_LOCK_MANAGER_EVENT_RELEASED = 4,     /* all dead, every lease free */
    VIR_LOCK_MANAGER_EVENT_CLOSED = 5        /* nobody tells any more: the */
                                             /* supervisor ended, or cut us */
} virLockManagerEventType;

/* Valid within the callback. Extension. */
typedef struct {
    int type;           /* virLockManagerEventType */
    const char *name;   /* LEASE_LOST: of what; STATE_CHANGE: the new one */
    const char *reason; /* LEASE_LOST, STATE_CHANGE, CLOSED */
    pid_t pid;          /* CHILD_EXIT */
    int exitCode;       /* CHILD_EXIT: -1 where it was a signal, or unknown */
    int signal;         /* CHILD_EXIT: 0 where it was none, or unknown */
} virLockManagerEvent;

/* May call functions of @manager, but not free it. Extension. */
typedef void (*virLockManagerEventCallback)(virLockManagerPtr manager,
                                            const virLockManagerEvent *event,
                                            void *opaque);

/**
 * virLockManagerSetEventCallback:
 * @callback: called by virLockManagerDispatch() and virLockManagerWait(), in
 *   the thread that calls them; NULL for none
 * @opaque: passed to it
 *
 * Any phase. Extension.
 */
int virLockManagerSetEventCallback(virLockManagerPtr manager,
                                   virLockManagerEventCallback callback,
                                   void *opaque);

/**
 * virLockManagerGetEventFD:
 * @fd: set to a descriptor that is readable when virLockManagerDispatch() has
 *   something to do; it stays the manager's
 *
 * STARTED. Extension.
 */
int virLockManagerGetEventFD(virLockManagerPtr manager, int *fd);

/**
 * virLockManagerDispatch:
 *
 * Calls the callback for all that has happened, and does not wait. Of what has
 * happened since the last time the latest 256 events are kept. STARTED, or
 * ENDED. After CLOSED nothing more comes, and the descriptor is not readable;
 * but where the VM runs on, the next call that asks its supervisor makes a
 * connection, by which there are events again. Extension.
 */
int virLockManagerDispatch(virLockManagerPtr manager);

/**
 * virLockManagerWait:
 * @milliseconds: how long; -1: for ever; 0: looks
 *
 * Waits until the VM is dead and every lease free, and calls the callback for
 * what happens meanwhile. TIMEOUT where it lives then; NO_SUPERVISOR where the
 * supervisor vanished, or cut us, without having said so: it may live.
 * STARTED, or ENDED. Extension.
 */
int virLockManagerWait(virLockManagerPtr manager, int milliseconds);

/**
 * virLockManagerDetach:
 * @manager: the lock manager context, or NULL; any phase
 *
 * Frees it, and leaves the supervised process running under its supervisor:
 * for a manager that ends, and will be back. Extension.
 */
void virLockManagerDetach(virLockManagerPtr manager);

#ifdef __cplusplus
}
#endif

#endif
