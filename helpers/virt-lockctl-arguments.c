/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-arguments.h. */
#include "virt-lockctl-arguments.h"

#include <string.h>

#include "qmp.h"

void arguments_clear(Arguments *arguments)
{
    g_free(arguments->run_dir);
    g_free(arguments->state_dir);
    g_free(arguments->lockspace);
    g_free(arguments->timeout);
    g_free(arguments->reason);
    g_free(arguments->interval);
    g_free(arguments->source_uri);
    g_free(arguments->target_uri);
    g_strfreev(arguments->disks);
    g_strfreev(arguments->words);
    g_free(arguments->help);
}

/* GOption takes --json=no for --json. */
static gboolean check_flags(const GOptionEntry *entries, char **argv,
                            GError **error)
{
    for (char **arg = argv + 1; *arg && !g_str_equal(*arg, "--"); arg++) {
        gsize len = strcspn(*arg, "=");
        const GOptionEntry *e = entries;

        while (e->long_name && (!g_str_has_prefix(*arg, "--") ||
                                strlen(e->long_name) != len - 2 ||
                                strncmp(*arg + 2, e->long_name, len - 2) != 0))
            e++;
        if (!e->long_name || !*e->long_name)
            continue;
        if (e->arg == G_OPTION_ARG_NONE && (*arg)[len]) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                        "--%s takes no value", e->long_name);
            return FALSE;
        }
        if (e->arg != G_OPTION_ARG_NONE && !(*arg)[len] && arg[1])
            arg++;
    }
    return TRUE;
}

gboolean arguments_parse(Arguments *a, const char *summary, int *argc,
                         char ***argv, GError **error)
{
    gboolean help = FALSE;
    const GOptionEntry entries[] = {
        {"disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &a->disks,
         "The disk; MODE is readonly or shared, a comma in PATH is doubled",
         "PATH[,MODE]"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &a->force,
         "Release a disk even if the child seems to use it", NULL},
        {"reason", 0, 0, G_OPTION_ARG_FILENAME, &a->reason,
         "Why leases are revoked; for logs and events", "TEXT"},
        {"timeout", 0, 0, G_OPTION_ARG_FILENAME, &a->timeout,
         "How long to wait; for shutdown, how long the child may take",
         "SECONDS"},
        {"watch", 0, 0, G_OPTION_ARG_NONE, &a->watch,
         "List again whenever something has changed", NULL},
        {"follow", 0, 0, G_OPTION_ARG_NONE, &a->follow,
         "Events of VMs that start later, too; without end", NULL},
        {"interval", 0, 0, G_OPTION_ARG_FILENAME, &a->interval,
         "How often top looks (2)", "SECONDS"},
        {"target-uri", 0, 0, G_OPTION_ARG_FILENAME, &a->target_uri,
         "Where a VM goes; for logs and its status", "URI"},
        {"source-uri", 0, 0, G_OPTION_ARG_FILENAME, &a->source_uri,
         "Where a VM came from; likewise", "URI"},
        {"in", 0, 0, G_OPTION_ARG_NONE, &a->in,
         "The VM was migrated to this supervisor", NULL},
        {"out", 0, 0, G_OPTION_ARG_NONE, &a->out,
         "The VM was migrated away from it", NULL},
        {"cancel", 0, 0, G_OPTION_ARG_NONE, &a->cancel,
         "It was not: as migrate-cancel", NULL},
        {"wait", 0, 0, G_OPTION_ARG_NONE, &a->wait,
         "Until the source has let go and its writes are done", NULL},
        {"active", 0, 0, G_OPTION_ARG_NONE, &a->active,
         "The VM's QEMU here has its disks open already", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &a->json, "Print JSON", NULL},
        {"run-dir", 0, 0, G_OPTION_ARG_FILENAME, &a->run_dir,
         "Where the control sockets are", "DIR"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &a->state_dir,
         "Where locks and the records of holders are", "DIR"},
        {"lockspace", 0, 0, G_OPTION_ARG_FILENAME, &a->lockspace,
         "The supervisors' --param lockspace=DIR, for holder", "DIR"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &a->version, "Print the version",
         NULL},
        {"help", 'h', 0, G_OPTION_ARG_NONE, &help, "Print this", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &a->words, NULL,
         NULL},
        {0},
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("COMMAND - ask and tell virt-lock-supervisor");

    g_option_context_set_help_enabled(context, FALSE); /* we print it */
    g_option_context_set_summary(context, summary);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!check_flags(entries, *argv, error) ||
        !g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (help)
        a->help = g_option_context_get_help(context, TRUE, NULL);
    return TRUE;
}

gboolean arguments_check_direction(const Arguments *a, const char *command,
                                   GError **error)
{
    const char *why = NULL;

    if (a->in + a->out + a->cancel != 1)
        why = "it needs one of --in, --out and --cancel";
    else if (!a->in && (a->source_uri || a->active))
        why = "--source-uri and --active go with --in";
    else if (a->cancel && a->wait)
        why = "--wait goes with --in and --out";
    else if (!a->out && a->target_uri)
        why = "--target-uri goes with --out";
    if (why)
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot run '%s': %s", command, why);
    return !why;
}
