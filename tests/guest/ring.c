/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: checksums and places of ring.h's records; no I/O
 */
#include <stddef.h>
#include <string.h>

#include "ring.h"

_Static_assert(sizeof(RingBlock) == RING_BLOCK_SIZE, "a record is a block");

uint64_t ring_offset(uint64_t seq, uint64_t slots)
{
    return (1 + seq % slots) * RING_BLOCK_SIZE;
}

/* FNV-1a over 64-bit words, the sum's own word taken as zero. */
static uint64_t checksum(const RingBlock *block)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t at = 0; at < sizeof(*block); at += sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, (const char *)block + at, sizeof(word));
        if (at == offsetof(RingBlock, sum))
            word = 0;
        hash = (hash ^ word) * 0x100000001b3;
        hash ^= hash >> 32;
    }
    return hash;
}

void ring_seal(RingBlock *block)
{
    memcpy(block->magic, RING_MAGIC, sizeof(block->magic));
    block->sum = checksum(block);
}

bool ring_valid(const RingBlock *block)
{
    return memcmp(block->magic, RING_MAGIC, sizeof(block->magic)) == 0 &&
           block->slots > 0 && block->sum == checksum(block);
}

bool ring_blank(const RingBlock *block)
{
    static const RingBlock blank;

    return memcmp(block, &blank, sizeof(blank)) == 0;
}
