/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: virt-lock-disks, what a QEMU command line would open
 *
 * parse -> list -> print, all of it or nothing.
 */
#include "virt-lock-disks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_ERROR 1
#define EXIT_USAGE 2
/* Seconds that qemu-img gets for one image. */
#define DEFAULT_TIMEOUT 10
#define LONGEST_TIMEOUT (60 * 60)

/* What the command line says, before anything is checked. */
typedef struct {
    char *qemu_img, *timeout;
    char **words; /* the command */
    gboolean no_chain, version;
} Arguments;

static void arguments_clear(Arguments *arguments)
{
    g_free(arguments->qemu_img);
    g_free(arguments->timeout);
    g_strfreev(arguments->words);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

static gboolean parse(Arguments *a, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"no-chain", 0, 0, G_OPTION_ARG_NONE, &a->no_chain,
         "Do not look into images", NULL},
        {"qemu-img", 0, 0, G_OPTION_ARG_FILENAME, &a->qemu_img,
         "What looks into images", "PROGRAM"},
        {"timeout", 0, 0, G_OPTION_ARG_FILENAME, &a->timeout,
         "How long it may take for each", "SECONDS"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &a->version, "Print the version",
         NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &a->words, NULL,
         NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(
        "[--] COMMAND [ARG...] - what a QEMU command line would open");

    g_option_context_set_summary(
        context, "Prints the VM, its disks, and what of them cannot be leased, "
                 "one JSON object a line.");
    g_option_context_set_description(
        context, "Exit status: 0 all is printed, 1 error, 2 usage.");
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_set_strict_posix(context, TRUE);
    return g_option_context_parse(context, argc, argv, error);
}

/* Decimal, a point in it or not. */
static gboolean set_timeout(Chain *chain, const char *text, GError **error)
{
    char *end;
    double seconds = text ? g_ascii_strtod(text, &end) : DEFAULT_TIMEOUT;

    if (!text ||
        (*text && !*end && strspn(text, "0123456789.") == strlen(text) &&
         seconds >= 0.001 && seconds <= LONGEST_TIMEOUT)) {
        chain->timeout_ms = (int)(seconds * 1000 + 0.5);
        return TRUE;
    }
    g_autofree char *name = shown(text);
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use --timeout '%s': not a number of seconds from 0.001 "
                "to %d",
                name, LONGEST_TIMEOUT);
    return FALSE;
}

static gboolean check(const Arguments *a, Chain *chain, GError **error)
{
    chain->qemu_img = a->qemu_img ? a->qemu_img : "qemu-img";
    if (!set_timeout(chain, a->timeout, error))
        return FALSE;
    if (a->words && a->words[0])
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot run: no COMMAND; --help tells more");
    return FALSE;
}

static int complain(const GError *error, int status)
{
    g_autofree char *text = shown(error->message);

    for (char *c = text; *c; c++) {
        if (g_ascii_iscntrl(*c))
            *c = '?';
    }
    fprintf(stderr, "virt-lock-disks: %s\n", text);
    return status;
}

static int run(const Arguments *a, Chain *chain)
{
    const World world = {.read = world_read,
                         .look = world_look,
                         .fd_path = world_fd_path,
                         .inspect = a->no_chain ? NULL : chain_inspect,
                         .host = g_get_host_name(),
                         .data = chain};
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) lines = disks_list(a->words, &world, &error);
    g_autofree char *text = lines ? print_lines(lines) : NULL;

    if (text && (fputs(text, stdout) == EOF || fflush(stdout) != 0))
        set_errno(&error, "cannot write the answer");
    return error ? complain(error, EXIT_ERROR) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    g_auto(Arguments) arguments = {0};
    g_autoptr(GError) error = NULL;
    Chain chain = {0};

    if (!parse(&arguments, &argc, &argv, &error)) {
        g_prefix_error(&error, "cannot understand the command line: ");
        return complain(error, EXIT_USAGE);
    }
    if (arguments.version) {
        printf("virt-lock-disks %s\n", VERSION);
        return EXIT_SUCCESS;
    }
    if (!check(&arguments, &chain, &error))
        return complain(error, EXIT_USAGE);
    return run(&arguments, &chain);
}
