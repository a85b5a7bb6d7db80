/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: virt-lock-supervisor, in the order it happens
 *
 *  1. Options; with -A the disks are looked for in the command. Signals are
 *     blocked and read from a file from here on.
 *  2. start.c looks at everything that can be wrong, and makes directories.
 *  3. The VM's own lease, then the control socket, then all other leases in
 *     one order for everybody: all of them, or none and the end (123).
 *  4. The child is forked, parked, and let go on; we are confined meanwhile.
 *  5. Its pid is reported once exec has worked.
 *  6. Whatever ends it: the child's whole tree is dead and reaped, then the
 *     leases are let go, then the status is reported.
 *
 * supervisor.c does 3 to 6, led by the table in machine.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "attach.h"
#include "confine.h"
#include "disks.h"
#include "options.h"
#include "report.h"
#include "signals.h"
#include "supervisor.h"

#ifdef GLIB_IS_STATIC
/* Where glib is linked in we come before its own constructors, and may ask it
 * for plain malloc: its slabs cost a third of our memory. From 2.76 on it has
 * none. */
static void __attribute__((constructor(101))) plain_malloc(void)
{
    G_GNUC_BEGIN_IGNORE_DEPRECATIONS
    g_slice_set_config(G_SLICE_CONFIG_ALWAYS_MALLOC, TRUE);
    G_GNUC_END_IGNORE_DEPRECATIONS
}
#endif

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Options) options = NULL;
    Signals *signals;
    int status;

    confine_take_stdio();
    options = options_parse(argv, &error);
    if (!options) {
        report_print(NULL, error->message);
        return EXIT_OWN_ERROR;
    }
    if (options->what != OPTIONS_RUN) {
        fputs(options->text, stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_OWN_ERROR;
    }
    if (options->attach)
        attach_open(options);
    if (options->disks_from_command && !options->failure)
        disks_find(options);
    signals = signals_new(&error);
    if (!signals) {
        report_print(options->name, error->message);
        return EXIT_OWN_ERROR;
    }
    status = supervisor_run(options, signals);
    signals_free(signals);
    return status;
}
