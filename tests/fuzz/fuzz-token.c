/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: fuzzes state tokens
 *
 * The input is a token, or after a "+" the body of one, which then gets its
 * right sum: so what comes behind the sum is reached too. Whatever is taken
 * names the VM and whoever holds it; whatever is refused is so in one sentence
 * that cannot steer a terminal.
 */
#include <stdint.h>
#include <string.h>

#include "../../libsupervise/qmp.h"
#include "../../supervisor/token.h"

#define UUID "6f0e1d2c-0000-4000-8000-00000000000a"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *with_sum(const char *body)
{
    g_autofree char *sum =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, body, -1);

    return g_strdup_printf("%s:%.8s", body, sum);
}

static void check_refusal(const GError *error)
{
    g_assert_nonnull(error);
    g_assert_true(g_str_has_prefix(error->message, "cannot use state '"));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    for (const char *c = error->message; *c; c++)
        g_assert_false(g_ascii_iscntrl(*c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *input = g_strndup((const char *)data, size);
    g_autofree char *text =
        *input == '+' ? with_sum(input + 1) : g_strdup(input);
    g_autoptr(json_t) record = json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:s}", "uuid", UUID, "boot-id",
        "9987a911-cd27-4fa4-a1c6-27257ad65047", "pid", 4710, "start-time",
        270862, "generation", 3, "nonce", "0123456789abcdef");
    g_autoptr(GError) error = NULL;

    if (!token_check(text, "file", UUID, record, &error)) {
        check_refusal(error);
    } else {
        g_assert_no_error(error);
        g_assert_true(g_str_has_prefix(text, "v1:file:" UUID ":"));
        g_assert_nonnull(
            strstr(text, ":9987a911.4710.270862:0123456789abcdef:"));
    }
    return 0;
}
