/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: state tokens, pure
 *
 * What a manager carries from the source of a hand-over to its target: which
 * VM, in which generation of its lease, held by which supervisor, and the
 * nonce of this offer, so that who comes with one that is old, another's or
 * cut off is told which it is. It is no secret, and opens nothing: locks do.
 *
 *   v1:DRIVER:UUID:GENERATION:BOOT.PID.START:NONCE:SUM
 *
 * BOOT is the first part of the boot id of the source's host, PID and START
 * are of its supervisor, SUM is of all that stands before it. All of it is in
 * [A-Za-z0-9:.-].
 *
 * Should:  compare with the record of who holds the VM now (record.h).
 */
#ifndef SUPERVISOR_TOKEN_H
#define SUPERVISOR_TOKEN_H

#include <glib.h>
#include <jansson.h>

/* Hexadecimal digits. */
#define TOKEN_NONCE 16

/* A new one; @nonce has room for it and its NUL. */
void token_nonce(char nonce[TOKEN_NONCE + 1]);

/* @record: of who offers. Newly allocated. */
char *token_new(const char *driver, const json_t *record);

/*
 * token_check:
 * @record: of who holds the VM; NULL: nobody is known
 *
 * FALSE and a sentence where @text is not the token of @record: BAD_ARGUMENT
 * where it never was one of this VM, WRONG_STATE where it is no more.
 */
gboolean token_check(const char *text, const char *driver, const char *uuid,
                     const json_t *record, GError **error);

#endif
