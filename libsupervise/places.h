/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: where supervisors put what others must find
 *
 * Run directory: one control socket per running VM. State directory: lock
 * files, and records that say who holds what. Defaults, in this order: the
 * argument, the environment (VIRT_LOCK_RUN_DIR, VIRT_LOCK_STATE_DIR), for
 * root /run and /var/lib, for others $XDG_RUNTIME_DIR and $XDG_STATE_HOME
 * (~/.local/state), each with "/virt-lock-supervisor".
 */
#ifndef LIBSUPERVISE_PLACES_H
#define LIBSUPERVISE_PLACES_H

#include <glib.h>

/* Return a newly allocated absolute path; NULL and @error where neither
 * argument nor environment says one. @argument may be NULL. */
char *places_run_dir(const char *argument, GError **error);
char *places_state_dir(const char *argument, GError **error);

/* RUNDIR/UUID.sock, newly allocated. */
char *places_socket(const char *run_dir, const char *uuid);

/* Canonical lower-case form of @text as a uuid, newly allocated; NULL and
 * BAD_ARGUMENT where it is not one (RFC 4122 section 3 text form). */
char *places_uuid(const char *text, GError **error);

#endif
