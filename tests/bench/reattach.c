/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: how long a manager that starts again takes to have all its VMs back
 *
 * reattach: reads "UUID PID" lines, one for each VM that runs, and finds each
 * of them by the installed library: its process, a pidfd of it, and its
 * leases, which must be one disk that is held; and keeps the manager, as one
 * would. Prints the milliseconds for all of them together. Status 1 where one
 * is not found, or is not the right one.
 */
#define _POSIX_C_SOURCE 200809L

#include <libsupervise/lock_manager.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VMS_MAX 4096

typedef struct {
    char uuid[37];
    long pid;
    virLockManagerPtr manager;
    int pidfd;
} Vm;

static int failed(const Vm *vm, const char *what)
{
    fprintf(stderr, "reattach: %s: %s: %s\n", vm->uuid, what,
            virLockManagerGetLastError()->message);
    return 0;
}

static int has_its_disk(const Vm *vm)
{
    virLockManagerLease *leases;
    size_t n;
    int has;

    if (virLockManagerGetLeases(vm->manager, &leases, &n, 0) < 0)
        return failed(vm, "leases");
    has = n == 1 && leases[0].type == VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK &&
          strcmp(leases[0].status, "HELD") == 0;
    virLockManagerFreeLeases(leases);
    return has || failed(vm, "not its leases");
}

static int find(virLockManagerDriverPtr driver, Vm *vm)
{
    pid_t pid;

    vm->manager = virLockManagerNew(driver, VIR_LOCK_MANAGER_NEW_DOMAIN,
                                    VIR_LOCK_MANAGER_NEW_ATTACH);
    if (!vm->manager ||
        virLockManagerSetParameter(vm->manager, "uuid", vm->uuid) < 0 ||
        virLockManagerGetChild(vm->manager, &pid, 0) < 0 ||
        virLockManagerGetChildPidfd(vm->manager, &vm->pidfd, 0) < 0)
        return failed(vm, "not found");
    return pid == (pid_t)vm->pid ? has_its_disk(vm) : failed(vm, "another");
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(void)
{
    static Vm vms[VMS_MAX];
    virLockManagerDriverPtr driver;
    double began;
    int n = 0, i;

    while (n < VMS_MAX && scanf("%36s %ld", vms[n].uuid, &vms[n].pid) == 2)
        n++;
    began = now_ms();
    driver = virLockManagerPluginLoad("file");
    for (i = 0; i < n; i++)
        if (!driver || !find(driver, &vms[i]))
            return 1;
    printf("%.1f\n", now_ms() - began);
    return n == 0;
}
