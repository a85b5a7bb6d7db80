/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: a supervisor that is being started is waited for, and not for longer
 * than the deadline. */
#include "fake_supervisor.h"
#include "manager_calls.h"
#include "tap.h"

#include <sys/inotify.h>
#include <sys/syscall.h>

static Places places;

static const struct ManagerCall waits[] = {
    {"GetChild", call_child, 0, NULL, 0},
    {"GetLeases", call_leases, 0, NULL, 0},
    {"GetStatus", call_status, 0, NULL, 0},
    {"AcquireObject", call_acquire_object, 0, NULL, 0},
};

static virLockManagerPtr starting(void)
{
    virLockManagerPtr manager = manager_make("file", FAKE_UUID, 0);

    assert_works(call_args(manager));
    return manager;
}

static void test_never_started(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(waits); i++) {
        virLockManagerPtr manager = starting();

        g_test_message("%s", waits[i].name);
        g_assert_cmpint(try(&waits[i], manager), ==,
                        VIR_LOCK_MANAGER_ERROR_TIMEOUT);
        virLockManagerFree(manager);
    }
}

/* The call watches a directory, and so waits or is about to. */
static gboolean is_waited_for(void)
{
    g_autoptr(GDir) fds = g_dir_open("/proc/self/fd", 0, NULL);
    gboolean found = FALSE;
    const char *name;

    while (!found && (name = g_dir_read_name(fds))) {
        g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
        g_autofree char *what = g_file_read_link(path, NULL);

        found = g_strcmp0(what, "anon_inode:inotify") == 0;
    }
    return found;
}

static gpointer start_later(gpointer data)
{
    Fake *fake = data;

    while (!is_waited_for())
        g_thread_yield();
    g_mkdir_with_parents(places.run, 0700);
    fake_start(fake, places.run);
    return NULL;
}

static void test_started_later(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(waits); i++) {
        Fake fake = {0};
        virLockManagerPtr manager = starting();
        GThread *thread;

        g_test_message("%s", waits[i].name);
        /* Neither is its directory there yet. */
        g_assert_cmpint(g_rmdir(places.run), ==, 0);
        thread = g_thread_new("later", start_later, &fake);
        assert_works(waits[i].call(manager));
        g_thread_join(thread);
        virLockManagerDetach(manager);
        fake_stop(&fake);
    }
}

/* While the directory above is made known to be the one to watch. */
static gboolean comes_between;

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    int watch = (int)syscall(SYS_inotify_add_watch, fd, path, mask);

    if (watch < 0 && comes_between)
        g_mkdir(places.run, 0700);
    return watch;
}

/* The thread that began this process. */
static gboolean main_polls(void)
{
    g_autofree char *path =
        g_strdup_printf("/proc/self/task/%d/syscall", getpid());
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) &&
           atoi(text) == SYS_poll;
}

static gpointer start_when_waited_for(gpointer fake)
{
    while (!main_polls())
        g_thread_yield();
    fake_start(fake, places.run);
    return NULL;
}

/* Its directory comes when it was looked for already, its socket long after. */
static void test_directory_comes_between(void)
{
    Fake fake = {0};
    virLockManagerPtr manager = starting();
    GThread *thread;

    g_assert_cmpint(g_rmdir(places.run), ==, 0);
    comes_between = TRUE;
    thread = g_thread_new("later", start_when_waited_for, &fake);
    assert_works(call_child(manager));
    comes_between = FALSE;
    g_thread_join(thread);
    virLockManagerDetach(manager);
    fake_stop(&fake);
}

/* A socket that nobody listens on any more: of one that was killed. */
static void test_left_over(void)
{
    g_autofree char *path =
        g_strdup_printf("%s/%s.sock", places.run, FAKE_UUID);
    virLockManagerPtr manager =
        manager_make("file", FAKE_UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&address, sizeof address),
                    ==, 0);
    close(listener);
    assert_failed(call_child(manager), NO_SUPERVISOR, path);
    virLockManagerFree(manager);
    manager = starting();
    g_assert_cmpint(try(&waits[0], manager), ==,
                    VIR_LOCK_MANAGER_ERROR_TIMEOUT);
    virLockManagerFree(manager);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    int result;

    tap_init(argc, argv);
    places_make(&places);
    g_test_add_func("/start/never", test_never_started);
    g_test_add_func("/start/later", test_started_later);
    g_test_add_func("/start/between", test_directory_comes_between);
    g_test_add_func("/start/left-over", test_left_over);
    result = g_test_run();
    places_remove(&places);
    return result;
}
