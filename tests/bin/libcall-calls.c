/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the calls of the caller, see libcall.c. */
#define _POSIX_C_SOURCE 200809L

#include "libcall.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static virLockManagerDriverPtr driver;
static virLockManagerPtr manager;
static char **args; /* of GetSupervisorArgs */
static int event_fd = -1, child_pidfd = -1;

/* --- making one ----------------------------------------------------------- */

static void plugin_load(void)
{
    driver = virLockManagerPluginLoad(text(1));
    answer_alone(driver != NULL);
}

static void plugin_unload(void)
{
    virLockManagerPluginUnload(driver);
    driver = NULL;
    answer_alone(1);
}

static void new_manager(void)
{
    manager = virLockManagerNew(driver, VIR_LOCK_MANAGER_NEW_DOMAIN, flags(1));
    answer_alone(manager != NULL);
}

static void set_timeout(void)
{
    answer_alone(virLockManagerSetTimeout(manager, number(1)) == 0);
}

static void set_parameter(void)
{
    answer_alone(virLockManagerSetParameter(manager, text(1), text(2)) == 0);
}

static void register_resource(void)
{
    answer_alone(virLockManagerRegisterResource(manager, type(1), text(2),
                                                flags(3)) == 0);
}

/* --- starting ------------------------------------------------------------- */

/* Frees @word. */
static void answer_word(int worked, char *word)
{
    if (answer(worked)) {
        say_word(word);
        end_answer();
    }
    free(word);
}

static void get_path(void)
{
    char *path = virLockManagerGetSupervisorPath(manager);

    answer_word(path != NULL, path);
}

static void get_context(void)
{
    answer_word(1, virLockManagerGetSupervisorContext(manager));
}

static void get_args(void)
{
    int count;
    char **arg;

    virLockManagerFreeArgs(args);
    if (!answer(virLockManagerGetSupervisorArgs(manager, &args, &count, 0) ==
                0))
        return;
    printf(" %d", count);
    for (arg = args; *arg; arg++)
        say_word(*arg);
    end_answer();
}

static void run(void)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        become(virLockManagerGetSupervisorPath(manager), args);
    answer(1);
    printf(" %ld\n", (long)pid);
}

static void exec_command(void)
{
    fflush(stdout);
    execvp(words[1], words + 1);
    perror("libcall");
    exit(125);
}

static void acquire_object(void)
{
    answer_alone(virLockManagerAcquireObject(manager) == 0);
}

static void get_child(void)
{
    pid_t pid;

    if (!answer(virLockManagerGetChild(manager, &pid, 0) == 0))
        return;
    printf(" %ld\n", (long)pid);
}

/* The process that @fd is of; -1: one that has ended. */
static long process_of(int fd)
{
    char path[64], line[256];
    long pid = -2;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "Pid:", 4) == 0)
            pid = atol(line + 4);
    if (file)
        fclose(file);
    return pid;
}

static void get_pidfd(void)
{
    struct stat st;
    int fd;

    if (!answer(virLockManagerGetChildPidfd(manager, &fd, 0) == 0))
        return;
    if (child_pidfd >= 0)
        close(child_pidfd);
    child_pidfd = fd;
    if (fstat(fd, &st) < 0)
        abort();
    printf(" %ld %s %lu\n", process_of(fd),
           fcntl(fd, F_GETFD) & FD_CLOEXEC ? "cloexec" : "inherited",
           (unsigned long)st.st_ino);
}

static void pidfd(void)
{
    answer(1);
    printf(" %ld\n", process_of(child_pidfd));
}

/* --- while it runs -------------------------------------------------------- */

static void acquire_resource(void)
{
    answer_alone(virLockManagerAcquireResource(manager, type(1), text(2),
                                               flags(3)) == 0);
}

static void release_resource(void)
{
    answer_alone(virLockManagerReleaseResource(manager, type(1), text(2),
                                               flags(3)) == 0);
}

static void add_resource(void)
{
    answer_alone(virLockManagerAddResource(manager, type(1), text(2), 0, NULL,
                                           flags(3)) == 0);
}

static void acquire(void)
{
    answer_alone(virLockManagerAcquire(manager, text(1), 0) == 0);
}

static void inquire(void)
{
    char *state = NULL;
    int worked = virLockManagerInquire(manager, &state, 0) == 0;

    answer_word(worked, state);
}

static void release_all(void)
{
    char *state = NULL;
    int worked = virLockManagerRelease(manager, &state, 0) == 0;

    answer_word(worked, state);
}

static void get_leases(void)
{
    virLockManagerLease *leases;
    size_t n, i;

    if (!answer(virLockManagerGetLeases(manager, &leases, &n, 0) == 0))
        return;
    for (i = 0; i < n; i++) {
        printf(" %s,%s,%s%s,",
               leases[i].type == VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK ? "disk"
                                                                     : "lease",
               leases[i].flags == 0 ? "exclusive"
               : leases[i].flags == VIR_LOCK_MANAGER_RESOURCE_READONLY
                   ? "readonly"
                   : "shared",
               leases[i].status, leases[i].since > 0 ? "" : "(never)");
        say_text(leases[i].name);
    }
    end_answer();
    virLockManagerFreeLeases(leases);
}

static void get_status(void)
{
    virLockManagerStatus *status;

    if (!answer(virLockManagerGetStatus(manager, &status, 0) == 0))
        return;
    say_word(status->uuid);
    say_word(status->name);
    say_word(status->id);
    say_word(status->state);
    printf(" %ld\n", (long)status->supervisor);
    virLockManagerFreeStatus(status);
}

static void on_event(virLockManagerPtr of, const virLockManagerEvent *event,
                     void *opaque)
{
    static const char *const names[] = {"?",     "LEASE_LOST", "CHILD_EXIT",
                                        "STATE", "RELEASED",   "CLOSED"};

    printf("! %s", names[event->type]);
    say_word(event->name);
    say_word(event->reason);
    printf(" %ld %d %d\n", (long)event->pid, event->exitCode, event->signal);
    if (of != manager || opaque != &manager)
        abort();
}

static void set_callback(void)
{
    answer_alone(virLockManagerSetEventCallback(manager, on_event, &manager) ==
                 0);
}

static void get_event_fd(void)
{
    answer_alone(virLockManagerGetEventFD(manager, &event_fd) == 0);
}

static void poll_events(void)
{
    struct pollfd events = {event_fd, POLLIN, 0};

    answer(1);
    printf(" %s\n", poll(&events, 1, number(1)) > 0 ? "readable" : "nothing");
}

static void dispatch(void)
{
    answer_alone(virLockManagerDispatch(manager) == 0);
}

static void wait_for_end(void)
{
    answer_alone(virLockManagerWait(manager, number(1)) == 0);
}

/* --- the end -------------------------------------------------------------- */

static void shut_down(void)
{
    answer_alone(virLockManagerShutdown(manager, 0) == 0);
}

static void free_manager(void)
{
    virLockManagerFree(manager);
    manager = NULL;
    answer_alone(1);
}

static void detach(void)
{
    virLockManagerDetach(manager);
    manager = NULL;
    answer_alone(1);
}

/* --- copies --------------------------------------------------------------- */

static void fork_and_call(void)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout))
            abort();
        memmove(words, words + 1, sizeof(words) - sizeof(*words));
        _exit(call() ? 0 : 2);
    }
    answer_alone(waitpid(pid, NULL, 0) == pid);
}

/* --- all of them ---------------------------------------------------------- */

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    {"PluginLoad", plugin_load},
    {"PluginUnload", plugin_unload},
    {"New", new_manager},
    {"SetTimeout", set_timeout},
    {"SetParameter", set_parameter},
    {"RegisterResource", register_resource},
    {"GetSupervisorPath", get_path},
    {"GetSupervisorContext", get_context},
    {"GetSupervisorArgs", get_args},
    {"run", run},
    {"exec", exec_command},
    {"fork", fork_and_call},
    {"AcquireObject", acquire_object},
    {"GetChild", get_child},
    {"GetChildPidfd", get_pidfd},
    {"pidfd", pidfd},
    {"AcquireResource", acquire_resource},
    {"ReleaseResource", release_resource},
    {"AddResource", add_resource},
    {"Acquire", acquire},
    {"Inquire", inquire},
    {"Release", release_all},
    {"GetLeases", get_leases},
    {"GetStatus", get_status},
    {"SetEventCallback", set_callback},
    {"GetEventFD", get_event_fd},
    {"poll", poll_events},
    {"Dispatch", dispatch},
    {"Wait", wait_for_end},
    {"Shutdown", shut_down},
    {"Free", free_manager},
    {"Detach", detach},
};

int call(void)
{
    size_t i;

    for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        if (words[0] && strcmp(calls[i].name, words[0]) == 0) {
            calls[i].call();
            return 1;
        }
    }
    return 0;
}

void end_calls(void)
{
    virLockManagerDetach(manager);
    virLockManagerPluginUnload(driver);
    virLockManagerFreeArgs(args);
    if (child_pidfd >= 0)
        close(child_pidfd);
}
