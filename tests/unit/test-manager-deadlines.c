/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: no function waits longer than its deadline, whatever answers. */
#include "fake_supervisor.h"
#include "manager_calls.h"
#include "manager_internal.h"
#include "tap.h"

static Places places;

static const struct {
    FakeManners manners;
    const char *name;
    int code;
} ways[] = {
    {FAKE_SILENT, "silent", VIR_LOCK_MANAGER_ERROR_TIMEOUT},
    {FAKE_TRICKLING, "trickling", VIR_LOCK_MANAGER_ERROR_TIMEOUT},
    {FAKE_CHATTING, "chatting", VIR_LOCK_MANAGER_ERROR_TIMEOUT},
    {FAKE_BABBLING, "babbling", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT},
    {FAKE_FOREIGN, "foreign", VIR_LOCK_MANAGER_ERROR_GENERIC},
    {FAKE_HALF, "half an answer", VIR_LOCK_MANAGER_ERROR_NO_SUPERVISOR},
};

static virLockManagerPtr find(Fake *fake)
{
    virLockManagerPtr manager;
    pid_t pid;

    fake_start(fake, places.run);
    manager = manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
    assert_works(virLockManagerGetChild(manager, &pid, 0));
    return manager;
}

static void test_calls(gconstpointer data)
{
    const FakeManners manners = GPOINTER_TO_UINT(data);

    for (gsize i = 0; i < G_N_ELEMENTS(manager_calls); i++) {
        const struct ManagerCall *call = &manager_calls[i];
        Fake fake = {0};
        virLockManagerPtr manager;
        int code;

        /* One that is already asked at the first connection: from the second
         * on. */
        if (!call->command || g_str_has_prefix(call->command, "query-"))
            continue;
        g_test_message("%s", call->name);
        fake.manners = manners;
        fake.at = call->command;
        manager = find(&fake);
        code = try(call, manager);
        for (gsize j = 0; j < G_N_ELEMENTS(ways); j++) {
            if (ways[j].manners == manners)
                g_assert_cmpint(code, ==, ways[j].code);
        }
        virLockManagerDetach(manager);
        fake_stop(&fake);
    }
}

/* Each at the first thing that it does at all. */
static void test_begins(gconstpointer data)
{
    static const char *const ats[] = {"greeting", "qmp_capabilities",
                                      "query-status", "query-child"};
    const FakeManners manners = GPOINTER_TO_UINT(data);

    for (gsize i = 0; i < G_N_ELEMENTS(ats); i++) {
        static const struct ManagerCall child = {"GetChild", call_child, 0,
                                                 NULL, 0};
        Fake fake = {.manners = manners, .at = ats[i]};
        virLockManagerPtr manager =
            manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
        int code;

        g_test_message("%s", ats[i]);
        fake_start(&fake, places.run);
        code = try(&child, manager);
        /* An event in place of a greeting is no supervisor's. */
        if (manners == FAKE_SILENT || manners == FAKE_TRICKLING ||
            (manners == FAKE_CHATTING && i > 0))
            g_assert_cmpint(code, ==, VIR_LOCK_MANAGER_ERROR_TIMEOUT);
        virLockManagerDetach(manager);
        fake_stop(&fake);
    }
}

/* It goes on with the next call as if nothing had been. */
static void test_late_answer(void)
{
    Fake fake = {.manners = FAKE_SILENT,
                 .at = "inquire",
                 .answer = "{\"state\": \"s\"}"};
    virLockManagerPtr manager = find(&fake);
    char *state;

    assert_works(virLockManagerSetTimeout(manager, LITTLE));
    assert_failed(virLockManagerInquire(manager, &state, 0), TIMEOUT,
                  "in time");
    g_assert_null(state);
    assert_works(virLockManagerSetTimeout(manager, ENOUGH));
    assert_works(virLockManagerRelease(manager, &state, 0));
    g_assert_cmpstr(state, ==, "s");
    free(state);
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

/* One that is stopped accepts nothing: the kernel does, as many as fit. */
static void test_full_backlog(void)
{
    static const struct ManagerCall child = {"GetChild", call_child, 0, NULL,
                                             0};
    g_autofree char *path =
        g_strdup_printf("%s/%s.sock", places.run, FAKE_UUID);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    virLockManagerPtr managers[3];

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address),
                    ==, 0);
    g_assert_cmpint(listen(listener, 0), ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(managers); i++) {
        managers[i] =
            manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
        g_assert_cmpint(try(&child, managers[i]), ==,
                        VIR_LOCK_MANAGER_ERROR_TIMEOUT);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(managers); i++)
        virLockManagerFree(managers[i]);
    close(listener);
    g_unlink(path);
}

/* --- the end of a wait ------------------------------------------------------
 */

static void test_shutdown(void)
{
    static const struct ManagerCall shutdown = {"Shutdown", call_shutdown, 0,
                                                NULL, 0};
    Fake fake = {0};
    virLockManagerPtr manager = find(&fake);

    /* It says that it will, and does not. */
    g_assert_cmpint(try(&shutdown, manager), ==,
                    VIR_LOCK_MANAGER_ERROR_TIMEOUT);
    assert_failed(virLockManagerWait(manager, 0), TIMEOUT, "has not ended");
    fake_tell(&fake, "{\"event\": \"RELEASED\", \"data\": {}}", TRUE);
    assert_works(virLockManagerWait(manager, -1));
    assert_works(virLockManagerShutdown(manager, 0));
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

/* Unless the manager says otherwise it is the VM's own time, and 30 seconds. */
static void test_shutdown_by_default(void)
{
    Fake fake = {.manners = FAKE_ENDING, .at = "shutdown"};
    virLockManagerPtr manager = virLockManagerNew(
        virLockManagerPluginLoad("file"), VIR_LOCK_MANAGER_NEW_DOMAIN,
        VIR_LOCK_MANAGER_NEW_ATTACH);
    const gint64 begin = g_get_monotonic_time();
    pid_t pid;

    fake_start(&fake, places.run);
    assert_works(virLockManagerSetParameter(manager, "uuid", FAKE_UUID));
    assert_works(virLockManagerGetChild(manager, &pid, 0));
    g_assert_cmpint(manager->deadline, <, begin + 45 * G_USEC_PER_SEC);
    assert_works(virLockManagerShutdown(manager, 0));
    g_assert_cmpint(manager->deadline, >=, begin + 60 * G_USEC_PER_SEC);
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

/* Free is told in words, and has hands besides. */
static void test_free(gconstpointer data)
{
    const FakeManners manners = GPOINTER_TO_UINT(data);
    Fake fake = {.manners = manners,
                 .at = manners == FAKE_POLITE ? NULL : "quit"};
    virLockManagerPtr manager = find(&fake);
    gint64 begin;
    int status;

    begin = g_get_monotonic_time();
    virLockManagerFree(manager);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, G_USEC_PER_SEC + LATE);
    status = fake_stop(&fake);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==,
                    manners == FAKE_POLITE ? SIGTERM : SIGKILL);
}

static void test_detach(void)
{
    Fake fake = {0};
    g_autofree char *heard = NULL;

    virLockManagerDetach(find(&fake));
    heard = fake_heard(&fake);
    g_assert_cmpstr(heard, ==, "");
    g_assert_cmpint(fake_stop(&fake), ==, SIGTERM);
}

int main(int argc, char **argv)
{
    int result;

    tap_init(argc, argv);
    places_make(&places);
    for (gsize i = 0; i < G_N_ELEMENTS(ways); i++) {
        gpointer data = GUINT_TO_POINTER(ways[i].manners);
        g_autofree char *calls =
            g_strdup_printf("/deadlines/calls/%s", ways[i].name);
        g_autofree char *begins =
            g_strdup_printf("/deadlines/begins/%s", ways[i].name);
        g_autofree char *frees =
            g_strdup_printf("/deadlines/free/%s", ways[i].name);

        g_test_add_data_func(calls, data, test_calls);
        g_test_add_data_func(begins, data, test_begins);
        g_test_add_data_func(frees, data, test_free);
    }
    g_test_add_data_func("/deadlines/free/polite",
                         GUINT_TO_POINTER(FAKE_POLITE), test_free);
    g_test_add_func("/deadlines/detach", test_detach);
    g_test_add_func("/deadlines/late", test_late_answer);
    g_test_add_func("/deadlines/backlog", test_full_backlog);
    g_test_add_func("/deadlines/shutdown", test_shutdown);
    g_test_add_func("/deadlines/shutdown/default", test_shutdown_by_default);
    result = g_test_run();
    places_remove(&places);
    return result;
}
