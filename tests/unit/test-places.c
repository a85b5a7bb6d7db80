/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: where the two directories are, in every environment. */
#include <unistd.h>

#include "places.h"
#include "qmp.h"
#include "tap.h"

static void clear_environment(void)
{
    static const char *const names[] = {"VIRT_LOCK_RUN_DIR",
                                        "VIRT_LOCK_STATE_DIR",
                                        "XDG_RUNTIME_DIR", "XDG_STATE_HOME"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        g_unsetenv(names[i]);
}

typedef char *PlaceFunc(const char *argument, GError **error);

static void check(PlaceFunc *place, const char *argument, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = place(argument, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(path, ==, expected);
}

static void check_fails(PlaceFunc *place, const char *argument)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(place(argument, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    g_assert_true(g_str_has_prefix(error->message, "cannot find the "));
}

static void test_order(void)
{
    clear_environment();
    g_setenv("VIRT_LOCK_RUN_DIR", "/e/run", TRUE);
    g_setenv("VIRT_LOCK_STATE_DIR", "/e/state", TRUE);
    g_setenv("XDG_RUNTIME_DIR", "/x/run", TRUE);
    g_setenv("XDG_STATE_HOME", "/x/state", TRUE);
    check(places_run_dir, "/a", "/a");
    check(places_run_dir, NULL, "/e/run");
    check(places_state_dir, "/a", "/a");
    check(places_state_dir, NULL, "/e/state");
    clear_environment();
}

static void test_relative(void)
{
    g_autofree char *here = g_get_current_dir();
    g_autofree char *run = g_build_filename(here, "run", NULL);

    check(places_run_dir, "run", run);
    check(places_run_dir, "./run/", run);
    check(places_run_dir, "/a//b/../c/", "/a/c");
}

static void test_empty(void)
{
    check_fails(places_run_dir, "");
    check_fails(places_state_dir, "");
    g_setenv("VIRT_LOCK_RUN_DIR", "", TRUE); /* as good as unset */
    if (geteuid() == 0)
        check(places_run_dir, NULL, "/run/virt-lock-supervisor");
    else
        check_fails(places_run_dir, NULL);
    clear_environment();
}

static void test_root(void)
{
    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    g_setenv("XDG_RUNTIME_DIR", "/x/run", TRUE);
    g_setenv("XDG_STATE_HOME", "/x/state", TRUE);
    check(places_run_dir, NULL, "/run/virt-lock-supervisor");
    check(places_state_dir, NULL, "/var/lib/virt-lock-supervisor");
    clear_environment();
}

/* For others than root; root becomes one for the time of the test. */
static void test_user(void)
{
    g_autofree char *home = g_build_filename(
        g_get_home_dir(), ".local/state/virt-lock-supervisor", NULL);
    gboolean root = geteuid() == 0;

    if (root)
        g_assert_cmpint(seteuid(65534), ==, 0);
    check_fails(places_run_dir, NULL);
    check(places_state_dir, NULL, home);
    g_setenv("XDG_RUNTIME_DIR", "/x/run", TRUE);
    g_setenv("XDG_STATE_HOME", "/x/state", TRUE);
    check(places_run_dir, NULL, "/x/run/virt-lock-supervisor");
    check(places_state_dir, NULL, "/x/state/virt-lock-supervisor");
    g_setenv("XDG_RUNTIME_DIR", "relative", TRUE); /* must be ignored */
    g_setenv("XDG_STATE_HOME", "relative", TRUE);
    check_fails(places_run_dir, NULL);
    check(places_state_dir, NULL, home);
    clear_environment();
    if (root)
        g_assert_cmpint(seteuid(0), ==, 0);
}

static void test_socket(void)
{
    g_autofree char *path = places_socket("/run/x", "u");

    g_assert_cmpstr(path, ==, "/run/x/u.sock");
}

static void test_uuid(void)
{
    static const char *const bad[] = {
        NULL,
        "",
        "web1",
        "00000000000000000000000000000000",
        "6f0e1d2c-0000-4000-8000-00000000000",
        "6f0e1d2c-0000-4000-8000-0000000000000",
        "6f0e1d2c-0000-4000-8000-00000000000g",
        "6f0e1d2c-00004-000-8000-000000000000",
        "{6f0e1d2c-0000-4000-8000-000000000000}",
        " 6f0e1d2c-0000-4000-8000-000000000000",
        "../../../../../../../../../../etc/pass",
    };
    g_autofree char *uuid =
        places_uuid("6F0E1D2C-0000-4abc-8000-ABCDEF000000", NULL);

    g_assert_cmpstr(uuid, ==, "6f0e1d2c-0000-4abc-8000-abcdef000000");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(places_uuid(bad[i], &error));
        g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    }
}

int main(int argc, char **argv)
{
    clear_environment();
    tap_init(argc, argv);
    g_test_add_func("/places/order", test_order);
    g_test_add_func("/places/relative", test_relative);
    g_test_add_func("/places/empty", test_empty);
    g_test_add_func("/places/root", test_root);
    g_test_add_func("/places/user", test_user);
    g_test_add_func("/places/socket", test_socket);
    g_test_add_func("/places/uuid", test_uuid);
    return g_test_run();
}
