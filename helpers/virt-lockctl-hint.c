/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what to type next
 *
 * A sentence says what could not be done and why; where there is a next step
 * it is put behind. One row for each: which command, which class of error,
 * which words in it. The first row that fits counts.
 */
#include <string.h>

#include "qmp.h"
#include "virt-lockctl.h"

#define ANY_COMMAND NULL
#define ANY_ERROR   (-1)

typedef struct {
    const char *command;
    int code;
    const char *part; /* of the sentence; NULL: any */
    const char *hint; /* %V: the VM, %P: the path, %D: as --disk takes it;
                       * quoted for a shell. %T: --timeout */
} Hint;

static const Hint hints[] = {
    {"migrate-complete", QMP_ERROR_LEASE_BUSY, NULL,
     "; 'virt-lockctl status %V' tells more"},
    {ANY_COMMAND, QMP_ERROR_LEASE_BUSY, NULL,
     "; 'virt-lockctl holder %P' tells who has it"},
    {ANY_COMMAND, QMP_ERROR_NOT_SUPPORTED, "may only query",
     "; run it as root, or be in a --control-group with --control-group-rw"},
    {ANY_COMMAND, QMP_ERROR_NO_SUPERVISOR, "cannot find VM",
     "; 'virt-lockctl list' shows those that run (with --run-dir those of "
     "another directory)"},
    {ANY_COMMAND, QMP_ERROR_BAD_ARGUMENT, "have that name",
     "; name one by its uuid"},
    {ANY_COMMAND, ANY_ERROR, "it has hung up",
     ": it admits root, its own user and its --control-group"},
    {"holder", ANY_ERROR, "Permission denied", "; run it as root"},
    {"acquire", ANY_ERROR, "Permission denied", "; run it as root"},
    {ANY_COMMAND, ANY_ERROR, "Permission denied",
     "; run it as root, or be in the VM's --control-group"},
    {"child", QMP_ERROR_WRONG_STATE, NULL,
     "; 'virt-lockctl status %V' tells why"},
    {"release", QMP_ERROR_BAD_ARGUMENT, "no such lease",
     "; 'virt-lockctl leases %V' lists those it has"},
    {"revoke", QMP_ERROR_BAD_ARGUMENT, "no such lease",
     "; 'virt-lockctl leases %V' lists those it has"},
    {"release", QMP_ERROR_WRONG_STATE, "still open by",
     "; unplug it first ('virt-lockctl release %V --disk %D --force' frees it "
     "all the same, which can destroy it)"},
    {"release", QMP_ERROR_WRONG_STATE, "use force",
     ": 'virt-lockctl release %V --disk %D --force'"},
    {"release", QMP_ERROR_WRONG_STATE, "is being released",
     ": 'virt-lockctl release %V --disk %D --force'"},
    {"migrate-complete", QMP_ERROR_WRONG_STATE, "no target has claimed",
     "; start the target with --incoming first, or 'virt-lockctl "
     "migrate-cancel %V'"},
    {"migrate-complete", QMP_ERROR_WRONG_STATE, "complete it as active",
     ": 'virt-lockctl migrate-complete %V --in', again, when QEMU says "
     "'completed'"},
    {"migrate-complete", QMP_ERROR_WRONG_STATE, "source still writes",
     ": 'virt-lockctl migrate-complete %V --in', again, when QEMU says "
     "'completed'"},
    {"migrate-cancel", QMP_ERROR_WRONG_STATE, "a target has claimed it",
     "; then again here"},
    {"migrate-cancel", QMP_ERROR_WRONG_STATE, "the target was completed",
     ": 'virt-lockctl migrate-complete %V --out'"},
    {ANY_COMMAND, QMP_ERROR_WRONG_STATE, NULL,
     "; 'virt-lockctl status %V' tells more"},
    {"release", QMP_ERROR_TIMEOUT, "still held",
     "; 'virt-lockctl leases %V' tells what it waits for"},
    {"revoke", QMP_ERROR_TIMEOUT, "still there",
     "; 'virt-lockctl status %V' tells more"},
    {"quit", QMP_ERROR_TIMEOUT, "still there",
     "; 'virt-lockctl status %V' tells more"},
    {ANY_COMMAND, QMP_ERROR_TIMEOUT, NULL,
     "; --timeout gives it longer than %T"},
};

static gboolean fits(const Hint *hint, const char *command, const GError *error)
{
    return (!hint->command || g_str_equal(hint->command, command)) &&
           (hint->code == ANY_ERROR ||
            g_error_matches(error, QMP_ERROR, hint->code)) &&
           (!hint->part || strstr(error->message, hint->part));
}

/* What stands for @letter, as it is typed; NULL for nothing. */
static char *word_for(char letter, const Request *request)
{
    g_autoptr(GString) path =
        g_string_new(request->disk ? request->disk->path : NULL);

    switch (letter) {
    case 'V':
        return request->target ? shell_word(request->target) : NULL;
    case 'D':
        g_string_replace(path, ",", ",,", 0);
        return shell_word(path->str);
    case 'P':
        return shell_word(path->str);
    case 'T':
        return g_strdup_printf("%g s", request->call_ms / 1000.0);
    default:
        return NULL;
    }
}

/* A VM that would be taken for an option goes behind "--", at the end. */
static void append(GString *sentence, const char *hint, const Request *request)
{
    gboolean last = request->target && *request->target == '-';
    gboolean pending = FALSE;

    for (const char *p = hint; *p; p++) {
        g_autofree char *word = *p == '%' ? word_for(p[1], request) : NULL;

        if (word && p[1] == 'V' && last) {
            pending = TRUE;
            p += p[2] == ' ' ? 2 : 1;
        } else if (word) {
            g_string_append(sentence, word);
            p++;
        } else {
            if (pending && *p == '\'') {
                word = word_for('V', request);
                g_string_append_printf(
                    sentence, "%s-- %s",
                    g_str_has_suffix(sentence->str, " ") ? "" : " ", word);
                pending = FALSE;
            }
            g_string_append_c(sentence, *p);
        }
    }
}

char *shell_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-./:,+@%";

    if (*word && strspn(word, plain) == strlen(word))
        return g_strdup(word);
    return g_shell_quote(word);
}

char *with_hint(const Request *request, const GError *error)
{
    GString *sentence = g_string_new(error->message);

    for (gsize i = 0; i < G_N_ELEMENTS(hints); i++) {
        if (fits(&hints[i], request->command, error)) {
            append(sentence, hints[i].hint, request);
            break;
        }
    }
    return g_string_free(sentence, FALSE);
}
