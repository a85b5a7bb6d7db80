/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: a virtual machine monitor that opens and closes files on command
 *
 * `puppet FIFO` reads one order a line from FIFO and repeats each in
 * FIFO.done once it is carried out:
 *
 *   open PATH   open PATH for reading and writing, and keep it
 *   map         map the first page of the file opened last
 *   unmap       undo that
 *   close       close all opened files
 *   fork        make a child that has the same files open
 *   exit N      exit with status N (not repeated)
 */
#include "register.h"

#include <err.h>
#include <sys/mman.h>

enum { FILES = 8, MAP_SIZE = 4096 };

typedef struct {
    int files[FILES];
    int count;
    void *map;
} Puppet;

static void open_file(Puppet *puppet, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || puppet->count == FILES)
        err(2, "cannot open '%s'", path);
    puppet->files[puppet->count++] = fd;
}

static void close_files(Puppet *puppet)
{
    while (puppet->count)
        close(puppet->files[--puppet->count]);
}

static void map_file(Puppet *puppet)
{
    if (puppet->count)
        puppet->map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                           puppet->files[puppet->count - 1], 0);
    if (!puppet->map || puppet->map == MAP_FAILED)
        errx(2, "cannot map the file opened last");
}

static void fork_child(void)
{
    if (fork() != 0)
        return;
    register_process();
    for (;;)
        pause();
}

static void obey(Puppet *puppet, const char *order)
{
    if (strncmp(order, "open ", 5) == 0)
        open_file(puppet, order + 5);
    else if (strcmp(order, "map") == 0)
        map_file(puppet);
    else if (strcmp(order, "unmap") == 0)
        munmap(puppet->map, MAP_SIZE);
    else if (strcmp(order, "close") == 0)
        close_files(puppet);
    else if (strcmp(order, "fork") == 0)
        fork_child();
    else if (strncmp(order, "exit ", 5) == 0)
        exit(atoi(order + 5));
    else
        errx(2, "cannot obey '%s'", order);
}

int main(int argc, char **argv)
{
    Puppet puppet = {0};
    char order[4096];
    FILE *orders, *done;
    int fd;

    register_process();
    if (argc != 2)
        errx(2, "usage: puppet FIFO");
    /* Open for writing too, so that a FIFO never comes to its end. */
    fd = open(argv[1], O_RDWR | O_CLOEXEC);
    if (fd < 0 || !(orders = fdopen(fd, "r")))
        err(2, "cannot open '%s'", argv[1]);
    snprintf(order, sizeof(order), "%s.done", argv[1]);
    if (!(done = fopen(order, "we")))
        err(2, "cannot open '%s'", order);
    while (fgets(order, sizeof(order), orders)) {
        order[strcspn(order, "\n")] = '\0';
        obey(&puppet, order);
        fprintf(done, "%s\n", order);
        fflush(done);
    }
    return 0;
}
