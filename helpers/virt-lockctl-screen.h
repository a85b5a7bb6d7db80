/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a terminal that is drawn on again and again
 *
 * The alternate screen, no echo, no wrapping; what was on the screen comes
 * back when we end, stop (^Z) or are told to end. `q` and ^C end it.
 */
#ifndef VIRT_LOCKCTL_SCREEN_H
#define VIRT_LOCKCTL_SCREEN_H

#include <glib.h>
#include <poll.h>

/* What screen_input() waits for. */
#define SCREEN_FDS 2

typedef struct Screen Screen;

typedef enum {
    SCREEN_NOTHING,
    SCREEN_REDRAW, /* it is of another size, or was given back */
    SCREEN_QUIT,
} ScreenInput;

/* TRUE where stdout is a terminal that can do it. */
gboolean screen_is_possible(void);

Screen *screen_new(GError **error);
/* The terminal is as it was. Where a signal wants us to end we do, of it. */
void screen_free(Screen *screen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Screen, screen_free)

/* How wide it is; 0 where it does not say. */
guint screen_columns(void);

/* @foot: what stands below, folded where it is too long; or NULL. Lines of
 * @text that there is no room for are left out, and counted below. */
void screen_draw(Screen *screen, const char *text, const char *foot);

/* Fill in @fds, poll them, then ask what it was. */
void screen_fds(const Screen *screen, struct pollfd *fds);
ScreenInput screen_input(Screen *screen, const struct pollfd *fds);

#endif
