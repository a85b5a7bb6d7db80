/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the lock manager API, by many threads
 *
 * libthreads THREADS ROUNDS FORKS DISK [UUID PID]...
 *
 * Each thread, in each round, loads a driver and has a manager of its own for
 * one of the VMs that run: all of them are asked by several threads at a time.
 * Meanwhile the first thread forks; a child goes on with its copy of a manager
 * that the first thread has, makes one of its own, and then becomes a VM, with
 * DISK, itself. Exit status 0 where everything was as if there was one thread
 * alone; otherwise it says what was not. For ThreadSanitizer, too.
 */
#define _POSIX_C_SOURCE 200809L

#include <libsupervise/lock_manager.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64

static int rounds;
static int nvms;
static char **vms; /* UUID and PID of each, in turns */

static void die(const char *what)
{
    const virLockManagerError *error = virLockManagerGetLastError();

    fprintf(stderr, "libthreads: %s: %d %s\n", what, error->code,
            error->message);
    _exit(1);
}

static void check(int holds, const char *what)
{
    if (!holds)
        die(what);
}

static virLockManagerPtr find_vm(virLockManagerDriverPtr driver, int vm)
{
    virLockManagerPtr manager = virLockManagerNew(
        driver, VIR_LOCK_MANAGER_NEW_DOMAIN, VIR_LOCK_MANAGER_NEW_ATTACH);

    check(manager != NULL, "New");
    check(virLockManagerSetParameter(manager, "uuid", vms[2 * vm]) == 0,
          "SetParameter");
    return manager;
}

static void check_child(virLockManagerPtr manager, int vm)
{
    pid_t pid;

    check(virLockManagerGetChild(manager, &pid, 0) == 0, "GetChild");
    check(pid == (pid_t)atol(vms[2 * vm + 1]), "another VM's child");
}

/* Each thread has its own. */
static void check_error(virLockManagerPtr manager, int thread)
{
    char flags[32];
    pid_t pid;

    snprintf(flags, sizeof(flags), "flags %#x ", 0x100u + (unsigned int)thread);
    check(virLockManagerGetChild(manager, &pid,
                                 0x100u + (unsigned int)thread) == -1,
          "GetChild with flags");
    check(strstr(virLockManagerGetLastError()->message, flags) != NULL,
          "another thread's error");
}

static void check_leases(virLockManagerPtr manager, int thread)
{
    virLockManagerLease *leases;
    char name[32];
    size_t n, i, found = 0;

    snprintf(name, sizeof(name), "threads:%d", thread);
    check(virLockManagerAcquireResource(
              manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE, name, 0) == 0,
          "AcquireResource");
    check(virLockManagerGetLeases(manager, &leases, &n, 0) == 0, "GetLeases");
    for (i = 0; i < n; i++)
        found += strcmp(leases[i].name, name) == 0;
    check(found == 1, "the lease is not among the leases");
    virLockManagerFreeLeases(leases);
    check(virLockManagerReleaseResource(
              manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE, name, 0) == 0,
          "ReleaseResource");
}

static void check_rest(virLockManagerPtr manager, int vm)
{
    virLockManagerStatus *status;
    int fd;

    check(virLockManagerGetChildPidfd(manager, &fd, 0) == 0, "GetChildPidfd");
    close(fd);
    check(virLockManagerGetStatus(manager, &status, 0) == 0, "GetStatus");
    check(strcmp(status->uuid, vms[2 * vm]) == 0, "another VM's status");
    virLockManagerFreeStatus(status);
    check(virLockManagerGetEventFD(manager, &fd) == 0, "GetEventFD");
    check(virLockManagerDispatch(manager) == 0, "Dispatch");
}

static void *run_thread(void *data)
{
    int thread = (int)(size_t)data, i, vm;
    virLockManagerDriverPtr driver;
    virLockManagerPtr manager;

    for (i = 0; i < rounds; i++) {
        vm = (thread + i) % nvms;
        driver = virLockManagerPluginLoad((thread + i) % 3 ? "file" : "nop");
        check(driver != NULL, "PluginLoad");
        manager = find_vm(driver, vm);
        virLockManagerPluginUnload(driver);
        check_child(manager, vm);
        check_error(manager, thread);
        check_leases(manager, thread);
        check_rest(manager, vm);
        virLockManagerDetach(manager);
    }
    return NULL;
}

/* --- forks ---------------------------------------------------------------- */

/* One that nobody has yet. */
static void become_vm(virLockManagerDriverPtr driver, const char *disk, int n)
{
    virLockManagerPtr manager =
        virLockManagerNew(driver, VIR_LOCK_MANAGER_NEW_DOMAIN, 0);
    char uuid[64];
    pid_t pid;

    snprintf(uuid, sizeof(uuid), "6f0e0000-0000-4000-9000-%012d", n);
    check(manager != NULL, "New");
    check(virLockManagerSetParameter(manager, "uuid", uuid) == 0 &&
              virLockManagerSetParameter(manager, "wait", "60") == 0 &&
              virLockManagerRegisterResource(
                  manager, VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK, disk, 0) == 0,
          "a VM of its own");
    check(virLockManagerAcquireObject(manager) == 0, "AcquireObject");
    check(virLockManagerGetChild(manager, &pid, 0) == 0, "GetChild");
    check(pid == getpid(), "another process is the VM");
    virLockManagerDetach(manager);
}

static void run_child(virLockManagerPtr copy, const char *disk, int n)
{
    virLockManagerDriverPtr driver;

    alarm(90);
    /* What has come for the original stays the original's. */
    check(virLockManagerDispatch(copy) == 0, "Dispatch");
    check_child(copy, 0);
    virLockManagerFree(copy);
    driver = virLockManagerPluginLoad("file");
    check(driver != NULL, "PluginLoad");
    become_vm(driver, disk, n);
    virLockManagerPluginUnload(driver);
    _exit(0);
}

static void fork_and_wait(virLockManagerPtr manager, const char *disk, int n)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        run_child(manager, disk, n);
    check(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
    check(status == 0, "a child");
    check_child(manager, 0);
}

int main(int argc, char **argv)
{
    int threads = argc > 6 ? atoi(argv[1]) : 0, forks, i;
    virLockManagerDriverPtr driver;
    virLockManagerPtr manager;
    pthread_t ids[THREADS_MAX];

    if (threads < 1 || threads > THREADS_MAX || argc % 2 != 1)
        return 2;
    rounds = atoi(argv[2]);
    forks = atoi(argv[3]);
    vms = argv + 5;
    nvms = (argc - 5) / 2;
    for (i = 0; i < threads; i++)
        check(pthread_create(&ids[i], NULL, run_thread, (void *)(size_t)i) == 0,
              "pthread_create");
    driver = virLockManagerPluginLoad("file");
    check(driver != NULL, "PluginLoad");
    manager = find_vm(driver, 0);
    virLockManagerPluginUnload(driver);
    check_child(manager, 0);
    for (i = 0; i < forks; i++)
        fork_and_wait(manager, argv[4], i);
    virLockManagerDetach(manager);
    for (i = 0; i < threads; i++)
        check(pthread_join(ids[i], NULL) == 0, "pthread_join");
    return 0;
}
