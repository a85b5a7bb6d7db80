/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see confine.h; the filter's list is in seccomp_gen.c. */
#include "confine.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp_filter.h" /* generated */

/* More stack than we ever use. Once locked it may not be allowed to grow. */
#define STACK_RESERVE (256 * 1024)

const char *confine_name(ConfineStep step)
{
    static const char *const names[] = {
#define X(id, name, doc) [CONFINE_##id] = name,
        CONFINE_STEPS(X)
#undef X
    };
    return names[step];
}

void confine_take_stdio(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

/* How many descriptors may be open: the size of the kernel's table of ours. */
static int table_size(void)
{
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    char text[4096] = "";
    const char *found;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        close(fd);
    found = n > 0 ? strstr(text, "\nFDSize:") : NULL;
    return found ? atoi(found + strlen("\nFDSize:"))
                 : (int)sysconf(_SC_OPEN_MAX);
}

/* Ours are all close-on-exec, and what came with us is not. (Listing
 * /proc/self/fd would take longer than all the rest.) */
void confine_close_inherited(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int size = table_size();

    for (int fd = 3; fd < size; fd++) {
        if (fcntl(fd, F_GETFD) == 0)
            close(fd);
    }
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
    (void)!chdir("/");
}

/* Needs CAP_SYS_RESOURCE. */
static gboolean lower_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    gboolean done;

    if (fd < 0)
        return FALSE;
    done = write(fd, "-1000", 5) == 5;
    close(fd);
    return done;
}

/* Locks pages as they are used. Not those of later mappings: with MCL_FUTURE
 * these would fail at the limit, and so would we. */
static gboolean G_GNUC_NO_INLINE reserve_stack(void)
{
    volatile char reserve[STACK_RESERVE];

    reserve[0] = 0; /* grows the stack by one used page */
    return reserve[0] == 0;
}

static gboolean lock_memory(void)
{
    struct rlimit stack;

    if (getrlimit(RLIMIT_STACK, &stack) < 0 ||
        stack.rlim_cur < 2 * STACK_RESERVE)
        return FALSE;
    return reserve_stack() && mlockall(MCL_CURRENT | MCL_ONFAULT) == 0;
}

/* Root keeps CAP_KILL: without it no signal, that of PR_SET_PDEATHSIG
 * included, reaches a child of another uid. Who does not have it cannot keep
 * it either. The bounding set is about exec, which the filter denies. */
static gboolean drop_capabilities(void)
{
    capng_clear(CAPNG_SELECT_CAPS);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_KILL);
    if (capng_apply(CAPNG_SELECT_CAPS) == 0)
        return TRUE;
    capng_clear(CAPNG_SELECT_CAPS);
    return capng_apply(CAPNG_SELECT_CAPS) == 0;
}

static gboolean load_filter(void)
{
    struct sock_fprog program = {.len = G_N_ELEMENTS(seccomp_filter),
                                 .filter =
                                     (struct sock_filter *)seccomp_filter};

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                   SECCOMP_FILTER_FLAG_LOG, &program) == 0;
}

/* Whoever started us may have allowed few descriptors; the child has its own
 * limit by now, and a kill must not fail for want of one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

guint confine_apply(void)
{
    guint done = 0;

    raise_descriptor_limit();
    json_object_seed(0); /* reads /dev/urandom while it surely may */
    malloc_trim(0);      /* starting took more than running will */
    done |= lower_oom_score() << CONFINE_OOM_SCORE;
    done |= lock_memory() << CONFINE_MEMORY_LOCKED;
    done |= (prctl(PR_SET_DUMPABLE, 0) == 0) << CONFINE_UNDUMPABLE;
    done |= drop_capabilities() << CONFINE_CAPABILITIES;
    done |= (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
            << CONFINE_NO_NEW_PRIVS;
    done |= load_filter() << CONFINE_SECCOMP;
    return done;
}
