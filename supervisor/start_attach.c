/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the start with a process that lives already
 *
 * It has its images open, perhaps, and writes to them while the leases are
 * taken: whether that was right is its starter's to know. It may keep
 * liveness for us, if it asks for that before its exec.
 */
#include "../libsupervise/opened.h"
#include "supervisor_internal.h"

typedef struct {
    gboolean block;
    dev_t device;
    ino_t inode;
    gboolean found;
} Wanted;

static gboolean has_locked(const OpenedFile *file, gpointer data)
{
    Wanted *wanted = data;

    wanted->found = file->qemu && file->block == wanted->block &&
                    file->device == wanted->device &&
                    file->inode == wanted->inode;
    return wanted->found;
}

static gboolean look_at_process(pid_t pid, int pidfd, gpointer data)
{
    Wanted *wanted = data;

    opened_walk(pid, has_locked, wanted);
    return wanted->found;
}

/* Two QEMUs do not lock one image against each other: if it has the locks,
 * nobody else has any that matter. */
gboolean start_is_childs(gpointer leases, gboolean block, dev_t device,
                         ino_t inode)
{
    Supervisor *s = lease_table_owner(leases);
    Wanted wanted = {block, device, inode, FALSE};

    child_walk(s->child, look_at_process, &wanted);
    return wanted.found;
}

void start_inherited(Supervisor *s)
{
    s->context.inherited = s->file_context.inherited = TRUE;
}

int start_inherit(Supervisor *s, guint number, guint *count, pid_t peer)
{
    int fds[CHILD_INHERIT_MAX];

    *count = driver_file.inherit(s->file_driver, fds, G_N_ELEMENTS(fds));
    if (number >= *count)
        return -1;
    s->inherited |= peer == child_pid(s->child) ? 1u << number : 0;
    if (s->inherited == (1u << *count) - 1)
        start_inherited(s);
    return fds[number];
}

void start_adopt(Supervisor *s)
{
    child_adopt(s->child);
    guard_about_child(s); /* first: a guard that is full does not kill */
    lease_table_used(s->leases);
    child_say_started(s->child);
    start_confine(s);
}
