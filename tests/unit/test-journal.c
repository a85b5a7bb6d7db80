/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: entries for the journal: their form, their ids, and who takes them. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../libsupervise/qmp.h"
#include "../../supervisor/journal.h"
#include "../../supervisor/messages.h"
#include "tap.h"

static void test_fields(void)
{
    g_autoptr(GString) entry = g_string_new(NULL);
    static const char expected[] = "MESSAGE=one line\nEMPTY=\n"
                                   "LEASE\n\x05\0\0\0\0\0\0\0"
                                   "a\nb=c\n";

    journal_add_field(entry, "MESSAGE", "one line");
    journal_add_field(entry, "EMPTY", "");
    journal_add_field(entry, "STATE", NULL);
    journal_add_field(entry, "LEASE", "a\nb=c");
    g_assert_cmpmem(entry->str, entry->len, expected, sizeof expected - 1);
}

/* A value cannot end early and begin a field of its own. */
static void test_forged(void)
{
    g_autoptr(GString) entry = g_string_new(NULL);

    journal_add_field(entry, "LEASE", "x\nPRIORITY=0");
    g_assert_cmpmem(entry->str, strlen("LEASE\n"), "LEASE\n",
                    strlen("LEASE\n"));
    g_assert_cmpint(entry->str[strlen("LEASE\n")], ==, strlen("x\nPRIORITY=0"));
}

static void test_ids(void)
{
    static const char *const ids[] = {
#define X(name, level, id, what, meaning) id,
        MESSAGES(X)
#undef X
    };

    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_cmpuint(strlen(ids[i]), ==, 32);
        g_assert_cmpuint(strspn(ids[i], "0123456789abcdef"), ==, 32);
        for (guint j = 0; j < i; j++)
            g_assert_cmpstr(ids[i], !=, ids[j]);
    }
}

static int bind_journal(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==,
                    0);
    return fd;
}

static void expect_entry(int fd, const char *expected)
{
    char text[64];
    ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);

    g_assert_cmpint(n, >=, 0);
    g_assert_cmpmem(text, n, expected, strlen(expected));
}

/* Nobody reads: that is an answer, not a wait (the alarm would end us). */
static void test_full(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-journal-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "socket", NULL);
    int fd = bind_journal(path);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) entry = g_string_new("MESSAGE=x\n");
    Journal *journal = journal_new(path, &error);
    guint sent = 0;

    g_assert_no_error(error);
    alarm(60);
    while (journal_send(journal, entry))
        sent++;
    g_assert_cmpuint(sent, >, 0);
    expect_entry(fd, entry->str);
    g_assert_true(journal_send(journal, entry));
    alarm(0);

    close(fd);
    g_assert_false(journal_send(journal, entry));
    g_unlink(path);
    g_assert_false(journal_send(journal, entry));
    fd = bind_journal(path);
    g_assert_true(journal_send(journal, entry));
    expect_entry(fd, entry->str);
    close(fd);
    journal_free(journal);
    g_unlink(path);
    g_rmdir(dir);
}

static void test_nobody(void)
{
    g_autofree char *long_path = g_strnfill(200, 'x');
    g_autoptr(GError) error = NULL;

    g_assert_null(journal_new("/no/such/socket", &error));
    g_assert_cmpstr(error->message, ==,
                    "cannot log to the journal at '/no/such/socket': "
                    "No such file or directory");
    g_clear_error(&error);
    g_assert_null(journal_new(long_path, &error));
    g_assert_nonnull(strstr(error->message, "File name too long"));
    g_assert_null(journal_new("/no/such/socket", NULL));
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    g_test_add_func("/journal/fields", test_fields);
    g_test_add_func("/journal/forged", test_forged);
    g_test_add_func("/journal/ids", test_ids);
    g_test_add_func("/journal/full", test_full);
    g_test_add_func("/journal/nobody", test_nobody);
    return g_test_run();
}
