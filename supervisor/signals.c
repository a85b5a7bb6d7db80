/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see signals.h. */
#include "signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"

struct Signals {
    int fd;
    sigset_t old_mask;
    gboolean chld_ignored;
};

/* What is read; everything else stays blocked, SIGPIPE among it. */
static const int read_signals[] = {SIGTERM, SIGINT,  SIGHUP,   SIGQUIT,
                                   SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT,
                                   SIGTSTP, SIGCHLD};

Signals *signals_new(GError **error)
{
    Signals *signals = g_new0(Signals, 1);
    struct sigaction old;
    sigset_t all, wanted;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &signals->old_mask);

    /* Where SIGCHLD is ignored the kernel reaps for us, and statuses are
     * lost: undone here, put back in the child. */
    sigaction(SIGCHLD, NULL, &old);
    signals->chld_ignored = old.sa_handler == SIG_IGN;
    signal(SIGCHLD, SIG_DFL);

    /* A blocked signal is kept although it is ignored (nohup): whoever set
     * SIGHUP to be ignored does not want it forwarded either. */
    sigemptyset(&wanted);
    for (guint i = 0; i < G_N_ELEMENTS(read_signals); i++) {
        sigaction(read_signals[i], NULL, &old);
        if (old.sa_handler != SIG_IGN)
            sigaddset(&wanted, read_signals[i]);
    }
    signals->fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd >= 0)
        return signals;
    set_errno(error, "cannot open '%s'", "signalfd");
    g_free(signals);
    return NULL;
}

void signals_free(Signals *signals)
{
    if (!signals)
        return;
    close(signals->fd);
    g_free(signals);
}

int signals_fd(const Signals *signals)
{
    return signals->fd;
}

int signals_next(Signals *signals, gboolean *typed)
{
    struct signalfd_siginfo info;

    if (read(signals->fd, &info, sizeof info) != sizeof info)
        return 0;
    *typed = info.ssi_code == SI_KERNEL;
    return info.ssi_signo;
}

void signals_restore(const Signals *signals)
{
    if (signals->chld_ignored)
        signal(SIGCHLD, SIG_IGN);
    sigprocmask(SIG_SETMASK, &signals->old_mask, NULL);
}
