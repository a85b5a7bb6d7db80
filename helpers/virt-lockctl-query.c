/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: commands that only ask. */
#include <stdio.h>

#include "qmp.h"
#include "virt-lockctl.h"

/* Calls the VM's supervisor and returns its reply. */
static json_t *ask(const Request *request, const char *command, GError **error)
{
    g_autoptr(Client) client = request_connect(request, error);

    if (!client)
        return NULL;
    return client_call(client, command, NULL, -1, NULL, error);
}

/* Which side of it this is; NULL: of none. */
static void print_migration(const json_t *migration)
{
    g_autofree char *role = field_text(migration, "role");
    g_autofree char *uri = field_text(migration, "uri");
    g_autofree char *token = field_text(migration, "state");
    const gboolean claimed =
        json_is_true(json_object_get(migration, "claimed"));

    if (!migration)
        return;
    printf("%-12s%s%s%s%s\n", "migration:", role,
           g_str_equal(role, "target") ? ""
           : claimed                   ? ", a target has claimed it"
                                       : ", no target has claimed it",
           json_object_get(migration, "uri") ? "; other side: " : "",
           json_object_get(migration, "uri") ? uri : "");
    if (json_object_get(migration, "state"))
        printf("%-12s%s\n", "token:", token);
}

static void print_status(const json_t *status)
{
    static const char *const plain[] = {"name",   "uuid",   "id",
                                        "state",  "reason", "child-pid",
                                        "leases", "driver"};
    gboolean colours = wants_colours();
    g_autofree char *pid = field_text(status, "pid");
    g_autofree char *host = field_text(status, "host");
    g_autofree char *confined =
        joined(json_object_get(status, "confined"), ", ");
    g_autofree char *since =
        local_time(json_integer_value(json_object_get(status, "since")));

    for (guint i = 0; i < G_N_ELEMENTS(plain); i++) {
        g_autofree char *value = field_text(status, plain[i]);
        g_autofree char *label = g_strdup_printf("%s:", plain[i]);

        if (json_object_get(status, plain[i]) ||
            g_str_equal(plain[i], "child-pid")) {
            printf("%-12s", label);
            print_state(stdout, value,
                        colours && g_str_equal(plain[i], "state"));
            putchar('\n');
        }
    }
    print_migration(json_object_get(status, "migration"));
    printf("%-12s%s\n", "confined:", confined);
    printf("%-12spid %s on %s since %s\n", "supervisor:", pid, host, since);
}

gboolean command_status(const Request *request, GError **error)
{
    g_autoptr(json_t) status = ask(request, "query-status", error);

    if (!status)
        return FALSE;
    if (!client_check_status(status, error)) {
        g_prefix_error(error, "cannot ask '%s': ", request->target);
        return FALSE;
    }
    if (request->json)
        print_json(status, FALSE);
    else
        print_status(status);
    return TRUE;
}

gboolean command_child(const Request *request, GError **error)
{
    g_autoptr(json_t) child = ask(request, "query-child", error);
    g_autofree char *pid = NULL;

    if (!child)
        return FALSE;
    pid = field_text(child, "pid");
    if (request->json)
        print_json(child, FALSE);
    else
        printf("%s\n", pid);
    return TRUE;
}

/* Below the table, where it cannot be taken for a row of it. */
static void print_unleased(Client *client, const json_t *leases)
{
    g_autoptr(json_t) found = json_array();
    g_autoptr(GError) unseen = NULL;
    g_autofree char *text = NULL;
    json_t *item;
    size_t i;

    find_unleased(client, leases, found, &unseen);
    json_array_foreach (found, i, item) {
        g_autofree char *sentence = unleased_sentence(item);

        printf("%s\n", sentence);
    }
    text = unseen ? printable(unseen->message) : NULL;
    if (text)
        printf("%s\n", text);
}

gboolean command_leases(const Request *request, GError **error)
{
    static const char *const header[] = {"ID",    "KIND",      "MODE", "STATUS",
                                         "SINCE", "GUARANTEE", "NAME", NULL};
    static const char *const fields[] = {"id",    "kind",      "mode", "status",
                                         "since", "guarantee", "name", NULL};
    static const char *const notes[] = {"changed", "waiting", NULL};
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_autoptr(Client) client = request_connect(request, error);
    g_autoptr(json_t) leases = NULL;
    json_t *lease;
    size_t i;

    if (client)
        leases = client_call(client, "query-leases", NULL, -1, NULL, error);
    if (!leases)
        return FALSE;
    if (request->json) {
        print_json(leases, FALSE);
        return TRUE;
    }
    json_array_foreach (leases, i, lease)
        g_ptr_array_add(all, lease);
    print_objects(stdout, all, header, fields, notes, 0);
    print_unleased(client, leases);
    return TRUE;
}
