/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: parameters, of the RFC one by one, of the design as an array. */
#include <string.h>

#include "manager_internal.h"
#include "places.h"
#include "settings.h"

static void set(char **where, const char *value)
{
    g_free(*where);
    *where = g_strdup(value);
}

/* The supervisor has another current directory. An empty name is refused where
 * it is needed. */
static void set_directory(char **where, const char *value)
{
    g_free(*where);
    *where = *value ? g_canonicalize_filename(value, NULL) : g_strdup("");
}

/* TRUE where @reason is NULL. */
static gboolean check(const char *key, const char *value, const char *reason,
                      GError **error)
{
    return !reason || manager_bad(error, "cannot set '%s' to '%s': %s", key,
                                  value, reason);
}

static gboolean set_guard(virLockManagerPtr manager, const char *value,
                          GError **error)
{
    if (!g_str_equal(value, "on") && !g_str_equal(value, "off"))
        return check("guard", value, "it is neither on nor off", error);
    manager->guard = g_str_equal(value, "on");
    return TRUE;
}

static gboolean set_uuid(virLockManagerPtr manager, const char *value,
                         GError **error)
{
    char *uuid = places_uuid(value, error);

    if (!uuid)
        return FALSE;
    g_free(manager->uuid);
    manager->uuid = uuid;
    return TRUE;
}

static ManagerSetting *find_other(const virLockManager *manager,
                                  const char *key)
{
    for (guint i = 0; i < manager->settings->len; i++) {
        ManagerSetting *setting = g_ptr_array_index(manager->settings, i);

        if (g_str_equal(setting->key, key))
            return setting;
    }
    return NULL;
}

static void set_other(virLockManagerPtr manager, const char *key,
                      const char *value)
{
    ManagerSetting *setting = find_other(manager, key);

    if (!setting) {
        setting = g_new0(ManagerSetting, 1);
        setting->key = g_strdup(key);
        g_ptr_array_add(manager->settings, setting);
    }
    set(&setting->value, value);
}

const char *params_get(const virLockManager *manager, const char *key)
{
    const ManagerSetting *setting = find_other(manager, key);

    return setting ? setting->value : NULL;
}

static gboolean set_pid(virLockManagerPtr manager, const char *value,
                        GError **error)
{
    guint64 pid;

    if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT32, &pid, NULL))
        return check("pid", value, "that is no process's number", error);
    manager->pid = (pid_t)pid;
    return TRUE;
}

/* What can be seen to be wrong before the supervisor says so. */
static gboolean check_option(const char *key, const char *value, GError **error)
{
    const char *reason = NULL;
    gint64 ms;

    if (g_str_equal(key, "name"))
        reason = settings_name(value);
    else if (g_str_equal(key, "wait") || g_str_equal(key, "stop-timeout"))
        reason = settings_seconds(value, &ms);
    else if (g_str_equal(key, "log-level"))
        reason = settings_log_level(value, NULL);
    else if (g_str_equal(key, "log-target"))
        reason = settings_log_target(value, NULL);
    return check(key, value, reason, error);
}

static gboolean check_text(const char *key, const char *value, GError **error)
{
    if (!g_utf8_validate(key, -1, NULL) || !g_utf8_validate(value, -1, NULL)) {
        g_autofree char *shown = g_utf8_make_valid(key, -1);

        return manager_bad(error, "cannot set '%s': it is not UTF-8", shown);
    }
    return (*key && !strchr(key, '=')) ||
           manager_bad(error, "cannot set '%s': that is no parameter's name",
                       key);
}

gboolean params_put(virLockManagerPtr manager, const char *key,
                    const char *value, GError **error)
{
    if (!check_text(key, value, error) || !check_option(key, value, error))
        return FALSE;
    if (g_str_equal(key, "uuid"))
        return set_uuid(manager, value, error);
    if (g_str_equal(key, "pid"))
        return set_pid(manager, value, error);
    if (g_str_equal(key, "guard"))
        return set_guard(manager, value, error);
    if (g_str_equal(key, "name"))
        set(&manager->name, value);
    else if (g_str_equal(key, "id"))
        set(&manager->id, value);
    else if (g_str_equal(key, "run-dir"))
        set_directory(&manager->run_dir, value);
    else if (g_str_equal(key, "state-dir"))
        set_directory(&manager->state_dir, value);
    else if (!g_str_equal(key, "uri"))
        set_other(manager, key, value);
    return TRUE;
}

int virLockManagerSetParameter(virLockManagerPtr manager, const char *key,
                               const char *value)
{
    GError *error = NULL;

    if (manager_enter(manager, "set a parameter of", PHASE_PREPARING, 0, 0,
                      &error)) {
        if (key && value)
            params_put(manager, key, value, &error);
        else
            manager_bad(&error, "cannot set '%s': its %s is NULL",
                        key ? key : "", key ? "value" : "name");
    }
    return manager_result(manager, error);
}

static char *uuid_text(const unsigned char *u)
{
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                           "%02x%02x%02x%02x%02x%02x",
                           u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8],
                           u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

char *param_text(const virLockManagerParam *param)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    switch (param->type) {
    case VIR_LOCK_MANAGER_PARAM_TYPE_STRING:
        return g_strdup(param->value.str);
    case VIR_LOCK_MANAGER_PARAM_TYPE_CSTRING:
        return g_strdup(param->value.cstr);
    case VIR_LOCK_MANAGER_PARAM_TYPE_INT:
        return g_strdup_printf("%d", param->value.i);
    case VIR_LOCK_MANAGER_PARAM_TYPE_LONG:
        return g_strdup_printf("%lld", param->value.l);
    case VIR_LOCK_MANAGER_PARAM_TYPE_UINT:
        return g_strdup_printf("%u", param->value.ui);
    case VIR_LOCK_MANAGER_PARAM_TYPE_ULONG:
        return g_strdup_printf("%llu", param->value.ul);
    case VIR_LOCK_MANAGER_PARAM_TYPE_DOUBLE:
        return g_strdup(g_ascii_dtostr(number, sizeof number, param->value.d));
    case VIR_LOCK_MANAGER_PARAM_TYPE_UUID:
        return uuid_text(param->value.uuid);
    default:
        return NULL;
    }
}

gboolean params_set(virLockManagerPtr manager, const virLockManagerParam *param,
                    GError **error)
{
    g_autofree char *text = param->key ? param_text(param) : NULL;

    if (!text)
        return manager_bad(error,
                           "cannot set '%s': it has no value, or one of "
                           "type %d, which is unknown",
                           param->key ? param->key : "", param->type);
    return params_put(manager, param->key, text, error);
}
