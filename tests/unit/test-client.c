/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the client against supervisors that behave, and against others
 *
 * A puppet is a thread that listens on UUID.sock and takes one connection
 * after the other; what it does is in its Manners.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "places.h"
#include "qmp.h"
#include "tap.h"

#define UUID_A "6f0e1d2c-0000-4000-8000-00000000000a"
#define UUID_B "6f0e1d2c-0000-4000-8000-00000000000b"
#define UUID_C "6f0e1d2c-0000-4000-8000-00000000000c"

/* For what must happen, and for what must not; milliseconds. */
#define LONG  20000
#define SHORT 150

typedef enum {
    POLITE,  /* see answer() */
    SILENT,  /* takes connections and never says a word */
    FOREIGN, /* greets like something else */
    BABBLER, /* greets with garbage */
    LEAVER,  /* greets and closes */
} Manners;

typedef struct {
    char *dir;
    const char *uuid;
    const char *name;
    Manners manners;
    int listener;
    GThread *thread;
} Puppet;

static void say(int fd, const char *text, int passed)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(char *)text, strlen(text)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (passed >= 0) {
        struct cmsghdr *cmsg = &control.align;

        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &passed, sizeof(int));
    }
    sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void reply(int fd, json_t *message, int passed)
{
    g_autofree char *line = qmp_encode(message, NULL);

    say(fd, line, passed);
}

/* Says the inode of the descriptor that came along. */
static void reply_inode(int fd, int passed, json_t *id)
{
    struct stat st = {0};

    fstat(passed, &st);
    reply(fd, qmp_return(json_integer((json_int_t)st.st_ino), id), -1);
}

/* Returns FALSE when the connection is to be closed. */
static gboolean answer(const Puppet *puppet, int fd, json_t *message,
                       int passed)
{
    const char *what = json_string_value(json_object_get(message, "execute"));
    json_t *id = json_incref(json_object_get(message, "id"));

    if (g_str_equal(what, "query-status")) {
        reply(fd,
              qmp_return(json_pack("{s:s, s:s}", "name", puppet->name, "uuid",
                                   puppet->uuid),
                         id),
              -1);
    } else if (g_str_equal(what, "inode")) {
        reply_inode(fd, passed, id);
    } else if (g_str_equal(what, "pass")) {
        reply(fd, qmp_event("BEFORE", NULL), -1);
        reply(fd, qmp_return(NULL, id), STDIN_FILENO);
        reply(fd, qmp_event("AFTER", NULL), -1);
    } else if (g_str_equal(what, "busy")) {
        json_decref(id);
        say(fd,
            "{\"error\":{\"class\":\"LeaseBusy\",\"desc\":\"cannot do it\"}}",
            -1);
    } else if (g_str_equal(what, "late")) { /* comes with the next reply */
        json_decref(id);
    } else if (g_str_equal(what, "leave")) {
        json_decref(id);
        return FALSE;
    } else {
        reply(fd, qmp_return(NULL, json_integer(1)), -1); /* long forgotten */
        reply(fd, qmp_return(json_string(what), id), -1);
    }
    return TRUE;
}

/* Reads once; keeps the descriptor that came along in @passed. */
static ssize_t hear(int fd, char *buffer, gsize size, int *passed)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {buffer, size};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

    *passed = -1;
    if (got > 0 && CMSG_FIRSTHDR(&msg))
        memcpy(passed, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
    return got;
}

static void converse(const Puppet *puppet, int fd)
{
    g_autoptr(QmpStream) stream = qmp_stream_new();
    gboolean stay = TRUE;
    char buffer[4096];
    int passed;
    ssize_t got;

    while (stay && (got = hear(fd, buffer, sizeof(buffer), &passed)) > 0) {
        json_t *message;

        if (puppet->manners == SILENT)
            continue;
        qmp_stream_feed(stream, buffer, (gsize)got);
        while (stay && (message = qmp_stream_next(stream, NULL))) {
            stay = answer(puppet, fd, message, passed);
            json_decref(message);
        }
        if (passed >= 0)
            close(passed);
    }
}

static gpointer puppet_run(gpointer data)
{
    const Puppet *puppet = data;
    int fd;

    while ((fd = accept4(puppet->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (puppet->manners == FOREIGN)
            say(fd, "{\"hello\":1}", -1);
        else if (puppet->manners == BABBLER)
            say(fd, "SSH-2.0\r\n", -1);
        else if (puppet->manners != SILENT)
            reply(fd, qmp_greeting("1.2.3"), -1);
        if (puppet->manners != LEAVER)
            converse(puppet, fd);
        close(fd);
    }
    return NULL;
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpuint(strlen(path), <, sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==,
                    0);
    g_assert_cmpint(listen(fd, 16), ==, 0);
    return fd;
}

static void puppet_start(Puppet *puppet, const char *dir, const char *uuid,
                         const char *name, Manners manners)
{
    g_autofree char *path = places_socket(dir, uuid);

    *puppet = (Puppet){g_strdup(dir), uuid, name, manners, -1, NULL};
    puppet->listener = listen_on(path);
    puppet->thread = g_thread_new(uuid, puppet_run, puppet);
}

static void puppet_stop(Puppet *puppet)
{
    g_autofree char *path = places_socket(puppet->dir, puppet->uuid);

    shutdown(puppet->listener, SHUT_RDWR);
    g_thread_join(puppet->thread);
    close(puppet->listener);
    g_unlink(path);
    g_free(puppet->dir);
}

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
