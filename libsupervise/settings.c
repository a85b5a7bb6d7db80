/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see settings.h. */
#include "settings.h"

#include <string.h>

/* A month: longer times are slips of the finger, and timers end there. */
#define MAX_SECONDS (31.0 * 24 * 3600)
#define MAX_NAME    255

const char *settings_name(const char *text)
{
    if (!*text || strlen(text) > MAX_NAME)
        return "it is empty or longer than 255 bytes";
    if (!g_utf8_validate(text, -1, NULL))
        return "it is not UTF-8";
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return "it has a control character";
    }
    return NULL;
}

const char *settings_seconds(const char *text, gint64 *ms)
{
    char *end;
    double seconds = g_ascii_strtod(text, &end);

    if (!*text || *end || strspn(text, "0123456789.") != strlen(text))
        return "it is not a number of seconds";
    if (seconds > MAX_SECONDS)
        return "it is more than a month";
    *ms = (gint64)(seconds * 1000 + 0.5);
    return NULL;
}

/* FALSE where @text is none of @words. */
static gboolean find_word(const char *text, const char *const *words,
                          int *number)
{
    for (int i = 0; words[i]; i++) {
        if (!g_str_equal(text, words[i]))
            continue;
        if (number)
            *number = i;
        return TRUE;
    }
    return FALSE;
}

const char *settings_log_level(const char *text, int *level)
{
    static const char *const words[] = {"error", "warning", "info", "debug",
                                        NULL};

    return find_word(text, words, level)
               ? NULL
               : "it is none of error, warning, info, debug";
}

const char *settings_log_target(const char *text, int *target)
{
    static const char *const words[] = {"auto", "stderr", "journal", NULL};

    return find_word(text, words, target)
               ? NULL
               : "it is none of auto, stderr, journal";
}
