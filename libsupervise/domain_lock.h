/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the wrappers for each VM
 *
 * "All the guest lifecycle sequences here have higher level wrappers provided
 * by the 'domain_lock.h' API": so says USAGE (see lock_manager.h), and nothing
 * more of them. The names Process*, Image* and Lease* are libvirt's own, with
 * a plain struct in place of its virDomainObj; "extension" is what it has not.
 * libsupervise(3) has complete programs.
 *
 * Each function is one sequence of USAGE from its first line to its last: it
 * makes a manager, tells it of the domain, does what there is to do, and
 * detaches. So nothing need be kept between two calls, by a manager of virtual
 * machines that is killed and started again neither; and nothing here ends a
 * VM but the functions that say so.
 *
 * Unless a function says otherwise:
 *  - 0 is success, -1 failure; virLockManagerGetLastError() says why. Nothing
 *    that is passed by pointer is written on failure, but for NULL, 0 or -1
 *    into what it would have returned.
 *  - @plugin is from virLockManagerPluginLoad(), and stays the caller's; so
 *    does @domain with all that it points to.
 *  - what is returned through a pointer to a pointer is the caller's, by
 *    free() where nothing else is named.
 *  - the VM has a supervisor, which is found by the domain's uuid: else
 *    NO_SUPERVISOR, or BAD_ARGUMENT where name or id, if set, are not its own.
 *    The domain's disks, leases and params are not looked at then.
 *  - the call ends within the 30 seconds of each function of lock_manager.h
 *    that it uses: then the error is TIMEOUT, and may still come to pass.
 *  - flags are 0; others are BAD_ARGUMENT, and so is NULL where it is not
 *    allowed. Of two threads neither has to wait for the other.
 *
 * Should:  use nothing but lock_manager.h: what is here can be written by hand.
 * Mustn't: keep anything between two calls.
 */
#ifndef LIBSUPERVISE_DOMAIN_LOCK_H
#define LIBSUPERVISE_DOMAIN_LOCK_H

#include "lock_manager.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A disk image, or a block device. */
typedef struct {
    const char *path;   /* absolute; need not exist before the start */
    unsigned int flags; /* virLockManagerResourceFlags */
} virDomainLockDisk;

/* Any other resource, which is leased exclusively: the option --lease. */
typedef struct {
    const char *lockspace;     /* NULL: "default" */
    const char *key;           /* its name there */
    const char *path;          /* the file that is locked, absolute; or NULL */
    unsigned long long offset; /* the byte of path; 0 without a path */
} virDomainLockLease;

/*
 * A VM. Zero, and NULL, is what is not known; only the uuid is needed. What
 * else there is to be said about a start goes into params, so this never grows.
 */
typedef struct {
    const char *uuid; /* RFC 4122 text */
    const char *name;
    const char *id; /* as the manager counts */
    size_t ndisks;
    const virDomainLockDisk *disks;
    size_t nleases;
    const virDomainLockLease *leases;
    size_t nparams;
    const virLockManagerParam *params; /* as virLockManagerNewParams() */
} virDomainLockDomain;

/* --- Starting ------------------------------------------------------------ */

/**
 * virDomainLockProcessStart:
 * @plugin: the driver
 * @domain: the VM, which does not run: all of it counts
 * @state: NULL; of a VM that comes from elsewhere the state string of
 *   virDomainLockMigrateOutBegin() or virDomainLockProcessInquire() there
 * @flags: 0, or VIR_LOCK_MANAGER_NEW_MIGRATE where the VM comes from elsewhere
 *
 * To be called in the process that will become the VM, between fork and exec:
 * takes the leases of all that the domain has, or none, and has a supervisor
 * for this process. The descriptors that the process has got by it must stay
 * open across its exec. On failure nothing is held, and the process can do as
 * it likes. LEASE_BUSY with the holder; WRONG_STATE where a supervisor for the
 * VM runs already. USAGE, "At guest startup".
 */
int virDomainLockProcessStart(virLockManagerDriverPtr plugin,
                              const virDomainLockDomain *domain,
                              const char *state, unsigned int flags);

/**
 * virDomainLockProcessGetArgs:
 * @plugin: the driver
 * @domain: the VM, which does not run: all of it counts
 * @argv: set to the supervisor's path, its arguments, the last one "--", and
 *   NULL; for virLockManagerFreeArgs()
 * @argc: set to their number, without the NULL; may be NULL
 * @flags: 0, or VIR_LOCK_MANAGER_NEW_MIGRATE where the VM comes from elsewhere
 *
 * The other way to start: what is to stand before the VM's own command. The
 * supervisor, then, takes the leases itself, and runs the command as its child
 * when it holds all; nothing is held when this returns. It ends with status 123
 * where it cannot have one. Of NO_SUPERVISOR:
 * virLockManagerGetSupervisorPath(). Extension.
 */
int virDomainLockProcessGetArgs(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, char ***argv,
                                int *argc, unsigned int flags);

/**
 * virDomainLockProcessStarted:
 * @plugin: the driver
 * @domain: the VM; all of it counts, as it was when it was started
 * @pid: set to the VM's PID; may be NULL
 * @flags: as they were when it was started
 *
 * Waits until the VM runs that was started by the arguments of
 * virDomainLockProcessGetArgs() or virDomainLockMigrateInBegin(). Where it is
 * refused a lease: LEASE_BUSY with the holder, or TIMEOUT where the supervisor
 * has ended before it could be asked; a manager that is told of that end
 * (SIGCHLD) need not wait for longer. Extension.
 */
int virDomainLockProcessStarted(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, pid_t *pid,
                                unsigned int flags);

/* --- While it runs ------------------------------------------------------- */

/**
 * virDomainLockProcessReattach:
 * @pid: set to the VM's PID: WRONG_STATE where it has no process yet, or none
 *   any more; may be NULL
 * @manager: set to a manager for the VM, for virLockManagerDetach(), which
 *   leaves the VM running, or virLockManagerFree(), which ends it; may be NULL
 * @flags: 0
 *
 * Finds a VM that runs: for a manager of virtual machines that has started
 * again, and for one that wants to know of its end or of its leases
 * (virLockManagerSetEventCallback(), virLockManagerGetLeases()). USAGE, "At
 * libvirtd restart with running guests".
 */
int virDomainLockProcessReattach(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain, pid_t *pid,
                                 virLockManagerPtr *manager,
                                 unsigned int flags);

/**
 * virDomainLockProcessPause:
 * @state: set to the state string, for virDomainLockProcessResume(); may be
 *   NULL
 * @flags: 0
 *
 * To be called when the VM has been paused. It keeps its leases, since it has
 * its disks open. After virDomainLockProcessInquire() this begins to hand them
 * over: virLockManagerRelease(). libvirt's.
 */
int virDomainLockProcessPause(virLockManagerDriverPtr plugin,
                              const virDomainLockDomain *domain, char **state,
                              unsigned int flags);

/**
 * virDomainLockProcessResume:
 * @state: from virDomainLockProcessPause(), or virDomainLockProcessInquire(),
 *   maybe of another host; or NULL
 * @flags: 0
 *
 * To be called before the VM goes on. Undoes virDomainLockProcessPause(); on
 * the target of a migration, and with the source's state, completes it as
 * virDomainLockMigrateInConfirm() does: virLockManagerAcquire(). Without a
 * state neither: WRONG_STATE. BAD_ARGUMENT says what is wrong with the state.
 * libvirt's.
 */
int virDomainLockProcessResume(virLockManagerDriverPtr plugin,
                               const virDomainLockDomain *domain,
                               const char *state, unsigned int flags);

/**
 * virDomainLockProcessInquire:
 * @state: set to the state string
 * @flags: 0
 *
 * The state of the leases, without a change: virLockManagerInquire().
 * libvirt's.
 */
int virDomainLockProcessInquire(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, char **state,
                                unsigned int flags);

/**
 * virDomainLockProcessShutdown:
 * @flags: 0
 *
 * To be called when the VM has ended, or shall: one that still runs is asked to
 * end, and killed after its stop-timeout. Returns when it is dead and every
 * lease is free; TIMEOUT means that it will be. NO_SUPERVISOR where nobody
 * answers for it any more: who has seen it end can take that for success.
 * USAGE, "At guest shutdown".
 */
int virDomainLockProcessShutdown(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain,
                                 unsigned int flags);

/**
 * virDomainLockImageAttach:
 * @disk: what is to be plugged in; the caller must have the right to open it
 * @flags: 0
 *
 * Takes its lease; to be called before the VM opens it, and where this fails,
 * not to be gone on with. LEASE_BUSY with the holder. USAGE, "With disk
 * hotplug".
 */
int virDomainLockImageAttach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockDisk *disk, unsigned int flags);

/**
 * virDomainLockImageDetach:
 * @disk: what was unplugged; its flags are not looked at
 * @flags: 0
 *
 * Gives its lease up; to be called when the VM has closed it (with QEMU: after
 * DEVICE_DELETED and blockdev-del). WRONG_STATE where it has it open still.
 * Returns when it is free; TIMEOUT means that it will be. USAGE, "With disk
 * unhotplug".
 */
int virDomainLockImageDetach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockDisk *disk, unsigned int flags);

/* The same of a resource that is no disk. libvirt's. */
int virDomainLockLeaseAttach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockLease *lease,
                             unsigned int flags);
int virDomainLockLeaseDetach(virLockManagerDriverPtr plugin,
                             const virDomainLockDomain *domain,
                             const virDomainLockLease *lease,
                             unsigned int flags);

/* --- Migration ------------------------------------------------------------
 *
 * All extensions: libvirt calls Inquire, Pause and Resume for it. URIs are for
 * people, and may be NULL. The order of USAGE, "During migration":
 *
 *   1    source   OutBegin
 *   2    target   InBegin, and runs what it returns; ProcessStarted
 *   3             QEMU migrates
 *   4a1  target   InCancel       4b1  target   InConfirm
 *   4a2  source   OutCancel      4b2  source   OutConfirm
 */

/**
 * virDomainLockMigrateOutBegin:
 * @targetURI: where the VM goes
 * @state: set to the state string, which goes to the target; may be NULL
 * @flags: 0
 *
 * On the source, first: offers the leases to one target, and to nobody else.
 * The VM runs on. NOT_SUPPORTED where the driver cannot hand over. USAGE, 1.
 */
int virDomainLockMigrateOutBegin(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain,
                                 const char *targetURI, char **state,
                                 unsigned int flags);

/**
 * virDomainLockMigrateInBegin:
 * @domain: the VM as it will be on this host; all of it counts
 * @argv, @argc: as virDomainLockProcessGetArgs() sets them
 * @flags: 0
 *
 * On the target: what is to stand before the command of the VM that waits for
 * the state of the other (with QEMU: -incoming). For a manager that wants to
 * fork and exec itself: virDomainLockProcessStart() with
 * VIR_LOCK_MANAGER_NEW_MIGRATE. USAGE, 2.
 */
int virDomainLockMigrateInBegin(virLockManagerDriverPtr plugin,
                                const virDomainLockDomain *domain, char ***argv,
                                int *argc, unsigned int flags);

/**
 * virDomainLockMigrateInConfirm:
 * @sourceURI: where the VM came from
 * @flags: 0
 *
 * On the target, when the migration has worked. Returns at once; the leases are
 * exclusive when the source is gone. USAGE, 4b1.
 */
int virDomainLockMigrateInConfirm(virLockManagerDriverPtr plugin,
                                  const virDomainLockDomain *domain,
                                  const char *sourceURI, unsigned int flags);

/**
 * virDomainLockMigrateInCancel:
 * @sourceURI: where the VM would have come from
 * @flags: 0
 *
 * On the target, when it has not: the VM that waits here is killed. Returns
 * when it is dead, and its claim given up. USAGE, 4a1.
 */
int virDomainLockMigrateInCancel(virLockManagerDriverPtr plugin,
                                 const virDomainLockDomain *domain,
                                 const char *sourceURI, unsigned int flags);

/**
 * virDomainLockMigrateOutConfirm:
 * @targetURI: where the VM has gone
 * @flags: 0
 *
 * On the source, when the migration has worked: what is left of the VM here is
 * killed. Returns when it is dead and has let go of its leases, which the
 * target has a moment later. WRONG_STATE where no target has claimed them: then
 * it lives. USAGE, 4b2.
 */
int virDomainLockMigrateOutConfirm(virLockManagerDriverPtr plugin,
                                   const virDomainLockDomain *domain,
                                   const char *targetURI, unsigned int flags);

/**
 * virDomainLockMigrateOutCancel:
 * @targetURI: where the VM would have gone
 * @flags: 0
 *
 * On the source, when it has not: takes the leases back. Returns when they are
 * exclusive again. USAGE, 4a2.
 */
int virDomainLockMigrateOutCancel(virLockManagerDriverPtr plugin,
                                  const virDomainLockDomain *domain,
                                  const char *targetURI, unsigned int flags);

#ifdef __cplusplus
}
#endif

#endif
