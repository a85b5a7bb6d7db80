/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: state tokens: what they are made of, and why one is refused */
#include "../../supervisor/token.h"

#include <string.h>

#include "qmp.h"
#include "tap.h"

#define UUID  "6f0e1d2c-0000-4000-8000-00000000000a"
#define OTHER "6f0e1d2c-0000-4000-8000-00000000000b"

static json_t *record_of(int generation, int pid, const char *nonce)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:s}", "uuid", UUID, "boot-id",
                     "9987a911-cd27-4fa4-a1c6-27257ad65047", "pid", pid,
                     "start-time", 270862, "generation", generation, "nonce",
                     nonce);
}

/* Takes @record, NULL for none. */
static void is_refused(const char *text, const char *driver, const char *uuid,
                       json_t *record, QmpErrorCode code, const char *why)
{
    g_autoptr(json_t) taken = record;
    g_autoptr(GError) error = NULL;

    g_assert_false(token_check(text, driver, uuid, taken, &error));
    g_assert_error(error, QMP_ERROR, (int)code);
    g_assert_true(g_str_has_prefix(error->message, "cannot use state '"));
    if (!strstr(error->message, why))
        g_error("'%s' does not say '%s'", error->message, why);
}

static char *make(int generation, int pid, const char *nonce)
{
    g_autoptr(json_t) record = record_of(generation, pid, nonce);

    return token_new("file", record);
}

static void its_own_is_taken(void)
{
    g_autoptr(json_t) record = record_of(3, 4710, "0123456789abcdef");
    g_autofree char *token = token_new("file", record);
    g_autoptr(GError) error = NULL;

    g_assert_cmpstr(token, ==,
                    "v1:file:" UUID
                    ":3:9987a911.4710.270862:0123456789abcdef:b5f2e70c");
    g_assert_true(token_check(token, "file", UUID, record, &error));
    g_assert_no_error(error);
}

static void which_is_wrong_is_said(void)
{
    g_autofree char *t = make(3, 4710, "0123456789abcdef");

#define NOW(generation, pid, nonce) record_of(generation, pid, nonce)
    is_refused(t, "file", UUID, NOW(4, 1, "0123456789abcdef"),
               QMP_ERROR_BAD_ARGUMENT, "stale: the VM has changed hands");
    is_refused(t, "file", UUID, NOW(3, 4711, "0123456789abcdef"),
               QMP_ERROR_BAD_ARGUMENT, "stale: it is of another start");
    is_refused(t, "file", UUID, NOW(3, 4710, "0123456789abcdee"),
               QMP_ERROR_BAD_ARGUMENT, "stale: that hand-over was cancelled");
    is_refused(t, "file", UUID, NOW(2, 4710, "0123456789abcdef"),
               QMP_ERROR_BAD_ARGUMENT, "later generation");
    is_refused(t, "file", UUID, NULL, QMP_ERROR_WRONG_STATE, "nobody is known");
    is_refused(t, "nop", UUID, NOW(3, 4710, "0123456789abcdef"),
               QMP_ERROR_BAD_ARGUMENT, "another lease driver");
    is_refused(t, "file", OTHER, NOW(3, 4710, "0123456789abcdef"),
               QMP_ERROR_BAD_ARGUMENT, "another VM");
}

/* However much is missing, and whichever byte is another one. */
static void what_is_not_whole(void)
{
    g_autofree char *token = make(3, 4710, "0123456789abcdef");
    gsize len = strlen(token);

    for (gsize i = 0; i < len; i++) {
        g_autofree char *cut = g_strndup(token, i);
        g_autofree char *altered = g_strdup(token);
        const gboolean known = i >= strlen("v1:");

        altered[i] = altered[i] == 'x' ? 'y' : 'x';
        is_refused(cut, "file", UUID, record_of(3, 4710, "0123456789abcdef"),
                   QMP_ERROR_BAD_ARGUMENT,
                   known ? "not whole" : "no state token");
        is_refused(
            altered, "file", UUID, record_of(3, 4710, "0123456789abcdef"),
            QMP_ERROR_BAD_ARGUMENT, known ? "not whole" : "no state token");
    }
    is_refused("v1:\033[2J\xff", "file", UUID, NULL, QMP_ERROR_BAD_ARGUMENT,
               "'v1:?[2J");
}

static void nonces_are_as_long_and_differ(void)
{
    char one[TOKEN_NONCE + 1], two[TOKEN_NONCE + 1];

    token_nonce(one);
    token_nonce(two);
    g_assert_cmpuint(strlen(one), ==, TOKEN_NONCE);
    g_assert_cmpuint(strlen(two), ==, TOKEN_NONCE);
    g_assert_cmpstr(one, !=, two);
}

static void any_shell_takes_it_as_it_is(void)
{
    g_autofree char *token = make(3, 4710, "0123456789abcdef");

    g_assert_cmpuint(strspn(token, "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789:=._,-"),
                     ==, strlen(token));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(f) g_test_add_func("/token/" #f, f)
    ADD(its_own_is_taken);
    ADD(which_is_wrong_is_said);
    ADD(what_is_not_whole);
    ADD(nonces_are_as_long_and_differ);
    ADD(any_shell_takes_it_as_it_is);
    return g_test_run();
}
