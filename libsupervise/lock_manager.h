/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the lock manager API
 *
 * The C API by which a manager of virtual machines has each of them run under
 * a virt-lock-supervisor. It is that of the RFC "The internal lock manager
 * API" (libvirt, 2010), below called RFC, and of the later "Resource Lock
 * Manager" page, below called DESIGN; "extension" is what neither has.
 * The sequences are those of "Using the Lock Manager APIs", below USAGE.
 * libsupervise(3) has complete programs. lock_manager_more.h has what neither
 * document has: errors, events, leases.
 *
 * Unless a function says otherwise:
 *  - 0 is success, -1 failure; virLockManagerGetLastError() says why. Nothing
 *    that is passed by pointer is written on failure, but for NULL, 0 or -1
 *    into what it would have returned.
 *  - strings are UTF-8 and copied; what is returned through a pointer to a
 *    pointer is the caller's, by free() where nothing else is named.
 *  - every call but virLockManagerWait() ends within the manager's deadline,
 *    30 seconds or what virLockManagerSetTimeout() has said (but
 *    virLockManagerShutdown(): by default 60): then the error is TIMEOUT, and
 *    what was asked may still come to pass.
 *  - a call in the wrong phase is WRONG_STATE. PREPARING is a manager that
 *    nothing has been started for yet; STARTED one whose supervisor has been
 *    spoken to; ENDED one whose VM has ended, or was handed over.
 *  - flags that are not listed are BAD_ARGUMENT, and so is NULL where it is
 *    not allowed.
 *  - one manager is used by one thread at a time; different managers can be
 *    used by different threads. No signal handler is touched, no signal is
 *    raised (SIGPIPE neither), and no process is started but by
 *    virLockManagerAcquireObject() and virLockManagerAcquire().
 *  - after fork() the child may go on with its copy of a manager, by a
 *    connection (and an event descriptor) of its own. Freeing a copy frees
 *    memory, and ends nothing.
 */
#ifndef LIBSUPERVISE_LOCK_MANAGER_H
#define LIBSUPERVISE_LOCK_MANAGER_H

#include <stddef.h>
#include <sys/types.h>

#include "lock_manager_more.h"
#include "lock_manager_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * virLockManagerPluginLoad:
 * @name: "file", "nop", or an engine for which virt-lock-driver-NAME is
 *   installed; "sync-manager" is the name that "sanlock" once had
 *
 * Makes sure that the lease driver @name is installed. Nothing is loaded: a
 * driver is a part of the supervisor, or a process of its own. A name can be
 * loaded more than once, and is then to be unloaded as often. USAGE.
 *
 * Returns the driver, or NULL: NOT_SUPPORTED where it is not installed,
 * NO_SUPERVISOR where the supervisor is not, beside which it would be,
 * BAD_ARGUMENT where @name is no name.
 */
virLockManagerDriverPtr virLockManagerPluginLoad(const char *name);

/* Undoes one virLockManagerPluginLoad(); NULL is allowed. Managers that were
 * made with @driver keep what they need. USAGE. */
void virLockManagerPluginUnload(virLockManagerDriverPtr driver);

/**
 * virLockManagerNew:
 * @driver: the driver implementation to use
 * @type: the type of process to be supervised: VIR_LOCK_MANAGER_NEW_DOMAIN
 * @flags: virLockManagerNewFlags; 0 for a normal start,
 *   VIR_LOCK_MANAGER_NEW_MIGRATE where the VM comes from elsewhere,
 *   VIR_LOCK_MANAGER_NEW_ATTACH where it runs, and this is a manager that has
 *   restarted; not both
 *
 * Creates a context to supervise a process, usually a virtual machine, in
 * phase PREPARING. Speaks to nobody. The directories of sockets and records
 * are those of VIRT_LOCK_RUN_DIR and VIRT_LOCK_STATE_DIR as they are now, or
 * the default, see virt-lock-supervisor(8). RFC.
 *
 * Returns a new manager, for virLockManagerFree() or virLockManagerDetach();
 * NULL on failure (BAD_ARGUMENT).
 */
virLockManagerPtr virLockManagerNew(virLockManagerDriverPtr driver,
                                    unsigned int type, unsigned int flags);

/**
 * virLockManagerNewParams:
 * @driver, @type, @flags: as in virLockManagerNew(); it returns the same
 * @nparams: how many @params there are
 * @params: as in virLockManagerSetParameter(), whose text is made from the
 *   value; DESIGN's are uuid (UUID, or a string), name, id, pid (UINT) and uri
 *   (CSTRING)
 *
 * virLockManagerNew() and virLockManagerSetParameter() in one, in phase
 * PREPARING: DESIGN's virLockManagerNew, which is RFC's name of another.
 */
virLockManagerPtr virLockManagerNewParams(virLockManagerDriverPtr driver,
                                          unsigned int type, size_t nparams,
                                          const virLockManagerParam *params,
                                          unsigned int flags);

/**
 * virLockManagerSetParameter:
 * @manager: the lock manager context, PREPARING
 * @key: the parameter name
 * @value: the parameter value
 *
 * Sets a configuration parameter of the managed process:
 *
 * - id: the domain unique id, as the manager counts
 * - uuid: the domain uuid (RFC 4122 text); needed
 * - name: the domain name; of a VM that runs it must be its own, and so the id
 * - pid: the process that the leases are for, see virLockManagerAcquire()
 * - uri: the manager's own, remembered for nobody
 * - wait, stop-timeout, user, group, control-group, log-level, log-target,
 *   state, run-dir, state-dir: the option of virt-lock-supervisor(8) of that
 * name; its units are theirs (seconds)
 * - guard: "on" or "off": its option --guard, off by default. It does not
 *   matter to virLockManagerAcquireObject() in the process that becomes the VM,
 *   which always has a guard
 *
 * Numbers and words that cannot be are BAD_ARGUMENT at once; users, groups and
 * directories are looked for when the VM is started.
 *
 * Any other is a parameter of the driver, its option --param (paths absolute);
 * the supervisor refuses to start with those that the driver does not know. To
 * set one again takes the place of what was. Setting parameters changes what
 * virLockManagerGetSupervisorArgs() returns. RFC.
 */
int virLockManagerSetParameter(virLockManagerPtr manager, const char *key,
                               const char *value);

/**
 * virLockManagerRegisterResource:
 * @manager: the lock manager context, PREPARING
 * @type: virLockManagerResourceType
 * @name: the resource name: of a DISK an absolute path, which need not exist
 *   yet; of a LEASE the text "LOCKSPACE:KEY[:PATH[:OFFSET]]" of the option
 *   --lease
 * @flags: virLockManagerResourceFlags, one at most; of a LEASE 0 before the
 *   start: anything but exclusive is NOT_SUPPORTED then
 *
 * Registers a resource that is required when the process starts. Where it is
 * registered already: BAD_ARGUMENT. RFC.
 */
int virLockManagerRegisterResource(virLockManagerPtr manager, unsigned int type,
                                   const char *name, unsigned int flags);

/**
 * virLockManagerAddResource:
 * @type, @name, @flags: as in virLockManagerRegisterResource(), but that the
 *   name of a LEASE is its key alone
 * @nparams: how many @params there are; 0 for a DISK
 * @params: for a LEASE: lockspace (a string; default: "default"), path (a
 *   string, absolute), offset (ULONG, bytes; needs path)
 *
 * Associates a resource with the object for future acquisition: PREPARING, as
 * virLockManagerRegisterResource(); STARTED, what the next
 * virLockManagerAcquire() takes, unless virLockManagerReleaseResource() drops
 * it first. DESIGN.
 */
int virLockManagerAddResource(virLockManagerPtr manager, unsigned int type,
                              const char *name, size_t nparams,
                              const virLockManagerParam *params,
                              unsigned int flags);

/**
 * virLockManagerAcquireObject:
 * @manager: the lock manager context, PREPARING
 *
 * Takes the leases of all that is registered, or none. Two forms:
 *
 * Called in the process that will become the VM, between fork and exec: starts
 * a supervisor that attaches to it (its session and process group are its own,
 * its parent init or the nearest subreaper, its standard error the caller's),
 * and returns when every lease is held. The process holds liveness then:
 * descriptors that its exec must leave open. On failure nothing is held and
 * the process is free to do as it likes; but TIMEOUT: all may be held later,
 * until this process ends. It must not have other threads that fork or exec
 * meanwhile. WRONG_STATE where a supervisor for the VM runs already.
 *
 * Called after virLockManagerGetSupervisorArgs(): the manager has started, or
 * is about to start, the supervisor itself. Waits until the one that answers
 * for the VM holds all. One that is refused, or whose command ends at once, may
 * have ended before it could be asked: its exit status tells, and nobody need
 * wait for longer. WRONG_STATE where the VM ran already when the arguments were
 * made.
 *
 * LEASE_BUSY with the holder where one has it. USAGE, "At guest startup".
 */
int virLockManagerAcquireObject(virLockManagerPtr manager);

/**
 * virLockManagerAcquireResource:
 * @manager: the lock manager context, STARTED
 * @type, @name, @flags: as in virLockManagerRegisterResource()
 *
 * Dynamically acquires a resource for a running process, before it is plugged
 * in. The caller must have the right to open it as the flags ask: its opened
 * descriptor is passed to the supervisor. LEASE_BUSY with the holder; GENERIC
 * where it cannot be opened, BAD_ARGUMENT where the VM has it already. RFC,
 * whose prototype forgot @type, but not its comment.
 */
int virLockManagerAcquireResource(virLockManagerPtr manager, unsigned int type,
                                  const char *name, unsigned int flags);

/**
 * virLockManagerReleaseResource:
 * @manager, @type, @name: as in virLockManagerAcquireResource()
 * @flags: VIR_LOCK_MANAGER_RESOURCE_FORCE, or 0
 *
 * Dynamically releases a resource of a running process, after it was
 * unplugged (with QEMU: after DEVICE_DELETED and blockdev-del). WRONG_STATE
 * where the process has it open still, or where that cannot be seen: of block
 * devices, shared disks and files of others it cannot by a supervisor of root.
 * With VIR_LOCK_MANAGER_RESOURCE_FORCE the caller's word decides. BAD_ARGUMENT
 * where it has no lease on it, by that name: another name of the same file is
 * not looked for. Returns when it is free, which waits for writes
 * under way: TIMEOUT means that it will be free later. Other @flags are not
 * looked at. RFC, as there.
 */
int virLockManagerReleaseResource(virLockManagerPtr manager, unsigned int type,
                                  const char *name, unsigned int flags);

/* The path of the supervisor binary, absolute, for free():
 * VIRT_LOCK_SUPERVISOR, or where it was installed; any phase. NULL, and
 * NO_SUPERVISOR, where nothing is there that can be executed. RFC. */
char *virLockManagerGetSupervisorPath(virLockManagerPtr manager);

/* The security context (the label, security.selinux) of the supervisor binary,
 * for free(); any phase. NULL where it has none, which sets no error, or with
 * one as virLockManagerGetSupervisorPath(). RFC. */
char *virLockManagerGetSupervisorContext(virLockManagerPtr manager);

/**
 * virLockManagerGetSupervisorArgs:
 * @manager: the lock manager context, PREPARING
 * @argv: set to the arguments, the last one "--", and NULL; for
 *   virLockManagerFreeArgs(). The program's own name is not among them.
 * @argc: set to their number, without the NULL; may be NULL
 * @flags: 0
 *
 * Retrieves the arguments to pass to the supervisor binary ahead of the
 * process's own: virLockManagerGetSupervisorPath() is to be executed with its
 * own name, then all of @argv, then the process's command. BAD_ARGUMENT where
 * the uuid is not set, WRONG_STATE with VIR_LOCK_MANAGER_NEW_ATTACH. RFC.
 */
int virLockManagerGetSupervisorArgs(virLockManagerPtr manager, char ***argv,
                                    int *argc, unsigned int flags);

/* Frees what virLockManagerGetSupervisorArgs(), or a function of
 * domain_lock.h, returned; NULL is allowed. Extension. */
void virLockManagerFreeArgs(char **argv);

/**
 * virLockManagerPrepareMigrate:
 * @manager: the lock manager context of the source, STARTED
 * @targetURI: destination of the migration; for people, may be NULL
 * @flags: 0
 *
 * Notifies the supervisor that the process is about to be migrated: the leases
 * are offered to one target, and to nobody else. virLockManagerGetStatus() has
 * the state string that goes to it. NOT_SUPPORTED where the driver cannot hand
 * over, as of all migrate calls. RFC.
 */
int virLockManagerPrepareMigrate(virLockManagerPtr manager,
                                 const char *targetURI, unsigned int flags);

/**
 * virLockManagerCompleteMigrateIn:
 * @manager: the lock manager context of the target, STARTED
 * @sourceURI: the origin of the migration; for people, may be NULL
 * @flags: 0, or VIR_LOCK_MANAGER_MIGRATE_CANCEL where it was aborted: the
 *   target's process is killed then
 *
 * Notifies the supervisor that the process has completed migration. Returns
 * at once; the leases are exclusive when the source is gone. To cancel is the
 * same here and in virLockManagerCompleteMigrateOut(): a supervisor knows
 * which side it is. RFC.
 */
int virLockManagerCompleteMigrateIn(virLockManagerPtr manager,
                                    const char *sourceURI, unsigned int flags);

/**
 * virLockManagerCompleteMigrateOut:
 * @manager: the lock manager context of the source, STARTED
 * @targetURI: the destination of the migration; for people, may be NULL
 * @flags: 0, or VIR_LOCK_MANAGER_MIGRATE_CANCEL where it was aborted: returns
 *   when the leases are exclusive again
 *
 * Notifies the supervisor that the process has completed migration: it is
 * killed, and its leases are released, for which virLockManagerShutdown()
 * waits. WRONG_STATE where no target has claimed them. RFC; USAGE calls the
 * other function here by mistake.
 */
int virLockManagerCompleteMigrateOut(virLockManagerPtr manager,
                                     const char *targetURI, unsigned int flags);

/**
 * virLockManagerAcquire:
 * @manager: the lock manager context
 * @state: from virLockManagerRelease() or virLockManagerInquire(), maybe of
 *   another host; or NULL
 * @flags: 0
 *
 * Acquires the leases of all resources of the object. PREPARING, and the
 * parameter "pid" is the caller's own or not given: as
 * virLockManagerAcquireObject(); with @state, which is its parameter "state",
 * it is the target of a migration, and has claimed what the source offers
 * (WRONG_STATE where the supervisor's arguments were made without it).
 * STARTED, or with the "pid" of the VM's process: without @state takes what was
 * added since, all of it or nothing, which then stays to be acquired (but
 * TIMEOUT: some may be held later); with @state nothing is added, but one of
 * this VM undoes a virLockManagerRelease(), and virLockManagerInquire(), and
 * one of the source completes the migration to this VM, the target. Both need
 * it: WRONG_STATE. BAD_ARGUMENT says what is wrong with a state: stale,
 * foreign, truncated. DESIGN.
 */
int virLockManagerAcquire(virLockManagerPtr manager, const char *state,
                          unsigned int flags);

/**
 * virLockManagerRelease:
 * @manager: the lock manager context, STARTED
 * @state: where to put the state string, for free(); or NULL
 * @flags: 0
 *
 * Without a preceding virLockManagerInquire() the object is paused, and keeps
 * its leases: what has the disks open is never without. After it, this begins
 * the hand-over, as virLockManagerPrepareMigrate() does. DESIGN.
 */
int virLockManagerRelease(virLockManagerPtr manager, char **state,
                          unsigned int flags);

/**
 * virLockManagerInquire:
 * @manager: the lock manager context, STARTED
 * @state: where to put the state string, for free()
 * @flags: 0
 *
 * The state of the leases of all resources of the object, without releasing
 * them: a string of [A-Za-z0-9:=._,-] that a target can acquire them with,
 * once they are offered. DESIGN.
 */
int virLockManagerInquire(virLockManagerPtr manager, char **state,
                          unsigned int flags);

/**
 * virLockManagerGetChild:
 * @manager: the lock manager context
 * @pid: set to the PID of the managed process
 * @flags: 0
 *
 * PREPARING with VIR_LOCK_MANAGER_NEW_ATTACH: finds the running supervisor by
 * uuid (NO_SUPERVISOR where there is none) and makes sure that name and id, if
 * set, are its own (BAD_ARGUMENT). PREPARING otherwise: waits until the
 * supervisor that the manager has started is there, and its process runs
 * (errors as of virLockManagerAcquireObject()). The manager is STARTED then.
 * STARTED: asks. WRONG_STATE where there is no process yet, or none any more.
 * To signal the process, use virLockManagerGetChildPidfd(): a number can be
 * another process's by then. RFC.
 */
int virLockManagerGetChild(virLockManagerPtr manager, pid_t *pid,
                           unsigned int flags);

/**
 * virLockManagerShutdown:
 * @manager: the lock manager context, STARTED or ENDED
 * @flags: 0
 *
 * Informs the supervisor that the supervised process has been, or can be
 * stopped: where it still runs it is asked to end (SIGTERM), and killed after
 * the stop-timeout. Returns when it is dead and every lease is free; TIMEOUT
 * means that it will be (virLockManagerWait() waits for it), NO_SUPERVISOR that
 * nobody can tell. A VM has 30 seconds to end by itself, so that without
 * virLockManagerSetTimeout() this call has these besides its own. RFC.
 */
int virLockManagerShutdown(virLockManagerPtr manager, unsigned int flags);

/**
 * virLockManagerFree:
 * @manager: the lock manager context, or NULL; any phase
 *
 * Frees it. If it is STARTED and the supervised process still runs, that is
 * killed with prejudice: the supervisor is told, and where that one has not
 * answered for a second the process that virLockManagerGetChild() or
 * virLockManagerGetChildPidfd() had found is killed directly; its leases stay
 * until it is dead. Waits for the end of neither. RFC.
 */
void virLockManagerFree(virLockManagerPtr manager);

#ifdef __cplusplus
}
#endif

#endif
