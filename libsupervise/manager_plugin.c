/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: which lease drivers there are
 *
 * Nothing is loaded: a driver is a part of the supervisor, or a program beside
 * it, virt-lock-driver-NAME. The table of those that were asked for is the only
 * thing here that all threads share.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "manager_internal.h"

#define DRIVER_PROGRAM "virt-lock-driver-"

struct virLockManagerDriver {
    char *name;
    unsigned int users;
};

/* Those that the supervisor has in it. */
static const char *const built_in[] = {"file", "nop"};

/* A GMutex would be one that thread checkers do not see. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GPtrArray *loaded; /* of virLockManagerDriver */

static void hold(void)
{
    pthread_mutex_lock(&lock);
}

static void let_go(void)
{
    pthread_mutex_unlock(&lock);
}

/* A process that is forked while another thread is in the table has it whole,
 * and not locked for ever. No two threads are the first to fail. */
static void __attribute__((constructor)) begin(void)
{
    pthread_atfork(hold, let_go, let_go);
    qmp_error_quark();
}

static gboolean is_built_in(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(built_in); i++) {
        if (g_str_equal(name, built_in[i]))
            return TRUE;
    }
    return FALSE;
}

/* sanlock was called so when the RFC was written. */
static const char *without_alias(const char *name)
{
    return g_str_equal(name, "sync-manager") ? "sanlock" : name;
}

static gboolean is_name(const char *name)
{
    gsize len = strlen(name);

    return len > 0 && len <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

/* Where driver programs are: beside the supervisor, or in libexec. */
static gboolean is_installed(const char *name, GError **error)
{
    static const char *const places[] = {"", "../libexec"};
    g_autofree char *supervisor = argv_supervisor(error);
    g_autofree char *here = NULL, *program = NULL;

    if (!supervisor)
        return FALSE;
    here = g_path_get_dirname(supervisor);
    program = g_strconcat(DRIVER_PROGRAM, name, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path =
            g_build_filename(here, places[i], program, NULL);

        if (access(path, X_OK) == 0)
            return TRUE;
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_NOT_SUPPORTED,
                "cannot load lock driver '%s': '%s' is neither in '%s' nor in "
                "'%s' from there",
                name, program, here, places[1]);
    return FALSE;
}

/* With the lock held. */
static virLockManagerDriverPtr find_or_add(const char *name)
{
    virLockManagerDriverPtr driver;

    if (!loaded)
        loaded = g_ptr_array_new();
    for (guint i = 0; i < loaded->len; i++) {
        driver = g_ptr_array_index(loaded, i);
        if (g_str_equal(driver->name, name))
            return driver;
    }
    driver = g_new0(virLockManagerDriver, 1);
    driver->name = g_strdup(name);
    g_ptr_array_add(loaded, driver);
    return driver;
}

virLockManagerDriverPtr virLockManagerPluginLoad(const char *name)
{
    GError *error = NULL;
    virLockManagerDriverPtr driver = NULL;

    if (!name || !is_name(name)) {
        g_autofree char *shown = g_utf8_make_valid(name ? name : "", -1);

        manager_bad(&error, "cannot load lock driver '%s': that is no name",
                    shown);
    } else if (is_built_in(name) || is_installed(without_alias(name), &error)) {
        hold();
        driver = find_or_add(without_alias(name));
        driver->users++;
        let_go();
    }
    manager_result(NULL, error);
    return driver;
}

void virLockManagerPluginUnload(virLockManagerDriverPtr driver)
{
    if (!driver)
        return;
    hold();
    if (--driver->users == 0) {
        g_ptr_array_remove(loaded, driver);
        g_free(driver->name);
        g_free(driver);
    }
    if (loaded->len == 0)
        g_clear_pointer(&loaded, g_ptr_array_unref);
    let_go();
}

const char *plugin_name(const virLockManagerDriver *driver)
{
    return driver->name;
}

int virLockManagerGetCapabilities(virLockManagerDriverPtr driver,
                                  unsigned int *capabilities)
{
    GError *error = NULL;

    if (!driver || !capabilities)
        manager_bad(&error, "cannot tell what a lock driver can do: no driver, "
                            "or nowhere to put it");
    else
        *capabilities = PLUGIN_CAPABILITIES;
    return manager_result(NULL, error);
}
