/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the codec: framing in every chunking, every bound, every message. */
#include <errno.h>

#include "qmp.h"
#include "tap.h"

/* Feeds @text in pieces of @piece bytes. Returns the objects, one line each;
 * then "!" and the sentence if the stream broke. */
static char *decode(const char *text, gsize len, gsize piece)
{
    g_autoptr(QmpStream) stream = qmp_stream_new(QMP_MAX_MESSAGE);
    GString *out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    for (gsize at = 0; at < len && !error; at += piece) {
        json_t *message;

        qmp_stream_feed(stream, text + at, MIN(piece, len - at));
        while ((message = qmp_stream_next(stream, &error))) {
            g_autofree char *line = qmp_encode(message, NULL);

            g_string_append(out, line);
        }
    }
    if (error) {
        g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
        g_string_append_printf(out, "!%s", error->message);
    }
    return g_string_free(out, FALSE);
}

/* @text must decode to @expected however it is cut. */
static void check_len(const char *text, gsize len, const char *expected)
{
    static const gsize pieces[] = {1, 2, 3, 7, 4096, QMP_MAX_MESSAGE};

    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *got = decode(text, len, pieces[i]);

        g_assert_cmpstr(got, ==, expected);
    }
}

static void check(const char *text, const char *expected)
{
    check_len(text, strlen(text), expected);
}

/* @text must break the stream with a sentence that has @part in it. */
static void check_broken(const char *text, gsize len, const char *part)
{
    static const gsize pieces[] = {1, 5, QMP_MAX_MESSAGE};

    for (gsize i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *got = decode(text, len, pieces[i]);

        g_assert_cmpint(got[0], ==, '!');
        g_assert_nonnull(strstr(got, "!cannot read the message: "));
        g_assert_nonnull(strstr(got, part));
        g_assert_true(g_utf8_validate(got, -1, NULL));
    }
}

static void test_framing(void)
{
    check("", "");
    check(" \r\n\t ", "");
    check("{}", "{}\n");
    check("{\"a\":1}", "{\"a\":1}\n");
    check("{}{}\n{ \"a\" : [ { } ] }", "{}\n{}\n{\"a\":[{}]}\n");
    check("{\"execute\":\"a\"}{\"execute\":\"b\"}",
          "{\"execute\":\"a\"}\n{\"execute\":\"b\"}\n");
    check("{\"a\":\"}{\"}", "{\"a\":\"}{\"}\n");
    check("{\"a\":\"\\\"}\"}{}", "{\"a\":\"\\\"}\"}\n{}\n");
    check("{\"a\":\"\\\\\"}{}", "{\"a\":\"\\\\\"}\n{}\n");
    check("{\"\xc3\xa9\":\"\xe2\x82\xac\"}",
          "{\"\xc3\xa9\":\"\xe2\x82\xac\"}\n");
    check("{\"a\":1", "");
    check("{\"a\":\"", "");
}

static void test_garbage(void)
{
    static const char *const garbage[] = {
        "x",          "[]",       "\"a\"",   "1",     "null",
        "}",          "]",        ",{}",     ";{}",   "GET / HTTP/1.1\r\n",
        "{]",         "{[}}",     "{\"a\"}", "{a:1}", "{\"a\":1,}",
        "{\"a\":01}", "{'a':1}",  "{/**/}",  "{1:2}", "{\"a\":tru}",
        "\xff{}",     "{\"a\"=1}"};

    for (gsize i = 0; i < G_N_ELEMENTS(garbage); i++)
        check_broken(garbage[i], strlen(garbage[i]), ":");
}

static void test_after_garbage(void)
{
    g_autoptr(QmpStream) stream = qmp_stream_new(QMP_MAX_MESSAGE);
    g_autoptr(GError) first = NULL;
    g_autoptr(GError) second = NULL;
    g_autoptr(json_t) message = NULL;

    qmp_stream_feed(stream, "{} x", 4);
    message = qmp_stream_next(stream, &first);
    g_assert_nonnull(message);
    g_assert_no_error(first);
    g_assert_null(qmp_stream_next(stream, &first));
    qmp_stream_feed(stream, "{}", 2);
    g_assert_null(qmp_stream_next(stream, &second));
    g_assert_error(second, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    g_assert_cmpstr(first->message, ==, second->message);
}

/* {"a":"xxx..."}, @len bytes in all */
static char *long_message(gsize len)
{
    char *text = g_malloc(len + 1);

    memset(text, 'x', len);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + len - 2, "\"}", 3);
    return text;
}

static void test_size(void)
{
    g_autofree char *longest = long_message(QMP_MAX_MESSAGE);
    g_autofree char *longer = long_message(QMP_MAX_MESSAGE + 1);
    g_autofree char *line = g_strdup_printf("%s\n", longest);
    g_autofree char *three = g_strdup_printf("%s{} %s", longest, longest);
    g_autofree char *lines = g_strdup_printf("%s\n{}\n%s\n", longest, longest);

    check(longest, line);
    check(three, lines);
    check_broken(longer, strlen(longer), "longer than 65536 bytes");
    longer[QMP_MAX_MESSAGE - 1] = 'x'; /* and never ends */
    longer[QMP_MAX_MESSAGE] = 'x';
    check_broken(longer, strlen(longer), "longer than 65536 bytes");
}

/* White space between messages is not kept and counts for nothing. */
static void test_spaces(void)
{
    g_autofree char *spaces = g_strnfill(3 * QMP_MAX_MESSAGE, '\n');
    g_autofree char *text = g_strdup_printf("%s{}%s{}", spaces, spaces);

    check(text, "{}\n{}\n");
}

static char *nested(guint depth)
{
    GString *text = g_string_new("{\"a\":");

    for (guint i = 1; i < depth; i++)
        g_string_append_c(text, '[');
    for (guint i = 1; i < depth; i++)
        g_string_append_c(text, ']');
    g_string_append_c(text, '}');
    return g_string_free(text, FALSE);
}

static void test_depth(void)
{
    g_autofree char *deepest = nested(QMP_MAX_DEPTH);
    g_autofree char *deeper = nested(QMP_MAX_DEPTH + 1);
    g_autofree char *line = g_strdup_printf("%s\n", deepest);

    check(deepest, line);
    check_broken(deeper, strlen(deeper), "nested deeper than 16 levels");
    check("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[\"}",
          "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[\"}\n");
}

static void test_strictness(void)
{
    static const struct {
        const char *text;
        gsize len;
        const char *part;
    } cases[] = {
#define CASE(text, part) {text, sizeof(text) - 1, part}
        CASE("{\"a\":1,\"a\":2}", "duplicate"),
        CASE("{\"a\":{\"b\":1,\"b\":1}}", "duplicate"),
        CASE("{\"a\":\"\0\"}", "control character"),
        CASE("{\"a\":\"\\u0000\"}", "NUL"),
        CASE("{\"\\u0000\":1}", "NUL"),
        CASE("\0{}", "byte 0x00"),
        CASE("{\0}", ":"),
        CASE("{\"a\":\"\xff\"}", ":"),
        CASE("{\"a\":\"\xc3\"}", ":"),
        CASE("{\"a\":\"\xc0\x80\"}", ":"),
        CASE("{\"a\":\"\xed\xa0\x80\"}", ":"),
        CASE("{\"a\":\"\\ud800\"}", ":"),
        CASE("{\"a\":\"\n\"}", "newline"),
        CASE("{\"a\":9223372036854775808}", "too big"),
        CASE("{\"a\":-9223372036854775809}", "too big"),
        CASE("{\"a\":1e999}", "overflow"),
        CASE("{\"a\":NaN}", ":"),
#undef CASE
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        check_broken(cases[i].text, cases[i].len, cases[i].part);
    check("{\"a\":9223372036854775807}", "{\"a\":9223372036854775807}\n");
}

/* What does not fit in one feed must not be copied over and over. */
static void test_linear(void)
{
    g_autoptr(QmpStream) stream = qmp_stream_new(QMP_MAX_MESSAGE);
    g_autofree char *many = NULL;
    GString *text = g_string_new(NULL);
    guint messages = 0;
    json_t *message;

    while (text->len < QMP_MAX_MESSAGE)
        g_string_append(text, "{}");
    many = g_string_free(text, FALSE);
    for (guint i = 0; i < 64; i++) { /* one message out for each feed in */
        qmp_stream_feed(stream, many, QMP_MAX_MESSAGE);
        message = qmp_stream_next(stream, NULL);
        g_assert_nonnull(message);
        json_decref(message);
        messages++;
    }
    while ((message = qmp_stream_next(stream, NULL))) {
        json_decref(message);
        messages++;
    }
    g_assert_cmpuint(messages, ==, 64 * QMP_MAX_MESSAGE / 2);
}

/* Encodes, decodes again, and compares with @expected. */
static void check_round_trip(json_t *message, const char *expected)
{
    g_autoptr(json_t) copy = json_deep_copy(message);
    g_autoptr(QmpStream) stream = qmp_stream_new(QMP_MAX_MESSAGE);
    gsize len;
    g_autofree char *line = qmp_encode(message, &len);
    g_autoptr(json_t) decoded = NULL;

    g_assert_cmpuint(len, ==, strlen(line));
    g_assert_cmpint(line[len - 1], ==, '\n');
    g_assert_null(memchr(line, '\n', len - 1));
    qmp_stream_feed(stream, line, len);
    decoded = qmp_stream_next(stream, NULL);
    g_assert_true(json_equal(copy, decoded));
    g_assert_null(qmp_stream_next(stream, NULL));
    if (expected) {
        line[len - 1] = '\0';
        g_assert_cmpstr(line, ==, expected);
    }
}

static void test_messages(void)
{
    check_round_trip(qmp_greeting("1.2.3"),
                     "{\"QMP\":{\"version\":{\"qemu\":{\"major\":1,"
                     "\"minor\":2,\"micro\":3},\"package\":"
                     "\"virt-lock-supervisor-1.2.3\"},\"capabilities\":[]}}");
    check_round_trip(qmp_command("stop", NULL, NULL), "{\"execute\":\"stop\"}");
    check_round_trip(
        qmp_command("stop", json_pack("{s:i}", "a", 1), json_integer(7)),
        "{\"execute\":\"stop\",\"arguments\":{\"a\":1},\"id\":7}");
    check_round_trip(qmp_return(NULL, NULL), "{\"return\":{}}");
    check_round_trip(qmp_return(json_pack("[i]", 1), json_string("x")),
                     "{\"return\":[1],\"id\":\"x\"}");
    check_round_trip(qmp_return(json_string("a\n\"\\\t\x01\xc3\xa9"), NULL),
                     "{\"return\":\"a\\n\\\"\\\\\\t\\u0001\xc3\xa9\"}");
}

static void test_error_reply(void)
{
    g_autoptr(GError) busy = g_error_new_literal(
        QMP_ERROR, QMP_ERROR_LEASE_BUSY, "cannot acquire '/a': held");
    g_autoptr(GError) foreign = g_error_new_literal(
        G_CONVERT_ERROR, G_CONVERT_ERROR_FAILED, "bad \xff byte");

    check_round_trip(
        qmp_error_reply(busy, json_pack("{s:i}", "holder", 1), json_null()),
        "{\"error\":{\"class\":\"LeaseBusy\",\"desc\":"
        "\"cannot acquire '/a': held\",\"data\":{\"holder\":1}},"
        "\"id\":null}");
    check_round_trip(qmp_error_reply(foreign, NULL, NULL),
                     "{\"error\":{\"class\":\"GenericError\",\"desc\":"
                     "\"bad \xef\xbf\xbd byte\"}}");
}

static void test_event(void)
{
    gint64 before = g_get_real_time();
    g_autoptr(json_t) event = qmp_event("X", json_pack("{s:i}", "a", 1));
    gint64 after = g_get_real_time();
    json_t *timestamp = json_object_get(event, "timestamp");
    gint64 s = json_integer_value(json_object_get(timestamp, "seconds"));
    gint64 us = json_integer_value(json_object_get(timestamp, "microseconds"));

    g_assert_cmpstr(json_string_value(json_object_get(event, "event")), ==,
                    "X");
    g_assert_cmpint(s * G_USEC_PER_SEC + us, >=, before);
    g_assert_cmpint(s * G_USEC_PER_SEC + us, <=, after);
    g_assert_cmpint(us, <, G_USEC_PER_SEC);
    check_round_trip(g_steal_pointer(&event), NULL);
}

static void test_error_classes(void)
{
    static const char *const names[] = {
#define X(code, name) name,
        QMP_ERROR_CLASSES(X)
#undef X
    };

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = g_error_new_literal(QMP_ERROR, (gint)i, "");

        g_assert_cmpuint(qmp_error_code(names[i]), ==, i);
        g_assert_cmpstr(qmp_error_class(error), ==, names[i]);
    }
    g_assert_cmpuint(qmp_error_code("NoSuchClass"), ==, QMP_ERROR_GENERIC);
    g_assert_cmpuint(qmp_error_code(NULL), ==, QMP_ERROR_GENERIC);
    g_assert_cmpstr(qmp_error_class(NULL), ==, "GenericError");
}

static void test_set_errno(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *expected =
        g_strdup_printf("cannot open '/a': %s", g_strerror(ENOENT));

    errno = ENOENT;
    g_assert_false(set_errno(&error, "cannot open '%s'", "/a"));
    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_error(error, QMP_ERROR, QMP_ERROR_GENERIC);
    g_assert_cmpstr(error->message, ==, expected);
    g_assert_false(set_errno(NULL, "cannot open '%s'", "/a"));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/qmp/framing", test_framing);
    g_test_add_func("/qmp/garbage", test_garbage);
    g_test_add_func("/qmp/after-garbage", test_after_garbage);
    g_test_add_func("/qmp/size", test_size);
    g_test_add_func("/qmp/spaces", test_spaces);
    g_test_add_func("/qmp/depth", test_depth);
    g_test_add_func("/qmp/strictness", test_strictness);
    g_test_add_func("/qmp/linear", test_linear);
    g_test_add_func("/qmp/messages", test_messages);
    g_test_add_func("/qmp/error-reply", test_error_reply);
    g_test_add_func("/qmp/event", test_event);
    g_test_add_func("/qmp/error-classes", test_error_classes);
    g_test_add_func("/qmp/set-errno", test_set_errno);
    return g_test_run();
}
