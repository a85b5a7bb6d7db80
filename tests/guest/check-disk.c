/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: did two guests ever write to this disk at once?
 *
 * check-disk [--boots N] [--disk NAME] [--log FILE]... IMAGE
 *
 * Reads a raw image that the test guest wrote to and that nobody writes to
 * now (qcow2: convert it first) and checks every promise of ring.h: records
 * without a gap, each in its place, each naming the checksum of the one
 * before it, no boot that comes back after another one wrote. One block may
 * be torn, the one being written when the guest was killed. --boots demands
 * that exactly so many boots are in the ring.
 *
 * --log names what a guest said on its serial console, in the order of the
 * guests (a migrated one goes on in the target's log): every record that it
 * acknowledged must be there and still be its own, and nobody may have said
 * CORRUPT. NAME is the disk's name in the guests, by default vda.
 *
 * Prints "intact: newest=N records=N slots=N boots=N acks=N", or a sentence
 * for each broken promise. Exit status 0 intact, 1 broken, 2 cannot tell.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"

/* Sentences about one image; more say nothing new. */
#define MAX_SENTENCES 10

typedef struct {
    RingBlock *blocks; /* the owner block, then the ring */
    uint64_t slots;
    uint64_t oldest;
    uint64_t newest;
    uint64_t boots;
    uint64_t acks; /* seen in logs */
    unsigned torn;
    unsigned broken;
} Ring;

static void broken(Ring *ring, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void broken(Ring *ring, const char *format, ...)
{
    va_list args;

    if (ring->broken++ >= MAX_SENTENCES)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static const RingBlock *record(const Ring *ring, uint64_t seq)
{
    return &ring->blocks[ring_offset(seq, ring->slots) / RING_BLOCK_SIZE];
}

/* Slots of the ring, as any record says it; 0 where there is no record. */
static uint64_t find_slots(int fd, RingBlock *scratch)
{
    for (off_t at = 0;
         pread(fd, scratch, RING_BLOCK_SIZE, at) == RING_BLOCK_SIZE;
         at += RING_BLOCK_SIZE) {
        if (ring_valid(scratch))
            return scratch->slots;
    }
    return 0;
}

/* Returns 0, or the exit status where there is nothing to check. */
static int read_ring(Ring *ring, const char *path)
{
    RingBlock scratch;
    size_t size;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        fprintf(stderr, "cannot open '%s': %s\n", path, strerror(errno));
        return 2;
    }
    ring->slots = find_slots(fd, &scratch);
    if (ring->slots == 0 || ring->slots > SIZE_MAX / RING_BLOCK_SIZE - 1) {
        fprintf(stderr, "cannot check '%s': no record on it\n", path);
        close(fd);
        return 2;
    }
    size = (1 + ring->slots) * RING_BLOCK_SIZE;
    ring->blocks = malloc(size);
    if (!ring->blocks || pread(fd, ring->blocks, size, 0) != (ssize_t)size) {
        fprintf(stderr, "cannot read '%s': shorter than its ring\n", path);
        close(fd);
        return 2;
    }
    close(fd);
    return 0;
}

/* Finds the newest record; a valid one in a wrong place is a broken one. */
static void find_range(Ring *ring)
{
    bool any = false;

    for (uint64_t i = 1; i <= ring->slots; i++) {
        const RingBlock *found = &ring->blocks[i];

        if (!ring_valid(found))
            continue;
        if (found->slots != ring->slots || record(ring, found->seq) != found)
            broken(ring, "record %" PRIu64 " is in block %" PRIu64, found->seq,
                   i);
        else if (!any || found->seq > ring->newest)
            ring->newest = found->seq;
        any = true;
    }
    ring->oldest =
        ring->newest < ring->slots ? 0 : ring->newest - ring->slots + 1;
}

/* The place where record newest + 1 would go may be torn or still older. */
static void check_next_place(Ring *ring)
{
    const RingBlock *next = record(ring, ring->newest + 1);

    if (!ring_valid(next) && !ring_blank(next))
        ring->torn++;
    if (ring->newest + 1 >= ring->slots && !ring_valid(next))
        ring->oldest++;
    for (uint64_t seq = ring->newest + 2; seq < ring->slots; seq++) {
        if (!ring_blank(record(ring, seq)))
            broken(ring, "record %" PRIu64 " is written, %" PRIu64 " is not",
                   seq, ring->newest + 1);
    }
}

static void check_chain(Ring *ring)
{
    for (uint64_t seq = ring->oldest; seq <= ring->newest; seq++) {
        const RingBlock *found = record(ring, seq);
        const RingBlock *before = record(ring, seq - 1);

        if (!ring_valid(found) || found->seq != seq)
            broken(ring, "record %" PRIu64 " is missing", seq);
        else if (seq == 0 ? found->previous != 0
                          : seq > ring->oldest && ring_valid(before) &&
                                found->previous != before->sum)
            broken(ring,
                   "record %" PRIu64 " (boot %016" PRIx64
                   ") does not follow the one before it (boot %016" PRIx64 ")",
                   seq, found->boot, seq == 0 ? 0 : before->boot);
    }
}

/* Each boot's records must be in one piece. */
static void check_boots(Ring *ring)
{
    uint64_t *seen = calloc(ring->slots, sizeof(*seen));

    for (uint64_t seq = ring->oldest; seen && seq <= ring->newest; seq++) {
        uint64_t boot = record(ring, seq)->boot;
        uint64_t i = 0;

        if (ring->boots > 0 && seen[ring->boots - 1] == boot)
            continue;
        while (i < ring->boots && seen[i] != boot)
            i++;
        if (i < ring->boots)
            broken(ring,
                   "record %" PRIu64 ": boot %016" PRIx64
                   " wrote after another boot did",
                   seq, boot);
        seen[ring->boots++] = boot;
    }
    free(seen);
}

/* The owner block is the newest record, or the one before it. */
static void check_owner(Ring *ring)
{
    const RingBlock *owner = &ring->blocks[0];

    if (ring_blank(owner)) {
        if (ring->newest > 0)
            broken(ring, "the owner block was never written");
        return;
    }
    if (!ring_valid(owner))
        ring->torn++;
    else if (owner->sum != record(ring, ring->newest)->sum &&
             owner->sum != record(ring, ring->newest)->previous)
        broken(ring,
               "the owner block has record %" PRIu64 " of boot %016" PRIx64
               ", the newest is %" PRIu64 " of boot %016" PRIx64,
               owner->seq, owner->boot, ring->newest,
               record(ring, ring->newest)->boot);
    if (ring->torn > 1)
        broken(ring, "%u blocks are torn", ring->torn);
}

/* An acknowledged record is still there, and its boot's own. */
static void check_ack(Ring *ring, uint64_t boot, uint64_t seq)
{
    ring->acks++;
    if (seq > ring->newest)
        broken(ring,
               "record %" PRIu64 " was acknowledged, the newest on disk is "
               "%" PRIu64,
               seq, ring->newest);
    else if (boot && seq >= ring->oldest && record(ring, seq)->boot != boot)
        broken(ring,
               "record %" PRIu64 " was acknowledged to boot %016" PRIx64
               ", the one on disk is of boot %016" PRIx64,
               seq, boot, record(ring, seq)->boot);
}

/* Follows one guest's console; @boot lasts from one log to the next. */
static int check_log(Ring *ring, const char *path, const char *disk,
                     uint64_t *boot)
{
    char line[512];
    size_t len = strlen(disk);
    FILE *log = fopen(path, "re");

    if (!log) {
        fprintf(stderr, "cannot open '%s': %s\n", path, strerror(errno));
        return 2;
    }
    while (fgets(line, sizeof(line), log)) {
        const char *said = line + len + 1;
        uint64_t seq;

        if (strncmp(line, disk, len) != 0 || line[len] != ' ' ||
            !strchr(line, '\n'))
            continue;
        if (strncmp(said, "CORRUPT ", 8) == 0)
            broken(ring, "'%s' says: %.*s", path, (int)strcspn(line, "\r\n"),
                   line);
        else if (sscanf(said, "ACK %" SCNu64, &seq) == 1)
            check_ack(ring, *boot, seq);
        else
            sscanf(said, "START boot=%" SCNx64, boot);
    }
    fclose(log);
    return 0;
}

static int check_logs(Ring *ring, char **logs, int n, const char *disk)
{
    uint64_t boot = 0;
    int status = 0;

    for (int i = 0; i < n && status == 0; i++)
        status = check_log(ring, logs[i], disk, &boot);
    return status;
}

static void check_ring(Ring *ring, const char *boots)
{
    find_range(ring);
    check_next_place(ring);
    check_chain(ring);
    check_boots(ring);
    check_owner(ring);
    if (boots && ring->boots != strtoull(boots, NULL, 10))
        broken(ring, "%" PRIu64 " boots wrote, not %s", ring->boots, boots);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"boots", required_argument, NULL, 'b'},
        {"disk", required_argument, NULL, 'd'},
        {"log", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };
    const char *boots = NULL;
    const char *disk = "vda";
    char **logs = calloc(argc + 1, sizeof(*logs));
    int n_logs = 0;
    Ring ring = {0};
    int status;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'b')
            boots = optarg;
        else if (c == 'd')
            disk = optarg;
        else if (c == 'l' && logs)
            logs[n_logs++] = optarg;
        else
            optind = argc; /* getopt has said why */
    }
    if (optind != argc - 1) {
        fprintf(stderr,
                "usage: %s [--boots N] [--disk NAME] [--log FILE]... IMAGE\n",
                argv[0]);
        return 2;
    }
    status = read_ring(&ring, argv[optind]);
    if (status == 0) {
        check_ring(&ring, boots);
        status = check_logs(&ring, logs, n_logs, disk);
    }
    if (status == 0 && !ring.broken)
        printf("intact: newest=%" PRIu64 " records=%" PRIu64 " slots=%" PRIu64
               " boots=%" PRIu64 " acks=%" PRIu64 "\n",
               ring.newest, ring.newest - ring.oldest + 1, ring.slots,
               ring.boots, ring.acks);
    free(logs);
    free(ring.blocks);
    return status ? status : ring.broken > 0;
}
