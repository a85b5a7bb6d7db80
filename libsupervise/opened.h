/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what a process may write to
 *
 * Reads /proc/PID of one process: which regular files and block devices it
 * has open for writing, and which of them look like disk images. Supervisor
 * and clients share it, so that both mean the same by it.
 *
 * An image is a block device that is open for writing, or a regular file
 * that is open for reading and writing, has a name still and at least a
 * sector, and is no huge pages. It is one for certain where QEMU's locks are
 * on it. What is only mapped is not seen.
 *
 * Should:  look at each thread (they need not share their descriptors); say
 *          where something cannot be seen.
 * Mustn't: open anything but what is in /proc, or ask a file's server; need
 *          a system call that a confined supervisor has not (it is openat,
 *          read, readlinkat, getdents64 and statx that do it).
 */
#ifndef LIBSUPERVISE_OPENED_H
#define LIBSUPERVISE_OPENED_H

#include <glib.h>
#include <sys/types.h>

/* The shortest file that can be an image, in bytes. */
#define OPENED_SECTOR 512

typedef struct {
    pid_t pid;
    int fd;           /* its number in that process */
    const char *path; /* as the kernel tells it; valid during the visit */
    gboolean block;
    dev_t device; /* of a block device its own number ... */
    ino_t inode;  /* ... and no inode: 0 */
    int flags;    /* of open(2); never O_RDONLY or O_PATH */
    guint64 size; /* bytes; of a regular file */
    guint links;  /* names that it has */
    gboolean hugetlb;
    gboolean qemu; /* a lock on some of QEMU's bytes was set through it */
} OpenedFile;

/* TRUE ends the walk. */
typedef gboolean OpenedVisit(const OpenedFile *file, gpointer data);

/*
 * opened_walk:
 *
 * Visits each regular file and block device that @pid has open for writing;
 * one of a descriptor that several threads have is visited once. FALSE and
 * errno where not all could be seen; what could be is visited all the same.
 * A process that is not there, or dead, has nothing open. Who needs it to be
 * the same process all the time pins it with a pidfd, and looks at that
 * afterwards.
 */
gboolean opened_walk(pid_t pid, OpenedVisit *visit, gpointer data);

/* Whether it looks like a disk image. Pure. */
gboolean opened_is_image(const OpenedFile *file);

#endif
