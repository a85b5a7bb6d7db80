/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the disks that a QEMU command line names (--disks-from-command)
 *
 * virt-lock-disks(1) reads the command line and the images' backing chains in
 * a process of its own, and prints what it finds; here that becomes
 * resources. It runs first of all: before signals are blocked, so that a
 * hung file server can be interrupted, before a lease is held, and before
 * there is a child. What is not inherited by the child cannot be told from
 * there: descriptors that QEMU gets by number are open in it, too.
 *
 * Should:  let what the user has said stand: the command is only asked for
 *          what --disk, --lease, --name and --uuid do not say.
 * Mustn't: go on where the list may not be whole.
 */
#ifndef SUPERVISOR_DISKS_H
#define SUPERVISOR_DISKS_H

#include "options.h"

/*
 * disks_find:
 * @options: gets the resources, name and uuid that the command names, in notes
 *   what of it cannot be leased, and in failure why the command cannot be
 *   read: that is told when there is somebody to tell it to
 */
void disks_find(Options *options);

/*
 * disks_read:
 * @text: what virt-lock-disks has printed, a JSON object a line
 *
 * The second half of disks_find(), by itself for the tests.
 */
gboolean disks_read(Options *options, const char *text, GError **error);

#endif
