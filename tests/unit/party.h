/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: parties that take leases from the file driver
 *
 * A Party is a VM: a file driver of its own with its own descriptions, and
 * leases on things of the fixture. It lives in this process, or in one of its
 * own that does what it is told over a socket: the same test runs both ways,
 * two descriptions in one process, and two processes. Every operation answers
 * one word: done, pending, busy, wrong-state, failed; the sentence of the
 * last one that did not work is in said.
 */
#ifndef TEST_PARTY_H
#define TEST_PARTY_H

#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../supervisor/driver.h"
#include "qmp.h"
#include "tap.h"

enum { VM, DISK, OTHER_DISK, NAMED, N_THINGS };

/* What a party may be told to do. */
typedef enum {
    ACQUIRE,
    USED,
    RELEASE,
    FORCE,
    OFFER,
    CLAIMED,
    CLAIM,
    COMPLETE,
    COMPLETE_INACTIVE,
    TAKE,
    WAIT,  /* for the end of what is pending */
    CHILD, /* forks one that has what it inherits, and nothing else */
} Order;

typedef struct {
    Order order;
    int thing;
    ResourceMode mode;
} Command;

typedef struct {
    char word[16];
    char said[512];
    pid_t child;
} Answer;

typedef struct {
    char *dir, *state, *disk;
    const char *const *params;
} Fixture;

typedef struct {
    const Fixture *fixture;
    const char *uuid;
    Record record;
    DriverContext context;
    gpointer driver;
    DriverLease leases[N_THINGS];
    GString *told; /* by events */
    Answer last;
    pid_t pid; /* of a party with a process of its own */
    int socket;
} Party;

static inline void on_done(gpointer opaque, guint id, const GError *error)
{
    Party *party = opaque;

    g_strlcpy(party->last.word, !error ? "done" : qmp_error_class(error),
              sizeof party->last.word);
    g_strlcpy(party->last.said, error ? error->message : "",
              sizeof party->last.said);
}

static inline void on_text(gpointer opaque, guint id, const char *text)
{
    g_string_append_printf(((Party *)opaque)->told, "%s; ", text);
}

static inline void on_warning(gpointer opaque, guint id, MessageKind kind,
                              const char *sentence)
{
    on_text(opaque, id, sentence);
}

static inline void on_lost(gpointer opaque, guint id, guint grace_ms,
                           const char *why)
{
    g_string_append_printf(((Party *)opaque)->told, "lost: %s; ", why);
}

static const DriverEvents party_events = {.done = on_done,
                                          .waiting = on_text,
                                          .warning = on_warning,
                                          .lost = on_lost};

static inline Resource *thing_of(const Party *party, int thing,
                                 ResourceMode mode)
{
    g_autofree char *other = g_strconcat(party->fixture->disk, "2", NULL);
    Resource *resource;

    if (thing == VM)
        return resource_new_vm(party->uuid);
    if (thing == NAMED)
        resource = resource_parse_lease("space:key", NULL);
    else
        resource = resource_new_disk(
            thing == DISK ? party->fixture->disk : other, mode, NULL);
    resource->mode = mode;
    return resource;
}

static inline void open_driver(Party *party)
{
    static char *no_params[] = {NULL};

    party->record.pid = getpid();
    party->record.start_time = record_start_time(getpid());
    party->context = (DriverContext){
        .state_dir = party->fixture->state,
        .params = party->fixture->params ? (char **)party->fixture->params
                                         : no_params,
        .owner = &party->record,
        .events = &party_events,
        .opaque = party,
    };
    party->told = g_string_new(NULL);
    party->driver = driver_file.open(&party->context, NULL);
    g_assert_nonnull(party->driver);
}

/* A child of the VM: nothing but its liveness. */
static inline pid_t fork_child(Party *party)
{
    int fds[4];
    guint n = driver_file.inherit(party->driver, fds, G_N_ELEMENTS(fds));
    int done[2]; /* ends when the child has closed all */
    pid_t pid;
    char byte;

    g_assert_cmpint(pipe(done), ==, 0);
    pid = fork();
    if (pid > 0) {
        close(done[1]);
        g_assert_cmpint(read(done[0], &byte, 1), ==, 0);
        close(done[0]);
        return pid;
    }
    for (int fd = 3; fd < 256; fd++) {
        gboolean kept = fd == done[1];

        for (guint i = 0; i < n; i++)
            kept |= fds[i] == fd;
        if (!kept)
            close(fd);
    }
    close(done[1]);
    alarm(60); /* where the test is dead, too */
    for (;;)
        pause();
}

static inline DriverAnswer run(Party *party, const Command *c, GError **error)
{
    DriverLease *lease = &party->leases[c->thing];
    gpointer driver = party->driver;

    switch (c->order) {
    case ACQUIRE:
    case CLAIM:
        resource_free((Resource *)lease->resource);
        *lease = (DriverLease){.id = (guint)c->thing + 1, .fd = -1};
        lease->resource = thing_of(party, c->thing, c->mode);
        return (c->order == CLAIM ? driver_file.claim
                                  : driver_file.acquire)(driver, lease, error);
    case USED:
        driver_file.used(driver, lease);
        return DRIVER_DONE;
    case FORCE:
        lease->force = TRUE;
        return DRIVER_DONE;
    case RELEASE:
        return driver_file.release(driver, lease, error);
    case OFFER:
        return driver_file.offer(driver, lease, error);
    case CLAIMED:
        return driver_file.claimed(driver, lease, error) ? DRIVER_DONE
                                                         : DRIVER_FAILED;
    case COMPLETE:
    case COMPLETE_INACTIVE:
        return driver_file.complete(driver, lease,
                                    c->order == COMPLETE_INACTIVE, error);
    case TAKE:
        return driver_file.take(driver, lease, FALSE, error);
    default:
        return DRIVER_FAILED;
    }
}

static inline void obey(Party *party, const Command *command)
{
    g_autoptr(GError) error = NULL;
    Answer *last = &party->last;
    DriverAnswer answer;

    if (command->order == WAIT) {
        while (g_str_equal(last->word, "pending"))
            g_main_context_iteration(NULL, TRUE);
        return;
    }
    if (command->order == CHILD) {
        last->child = fork_child(party);
        return;
    }
    answer = run(party, command, &error);
    if (answer == DRIVER_PENDING)
        g_strlcpy(last->word, "pending", sizeof last->word);
    else
        on_done(party, 0, error);
}

/* A process of its own, until its socket ends. */
static inline void start_process(Party *party)
{
    int pair[2];
    Command command;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
    party->pid = fork();
    party->socket = pair[party->pid == 0];
    close(pair[party->pid != 0]);
    if (party->pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_driver(party);
    for (;;) {
        GPollFD poll = {.fd = party->socket, .events = G_IO_IN};

        while (g_poll(&poll, 1, 0) == 0) /* timers go on meanwhile */
            g_main_context_iteration(NULL, FALSE);
        if (recv(party->socket, &command, sizeof command, 0) <= 0)
            _exit(0);
        obey(party, &command);
        send(party->socket, &party->last, sizeof party->last, 0);
    }
}

static inline const char *told(Party *party, Order order, int thing,
                               ResourceMode mode)
{
    Command command = {order, thing, mode};

    if (party->pid) {
        g_assert_cmpint(send(party->socket, &command, sizeof command, 0), ==,
                        sizeof command);
        g_assert_cmpint(
            recv(party->socket, &party->last, sizeof party->last, 0), ==,
            sizeof party->last);
    } else {
        obey(party, &command);
    }
    return party->last.word;
}

/* The order, on a thing, and the word that it must answer. */
#define TELL(party, order, thing, word)                                        \
    g_assert_cmpstr(told(party, order, thing, RESOURCE_EXCLUSIVE), ==, word)
#define TELL_MODE(party, order, thing, mode, word)                             \
    g_assert_cmpstr(told(party, order, thing, mode), ==, word)
#define SAID(party, text) g_assert_nonnull(strstr((party)->last.said, text))

static inline Party *party_new(const Fixture *fixture, const char *uuid,
                               const char *name, gboolean process)
{
    Party *party = g_new0(Party, 1);

    party->fixture = fixture;
    party->uuid = uuid;
    party->record = (Record){
        .uuid = uuid, .name = name, .host = g_get_host_name(), .since = 1};
    g_file_get_contents("/proc/sys/kernel/random/boot_id",
                        (char **)&party->record.boot_id, NULL, NULL);
    g_strchomp((char *)party->record.boot_id);
    if (process)
        start_process(party);
    else
        open_driver(party);
    return party;
}

/* SIGKILL for its process, or as much in this one. */
static inline void party_end(Party *party)
{
    if (party->pid) {
        kill(party->pid, SIGKILL);
        waitpid(party->pid, NULL, 0);
        close(party->socket);
    } else {
        driver_file.close(party->driver);
        g_string_free(party->told, TRUE);
    }
    for (int i = 0; i < N_THINGS; i++)
        resource_free((Resource *)party->leases[i].resource);
    g_free((char *)party->record.boot_id);
    g_free(party);
}

static inline void end_child(pid_t pid)
{
    /* a child of the party's process need not be ours to be waited for */
    struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};

    g_assert_cmpint(end.fd, >=, 0);
    kill(pid, SIGKILL);
    g_assert_cmpint(poll(&end, 1, 10000), ==, 1);
    close(end.fd);
    waitpid(pid, NULL, WNOHANG);
}

static inline void fixture_make(Fixture *f)
{
    g_autofree char *other = NULL;

    f->dir = g_dir_make_tmp("file-driver-XXXXXX", NULL);
    f->state = g_build_filename(f->dir, "state", NULL);
    f->disk = g_build_filename(f->dir, "disk", NULL);
    other = g_strconcat(f->disk, "2", NULL);
    g_assert_cmpint(g_mkdir(f->state, 0755), ==, 0);
    g_assert_true(g_file_set_contents(f->disk, "x", 1, NULL));
    g_assert_true(g_file_set_contents(other, "x", 1, NULL));
}

static inline void fixture_remove(Fixture *f)
{
    const char *argv[] = {"rm", "-rf", f->dir, NULL};

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                 NULL, NULL, NULL, NULL);
    g_free(f->dir);
    g_free(f->state);
    g_free(f->disk);
}

/* Another description of the disk that has bytes locked as QEMU does. */
static inline int qemu_locks(const Fixture *f, int first, int second)
{
    int fd = open(f->disk, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_start = first, .l_len = 1};

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    lock.l_start = second ? second : first;
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    return fd;
}

#endif
