/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the files of domain_lock.h share. */
#ifndef LIBSUPERVISE_DOMAIN_LOCK_INTERNAL_H
#define LIBSUPERVISE_DOMAIN_LOCK_INTERNAL_H

#include "domain_lock.h"

/* A manager, STARTED, with the VM's supervisor; for domain_lock_detached().
 * NULL where there is none, or where @flags are any. */
virLockManagerPtr domain_lock_attached(virLockManagerDriverPtr plugin,
                                       const virDomainLockDomain *domain,
                                       unsigned int flags);

/* Detaches, and returns @result. */
int domain_lock_detached(virLockManagerPtr manager, int result);

#endif
