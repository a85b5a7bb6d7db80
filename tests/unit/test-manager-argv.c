/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what a manager knows of a VM, as the supervisor's arguments. */
#include "manager_fixture.h"
#include "tap.h"

#define UUID "6f0e0000-0000-4000-8000-000000000001"

static Places places;

/* Takes @manager. @want: NULL-terminated, without what is always there at the
 * begin and the end. */
static void check(virLockManagerPtr manager, const char *const *want)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
    char **argv = NULL;
    int argc = -1;

    g_ptr_array_add(all, g_strdup("--driver=file"));
    g_ptr_array_add(all, g_strdup("--uuid=" UUID));
    for (; *want && g_str_has_prefix(*want, "--name="); want++)
        g_ptr_array_add(all, g_strdup(*want));
    for (; *want && g_str_has_prefix(*want, "--id="); want++)
        g_ptr_array_add(all, g_strdup(*want));
    g_ptr_array_add(all, g_strdup_printf("--run-dir=%s", places.run));
    g_ptr_array_add(all, g_strdup_printf("--state-dir=%s", places.state));
    for (; *want; want++)
        g_ptr_array_add(all, g_strdup(*want));
    g_ptr_array_add(all, g_strdup("--"));

    assert_works(virLockManagerGetSupervisorArgs(manager, &argv, &argc, 0));
    for (guint i = 0; i < all->len; i++)
        g_assert_cmpstr(argv[i], ==, all->pdata[i]);
    g_assert_null(argv[all->len]);
    g_assert_cmpint(argc, ==, (int)all->len);
    virLockManagerFreeArgs(argv);
    virLockManagerFree(manager);
}

#define CHECK(manager, ...)                                                    \
    check((manager), (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void set(virLockManagerPtr manager, const char *key, const char *value)
{
    assert_works(virLockManagerSetParameter(manager, key, value));
}

static void test_least(void)
{
    CHECK(manager_make("file", UUID, 0));
    CHECK(manager_make("file", UUID, VIR_LOCK_MANAGER_NEW_MIGRATE),
          "--incoming");
}

static void test_parameters(void)
{
    virLockManagerPtr manager = manager_make("file", UUID, 0);

    set(manager, "uuid", "6F0E0000-0000-4000-8000-000000000001");
    set(manager, "name", "first");
    set(manager, "name", "web1");
    set(manager, "id", "17");
    set(manager, "wait", "2.5");
    set(manager, "stop-timeout", "10");
    set(manager, "user", "qemu");
    set(manager, "group", "kvm");
    set(manager, "control-group", "libvirt");
    set(manager, "log-level", "info");
    set(manager, "log-target", "journal");
    set(manager, "pid", "1");
    set(manager, "uri", "qemu:///system");
    set(manager, "guard", "off");
    set(manager, "guard", "on");
    set(manager, "drain", "1");
    set(manager, "lockspace", "/first");
    set(manager, "drain", "7");
    set(manager, "lockspace", "/shared/locks, all=of them");
    CHECK(manager, "--name=web1", "--id=17", "--guard", "--wait=2.5",
          "--stop-timeout=10", "--user=qemu", "--group=kvm",
          "--control-group=libvirt", "--log-level=info", "--log-target=journal",
          "--param=drain=7", "--param=lockspace=/shared/locks, all=of them");
}

/* No name is taken for an option, or for two words. */
static void test_odd_names(void)
{
    virLockManagerPtr manager = manager_make("file", UUID, 0);

    set(manager, "name", "--");
    set(manager, "id", "-h --version");
    set(manager, "-x", "");
    assert_works(virLockManagerRegisterResource(manager, 0, "/vm/a b", 0));
    assert_works(virLockManagerRegisterResource(manager, 0, "/vm/a,b,,c", 0));
    assert_works(virLockManagerRegisterResource(
        manager, 0, "/vm/x,readonly", VIR_LOCK_MANAGER_RESOURCE_SHARED));
    assert_works(virLockManagerRegisterResource(
        manager, 0, "/vm/\n-\"'\\$(x)", VIR_LOCK_MANAGER_RESOURCE_READONLY));
    assert_works(virLockManagerRegisterResource(manager, 0, "/vm/\xc3\xa4", 0));
    CHECK(manager, "--name=--", "--id=-h --version",
          "--param=-x=", "--disk=/vm/a b", "--disk=/vm/a,,b,,,,c",
          "--disk=/vm/x,,readonly,shared", "--disk=/vm/\n-\"'\\$(x),readonly",
          "--disk=/vm/\xc3\xa4");
}

static void add_lease(virLockManagerPtr manager, const char *key,
                      const char *lockspace, const char *path,
                      unsigned long long offset)
{
    virLockManagerParam params[3];
    size_t n = 0;

    memset(params, 0, sizeof params);
    if (lockspace) {
        params[n].type = VIR_LOCK_MANAGER_PARAM_TYPE_CSTRING;
        params[n].key = "lockspace";
        params[n++].value.cstr = lockspace;
    }
    if (offset) {
        params[n].type = VIR_LOCK_MANAGER_PARAM_TYPE_ULONG;
        params[n].key = "offset";
        params[n++].value.ul = offset;
    }
    if (path) {
        params[n].type = VIR_LOCK_MANAGER_PARAM_TYPE_CSTRING;
        params[n].key = "path";
        params[n++].value.cstr = path;
    }
    assert_works(virLockManagerAddResource(manager, 1, key, n, params, 0));
}

static void test_leases(void)
{
    virLockManagerPtr manager = manager_make("file", UUID, 0);

    assert_works(virLockManagerRegisterResource(manager, 1, "pool:net1", 0));
    assert_works(
        virLockManagerRegisterResource(manager, 1, "p\\:q:k:/f:4096", 0));
    add_lease(manager, "net2", NULL, NULL, 0);
    add_lease(manager, "a:b\\c", "x:y", "/f:g", 0);
    add_lease(manager, "far", "pool", "/dev/x", 1ULL << 40);
    CHECK(manager, "--lease=pool:net1", "--lease=p\\:q:k:/f:4096",
          "--lease=default:net2", "--lease=x\\:y:a\\:b\\\\c:/f\\:g:0",
          "--lease=pool:far:/dev/x:1099511627776");
}

/* DESIGN's way to say all that. */
static void test_params(void)
{
    const virLockManagerParam params[] = {
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_UUID,
         .key = "uuid",
         .value = {.uuid = {0x6f, 0x0e, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0,
                            0, 0, 1}}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_STRING,
         .key = "name",
         .value = {.str = (char *)"web1"}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_UINT,
         .key = "id",
         .value = {.ui = 4294967295u}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_UINT,
         .key = "pid",
         .value = {.ui = 4711}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_CSTRING,
         .key = "uri",
         .value = {.cstr = "qemu:///system"}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_INT,
         .key = "check",
         .value = {.i = -1}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_LONG,
         .key = "l",
         .value = {.l = -9223372036854775807LL}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_ULONG,
         .key = "ul",
         .value = {.ul = 18446744073709551615ULL}},
        {.type = VIR_LOCK_MANAGER_PARAM_TYPE_DOUBLE,
         .key = "wait",
         .value = {.d = 2.5}},
    };
    virLockManagerDriverPtr driver = driver_load("file");
    virLockManagerPtr manager = virLockManagerNewParams(
        driver, VIR_LOCK_MANAGER_TYPE_DOMAIN, G_N_ELEMENTS(params), params, 0);

    virLockManagerPluginUnload(driver);
    g_assert_nonnull(manager);
    CHECK(manager, "--name=web1", "--id=4294967295", "--param=check=-1",
          "--param=l=-9223372036854775807", "--param=ul=18446744073709551615",
          "--wait=2.5");
}

/* The directories are those of the environment when the manager was made,
 * and a parameter's before all. */
static void test_directories(void)
{
    virLockManagerPtr manager = manager_make("file", UUID, 0);
    Places old = places;

    g_setenv("VIRT_LOCK_RUN_DIR", "/changed", TRUE);
    g_setenv("VIRT_LOCK_STATE_DIR", "/changed", TRUE);
    CHECK(manager);
    manager = manager_make("file", UUID, 0);
    set(manager, "run-dir", "/r");
    set(manager, "state-dir", "/s");
    places.run = (char *)"/r";
    places.state = (char *)"/s";
    CHECK(manager);
    /* The supervisor has a current directory of its own. */
    manager = manager_make("file", UUID, 0);
    set(manager, "run-dir", "r/../run");
    set(manager, "state-dir", "state");
    places.run = g_canonicalize_filename("run", NULL);
    places.state = g_canonicalize_filename("state", NULL);
    CHECK(manager);
    g_free(places.run);
    g_free(places.state);
    places = old;
    g_setenv("VIRT_LOCK_RUN_DIR", places.run, TRUE);
    g_setenv("VIRT_LOCK_STATE_DIR", places.state, TRUE);
}

static void test_refused(void)
{
    virLockManagerPtr manager = manager_make("file", NULL, 0);
    char **argv = (char **)1;
    int argc = 4711;

    assert_failed(virLockManagerGetSupervisorArgs(manager, &argv, &argc, 0),
                  BAD_ARGUMENT, "uuid is not set");
    g_assert_null(argv);
    g_assert_cmpint(argc, ==, 4711);
    set(manager, "uuid", UUID);
    assert_failed(virLockManagerGetSupervisorArgs(manager, NULL, &argc, 0),
                  BAD_ARGUMENT, "");
    assert_failed(virLockManagerGetSupervisorArgs(manager, &argv, &argc, 0x10),
                  BAD_ARGUMENT, "0x10");
    g_assert_null(argv);
    virLockManagerFree(manager);
    manager = manager_make("file", UUID, VIR_LOCK_MANAGER_NEW_ATTACH);
    assert_failed(virLockManagerGetSupervisorArgs(manager, &argv, NULL, 0),
                  WRONG_STATE, "runs already");
    virLockManagerFree(manager);
    virLockManagerFreeArgs(NULL);
}

static void test_program(void)
{
    virLockManagerPtr manager = manager_make("file", NULL, 0);
    char *path, *label;

    g_setenv("VIRT_LOCK_SUPERVISOR", "/bin/sh", TRUE);
    path = virLockManagerGetSupervisorPath(manager);
    g_assert_cmpstr(path, ==, "/bin/sh");
    free(path);
    label = virLockManagerGetSupervisorContext(manager); /* or it has none */
    free(label);
    g_setenv("VIRT_LOCK_SUPERVISOR", "bin/sh", TRUE);
    assert_failed(virLockManagerGetSupervisorPath(manager) ? 0 : -1,
                  NO_SUPERVISOR, "absolute");
    g_setenv("VIRT_LOCK_SUPERVISOR", "/nonexistent", TRUE);
    assert_failed(virLockManagerGetSupervisorPath(manager) ? 0 : -1,
                  NO_SUPERVISOR, "'/nonexistent'");
    assert_failed(virLockManagerGetSupervisorContext(manager) ? 0 : -1,
                  NO_SUPERVISOR, "'/nonexistent'");
    g_unsetenv("VIRT_LOCK_SUPERVISOR");
    virLockManagerFree(manager);
}

int main(int argc, char **argv)
{
    int result;

    tap_init(argc, argv);
    places_make(&places);
    g_test_add_func("/argv/least", test_least);
    g_test_add_func("/argv/parameters", test_parameters);
    g_test_add_func("/argv/odd", test_odd_names);
    g_test_add_func("/argv/leases", test_leases);
    g_test_add_func("/argv/params", test_params);
    g_test_add_func("/argv/directories", test_directories);
    g_test_add_func("/argv/refused", test_refused);
    g_test_add_func("/argv/program", test_program);
    result = g_test_run();
    places_remove(&places);
    return result;
}
