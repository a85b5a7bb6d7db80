/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the two halves of the small manager share: see vmmanager.c. */
#ifndef TEST_VMMANAGER_H
#define TEST_VMMANAGER_H

#include <libsupervise/domain_lock.h>
#include <libsupervise/lock_manager.h>

#include <sys/types.h>

extern virLockManagerDriverPtr plugin;
extern virDomainLockDomain domain;
extern char **command; /* the VM's */

/* Each says what came of the step, and returns 0, but failed() -1. */
int failed(void);
int ok(void);
int ok_with_pid(pid_t pid);
int ok_with_text(const char *text);

/* A disk from "PATH[,readonly|,shared]", whose comma is overwritten. */
virDomainLockDisk parse_disk(char *text);

/* "virCommandExec" of USAGE: a process that does @prepare, if there is one, and
 * becomes @argv. Returns its pid when it has; -1 when it could not, and the
 * output says why. */
pid_t spawn(int (*prepare)(void), char **argv);

/* The supervisor's path, if it is not among its arguments, these, and the VM's
 * own command; for free(). */
char **qemuBuildCommandLine(char *supervisor, char **supervisorargv);

/* By domain_lock.h. */
int by_startup(const char *argument);
int by_shutdown(const char *argument);
int by_restart(const char *argument);
int by_plug(const char *argument);
int by_unplug(const char *argument);
int by_1(const char *hosturi);
int by_2(const char *argument);
int by_4a1(const char *uri);
int by_4a2(const char *uri);
int by_4b1(const char *uri);
int by_4b2(const char *uri);

#endif
