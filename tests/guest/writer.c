/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: one disk's writer in the test guest
 *
 * Reads what an earlier boot left, then for ever: read the owner block and
 * the newest record back, compare, write the next record, write the owner
 * block. All of it is O_DIRECT | O_DSYNC, so a record that was acknowledged
 * is on the disk, whatever happens to the guest next.
 *
 * Says on the console:
 *   DISK START boot=B seq=S slots=N   the first record it will write
 *   DISK ACK S                        records up to S are on the disk
 *   DISK CORRUPT block=K ...          someone else wrote there; it stops
 *   DISK FAILED what: why             an I/O error; it stops
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#include "ring.h"
#include "writer.h"

/* Blocks read at once while looking for the newest record. */
#define SCAN_BLOCKS 64

typedef struct {
    const char *disk;
    int fd;
    uint64_t slots;
    RingBlock *last;    /* as written, or as found at the start */
    RingBlock *scratch; /* SCAN_BLOCKS of them */
} Writer;

static bool failed(const Writer *w, const char *what)
{
    say("%s FAILED %s: %s\n", w->disk, what, strerror(errno));
    return false;
}

static bool writer_open(Writer *w, const WriterOptions *options)
{
    char path[64];
    void *memory = NULL;
    uint64_t size = 0;

    snprintf(path, sizeof(path), "/dev/%s", w->disk);
    w->fd = open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    if (w->fd < 0 || ioctl(w->fd, BLKGETSIZE64, &size) < 0)
        return failed(w, "open");
    if (size < 3 * RING_BLOCK_SIZE) {
        errno = ENOSPC;
        return failed(w, "open");
    }
    w->slots = size / RING_BLOCK_SIZE - 1;
    if (w->slots > options->slots)
        w->slots = options->slots;
    errno = posix_memalign(&memory, RING_BLOCK_SIZE,
                           (1 + SCAN_BLOCKS) * RING_BLOCK_SIZE);
    if (errno)
        return failed(w, "allocate");
    w->last = memory;
    w->scratch = w->last + 1;
    memset(w->last, 0, sizeof(*w->last));
    return true;
}

/* Finds the newest record of earlier boots; w->last stays blank if none. */
static bool find_newest(Writer *w)
{
    uint64_t end = (1 + w->slots) * RING_BLOCK_SIZE;

    for (uint64_t at = 0; at < end;) {
        size_t want = SCAN_BLOCKS * RING_BLOCK_SIZE;

        if (want > end - at)
            want = end - at;
        if (pread(w->fd, w->scratch, want, at) != (ssize_t)want)
            return failed(w, "read");
        if (at == 0 && ring_blank(&w->scratch[0]))
            return true;
        for (size_t i = 0; i < want / RING_BLOCK_SIZE; i++) {
            const RingBlock *found = &w->scratch[i];

            if (ring_valid(found) &&
                (!ring_valid(w->last) || found->seq > w->last->seq))
                *w->last = *found;
        }
        at += want;
    }
    return true;
}

/* Compares what is on the disk at @at with what this writer wrote last. */
static int check_block(const Writer *w, uint64_t at)
{
    const RingBlock *found = w->scratch;

    if (pread(w->fd, w->scratch, RING_BLOCK_SIZE, at) != RING_BLOCK_SIZE) {
        failed(w, "read");
        return 1;
    }
    if (memcmp(found, w->last, sizeof(*found)) == 0)
        return 0;
    say("%s CORRUPT block=%" PRIu64 " wrote boot=%016" PRIx64 " seq=%" PRIu64
        ", found boot=%016" PRIx64 " seq=%" PRIu64 "%s\n",
        w->disk, at / RING_BLOCK_SIZE, w->last->boot, w->last->seq, found->boot,
        found->seq, ring_valid(found) ? "" : " (no record)");
    return 2;
}

static bool write_next(Writer *w, uint64_t boot, uint64_t seq)
{
    struct timespec now;
    RingBlock *next = w->last;

    clock_gettime(CLOCK_BOOTTIME, &now);
    next->previous = next->sum;
    next->boot = boot;
    next->seq = seq;
    next->slots = w->slots;
    next->boottime_ns = now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
    ring_seal(next);
    if (pwrite(w->fd, next, RING_BLOCK_SIZE, ring_offset(seq, w->slots)) !=
            RING_BLOCK_SIZE ||
        pwrite(w->fd, next, RING_BLOCK_SIZE, 0) != RING_BLOCK_SIZE)
        return failed(w, "write");
    return true;
}

static void pause_us(uint64_t us)
{
    struct timespec interval = {
        .tv_sec = us / 1000000,
        .tv_nsec = us % 1000000 * 1000,
    };

    if (us > 0)
        nanosleep(&interval, NULL);
}

int writer_run(const char *disk, const WriterOptions *options)
{
    Writer w = {.disk = disk, .fd = -1};
    uint64_t first;

    if (!writer_open(&w, options) || !find_newest(&w))
        return 1;
    first = ring_valid(w.last) ? w.last->seq + 1 : 0;
    say("%s START boot=%016" PRIx64 " seq=%" PRIu64 " slots=%" PRIu64 "\n",
        disk, options->boot, first, w.slots);
    for (uint64_t seq = first;; seq++) {
        if (seq > first) {
            int wrong = check_block(&w, 0);

            if (!wrong)
                wrong = check_block(&w, ring_offset(seq - 1, w.slots));
            if (wrong)
                return wrong;
        }
        if (!write_next(&w, options->boot, seq))
            return 1;
        if (seq % options->ack_every == 0 || seq == options->end_at)
            say("%s ACK %" PRIu64 "\n", disk, seq);
        if (options->end_at && seq == options->end_at)
            return WRITER_AT_END;
        pause_us(options->interval_us);
    }
}
