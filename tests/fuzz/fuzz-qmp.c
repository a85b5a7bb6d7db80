/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: any bytes, cut in two ways, decode to the same
 *
 * Oracle: the objects and the final outcome do not depend on how the input
 * came in; what was decoded stays within the bounds and survives being
 * encoded and decoded again.
 */
#include <stdint.h>
#include <string.h>

#include "qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Levels of objects and arrays in @value. */
static guint depth_of(json_t *value)
{
    guint deepest = 0;
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_object(value)) {
        json_object_foreach (value, key, member)
            deepest = MAX(deepest, depth_of(member));
        return deepest + 1;
    }
    if (!json_is_array(value))
        return 0;
    json_array_foreach (value, i, member)
        deepest = MAX(deepest, depth_of(member));
    return deepest + 1;
}

static void check_again(json_t *message, const char *line, gsize len)
{
    g_autoptr(QmpStream) stream = qmp_stream_new(QMP_MAX_MESSAGE);
    g_autoptr(json_t) again = NULL;

    /* numbers and escapes may grow, so that it is too long to read back */
    if (len - 1 > QMP_MAX_MESSAGE)
        return;
    qmp_stream_feed(stream, line, len);
    again = qmp_stream_next(stream, NULL);
    g_assert_nonnull(again);
    g_assert_true(json_equal(message, again));
    g_assert_null(qmp_stream_next(stream, NULL));
}

static void take(json_t *message, GString *out)
{
    gsize len;
    g_autofree char *line = qmp_encode(json_incref(message), &len);

    g_assert_true(json_is_object(message));
    g_assert_cmpuint(depth_of(message), <=, QMP_MAX_DEPTH);
    check_again(message, line, len);
    g_string_append_len(out, line, (gssize)len);
    json_decref(message);
}

/* Decodes @data in pieces of @piece bytes to lines of text. */
static GString *decode(const char *data, gsize size, gsize piece)
{
    g_autoptr(QmpStream) stream = qmp_stream_new(QMP_MAX_MESSAGE);
    GString *out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    for (gsize at = 0; at < size && !error; at += piece) {
        json_t *message;

        qmp_stream_feed(stream, data + at, MIN(piece, size - at));
        while ((message = qmp_stream_next(stream, &error)))
            take(message, out);
    }
    if (error) {
        g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_string_append(out, error->message);
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gsize piece = size ? data[size - 1] % 16 + 1u : 1;
    GString *whole, *pieces;

    json_object_seed(1); /* the same order of work every time */
    whole = decode((const char *)data, size, QMP_MAX_MESSAGE);
    pieces = decode((const char *)data, size, piece);
    g_assert_true(g_string_equal(whole, pieces));
    g_string_free(whole, TRUE);
    g_string_free(pieces, TRUE);
    return 0;
}
