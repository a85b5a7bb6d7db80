/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: commands that only ask. */
#include <stdio.h>

#include "qmp.h"
#include "virt-lockctl.h"

static void free_row(gpointer row)
{
    g_strfreev(row);
}

static GPtrArray *table_new(const char *const *header)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);

    g_ptr_array_add(rows, g_strdupv((char **)header));
    return rows;
}

/* "since" is a time, and an array is words. */
static char *cell(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    if (g_str_equal(field, "since"))
        return local_time(json_integer_value(value));
    return json_is_array(value) ? joined(value, ",")
                                : field_text(object, field);
}

/* Adds a row with the text of @fields of @object. */
static void table_add(GPtrArray *rows, const json_t *object,
                      const char *const *fields)
{
    guint columns = g_strv_length((char **)fields);
    char **row = g_new0(char *, columns + 1);

    for (guint c = 0; c < columns; c++)
        row[c] = cell(object, fields[c]);
    g_ptr_array_add(rows, row);
}

/* Adds a note for each of @fields that @object has. */
static void table_note(GPtrArray *rows, const json_t *object,
                       const char *const *fields)
{
    for (; *fields; fields++) {
        g_autofree char *text = field_text(object, *fields);
        char **row;

        if (!json_object_get(object, *fields))
            continue;
        row = g_new0(char *, 2);
        row[0] = g_strdup_printf("%s: %s", *fields, text);
        g_ptr_array_add(rows, row);
    }
}

static void print_objects(GPtrArray *objects, const char *const *header,
                          const char *const *fields, const char *const *notes)
{
    g_autoptr(GPtrArray) rows = table_new(header);

    for (guint i = 0; i < objects->len; i++) {
        table_add(rows, objects->pdata[i], fields);
        table_note(rows, objects->pdata[i], notes);
    }
    print_table(rows, g_strv_length((char **)header));
}

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

static void print_array(GPtrArray *values)
{
    g_autoptr(json_t) array = json_array();

    for (guint i = 0; i < values->len; i++)
        json_array_append(array, values->pdata[i]);
    print_json(array, FALSE);
}

gboolean command_list(const Request *request, GError **error)
{
    static const char *const header[] = {"NAME",   "UUID",  "STATE", "CHILD",
                                         "LEASES", "SINCE", NULL};
    static const char *const fields[] = {
        "name", "uuid", "state", "child-pid", "leases", "since", NULL};
    static const char *const notes[] = {NULL};
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(free_json);
    gboolean complete = client_foreach(request->run_dir, request->call_ms,
                                       keep_status, all, error);

    g_ptr_array_sort(all, by_name_then_uuid);
    if (request->json)
        print_array(all);
    else
        print_objects(all, header, fields, notes);
    return complete;
}

/* Calls the VM's supervisor and returns its reply. */
static json_t *ask(const Request *request, const char *command, GError **error)
{
    g_autoptr(Client) client = request_connect(request, error);

    if (!client)
        return NULL;
    return client_call(client, command, NULL, -1, NULL, error);
}

static void print_status(const json_t *status)
{
    static const char *const plain[] = {"name",   "uuid",   "id",
                                        "state",  "reason", "child-pid",
                                        "leases", "driver"};
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
            g_str_equal(plain[i], "child-pid"))
            printf("%-12s%s\n", label, value);
    }
    printf("%-12s%s\n", "confined:", confined);
    printf("%-12spid %s on %s since %s\n", "supervisor:", pid, host, since);
}

gboolean command_status(const Request *request, GError **error)
{
    g_autoptr(json_t) status = ask(request, "query-status", error);

    if (!status)
        return FALSE;
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

gboolean command_leases(const Request *request, GError **error)
{
    static const char *const header[] = {"ID",    "KIND",      "MODE", "STATUS",
                                         "SINCE", "GUARANTEE", "NAME", NULL};
    static const char *const fields[] = {"id",    "kind",      "mode", "status",
                                         "since", "guarantee", "name", NULL};
    static const char *const notes[] = {"changed", "waiting", NULL};
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_autoptr(json_t) leases = ask(request, "query-leases", error);
    json_t *lease;
    size_t i;

    if (!leases)
        return FALSE;
    if (request->json) {
        print_json(leases, FALSE);
        return TRUE;
    }
    json_array_foreach (leases, i, lease)
        g_ptr_array_add(all, lease);
    print_objects(all, header, fields, notes);
    return TRUE;
}
