/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: every function of lock_manager.h that has a phase, for tests that try
 * all of them. */
#ifndef TEST_MANAGER_CALLS_H
#define TEST_MANAGER_CALLS_H

#include "manager_fixture.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    PREPARING = 1,
    STARTED = 2,
    ENDED = 4,
    ANY = 7,
};

static int call_set_timeout(virLockManagerPtr manager)
{
    return virLockManagerSetTimeout(manager, ENOUGH);
}

static int call_set_parameter(virLockManagerPtr manager)
{
    return virLockManagerSetParameter(manager, "name", "web1");
}

static int call_register(virLockManagerPtr manager)
{
    return virLockManagerRegisterResource(manager, 0, "/vm/registered", 0);
}

static int call_add(virLockManagerPtr manager)
{
    return virLockManagerAddResource(manager, 1, "added", 0, NULL, 0);
}

static int call_acquire_object(virLockManagerPtr manager)
{
    return virLockManagerAcquireObject(manager);
}

static int call_acquire_resource(virLockManagerPtr manager)
{
    return virLockManagerAcquireResource(manager, 1, "pool:hot", 0);
}

static int call_release_resource(virLockManagerPtr manager)
{
    return virLockManagerReleaseResource(manager, 1, "pool:hot", 0);
}

static int call_path(virLockManagerPtr manager)
{
    char *path = virLockManagerGetSupervisorPath(manager);

    free(path);
    return path ? 0 : -1;
}

static int call_context(virLockManagerPtr manager)
{
    free(virLockManagerGetSupervisorContext(manager)); /* or it has none */
    return 0;
}

static int call_args(virLockManagerPtr manager)
{
    char **argv;
    int result = virLockManagerGetSupervisorArgs(manager, &argv, NULL, 0);

    virLockManagerFreeArgs(argv);
    return result;
}

static int call_prepare(virLockManagerPtr manager)
{
    return virLockManagerPrepareMigrate(manager, "qemu+ssh://b/", 0);
}

static int call_in(virLockManagerPtr manager)
{
    return virLockManagerCompleteMigrateIn(manager, "qemu+ssh://a/", 0);
}

static int call_out(virLockManagerPtr manager)
{
    return virLockManagerCompleteMigrateOut(manager, "qemu+ssh://b/", 0);
}

static int call_cancel_in(virLockManagerPtr manager)
{
    return virLockManagerCompleteMigrateIn(manager, NULL,
                                           VIR_LOCK_MANAGER_MIGRATE_CANCEL);
}

static int call_cancel_out(virLockManagerPtr manager)
{
    return virLockManagerCompleteMigrateOut(manager, NULL,
                                            VIR_LOCK_MANAGER_MIGRATE_CANCEL);
}

static int call_acquire(virLockManagerPtr manager)
{
    return virLockManagerAcquire(manager, NULL, 0);
}

static int call_release(virLockManagerPtr manager)
{
    char *state;
    int result = virLockManagerRelease(manager, &state, 0);

    free(state);
    return result;
}

static int call_inquire(virLockManagerPtr manager)
{
    char *state;
    int result = virLockManagerInquire(manager, &state, 0);

    free(state);
    return result;
}

static int call_child(virLockManagerPtr manager)
{
    pid_t pid;

    return virLockManagerGetChild(manager, &pid, 0);
}

static int call_pidfd(virLockManagerPtr manager)
{
    int fd;
    int result = virLockManagerGetChildPidfd(manager, &fd, 0);

    if (fd >= 0)
        close(fd);
    return result;
}

static int call_leases(virLockManagerPtr manager)
{
    virLockManagerLease *leases;
    size_t n;
    int result = virLockManagerGetLeases(manager, &leases, &n, 0);

    virLockManagerFreeLeases(leases);
    return result;
}

static int call_status(virLockManagerPtr manager)
{
    virLockManagerStatus *status;
    int result = virLockManagerGetStatus(manager, &status, 0);

    virLockManagerFreeStatus(status);
    return result;
}

static int call_callback(virLockManagerPtr manager)
{
    return virLockManagerSetEventCallback(manager, NULL, NULL);
}

static int call_event_fd(virLockManagerPtr manager)
{
    int fd;

    return virLockManagerGetEventFD(manager, &fd);
}

static int call_dispatch(virLockManagerPtr manager)
{
    return virLockManagerDispatch(manager);
}

static int call_wait(virLockManagerPtr manager)
{
    return virLockManagerWait(manager, 0);
}

static int call_shutdown(virLockManagerPtr manager)
{
    return virLockManagerShutdown(manager, 0);
}

static const struct ManagerCall {
    const char *name;
    int (*call)(virLockManagerPtr manager);
    int phases;
    /* Of a manager that is STARTED: what the supervisor hears first. NULL:
     * nothing. */
    const char *command;
    int migrates; /* needs a driver that hands leases over */
} manager_calls[] = {
    {"SetTimeout", call_set_timeout, ANY, NULL, 0},
    {"SetParameter", call_set_parameter, PREPARING, NULL, 0},
    {"RegisterResource", call_register, PREPARING, NULL, 0},
    {"AddResource", call_add, PREPARING | STARTED, NULL, 0},
    {"AcquireObject", call_acquire_object, PREPARING, NULL, 0},
    {"AcquireResource", call_acquire_resource, STARTED, "lease-acquire", 0},
    {"ReleaseResource", call_release_resource, STARTED, "lease-release", 0},
    {"GetSupervisorPath", call_path, ANY, NULL, 0},
    {"GetSupervisorContext", call_context, ANY, NULL, 0},
    {"GetSupervisorArgs", call_args, PREPARING, NULL, 0},
    {"PrepareMigrate", call_prepare, STARTED, "migrate-prepare", 1},
    {"CompleteMigrateIn", call_in, STARTED, "migrate-complete", 1},
    {"CompleteMigrateOut", call_out, STARTED, "migrate-complete", 1},
    {"CompleteMigrateIn, cancel", call_cancel_in, STARTED, "migrate-cancel", 1},
    {"CompleteMigrateOut, cancel", call_cancel_out, STARTED, "migrate-cancel",
     1},
    {"Release", call_release, STARTED, "release", 0},
    {"Inquire", call_inquire, STARTED, "inquire", 0},
    {"GetChild", call_child, PREPARING | STARTED, "query-child", 0},
    {"GetChildPidfd", call_pidfd, PREPARING | STARTED, "query-child", 0},
    {"GetLeases", call_leases, PREPARING | STARTED, "query-leases", 0},
    {"GetStatus", call_status, PREPARING | STARTED, "query-status", 0},
    {"SetEventCallback", call_callback, ANY, NULL, 0},
    {"GetEventFD", call_event_fd, STARTED, NULL, 0},
    {"Acquire", call_acquire, PREPARING | STARTED, "acquire", 0},
    {"Dispatch", call_dispatch, STARTED | ENDED, NULL, 0},
    {"Wait", call_wait, STARTED | ENDED, NULL, 0},
    {"Shutdown", call_shutdown, STARTED | ENDED, "shutdown", 0},
};

/* A deadline that is kept may still be kept late, where a machine is busy: this
 * much later is not kept. Microseconds. */
#define LATE (5 * G_USEC_PER_SEC)

/* Asserts that it fails in time. Returns the code. */
static inline int try(const struct ManagerCall *call, virLockManagerPtr manager)
{
    gint64 begin;

    assert_works(virLockManagerSetTimeout(manager, LITTLE));
    begin = g_get_monotonic_time();
    g_assert_cmpint(call->call(manager), ==, -1);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, LITTLE * 1000 + LATE);
    assert_sentence(virLockManagerGetLastError()->message);
    return virLockManagerGetLastError()->code;
}

#endif
