/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the tests of lock_manager.h share. */
#ifndef TEST_MANAGER_FIXTURE_H
#define TEST_MANAGER_FIXTURE_H

#include "../../libsupervise/lock_manager.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

/* A deadline for what must come to pass, and one for what must not;
 * milliseconds. */
#define ENOUGH 20000
#define LITTLE 100

/* Directories of a test's own, which managers know by the environment. */
typedef struct {
    char *dir, *run, *state;
} Places;

static inline void places_make(Places *places)
{
    places->dir = g_dir_make_tmp("test-manager-XXXXXX", NULL);
    g_assert_nonnull(places->dir);
    places->run = g_build_filename(places->dir, "run", NULL);
    places->state = g_build_filename(places->dir, "state", NULL);
    g_assert_cmpint(g_mkdir(places->run, 0700), ==, 0);
    g_assert_true(g_setenv("VIRT_LOCK_RUN_DIR", places->run, TRUE));
    g_assert_true(g_setenv("VIRT_LOCK_STATE_DIR", places->state, TRUE));
}

/* Where nothing was left in them. */
static inline void places_remove(Places *places)
{
    g_assert_cmpint(g_rmdir(places->run), ==, 0);
    g_assert_cmpint(g_rmdir(places->dir), ==, 0);
    g_free(places->dir);
    g_free(places->run);
    g_free(places->state);
}

static inline virLockManagerDriverPtr driver_load(const char *name)
{
    virLockManagerDriverPtr driver = virLockManagerPluginLoad(name);

    g_assert_nonnull(driver);
    return driver;
}

/* A manager of driver @name, for a VM with @uuid, or without one. */
static inline virLockManagerPtr manager_make(const char *name, const char *uuid,
                                             unsigned int flags)
{
    virLockManagerDriverPtr driver = driver_load(name);
    virLockManagerPtr manager =
        virLockManagerNew(driver, VIR_LOCK_MANAGER_NEW_DOMAIN, flags);

    virLockManagerPluginUnload(driver);
    g_assert_nonnull(manager);
    g_assert_cmpint(virLockManagerSetTimeout(manager, ENOUGH), ==, 0);
    if (uuid)
        g_assert_cmpint(virLockManagerSetParameter(manager, "uuid", uuid), ==,
                        0);
    return manager;
}

/* Asserts that the last call failed by @code, with a sentence that has
 * @words. */
#define assert_failed(result, want, words)                                     \
    do {                                                                       \
        const virLockManagerError *why_;                                       \
                                                                               \
        g_assert_cmpint((result), ==, -1);                                     \
        why_ = virLockManagerGetLastError();                                   \
        g_assert_cmpint(why_->code, ==, VIR_LOCK_MANAGER_ERROR_##want);        \
        if (!strstr(why_->message, (words)))                                   \
            g_error("%s:%d: '%s' has no '%s'", __FILE__, __LINE__,             \
                    why_->message, (words));                                   \
        assert_sentence(why_->message);                                        \
    } while (0)

#define assert_works(result)                                                   \
    do {                                                                       \
        if ((result) != 0)                                                     \
            g_error("%s:%d: %s", __FILE__, __LINE__,                           \
                    virLockManagerGetLastError()->message);                    \
    } while (0)

/* As every error of this house is. */
static inline void assert_sentence(const char *message)
{
    gsize len = strlen(message);

    g_assert_true(g_str_has_prefix(message, "cannot "));
    g_assert_true(g_utf8_validate(message, -1, NULL));
    g_assert_false(g_str_has_suffix(message, "."));
    for (gsize i = 0; i < len; i++)
        g_assert_false(message[i] == '\n');
}

#endif
