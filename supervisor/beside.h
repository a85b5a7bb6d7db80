/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: programs of ours that the supervisor runs
 *
 * They are looked for beside its own, or where they are installed from there;
 * never in PATH: what they say and do decides what is protected.
 */
#ifndef SUPERVISOR_BESIDE_H
#define SUPERVISOR_BESIDE_H

#include <glib.h>

/* The path of @program, newly allocated; it is beside our own, or in @place
 * ("../bin") from there. @otherwise: what else can be done where it is not, or
 * NULL. */
char *beside_find(const char *program, const char *place, const char *otherwise,
                  GError **error);

#endif
