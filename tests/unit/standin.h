/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: a lock_manager.h that does nothing, and writes down how it is called. */
#ifndef TEST_STANDIN_H
#define TEST_STANDIN_H

#include "../../libsupervise/lock_manager.h"

#include <glib.h>
#include <stdarg.h>
#include <string.h>

struct virLockManager {
    int unused;
};

typedef struct {
    GString *said;
    int calls, fails; /* so many so far; which one fails, 0: none */
    int alive;        /* things that somebody must free */
    unsigned int flags;
} World;

static World world;

/* Writes the call down. Returns FALSE where it is the one that fails. */
static gboolean called(const char *format, ...)
{
    va_list args;

    world.calls++;
    va_start(args, format);
    g_string_append_vprintf(world.said, format, args);
    va_end(args);
    g_string_append_c(world.said, '\n');
    return world.calls != world.fails;
}

static int done(gboolean works)
{
    return works ? 0 : -1;
}

static virLockManagerPtr made(gboolean works)
{
    static virLockManager manager;

    world.alive += works;
    return works ? &manager : NULL;
}

virLockManagerPtr virLockManagerNew(virLockManagerDriverPtr driver,
                                    unsigned int type, unsigned int flags)
{
    return made(called("New %#x", flags));
}

virLockManagerPtr virLockManagerNewParams(virLockManagerDriverPtr driver,
                                          unsigned int type, size_t nparams,
                                          const virLockManagerParam *params,
                                          unsigned int flags)
{
    return made(called("NewParams %zu %#x", nparams, flags));
}

void virLockManagerDetach(virLockManagerPtr manager)
{
    g_assert_nonnull(manager);
    g_string_append(world.said, "Detach\n");
    world.alive--;
}

void virLockManagerFree(virLockManagerPtr manager)
{
    g_assert_not_reached();
}

int virLockManagerSetParameter(virLockManagerPtr manager, const char *key,
                               const char *value)
{
    return done(called("Set %s=%s", key, value));
}

int virLockManagerRegisterResource(virLockManagerPtr manager, unsigned int type,
                                   const char *name, unsigned int flags)
{
    return done(called("Register %u %s %#x", type, name, flags));
}

int virLockManagerAcquireResource(virLockManagerPtr manager, unsigned int type,
                                  const char *name, unsigned int flags)
{
    return done(called("AcquireResource %u %s %#x", type, name, flags));
}

int virLockManagerReleaseResource(virLockManagerPtr manager, unsigned int type,
                                  const char *name, unsigned int flags)
{
    return done(called("ReleaseResource %u %s %#x", type, name, flags));
}

int virLockManagerAcquireObject(virLockManagerPtr manager)
{
    return done(called("AcquireObject"));
}

int virLockManagerAcquire(virLockManagerPtr manager, const char *state,
                          unsigned int flags)
{
    return done(called("Acquire %s", state));
}

static int returned(gboolean works, char **state)
{
    if (works && state)
        *state = strdup("S");
    return done(works);
}

int virLockManagerRelease(virLockManagerPtr manager, char **state,
                          unsigned int flags)
{
    return returned(called("Release"), state);
}

int virLockManagerInquire(virLockManagerPtr manager, char **state,
                          unsigned int flags)
{
    return returned(called("Inquire"), state);
}

char *virLockManagerGetSupervisorPath(virLockManagerPtr manager)
{
    return called("GetSupervisorPath") ? strdup("/sbin/supervisor") : NULL;
}

int virLockManagerGetSupervisorArgs(virLockManagerPtr manager, char ***argv,
                                    int *argc, unsigned int flags)
{
    static const char *const words[] = {"--driver=file", "--", NULL};

    if (!called("GetSupervisorArgs %#x", flags))
        return -1;
    *argv = g_strdupv((char **)words);
    if (argc)
        *argc = 2;
    return 0;
}

int virLockManagerGetChild(virLockManagerPtr manager, pid_t *pid,
                           unsigned int flags)
{
    if (!called("GetChild %#x", flags))
        return -1;
    *pid = 4711;
    return 0;
}

int virLockManagerGetStatus(virLockManagerPtr manager,
                            virLockManagerStatus **status, unsigned int flags)
{
    static virLockManagerStatus answer;

    world.flags |= flags;
    if (!called("GetStatus"))
        return -1;
    answer.migrateState = "S";
    *status = &answer;
    world.alive++;
    return 0;
}

void virLockManagerFreeStatus(virLockManagerStatus *status)
{
    g_assert_nonnull(status);
    world.alive--;
}

int virLockManagerPrepareMigrate(virLockManagerPtr manager,
                                 const char *targetURI, unsigned int flags)
{
    return done(called("PrepareMigrate %s %#x", targetURI, flags));
}

int virLockManagerCompleteMigrateIn(virLockManagerPtr manager,
                                    const char *sourceURI, unsigned int flags)
{
    return done(called("CompleteMigrateIn %s %#x", sourceURI, flags));
}

int virLockManagerCompleteMigrateOut(virLockManagerPtr manager,
                                     const char *targetURI, unsigned int flags)
{
    return done(called("CompleteMigrateOut %s %#x", targetURI, flags));
}

int virLockManagerShutdown(virLockManagerPtr manager, unsigned int flags)
{
    return done(called("Shutdown %#x", flags));
}

#endif
