/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: virt-lockctl, the command line client
 *
 * parse -> one row of the table of commands -> its function -> exit status.
 * Everything a supervisor can be asked or told from a shell; it holds no
 * lease itself and needs no daemon.
 */
#include "virt-lockctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "places.h"
#include "qmp.h"
#include "virt-lockctl-arguments.h"

#define EXIT_ERROR 1
#define EXIT_USAGE 2
#define EXIT_BUSY  123
/* Seconds that a supervisor gets to answer in. */
#define DEFAULT_TIMEOUT   10
#define DEFAULT_INTERVAL  2
#define LEAST_INTERVAL_MS 100
#define LONGEST_TIMEOUT   (24 * 60 * 60) /* in milliseconds an int */

/* Of --help, after a long line. */
#define INDENT "\n                                           "

typedef enum {
    NO_TARGET,
    VM_TARGET,
    ANY_VM_TARGET, /* may be left out: all */
    PATH_TARGET,
} Target;

enum {
    TAKES_DISK = 1 << 0,
    NEEDS_DISK = 1 << 1,
    TAKES_FORCE = 1 << 2,
    TAKES_REASON = 1 << 3,
    PASSES_TIMEOUT = 1 << 4, /* --timeout is the supervisor's to keep */
    TAKES_LOCKSPACE = 1 << 5,
    TAKES_WATCH = 1 << 6,
    TAKES_FOLLOW = 1 << 7,
    TAKES_INTERVAL = 1 << 8,
    TAKES_TARGET_URI = 1 << 9,
    TAKES_DIRECTION = 1 << 10, /* and what goes with it */
};

typedef struct {
    const char *name;
    Target target;
    guint options;
    CommandFunc *run;
    const char *usage;
    const char *help;
} Command;

static const Command commands[] = {
    {"list", NO_TARGET, TAKES_WATCH, command_list, "list [--watch]",
     "all running VMs"},
    {"top", NO_TARGET, TAKES_INTERVAL, command_top, "top [--interval S]",
     "what they use"},
    {"status", VM_TARGET, 0, command_status, "status VM", "how a VM is"},
    {"child", VM_TARGET, 0, command_child, "child VM", "the child's PID"},
    {"leases", VM_TARGET, 0, command_leases, "leases VM", "what a VM holds"},
    {"unleased", VM_TARGET, 0, command_unleased, "unleased VM",
     "what a VM writes to without a lease"},
    {"acquire", VM_TARGET, NEEDS_DISK, command_acquire,
     "acquire VM --disk PATH[,MODE]", "add a disk to a running VM"},
    {"release", VM_TARGET, NEEDS_DISK | TAKES_FORCE, command_release,
     "release VM --disk PATH [--force]", "give up a disk"},
    {"revoke", VM_TARGET, TAKES_DISK | TAKES_REASON, command_revoke,
     "revoke VM [--disk PATH] [--reason TEXT]", "take leases away, kill"},
    {"shutdown", VM_TARGET, PASSES_TIMEOUT, command_shutdown,
     "shutdown VM [--timeout S]", "TERM, and KILL after S seconds"},
    {"quit", VM_TARGET, 0, command_quit, "quit VM", "KILL"},
    {"migrate-prepare", VM_TARGET, TAKES_TARGET_URI, command_migrate_prepare,
     "migrate-prepare VM [--target-uri URI]", "offer the leases to a target"},
    {"migrate-complete", VM_TARGET, TAKES_DIRECTION | TAKES_TARGET_URI,
     command_migrate_complete,
     "migrate-complete VM --in [--source-uri URI] [--wait] [--active] | --out "
     "[--target-uri URI] [--wait] | --cancel",
     "take the leases over, or let them go"},
    {"migrate-cancel", VM_TARGET, 0, command_migrate_cancel,
     "migrate-cancel VM", "the VM stays where it is"},
    {"events", ANY_VM_TARGET, TAKES_FOLLOW, command_events,
     "events [VM] [--follow]", "print events as they come"},
    {"holder", PATH_TARGET, TAKES_LOCKSPACE, command_holder,
     "holder PATH [--lockspace DIR]", "who holds a disk"},
};

static void request_clear(Request *request)
{
    g_free(request->run_dir);
    g_free(request->state_dir);
    g_free(request->lockspace);
    g_free(request->target);
    g_free(request->reason);
    g_free(request->uri);
    resource_free(request->disk);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Request, request_clear)

Client *request_connect(const Request *request, GError **error)
{
    return client_find(request->run_dir, request->target, request->call_ms,
                       error);
}

static char *summary(void)
{
    GString *text = g_string_new("Commands (a VM is named by name or uuid):\n");

    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++)
        g_string_append_printf(text, "  %-40s %s%s\n", commands[i].usage,
                               strlen(commands[i].usage) > 40 ? INDENT : "",
                               commands[i].help);
    g_string_append(text,
                    "\nExit status: 0 done, 1 error or not held, 2 usage, "
                    "123 the disk is held by someone else.");
    return g_string_free(text, FALSE);
}

static gboolean usage_error(GError **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static gboolean usage_error(GError **error, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error_literal(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT, text);
    return FALSE;
}

static const Command *find_command(const Arguments *a, GError **error)
{
    if (!a->words) {
        usage_error(error, "cannot run: no command is given");
        return NULL;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_str_equal(a->words[0], commands[i].name))
            return &commands[i];
    }
    usage_error(error, "cannot run '%s': there is no such command",
                a->words[0]);
    return NULL;
}

/* TRUE where @command may have those options, and has those it needs. */
static gboolean check_options(const Command *command, const Arguments *a,
                              GError **error)
{
    const struct {
        gboolean given;
        guint taken;
        const char *name;
    } options[] = {
        {a->disks != NULL, TAKES_DISK | NEEDS_DISK, "--disk"},
        {a->force, TAKES_FORCE, "--force"},
        {a->reason != NULL, TAKES_REASON, "--reason"},
        {a->lockspace != NULL, TAKES_LOCKSPACE, "--lockspace"},
        {a->watch, TAKES_WATCH, "--watch"},
        {a->follow, TAKES_FOLLOW, "--follow"},
        {a->interval != NULL, TAKES_INTERVAL, "--interval"},
        {a->target_uri != NULL, TAKES_TARGET_URI, "--target-uri"},
        {a->source_uri != NULL, TAKES_DIRECTION, "--source-uri"},
        {a->in, TAKES_DIRECTION, "--in"},
        {a->out, TAKES_DIRECTION, "--out"},
        {a->cancel, TAKES_DIRECTION, "--cancel"},
        {a->wait, TAKES_DIRECTION, "--wait"},
        {a->active, TAKES_DIRECTION, "--active"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        if (options[i].given && !(command->options & options[i].taken))
            return usage_error(error, "cannot run '%s': it takes no %s",
                               command->name, options[i].name);
    }
    if ((command->options & NEEDS_DISK) && !a->disks)
        return usage_error(error, "cannot run '%s': it needs --disk",
                           command->name);
    if (a->disks && a->disks[1])
        return usage_error(error, "cannot run '%s': one --disk at a time",
                           command->name);
    if (a->reason && !g_utf8_validate(a->reason, -1, NULL))
        return usage_error(error, "cannot run '%s': --reason is not UTF-8",
                           command->name);
    if (command->options & TAKES_DIRECTION)
        return arguments_check_direction(a, command->name, error);
    if (a->lockspace && !*a->lockspace)
        return usage_error(error, "cannot run '%s': --lockspace is empty",
                           command->name);
    return TRUE;
}

static gboolean check_target(const Command *command, const Arguments *a,
                             GError **error)
{
    guint words = g_strv_length(a->words);
    gboolean needed =
        command->target == VM_TARGET || command->target == PATH_TARGET;

    if (needed && words < 2)
        return usage_error(error, "cannot run '%s': it needs a %s",
                           command->name,
                           command->target == PATH_TARGET ? "PATH" : "VM");
    if (words > (command->target == NO_TARGET ? 1 : 2))
        return usage_error(error, "cannot run '%s': '%s' is too much",
                           command->name, a->words[words - 1]);
    return TRUE;
}

/* Decimal, a point in it or not; rounded to milliseconds. */
static gboolean parse_seconds(const char *text, int least_ms, int *ms)
{
    char *end;
    double seconds = g_ascii_strtod(text, &end);

    if (!*text || *end || strspn(text, "0123456789.") != strlen(text) ||
        seconds > LONGEST_TIMEOUT)
        return FALSE;
    *ms = (int)(seconds * 1000 + 0.5);
    return *ms >= least_ms;
}

static gboolean set_timeout(Request *request, const Command *command,
                            const Arguments *a, GError **error)
{
    gboolean passes = command->options & PASSES_TIMEOUT;

    request->timeout_ms = -1;
    request->call_ms = DEFAULT_TIMEOUT * 1000;
    if (!a->timeout)
        return TRUE;
    if (!parse_seconds(a->timeout, passes ? 0 : 1, &request->timeout_ms))
        return usage_error(error,
                           "cannot use --timeout '%s': not a number of seconds "
                           "from %s to %d",
                           a->timeout, passes ? "0" : "0.001", LONGEST_TIMEOUT);
    if (!passes)
        request->call_ms = request->timeout_ms;
    return TRUE;
}

static gboolean set_interval(Request *request, const Arguments *a,
                             GError **error)
{
    request->interval_ms = DEFAULT_INTERVAL * 1000;
    if (!a->interval ||
        parse_seconds(a->interval, LEAST_INTERVAL_MS, &request->interval_ms))
        return TRUE;
    return usage_error(error,
                       "cannot use --interval '%s': not a number of seconds "
                       "from 0.1 to %d",
                       a->interval, LONGEST_TIMEOUT);
}

/* Makes the request out of checked arguments. */
static gboolean fill(Request *request, const Command *command,
                     const Arguments *a, GError **error)
{
    if (!check_target(command, a, error) || !check_options(command, a, error) ||
        !set_timeout(request, command, a, error) ||
        !set_interval(request, a, error))
        return FALSE;
    request->command = command->name;
    request->json = a->json;
    request->force = a->force;
    request->watch = a->watch;
    request->follow = a->follow;
    request->in = a->in;
    request->cancel = a->cancel;
    request->wait = a->wait;
    request->active = a->active;
    request->uri = g_strdup(a->in ? a->source_uri : a->target_uri);
    request->reason = g_strdup(a->reason);
    request->target = g_strdup(a->words[1]);
    request->state_dir = g_strdup(a->state_dir);
    if (a->lockspace)
        request->lockspace = g_canonicalize_filename(a->lockspace, NULL);
    if (command->target == PATH_TARGET)
        request->disk =
            resource_new_disk(request->target, RESOURCE_EXCLUSIVE, error);
    else if (a->disks)
        request->disk = resource_parse_disk(a->disks[0], error);
    if ((a->disks || command->target == PATH_TARGET) && !request->disk)
        return FALSE;
    request->run_dir_given = a->run_dir != NULL;
    request->run_dir = places_run_dir(a->run_dir, error);
    return request->run_dir != NULL;
}

static int complain(const char *message, int status)
{
    g_autofree char *sentence = printable(message);

    fprintf(stderr, "virt-lockctl: %s\n", sentence);
    return status;
}

static int complain_of_usage(const GError *error)
{
    g_autofree char *sentence =
        g_strdup_printf("%s; see 'virt-lockctl --help'", error->message);

    return complain(sentence, EXIT_USAGE);
}

gboolean flush_answer(GError **error)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return TRUE;
    return set_errno(error, "cannot write the answer");
}

/* What is no answer to a command. */
static int say(const char *text)
{
    g_autoptr(GError) error = NULL;

    errno = 0;
    fputs(text, stdout);
    return flush_answer(&error) ? EXIT_SUCCESS
                                : complain(error->message, EXIT_ERROR);
}

/* The default one is made by the first supervisor; but one that is named and is
 * not there is a slip. */
static gboolean check_run_dir(const Request *request, GError **error)
{
    if (!request->run_dir_given || access(request->run_dir, F_OK) == 0)
        return TRUE;
    return set_errno(error, "cannot open '%s'", request->run_dir);
}

static int run(const Command *command, const Request *request)
{
    g_autoptr(GError) error = NULL;
    gboolean done =
        check_run_dir(request, &error) && command->run(request, &error);
    g_autofree char *sentence = NULL;

    if (!error)
        done = flush_answer(&error) && done;
    if (!error)
        return done ? EXIT_SUCCESS : EXIT_ERROR;
    sentence = with_hint(request, error);
    return complain(sentence,
                    g_error_matches(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY)
                        ? EXIT_BUSY
                        : EXIT_ERROR);
}

int main(int argc, char **argv)
{
    g_auto(Arguments) arguments = {0};
    g_auto(Request) request = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *text = summary();
    const Command *command;

    if (!arguments_parse(&arguments, text, &argc, &argv, &error)) {
        g_prefix_error(&error, "cannot understand the command line: ");
        return complain_of_usage(error);
    }
    if (arguments.help)
        return say(arguments.help);
    if (arguments.version)
        return say("virt-lockctl " VERSION "\n");
    command = find_command(&arguments, &error);
    if (!command || !fill(&request, command, &arguments, &error))
        return complain_of_usage(error);
    return run(command, &request);
}
