/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: supervisors that are killed by SIGKILL, and who gets in after them
 *
 * A real supervisor runs a child that stamps the time into a mapped file
 * without a pause. We want its disk, by the same driver as every supervisor,
 * without a pause as well, and kill it while we try. The moment when we get
 * the lease must come after the child's last stamp: every time, for a disk of
 * the command line and for one that was plugged in later.
 *
 * That this would be seen is shown by one who looks at the lease byte only,
 * and by a child that lives on.
 */
#include "../../libsupervise/client.h"
#include "../../libsupervise/places.h"
#include "../../libsupervise/qmp.h"
#include "../../supervisor/driver.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define UUID   "6f0e1d2c-0000-4000-8000-000000000051"
#define WAITER "6f0e1d2c-0000-4000-8000-000000000052"

/* Of each kind. Sanitizers make every start slow. */
#ifdef SANITIZED
#define KILLS 100
#else
#define KILLS 500
#endif

/* So many times at most we are refused before we kill. */
#define MAX_REFUSALS 20

#define DEADLINE (10 * G_USEC_PER_SEC)

/* As fakevmm stamps them. */
typedef struct {
    guint64 ns;
    guint64 pid;
} Slot;

typedef struct {
    char *dir, *disk, *stamps, *socket, *supervisor, *fakevmm;
    volatile Slot *slot;
    pid_t pid; /* of the supervisor */
    /* The one who waits: a driver with one lease. */
    Resource *resource;
    Record owner;
    DriverContext context;
    gpointer driver;
    DriverLease lease;
} Fixture;

static guint64 now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (guint64)ts.tv_sec * 1000000000 + (guint64)ts.tv_nsec;
}

/* When our driver set a read lock last: what it sets last of all, after its
 * last look at others, is its own liveness. */
static guint64 locked_ns;

/* In place of the C library's. */
int fcntl(int fd, int command, ...)
{
    const struct flock *lock;
    va_list args;
    int result;

    va_start(args, command);
    lock = va_arg(args, const struct flock *);
    va_end(args);
    result = (int)syscall(SYS_fcntl, fd, command, lock);
    if (result == 0 && command == F_OFD_SETLK && lock->l_type == F_RDLCK)
        locked_ns = now_ns();
    return result;
}

/* --- set up ----------------------------------------------------------------
 */

static void find_programs(Fixture *f)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = g_path_get_dirname(self);
    g_autofree char *build = g_getenv("BUILD")
                                 ? g_strdup(g_getenv("BUILD"))
                                 : g_build_filename(here, "../..", NULL);

    f->supervisor = g_build_filename(build, "virt-lock-supervisor", NULL);
    f->fakevmm = g_build_filename(build, "tests/bin/fakevmm", NULL);
}

static void map_stamps(Fixture *f)
{
    int fd = open(f->stamps, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    f->slot = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(f->slot != MAP_FAILED);
    close(fd);
}

static void open_driver(Fixture *f)
{
    static char *no_params[] = {NULL};
    static const DriverEvents events;

    f->resource = resource_new_disk(f->disk, RESOURCE_EXCLUSIVE, NULL);
    f->lease = (DriverLease){.id = 1, .resource = f->resource, .fd = -1};
    f->owner = (Record){.uuid = WAITER,
                        .name = "waiter",
                        .host = "here",
                        .boot_id = "now",
                        .pid = getpid()};
    f->context = (DriverContext){.state_dir = f->dir,
                                 .params = no_params,
                                 .owner = &f->owner,
                                 .events = &events};
    f->driver = driver_file.open(&f->context, NULL);
    g_assert_nonnull(f->driver);
}

static void set_up(Fixture *f, gconstpointer unused)
{
    *f = (Fixture){.dir = g_dir_make_tmp("sigkill-XXXXXX", NULL)};
    find_programs(f);
    f->disk = g_build_filename(f->dir, "disk", NULL);
    f->stamps = g_build_filename(f->dir, "stamps", NULL);
    f->socket = places_socket(f->dir, UUID);
    g_assert_true(g_file_set_contents(f->disk, "disk", 4, NULL));
    g_setenv("VIRT_LOCK_RUN_DIR", f->dir, TRUE);
    g_setenv("VIRT_LOCK_STATE_DIR", f->dir, TRUE);
    g_unsetenv("NOTIFY_SOCKET");
    map_stamps(f);
    open_driver(f);
}

static void remove_tree(const char *path)
{
    const char *name;
    GDir *dir = g_dir_open(path, 0, NULL);

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    if (dir)
        g_dir_close(dir);
    g_remove(path);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    driver_file.close(f->driver);
    resource_free(f->resource);
    munmap((void *)f->slot, 4096);
    remove_tree(f->dir);
    g_free(f->dir);
    g_free(f->disk);
    g_free(f->stamps);
    g_free(f->socket);
    g_free(f->supervisor);
    g_free(f->fakevmm);
}

/* --- the VM ----------------------------------------------------------------
 */

/* Starts a supervisor whose child stamps without a pause and has @more as its
 * last option; returns when it has begun. */
static void start_vm(Fixture *f, gboolean with_disk, const char *more)
{
    const char *argv[] = {f->supervisor, "--uuid",  UUID,      "--",
                          f->fakevmm,    "--stamp", f->stamps, "--busy",
                          more,          NULL,      NULL,      NULL};
    gint64 end = g_get_monotonic_time() + DEADLINE;
    pid_t parent = getpid();

    if (with_disk) {
        memmove(argv + 5, argv + 3, 6 * sizeof(*argv));
        argv[3] = "--disk";
        argv[4] = f->disk;
    }
    memset((void *)f->slot, 0, sizeof(*f->slot));
    if ((f->pid = fork()) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execv(argv[0], (char **)argv);
        _exit(99);
    }
    while (f->slot->ns == 0 && g_get_monotonic_time() < end)
        sched_yield();
    g_assert_cmpuint(f->slot->ns, >, 0);
}

/* The disk becomes the VM's while it runs. */
static void plug(const Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Client) client =
        client_connect(f->socket, DEADLINE / 1000, &error);
    int fd = open(f->disk, O_RDWR | O_CLOEXEC);

    g_assert_no_error(error);
    json_decref(client_call(client, "lease-acquire",
                            json_pack("{s:s}", "disk", f->disk), fd, NULL,
                            &error));
    g_assert_no_error(error);
    close(fd);
}

static void kill_supervisor(const Fixture *f)
{
    g_assert_cmpint(kill(f->pid, SIGKILL), ==, 0);
}

/* @pid is ours, or became ours when its parent died; it died of SIGKILL. */
static void reap(pid_t pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* --- the one who waits ------------------------------------------------------
 */

/* One try; a refusal names the VM, killed or not. */
static gboolean get_in(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    if (driver_file.acquire(f->driver, &f->lease, &error) == DRIVER_DONE)
        return TRUE;
    g_assert_error(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY);
    g_assert_nonnull(strstr(error->message, "held by '"));
    return FALSE;
}

static void leave(Fixture *f)
{
    g_assert_cmpint(driver_file.release(f->driver, &f->lease, NULL), ==,
                    DRIVER_DONE);
    g_clear_pointer(&f->lease.holder, json_decref);
}

/* Tries again and again, kills on the way; returns when we got in. */
static guint64 kill_and_get_in(Fixture *f)
{
    gint refusals = g_random_int_range(1, MAX_REFUSALS + 1);
    gint64 end = g_get_monotonic_time() + DEADLINE;
    guint64 killed = 0;

    while (!get_in(f)) {
        if (--refusals == 0) {
            killed = now_ns();
            kill_supervisor(f);
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    g_assert_cmpuint(killed, >, 0);
    g_assert_cmpuint(locked_ns, >, killed);
    return locked_ns;
}

/* Byte 0 and nothing else, as others look at it. */
static gboolean take_byte(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* --- tests ------------------------------------------------------------------
 */

/* How long after the child's last stamp somebody got in; negative: too early,
 * they overlapped. */
static gint64 margin_of_a_kill(Fixture *f, gboolean hot)
{
    guint64 granted;

    start_vm(f, !hot, NULL);
    if (hot)
        plug(f);
    granted = kill_and_get_in(f);
    reap(f->pid);
    reap((pid_t)f->slot->pid);
    leave(f);
    return (gint64)(granted - f->slot->ns);
}

static void nobody_gets_in_too_early(Fixture *f, gconstpointer data)
{
    gboolean hot = GPOINTER_TO_INT(data);
    gint64 smallest = G_MAXINT64;
    guint overlaps = 0, grants = 0;

    for (; grants < KILLS; grants++) {
        gint64 margin = margin_of_a_kill(f, hot);

        overlaps += margin < 0;
        smallest = MIN(smallest, margin);
    }
    g_test_message("%u kills, %u overlaps, smallest margin %.1f us", grants,
                   overlaps, (double)smallest / 1000);
    g_assert_cmpuint(grants, ==, KILLS);
    g_assert_cmpuint(overlaps, ==, 0);
}

/* The lease byte alone does not do it, and this test can see that. */
static void who_looks_at_the_lease_byte_only(Fixture *f, gconstpointer data)
{
    int fd = open(f->disk, O_RDWR | O_CLOEXEC);
    gint64 end = g_get_monotonic_time() + DEADLINE;
    guint64 granted;

    start_vm(f, TRUE, "--outlive-parent");
    g_assert_false(take_byte(fd));
    kill_supervisor(f);
    while (!take_byte(fd))
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    granted = now_ns();
    reap(f->pid);
    while (f->slot->ns <= granted)
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    close(fd);

    g_assert_false(get_in(f));
    g_assert_cmpint(kill((pid_t)f->slot->pid, SIGKILL), ==, 0);
    while (!get_in(f))
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    granted = now_ns();
    reap((pid_t)f->slot->pid);
    g_assert_cmpuint(granted, >, f->slot->ns);
    leave(f);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
    /* Orphans become ours. */
    prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
    g_test_add("/sigkill/who_looks_at_the_lease_byte_only", Fixture, NULL,
               set_up, who_looks_at_the_lease_byte_only, tear_down);
    g_test_add("/sigkill/disk", Fixture, GINT_TO_POINTER(FALSE), set_up,
               nobody_gets_in_too_early, tear_down);
    g_test_add("/sigkill/hot_plugged_disk", Fixture, GINT_TO_POINTER(TRUE),
               set_up, nobody_gets_in_too_early, tear_down);
    return g_test_run();
}
