/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: commands of a hand-over, on either side. */
#include <stdio.h>

#include "qmp.h"
#include "virt-lockctl.h"

/* Takes @arguments. @wait: however long the answer takes, if not said
 * otherwise. */
static json_t *ask(const Request *request, const char *command,
                   json_t *arguments, gboolean wait, GError **error)
{
    g_autoptr(json_t) taken = arguments;
    g_autoptr(Client) client = request_connect(request, error);

    if (!client)
        return NULL;
    if (wait && request->timeout_ms < 0)
        client_set_timeout(client, -1);
    return client_call(client, command, g_steal_pointer(&taken), -1, NULL,
                       error);
}

static void set_uri(json_t *arguments, const Request *request, const char *name)
{
    g_autofree char *uri = NULL;

    if (!request->uri)
        return;
    uri = g_utf8_make_valid(request->uri, -1);
    json_object_set_new(arguments, name, json_string(uri));
}

gboolean command_migrate_prepare(const Request *request, GError **error)
{
    json_t *arguments = json_object();
    g_autoptr(json_t) answer = NULL;
    g_autofree char *state = NULL;

    set_uri(arguments, request, "target-uri");
    answer = ask(request, "migrate-prepare", arguments, FALSE, error);
    if (!answer)
        return FALSE;
    state = field_text(answer, "state");
    if (request->json)
        print_json(answer, FALSE);
    else
        printf("%s\n", state);
    return TRUE;
}

gboolean command_migrate_cancel(const Request *request, GError **error)
{
    g_autoptr(json_t) answer =
        ask(request, "migrate-cancel", NULL, FALSE, error);

    return answer != NULL;
}

gboolean command_migrate_complete(const Request *request, GError **error)
{
    g_autoptr(json_t) answer = NULL;
    json_t *arguments;

    if (request->cancel)
        return command_migrate_cancel(request, error);
    arguments = json_pack("{s:s}", "direction", request->in ? "in" : "out");
    set_uri(arguments, request, request->in ? "source-uri" : "target-uri");
    if (request->wait && request->in)
        json_object_set_new(arguments, "wait", json_true());
    if (request->active)
        json_object_set_new(arguments, "inactive", json_false());
    if (request->wait && !request->in)
        return request_end(request, "migrate-complete", arguments,
                           request->timeout_ms, error);
    answer = ask(request, "migrate-complete", arguments, request->wait, error);
    return answer != NULL;
}
