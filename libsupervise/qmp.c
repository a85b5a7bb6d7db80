/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: how bytes become objects
 *
 * A stream keeps the bytes that belong to no finished message yet, and where
 * the scan for the end of the message stands: nesting depth, inside a string
 * or not, after a backslash or not. Every byte is looked at once by the scan
 * and once by the parser, which sees nothing but whole messages within the
 * bounds. A stream that broke a bound stays broken.
 */
#include "qmp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct QmpStream {
    gsize max; /* bytes of one message */
    GByteArray *bytes;
    gsize start; /* of the current message in bytes */
    gsize next;  /* first byte not scanned yet */
    guint depth; /* open objects and arrays; 0 between two messages */
    gboolean in_string;
    gboolean escaped; /* the byte before was a backslash in a string */
    char *broken;     /* why the stream cannot be followed, or NULL */
};

G_DEFINE_QUARK(qmp_error, qmp_error)

static const char *const class_names[] = {
#define X(code, name) [QMP_ERROR_##code] = name,
    QMP_ERROR_CLASSES(X)
#undef X
};

const char *qmp_error_class(const GError *error)
{
    if (!error || error->domain != QMP_ERROR || error->code < 0 ||
        error->code >= (int)G_N_ELEMENTS(class_names))
        return class_names[QMP_ERROR_GENERIC];
    return class_names[error->code];
}

QmpErrorCode qmp_error_code(const char *class_name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(class_names); i++) {
        if (g_strcmp0(class_name, class_names[i]) == 0)
            return (QmpErrorCode)i;
    }
    return QMP_ERROR_GENERIC;
}

gboolean set_errno(GError **error, const char *format, ...)
{
    int saved = errno;

    if (error) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *what = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "%s: %s", what,
                    g_strerror(saved));
    }
    errno = saved;
    return FALSE;
}

QmpStream *qmp_stream_new(gsize max)
{
    QmpStream *stream = g_new0(QmpStream, 1);

    stream->max = max;
    stream->bytes = g_byte_array_new();
    return stream;
}

void qmp_stream_free(QmpStream *stream)
{
    if (!stream)
        return;
    g_byte_array_unref(stream->bytes);
    g_free(stream->broken);
    g_free(stream);
}

/* Forgets finished messages once they are half of what is kept, so that a
 * byte is moved at most once on average. */
static void drop_finished(QmpStream *stream)
{
    if (stream->start == 0 || stream->start < stream->bytes->len / 2)
        return;
    g_byte_array_remove_range(stream->bytes, 0, (guint)stream->start);
    stream->next -= stream->start;
    stream->start = 0;
}

void qmp_stream_feed(QmpStream *stream, const char *data, gsize len)
{
    if (stream->broken || len == 0)
        return;
    drop_finished(stream);
    g_byte_array_append(stream->bytes, (const guint8 *)data, (guint)len);
}

static json_t *broken(QmpStream *stream, GError **error)
{
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot read the message: %s", stream->broken);
    return NULL;
}

/* Skips what may stand between two messages; FALSE if it is something that
 * cannot begin one. */
static gboolean scan_gap(QmpStream *stream)
{
    const guint8 *bytes = stream->bytes->data;

    for (; stream->next < stream->bytes->len; stream->next++) {
        guint8 c = bytes[stream->next];

        if (c == '{')
            break;
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
            stream->broken =
                g_strdup_printf("byte 0x%02x where an object begins", c);
            return FALSE;
        }
    }
    stream->start = stream->next;
    return TRUE;
}

/* Moves the scan one byte on; TRUE if that byte ends the message. */
static gboolean scan_byte(QmpStream *stream, guint8 c)
{
    if (stream->in_string) {
        if (stream->escaped)
            stream->escaped = FALSE;
        else if (c == '\\')
            stream->escaped = TRUE;
        else if (c == '"')
            stream->in_string = FALSE;
    } else if (c == '"') {
        stream->in_string = TRUE;
    } else if (c == '{' || c == '[') {
        stream->depth++;
    } else if (c == '}' || c == ']') {
        return --stream->depth == 0;
    }
    return FALSE;
}

/* Returns TRUE once bytes [start, next) are a whole message. */
static gboolean scan_message(QmpStream *stream)
{
    const guint8 *bytes = stream->bytes->data;

    while (stream->next < stream->bytes->len) {
        if (stream->next - stream->start == stream->max) {
            stream->broken = g_strdup_printf(
                "longer than %" G_GSIZE_FORMAT " bytes", stream->max);
            return FALSE;
        }
        if (scan_byte(stream, bytes[stream->next++]))
            return TRUE;
        if (stream->depth > QMP_MAX_DEPTH) {
            stream->broken =
                g_strdup_printf("nested deeper than %d levels", QMP_MAX_DEPTH);
            return FALSE;
        }
    }
    return FALSE;
}

json_t *qmp_stream_next(QmpStream *stream, GError **error)
{
    json_error_t reason;
    json_t *message;

    if (stream->broken)
        return broken(stream, error);
    if (stream->depth == 0 && !scan_gap(stream))
        return broken(stream, error);
    if (!scan_message(stream))
        return stream->broken ? broken(stream, error) : NULL;

    message = json_loadb((const char *)stream->bytes->data + stream->start,
                         stream->next - stream->start, JSON_REJECT_DUPLICATES,
                         &reason);
    stream->start = stream->next;
    if (!message) {
        stream->broken = g_utf8_make_valid(reason.text, -1);
        return broken(stream, error);
    }
    return message;
}

static int append_text(const char *text, size_t len, void *line)
{
    g_string_append_len(line, text, (gssize)len);
    return 0;
}

char *qmp_encode(json_t *message, gsize *len)
{
    GString *line = g_string_new(NULL);

    /* Only NULL and cycles have no text: never a reason to end. */
    if (!message ||
        json_dump_callback(message, append_text, line, JSON_COMPACT) < 0)
        g_string_assign(line, "null");
    json_decref(message);
    g_string_append_c(line, '\n');
    if (len)
        *len = line->len;
    return g_string_free(line, FALSE);
}

static json_t *with_id(json_t *message, json_t *id)
{
    if (id)
        json_object_set_new(message, "id", id);
    return message;
}

json_t *qmp_greeting(const char *version)
{
    int major = 0, minor = 0, micro = 0;
    g_autofree char *package =
        g_strdup_printf("virt-lock-supervisor-%s", version);

    (void)sscanf(version, "%d.%d.%d", &major, &minor, &micro);
    return json_pack("{s:{s:{s:{s:i, s:i, s:i}, s:s}, s:[]}}", "QMP", "version",
                     "qemu", "major", major, "minor", minor, "micro", micro,
                     "package", package, "capabilities");
}

json_t *qmp_command(const char *name, json_t *arguments, json_t *id)
{
    json_t *message = json_pack("{s:s}", "execute", name);

    if (arguments)
        json_object_set_new(message, "arguments", arguments);
    return with_id(message, id);
}

json_t *qmp_return(json_t *value, json_t *id)
{
    return with_id(json_pack("{s:o}", "return", value ? value : json_object()),
                   id);
}

json_t *qmp_error_reply(const GError *error, json_t *data, json_t *id)
{
    g_autofree char *desc = g_utf8_make_valid(error->message, -1);
    json_t *body =
        json_pack("{s:s, s:s}", "class", qmp_error_class(error), "desc", desc);

    if (data)
        json_object_set_new(body, "data", data);
    return with_id(json_pack("{s:o}", "error", body), id);
}

json_t *qmp_event(const char *name, json_t *data)
{
    gint64 now = g_get_real_time();
    json_t *message = json_pack("{s:s}", "event", name);

    if (data)
        json_object_set_new(message, "data", data);
    json_object_set_new(
        message, "timestamp",
        json_pack("{s:I, s:I}", "seconds", (json_int_t)(now / G_USEC_PER_SEC),
                  "microseconds", (json_int_t)(now % G_USEC_PER_SEC)));
    return message;
}
