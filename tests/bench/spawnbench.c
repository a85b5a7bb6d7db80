/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what it costs to start a program through another one
 *
 * spawnbench ROUNDS FILE
 *
 * Each line of FILE is a variant, "NAME<TAB>PROGRAM ARG ARG"; the first one
 * is the bare program. Every round runs each variant once, in a new random
 * order, so that whatever else the machine does meets all of them alike: it
 * is vfork, exec, standard streams on /dev/null, wait. Prints for each
 *
 *   NAME.median_us  NAME.p10_us  NAME.p90_us   wall-clock time
 *   NAME.over_us                               median beyond the first one's
 *   NAME.cpu_us                                user and system, median
 *
 * and fails where any run exits with another status than 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_VARIANTS 32
#define MAX_WORDS    64
#define WARM_UPS     3

typedef struct {
    char *name;
    char *argv[MAX_WORDS + 1];
    double *wall_us;
    double *cpu_us;
} Variant;

typedef struct {
    Variant variant[MAX_VARIANTS];
    int n;
    int rounds;
    int null_fd;
} Bench;

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static double time_us(struct timeval time)
{
    return time.tv_sec * 1e6 + time.tv_usec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Fills @variant from one line, which it keeps and cuts up. */
static bool parse_variant(Variant *variant, char *line, int rounds)
{
    char *tab = strchr(line, '\t');
    char *rest = NULL;
    int n = 0;

    if (!tab)
        return false;
    *tab = '\0';
    variant->name = line;
    for (char *word = strtok_r(tab + 1, " \n", &rest); word && n < MAX_WORDS;
         word = strtok_r(NULL, " \n", &rest))
        variant->argv[n++] = word;
    variant->wall_us = calloc(rounds, sizeof(double));
    variant->cpu_us = calloc(rounds, sizeof(double));
    return n > 0 && variant->wall_us && variant->cpu_us;
}

static bool read_variants(Bench *bench, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;

    if (!file) {
        fprintf(stderr, "cannot open '%s': %s\n", path, strerror(errno));
        return false;
    }
    while (bench->n < MAX_VARIANTS && getline(&line, &size, file) > 0) {
        if (!parse_variant(&bench->variant[bench->n], line, bench->rounds)) {
            fprintf(stderr, "cannot read '%s': bad line %d\n", path,
                    bench->n + 1);
            free(line);
            fclose(file);
            return false;
        }
        bench->n++;
        line = NULL; /* the variant's now */
        size = 0;
    }
    free(line);
    fclose(file);
    return true;
}

static bool run_once(const Bench *bench, const Variant *variant, int round)
{
    struct rusage usage;
    double began = now_us();
    double ended;
    int status;
    pid_t pid = vfork();

    if (pid == 0) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
            dup2(bench->null_fd, fd);
        execv(variant->argv[0], variant->argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) {
        fprintf(stderr, "cannot run '%s': %s\n", variant->name,
                strerror(errno));
        return false;
    }
    ended = now_us();
    if (status != 0) {
        fprintf(stderr, "cannot measure '%s': it ended with status %d\n",
                variant->name,
                WIFEXITED(status) ? WEXITSTATUS(status)
                                  : 128 + WTERMSIG(status));
        return false;
    }
    if (round >= 0) {
        variant->wall_us[round] = ended - began;
        variant->cpu_us[round] =
            time_us(usage.ru_utime) + time_us(usage.ru_stime);
    }
    return true;
}

static void shuffle(int *order, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int other = rand() % (i + 1);
        int swapped = order[i];

        order[i] = order[other];
        order[other] = swapped;
    }
}

static bool run_all(const Bench *bench)
{
    int order[MAX_VARIANTS];

    for (int i = 0; i < bench->n; i++)
        order[i] = i;
    srand(42);
    for (int round = -WARM_UPS; round < bench->rounds; round++) {
        shuffle(order, bench->n);
        for (int i = 0; i < bench->n; i++) {
            if (!run_once(bench, &bench->variant[order[i]], round))
                return false;
        }
    }
    return true;
}

static void report(const Bench *bench)
{
    double bare = 0;

    for (int i = 0; i < bench->n; i++) {
        const Variant *variant = &bench->variant[i];
        int rounds = bench->rounds;
        double median;

        qsort(variant->wall_us, rounds, sizeof(double), by_value);
        qsort(variant->cpu_us, rounds, sizeof(double), by_value);
        median = variant->wall_us[rounds / 2];
        if (i == 0)
            bare = median;
        printf("%s.median_us %.0f\n", variant->name, median);
        printf("%s.p10_us %.0f\n", variant->name,
               variant->wall_us[rounds / 10]);
        printf("%s.p90_us %.0f\n", variant->name,
               variant->wall_us[rounds * 9 / 10]);
        printf("%s.over_us %.0f\n", variant->name, median - bare);
        printf("%s.cpu_us %.0f\n", variant->name, variant->cpu_us[rounds / 2]);
    }
}

static void free_variants(Bench *bench)
{
    for (int i = 0; i < bench->n; i++) {
        free(bench->variant[i].name);
        free(bench->variant[i].wall_us);
        free(bench->variant[i].cpu_us);
    }
}

int main(int argc, char **argv)
{
    Bench bench = {.rounds = argc == 3 ? atoi(argv[1]) : 0};
    bool done;

    if (bench.rounds < 1) {
        fprintf(stderr, "usage: %s ROUNDS FILE\n", argv[0]);
        return 2;
    }
    bench.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    done = read_variants(&bench, argv[2]) && run_all(&bench);
    if (done)
        report(&bench);
    free_variants(&bench);
    return done ? 0 : 1;
}
