/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: events as they come
 *
 * One line per event, flushed at once. Ends when the last supervisor that ran
 * has ended, or with --follow never: then VMs that start later are followed
 * too, and two events of our own say which are followed. A signal ends it as
 * well, there is nothing to tidy up.
 */
#include <stdio.h>

#include "qmp.h"
#include "virt-lockctl-herd.h"
#include "virt-lockctl.h"

/* What happened, in words; the data as it is where the event is unknown. */
static char *describe(const char *event, const json_t *data)
{
    g_autofree char *reason = field_text(data, "reason");

    if (g_str_equal(event, "STATE_CHANGE")) {
        g_autofree char *from = field_text(data, "from");
        g_autofree char *to = field_text(data, "to");

        return g_strdup_printf("%s -> %s: %s", from, to, reason);
    }
    if (g_str_equal(event, "CHILD_EXIT")) {
        const char *how =
            json_object_get(data, "signal") ? "signal" : "exit-code";
        g_autofree char *pid = field_text(data, "pid");
        g_autofree char *value = field_text(data, how);

        return g_strdup_printf(
            "pid %s: %s %s", pid,
            *how == 's' ? "killed by signal" : "exited with status", value);
    }
    if (g_str_has_prefix(event, "LEASE_")) {
        g_autofree char *kind = field_text(data, "kind");
        g_autofree char *name = field_text(data, "name");

        return json_object_get(data, "reason")
                   ? g_strdup_printf("%s '%s': %s", kind, name, reason)
                   : g_strdup_printf("%s '%s'", kind, name);
    }
    if (g_str_equal(event, "CHILD_START")) {
        g_autofree char *pid = field_text(data, "pid");

        return g_strdup_printf("pid %s", pid);
    }
    if (g_str_equal(event, "FOLLOWED")) {
        g_autofree char *state = field_text(data, "state");

        return g_strdup_printf("%s: %s", state, reason);
    }
    if (g_str_equal(event, "ENDED"))
        return g_strdup("the connection has ended");
    if (g_str_equal(event, "RELEASED"))
        return g_strdup("every lease is free");
    g_autofree char *raw = json_dumps(data, JSON_COMPACT);
    return printable(raw ? raw : "");
}

typedef struct {
    const Request *request;
    GError *unwritten; /* or NULL */
} Listener;

static void print_event(const Member *member, json_t *event, Listener *to)
{
    json_t *timestamp = json_object_get(event, "timestamp");
    json_t *seconds = json_object_get(timestamp, "seconds");

    if (to->unwritten)
        return;
    if (to->request->json) {
        json_object_set_new(event, "vm",
                            json_pack("{s:s, s:s}", "name", member->name,
                                      "uuid", member->uuid));
        print_json(event, TRUE);
    } else {
        g_autofree char *time = local_time(json_integer_value(seconds));
        g_autofree char *name = field_text(event, "event");
        g_autofree char *what = describe(name, json_object_get(event, "data"));

        printf("%s %s %s %s\n", time, member->name, name, what);
    }
    flush_answer(&to->unwritten);
}

/* What happened to our connection, as if it were an event. */
static void print_own(const Member *member, const char *name, json_t *data,
                      Listener *to)
{
    g_autoptr(json_t) event = qmp_event(name, data);

    print_event(member, event, to);
}

static void on_news(const Member *member, MemberNews news, json_t *event,
                    gpointer data)
{
    Listener *to = data;

    if (news == MEMBER_EVENT)
        print_event(member, event, to);
    else if (to->request->follow && news == MEMBER_CAME)
        print_own(member, "FOLLOWED",
                  json_pack("{s:O, s:O}", "state",
                            json_object_get(member->status, "state"), "reason",
                            json_object_get(member->status, "reason")),
                  to);
    else if (to->request->follow)
        print_own(member, "ENDED", json_object(), to);
}

/* FALSE where some could not be asked, which is said by then. */
static gboolean listen(Herd *herd, const Request *request, GError **error)
{
    g_autofree char *told = NULL;
    Listener to = {.request = request};
    gboolean silent = FALSE;

    do {
        herd_update(herd, on_news, &to);
        if (herd_is_settled(herd))
            silent = herd_tell_silence(herd, request, &told);
    } while (!to.unwritten && (herd_is_alive(herd) || request->follow) &&
             herd_wait(herd, NULL, 0, -1, error));
    if (to.unwritten)
        g_propagate_error(error, to.unwritten);
    return request->follow || !silent;
}

gboolean command_events(const Request *request, GError **error)
{
    GError *first = NULL;
    gboolean complete;
    g_autoptr(Herd) herd = herd_new(request->run_dir, request->target,
                                    request->follow, request->call_ms, error);

    if (!herd)
        return FALSE;
    complete = listen(herd, request, &first);
    if (!first && !request->follow && herd_lost(herd))
        first = g_error_copy(herd_lost(herd));
    if (!first)
        return complete;
    g_propagate_error(error, first);
    return FALSE;
}
