/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what record.c (writing) and record_read.c share; nobody else includes
 * this. */
#ifndef LIBSUPERVISE_RECORD_INTERNAL_H
#define LIBSUPERVISE_RECORD_INTERNAL_H

#include "record.h"

/* The record in @file as an object with @mode added; NULL where there is no
 * sound one. */
json_t *record_read(const char *directory, const char *file, const char *mode);
/* NULL and 0 where @holder has no such field. */
const char *record_string(const json_t *holder, const char *name);
gint64 record_integer(const json_t *holder, const char *name);

#endif
