/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a small manager of virtual machines
 *
 * vmmanager [--wrappers] UUID NAME ID [DISK...] -- COMMAND...
 *
 * Manages one VM, whose command line is COMMAND, with the installed headers
 * and library alone; C99, and C++. Its standard input has the steps of the
 * document "Using the Lock Manager APIs" one by one, under the names or numbers
 * that they have there; each is written here as it is written there, and with
 * --wrappers by domain_lock.h:
 *
 *   startup             At guest startup
 *   shutdown            At guest shutdown, when QEMU was told to quit or not
 *   restart             At libvirtd restart with running guests
 *   plug DISK           With disk hotplug, before QEMU has it
 *   unplug DISK         With disk unhotplug, when QEMU has it no more
 *   1, 2, 4a1, 4a2, 4b1, 4b2   During migration
 *
 * A DISK is PATH, or PATH,readonly or PATH,shared. For each step there is a
 * line of output, "STEP ok", with what came of it, or "STEP failed CODE WHY".
 * With "end", and at the end of its input, the manager ends; its VM runs on.
 */
#define _POSIX_C_SOURCE 200809L

#include "vmmanager.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISKS_MAX 16

virLockManagerDriverPtr plugin;
virDomainLockDomain domain;
char **command;
static virLockManagerPtr manager;
static virDomainLockDisk disks[DISKS_MAX];
static const char *step;

/* --- What came of it ------------------------------------------------------ */

int failed(void)
{
    const virLockManagerError *error = virLockManagerGetLastError();

    printf("%s failed %d %s\n", step, error->code, error->message);
    return -1;
}

int ok(void)
{
    printf("%s ok\n", step);
    return 0;
}

int ok_with_pid(pid_t pid)
{
    printf("%s ok %ld\n", step, (long)pid);
    return 0;
}

int ok_with_text(const char *text)
{
    printf("%s ok %s\n", step, text ? text : "");
    return 0;
}

/* --- A manager and its domain --------------------------------------------- */

virDomainLockDisk parse_disk(char *text)
{
    virDomainLockDisk disk = {text, 0};
    char *comma = strrchr(text, ',');

    if (comma && strcmp(comma, ",readonly") == 0)
        disk.flags = VIR_LOCK_MANAGER_RESOURCE_READONLY;
    if (comma && strcmp(comma, ",shared") == 0)
        disk.flags = VIR_LOCK_MANAGER_RESOURCE_SHARED;
    if (disk.flags)
        *comma = '\0';
    return disk;
}

static int new_manager(unsigned int type, unsigned int flags)
{
    virLockManagerDetach(manager);
    manager = virLockManagerNew(plugin, type, flags);
    if (!manager)
        return failed();
    if (virLockManagerSetParameter(manager, "id", domain.id) < 0 ||
        virLockManagerSetParameter(manager, "uuid", domain.uuid) < 0 ||
        virLockManagerSetParameter(manager, "name", domain.name) < 0)
        return failed();
    return 0;
}

static int register_disks(void)
{
    size_t i;

    for (i = 0; i < domain.ndisks; i++)
        if (virLockManagerRegisterResource(manager,
                                           VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK,
                                           disks[i].path, disks[i].flags) < 0)
            return failed();
    return 0;
}

/* --- Processes ------------------------------------------------------------ */

pid_t spawn(int (*prepare)(void), char **argv)
{
    int ends[2], fd;
    char why;
    pid_t pid;

    fflush(stdout);
    if (pipe(ends) < 0)
        return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    pid = fork();
    if (pid == 0) {
        if (!prepare || prepare() == 0) {
            setsid();
            fd = open("/dev/null", O_RDWR);
            dup2(fd, 0);
            dup2(fd, 1);
            execvp(argv[0], argv);
            perror(argv[0]);
        }
        fflush(stdout);
        if (write(ends[1], "x", 1) != 1)
            perror("write");
        _exit(125);
    }
    close(ends[1]);
    if (pid > 0 && read(ends[0], &why, 1) != 0) {
        waitpid(pid, NULL, 0);
        pid = -1;
    }
    close(ends[0]);
    return pid;
}

char **qemuBuildCommandLine(char *supervisor, char **supervisorargv)
{
    size_t first = supervisor != NULL, n = 0, m = 0;
    char **cmd;

    while (supervisorargv[n])
        n++;
    while (command[m])
        m++;
    cmd = (char **)malloc((first + n + m + 1) * sizeof(*cmd));
    if (!cmd)
        abort();
    cmd[0] = supervisor;
    memcpy(cmd + first, supervisorargv, n * sizeof(*cmd));
    memcpy(cmd + first + n, command, (m + 1) * sizeof(*cmd));
    return cmd;
}

/* --- The steps, as they stand in the document ----------------------------- */

static int acquire_object(void)
{
    return virLockManagerAcquireObject(manager) < 0 ? failed() : 0;
}

static int guest_startup(const char *argument)
{
    pid_t qemupid;

    (void)argument;
    if (new_manager(VIR_LOCK_MANAGER_OBJECT_DOMAIN, 0) < 0 ||
        register_disks() < 0)
        return -1;
    /* if (!virLockManagerAcquireObject(manager)) abort.. run QEMU */
    if (spawn(acquire_object, command) < 0)
        return -1;
    if (virLockManagerGetChild(manager, &qemupid, 0) < 0)
        return failed();
    return ok_with_pid(qemupid);
}

static int guest_shutdown(const char *argument)
{
    int result;

    (void)argument;
    /* ...send QEMU 'quit' monitor command, and/or kill(qemupid)... */
    result = virLockManagerShutdown(manager, 0);
    if (result < 0)
        return failed(); /* "or leave it running ???": it is left */
    virLockManagerFree(manager);
    manager = NULL;
    return ok();
}

static int libvirtd_restart(const char *argument)
{
    pid_t qemupid;

    (void)argument;
    if (new_manager(VIR_LOCK_MANAGER_START_DOMAIN,
                    VIR_LOCK_MANAGER_NEW_ATTACH) < 0)
        return -1;
    if (virLockManagerGetChild(manager, &qemupid, 0) < 0)
        return failed();
    return ok_with_pid(qemupid);
}

static int hotplug(const char *argument)
{
    virDomainLockDisk disk = parse_disk((char *)argument);

    if (virLockManagerAcquireResource(manager,
                                      VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK,
                                      disk.path, disk.flags) < 0)
        return failed();
    return ok();
}

static int unhotplug(const char *argument)
{
    virDomainLockDisk disk = parse_disk((char *)argument);

    if (virLockManagerReleaseResource(manager,
                                      VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK,
                                      disk.path, disk.flags) < 0)
        return failed();
    return ok();
}

static int migrate_1(const char *hosturi)
{
    virLockManagerStatus *status;

    if (virLockManagerPrepareMigrate(manager, hosturi, 0) < 0)
        return failed();
    if (virLockManagerGetStatus(manager, &status, 0) < 0)
        return failed();
    ok_with_text(status->migrateState);
    virLockManagerFreeStatus(status);
    return 0;
}

static int migrate_2(const char *argument)
{
    char *supervisor, **supervisorargv, **cmd;
    int supervisorargc;
    pid_t supervisorpid, qemupid;

    (void)argument;
    if (new_manager(VIR_LOCK_MANAGER_START_DOMAIN,
                    VIR_LOCK_MANAGER_NEW_MIGRATE) < 0 ||
        register_disks() < 0)
        return -1;
    supervisor = virLockManagerGetSupervisorPath(manager);
    if (!supervisor)
        return failed();
    if (virLockManagerGetSupervisorArgs(manager, &supervisorargv,
                                        &supervisorargc, 0) < 0)
        return failed();
    cmd = qemuBuildCommandLine(supervisor, supervisorargv);
    supervisorpid = spawn(NULL, cmd);
    free(cmd);
    free(supervisor);
    virLockManagerFreeArgs(supervisorargv);
    if (supervisorpid < 0)
        return -1;
    if (virLockManagerGetChild(manager, &qemupid, 0) < 0)
        return failed(); /* "or leave it running ???": it is left */
    return ok_with_pid(qemupid);
}

static int migrate_4a1(const char *sourceuri)
{
    if (virLockManagerCompleteMigrateIn(manager, sourceuri,
                                        VIR_LOCK_MANAGER_MIGRATE_CANCEL) < 0)
        return failed();
    return guest_shutdown(NULL);
}

/* The document calls CompleteMigrateIn here, which is the target's. */
static int migrate_4a2(const char *targeturi)
{
    if (virLockManagerCompleteMigrateOut(manager, targeturi,
                                         VIR_LOCK_MANAGER_MIGRATE_CANCEL) < 0)
        return failed();
    return ok();
}

static int migrate_4b1(const char *sourceuri)
{
    if (virLockManagerCompleteMigrateIn(manager, sourceuri, 0) < 0)
        return failed();
    return ok();
}

/* "42", and again CompleteMigrateIn, in the document. */
static int migrate_4b2(const char *targeturi)
{
    if (virLockManagerCompleteMigrateOut(manager, targeturi, 0) < 0)
        return failed();
    return guest_shutdown(NULL);
}

/* --- All of it ------------------------------------------------------------ */

static const struct {
    const char *name;
    int (*run)(const char *argument);
    int (*wrapper)(const char *argument);
} steps[] = {
    {"startup", guest_startup, by_startup},
    {"shutdown", guest_shutdown, by_shutdown},
    {"restart", libvirtd_restart, by_restart},
    {"plug", hotplug, by_plug},
    {"unplug", unhotplug, by_unplug},
    {"1", migrate_1, by_1},
    {"2", migrate_2, by_2},
    {"4a1", migrate_4a1, by_4a1},
    {"4a2", migrate_4a2, by_4a2},
    {"4b1", migrate_4b1, by_4b1},
    {"4b2", migrate_4b2, by_4b2},
};

/* "STEP [ARGUMENT]"; FALSE (0) where there is no such step. */
static int take_step(char *line, int wrappers)
{
    char *argument;
    size_t i;

    line[strcspn(line, "\n")] = '\0';
    argument = strchr(line, ' ');
    if (argument)
        *argument++ = '\0';
    step = line;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        if (strcmp(steps[i].name, line) != 0)
            continue;
        if (wrappers)
            steps[i].wrapper(argument);
        else
            steps[i].run(argument);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int wrappers = argc > 1 && strcmp(argv[1], "--wrappers") == 0;
    char line[4096];

    argv += 1 + wrappers;
    argc -= 1 + wrappers;
    if (argc < 5)
        return 2;
    domain.uuid = *argv++;
    domain.name = *argv++;
    domain.id = *argv++;
    domain.disks = disks;
    while (*argv && strcmp(*argv, "--") != 0 && domain.ndisks < DISKS_MAX)
        disks[domain.ndisks++] = parse_disk(*argv++);
    command = argv + 1;
    setvbuf(stdout, NULL, _IOLBF, 0);

    /* At libvirtd startup */
    step = "load";
    plugin = virLockManagerPluginLoad("file");
    if (!plugin)
        return failed() < 0;
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n") != 0)
        if (!take_step(line, wrappers))
            return 2;
    virLockManagerDetach(manager);
    /* At libvirtd shutdown */
    virLockManagerPluginUnload(plugin);
    return 0;
}
