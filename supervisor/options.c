/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see options.h. */
#include "options.h"

#include <string.h>

#include "../libsupervise/places.h"
#include "../libsupervise/qmp.h"
#include "../libsupervise/resource.h"

#define STOP_TIMEOUT_MS 30000
/* A month: longer times are slips of the finger, and timers end there. */
#define MAX_SECONDS (31.0 * 24 * 3600)
#define MAX_NAME    255

/* What GOption fills in, before it is checked. */
typedef struct {
    Options *options;
    char **disks, **leases;
    char *pid_fd, *json_status_fd, *stop_timeout, *log_level, *log_target,
        *uuid, *name, *pid_file;
    gboolean version, help;
} Raw;

static gboolean refuse(GError **error, const char *what, const char *value,
                       const char *reason)
{
    g_autofree char *shown = g_utf8_make_valid(value, -1);

    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use %s '%s': %s", what, shown, reason);
    return FALSE;
}

static gboolean parse_seconds(const char *option, const char *text, gint64 *ms,
                              GError **error)
{
    char *end;
    double seconds = g_ascii_strtod(text, &end);

    if (!*text || *end || strspn(text, "0123456789.") != strlen(text))
        return refuse(error, option, text, "it is not a number of seconds");
    if (seconds > MAX_SECONDS)
        return refuse(error, option, text, "it is more than a month");
    *ms = (gint64)(seconds * 1000 + 0.5);
    return TRUE;
}

static gboolean parse_fd(const char *option, const char *text, int *fd,
                         GError **error)
{
    guint64 number;

    if (!text)
        return TRUE;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &number, NULL))
        return refuse(error, option, text,
                      "it is not the number of a descriptor");
    *fd = number;
    return TRUE;
}

static gboolean on_wait(const char *option, const char *value, gpointer data,
                        GError **error)
{
    Options *options = ((Raw *)data)->options;

    options->wait = TRUE;
    options->wait_ms = 0;
    if (!value)
        return TRUE;
    if (!parse_seconds("--wait", value, &options->wait_ms, error))
        return FALSE;
    options->wait = options->wait_ms > 0;
    return TRUE;
}

static GOptionGroup *make_group(Raw *raw)
{
    Options *o = raw->options;
    const GOptionEntry entries[] = {
        {"disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &raw->disks,
         "Lease a disk; a comma in PATH is doubled", "PATH[,readonly|,shared]"},
        {"disks-from-command", 'A', 0, G_OPTION_ARG_NONE,
         &o->disks_from_command,
         "Lease the disks that the QEMU command line names", NULL},
        {"lease", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &raw->leases,
         "Lease any resource; \\: escapes", "LOCKSPACE:KEY[:PATH[:OFFSET]]"},
        {"driver", 0, 0, G_OPTION_ARG_FILENAME, &o->driver,
         "Lease driver: file (default) or nop", "NAME"},
        {"param", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->params,
         "Parameter for the driver", "KEY=VALUE"},
        {"name", 0, 0, G_OPTION_ARG_FILENAME, &raw->name,
         "The VM's name (default: the command's)", "NAME"},
        {"uuid", 0, 0, G_OPTION_ARG_FILENAME, &raw->uuid,
         "The VM's uuid (default: a new one)", "UUID"},
        {"id", 0, 0, G_OPTION_ARG_FILENAME, &o->id,
         "The manager's id of the VM", "ID"},
        {"incoming", 0, 0, G_OPTION_ARG_NONE, &o->incoming,
         "The command waits for the state of a VM that ran elsewhere", NULL},
        {"wait", 0, G_OPTION_FLAG_OPTIONAL_ARG | G_OPTION_FLAG_FILENAME,
         G_OPTION_ARG_CALLBACK, on_wait, "Wait for leases that others hold",
         "SECONDS"},
        {"pid-fd", 0, 0, G_OPTION_ARG_FILENAME, &raw->pid_fd,
         "Write the child's pid to descriptor N", "N"},
        {"pid-file", 0, 0, G_OPTION_ARG_FILENAME, &raw->pid_file,
         "Write the child's pid to FILE", "FILE"},
        {"json-status-fd", 0, 0, G_OPTION_ARG_FILENAME, &raw->json_status_fd,
         "Write JSON about start and end to descriptor N", "N"},
        {"user", 0, 0, G_OPTION_ARG_FILENAME, &o->user,
         "Run the command as this user", "USER"},
        {"group", 0, 0, G_OPTION_ARG_FILENAME, &o->group,
         "Run the command with this group", "GROUP"},
        {"stop-timeout", 0, 0, G_OPTION_ARG_FILENAME, &raw->stop_timeout,
         "From SIGTERM to SIGKILL (default: 30)", "SECONDS"},
        {"control-group", 0, 0, G_OPTION_ARG_FILENAME, &o->control_group,
         "Members may query", "GROUP"},
        {"control-group-rw", 0, 0, G_OPTION_ARG_NONE, &o->control_group_rw,
         "... and give every other command", NULL},
        {"run-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->run_dir,
         "Directory of the control sockets", "DIR"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &o->state_dir,
         "Directory of lock files and records", "DIR"},
        {"log-level", 0, 0, G_OPTION_ARG_FILENAME, &raw->log_level,
         "error, warning (default), info or debug", "LEVEL"},
        {"log-target", 0, 0, G_OPTION_ARG_FILENAME, &raw->log_target,
         "auto (default), stderr or journal", "TARGET"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &raw->version,
         "Print the version and exit", NULL},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &raw->help, "Print this and exit",
         NULL},
        {0},
    };
    GOptionGroup *group = g_option_group_new(NULL, NULL, NULL, raw, NULL);

    g_option_group_add_entries(group, entries);
    return group;
}

static GOptionContext *make_context(Raw *raw)
{
    GOptionContext *context = g_option_context_new("-- COMMAND [ARG...]");

    g_option_context_set_main_group(context, make_group(raw));
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(
        context, "Runs a virtual machine under its disk leases: takes them "
                 "all, or does not start.");
    g_option_context_set_description(
        context, "See virt-lock-supervisor(8), virt-lockctl(1).");
    return context;
}

gboolean options_set_name(Options *o, const char *name, GError **error)
{
    if (!*name || strlen(name) > MAX_NAME)
        return refuse(error, "name", name,
                      "it is empty or longer than 255 bytes");
    if (!g_utf8_validate(name, -1, NULL))
        return refuse(error, "name", name, "it is not UTF-8");
    for (const char *p = name; *p; p = g_utf8_next_char(p)) {
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return refuse(error, "name", name, "it has a control character");
    }
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

/* Who the VM is, as far as nothing else says so. */
static gboolean check_identity(Options *o, const Raw *raw, GError **error)
{
    g_autofree char *name = g_path_get_basename(o->command[0]);

    o->name_given = raw->name != NULL;
    o->uuid_given = raw->uuid != NULL;
    if (!o->uuid_given)
        o->uuid = g_uuid_string_random();
    return (!o->uuid_given || options_set_uuid(o, raw->uuid, error)) &&
           options_set_name(o, o->name_given ? raw->name : name, error);
}

/* Which of @words @text is; -1: none. */
static int find_word(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++) {
        if (g_str_equal(text, words[i]))
            return i;
    }
    return -1;
}

static gboolean check_log(Options *o, const Raw *raw, GError **error)
{
    static const char *const levels[] = {"error", "warning", "info", "debug",
                                         NULL};
    static const char *const targets[] = {"auto", "stderr", "journal", NULL};
    int level =
        raw->log_level ? find_word(raw->log_level, levels) : REPORT_WARNING;
    int target = raw->log_target ? find_word(raw->log_target, targets)
                                 : REPORT_TARGET_AUTO;

    if (level < 0)
        return refuse(error, "--log-level", raw->log_level,
                      "it is none of error, warning, info, debug");
    if (target < 0)
        return refuse(error, "--log-target", raw->log_target,
                      "it is none of auto, stderr, journal");
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
            return refuse(error, "--param", *param, "it is not KEY=VALUE");
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
static gboolean check(Options *o, const Raw *raw, GError **error)
{
    if (!o->driver)
        o->driver = g_strdup("file");
    if (!parse_fd("--pid-fd", raw->pid_fd, &o->pid_fd, error) ||
        !parse_fd("--json-status-fd", raw->json_status_fd, &o->json_status_fd,
                  error))
        return FALSE;
    if (o->pid_fd >= 0 && o->pid_fd == o->json_status_fd)
        return refuse(error, "descriptor", raw->pid_fd,
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
        return refuse(error, "--id", o->id, "it is not UTF-8");
    if (raw->pid_file)
        o->pid_file = g_canonicalize_filename(raw->pid_file, NULL);
    if (raw->stop_timeout && !parse_seconds("--stop-timeout", raw->stop_timeout,
                                            &o->stop_timeout_ms, error))
        return FALSE;
    if (!check_log(o, raw, error))
        return FALSE;
    return add_resources(o, raw->disks, resource_parse_disk, error) &&
           add_resources(o, raw->leases, resource_parse_lease, error);
}

/* Splits at the first "--": options before it are parsed, what follows is
 * the command, untouched. */
static gboolean parse(Raw *raw, char **argv, GError **error)
{
    Options *o = raw->options;
    g_autoptr(GOptionContext) context = make_context(raw);
    g_auto(GStrv) own = NULL;
    gsize n = 1;

    while (argv[n] && !g_str_equal(argv[n], "--"))
        n++;
    own = g_new0(char *, n + 1);
    for (gsize i = 0; i < n; i++)
        own[i] = g_strdup(argv[i]);
    if (!g_option_context_parse_strv(context, &own, error)) {
        if (error && (*error)->domain != QMP_ERROR)
            g_prefix_error(error, "cannot understand the options%s: ",
                           argv[n] ? ""
                                   : ", for want of a '--' before the "
                                     "command");
        return FALSE;
    }
    if (raw->help || raw->version) {
        o->what = raw->help ? OPTIONS_HELP : OPTIONS_VERSION;
        o->text = raw->help ? g_option_context_get_help(context, TRUE, NULL)
                            : g_strdup("virt-lock-supervisor " VERSION "\n");
        return TRUE;
    }
    if (own[1])
        return refuse(error, "argument", own[1],
                      "it stands before '--', where only options may");
    if (!argv[n] || !argv[n + 1] || !*argv[n + 1]) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot start a command: %s",
                    argv[n] ? "none is given after '--'"
                            : "no '--' with a command after it is given");
        return FALSE;
    }
    o->command = g_strdupv(argv + n + 1);
    return check(o, raw, error);
}

static void note_free(gpointer data)
{
    OptionsNote *note = data;

    g_free(note->sentence);
    g_free(note);
}

Options *options_parse(char **argv, GError **error)
{
    g_autoptr(Options) options = g_new0(Options, 1);
    Raw raw = {.options = options};
    gboolean done;

    options->pid_fd = -1;
    options->json_status_fd = -1;
    options->stop_timeout_ms = STOP_TIMEOUT_MS;
    options->resources =
        g_ptr_array_new_with_free_func((GDestroyNotify)resource_free);
    options->notes = g_ptr_array_new_with_free_func(note_free);
    done = parse(&raw, argv, error);
    g_strfreev(raw.disks);
    g_strfreev(raw.leases);
    g_free(raw.pid_fd);
    g_free(raw.json_status_fd);
    g_free(raw.stop_timeout);
    g_free(raw.log_level);
    g_free(raw.log_target);
    g_free(raw.uuid);
    g_free(raw.name);
    g_free(raw.pid_file);
    return done ? g_steal_pointer(&options) : NULL;
}

void options_free(Options *o)
{
    if (!o)
        return;
    g_free(o->text);
    g_free(o->name);
    g_free(o->uuid);
    g_free(o->id);
    g_free(o->driver);
    g_strfreev(o->params);
    g_ptr_array_unref(o->resources);
    g_ptr_array_unref(o->notes);
    g_clear_error(&o->failure);
    g_free(o->run_dir);
    g_free(o->state_dir);
    g_free(o->pid_file);
    g_free(o->user);
    g_free(o->group);
    g_free(o->control_group);
    g_strfreev(o->command);
    g_free(o);
}
