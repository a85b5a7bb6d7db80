/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a hand-over, looked at: what the child has open, how far it is
 *
 * A QEMU that waits for a VM's state (-incoming, with -S or
 * late-block-activate) has its images open, but has not locked them: then
 * whoever has QEMU's bytes is the source, which must not be writing any more.
 * One that is active has locked them itself, and QEMU let only one of the two.
 */
#include "../libsupervise/opened.h"
#include "supervisor_internal.h"

typedef struct {
    gboolean block;
    dev_t device;
    ino_t inode;
} Active;

typedef struct {
    GArray *found; /* of Active */
    gboolean sure;
} Look;

static gboolean on_file(const OpenedFile *file, gpointer data)
{
    Look *look = data;
    const Active active = {file->block, file->device, file->inode};

    if (file->qemu)
        g_array_append_val(look->found, active);
    return FALSE;
}

static gboolean on_process(pid_t pid, int pidfd, gpointer data)
{
    Look *look = data;

    look->sure &= opened_walk(pid, on_file, look);
    return FALSE;
}

void handover_look(Supervisor *s, HandoverActive active)
{
    Handover *h = &s->handover;
    Look look = {g_array_new(FALSE, FALSE, sizeof(Active)), TRUE};

    h->assume = active;
    if (active == HANDOVER_LOOK)
        look.sure &= child_walk(s->child, on_process, &look);
    if (h->active)
        g_array_unref(h->active);
    h->active = look.found;
    h->unseen = !look.sure;
}

gboolean handover_on_inactive(gpointer opaque, Lease *lease)
{
    const Supervisor *s = opaque;
    const Handover *h = &s->handover;
    Active wanted;

    if (h->assume != HANDOVER_LOOK)
        return h->assume == HANDOVER_INACTIVE;
    if (!lease_identity(lease, &wanted.block, &wanted.device, &wanted.inode))
        return TRUE;
    for (guint i = 0; i < h->active->len; i++) {
        const Active *active = &g_array_index(h->active, Active, i);

        if (active->block == wanted.block && active->device == wanted.device &&
            active->inode == wanted.inode)
            return FALSE;
    }
    return TRUE;
}

void handover_look_again(Supervisor *s)
{
    const Handover *h = &s->handover;
    guint before;

    if (!h->target || !h->quiet || h->assume != HANDOVER_LOOK)
        return;
    before = h->active->len;
    handover_look(s, HANDOVER_LOOK);
    if (h->active->len > before)
        handover_take(s);
}

/* What a manager that was restarted has to know; NULL: nothing. */
json_t *handover_status(const Supervisor *s)
{
    const Handover *h = &s->handover;
    json_t *out;

    if (end_has_begun(s) || (!h->offered && !h->target) ||
        !child_is_started(s->child))
        return NULL;
    out = json_pack("{s:s, s:b}", "role", h->target ? "target" : "source",
                    "claimed",
                    h->target || lease_table_is_claimed(s->leases, NULL));
    if (h->uri)
        json_object_set_new(out, "uri", json_string(h->uri));
    if (h->token)
        json_object_set_new(out, "state", json_string(h->token));
    return out;
}

/* Before the records go, and with them the word of it. */
void handover_look_back(Supervisor *s)
{
    if (s->handover.offered && driver_file.completed(s->file_driver))
        s->handover.handed_over = TRUE;
}

void handover_free(Supervisor *s)
{
    Handover *h = &s->handover;

    g_clear_error(&h->obstacle);
    g_clear_pointer(&h->source, json_decref);
    g_clear_pointer(&h->active, g_array_unref);
    g_free(h->token);
    g_free(h->uri);
}
