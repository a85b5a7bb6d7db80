/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the client against supervisors that behave, and against others. */
#include "client.h"

#include <fcntl.h>

#include "puppet.h"
#include "tap.h"

#define UUID_A "6f0e1d2c-0000-4000-8000-00000000000a"
#define UUID_B "6f0e1d2c-0000-4000-8000-00000000000b"
#define UUID_C "6f0e1d2c-0000-4000-8000-00000000000c"

/* For what must happen, and for what must not; milliseconds. */
#define LONG  20000
#define SHORT 150

static char *make_dir(void)
{
    char *dir = g_dir_make_tmp("test-client-XXXXXX", NULL);

    g_assert_nonnull(dir);
    return dir;
}

static Client *connected(const char *dir, const char *uuid)
{
    g_autofree char *path = places_socket(dir, uuid);
    g_autoptr(GError) error = NULL;
    Client *client = client_connect(path, LONG, &error);

    g_assert_no_error(error);
    return client;
}

static void check_event(Client *client, const char *name)
{
    g_autoptr(json_t) event = client_event(client, LONG, NULL);

    g_assert_cmpstr(json_string_value(json_object_get(event, "event")), ==,
                    name);
}

static void test_calls(void)
{
    g_autofree char *dir = make_dir();
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = NULL;
    struct stat st;
    Puppet puppet;
    json_t *value;
    int fd;

    puppet_start(&puppet, dir, UUID_A, "a", POLITE);
    client = connected(dir, UUID_A);
    g_assert_cmpint(fstat(STDIN_FILENO, &st), ==, 0);
    value = client_call(client, "inode", NULL, STDIN_FILENO, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(json_integer_value(value), ==, (gint64)st.st_ino);
    json_decref(value);

    value = client_call(client, "pass", NULL, -1, &fd, &error);
    g_assert_nonnull(value);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
    close(fd);
    json_decref(value);
    value = client_call(client, "pass", NULL, -1, NULL, &error);
    g_assert_nonnull(value);
    json_decref(value);
    value = client_call(client, "echo", NULL, -1, &fd, &error);
    g_assert_cmpstr(json_string_value(value), ==, "echo");
    g_assert_cmpint(fd, ==, -1);
    json_decref(value);
    for (int i = 0; i < 2; i++) {
        check_event(client, "BEFORE");
        check_event(client, "AFTER");
    }
    g_assert_null(client_event(client, 0, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_TIMEOUT);
    g_clear_pointer(&client, client_free);
    puppet_stop(&puppet);
    g_rmdir(dir);
}

static void test_call_errors(void)
{
    g_autofree char *dir = make_dir();
    g_autofree char *path = places_socket(dir, UUID_A);
    g_autofree char *large = g_strnfill(QMP_MAX_MESSAGE, 'x');
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = NULL;
    Puppet puppet;
    json_t *value;

    puppet_start(&puppet, dir, UUID_A, "a", POLITE);
    client = client_connect(path, SHORT, &error);
    g_assert_no_error(error);
    g_assert_null(client_call(client, "busy", NULL, -1, NULL, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY);
    g_assert_cmpstr(error->message, ==, "cannot do it");
    g_clear_error(&error);
    g_assert_null(client_call(client, large, NULL, -1, NULL, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    g_clear_error(&error);
    g_assert_null(client_call(client, "late", NULL, -1, NULL, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_TIMEOUT);
    g_assert_cmpstr(error->message, ==,
                    "cannot call 'late': no answer in time");
    g_clear_error(&error);
    value = client_call(client, "echo", NULL, -1, NULL, &error);
    g_assert_cmpstr(json_string_value(value), ==, "echo");
    json_decref(value);
    g_assert_null(client_call(client, "leave", NULL, -1, NULL, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR);
    g_clear_error(&error);
    g_assert_null(client_call(client, "echo", NULL, -1, NULL, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR);
    g_clear_error(&error);
    g_assert_null(client_event(client, LONG, &error)); /* it has ended */
    g_assert_no_error(error);
    g_clear_pointer(&client, client_free);
    puppet_stop(&puppet);
    g_rmdir(dir);
}

static void check_connect_fails(const char *dir, Manners manners,
                                QmpErrorCode code)
{
    g_autofree char *path = places_socket(dir, UUID_A);
    g_autoptr(GError) error = NULL;
    Puppet puppet;

    puppet_start(&puppet, dir, UUID_A, "a", manners);
    g_assert_null(client_connect(path, SHORT, &error));
    g_assert_error(error, QMP_ERROR, (int)code);
    g_assert_true(g_str_has_prefix(error->message, "cannot connect to '"));
    puppet_stop(&puppet);
}

static void test_connect(void)
{
    g_autofree char *dir = make_dir();
    g_autofree char *path = places_socket(dir, UUID_A);
    g_autofree char *deep = g_strnfill(200, 'x');
    g_autoptr(GError) error = NULL;

    check_connect_fails(dir, SILENT, QMP_ERROR_TIMEOUT);
    check_connect_fails(dir, FOREIGN, QMP_ERROR_GENERIC);
    check_connect_fails(dir, BABBLER, QMP_ERROR_BAD_ARGUMENT);
    check_connect_fails(dir, LEAVER, QMP_ERROR_NO_SUPERVISOR);
    g_assert_null(client_connect(path, SHORT, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR);
    g_clear_error(&error);
    close(listen_on(path)); /* a stale socket */
    g_assert_null(client_connect(path, SHORT, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR);
    g_clear_error(&error);
    g_assert_null(client_connect(deep, SHORT, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_GENERIC);
    g_unlink(path);
    g_rmdir(dir);
}

static void check_find(const char *dir, const char *vm, int code,
                       const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client = client_find(dir, vm, SHORT, &error);

    if (code < 0) {
        g_assert_no_error(error);
        g_assert_nonnull(client);
        return;
    }
    g_assert_null(client);
    g_assert_error(error, QMP_ERROR, code);
    g_assert_nonnull(strstr(error->message, part));
}

static void test_find(void)
{
    g_autofree char *dir = make_dir();
    g_autofree char *other = g_build_filename(dir, "other.sock", NULL);
    g_autoptr(GPtrArray) paths = NULL;
    Puppet a, b, c;

    check_find("/nonexistent", "a", QMP_ERROR_NO_SUPERVISOR, "'a'");
    check_find("/proc/self/exe", "a", QMP_ERROR_GENERIC, "cannot open");
    g_assert_true(g_file_set_contents(other, "", 0, NULL));
    puppet_start(&a, dir, UUID_A, "a", POLITE);
    puppet_start(&b, dir, UUID_B, "twin", POLITE);
    puppet_start(&c, dir, UUID_C, "twin", POLITE);
    paths = client_sockets(dir, NULL);
    g_assert_cmpuint(paths->len, ==, 3);
    g_assert_nonnull(strstr(paths->pdata[0], UUID_A));
    g_assert_nonnull(strstr(paths->pdata[2], UUID_C));
    check_find(dir, "a", -1, NULL);
    check_find(dir, UUID_B, -1, NULL);
    check_find(dir, "6F0E1D2C-0000-4000-8000-00000000000C", -1, NULL);
    check_find(dir, "twin", QMP_ERROR_BAD_ARGUMENT, UUID_B ", " UUID_C);
    check_find(dir, "x", QMP_ERROR_NO_SUPERVISOR, "answers for it");
    puppet_stop(&c);
    check_find(dir, "twin", -1, NULL);
    puppet_start(&c, dir, UUID_C, "twin", SILENT);
    check_find(dir, "a", -1, NULL);
    check_find(dir, "x", QMP_ERROR_TIMEOUT, "cannot ask 1 of 3 supervisors");
    check_find(dir, UUID_C, QMP_ERROR_TIMEOUT, "no answer in time");
    puppet_stop(&a);
    puppet_stop(&b);
    puppet_stop(&c);
    g_unlink(other);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/client/calls", test_calls);
    g_test_add_func("/client/call-errors", test_call_errors);
    g_test_add_func("/client/connect", test_connect);
    g_test_add_func("/client/find", test_find);
    return g_test_run();
}
