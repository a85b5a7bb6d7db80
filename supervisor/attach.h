/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: which process is attached (--attach, --attach-pidfd)
 *
 * By number it is opened, and then asked whether it is the one that is meant.
 * Comes before the search for disks, which reads its command line.
 */
#ifndef SUPERVISOR_ATTACH_H
#define SUPERVISOR_ATTACH_H

#include "options.h"

/*
 * attach_open:
 * @options: gets attach_pidfd and attach_pid, whichever of them was not given;
 *   the process's name where no other is given; and in failure why it cannot
 *   be attached
 */
void attach_open(Options *options);

#endif
