/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: all VMs, once, or for as long as somebody looks. */
#include "virt-lockctl-view.h"

static void print_list(FILE *out, GPtrArray *statuses, const Request *request,
                       gpointer data, guint room)
{
    static const char *const header[] = {"NAME",   "UUID",  "STATE", "CHILD",
                                         "LEASES", "SINCE", NULL};
    static const char *const fields[] = {
        "name", "uuid", "state", "child-pid", "leases", "since", NULL};
    static const char *const notes[] = {NULL};

    if (request->json)
        dump_objects(out, statuses, request->watch);
    else
        print_objects(out, statuses, header, fields, notes, room);
}

gboolean command_list(const Request *request, GError **error)
{
    return request->watch ? view_run(request, -1, print_list, NULL, error)
                          : view_once(request, print_list, NULL, error);
}
