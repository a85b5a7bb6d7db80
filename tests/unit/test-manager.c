/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: drivers, managers, parameters and resources: before anything runs. */
#include "manager_fixture.h"
#include "tap.h"

#include <sys/wait.h>
#include <unistd.h>

#define UUID "6f0e0000-0000-4000-8000-000000000001"

static void test_drivers(void)
{
    virLockManagerDriverPtr file = driver_load("file");
    unsigned int can = 0;

    g_assert_true(driver_load("file") == file);
    virLockManagerPluginUnload(file);
    assert_works(virLockManagerGetCapabilities(file, &can));
    g_assert_cmphex(can, ==,
                    VIR_LOCK_MANAGER_CAPABILITY_RESOURCES |
                        VIR_LOCK_MANAGER_CAPABILITY_HOTPLUG |
                        VIR_LOCK_MANAGER_CAPABILITY_MIGRATE);
    virLockManagerPluginUnload(file);
    file = driver_load("nop");
    assert_works(virLockManagerGetCapabilities(file, &can));
    g_assert_cmphex(can & VIR_LOCK_MANAGER_CAPABILITY_MIGRATE, !=, 0);
    assert_failed(virLockManagerGetCapabilities(file, NULL), BAD_ARGUMENT, "");
    assert_failed(virLockManagerGetCapabilities(NULL, &can), BAD_ARGUMENT, "");
    virLockManagerPluginUnload(file);
    virLockManagerPluginUnload(NULL);
}

#define assert_not_loaded(name, want, words)                                   \
    assert_failed(virLockManagerPluginLoad(name) ? 0 : -1, want, words)

static void test_no_drivers(void)
{
    static const char *const names[] = {
        "", "../file", "a/b", "File", "a b", "\xff", "file\n",
    };
    g_autofree char *dir = g_dir_make_tmp("test-manager-XXXXXX", NULL);
    g_autofree char *supervisor = g_build_filename(dir, "supervisor", NULL);

    g_assert_true(g_file_set_contents(supervisor, "#!/bin/sh\n", -1, NULL));
    g_assert_cmpint(g_chmod(supervisor, 0755), ==, 0);
    g_setenv("VIRT_LOCK_SUPERVISOR", supervisor, TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        assert_not_loaded(names[i], BAD_ARGUMENT, "that is no name");
    assert_not_loaded(NULL, BAD_ARGUMENT, "that is no name");
    assert_not_loaded("etcd", NOT_SUPPORTED, "'virt-lock-driver-etcd'");
    assert_not_loaded("sync-manager", NOT_SUPPORTED,
                      "'virt-lock-driver-sanlock'");
    g_setenv("VIRT_LOCK_SUPERVISOR", "/nonexistent", TRUE);
    assert_not_loaded("etcd", NO_SUPERVISOR, "/nonexistent");
    g_unsetenv("VIRT_LOCK_SUPERVISOR");
    g_unlink(supervisor);
    g_rmdir(dir);
}

/* Its program need only be there, beside the supervisor or in libexec. */
static void test_engines(void)
{
    static const char *const places[] = {"sbin", "libexec"};
    g_autofree char *dir = g_dir_make_tmp("test-manager-XXXXXX", NULL);
    g_autofree char *supervisor = g_build_filename(dir, "sbin/s", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *place = g_build_filename(dir, places[i], NULL);

        g_assert_cmpint(g_mkdir(place, 0755), ==, 0);
    }
    g_assert_true(g_file_set_contents(supervisor, "#!/bin/sh\n", -1, NULL));
    g_assert_cmpint(g_chmod(supervisor, 0755), ==, 0);
    g_setenv("VIRT_LOCK_SUPERVISOR", supervisor, TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *program =
            g_build_filename(dir, places[i], "virt-lock-driver-sanlock", NULL);
        virLockManagerDriverPtr alias, sanlock;

        g_assert_true(g_file_set_contents(program, "not to be run", -1, NULL));
        assert_not_loaded("sanlock", NOT_SUPPORTED, "");
        g_assert_cmpint(g_chmod(program, 0755), ==, 0);
        sanlock = driver_load("sanlock");
        alias = driver_load("sync-manager");
        g_assert_true(alias == sanlock);
        virLockManagerPluginUnload(alias);
        virLockManagerPluginUnload(sanlock);
        g_unlink(program);
    }
    g_unlink(supervisor);
    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *place = g_build_filename(dir, places[i], NULL);

        g_rmdir(place);
    }
    g_rmdir(dir);
    g_unsetenv("VIRT_LOCK_SUPERVISOR");
}

/* --- making ----------------------------------------------------------------
 */

#define assert_not_made(made, want, words)                                     \
    assert_failed((made) ? 0 : -1, want, words)

static void test_new(void)
{
    virLockManagerDriverPtr file = driver_load("file"),
                            nop = driver_load("nop");
    const unsigned int migrate = VIR_LOCK_MANAGER_NEW_MIGRATE,
                       attach = VIR_LOCK_MANAGER_NEW_ATTACH;

    assert_not_made(virLockManagerNew(NULL, 0, 0), BAD_ARGUMENT, "driver");
    assert_not_made(virLockManagerNew(file, 1, 0), BAD_ARGUMENT, "type 1");
    assert_not_made(virLockManagerNew(file, 0, 4), BAD_ARGUMENT, "0x4");
    assert_not_made(virLockManagerNew(file, 0, migrate | attach), BAD_ARGUMENT,
                    "0x3");
    assert_not_made(virLockManagerNewParams(file, 0, 1, NULL, 0), BAD_ARGUMENT,
                    "NULL");
    virLockManagerFree(virLockManagerNew(file, 0, migrate));
    virLockManagerDetach(virLockManagerNew(nop, 0, attach));
    virLockManagerFree(NULL);
    virLockManagerDetach(NULL);
    virLockManagerPluginUnload(file);
    virLockManagerPluginUnload(nop);
}

/* The driver may be unloaded while managers live. */
static void test_unloaded(void)
{
    virLockManagerPtr manager = manager_make("file", UUID, 0);
    char **argv = NULL;

    assert_works(virLockManagerGetSupervisorArgs(manager, &argv, NULL, 0));
    g_assert_true(g_strv_contains((const char *const *)argv, "--driver=file"));
    virLockManagerFreeArgs(argv);
    virLockManagerFree(manager);
}

#define TEXT(k, v)                                                             \
    {                                                                          \
        .type = VIR_LOCK_MANAGER_PARAM_TYPE_CSTRING, .key = (k), .value = {    \
            .cstr = (v)                                                        \
        }                                                                      \
    }

static void test_bad_params(void)
{
    static const struct {
        virLockManagerParam param;
        const char *words;
    } bad[] = {
        {TEXT(NULL, "x"), "cannot set ''"},
        {TEXT("name", NULL), "'name'"},
        {{.type = 8, .key = "name"}, "type 8"},
        {{.type = -1, .key = "name"}, "type -1"},
        {TEXT("uuid", "no uuid"), "no uuid"},
        {TEXT("pid", "-1"), "'pid'"},
        {TEXT("guard", "perhaps"), "perhaps"},
        {TEXT("a=b", "x"), "a=b"},
        {TEXT("", "x"), "''"},
        {TEXT("name", "\xff"), "UTF-8"},
        {TEXT("\xff", "x"), "UTF-8"},
        {TEXT("name", ""), "empty"},
        {TEXT("wait", "abc"), "'abc': it is not a number of seconds"},
        {TEXT("stop-timeout", "1e99"), "a number of seconds"},
        {TEXT("stop-timeout", "9999999"), "more than a month"},
        {TEXT("log-level", "loud"), "'loud'"},
        {TEXT("log-target", "loud"), "'loud'"},
    };
    virLockManagerDriverPtr file = driver_load("file");

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_not_made(virLockManagerNewParams(file, 0, 1, &bad[i].param, 0),
                        BAD_ARGUMENT, bad[i].words);
    virLockManagerPluginUnload(file);
}

static void test_parameters(void)
{
    virLockManagerPtr manager = manager_make("file", NULL, 0);

    assert_failed(virLockManagerSetParameter(manager, NULL, "x"), BAD_ARGUMENT,
                  "name is NULL");
    assert_failed(virLockManagerSetParameter(manager, "uuid", NULL),
                  BAD_ARGUMENT, "'uuid': its value is NULL");
    assert_failed(virLockManagerSetParameter(manager, "pid", "x"), BAD_ARGUMENT,
                  "'pid'");
    assert_failed(virLockManagerSetParameter(manager, "uuid", "x"),
                  BAD_ARGUMENT, "'x'");
    assert_failed(virLockManagerSetParameter(manager, "guard", "yes"),
                  BAD_ARGUMENT, "on nor off");
    assert_failed(virLockManagerSetParameter(manager, "name", "\xc3"),
                  BAD_ARGUMENT, "UTF-8");
    assert_works(virLockManagerSetParameter(manager, "anything", ""));
    assert_failed(virLockManagerSetTimeout(manager, 0), BAD_ARGUMENT, "0 ");
    assert_failed(virLockManagerSetTimeout(manager, 3600001), BAD_ARGUMENT,
                  "3600001");
    assert_works(virLockManagerSetTimeout(manager, 3600000));
    assert_works(virLockManagerSetTimeout(manager, 1));
    virLockManagerFree(manager);
}

/* --- resources -------------------------------------------------------------
 */

static void test_bad_resources(void)
{
    static const struct {
        unsigned int type, flags;
        const char *name;
        int code;
        const char *words;
    } bad[] = {
        {0, 0, NULL, VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "NULL"},
        {0, 0, "", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "''"},
        {0, 0, "vm/a", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "not absolute"},
        {0, 3, "/vm/a", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "0x3"},
        {0, 8, "/vm/a", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "0x8"},
        {0, 0, "/vm/\xff", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "UTF-8"},
        {2, 0, "/vm/a", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "type 2"},
        {1, 0, "pool", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, "pool"},
        {1, 0, "", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, ""},
        {1, 0, "p:k:/f:100", VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT, ""},
        {1, 1, "p:k", VIR_LOCK_MANAGER_ERROR_NOT_SUPPORTED, "exclusive"},
    };
    virLockManagerPtr manager = manager_make("file", UUID, 0);
    char **argv;
    int argc, before;

    assert_works(virLockManagerGetSupervisorArgs(manager, &argv, &before, 0));
    virLockManagerFreeArgs(argv);
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(virLockManagerRegisterResource(
                            manager, bad[i].type, bad[i].name, bad[i].flags),
                        ==, -1);
        g_assert_cmpint(virLockManagerGetLastError()->code, ==, bad[i].code);
        assert_sentence(virLockManagerGetLastError()->message);
        g_assert_nonnull(
            strstr(virLockManagerGetLastError()->message, bad[i].words));
    }
    assert_works(virLockManagerGetSupervisorArgs(manager, &argv, &argc, 0));
    g_assert_cmpint(argc, ==, before);
    virLockManagerFreeArgs(argv);
    virLockManagerFree(manager);
}

static void test_twice(void)
{
    virLockManagerPtr manager = manager_make("file", UUID, 0);

    assert_works(virLockManagerRegisterResource(manager, 0, "/vm/a", 0));
    assert_failed(virLockManagerRegisterResource(manager, 0, "/vm/a", 1),
                  BAD_ARGUMENT, "registered already");
    assert_failed(virLockManagerAddResource(manager, 0, "/vm/a", 0, NULL, 0),
                  BAD_ARGUMENT, "registered already");
    assert_works(virLockManagerRegisterResource(manager, 1, "default:k", 0));
    assert_failed(virLockManagerAddResource(manager, 1, "k", 0, NULL, 0),
                  BAD_ARGUMENT, "registered already");
    assert_works(virLockManagerAddResource(manager, 1, "/vm/a", 0, NULL, 0));
    virLockManagerFree(manager);
}

static void test_bad_added(void)
{
    static const struct {
        virLockManagerParam param;
        const char *words;
    } bad[] = {
        {TEXT("pool", "x"), "'pool'"},
        {TEXT(NULL, "x"), "''"},
        {TEXT("path", NULL), "'path'"},
        {TEXT("path", "vm/a"), "not absolute"},
        {TEXT("offset", "8"), "'k': an offset needs a path"},
        {TEXT("lockspace", "\xff"), "UTF-8"},
    };
    virLockManagerPtr manager = manager_make("file", UUID, 0);

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_failed(
            virLockManagerAddResource(manager, 1, "k", 1, &bad[i].param, 0),
            BAD_ARGUMENT, bad[i].words);
    assert_failed(virLockManagerAddResource(manager, 1, "k", 1, NULL, 0),
                  BAD_ARGUMENT, "NULL");
    assert_failed(
        virLockManagerAddResource(manager, 0, "/a", 1, &bad[0].param, 0),
        BAD_ARGUMENT, "parameters");
    assert_failed(virLockManagerAddResource(manager, 1, NULL, 0, NULL, 0),
                  BAD_ARGUMENT, "NULL");
    virLockManagerFree(manager);
}

/* --- errors ----------------------------------------------------------------
 */

/* In a thread that nothing has failed in. */
static gpointer fail_for_the_first_time(gpointer data)
{
    virLockManagerPtr manager = manager_make("file", UUID, 0);
    const virLockManagerError *error = virLockManagerGetLastError();

    g_assert_cmpint(error->code, ==, VIR_LOCK_MANAGER_ERROR_NONE);
    g_assert_cmpstr(error->message, ==, "");
    g_assert_null(error->holder);
    assert_failed(virLockManagerSetTimeout(manager, 0), BAD_ARGUMENT, "");
    error = virLockManagerGetLastError();
    assert_works(virLockManagerSetTimeout(manager, 1));
    g_assert_true(virLockManagerGetLastError() == error);
    g_assert_cmpint(error->code, ==, VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT);
    virLockManagerFree(manager);
    g_assert_true(virLockManagerGetLastError() == error);
    return NULL;
}

static gpointer load_again_and_again(gpointer ended)
{
    while (!g_atomic_int_get((gint *)ended))
        virLockManagerPluginUnload(driver_load("nop"));
    return NULL;
}

/* A process that is forked while another thread is in the table can use it. */
static void test_fork(void)
{
    gint ended = FALSE;
    GThread *other = g_thread_new("loads", load_again_and_again, &ended);

    for (int i = 0; i < 300; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            alarm(10);
            virLockManagerPluginUnload(driver_load("file"));
            /* What the other thread had is lost in here, as valgrind sees. */
            execl("/bin/true", "true", NULL);
            _exit(1);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
    }
    g_atomic_int_set(&ended, TRUE);
    g_thread_join(other);
}

static void test_last_error(void)
{
    g_thread_join(g_thread_new("error", fail_for_the_first_time, NULL));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/manager/driver/built-in", test_drivers);
    g_test_add_func("/manager/driver/none", test_no_drivers);
    g_test_add_func("/manager/driver/engine", test_engines);
    g_test_add_func("/manager/driver/fork", test_fork);
    g_test_add_func("/manager/new", test_new);
    g_test_add_func("/manager/new/unloaded", test_unloaded);
    g_test_add_func("/manager/param/bad", test_bad_params);
    g_test_add_func("/manager/param/set", test_parameters);
    g_test_add_func("/manager/resource/bad", test_bad_resources);
    g_test_add_func("/manager/resource/twice", test_twice);
    g_test_add_func("/manager/resource/added", test_bad_added);
    g_test_add_func("/manager/error/last", test_last_error);
    return g_test_run();
}
