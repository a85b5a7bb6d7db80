/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: why the last call of a thread failed, for each thread. */
#include <stdarg.h>

#include "manager_internal.h"

typedef struct {
    virLockManagerError error;
    virLockManagerHolder holder;
    char *message;
    json_t *record; /* what the holder's strings are part of */
} LastError;

static void free_last(gpointer data)
{
    LastError *last = data;

    g_free(last->message);
    json_decref(last->record);
    g_free(last);
}

static GPrivate last_error = G_PRIVATE_INIT(free_last);

static int code_of(const GError *error)
{
    static const int codes[] = {
        [QMP_ERROR_GENERIC] = VIR_LOCK_MANAGER_ERROR_GENERIC,
        [QMP_ERROR_LEASE_BUSY] = VIR_LOCK_MANAGER_ERROR_LEASE_BUSY,
        [QMP_ERROR_LEASE_LOST] = VIR_LOCK_MANAGER_ERROR_LEASE_LOST,
        [QMP_ERROR_NO_SUPERVISOR] = VIR_LOCK_MANAGER_ERROR_NO_SUPERVISOR,
        [QMP_ERROR_WRONG_STATE] = VIR_LOCK_MANAGER_ERROR_WRONG_STATE,
        [QMP_ERROR_NOT_SUPPORTED] = VIR_LOCK_MANAGER_ERROR_NOT_SUPPORTED,
        [QMP_ERROR_BAD_ARGUMENT] = VIR_LOCK_MANAGER_ERROR_BAD_ARGUMENT,
        [QMP_ERROR_TIMEOUT] = VIR_LOCK_MANAGER_ERROR_TIMEOUT,
        /* An older supervisor. */
        [QMP_ERROR_COMMAND_NOT_FOUND] = VIR_LOCK_MANAGER_ERROR_NOT_SUPPORTED,
    };

    return error->domain == QMP_ERROR &&
                   (guint)error->code < sizeof codes / sizeof *codes
               ? codes[error->code]
               : VIR_LOCK_MANAGER_ERROR_GENERIC;
}

static const char *member(const json_t *record, const char *name)
{
    return json_string_value(json_object_get(record, name));
}

static void set_holder(LastError *last, const json_t *record)
{
    last->record = json_deep_copy(record);
    last->holder = (virLockManagerHolder){
        .uuid = member(last->record, "uuid"),
        .name = member(last->record, "name"),
        .host = member(last->record, "host"),
        .pid = (pid_t)json_integer_value(json_object_get(last->record, "pid")),
        .since = json_integer_value(json_object_get(last->record, "since")),
        .exiting =
            json_integer_value(json_object_get(last->record, "exiting")) != 0,
    };
    last->error.holder = &last->holder;
}

/* Names may hold anything, and a sentence is one line of text. */
static char *one_line(const char *message)
{
    char *text = g_utf8_make_valid(message, -1);

    for (char *c = text; *c; c++) {
        if (g_ascii_iscntrl(*c))
            *c = '?';
    }
    return text;
}

void error_set(GError *error, const json_t *holder)
{
    LastError *last = g_new0(LastError, 1);

    last->error.code = code_of(error);
    last->message = one_line(error->message);
    last->error.message = last->message;
    if (holder && last->error.code == VIR_LOCK_MANAGER_ERROR_LEASE_BUSY)
        set_holder(last, holder);
    g_private_replace(&last_error, last);
    g_error_free(error);
}

const virLockManagerError *virLockManagerGetLastError(void)
{
    static const virLockManagerError none = {VIR_LOCK_MANAGER_ERROR_NONE, "",
                                             NULL};
    const LastError *last = g_private_get(&last_error);

    return last ? &last->error : &none;
}

int manager_result(virLockManagerPtr manager, GError *error)
{
    if (!error)
        return 0;
    error_set(error, manager ? manager->holder : NULL);
    return -1;
}

gboolean manager_bad(GError **error, const char *format, ...)
{
    g_autofree char *sentence = NULL;
    va_list args;

    va_start(args, format);
    sentence = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT, sentence);
    return FALSE;
}
