/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a puppet supervisor
 *
 * A thread that listens on UUID.sock and takes one connection after the
 * other; what it does with it is in its Manners.
 */
#ifndef TEST_PUPPET_H
#define TEST_PUPPET_H

#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "places.h"
#include "qmp.h"

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
              qmp_return(json_pack("{s:s, s:s, s:i, s:s}", "state", "RUNNING",
                                   "name", puppet->name, "since", 1, "uuid",
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
    g_autoptr(QmpStream) stream = qmp_stream_new(QMP_MAX_MESSAGE);
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
    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
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

#endif
