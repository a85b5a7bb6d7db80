/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the files of lock_manager.h share
 *
 *   manager.c           life: from New to Free or Detach
 *   manager_params.c    parameters
 *   manager_resource.c  resources
 *   manager_error.c     why the last call of a thread failed
 *   manager_plugin.c    which drivers there are, and what they can
 *   manager_argv.c      a manager to the supervisor's arguments, pure
 *   manager_ask.c       the connection: who answers for the VM, commands
 *   manager_await.c     a supervisor that is being started
 *   manager_become.c    the process that will be the VM starts one for itself
 *   manager_hotplug.c   leases that come and go
 *   manager_change.c    hand-over, the whole object, the end
 *   manager_describe.c  the child, the leases, the status
 *   manager_watch.c     events
 *
 * Inside, a function that can fail has a GError; only the public ones turn it
 * into what virLockManagerGetLastError() returns.
 */
#ifndef LIBSUPERVISE_MANAGER_INTERNAL_H
#define LIBSUPERVISE_MANAGER_INTERNAL_H

#include "client.h"
#include "lock_manager.h"
#include "qmp.h"
#include "resource.h"

#include <sys/stat.h>

/* Masks, for manager_enter(). */
typedef enum {
    PHASE_PREPARING = 1 << 0,
    PHASE_STARTED = 1 << 1,
    PHASE_ENDED = 1 << 2,
} ManagerPhase;

#define PHASE_ANY (PHASE_PREPARING | PHASE_STARTED | PHASE_ENDED)

/* One parameter, as it was set. */
typedef struct {
    char *key, *value;
} ManagerSetting;

struct virLockManager {
    char *driver;
    unsigned int capabilities; /* of the driver */
    unsigned int flags;        /* virLockManagerNewFlags */
    ManagerPhase phase;
    pid_t maker; /* the process that made it: who may end the VM */
    char *run_dir, *state_dir; /* NULL: where the environment says */
    char *uuid, *name, *id;    /* NULL: not set */
    pid_t pid;                 /* parameter "pid"; 0: not set */
    gboolean guard;
    GPtrArray *settings;  /* of ManagerSetting */
    GPtrArray *resources; /* of Resource, registered */
    GPtrArray *added;     /* of Resource, for the next Acquire */
    gboolean has_args;    /* they were asked for: the manager starts it */
    struct stat before;   /* the VM's socket then; all 0: there was none */

    int timeout_ms;
    gboolean timeout_given;
    gint64 deadline; /* of the call that is being made */

    Client *client;  /* NULL: no connection */
    pid_t asker;     /* the process that the connection belongs to */
    pid_t spoken_to; /* the supervisor that answered at first; 0: none */
    gint64 since;    /* ... and since when it has run */
    int pidfd;       /* of the child, as the supervisor gave it; -1 */
    json_t *holder;  /* of the last LEASE_BUSY; NULL: not known */

    virLockManagerEventCallback callback;
    void *opaque;
    GQueue *events; /* of json_t */
    int poll_fd;    /* an epoll: the connection and wake_fd; -1: not wanted */
    int wake_fd;    /* readable while there are events */
    gboolean released;
};

/* manager_error.c */
/* Takes @error and remembers it for this thread; @holder may be NULL. */
void error_set(GError *error, const json_t *holder);
/* The end of a public function: 0, or -1 where @error is set, which it takes.
 * @manager may be NULL. */
int manager_result(virLockManagerPtr manager, GError *error);
/* Sets BAD_ARGUMENT; always FALSE. */
gboolean manager_bad(GError **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* manager_plugin.c */
const char *plugin_name(const virLockManagerDriver *driver);
/* Of whatever answers for the VM by that name. */
/* Of those built in, and of an engine for all that is known before its
 * supervisor runs, which says what it can do. */
#define PLUGIN_CAPABILITIES                                                    \
    (VIR_LOCK_MANAGER_CAPABILITY_RESOURCES |                                   \
     VIR_LOCK_MANAGER_CAPABILITY_HOTPLUG |                                     \
     VIR_LOCK_MANAGER_CAPABILITY_MIGRATE)

/* manager.c */
/*
 * manager_enter:
 * @verb: what is to be done, "acquire a lease for"
 * @phases: mask of those in which it can be
 * @flags: of the caller; @allowed: those that there are
 *
 * The begin of a public function: its deadline runs from here.
 */
gboolean manager_enter(virLockManagerPtr manager, const char *verb,
                       unsigned int phases, unsigned int flags,
                       unsigned int allowed, GError **error);
/* What the manager is called in sentences. */
const char *manager_shown(const virLockManager *manager);
/* FALSE, and NOT_SUPPORTED, where the driver cannot. */
gboolean manager_can(const virLockManager *manager, unsigned int capability,
                     const char *verb, GError **error);

/* manager_params.c */
/* The value as text, new; NULL where there is none. */
char *param_text(const virLockManagerParam *param);
gboolean params_set(virLockManagerPtr manager, const virLockManagerParam *param,
                    GError **error);
gboolean params_put(virLockManagerPtr manager, const char *key,
                    const char *value, GError **error);
/* Of those that have no member of their own; NULL: not set. */
const char *params_get(const virLockManager *manager, const char *key);

/* manager_resource.c */
/* A resource as the public functions name it, new. */
Resource *manager_resource(unsigned int type, const char *name,
                           unsigned int flags, GError **error);
/* The one of @resources that is about the same thing, or NULL. */
const Resource *manager_find(const GPtrArray *resources,
                             const Resource *resource);

/* manager_argv.c */
/* NULL-terminated, for g_strfreev(). @extra: options that come first, or
 * NULL. */
char **argv_make(const virLockManager *manager, const char *const *extra);
/* FALSE where it is for a VM that runs, or has no uuid. */
gboolean argv_can_start(const virLockManager *manager, GError **error);
/* The supervisor's program, new. */
char *argv_supervisor(GError **error);

/* manager_ask.c */
/* Milliseconds until the deadline of the call that is being made. */
int ask_left(const virLockManager *manager);
/* The socket of the VM's supervisor, new. */
char *ask_socket(const virLockManager *manager, GError **error);
/* Has a connection to the VM's supervisor, the one that it had before where it
 * had one; then the manager is STARTED. */
gboolean ask_connect(virLockManagerPtr manager, GError **error);
/* Makes a command; takes @arguments. Returns what it returns, new. @fd is sent
 * along, or -1; @received_fd as in client_call(). */
json_t *ask(virLockManagerPtr manager, const char *command, json_t *arguments,
            int fd, int *received_fd, GError **error);
/* One that returns nothing that matters; takes @arguments. */
gboolean tell(virLockManagerPtr manager, const char *command, json_t *arguments,
              GError **error);
/* Takes what has come, and finds out whether the connection still is one. A
 * copy that fork(2) has made has none. */
void ask_pump(virLockManagerPtr manager);
/* Forgets the connection. */
void ask_hang_up(virLockManagerPtr manager);
/* The VM has ended, and all is released. */
void ask_ended(virLockManagerPtr manager);

/* manager_await.c */
/* Arguments are given out: whoever answers by now is not who is started. */
void await_begun(virLockManagerPtr manager);
/* Waits until a supervisor that is being started can be asked. */
gboolean await_connected(virLockManagerPtr manager, GError **error);
/* ... and until it has got all leases, or has not. */
gboolean await_started(virLockManagerPtr manager, GError **error);
/* ... and until its child runs: query-child's answer, new, and @pidfd. */
json_t *await_child(virLockManagerPtr manager, int *pidfd, GError **error);
/* As the phase asks for it: finds the one that runs, or waits for it. */
gboolean await_any(virLockManagerPtr manager, GError **error);

/* manager_become.c */
/* Starts a supervisor for this process. */
gboolean become_supervised(virLockManagerPtr manager, GError **error);

/* manager_hotplug.c */
/* Acquires what was added since the start: all, or none, which stay to be
 * acquired. */
gboolean hotplug_added(virLockManagerPtr manager, GError **error);

/* manager_watch.c */
/* Takes @event, which has come. */
void watch_event(virLockManagerPtr manager, json_t *event);
/* The connection, if there is one, is watched from now on, or no more. */
void watch_begin(virLockManagerPtr manager);
void watch_end(virLockManagerPtr manager);
/* Waits until every lease is free. @deadline: microseconds; -1: never. */
gboolean watch_until_released(virLockManagerPtr manager, gint64 deadline,
                              GError **error);
void watch_free(virLockManagerPtr manager);

#endif
