/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: one disk's writer in the test guest
 */
#ifndef GUEST_WRITER_H
#define GUEST_WRITER_H

#include <stdint.h>

typedef struct {
    uint64_t boot;        /* this boot's number, unlike any other's */
    uint64_t slots;       /* at most so many in the ring */
    uint64_t interval_us; /* between two records */
    uint64_t ack_every;   /* records per ACK line */
    uint64_t end_at;      /* the last record; 0: there is none */
} WriterOptions;

/* writer_run's answer where record end_at was its last. */
#define WRITER_AT_END 3

/* One line on the guest's serial console, in one write. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * writer_run:
 * @disk: name of a block device in /dev
 *
 * Writes records until something is wrong. Returns 1 after an I/O error,
 * which is said as FAILED, and 2 where the disk holds what this writer did
 * not write, said as CORRUPT; WRITER_AT_END once record end_at is on the disk
 * and acknowledged.
 */
int writer_run(const char *disk, const WriterOptions *options);

#endif
