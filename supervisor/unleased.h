/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a disk that was forgotten
 *
 * A disk without a lease is kept from nobody, and nothing tells so until two
 * VMs have written to it. Once, when the child has had time to open its
 * images, we look at what it and its descendants have open for writing. It
 * is only told: an image may well be leased by other means.
 *
 * Mustn't: wait for a file server; claim that something is not open which
 *          could not be seen (a confined supervisor of root sees nothing of
 *          a child that has more rights: then virt-lockctl must look).
 */
#ifndef SUPERVISOR_UNLEASED_H
#define SUPERVISOR_UNLEASED_H

#include "child.h"
#include "lease.h"

/*
 * unleased_find:
 *
 * Returns a sentence for each image that is written to without a lease, or
 * under one that is readonly: an array of strings, to be freed. @sure is set
 * to FALSE where not everything could be looked at.
 */
GPtrArray *unleased_find(const Child *child, LeaseTable *leases,
                         gboolean *sure);

#endif
