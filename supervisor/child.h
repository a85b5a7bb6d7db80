/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the child, from fork to the last of its descendants
 *
 * The only room that signals or waits. The child is forked early and parked
 * at a barrier, so that the parent can confine itself before QEMU runs; it
 * is killed by the kernel when we die (PR_SET_PDEATHSIG, set after every
 * credential change and followed by a look at getppid()).
 *
 * We are a child subreaper, so every descendant that loses its parent comes
 * to us: the tree is gone when no child is left but those that were ours
 * before. When the child ends and descendants live on (QEMU -daemonize), the
 * oldest of them is the child from then on. Orphans of processes that were
 * children of ours before the start cannot be told from orphans of the
 * child's; in doubt they count as the child's.
 *
 * A process that lives already can take the child's place (child_attach.c).
 *
 * Should:  act through pidfds, and through a PID only until it is reaped.
 * Mustn't: block; touch leases; touch children that were ours before.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include <glib.h>
#include <sys/types.h>

#include "signals.h"
#include "tree.h"

#define CHILD_INHERIT_MAX 4

typedef struct Child Child;

typedef struct {
    char **command;       /* NULL-terminated; searched in PATH */
    gboolean credentials; /* apply the next four */
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    gsize n_groups;
    int inherit[CHILD_INHERIT_MAX]; /* of ours, for the child too */
    guint n_inherit;
    mode_t mask;            /* umask(2) for the child */
    const Signals *signals; /* to be restored in the child */
} ChildSpec;

/* Where a child that never ran the command has failed. */
typedef enum {
    CHILD_STAGE_CREDENTIALS,
    CHILD_STAGE_PARENT, /* we were gone before it could watch us */
    CHILD_STAGE_EXEC,
} ChildStage;

typedef struct {
    /* The command runs. */
    void (*started)(gpointer opaque);
    /* It never ran, and the process is reaped. @err: errno. */
    void (*failed)(gpointer opaque, ChildStage stage, int err);
    /* The process called child has ended, with a wait(2) @status; -1: that is
     * not known. */
    void (*exited)(gpointer opaque, pid_t pid, int status);
    /* ... and @pid, a descendant of it, is the child now. */
    void (*adopted)(gpointer opaque, pid_t pid);
    /* Of an attached one: @pid is a descendant, and nobody knew of it. @pidfd
     * stays the child's room's. */
    void (*found)(gpointer opaque, pid_t pid, int pidfd);
    /* Nothing is left of it. */
    void (*gone)(gpointer opaque);
    /* The terminal's job control stopped it, by @sig. */
    void (*stopped)(gpointer opaque, int sig);
} ChildEvents;

/* Becomes child subreaper. */
Child *child_new(const ChildEvents *events, gpointer opaque, GError **error);
void child_free(Child *child);

/* Processes of this session guard us, and are not the child's. */
void child_set_guard(Child *child, pid_t session);
/* What another process needs to kill it: a pidfd, and cgroup.kill and
 * cgroup.procs of a control group of its own; -1 where there is none, or it is
 * to be left alone yet. They stay the child's. */
void child_handles(const Child *child, int *pidfd, int *cgroup_kill,
                   int *cgroup_procs);
/* Tells (found) again of all descendants that are known of an attached one. */
void child_find_again(const Child *child);

/* Notes the children that are ours already, and forks the child up to the
 * barrier. */
gboolean child_park(Child *child, const ChildSpec *spec, GError **error);
/* Lets it go on; started or failed follows. */
void child_start(Child *child);

/*
 * child_attach:
 * @pidfd: of @pid; stays the caller's
 *
 * Instead of child_park() and child_start(): watches a process that lives
 * already and is not our child. It is left alone until child_adopt(), but
 * exited and gone are told of it.
 */
gboolean child_attach(Child *child, pid_t pid, int pidfd, GError **error);
/* It is the child from now on, and is not left alone any more. */
void child_adopt(Child *child);
/* ... and started is told. */
void child_say_started(Child *child);
/* How the attached process has ended. FALSE where that is not known: the
 * kernel does not tell before its parent has reaped it, for which this waits a
 * moment, or not at all. For the very end. */
gboolean child_ask_status(const Child *child, int *status);

/* SIGTERM, passed on to whoever is the child later. */
void child_terminate(Child *child);
void child_signal(Child *child, int sig);
/* SIGKILL for the child and all its descendants, again at each call and
 * whenever one more turns up. */
void child_kill(Child *child);
/* To be called on every SIGCHLD. */
void child_reap(Child *child);

/* 0 where there is none (any more). */
pid_t child_pid(const Child *child);
/* TRUE where signals that the terminal sends to us reach the child too. */
gboolean child_in_our_group(const Child *child);
/* Clock ticks after boot (field 22 of /proc/PID/stat); 0: unknown. */
guint64 child_start_time(Child *child);
/* -1 where there is none; stays the child's room's. */
int child_pidfd(const Child *child);
gboolean child_is_started(const Child *child);

/* What it does, as proc_describe says it; newly allocated. */
char *child_describe(const Child *child);
/* Calls @visit for each process of the tree, see tree.h. FALSE where some
 * could not be seen. */
gboolean child_walk(const Child *child, TreeVisit visit, gpointer data);
/* A process of the tree that has the file open (see proc.h), or 0. @sure is
 * set to FALSE where one of them did not let us look. */
pid_t child_find_open(const Child *child, gboolean block, dev_t device,
                      ino_t inode, gboolean *sure);

#endif
