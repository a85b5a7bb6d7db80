/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the herd waits for, and for how long. */
#include <errno.h>
#include <unistd.h>

#include "qmp.h"
#include "virt-lockctl-herd-internal.h"

/* In which who is asked mostly answers. Microseconds. */
#define MOMENT (G_USEC_PER_SEC / 4)

static int sooner(int one, int two)
{
    return one < 0 ? two : two < 0 ? one : MIN(one, two);
}

/* How long to wait for what was asked at @since, milliseconds: until it is not
 * worth the while, then until it has had its time. */
static int patience(const Herd *herd, gint64 since)
{
    gint64 age = g_get_monotonic_time() - since;
    gint64 left =
        age < MOMENT ? MOMENT - age : 1000 * (gint64)herd->call_ms - age;

    return (int)(MAX(left + 999, 0) / 1000);
}

/* Milliseconds until somebody's time is up; -1 where nobody's is running. */
static int next_deadline(const Herd *herd)
{
    int next = herd->dir ? refusals_next(herd->refusals) : -1;

    for (guint i = 0; i < arrivals_count(herd->arrivals); i++) {
        const Arrival *arrival = arrivals_get(herd->arrivals, i);

        if (!arrival->silent)
            next = sooner(next, patience(herd, arrival->since));
    }
    for (guint i = 0; i < herd->members->len; i++) {
        const Full *full = herd->members->pdata[i];

        if (full->asked && !full->m.silent)
            next = sooner(next, patience(herd, full->asked));
    }
    return next;
}

gboolean herd_is_settled(const Herd *herd)
{
    gint64 now = g_get_monotonic_time();

    for (guint i = 0; i < arrivals_count(herd->arrivals); i++) {
        const Arrival *arrival = arrivals_get(herd->arrivals, i);

        if (!arrival->silent && now - arrival->since < MOMENT)
            return FALSE;
    }
    for (guint i = 0; i < herd->members->len; i++) {
        const Full *full = herd->members->pdata[i];

        if (full->asked && !full->m.silent && now - full->asked < MOMENT)
            return FALSE;
    }
    return TRUE;
}

/* Fills @polled with those that may speak; returns how many. */
static guint poll_peers(const Herd *herd, struct pollfd *polled)
{
    guint n = 0;

    for (guint i = 0; i < herd->members->len; i++)
        polled[n++].fd = client_fd(herd_member(herd, i)->client);
    for (guint i = 0; i < arrivals_count(herd->arrivals); i++)
        polled[n++].fd = client_fd(arrivals_get(herd->arrivals, i)->client);
    if (herd->dir)
        polled[n++].fd = dir_watch_fd(herd->dir);
    for (guint i = 0; i < n; i++)
        polled[i].events = POLLIN;
    return n;
}

gboolean herd_wait(Herd *herd, struct pollfd *more, guint n_more,
                   int timeout_ms, GError **error)
{
    guint most = herd->members->len + arrivals_count(herd->arrivals) + n_more;
    g_autofree struct pollfd *polled = g_new0(struct pollfd, most + 2);
    guint n = poll_peers(herd, polled);

    if (herd->lost) {
        g_propagate_error(error, g_steal_pointer(&herd->lost));
        return FALSE;
    }
    polled[n] = (struct pollfd){STDOUT_FILENO, 0, 0}; /* its end */
    for (guint i = 0; i < n_more; i++)
        polled[n + 1 + i] = more[i];
    if (poll(polled, n + 1 + n_more, sooner(next_deadline(herd), timeout_ms)) <
            0 &&
        errno != EINTR)
        return set_errno(error, "cannot wait for events");
    for (guint i = 0; i < n_more; i++)
        more[i] = polled[n + 1 + i];
    if (herd->dir && refusals_next(herd->refusals) == 0)
        herd->scan = TRUE;
    return !(polled[n].revents & (POLLERR | POLLNVAL));
}
