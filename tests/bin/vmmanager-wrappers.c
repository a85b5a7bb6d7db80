/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the small manager's steps once more, by domain_lock.h. */
#define _POSIX_C_SOURCE 200809L

#include "vmmanager.h"

#include <stdlib.h>

static int by(int result)
{
    return result < 0 ? failed() : ok();
}

static int start_process(void)
{
    if (virDomainLockProcessStart(plugin, &domain, NULL, 0) < 0)
        return failed();
    return 0;
}

int by_startup(const char *argument)
{
    pid_t pid = spawn(start_process, command);

    (void)argument;
    return pid < 0 ? -1 : ok_with_pid(pid);
}

int by_shutdown(const char *argument)
{
    (void)argument;
    return by(virDomainLockProcessShutdown(plugin, &domain, 0));
}

int by_restart(const char *argument)
{
    pid_t pid;

    (void)argument;
    if (virDomainLockProcessReattach(plugin, &domain, &pid, NULL, 0) < 0)
        return failed();
    return ok_with_pid(pid);
}

int by_plug(const char *argument)
{
    virDomainLockDisk disk = parse_disk((char *)argument);

    return by(virDomainLockImageAttach(plugin, &domain, &disk, 0));
}

int by_unplug(const char *argument)
{
    virDomainLockDisk disk = parse_disk((char *)argument);

    return by(virDomainLockImageDetach(plugin, &domain, &disk, 0));
}

int by_1(const char *hosturi)
{
    char *state;

    if (virDomainLockMigrateOutBegin(plugin, &domain, hosturi, &state, 0) < 0)
        return failed();
    ok_with_text(state);
    free(state);
    return 0;
}

int by_2(const char *argument)
{
    char **supervisorargv, **cmd;
    pid_t pid;

    (void)argument;
    if (virDomainLockMigrateInBegin(plugin, &domain, &supervisorargv, NULL, 0) <
        0)
        return failed();
    cmd = qemuBuildCommandLine(NULL, supervisorargv);
    pid = spawn(NULL, cmd);
    free(cmd);
    virLockManagerFreeArgs(supervisorargv);
    if (pid < 0)
        return -1;
    if (virDomainLockProcessStarted(plugin, &domain, &pid,
                                    VIR_LOCK_MANAGER_NEW_MIGRATE) < 0)
        return failed();
    return ok_with_pid(pid);
}

int by_4a1(const char *uri)
{
    return by(virDomainLockMigrateInCancel(plugin, &domain, uri, 0));
}

int by_4a2(const char *uri)
{
    return by(virDomainLockMigrateOutCancel(plugin, &domain, uri, 0));
}

int by_4b1(const char *uri)
{
    return by(virDomainLockMigrateInConfirm(plugin, &domain, uri, 0));
}

int by_4b2(const char *uri)
{
    return by(virDomainLockMigrateOutConfirm(plugin, &domain, uri, 0));
}
