/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see virt-lockctl-view.h. */
#include "virt-lockctl-view.h"

#include <stdio.h>
#include <stdlib.h>

#include "qmp.h"
#include "virt-lockctl-herd.h"
#include "virt-lockctl-screen.h"

typedef struct {
    const Request *request;
    ViewPrint *print;
    gpointer data;
    Screen *screen; /* NULL: not a terminal */
    char *shown;    /* the last picture */
    char *silent;   /* who was; on a screen what stands there of them */
} View;

static int by_name_then_uuid(gconstpointer a, gconstpointer b)
{
    const json_t *one = *(const json_t *const *)a;
    const json_t *two = *(const json_t *const *)b;
    int order = g_strcmp0(json_string_value(json_object_get(one, "name")),
                          json_string_value(json_object_get(two, "name")));

    if (order != 0)
        return order;
    return g_strcmp0(json_string_value(json_object_get(one, "uuid")),
                     json_string_value(json_object_get(two, "uuid")));
}

static void free_json(gpointer value)
{
    json_decref(value);
}

static void keep_status(Client *client, const json_t *status, gpointer data)
{
    g_ptr_array_add(data, json_incref((json_t *)status));
    client_free(client);
}

gboolean view_once(const Request *request, ViewPrint *print, gpointer data,
                   GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(free_json);
    gboolean complete = client_foreach(request->run_dir, request->call_ms,
                                       keep_status, all, error);

    g_ptr_array_sort(all, by_name_then_uuid);
    print(stdout, all, request, data, 0);
    return complete;
}

static GPtrArray *statuses_of(const Herd *herd)
{
    GPtrArray *all = g_ptr_array_new();

    for (guint i = 0; i < herd_count(herd); i++) {
        if (!herd_member(herd, i)->silent)
            g_ptr_array_add(all, herd_member(herd, i)->status);
    }
    g_ptr_array_sort(all, by_name_then_uuid);
    return all;
}

static gboolean show(View *view, const Herd *herd, gboolean again,
                     GError **error)
{
    g_autoptr(GPtrArray) statuses = statuses_of(herd);
    char *text = NULL;
    size_t len;
    gboolean written;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return set_errno(error, "cannot draw");
    view->print(out, statuses, view->request, view->data,
                view->screen ? screen_columns() : 0);
    fclose(out);
    if (view->screen) {
        g_autofree char *foot = herd_silence(herd, view->request);

        if (again || g_strcmp0(text, view->shown) != 0 ||
            g_strcmp0(foot, view->silent) != 0)
            screen_draw(view->screen, text, foot);
        g_free(view->silent);
        view->silent = g_steal_pointer(&foot);
    } else if (g_strcmp0(text, view->shown) != 0) {
        printf("%s%s", view->shown && !view->request->json ? "\n" : "", text);
    }
    written = flush_answer(error);
    if (!view->screen)
        herd_tell_silence(herd, view->request, &view->silent);
    g_free(view->shown);
    view->shown = g_strdup(text);
    free(text);
    return written;
}

static void ignore(const Member *member, MemberNews news, json_t *event,
                   gpointer data)
{
}

static gboolean go_on(View *view, Herd *herd, int interval_ms, GError **error)
{
    struct pollfd fds[SCREEN_FDS];
    ScreenInput input = SCREEN_NOTHING;
    gboolean again = FALSE;

    while (input != SCREEN_QUIT) {
        herd_update(herd, ignore, NULL);
        herd_ask(herd);
        again = again || input == SCREEN_REDRAW;
        if (herd_is_settled(herd)) {
            if (!show(view, herd, again, error))
                return FALSE;
            again = FALSE;
        }
        if (view->screen)
            screen_fds(view->screen, fds);
        if (!herd_wait(herd, fds, view->screen ? SCREEN_FDS : 0, interval_ms,
                       error))
            return !error || !*error;
        if (view->screen)
            input = screen_input(view->screen, fds);
    }
    return TRUE;
}

gboolean view_run(const Request *request, int interval_ms, ViewPrint *print,
                  gpointer data, GError **error)
{
    View view = {.request = request, .print = print, .data = data};
    gboolean drawn = !request->json && screen_is_possible();
    g_autoptr(Herd) herd =
        herd_new(request->run_dir, NULL, TRUE, request->call_ms, error);
    gboolean done;

    if (!herd)
        return FALSE;
    if (drawn) {
        view.screen = screen_new(error);
        if (!view.screen)
            return FALSE;
    }
    done = go_on(&view, herd, interval_ms, error);
    g_free(view.shown);
    g_free(view.silent);
    g_clear_pointer(&herd, herd_free); /* a signal may end us in the next */
    screen_free(view.screen);
    return done;
}
