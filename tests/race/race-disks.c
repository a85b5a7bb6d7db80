/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the races test
 *
 * Four managers start, plug, end and kill VMs that want the same eight disks,
 * each as fast as it can, for some seconds. An observer that takes no lock
 * (observer.h) tells whether two ever had what only one may have. Then every
 * process must be gone, and one last supervisor for each uuid must get every
 * disk and every lease at once.
 *
 * Exit status 0: all that held, and enough has happened for that to mean
 * something. With --expect-overlaps: overlaps were seen, as they must be with
 * a driver that protects nothing.
 *
 * Should:  name the seed; end everything below it, however it ends itself.
 * Mustn't: look at a disk while managers run: the supervisors would see it.
 */
#include "manager.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DISK_SIZE = 1 << 20,
    GRACE_S = 60,      /* for managers to come to their end */
    LAST_START_S = 10, /* for a supervisor that finds all free */
    ENOUGH = 200       /* runs for each kind of end to have occurred */
};

typedef struct {
    char *supervisor, *stamper, *dir, *driver;
    char **options;
    int seconds, disks, least, deadline;
    gint64 seed;
    gboolean expect_overlaps;
} Arguments;

static void parse(int argc, char **argv, Arguments *args)
{
    const GOptionEntry entries[] = {
        {"supervisor", 0, 0, G_OPTION_ARG_FILENAME, &args->supervisor,
         "the program under test", "FILE"},
        {"stamper", 0, 0, G_OPTION_ARG_FILENAME, &args->stamper,
         "tests/bin/stamper", "FILE"},
        {"dir", 0, 0, G_OPTION_ARG_FILENAME, &args->dir,
         "an empty directory, absolute", "DIR"},
        {"seconds", 0, 0, G_OPTION_ARG_INT, &args->seconds, "how long", "N"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &args->seed,
         "that an earlier run has printed", "N"},
        {"option", 0, 0, G_OPTION_ARG_STRING_ARRAY, &args->options,
         "one more option of every supervisor", "OPTION"},
        {"disks", 0, 0, G_OPTION_ARG_INT, &args->disks, "how many", "N"},
        {"least", 0, 0, G_OPTION_ARG_INT, &args->least,
         "how many commands must have run", "N"},
        {"deadline", 0, 0, G_OPTION_ARG_INT, &args->deadline,
         "of each run, in seconds", "N"},
        {"expect-overlaps", 0, 0, G_OPTION_ARG_NONE, &args->expect_overlaps,
         "nothing protects the disks: overlaps must be seen", NULL},
        {0}};
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        errx(2, "%s", error->message);
    if (argc != 1 || !args->supervisor || !args->stamper || !args->dir ||
        args->seconds < 1 || args->disks < 1 || args->disks > DISKS)
        errx(2, "--supervisor, --stamper, --dir, --seconds are needed");
    if (!args->options)
        args->options = g_new0(char *, 1);
}

/* --- the world -------------------------------------------------------------
 */

static void *share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        err(2, "cannot map memory");
    return memory;
}

static void make_memory(World *world)
{
    int fd = memfd_create("race", MFD_CLOEXEC);

    world->memory_fd = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
    if (world->memory_fd < 0 || ftruncate(fd, sizeof(Memory)) < 0)
        err(2, "cannot make the memory");
    close(fd);
    world->memory = mmap(NULL, sizeof(Memory), PROT_READ | PROT_WRITE,
                         MAP_SHARED, world->memory_fd, 0);
    if (world->memory == MAP_FAILED)
        err(2, "cannot map the memory");
    world->exclusive = share(SLOTS * sizeof(uint32_t));
    world->ending = share(SLOTS * sizeof(uint32_t));
    world->duel = share(sizeof(uint32_t));
    world->counters = share(N_COUNTERS * sizeof(uint32_t));
    world->ends = share(N_ENDS * sizeof(uint32_t));
    world->history = history_new();
}

/* The upper half of the disks has second names: symbolic and hard links. */
static void make_disks(const World *world)
{
    for (int i = 0; i < DISKS; i++) {
        g_autofree char *path = disk_path(world, i, false);
        g_autofree char *second = disk_path(world, i, true);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd < 0 || ftruncate(fd, DISK_SIZE) < 0)
            err(2, "cannot make '%s'", path);
        close(fd);
        if (i >= DISKS / 2 &&
            (i % 2 ? symlink(path, second) : link(path, second)) < 0)
            err(2, "cannot make '%s'", second);
    }
}

/* Returns the end whose closing tells every stamper that it is over. */
static int make_world(World *world, const Arguments *args)
{
    int life[2];

    *world = (World){
        .supervisor = args->supervisor,
        .stamper = args->stamper,
        .dir = args->dir,
        .run_dir = g_strdup_printf("%s/run", args->dir),
        .state_dir = g_strdup_printf("%s/state", args->dir),
        .options = args->options,
        .disks = args->disks,
        .patience = (uint64_t)args->deadline * NS_PER_S,
        .seed = (uint64_t)args->seed,
        .until = now_ns() + (uint64_t)args->seconds * NS_PER_S,
    };
    make_memory(world);
    make_disks(world);
    if (pipe2(life, O_CLOEXEC) < 0 ||
        (world->life_fd = fcntl(life[0], F_DUPFD_CLOEXEC, ABOVE)) < 0)
        err(2, "cannot make a pipe");
    close(life[0]);
    return life[1];
}

/* --- the managers ----------------------------------------------------------
 */

static int start_manager(World *world, int number, int life, pid_t *pid)
{
    pid_t parent = getpid();
    int process;

    fflush(stdout);
    if ((*pid = fork()) < 0)
        err(2, "cannot fork");
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        close(life);
        manage(world, number);
    }
    if ((process = (int)syscall(SYS_pidfd_open, *pid, 0)) < 0)
        err(2, "cannot watch process %d", (int)*pid);
    return process;
}

/* FALSE, and a sentence, if one of them has failed or never ends. */
static bool await_managers(const World *world, struct pollfd *fds,
                           const pid_t *pids)
{
    uint64_t deadline = world->until + GRACE_S * NS_PER_S;
    int left = SLOTS, status;

    while (left > 0) {
        if (poll(fds, SLOTS, ms_until(deadline)) <= 0) {
            printf("FAILED: %d managers do not end\n", left);
            return false;
        }
        for (int i = 0; i < SLOTS; i++) {
            if (!fds[i].revents)
                continue;
            waitpid(pids[i], &status, 0);
            close(fds[i].fd);
            fds[i] = (struct pollfd){.fd = -1};
            if (status != 0) {
                printf("FAILED: manager %d: wait status %#x\n", i,
                       (unsigned)status);
                return false;
            }
            left--;
        }
    }
    return true;
}

static void kill_children(void)
{
    g_autofree char *path =
        g_strdup_printf("/proc/self/task/%d/children", (int)getpid());
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    for (char *next = text, *end; *next; next = end) {
        long pid = strtol(next, &end, 10);

        if (end == next)
            break;
        kill((pid_t)pid, SIGKILL); /* a child that nobody has waited for */
    }
}

/* Orphans come to us, their reaper: who has no child left has ended all. */
static bool end_everyone(void)
{
    const struct timespec gap = {0, NS_PER_MS};
    uint64_t deadline = now_ns() + LAST_START_S * NS_PER_S;
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0 || errno != ECHILD) {
        if (now_ns() > deadline) {
            printf("FAILED: processes are left that cannot be ended\n");
            return false;
        }
        kill_children();
        if (pid == 0)
            nanosleep(&gap, NULL);
    }
    return true;
}

/* --- the verdict -----------------------------------------------------------
 */

static char **last_command(const World *world, int uuid)
{
    g_autofree char *text = uuid_text(uuid);
    GPtrArray *argv = g_ptr_array_new();

#define ADD(...) g_ptr_array_add(argv, g_strdup_printf(__VA_ARGS__))
    ADD("%s", world->supervisor);
    ADD("--uuid=%s", text);
    ADD("--run-dir=%s", world->run_dir);
    ADD("--state-dir=%s", world->state_dir);
    for (char **option = world->options; *option; option++)
        ADD("%s", *option);
    for (int i = 0; i < DISKS; i++)
        ADD("--disk=%s/disk%d", world->dir, i);
    for (int i = DISKS; i < DISKS + LEASES; i++)
        ADD("--lease=race:lease%d", i);
    ADD("--");
    ADD("/bin/true");
#undef ADD
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}

/* Everything can be had at once, by each uuid in turn, without waiting. */
static bool all_is_free(const World *world)
{
    bool fine = true;

    for (int uuid = 0; uuid < UUIDS; uuid++) {
        g_auto(GStrv) argv = last_command(world, uuid);
        struct pollfd pollfd = {.events = POLLIN};
        int status = -1;
        pid_t pid = fork();

        if (pid == 0) {
            execv(argv[0], argv);
            _exit(125);
        }
        pollfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (poll(&pollfd, 1, LAST_START_S * 1000) <= 0)
            kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        close(pollfd.fd);
        if (status == 0)
            continue;
        printf("FAILED: not all is free for uuid %d: wait status %#x\n", uuid,
               (unsigned)status);
        fine = false;
    }
    if (rmdir(world->run_dir) < 0) {
        printf("FAILED: '%s' is not empty: %s\n", world->run_dir,
               g_strerror(errno));
        fine = false;
    }
    return fine;
}

static void print_counts(const World *world)
{
    static const char *const names[] = {
#define X(code, name) name,
        COUNTERS(X)
#undef X
    };

    for (int i = 0; i < N_COUNTERS; i++) {
        if (world->counters[i])
            printf("%s: %u\n", names[i], world->counters[i]);
    }
    printf("ends:\n");
    for (int i = 0; i < N_ENDS; i++)
        printf("  %s: %u\n", end_name((End)i), world->ends[i]);
}

/* A test in which little has happened has found nothing out. */
static bool enough(const World *world, int least)
{
    const _Atomic uint32_t *counters = world->counters;
    uint32_t ran = counters[COUNT_RAN];
    bool fine = ran >= (unsigned)least && counters[COUNT_REFUSED] > 0 &&
                counters[COUNT_PLUGGED] >= ran / 10 &&
                counters[COUNT_UNPLUGGED] >= ran / 40;

    for (int i = 0; ran >= ENOUGH && i < N_ENDS; i++)
        fine = fine && world->ends[i] > 0;
    if (!fine)
        printf("FAILED: too little has happened\n");
    return fine;
}

int main(int argc, char **argv)
{
    Arguments args = {
        .seconds = 20, .disks = DISKS, .deadline = 20, .seed = -1};
    struct pollfd fds[SLOTS];
    pid_t pids[SLOTS];
    World world;
    bool fine, clean;
    int life;

    parse(argc, argv, &args);
    while (args.seed < 0) {
        if (getrandom(&args.seed, 4, 0) != 4)
            err(2, "cannot draw a seed");
        args.seed &= G_MAXUINT32;
    }
    printf("seed %" G_GINT64_FORMAT ", %d s, %d VMs, %d disks\n", args.seed,
           args.seconds, SLOTS, args.disks);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    life = make_world(&world, &args);
    for (int i = 0; i < SLOTS; i++)
        fds[i] = (struct pollfd){start_manager(&world, i, life, &pids[i]),
                                 POLLIN, 0};
    fine = await_managers(&world, fds, pids);
    if (!fine)
        kill_children(); /* before anybody wonders what is going on */
    close(life);
    fine = end_everyone() && fine;
    print_counts(&world);
    clean = history_judge(world.history) == 0 &&
            world.counters[COUNT_CONFLICTS] == 0;
    fine = fine && all_is_free(&world) && enough(&world, args.least);
    if (args.expect_overlaps == clean)
        printf("FAILED: %s\n", clean ? "no overlap was seen"
                                     : "two had what only one may have");
    return fine && args.expect_overlaps != clean ? 0 : 1;
}
