/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the test guest writes to its disks
 *
 * Block 0 is the owner block, a copy of the newest record. Blocks 1..slots
 * are a ring: the record with sequence number S is in block 1 + S % slots.
 * Every record names the boot that wrote it and carries the checksum of the
 * record before it, across boots too. A writer writes the record first and
 * the owner block after it, and before each record it reads both back: what
 * it finds must be its own. Two guests that write to one disk therefore find
 * each other within a few records, and whoever reads the disk afterwards
 * sees boots that alternate or a chain that is broken.
 *
 * Guest and check-disk share this file, so the layout is little-endian x86's.
 */
#ifndef GUEST_RING_H
#define GUEST_RING_H

#include <stdbool.h>
#include <stdint.h>

#define RING_BLOCK_SIZE 4096
#define RING_MAGIC      "VLSRING1"

typedef struct {
    char magic[8];
    uint64_t boot;        /* of the guest that wrote it */
    uint64_t seq;         /* 0, 1, 2, ... over all boots */
    uint64_t previous;    /* sum of record seq - 1; 0 for record 0 */
    uint64_t slots;       /* in the ring */
    uint64_t boottime_ns; /* CLOCK_BOOTTIME in the guest */
    uint64_t sum;         /* of this block with sum = 0 */
    uint8_t zero[RING_BLOCK_SIZE - 56];
} RingBlock;

/* Byte offset on the disk of record @seq. */
uint64_t ring_offset(uint64_t seq, uint64_t slots);
/* Fills in magic and sum. */
void ring_seal(RingBlock *block);
/* TRUE where magic and sum are right. */
bool ring_valid(const RingBlock *block);
/* TRUE where every byte is zero: never written. */
bool ring_blank(const RingBlock *block);

#endif
