/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see options.h. */
#include "options_internal.h"

#include <string.h>

#include "../libsupervise/qmp.h"
#include "../libsupervise/resource.h"

#define STOP_TIMEOUT_MS 30000

static gboolean on_wait(const char *option, const char *value, gpointer data,
                        GError **error)
{
    Options *options = ((RawOptions *)data)->options;

    options->wait = TRUE;
    options->wait_ms = 0;
    if (!value)
        return TRUE;
    if (!options_seconds("--wait", value, &options->wait_ms, error))
        return FALSE;
    options->wait = options->wait_ms > 0;
    return TRUE;
}

/* What is leased, and for whom. */
static void add_leases(GOptionGroup *group, RawOptions *raw)
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
        {"attach", 0, 0, G_OPTION_ARG_FILENAME, &raw->attach,
         "Watch over a process that runs, in place of a command",
         "PID[:START]"},
        {"attach-pidfd", 0, 0, G_OPTION_ARG_FILENAME, &raw->attach_pidfd,
         "The same, by a pidfd", "N"},
        {"guard", 0, 0, G_OPTION_ARG_NONE, &o->guard,
         "Have a second process see to the end if this one is killed", NULL},
        {"name", 0, 0, G_OPTION_ARG_FILENAME, &raw->name,
         "The VM's name (default: the command's)", "NAME"},
        {"uuid", 0, 0, G_OPTION_ARG_FILENAME, &raw->uuid,
         "The VM's uuid (default: a new one)", "UUID"},
        {"id", 0, 0, G_OPTION_ARG_FILENAME, &o->id,
         "The manager's id of the VM", "ID"},
        {"incoming", 0, 0, G_OPTION_ARG_NONE, &o->incoming,
         "Take the leases over from the VM's source, when it has migrated",
         NULL},
        {"state", 0, 0, G_OPTION_ARG_FILENAME, &o->state,
         "The source's state token; implies --incoming", "TOKEN"},
        {"wait", 0, G_OPTION_FLAG_OPTIONAL_ARG | G_OPTION_FLAG_FILENAME,
         G_OPTION_ARG_CALLBACK, on_wait, "Wait for leases that others hold",
         "SECONDS"},
        {0},
    };

    g_option_group_add_entries(group, entries);
}

/* How it runs, and how it is told of. */
static void add_running(GOptionGroup *group, RawOptions *raw)
{
    Options *o = raw->options;
    const GOptionEntry entries[] = {
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

    g_option_group_add_entries(group, entries);
}

static GOptionContext *make_context(RawOptions *raw)
{
    GOptionContext *context = g_option_context_new("-- COMMAND [ARG...]");
    GOptionGroup *group = g_option_group_new(NULL, NULL, NULL, raw, NULL);

    add_leases(group, raw);
    add_running(group, raw);
    g_option_context_set_main_group(context, group);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(
        context, "Runs a virtual machine under its disk leases: takes them "
                 "all, or does not start.");
    g_option_context_set_description(
        context, "See virt-lock-supervisor(8), virt-lockctl(1).");
    return context;
}

/* Splits at the first "--": options before it are parsed, what follows is
 * the command, untouched. */
static gboolean parse(RawOptions *raw, char **argv, GError **error)
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
        return options_refuse(error, "argument", own[1],
                              "it stands before '--', where only options may");
    o->attach = raw->attach || raw->attach_pidfd;
    if (o->attach && argv[n])
        return options_refuse(
            error, "argument", argv[n],
            "there is no command where a process is attached");
    if (o->attach)
        return options_check_attach(o, raw, error) &&
               options_check(o, raw, error);
    if (!argv[n] || !argv[n + 1] || !*argv[n + 1]) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot start a command: %s",
                    argv[n] ? "none is given after '--'"
                            : "no '--' with a command after it is given");
        return FALSE;
    }
    o->command = g_strdupv(argv + n + 1);
    return options_check(o, raw, error);
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
    RawOptions raw = {.options = options};
    gboolean done;

    options->attach_pidfd = -1;
    options->pid_fd = -1;
    options->json_status_fd = -1;
    options->stop_timeout_ms = STOP_TIMEOUT_MS;
    options->resources =
        g_ptr_array_new_with_free_func((GDestroyNotify)resource_free);
    options->notes = g_ptr_array_new_with_free_func(note_free);
    done = parse(&raw, argv, error);
    g_strfreev(raw.disks);
    g_strfreev(raw.leases);
    g_free(raw.attach);
    g_free(raw.attach_pidfd);
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
    g_free(o->state);
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
