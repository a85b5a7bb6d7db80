/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: domain_lock.h is sequences of lock_manager.h, and nothing else
 *
 * Here lock_manager.h is a stand-in that writes down how it is called. Each
 * wrapper is called once as it should be, and its calls are compared with the
 * sequence; then once for each of the calls, which fails that time: nothing
 * may be called after it but what frees, and nothing be left or returned.
 */
#include "../../libsupervise/domain_lock.h"
#include "standin.h"
#include "tap.h"

#include <stdlib.h>

/* --- The wrappers, each as it is called ----------------------------------- */

static const virDomainLockDisk disks[] = {
    {"/vm/a", 0}, {"/vm/b", VIR_LOCK_MANAGER_RESOURCE_READONLY}};
static const virDomainLockLease leases[] = {{NULL, "k", NULL, 0},
                                            {"p:o\\ol", "k", "/vm/c", 7}};
static const virLockManagerParam params[] = {
    {VIR_LOCK_MANAGER_PARAM_TYPE_CSTRING, "wait", {.cstr = "5"}}};
static const virDomainLockDomain web1 = {"u", "web1", "1", 2,     disks,
                                         2,   leases, 1,   params};

/* What a wrapper has returned through its pointers. */
typedef struct {
    pid_t pid;
    char *state;
    char **argv;
    int argc;
    virLockManagerPtr manager;
} Out;

static int start(Out *out, unsigned int flags)
{
    return virDomainLockProcessStart(NULL, &web1, NULL, flags);
}

static int start_from(Out *out, unsigned int flags)
{
    return virDomainLockProcessStart(NULL, &web1, "S",
                                     flags | VIR_LOCK_MANAGER_NEW_MIGRATE);
}

static int args(Out *out, unsigned int flags)
{
    return virDomainLockProcessGetArgs(NULL, &web1, &out->argv, &out->argc,
                                       flags);
}

static int started(Out *out, unsigned int flags)
{
    return virDomainLockProcessStarted(NULL, &web1, &out->pid, flags);
}

static int reattach(Out *out, unsigned int flags)
{
    return virDomainLockProcessReattach(NULL, &web1, &out->pid, &out->manager,
                                        flags);
}

static int exists(Out *out, unsigned int flags)
{
    return virDomainLockProcessReattach(NULL, &web1, NULL, NULL, flags);
}

static int pause_it(Out *out, unsigned int flags)
{
    return virDomainLockProcessPause(NULL, &web1, &out->state, flags);
}

static int resume(Out *out, unsigned int flags)
{
    return virDomainLockProcessResume(NULL, &web1, "S", flags);
}

static int inquire(Out *out, unsigned int flags)
{
    return virDomainLockProcessInquire(NULL, &web1, &out->state, flags);
}

static int shut_down(Out *out, unsigned int flags)
{
    return virDomainLockProcessShutdown(NULL, &web1, flags);
}

static int plug(Out *out, unsigned int flags)
{
    return virDomainLockImageAttach(NULL, &web1, &disks[1], flags);
}

static int unplug(Out *out, unsigned int flags)
{
    return virDomainLockImageDetach(NULL, &web1, &disks[1], flags);
}

static int lease(Out *out, unsigned int flags)
{
    return virDomainLockLeaseAttach(NULL, &web1, &leases[1], flags);
}

static int unlease(Out *out, unsigned int flags)
{
    return virDomainLockLeaseDetach(NULL, &web1, &leases[0], flags);
}

static int out_begin(Out *out, unsigned int flags)
{
    return virDomainLockMigrateOutBegin(NULL, &web1, "T", &out->state, flags);
}

static int in_begin(Out *out, unsigned int flags)
{
    return virDomainLockMigrateInBegin(NULL, &web1, &out->argv, &out->argc,
                                       flags);
}

static int in_confirm(Out *out, unsigned int flags)
{
    return virDomainLockMigrateInConfirm(NULL, &web1, "S", flags);
}

static int in_cancel(Out *out, unsigned int flags)
{
    return virDomainLockMigrateInCancel(NULL, &web1, "S", flags);
}

static int out_confirm(Out *out, unsigned int flags)
{
    return virDomainLockMigrateOutConfirm(NULL, &web1, "T", flags);
}

static int out_cancel(Out *out, unsigned int flags)
{
    return virDomainLockMigrateOutCancel(NULL, &web1, "T", flags);
}

#define WHO      "Set uuid=u\nSet name=web1\nSet id=1\n"
#define ATTACHED "New 0x2\n" WHO "GetStatus\n"
#define WHAT                                                                   \
    "Register 0 /vm/a 0\nRegister 0 /vm/b 0x1\n"                               \
    "Register 1 default:k 0\nRegister 1 p\\:o\\\\ol:k:/vm/c:7 0\n"
#define PREPARED(of) "NewParams 1 " of "\n" WHO WHAT
#define ARGS         "GetSupervisorPath\nGetSupervisorArgs 0\n"

static const struct {
    const char *name;
    int (*call)(Out *out, unsigned int flags);
    const char *calls;
} wrappers[] = {
    {"start", start, PREPARED("0") "AcquireObject\n"},
    {"start-from", start_from, PREPARED("0x1") "Acquire S\n"},
    {"args", args, PREPARED("0") ARGS},
    {"started", started, PREPARED("0") "GetChild 0\n"},
    {"reattach", reattach, ATTACHED "GetChild 0\n"},
    {"exists", exists, ATTACHED},
    {"pause", pause_it, ATTACHED "Release\n"},
    {"resume", resume, ATTACHED "Acquire S\n"},
    {"inquire", inquire, ATTACHED "Inquire\n"},
    {"shutdown", shut_down, ATTACHED "Shutdown 0\n"},
    {"plug", plug, ATTACHED "AcquireResource 0 /vm/b 0x1\n"},
    {"unplug", unplug, ATTACHED "ReleaseResource 0 /vm/b 0\n"},
    {"lease", lease, ATTACHED "AcquireResource 1 p\\:o\\\\ol:k:/vm/c:7 0\n"},
    {"unlease", unlease, ATTACHED "ReleaseResource 1 default:k 0\n"},
    {"out-begin", out_begin, ATTACHED "PrepareMigrate T 0\nGetStatus\n"},
    {"in-begin", in_begin, PREPARED("0x1") ARGS},
    {"in-confirm", in_confirm, ATTACHED "CompleteMigrateIn S 0\n"},
    {"in-cancel", in_cancel,
     ATTACHED "GetStatus\nCompleteMigrateIn S 0x1\nShutdown 0\n"},
    {"out-confirm", out_confirm,
     ATTACHED "CompleteMigrateOut T 0\nShutdown 0\n"},
    {"out-cancel", out_cancel, ATTACHED "CompleteMigrateOut T 0x1\n"},
};

/* Calls it in a new world, in which the @fails-th call fails. */
static int try(gsize which, int fails, unsigned int flags, Out *out)
{
    if (world.said)
        g_string_free(world.said, TRUE);
    memset(&world, 0, sizeof(world));
    memset(out, 0, sizeof(*out));
    world.said = g_string_new(NULL);
    world.fails = fails;
    return wrappers[which].call(out, flags);
}

static void clear(Out *out)
{
    free(out->state);
    g_strfreev(out->argv);
}

static void it_is_the_sequence(gconstpointer data)
{
    gsize which = GPOINTER_TO_SIZE(data);
    g_autofree char *expected = NULL;
    Out out;

    g_assert_cmpint(try(which, 0, 0, &out), ==, 0);
    /* It detaches, but from what it returns. */
    expected = g_strconcat(wrappers[which].calls,
                           out.manager ? NULL : "Detach\n", NULL);
    g_assert_cmpstr(world.said->str, ==, expected);
    g_assert_cmpint(world.alive, ==, out.manager ? 1 : 0);
    if (strstr(expected, "GetSupervisorArgs")) {
        g_assert_cmpstr(out.argv[0], ==, "/sbin/supervisor");
        g_assert_cmpstr(out.argv[1], ==, "--driver=file");
        g_assert_cmpstr(out.argv[2], ==, "--");
        g_assert_cmpint((int)g_strv_length(out.argv), ==, 3);
        g_assert_cmpint(out.argc, ==, 3);
    }
    if (strstr(expected, "GetChild"))
        g_assert_cmpint(out.pid, ==, 4711);
    if (strstr(expected, "Inquire") || strstr(expected, "Release\n") ||
        strstr(expected, "Prepare"))
        g_assert_cmpstr(out.state, ==, "S");
    clear(&out);
}

/* The first @lines lines of @text. */
static char *first_lines(const char *text, int lines)
{
    const char *end = text;

    while (lines-- > 0)
        end = strchr(end, '\n') + 1;
    return g_strndup(text, (gsize)(end - text));
}

static void any_call_can_fail(gconstpointer data)
{
    gsize which = GPOINTER_TO_SIZE(data);
    int calls;
    Out out;

    try(which, 0, 0, &out);
    calls = world.calls;
    clear(&out);
    g_assert_cmpint(calls, >=, 5);
    for (int fails = 1; fails <= calls; fails++) {
        g_autofree char *until = first_lines(wrappers[which].calls, fails);
        g_autofree char *expected =
            g_strconcat(until, fails > 1 ? "Detach\n" : "", NULL);

        g_assert_cmpint(try(which, fails, 0, &out), ==, -1);
        g_assert_cmpstr(world.said->str, ==, expected);
        g_assert_cmpint(world.alive, ==, 0);
        g_assert_null(out.state);
        g_assert_null(out.argv);
        g_assert_null(out.manager);
        g_assert_cmpint(out.pid, ==, 0);
    }
}

/* Flags go to the first that looks at them, before anything is done; and a
 * start cannot be asked to attach. */
static void flags_are_passed_on(void)
{
    Out out;

    for (gsize which = 0; which < G_N_ELEMENTS(wrappers); which++) {
        try(which, 0, 0x2, &out);
        clear(&out);
        if (g_str_has_prefix(wrappers[which].calls, ATTACHED))
            g_assert_cmphex(world.flags, ==, 0x2);
        else
            g_assert_true(
                g_str_has_prefix(world.said->str, "NewParams 1 0x3\n"));
    }
}

/* What a caller has forgotten is refused by lock_manager.h. */
static void null_goes_on(void)
{
    static const virDomainLockDomain empty = {"u", NULL, NULL, 1,   NULL,
                                              1,   NULL, 0,    NULL};
    static const virDomainLockLease offset = {"p", "k", NULL, 9};
    Out out;

    try(0, 0, 0, &out);
    g_string_truncate(world.said, 0);
    virDomainLockProcessStart(NULL, &empty, NULL, 0);
    virDomainLockProcessShutdown(NULL, NULL, 0);
    virDomainLockImageAttach(NULL, &empty, NULL, 0);
    virDomainLockLeaseAttach(NULL, &empty, NULL, 0);
    virDomainLockLeaseAttach(NULL, &empty, &offset, 0);
    g_assert_cmpstr(world.said->str, ==,
                    "NewParams 0 0\nSet uuid=u\nRegister 0 (null) 0\n"
                    "Register 1 (null) 0\nAcquireObject\nDetach\n"
                    "New 0x2\nSet uuid=(null)\nGetStatus\nShutdown 0\nDetach\n"
                    "New 0x2\nSet uuid=u\nGetStatus\n"
                    "AcquireResource 0 (null) 0\nDetach\n"
                    "New 0x2\nSet uuid=u\nGetStatus\n"
                    "AcquireResource 1 (null) 0\nDetach\n"
                    "New 0x2\nSet uuid=u\nGetStatus\n"
                    "AcquireResource 1 p:k::9 0\nDetach\n");
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    for (gsize i = 0; i < G_N_ELEMENTS(wrappers); i++) {
        g_autofree char *works =
            g_strdup_printf("/domain-lock/%s/sequence", wrappers[i].name);
        g_autofree char *fails =
            g_strdup_printf("/domain-lock/%s/failures", wrappers[i].name);

        g_test_add_data_func(works, GSIZE_TO_POINTER(i), it_is_the_sequence);
        g_test_add_data_func(fails, GSIZE_TO_POINTER(i), any_call_can_fail);
    }
    g_test_add_func("/domain-lock/flags", flags_are_passed_on);
    g_test_add_func("/domain-lock/null", null_goes_on);
    return g_test_run();
}
