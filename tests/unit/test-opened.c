/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what a process may write to, as its /proc tells it. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opened.h"
#include "tap.h"

#define NOBODY 65534

static char *directory;

/* Opens a file of @size bytes, whose name is its only one. */
static int open_file(const char *name, int flags, off_t size)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(truncate(path, size), ==, 0);
    return fd;
}

/* --- the pure part -------------------------------------------------------- */

static void test_is_image(void)
{
    static const struct {
        OpenedFile file;
        gboolean image;
    } cases[] = {
        {{.flags = O_RDWR, .links = 1, .size = 512}, TRUE},
        {{.flags = O_RDWR | O_DIRECT, .links = 2, .size = 1 << 20}, TRUE},
        {{.flags = O_RDWR, .links = 1, .size = 511}, FALSE},
        {{.flags = O_RDWR, .links = 0, .size = 512}, FALSE},
        {{.flags = O_WRONLY, .links = 1, .size = 512}, FALSE},
        {{.flags = O_RDONLY, .links = 1, .size = 512}, FALSE},
        {{.flags = O_RDWR, .links = 1, .size = 512, .hugetlb = TRUE}, FALSE},
        {{.flags = O_RDWR | O_PATH, .links = 1, .size = 512}, FALSE},
        {{.block = TRUE, .flags = O_RDWR, .links = 1}, TRUE},
        {{.block = TRUE, .flags = O_WRONLY, .links = 0}, TRUE},
        {{.block = TRUE, .flags = O_RDONLY, .links = 1}, FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %" G_GSIZE_FORMAT, i);
        g_assert_cmpint(opened_is_image(&cases[i].file), ==, cases[i].image);
    }
}

/* --- looking at ourselves ------------------------------------------------- */

typedef struct {
    int fd;
    OpenedFile file; /* without its path */
    char *path;
    guint visits;
} Sight;

static gboolean keep(const OpenedFile *file, gpointer data)
{
    Sight *sight = data;

    if (file->fd != sight->fd)
        return FALSE;
    sight->visits++;
    sight->file = *file;
    g_free(sight->path);
    sight->path = g_strdup(file->path);
    return FALSE;
}

/* What is told of @fd, after which it is closed. */
static Sight see(int fd)
{
    Sight sight = {.fd = fd};

    g_assert_true(opened_walk(getpid(), keep, &sight));
    if (sight.visits)
        g_assert_cmpint(sight.file.pid, ==, getpid());
    close(fd);
    return sight;
}

static void set_lock(int fd, off_t start, off_t len)
{
    struct flock lock = {.l_type = F_RDLCK,
                         .l_whence = SEEK_SET,
                         .l_start = start,
                         .l_len = len};

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
}

static void test_file(void)
{
    int fd = open_file("a file", O_RDWR, 4096);
    g_autofree char *path = g_build_filename(directory, "a file", NULL);
    struct stat st;
    Sight sight;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    sight = see(fd);
    g_assert_cmpuint(sight.visits, ==, 1);
    g_assert_cmpstr(sight.path, ==, path);
    g_assert_false(sight.file.block);
    g_assert_cmpuint(sight.file.device, ==, st.st_dev);
    g_assert_cmpuint(sight.file.inode, ==, st.st_ino);
    g_assert_cmpuint(sight.file.size, ==, 4096);
    g_assert_cmpuint(sight.file.links, ==, 1);
    g_assert_cmpint(sight.file.flags & O_ACCMODE, ==, O_RDWR);
    g_assert_false(sight.file.hugetlb);
    g_assert_false(sight.file.qemu);
    g_assert_true(opened_is_image(&sight.file));
    g_free(sight.path);
}

static void test_not_written(void)
{
    g_autofree char *path = g_build_filename(directory, "x", NULL);

    g_assert_cmpuint(see(open_file("x", O_RDONLY, 4096)).visits, ==, 0);
    g_assert_cmpuint(see(open(path, O_PATH | O_CLOEXEC)).visits, ==, 0);
    g_assert_cmpuint(see(open(directory, O_RDONLY | O_CLOEXEC)).visits, ==, 0);
    g_assert_cmpuint(see(open("/dev/null", O_RDWR | O_CLOEXEC)).visits, ==, 0);
}

static void test_unlinked(void)
{
    g_autofree char *path = g_build_filename(directory, "gone", NULL);
    int fd = open_file("gone", O_RDWR, 4096);
    Sight sight;

    unlink(path);
    sight = see(fd);
    g_assert_cmpuint(sight.visits, ==, 1);
    g_assert_cmpuint(sight.file.links, ==, 0);
    g_free(sight.path);
}

static void test_locks(void)
{
    static const struct {
        off_t start, len;
        gboolean qemu;
    } cases[] = {{100, 1, TRUE},  {201, 1, TRUE}, {100, 200, TRUE},
                 {0, 1, FALSE},   {99, 1, FALSE}, {300, 1, FALSE},
                 {100, 0, FALSE}, {0, 0, FALSE},  {99, 2, FALSE}};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        int fd = open_file("locked", O_RDWR, 4096);
        Sight sight;

        g_test_message("case %" G_GSIZE_FORMAT, i);
        set_lock(fd, cases[i].start, cases[i].len);
        sight = see(fd);
        g_assert_cmpuint(sight.visits, ==, 1);
        g_assert_cmpint(sight.file.qemu, ==, cases[i].qemu);
        g_free(sight.path);
    }
}

/* The second of two locks counts, too. */
static void test_many_locks(void)
{
    int fd = open_file("locked", O_RDWR, 4096);
    Sight sight;

    set_lock(fd, 0, 1);
    set_lock(fd, 101, 1);
    sight = see(fd);
    g_assert_true(sight.file.qemu);
    g_free(sight.path);
}

static gboolean count(const OpenedFile *file, gpointer data)
{
    ++*(guint *)data;
    return TRUE;
}

static void test_end(void)
{
    int one = open_file("one", O_RDWR, 1), two = open_file("two", O_RDWR, 1);
    guint visits = 0;

    g_assert_true(opened_walk(getpid(), count, &visits));
    g_assert_cmpuint(visits, ==, 1);
    close(one);
    close(two);
}

/* --- threads and other processes ------------------------------------------ */

typedef struct {
    int opened; /* to the test: the thread's descriptor */
    int done;   /* from the test */
} Pipes;

static gpointer have_own_descriptors(gpointer data)
{
    const Pipes *pipes = data;
    int fd = -1;
    char byte;

    if (unshare(CLONE_FILES) == 0)
        fd = open_file("of a thread", O_RDWR, 4096);
    g_assert_cmpint(write(pipes->opened, &fd, sizeof(fd)), ==, sizeof(fd));
    g_assert_cmpint(read(pipes->done, &byte, 1), ==, 1);
    return NULL;
}

/* Is found though the main thread has no such descriptor; and what both have
 * is visited once. */
static void test_thread(void)
{
    int opened[2], done[2], common = open_file("common", O_RDWR, 4096), fd;
    Sight own = {0}, both = {.fd = common};
    GThread *thread;
    Pipes pipes;

    g_assert_cmpint(pipe2(opened, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(done, O_CLOEXEC), ==, 0);
    pipes = (Pipes){opened[1], done[0]};
    thread = g_thread_new("own", have_own_descriptors, &pipes);
    g_assert_cmpint(read(opened[0], &fd, sizeof(fd)), ==, sizeof(fd));
    g_assert_cmpint(fd, >=, 0);
    own.fd = fd;
    g_assert_true(opened_walk(getpid(), keep, &own));
    g_assert_true(opened_walk(getpid(), keep, &both));
    g_assert_cmpint(write(done[1], "", 1), ==, 1);
    g_thread_join(thread);
    g_assert_cmpuint(own.visits, ==, 1);
    g_assert_cmpuint(both.visits, ==, 1);
    g_assert_true(g_str_has_suffix(own.path, "/of a thread"));
    g_free(own.path);
    g_free(both.path);
    close(common);
    for (int i = 0; i < 2; i++) {
        close(opened[i]);
        close(done[i]);
    }
}

/* A zombie has nothing open, nor has what is not there at all. */
static void test_dead(void)
{
    guint visits = 0;
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), ==, 0);
    g_assert_true(opened_walk(pid, count, &visits));
    g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED), ==, 0);
    g_assert_true(opened_walk(pid, count, &visits));
    g_assert_cmpuint(visits, ==, 0);
}

/* As somebody who may not look at us. */
static int look_as_nobody(pid_t pid)
{
    guint visits = 0;

    if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        return 2;
    if (opened_walk(pid, count, &visits))
        return 3;
    return errno == EACCES || errno == EPERM ? 0 : 4;
}

static void test_unreadable(void)
{
    siginfo_t info;
    pid_t pid;

    if (geteuid() != 0) {
        g_test_skip("only root can become somebody else");
        return;
    }
    pid = fork();
    if (pid == 0)
        _exit(look_as_nobody(getppid()));
    g_assert_cmpint(waitid(P_PID, (id_t)pid, &info, WEXITED), ==, 0);
    g_assert_cmpint(info.si_status, ==, 0);
}

static void remove_directory(void)
{
    GDir *dir = g_dir_open(directory, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        unlink(path);
    }
    g_dir_close(dir);
    rmdir(directory);
    g_free(directory);
}

int main(int argc, char **argv)
{
    int status;

    tap_init(argc, argv);
    directory = g_dir_make_tmp("opened-XXXXXX", NULL);
    g_test_add_func("/opened/is-image", test_is_image);
    g_test_add_func("/opened/file", test_file);
    g_test_add_func("/opened/not-written", test_not_written);
    g_test_add_func("/opened/unlinked", test_unlinked);
    g_test_add_func("/opened/locks", test_locks);
    g_test_add_func("/opened/many-locks", test_many_locks);
    g_test_add_func("/opened/end", test_end);
    g_test_add_func("/opened/thread", test_thread);
    g_test_add_func("/opened/dead", test_dead);
    g_test_add_func("/opened/unreadable", test_unreadable);
    status = g_test_run();
    remove_directory();
    return status;
}
