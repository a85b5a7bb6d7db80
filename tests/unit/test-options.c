/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: the command line, good and bad. */
#include "../../libsupervise/qmp.h"
#include "../../libsupervise/resource.h"
#include "../../supervisor/options.h"
#include "tap.h"

#define UUID "6f0e8a52-7c1b-4d5e-9a3f-0123456789ab"

/* Parses words that are separated by single spaces. */
static Options *parse(const char *words, GError **error)
{
    g_auto(GStrv) argv = g_strsplit(words, " ", -1);

    return options_parse(argv, error);
}

static Options *good(const char *words)
{
    g_autoptr(GError) error = NULL;
    Options *options = parse(words, &error);

    g_assert_no_error(error);
    return options;
}

static void refused(const char *words, const char *because)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(parse(words, &error));
    g_assert_nonnull(error);
    g_assert_true(g_str_has_prefix(error->message, "cannot "));
    if (!strstr(error->message, because))
        g_error("'%s': '%s' lacks '%s'", words, error->message, because);
    g_assert_null(strchr(error->message, '\n'));
}

static void defaults(void)
{
    g_autoptr(Options) o = good("v -- /usr/bin/qemu -x");
    g_autoptr(Options) other = good("v -- qemu");

    g_assert_cmpstr(o->name, ==, "qemu");
    g_assert_true(g_uuid_string_is_valid(o->uuid));
    g_assert_cmpstr(o->uuid, !=, other->uuid);
    g_assert_cmpstr(o->driver, ==, "file");
    g_assert_cmpuint(o->resources->len, ==, 0);
    g_assert_cmpint(o->pid_fd, ==, -1);
    g_assert_cmpint(o->json_status_fd, ==, -1);
    g_assert_false(o->wait);
    g_assert_cmpint(o->stop_timeout_ms, ==, 30000);
    g_assert_cmpint(o->log_level, ==, REPORT_WARNING);
    g_assert_cmpint(o->log_target, ==, REPORT_TARGET_AUTO);
    g_assert_null(o->params[0]);
    g_assert_null(o->id);
}

static void everything(void)
{
    g_autoptr(Options) o =
        good("v --disk /a --disk=/b,shared --lease l:k --param x=y=z "
             "--driver nop --name web1 --uuid " UUID " --id 7 --run-dir /r "
             "--state-dir /s --wait=2.5 --pid-fd 3 --pid-file /p "
             "--json-status-fd 4 --user u --group g --stop-timeout 0.5 "
             "--control-group c --control-group-rw --log-level debug "
             "--log-target journal "
             "-- cmd --disk /not-ours --");

    g_assert_cmpuint(o->resources->len, ==, 3);
    g_assert_cmpstr(((Resource *)o->resources->pdata[2])->key, ==, "k");
    g_assert_cmpstr(o->params[0], ==, "x=y=z");
    g_assert_cmpstr(o->driver, ==, "nop");
    g_assert_cmpstr(o->name, ==, "web1");
    g_assert_cmpstr(o->uuid, ==, UUID);
    g_assert_cmpstr(o->id, ==, "7");
    g_assert_cmpstr(o->run_dir, ==, "/r");
    g_assert_cmpstr(o->state_dir, ==, "/s");
    g_assert_true(o->wait);
    g_assert_cmpint(o->wait_ms, ==, 2500);
    g_assert_cmpint(o->pid_fd, ==, 3);
    g_assert_cmpint(o->json_status_fd, ==, 4);
    g_assert_cmpstr(o->pid_file, ==, "/p");
    g_assert_cmpstr(o->user, ==, "u");
    g_assert_cmpstr(o->group, ==, "g");
    g_assert_cmpint(o->stop_timeout_ms, ==, 500);
    g_assert_cmpstr(o->control_group, ==, "c");
    g_assert_true(o->control_group_rw);
    g_assert_cmpint(o->log_level, ==, REPORT_DEBUG);
    g_assert_cmpint(o->log_target, ==, REPORT_TARGET_JOURNAL);
    g_assert_cmpstr(o->command[0], ==, "cmd");
    g_assert_cmpstr(o->command[1], ==, "--disk");
    g_assert_cmpstr(o->command[3], ==, "--");
    g_assert_null(o->command[4]);
}

static void waiting(void)
{
    g_autoptr(Options) ever = good("v --wait -- c");
    g_autoptr(Options) never = good("v --wait=0 -- c");

    g_assert_true(ever->wait);
    g_assert_cmpint(ever->wait_ms, ==, 0);
    g_assert_false(never->wait);
    refused("v --wait=soon -- c", "number of seconds");
    refused("v --wait=-1 -- c", "number of seconds");
    refused("v --wait=1e9 -- c", "number of seconds");
    refused("v --wait=0x10 -- c", "number of seconds");
    refused("v --wait=1.2.3 -- c", "number of seconds");
    refused("v --wait= -- c", "number of seconds");
    refused("v --wait=99999999 -- c", "month");
    refused("v --wait=\xff -- c", "number of seconds");
    refused("v --wait=nan -- c", "number of seconds");
}

static void uuids(void)
{
    g_autoptr(Options) o =
        good("v --uuid 6F0E8A52-7C1B-4D5E-9A3F-0123456789AB -- c");

    g_assert_cmpstr(o->uuid, ==, UUID);
    refused("v --uuid x -- c", "uuid");
    refused("v --uuid ../../etc/passwd -- c", "uuid");
    refused("v --uuid " UUID "0 -- c", "uuid");
}

static void log_words(void)
{
    g_autoptr(Options) o = good("v --log-level error --log-target stderr -- c");

    g_assert_cmpint(o->log_level, ==, REPORT_ERROR);
    g_assert_cmpint(o->log_target, ==, REPORT_TARGET_STDERR);
    refused("v --log-level loud -- c", "none of error, warning, info, debug");
    refused("v --log-level= -- c", "none of error, warning, info, debug");
    refused("v --log-target syslog -- c", "none of auto, stderr, journal");
    refused("v --log-target= -- c", "none of auto, stderr, journal");
}

static void no_command(void)
{
    refused("v", "'--'");
    refused("v --name x", "'--'");
    refused("v --", "'--'");
    refused("v -- ", "'--'");
    refused("v qemu -- c", "qemu");
    refused("v --disk", "");
}

static void bad_values(void)
{
    refused("v --bogus -- c", "--bogus");
    refused("v --disk /a,rw -- c", "neither");
    refused("v --lease x -- c", "LOCKSPACE");
    refused("v --param x -- c", "KEY=VALUE");
    refused("v --param =x -- c", "KEY=VALUE");
    refused("v --pid-fd x -- c", "number");
    refused("v --pid-fd -1 -- c", "number");
    refused("v --json-status-fd 9999999999 -- c", "number");
    refused("v --pid-fd 3 --json-status-fd 3 -- c", "same");
    refused("v --stop-timeout x -- c", "seconds");
    refused("v --log-level loud -- c", "loud");
    refused("v --name= -- c", "empty");
    refused("v --name a\x01"
            "b -- c",
            "control");
    refused("v --name a\xff -- c", "UTF-8");
    refused("v --id \xff -- c", "UTF-8");
}

static void long_name(void)
{
    g_autofree char *name = g_strnfill(256, 'n');
    g_autofree char *words = g_strdup_printf("v --name %s -- c", name);

    refused(words, "255");
}

static void help_and_version(void)
{
    g_autoptr(Options) help = good("v --help");
    g_autoptr(Options) version = good("v --version --");

    g_assert_cmpint(help->what, ==, OPTIONS_HELP);
    g_assert_nonnull(strstr(help->text, "--json-status-fd"));
    g_assert_cmpint(version->what, ==, OPTIONS_VERSION);
    g_assert_nonnull(strstr(version->text, VERSION));
}

static void attach(void)
{
    g_autoptr(Options) number = good("v --attach 4711 --disk /a");
    g_autoptr(Options) exact = good("v --attach=4711:99");
    g_autoptr(Options) pidfd = good("v --attach-pidfd 5 --name n");

    g_assert_true(number->attach);
    g_assert_cmpint(number->attach_pid, ==, 4711);
    g_assert_cmpint(number->attach_pidfd, ==, -1);
    g_assert_cmpuint(number->attach_start, ==, 0);
    g_assert_cmpstr(number->name, ==, "attached");
    g_assert_false(number->name_given);
    g_assert_null(number->command);
    g_assert_cmpuint(exact->attach_start, ==, 99);
    g_assert_cmpint(pidfd->attach_pidfd, ==, 5);
    g_assert_cmpint(pidfd->attach_pid, ==, 0);
    g_assert_cmpstr(pidfd->name, ==, "n");
    refused("v --attach 1:", "not the number of a process");
    refused("v --attach -1", "not the number of a process");
    refused("v --attach 99999999999", "not the number of a process");
    refused("v --attach-pidfd x", "not the number of a descriptor");
    refused("v --attach 1 --attach-pidfd 3", "given as well");
    refused("v --attach 1 --group g", "keeps its own");
    refused("v --attach 1 -- qemu", "there is no command where");
    refused("v qemu --attach 1", "where only options may");
}

static void options_that_need_others(void)
{
    refused("v --control-group-rw -- q", "no --control-group is given");
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(f) g_test_add_func("/options/" #f, f)
    ADD(defaults);
    ADD(everything);
    ADD(waiting);
    ADD(uuids);
    ADD(log_words);
    ADD(no_command);
    ADD(bad_values);
    ADD(long_name);
    ADD(help_and_version);
    g_test_add_func("/options/attach", attach);
    g_test_add_func("/options/need", options_that_need_others);
    return g_test_run();
}
