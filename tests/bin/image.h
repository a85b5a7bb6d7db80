/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: an image, used as QEMU uses it
 *
 * QEMU locks bytes of its images through the very descriptor that it writes
 * with: 100 + N for what it does (0 reads, 1 writes, 3 resizes), 200 + N for
 * what it does not let others do; all are read locks (F_OFD_SETLK), conflicts
 * are looked for, not waited for. So such a byte stays locked as long as the
 * open file does, and a write that was given to io_uring keeps it open when
 * the process is long gone.
 */
#ifndef TESTS_BIN_IMAGE_H
#define TESTS_BIN_IMAGE_H

#include <err.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IMAGE_BLOCK = 4096, IMAGE_FILL = 'W' };

/* What QEMU 7.2 locks, each list ends with 0: as a writer of qcow2 that is
 * alone; as a writer with share-rw=on; as a reader. */
static const int image_alone[] = {100, 101, 103, 201, 203, 0};
static const int image_sharing[] = {100, 101, 0};
static const int image_reading[] = {100, 201, 0};

static inline int image_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        err(2, "cannot open '%s'", path);
    return fd;
}

static inline void image_lock(int fd, const int *bytes)
{
    for (; *bytes; bytes++) {
        struct flock lock = {.l_type = F_RDLCK,
                             .l_whence = SEEK_SET,
                             .l_start = *bytes,
                             .l_len = 1};

        if (fcntl(fd, F_OFD_SETLK, &lock))
            err(2, "cannot lock byte %d", *bytes);
    }
}

/* A ring for one entry; @sqes gets where the entry is to be written. */
static inline int image_ring(unsigned **tail, struct io_uring_sqe **sqes)
{
    struct io_uring_params params = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
    char *queue;

    if (ring < 0)
        err(2, "cannot set up io_uring");
    queue = mmap(NULL, params.sq_off.array + sizeof(unsigned),
                 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
                 IORING_OFF_SQ_RING);
    *sqes = mmap(NULL, sizeof(**sqes), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || *sqes == MAP_FAILED)
        err(2, "cannot map io_uring");
    *(unsigned *)(queue + params.sq_off.array) = 0;
    *tail = (unsigned *)(queue + params.sq_off.tail);
    return ring;
}

/* Gives the kernel a write of the first block, all IMAGE_FILL, and does not
 * wait for it. @fd is open for O_DIRECT. */
static inline void image_write(int fd)
{
    static _Alignas(IMAGE_BLOCK) char block[IMAGE_BLOCK];
    struct io_uring_sqe *sqe;
    unsigned *tail;
    int ring = image_ring(&tail, &sqe);

    memset(block, IMAGE_FILL, sizeof(block));
    *sqe = (struct io_uring_sqe){.opcode = IORING_OP_WRITE,
                                 .fd = fd,
                                 .addr = (uintptr_t)block,
                                 .len = sizeof(block)};
    atomic_store((_Atomic unsigned *)tail, 1);
    if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
        err(2, "cannot submit a write");
}

#endif
