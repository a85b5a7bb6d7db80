/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: signals as file input
 *
 * Every signal is blocked from the first moment and read from one signalfd;
 * no handler runs, so nothing is ever interrupted. What was blocked and
 * ignored before is put back in the child, where QEMU must find the world as
 * its user set it up.
 */
#ifndef SUPERVISOR_SIGNALS_H
#define SUPERVISOR_SIGNALS_H

#include <glib.h>
#include <signal.h>

typedef struct Signals Signals;

/* Blocks all signals and opens the signalfd. */
Signals *signals_new(GError **error);
void signals_free(Signals *signals);

int signals_fd(const Signals *signals);
/* The next signal: its number, or 0 when there is none. @typed: the terminal
 * sent it, to the whole foreground process group. */
int signals_next(Signals *signals, gboolean *typed);

/* In the child, between fork and exec: mask and dispositions of before. */
void signals_restore(const Signals *signals);

#endif
