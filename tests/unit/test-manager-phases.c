/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: every function in every phase, and without a manager. */
#include "fake_supervisor.h"
#include "manager_calls.h"
#include "tap.h"

static Places places;

static virLockManagerPtr make(int phase, Fake *fake)
{
    virLockManagerPtr manager;
    pid_t pid;

    /* Without a uuid, so that nothing can be started. */
    if (phase == PREPARING)
        return manager_make("file", NULL, 0);
    fake_start(fake, places.run);
    manager = manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
    assert_works(virLockManagerGetChild(manager, &pid, 0));
    if (phase == ENDED) {
        fake_tell(fake, "{\"event\": \"RELEASED\", \"data\": {}}", TRUE);
        assert_works(virLockManagerWait(manager, ENOUGH));
    }
    return manager;
}

static void check(const struct ManagerCall *call, int phase)
{
    static const char *const words[] = {
        [PREPARING] = "nothing answers for it yet",
        [STARTED] = "it has been started",
        [ENDED] = "it has ended",
    };
    /* Of "shutdown": as it would be. */
    Fake fake = {.manners = FAKE_ENDING,
                 .at = "shutdown",
                 .answer = "{\"state\": \"s\"}"};
    virLockManagerPtr manager = make(phase, &fake);
    int result;

    g_test_message("%s in phase %d", call->name, phase);
    result = call->call(manager);
    if (!(call->phases & phase))
        assert_failed(result, WRONG_STATE, words[phase]);
    else if (phase == PREPARING && result != 0)
        g_assert_cmpint(virLockManagerGetLastError()->code, ==,
                        VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT);
    else if (call->call == call_wait && phase == STARTED)
        assert_failed(result, TIMEOUT, "");
    else
        assert_works(result);
    virLockManagerFree(manager);
    if (phase != PREPARING)
        fake_stop(&fake);
}

static void test_phases(void)
{
    g_setenv("VIRT_LOCK_SUPERVISOR", "/bin/true", TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(manager_calls); i++) {
        check(&manager_calls[i], PREPARING);
        check(&manager_calls[i], STARTED);
        check(&manager_calls[i], ENDED);
    }
}

static void test_no_manager(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(manager_calls); i++) {
        int result = manager_calls[i].call(NULL);

        g_test_message("%s", manager_calls[i].name);
        if (manager_calls[i].call != call_context)
            assert_failed(result, BAD_ARGUMENT, "manager");
    }
}

/* USAGE, Notes: "it can return an error from all migrate calls". */
static void test_no_migration(void)
{
    Fake fake = {.status = "\"driver-can\": [\"hotplug\"]"};
    virLockManagerPtr manager;
    g_autofree char *heard = NULL;
    pid_t pid;

    fake_start(&fake, places.run);
    manager = manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
    assert_works(virLockManagerGetChild(manager, &pid, 0));
    for (gsize i = 0; i < G_N_ELEMENTS(manager_calls); i++) {
        if (!manager_calls[i].migrates)
            continue;
        g_test_message("%s", manager_calls[i].name);
        assert_failed(manager_calls[i].call(manager), NOT_SUPPORTED,
                      "does not support it");
    }
    heard = fake_heard(&fake);
    g_assert_cmpstr(heard, ==, "");
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

/* USAGE, Notes: "it can return an error from all resource acquire/release
 * calls". */
static void test_no_hotplug(void)
{
    Fake fake = {.status = "\"driver-can\": [\"migrate\"]"};
    virLockManagerPtr manager;
    g_autofree char *heard = NULL;
    pid_t pid;

    fake_start(&fake, places.run);
    manager = manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
    assert_works(virLockManagerGetChild(manager, &pid, 0));
    assert_failed(
        virLockManagerAcquireResource(
            manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK, "/dev/null", 0),
        NOT_SUPPORTED, "does not support it");
    assert_failed(
        virLockManagerReleaseResource(
            manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK, "/dev/null", 0),
        NOT_SUPPORTED, "does not support it");
    heard = fake_heard(&fake);
    g_assert_cmpstr(heard, ==, "");
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

static void test_flags(void)
{
    Fake fake = {0};
    virLockManagerPtr manager = make(STARTED, &fake);
    virLockManagerLease *leases;
    virLockManagerStatus *status;
    char *state;
    size_t n;
    pid_t pid;
    int fd;

    assert_failed(virLockManagerPrepareMigrate(manager, NULL, 1), BAD_ARGUMENT,
                  "0x1");
    assert_failed(virLockManagerCompleteMigrateIn(manager, NULL, 2),
                  BAD_ARGUMENT, "0x2");
    assert_failed(virLockManagerCompleteMigrateOut(manager, NULL, 0x100),
                  BAD_ARGUMENT, "0x100");
    assert_failed(virLockManagerAcquire(manager, NULL, 1), BAD_ARGUMENT, "0x1");
    assert_failed(virLockManagerRelease(manager, &state, 1), BAD_ARGUMENT,
                  "0x1");
    assert_failed(virLockManagerInquire(manager, &state, 1), BAD_ARGUMENT,
                  "0x1");
    assert_failed(virLockManagerGetChild(manager, &pid, 1), BAD_ARGUMENT,
                  "0x1");
    assert_failed(virLockManagerGetChildPidfd(manager, &fd, 1), BAD_ARGUMENT,
                  "0x1");
    assert_failed(virLockManagerGetLeases(manager, &leases, &n, 1),
                  BAD_ARGUMENT, "0x1");
    assert_failed(virLockManagerGetStatus(manager, &status, 1), BAD_ARGUMENT,
                  "0x1");
    assert_failed(virLockManagerShutdown(manager, 1), BAD_ARGUMENT, "0x1");
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

static void test_nowhere(void)
{
    Fake fake = {.answer = "{\"state\": \"s\"}"};
    virLockManagerPtr manager = make(STARTED, &fake);
    virLockManagerLease *leases = (virLockManagerLease *)1;
    size_t n = 1;

    assert_failed(virLockManagerInquire(manager, NULL, 0), BAD_ARGUMENT, "");
    assert_failed(virLockManagerGetChild(manager, NULL, 0), BAD_ARGUMENT, "");
    assert_failed(virLockManagerGetChildPidfd(manager, NULL, 0), BAD_ARGUMENT,
                  "");
    assert_failed(virLockManagerGetLeases(manager, &leases, NULL, 0),
                  BAD_ARGUMENT, "");
    g_assert_null(leases);
    assert_failed(virLockManagerGetLeases(manager, NULL, &n, 0), BAD_ARGUMENT,
                  "");
    assert_failed(virLockManagerGetStatus(manager, NULL, 0), BAD_ARGUMENT, "");
    assert_failed(virLockManagerGetEventFD(manager, NULL), BAD_ARGUMENT, "");
    assert_works(virLockManagerRelease(manager, NULL, 0));
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

int main(int argc, char **argv)
{
    int result;

    tap_init(argc, argv);
    places_make(&places);
    g_test_add_func("/phases/all", test_phases);
    g_test_add_func("/phases/no-manager", test_no_manager);
    g_test_add_func("/phases/no-migration", test_no_migration);
    g_test_add_func("/phases/no-hotplug", test_no_hotplug);
    g_test_add_func("/phases/flags", test_flags);
    g_test_add_func("/phases/nowhere", test_nowhere);
    result = g_test_run();
    places_remove(&places);
    return result;
}
