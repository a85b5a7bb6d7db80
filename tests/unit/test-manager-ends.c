/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the end of a copy that fork(2) has made, and of a connection: neither
 * is the end of a VM. */
#include "fake_supervisor.h"
#include "manager_fixture.h"
#include "tap.h"

#define CHANGED                                                                \
    "{\"event\": \"STATE_CHANGE\", \"data\": {\"from\": \"RUNNING\", \"to\": " \
    "\"STOPPING\", \"reason\": \"told to\"}}"

static Places places;

static virLockManagerPtr find(Fake *fake)
{
    virLockManagerPtr manager;
    pid_t pid;

    fake_start(fake, places.run);
    manager = manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
    assert_works(virLockManagerGetChild(manager, &pid, 0));
    return manager;
}

static void count(virLockManagerPtr manager, const virLockManagerEvent *event,
                  void *opaque)
{
    int *n = opaque;

    if (event->type == VIR_LOCK_MANAGER_EVENT_STATE_CHANGE)
        ++*n;
}

static void assert_readable(int fd)
{
    struct pollfd events = {.fd = fd, .events = POLLIN};

    g_assert_cmpint(poll(&events, 1, ENOUGH), ==, 1);
}

/* --- a copy ----------------------------------------------------------------
 */

/* In a process of its own, which takes the copy and frees it: Returns how many
 * events it was told of, -1 where it failed. */
static int in_a_copy(virLockManagerPtr manager, const int *n,
                     gboolean (*use)(virLockManagerPtr copy))
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        gboolean good = use(manager);

        virLockManagerFree(manager);
        _exit(good ? *n : 255);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

static gboolean free_only(virLockManagerPtr copy)
{
    return TRUE;
}

static gboolean dispatch(virLockManagerPtr copy)
{
    return virLockManagerDispatch(copy) == 0;
}

/* By a connection and a descriptor of its own. */
static gboolean ask_and_watch(virLockManagerPtr copy)
{
    pid_t pid;
    int fd;

    return virLockManagerGetChild(copy, &pid, 0) == 0 &&
           virLockManagerGetEventFD(copy, &fd) == 0;
}

static void test_copy(gconstpointer data)
{
    gboolean (*use)(virLockManagerPtr) =
        ((gboolean(*const *)(virLockManagerPtr))data)[0];
    Fake fake = {0};
    virLockManagerPtr manager = find(&fake);
    int n = 0, fd;

    assert_works(virLockManagerSetEventCallback(manager, count, &n));
    assert_works(virLockManagerGetEventFD(manager, &fd));
    /* One that has come, and one that comes when the copy is no more. */
    fake_tell(&fake, CHANGED, FALSE);
    assert_readable(fd);
    g_assert_cmpint(in_a_copy(manager, &n, use), ==, 0);
    assert_readable(fd);
    assert_works(virLockManagerDispatch(manager));
    g_assert_cmpint(n, ==, 1);
    fake_tell(&fake, CHANGED, FALSE);
    assert_readable(fd);
    assert_works(virLockManagerDispatch(manager));
    g_assert_cmpint(n, ==, 2);
    virLockManagerDetach(manager);
    g_assert_cmpint(fake_stop(&fake), ==, SIGTERM);
}

/* --- a connection that was cut ---------------------------------------------
 */

static void cut(virLockManagerPtr manager, const virLockManagerEvent *event,
                void *opaque)
{
    if (event->type == VIR_LOCK_MANAGER_EVENT_STATE_CHANGE)
        fake_tell(opaque, "", TRUE);
}

/* In the middle of a wait. The VM may live, so it is not over for the
 * manager. */
static void test_cut(void)
{
    Fake fake = {0};
    virLockManagerPtr manager = find(&fake);
    pid_t pid;
    int fd;

    assert_works(virLockManagerSetEventCallback(manager, cut, &fake));
    assert_works(virLockManagerGetEventFD(manager, &fd));
    fake_tell(&fake, CHANGED, FALSE);
    assert_readable(fd);
    assert_failed(virLockManagerWait(manager, ENOUGH), NO_SUPERVISOR,
                  "without having told of it");
    assert_works(virLockManagerSetTimeout(manager, LITTLE));
    assert_failed(virLockManagerShutdown(manager, 0), TIMEOUT, "not ended");
    assert_works(virLockManagerSetTimeout(manager, ENOUGH));
    assert_works(virLockManagerGetChild(manager, &pid, 0));
    g_assert_cmpint(pid, ==, fake.child);
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

/* Its socket stays: of one that was killed, nobody knows. Of one that took it
 * along it is known, and stays known. */
static void test_vanished(void)
{
    g_autofree char *path =
        g_strdup_printf("%s/%s.sock", places.run, FAKE_UUID);
    Fake fake = {0};
    virLockManagerPtr manager = find(&fake);

    g_assert_cmpstr(fake_heard(&fake), ==, "");
    fake_stop(&fake);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    for (int i = 0; i < 2; i++) {
        assert_failed(virLockManagerWait(manager, ENOUGH), NO_SUPERVISOR, path);
        assert_failed(virLockManagerShutdown(manager, 0), NO_SUPERVISOR, path);
    }
    g_unlink(path);
    for (int i = 0; i < 2; i++) {
        assert_works(virLockManagerShutdown(manager, 0));
        assert_works(virLockManagerWait(manager, ENOUGH));
    }
    virLockManagerFree(manager);
}

int main(int argc, char **argv)
{
    static gboolean (*const uses[])(virLockManagerPtr) = {free_only, dispatch,
                                                          ask_and_watch};
    static const char *const names[] = {
        "/ends/copy/free", "/ends/copy/dispatch", "/ends/copy/watch"};
    int result;

    tap_init(argc, argv);
    places_make(&places);
    for (gsize i = 0; i < G_N_ELEMENTS(uses); i++)
        g_test_add_data_func(names[i], &uses[i], test_copy);
    g_test_add_func("/ends/cut", test_cut);
    g_test_add_func("/ends/vanished", test_vanished);
    result = g_test_run();
    places_remove(&places);
    return result;
}
