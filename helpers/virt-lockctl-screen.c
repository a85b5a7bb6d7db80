/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-screen.h. */
#include "virt-lockctl-screen.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "qmp.h"

#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"
/* A line is cleared, and the screen below the last one. */
#define HOME       "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"

struct Screen {
    int signals;     /* signalfd */
    sigset_t before; /* the mask */
    struct termios terminal;
    gboolean keys;     /* stdin is a terminal too; terminal is what it was */
    gboolean readable; /* stdin is read */
    int end;           /* the signal that wants us to end, or 0 */
};

gboolean screen_is_possible(void)
{
    const char *term = g_getenv("TERM");

    return isatty(STDOUT_FILENO) && term && *term && !g_str_equal(term, "dumb");
}

static void enter(Screen *screen)
{
    struct termios raw = screen->terminal;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    if (screen->keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    fputs(ENTER, stdout);
    fflush(stdout);
}

static void leave(const Screen *screen)
{
    fputs(LEAVE, stdout);
    fflush(stdout);
    if (screen->keys)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &screen->terminal);
}

Screen *screen_new(GError **error)
{
    static const int caught[] = {SIGINT,  SIGTERM, SIGHUP,
                                 SIGQUIT, SIGTSTP, SIGWINCH};
    g_autofree Screen *screen = g_new0(Screen, 1);
    sigset_t set;

    sigemptyset(&set);
    for (gsize i = 0; i < G_N_ELEMENTS(caught); i++)
        sigaddset(&set, caught[i]);
    sigprocmask(SIG_BLOCK, &set, &screen->before);
    screen->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (screen->signals < 0) {
        set_errno(error, "cannot catch signals");
        sigprocmask(SIG_SETMASK, &screen->before, NULL);
        return NULL;
    }
    screen->keys =
        isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen->terminal) == 0;
    screen->readable = screen->keys;
    enter(screen);
    return g_steal_pointer(&screen);
}

void screen_free(Screen *screen)
{
    int end;

    if (!screen)
        return;
    end = screen->end;
    leave(screen);
    close(screen->signals);
    if (end) {
        signal(end, SIG_DFL);
        raise(end);
    }
    sigprocmask(SIG_SETMASK, &screen->before, NULL);
    g_free(screen);
}

static struct winsize size_of_terminal(void)
{
    struct winsize size = {0};

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    return size;
}

guint screen_columns(void)
{
    return size_of_terminal().ws_col;
}

static void free_line(gpointer line)
{
    g_free(line);
}

/* Appends @foot in lines of @columns, and an empty one above. */
static void fold(GPtrArray *lines, const char *foot, guint columns)
{
    glong left = g_utf8_strlen(foot, -1), most = columns ? columns : G_MAXINT;

    g_ptr_array_add(lines, g_strdup(""));
    for (; left > 0; left -= most) {
        const char *end = g_utf8_offset_to_pointer(foot, MIN(left, most));

        g_ptr_array_add(lines, g_strndup(foot, (gsize)(end - foot)));
        foot = end;
    }
}

/* What is to be drawn, line by line, in @rows of them. */
static GPtrArray *compose(const char *text, const char *foot,
                          struct winsize size)
{
    g_auto(GStrv) above = g_strsplit(text, "\n", -1);
    GPtrArray *lines = g_ptr_array_new_with_free_func(free_line);
    g_autoptr(GPtrArray) below = g_ptr_array_new_with_free_func(free_line);
    guint all = g_strv_length(above),
          rows = size.ws_row ? size.ws_row : G_MAXINT;
    guint room;

    if (all > 0 && !*above[all - 1])
        all--; /* behind the last newline */
    if (foot)
        fold(below, foot, size.ws_col);
    room = rows > below->len + 2 ? rows - below->len : MIN(rows, 2);
    for (guint i = 0; i < (all > room ? room - 1 : all); i++)
        g_ptr_array_add(lines, g_strdup(above[i]));
    if (all > room)
        g_ptr_array_add(lines, g_strdup_printf("%u more", all - (room - 1)));
    for (guint i = 0; i < below->len && lines->len < rows; i++)
        g_ptr_array_add(lines, g_strdup(below->pdata[i]));
    return lines;
}

/* What is cleared is cleared first: in the last column the cursor stands on
 * what was written. */
void screen_draw(Screen *screen, const char *text, const char *foot)
{
    struct winsize size = size_of_terminal();
    g_autoptr(GPtrArray) lines = compose(text, foot, size);

    fputs(HOME, stdout);
    for (guint i = 0; i < lines->len; i++)
        fprintf(stdout, "%s" CLEAR_LINE "%s", i ? "\n" : "",
                (char *)lines->pdata[i]);
    if (lines->len < size.ws_row) /* a newline in the last one would scroll */
        fputs("\n" CLEAR_REST, stdout);
    fflush(stdout);
}

void screen_fds(const Screen *screen, struct pollfd *fds)
{
    fds[0] = (struct pollfd){screen->signals, POLLIN, 0};
    fds[1] = (struct pollfd){screen->readable ? STDIN_FILENO : -1, POLLIN, 0};
}

/* The shell gets its terminal back while we are stopped. */
static void stop(Screen *screen)
{
    leave(screen);
    raise(SIGSTOP);
    enter(screen);
}

static ScreenInput on_signal(Screen *screen, int sig)
{
    if (sig == SIGTSTP)
        stop(screen);
    if (sig == SIGTSTP || sig == SIGWINCH)
        return SCREEN_REDRAW;
    screen->end = sig == SIGINT ? 0 : sig;
    return SCREEN_QUIT;
}

/* TRUE where the user has had enough. */
static gboolean on_keys(Screen *screen)
{
    char keys[64];
    ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

    if (n <= 0)
        screen->readable = FALSE;
    return n > 0 &&
           (memchr(keys, 'q', (size_t)n) || memchr(keys, 'Q', (size_t)n));
}

ScreenInput screen_input(Screen *screen, const struct pollfd *fds)
{
    struct signalfd_siginfo info;
    ScreenInput input = SCREEN_NOTHING;

    while (input != SCREEN_QUIT &&
           read(screen->signals, &info, sizeof(info)) == sizeof(info)) {
        ScreenInput now = on_signal(screen, (int)info.ssi_signo);

        input = MAX(input, now);
    }
    if (input != SCREEN_QUIT && fds[1].revents && on_keys(screen))
        input = SCREEN_QUIT;
    return input;
}
