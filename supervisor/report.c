/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see report.h. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../libsupervise/qmp.h"
#include "journal.h"
#include "notify.h"

#define PROGRAM "virt-lock-supervisor"
/* How much longer than announced an end may take, in milliseconds. */
#define MARGIN_MS 15000
/* How often a service manager that takes nothing is told that the VM runs. */
#define READY_MS 1000

struct Report {
    ReportSpec spec;
    char *pid_temp; /* the pid file before it has its name */
    int pid_temp_fd;
    gboolean pid_file_written;
    gboolean handed_over;
    dev_t pid_file_device;
    ino_t pid_file_inode;
    int log;         /* standard error, or a descriptor of our own for it */
    int notify;      /* service manager; -1: none */
    pid_t ready_pid; /* of whom it is to be told that the VM runs */
    guint ready_source;
    Journal *journal;  /* NULL: standard error is enough */
    const char *state; /* that the VM is in; static */
};

static const struct {
    const char *id;
    ReportLevel level;
} messages[MESSAGE_N_KINDS] = {
#define X(name, level, id, what, meaning)                                      \
    [MESSAGE_##name] = {id, REPORT_##level},
    MESSAGES(X)
#undef X
};

/* Writes without waiting, also where somebody else fills the pipe meanwhile:
 * see own_writer(). */
static gboolean write_now(int fd, const char *text, gsize len)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    ssize_t n;

    if (poll(&ready, 1, 0) != 1)
        return FALSE;
    n = send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK)
        n = write(fd, text, len);
    return n == (ssize_t)len;
}

/*
 * A descriptor for the same pipe or terminal that never blocks. The one that
 * we were given shares its flags with others, the child among them, so a new
 * one is opened; files never block, and a new one would not share the offset.
 * Where that cannot be had the old one does: short lines fit after poll().
 */
static int own_writer(int fd)
{
    char path[64];
    struct stat st;
    int own = -1;

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd >= 0 && fstat(fd, &st) == 0 &&
        (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own;
}

/* The same in place of @fd, which is closed. */
static int as_own_writer(int fd)
{
    int own = own_writer(fd);

    if (own >= 0)
        close(fd);
    return own >= 0 ? own : fd;
}

/* Root may write anywhere, but not any more when the file gets its name. */
static gboolean is_writable_without_privilege(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    struct stat st;

    if (stat(directory, &st) < 0 || geteuid() != 0)
        return TRUE; /* open() will tell */
    return (st.st_uid == 0 && st.st_mode & S_IWUSR) ||
           (st.st_gid == getegid() && st.st_mode & S_IWGRP) ||
           st.st_mode & S_IWOTH;
}

static gboolean open_pid_temp(Report *report, GError **error)
{
    if (g_file_test(report->spec.pid_file, G_FILE_TEST_IS_DIR)) {
        errno = EISDIR;
        return set_errno(error, "cannot create pid file '%s'",
                         report->spec.pid_file);
    }
    if (!is_writable_without_privilege(report->spec.pid_file)) {
        errno = EACCES;
        return set_errno(error, "cannot create pid file '%s'",
                         report->spec.pid_file);
    }
    report->pid_temp =
        g_strdup_printf("%s.%d.tmp", report->spec.pid_file, getpid());
    report->pid_temp_fd =
        open(report->pid_temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (report->pid_temp_fd >= 0)
        return TRUE;
    set_errno(error, "cannot create pid file '%s'", report->spec.pid_file);
    g_clear_pointer(&report->pid_temp, g_free);
    return FALSE;
}

/* What is not asked for but the journal's may fail. */
static gboolean open_journal(Report *report, GError **error)
{
    ReportTarget target = report->spec.target;

    if (target == REPORT_TARGET_STDERR ||
        (target == REPORT_TARGET_AUTO && !journal_reads(STDERR_FILENO)))
        return TRUE;
    report->journal = journal_new(
        JOURNAL_SOCKET, target == REPORT_TARGET_JOURNAL ? error : NULL);
    return report->journal || target != REPORT_TARGET_JOURNAL;
}

Report *report_new(const ReportSpec *spec, GError **error)
{
    Report *report = g_new0(Report, 1);

    report->spec = *spec;
    report->spec.pid_fd = as_own_writer(spec->pid_fd);
    report->spec.json_status_fd = as_own_writer(spec->json_status_fd);
    report->log = own_writer(STDERR_FILENO);
    if (report->log < 0)
        report->log = STDERR_FILENO;
    report->pid_temp_fd = -1;
    report->notify = notify_open();
    if (open_journal(report, error) &&
        (!spec->pid_file || open_pid_temp(report, error)))
        return report;
    report_free(report);
    return NULL;
}

/* FALSE where somebody else has written one over it. */
static gboolean is_our_pid_file(const Report *report)
{
    struct stat st;

    return stat(report->spec.pid_file, &st) == 0 &&
           st.st_dev == report->pid_file_device &&
           st.st_ino == report->pid_file_inode;
}

void report_free(Report *report)
{
    const int fds[] = {report->spec.pid_fd, report->spec.json_status_fd,
                       report->notify, report->pid_temp_fd};

    for (guint i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    if (report->log > STDERR_FILENO)
        close(report->log);
    journal_free(report->journal);
    if (report->ready_source)
        g_source_remove(report->ready_source);
    if (report->pid_temp)
        unlink(report->pid_temp);
    if (report->pid_file_written && is_our_pid_file(report))
        unlink(report->spec.pid_file);
    g_free(report->pid_temp);
    g_free(report);
}

/* Names may hold anything, and a line is one line. Takes @text. */
static char *printable(char *text)
{
    for (char *c = text; *c; c++) {
        if (g_ascii_iscntrl(*c))
            *c = *c == '\n' ? ' ' : '?';
    }
    return text;
}

static void print_to(int fd, const char *name, const char *sentence)
{
    g_autofree char *said =
        printable(name ? g_strdup_printf(PROGRAM "[%s]: %s", name, sentence)
                       : g_strdup_printf(PROGRAM ": %s", sentence));
    g_autofree char *line = g_strconcat(said, "\n", NULL);

    write_now(fd, line, strlen(line));
}

void report_print(const char *name, const char *sentence)
{
    print_to(STDERR_FILENO, name, sentence);
}

/* Fields that systemd knows: systemd.journal-fields(7); the others are ours. */
static gboolean log_to_journal(Report *report, MessageKind kind,
                               const char *lease, const char *state,
                               const char *sentence)
{
    static const char *const priorities[] = {"3", "4", "6", "7"};
    g_autoptr(GString) entry = g_string_new(NULL);
    g_autofree char *message =
        g_strdup_printf("%s: %s", report->spec.name, sentence);

    journal_add_field(entry, "MESSAGE", message);
    journal_add_field(entry, "MESSAGE_ID", messages[kind].id);
    journal_add_field(entry, "PRIORITY", priorities[messages[kind].level]);
    journal_add_field(entry, "SYSLOG_IDENTIFIER", PROGRAM);
    journal_add_field(entry, "VM_NAME", report->spec.name);
    journal_add_field(entry, "VM_UUID", report->spec.uuid);
    journal_add_field(entry, "LEASE", lease);
    journal_add_field(entry, "STATE", state);
    return journal_send(report->journal, entry);
}

/* What the journal does not take is said on standard error. */
static void log_sentence(Report *report, MessageKind kind, const char *lease,
                         const char *state, const char *sentence)
{
    if (messages[kind].level > report->spec.level)
        return;
    if (!report->journal ||
        !log_to_journal(report, kind, lease, state, sentence))
        print_to(report->log, report->spec.name, sentence);
}

void report_log(Report *report, MessageKind kind, const char *lease,
                const char *format, ...)
{
    g_autofree char *sentence = NULL;
    va_list args;

    va_start(args, format);
    sentence = printable(g_strdup_vprintf(format, args));
    va_end(args);
    log_sentence(report, kind, lease, NULL, sentence);
}

void report_state(Report *report, const char *from, const char *to,
                  const char *reason)
{
    g_autofree char *why = printable(g_strdup(reason));
    g_autofree char *sentence = g_strdup_printf("%s -> %s: %s", from, to, why);

    report->state = to;
    log_sentence(report, MESSAGE_STATE_CHANGED, NULL, to, sentence);
    notify_send(report->notify, "STATUS=%s: %s", to, why);
}

void report_waiting(Report *report, const char *why)
{
    g_autofree char *text = printable(g_strdup(why));

    notify_send(report->notify, "STATUS=waiting: %s", text);
}

void report_ending(Report *report, gint64 ms)
{
    notify_send(report->notify,
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" G_GINT64_FORMAT,
                (ms + MARGIN_MS) * 1000);
}

static void write_status(Report *report, json_t *object)
{
    gsize len;
    g_autofree char *line = qmp_encode(object, &len);

    if (report->spec.json_status_fd >= 0 &&
        !write_now(report->spec.json_status_fd, line, len))
        report_log(report, MESSAGE_REPORT_FAILED, NULL,
                   "cannot write to the JSON status descriptor: the line "
                   "is lost");
}

static void write_pid_file(Report *report, pid_t pid)
{
    g_autofree char *text = g_strdup_printf("%d\n", pid);
    gsize len = strlen(text);
    struct stat st = {0};
    gboolean done;

    fstat(report->pid_temp_fd, &st);
    report->pid_file_device = st.st_dev;
    report->pid_file_inode = st.st_ino;
    done = write(report->pid_temp_fd, text, len) == (ssize_t)len;
    close(report->pid_temp_fd);
    report->pid_temp_fd = -1;
    done = done && rename(report->pid_temp, report->spec.pid_file) == 0;
    if (!done) {
        report_log(report, MESSAGE_REPORT_FAILED, NULL,
                   "cannot write pid file '%s': %s", report->spec.pid_file,
                   g_strerror(errno));
        unlink(report->pid_temp);
    }
    g_clear_pointer(&report->pid_temp, g_free);
    report->pid_file_written |= done;
}

/* Without that word the manager would wait for ever. */
static gboolean say_ready(gpointer data)
{
    Report *report = data;

    if (!notify_send(report->notify,
                     "READY=1\nSTATUS=%s: the child is process %d",
                     report->state, report->ready_pid) &&
        errno == EAGAIN)
        return G_SOURCE_CONTINUE;
    report->ready_source = 0;
    return G_SOURCE_REMOVE;
}

void report_child(Report *report, pid_t pid)
{
    g_autofree char *text = g_strdup_printf("%d\n", pid);

    if (report->spec.pid_fd >= 0) {
        if (!write_now(report->spec.pid_fd, text, strlen(text)))
            report_log(report, MESSAGE_REPORT_FAILED, NULL,
                       "cannot report the child's pid %d: the pid "
                       "descriptor takes nothing",
                       pid);
        close(report->spec.pid_fd);
        report->spec.pid_fd = -1;
    }
    if (report->pid_temp)
        write_pid_file(report, pid);
    write_status(report, json_pack("{s:i}", "child-pid", pid));
    report->ready_pid = pid;
    if (say_ready(report) == G_SOURCE_REMOVE)
        return;
    report_log(report, MESSAGE_REPORT_FAILED, NULL,
               "cannot tell the service manager that the VM runs: it takes "
               "nothing; it is told again every second");
    report->ready_source = g_timeout_add(READY_MS, say_ready, report);
}

void report_adopted(Report *report, pid_t pid)
{
    g_autoptr(GError) error = NULL;

    if (report->pid_file_written) {
        if (open_pid_temp(report, &error))
            write_pid_file(report, pid);
        else
            report_log(report, MESSAGE_REPORT_FAILED, NULL, "%s",
                       error->message);
    }
    write_status(report, json_pack("{s:i}", "child-pid", pid));
    notify_send(report->notify, "STATUS=%s: the child is process %d",
                report->state, pid);
}

void report_handed_over(Report *report)
{
    report->handed_over = TRUE;
}

void report_exit(Report *report, int code, const char *reason,
                 gboolean by_child)
{
    g_autofree char *text = g_utf8_make_valid(reason, -1);
    json_t *status =
        json_pack("{s:i, s:s, s:s}", "exit-code", code, "reason", text,
                  "source", by_child ? "child" : "supervisor");

    if (report->handed_over)
        json_object_set_new(status, "handed-over", json_true());
    write_status(report, status);
}
