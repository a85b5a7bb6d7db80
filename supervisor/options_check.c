/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: options, checked; see options.h. */
#include <string.h>

#include "../libsupervise/places.h"
#include "../libsupervise/qmp.h"
#include "../libsupervise/resource.h"
#include "../libsupervise/settings.h"
#include "options_internal.h"

gboolean options_refuse(GError **error, const char *what, const char *value,
                        const char *reason)
{
    g_autofree char *shown = g_utf8_make_valid(value, -1);

    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use %s '%s': %s", what, shown, reason);
    return FALSE;
}

gboolean options_seconds(const char *option, const char *text, gint64 *ms,
                         GError **error)
{
    const char *reason = settings_seconds(text, ms);

    return !reason || options_refuse(error, option, text, reason);
}

static gboolean parse_fd(const char *option, const char *text, int *fd,
                         GError **error)
{
    guint64 number;

    if (!text)
        return TRUE;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &number, NULL))
        return options_refuse(error, option, text,
                              "it is not the number of a descriptor");
    *fd = number;
    return TRUE;
}

gboolean options_set_name(Options *o, const char *name, GError **error)
{
    const char *reason = settings_name(name);

    if (reason)
        return options_refuse(error, "name", name, reason);
    g_free(o->name);
    o->name = g_strdup(name);
    return TRUE;
}

gboolean options_set_uuid(Options *o, const char *uuid, GError **error)
{
    g_free(o->uuid);
    o->uuid = places_uuid(uuid, error);
    return o->uuid != NULL;
}

/* PID[:START]; see proc(5) for the start time. */
static gboolean parse_process(Options *o, const char *text, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 2);
    guint64 pid = 0;

    if (!parts[0] ||
        !g_ascii_string_to_unsigned(parts[0], 10, 1, G_MAXINT, &pid, NULL) ||
        (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 1, G_MAXUINT64,
                                                 &o->attach_start, NULL)))
        return options_refuse(
            error, "--attach", text,
            "it is not the number of a process, or that and its "
            "start time");
    o->attach_pid = (pid_t)pid;
    return TRUE;
}

/* What only makes sense with a command of our own. */
gboolean options_check_attach(Options *o, const RawOptions *raw, GError **error)
{
    const char *value = raw->attach ? raw->attach : raw->attach_pidfd;

    if (raw->attach && raw->attach_pidfd)
        return options_refuse(error, "--attach", value,
                              "--attach-pidfd is given as well");
    if (o->user || o->group)
        return options_refuse(error, o->user ? "--user" : "--group",
                              o->user ? o->user : o->group,
                              "a process that runs keeps its own");
    return raw->attach ? parse_process(o, raw->attach, error)
                       : parse_fd("--attach-pidfd", raw->attach_pidfd,
                                  &o->attach_pidfd, error);
}

/* Who the VM is, as far as nothing else says so. */
static gboolean check_identity(Options *o, const RawOptions *raw,
                               GError **error)
{
    g_autofree char *name =
        o->attach ? g_strdup("attached") : g_path_get_basename(o->command[0]);

    o->name_given = raw->name != NULL;
    o->uuid_given = raw->uuid != NULL;
    if (!o->uuid_given)
        o->uuid = g_uuid_string_random();
    return (!o->uuid_given || options_set_uuid(o, raw->uuid, error)) &&
           options_set_name(o, o->name_given ? raw->name : name, error);
}

static gboolean check_log(Options *o, const RawOptions *raw, GError **error)
{
    const char *reason;
    int level = REPORT_WARNING, target = REPORT_TARGET_AUTO;

    if (raw->log_level && (reason = settings_log_level(raw->log_level, &level)))
        return options_refuse(error, "--log-level", raw->log_level, reason);
    if (raw->log_target &&
        (reason = settings_log_target(raw->log_target, &target)))
        return options_refuse(error, "--log-target", raw->log_target, reason);
    o->log_level = level;
    o->log_target = target;
    return TRUE;
}

static gboolean check_params(Options *o, GError **error)
{
    if (!o->params)
        o->params = g_new0(char *, 1);
    for (char **param = o->params; *param; param++) {
        if (**param == '=' || !strchr(*param, '='))
            return options_refuse(error, "--param", *param,
                                  "it is not KEY=VALUE");
    }
    return TRUE;
}

static gboolean add_resources(Options *o, char **texts,
                              Resource *(*parse)(const char *, GError **),
                              GError **error)
{
    for (; texts && *texts; texts++) {
        Resource *resource = parse(*texts, error);

        if (!resource)
            return FALSE;
        g_ptr_array_add(o->resources, resource);
    }
    return TRUE;
}

/* Everything that GOption cannot know. */
gboolean options_check(Options *o, const RawOptions *raw, GError **error)
{
    if (!o->driver)
        o->driver = g_strdup("file");
    if (!parse_fd("--pid-fd", raw->pid_fd, &o->pid_fd, error) ||
        !parse_fd("--json-status-fd", raw->json_status_fd, &o->json_status_fd,
                  error))
        return FALSE;
    if (o->pid_fd >= 0 && o->pid_fd == o->json_status_fd)
        return options_refuse(error, "descriptor", raw->pid_fd,
                              "--pid-fd and --json-status-fd name the same");
    if (!check_identity(o, raw, error) || !check_params(o, error))
        return FALSE;
    if (o->control_group_rw && !o->control_group) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use --control-group-rw: no --control-group is "
                    "given");
        return FALSE;
    }
    if (o->id && !g_utf8_validate(o->id, -1, NULL))
        return options_refuse(error, "--id", o->id, "it is not UTF-8");
    o->incoming |= o->state != NULL;
    if (raw->pid_file)
        o->pid_file = g_canonicalize_filename(raw->pid_file, NULL);
    if (raw->stop_timeout &&
        !options_seconds("--stop-timeout", raw->stop_timeout,
                         &o->stop_timeout_ms, error))
        return FALSE;
    if (!check_log(o, raw, error))
        return FALSE;
    return add_resources(o, raw->disks, resource_parse_disk, error) &&
           add_resources(o, raw->leases, resource_parse_lease, error);
}
