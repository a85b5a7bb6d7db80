/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a manager to the supervisor's arguments
 *
 * Pure, but for where the supervisor is. Every option has the form
 * --NAME=VALUE, so that no value is taken for an option.
 */
#include <string.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "manager_internal.h"
#include "sbindir.h"

/* What is an option of the supervisor's; everything else is the driver's. */
static const char *const options[] = {
    "wait",      "stop-timeout", "user",          "group",
    "log-level", "log-target",   "control-group", "state",
};

static gboolean is_option(const char *key)
{
    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        if (g_str_equal(key, options[i]))
            return TRUE;
    }
    return FALSE;
}

static void add(GPtrArray *argv, const char *option, const char *value)
{
    if (value)
        g_ptr_array_add(argv, g_strdup_printf("--%s=%s", option, value));
}

static void add_setting(GPtrArray *argv, const ManagerSetting *setting)
{
    if (is_option(setting->key))
        add(argv, setting->key, setting->value);
    else
        g_ptr_array_add(argv, g_strdup_printf("--param=%s=%s", setting->key,
                                              setting->value));
}

static void add_resource(GPtrArray *argv, const Resource *resource)
{
    g_autofree char *text = resource_format(resource);

    add(argv, resource->kind == RESOURCE_DISK ? "disk" : "lease", text);
}

char **argv_make(const virLockManager *manager, const char *const *extra)
{
    GPtrArray *argv = g_ptr_array_new();

    for (; extra && *extra; extra++)
        g_ptr_array_add(argv, g_strdup(*extra));
    add(argv, "driver", manager->driver);
    add(argv, "uuid", manager->uuid);
    add(argv, "name", manager->name);
    add(argv, "id", manager->id);
    add(argv, "run-dir", manager->run_dir);
    add(argv, "state-dir", manager->state_dir);
    if (manager->flags & VIR_LOCK_MANAGER_NEW_MIGRATE)
        g_ptr_array_add(argv, g_strdup("--incoming"));
    if (manager->guard)
        g_ptr_array_add(argv, g_strdup("--guard"));
    for (guint i = 0; i < manager->settings->len; i++)
        add_setting(argv, g_ptr_array_index(manager->settings, i));
    for (guint i = 0; i < manager->resources->len; i++)
        add_resource(argv, g_ptr_array_index(manager->resources, i));
    return (char **)g_ptr_array_free((g_ptr_array_add(argv, NULL), argv),
                                     FALSE);
}

/* --- the program -----------------------------------------------------------
 */

char *argv_supervisor(GError **error)
{
    const char *given = secure_getenv("VIRT_LOCK_SUPERVISOR");
    const char *path =
        given && *given ? given : SBINDIR "/virt-lock-supervisor";

    if (*path != '/')
        g_set_error(error, QMP_ERROR, QMP_ERROR_NO_SUPERVISOR,
                    "cannot use supervisor '%s': VIRT_LOCK_SUPERVISOR is not "
                    "an absolute path",
                    path);
    else if (access(path, X_OK) < 0)
        set_errno(error, "cannot run '%s'", path);
    else
        return g_strdup(path);
    if (error && *error)
        (*error)->code = QMP_ERROR_NO_SUPERVISOR;
    return NULL;
}

char *virLockManagerGetSupervisorPath(virLockManagerPtr manager)
{
    GError *error = NULL;
    char *path = NULL, *out = NULL;

    if (manager_enter(manager, "find the supervisor of", PHASE_ANY, 0, 0,
                      &error))
        path = argv_supervisor(&error);
    if (path)
        out = strdup(path);
    g_free(path);
    manager_result(manager, error);
    return out;
}

char *virLockManagerGetSupervisorContext(virLockManagerPtr manager)
{
    GError *error = NULL;
    g_autofree char *path = NULL;
    char label[256], *out = NULL;
    ssize_t n;

    if (manager_enter(manager, "find the supervisor of", PHASE_ANY, 0, 0,
                      &error))
        path = argv_supervisor(&error);
    n = path ? getxattr(path, "security.selinux", label, sizeof label - 1) : 0;
    if (n > 0) {
        label[n] = 0;
        out = strdup(label);
    }
    manager_result(manager, error);
    return out;
}

/* --- for whoever executes it ------------------------------------------------
 */

gboolean argv_can_start(const virLockManager *manager, GError **error)
{
    if (manager->flags & VIR_LOCK_MANAGER_NEW_ATTACH) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_WRONG_STATE,
                    "cannot start VM '%s': its manager is for one that runs "
                    "already",
                    manager_shown(manager));
        return FALSE;
    }
    return manager->uuid ||
           manager_bad(error, "cannot start VM '%s': its uuid is not set",
                       manager_shown(manager));
}

/* In memory of malloc(3), with "--" at its end; takes @argv. */
static char **for_free(char **argv, int *argc)
{
    guint n = g_strv_length(argv);
    char **out = calloc(n + 2, sizeof *out);

    for (guint i = 0; out && i < n; i++)
        out[i] = strdup(argv[i]);
    if (out)
        out[n] = strdup("--");
    if (argc)
        *argc = (int)n + 1;
    g_strfreev(argv);
    return out;
}

int virLockManagerGetSupervisorArgs(virLockManagerPtr manager, char ***argv,
                                    int *argc, unsigned int flags)
{
    GError *error = NULL;

    if (argv)
        *argv = NULL;
    if (manager_enter(manager, "make the arguments for", PHASE_PREPARING, flags,
                      0, &error) &&
        argv_can_start(manager, &error)) {
        if (argv) {
            *argv = for_free(argv_make(manager, NULL), argc);
            manager->has_args = TRUE;
            await_begun(manager);
        } else {
            manager_bad(&error, "cannot make arguments: nowhere to put them");
        }
    }
    return manager_result(manager, error);
}

void virLockManagerFreeArgs(char **argv)
{
    for (char **arg = argv; arg && *arg; arg++)
        free(*arg);
    free(argv);
}
