/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what supervisor.c (events and actions), supervisor_child.c (what the
 * child says), supervisor_guard.c, supervisor_ask.c (what
 * commands may ask), start.c (setting up, the child's start) and end.c (the
 * exit status, taking down) share; nobody else includes this.
 */
#ifndef SUPERVISOR_SUPERVISOR_INTERNAL_H
#define SUPERVISOR_SUPERVISOR_INTERNAL_H

#include "control.h"
#include "credentials.h"
#include "guard.h"
#include "report.h"
#include "supervisor.h"
#include "token.h"

/* Why it ends, once that is known; what is known first stays, but for a
 * lost lease. */
typedef enum {
    VERDICT_NONE, /* the child's own status */
    VERDICT_OWN,  /* a status of ours: code says which */
    VERDICT_LOST, /* a lease was lost while the child lived */
} Verdict;

/* What a command of a hand-over waits for. */
typedef enum {
    HANDOVER_WAITS_OFFER = 1 << 0,
    HANDOVER_WAITS_BACK = 1 << 1, /* a cancel */
    HANDOVER_WAITS_COMPLETE = 1 << 2,
    HANDOVER_WAITS_TAKE = 1 << 3,
    HANDOVER_WAITS = (1 << 4) - 1,
} HandoverWait;

typedef struct {
    char nonce[TOKEN_NONCE + 1]; /* of tokens that are good */
    gboolean inquired;           /* a release begins a hand-over */
    gboolean offered;            /* we are a source */
    gboolean target;             /* ... or a target, that has not taken yet */
    gboolean completed;          /* we were a target that was completed */
    gboolean handed_over;        /* nothing is left of us but to end */
    gboolean reclaiming;         /* a cancel takes back */
    gboolean quiet;              /* a take waits for the source's writes */
    json_t *source;              /* its record, when it was claimed */
    char *uri;                   /* of the other side, as was said */
    char *token;                 /* that was given out, or is the source's */
    GError *obstacle;            /* why a cancel did not work */
    GSList *waiters;             /* of Waiter */
    HandoverActive assume;
    GArray *active;  /* what QEMU of the child has locked */
    gboolean unseen; /* ... maybe more */
} Handover;

struct Supervisor {
    const Options *options;
    Signals *signals;
    Credentials *credentials; /* of the child; NULL: ours */
    gboolean has_control_group;
    gid_t control_group;
    int pid_fd;         /* the report's from report_new() on */
    int json_status_fd; /* likewise */

    char *run_dir, *state_dir, *socket_path;
    char host[256], boot_id[64];
    Record owner; /* who takes the leases */
    DriverContext file_context, context;
    gpointer file_driver; /* for the VM's own lease */
    const DriverOps *ops; /* for all others */
    gpointer driver;
    guint inherited; /* mask: what of inherit() the attached process has got */

    Report *report;
    Guard *guard; /* NULL: none is wanted */
    Child *child;
    LeaseTable *leases;
    Control *control; /* NULL until the VM's lease is held */
    gboolean finished;
    gboolean exiting; /* the records say so */
    guint signal_source;
    guint look;     /* source id: what has the child open without a lease? */
    guint confined; /* mask of 1 << ConfineStep */
    mode_t old_umask;
    gboolean job_control; /* there is a controlling terminal */
    gboolean session_leader;

    Handover handover;

    MachineState state;
    char *reason;              /* of the state */
    gint64 since, state_since; /* seconds since the epoch */
    guint deadline;            /* source id */
    gint64 stop_timeout_ms;

    Verdict verdict;
    int code;        /* of VERDICT_OWN */
    char *why;       /* of VERDICT_OWN and VERDICT_LOST */
    char *why_lease; /* which lease that is about; NULL: none */
    json_t *denied;  /* class and holder of the refusal; NULL: none */
    gboolean has_status;
    int status; /* wait(2) status of the last child */
};

/* supervisor.c */
void supervisor_step(Supervisor *supervisor, MachineEvent event,
                     const char *reason);
extern const ChildEvents supervisor_child_events;
extern const LeaseEvents supervisor_lease_events;

/* supervisor_handover.c */
/* @reply is given when that has ended, one way or the other. */
void handover_wait(Supervisor *supervisor, HandoverWait what,
                   SupervisorReply reply, gpointer data);
/* The token of the VM as it is held now, newly allocated. */
char *handover_mint(Supervisor *supervisor, GError **error);
/* TRUE where there is no token, @state. @source: it must be that of the other
 * side; otherwise it must be our own. */
gboolean handover_check(Supervisor *supervisor, const char *state,
                        gboolean source, GError **error);
/* The VM's lease is had: is there a source? FALSE: there must be one, or it is
 * not the one that is meant. */
gboolean handover_find_source(Supervisor *supervisor, GError **error);
/* Of a lease that was refused: the sentence, newly allocated. */
char *handover_explain(const Supervisor *supervisor, const GError *error);
/* Before the records are written. */
void handover_new_nonce(Supervisor *supervisor);
/* A state was entered: where it is the end, nobody is left waiting. */
void handover_entered(Supervisor *supervisor);
/* Actions. */
void handover_offer(Supervisor *supervisor);
void handover_take(Supervisor *supervisor);
/* Of LeaseEvents. */
void handover_on_moved(gpointer opaque, LeaseMove move, const GError *error);

/* supervisor_handover_look.c */
void handover_look(Supervisor *supervisor, HandoverActive active);
/* A take waits: for writes of our own child by now? */
void handover_look_again(Supervisor *supervisor);
gboolean handover_on_inactive(gpointer opaque, Lease *lease);
/* A new reference, for the status; NULL: there is no hand-over. */
json_t *handover_status(const Supervisor *supervisor);
/* The child is gone, leases are let go: was it for a target? */
void handover_look_back(Supervisor *supervisor);
void handover_free(Supervisor *supervisor);

/* supervisor_guard.c */
/* Before child_new(). */
gboolean guard_begin(Supervisor *supervisor, GError **error);
/* Tells who the child is. */
void guard_about_child(Supervisor *supervisor);
/* Of LeaseEvents. */
void guard_on_used(gpointer opaque, Lease *lease);
void guard_on_letting_go(gpointer opaque, Lease *lease);
gboolean guard_on_guarded(gpointer opaque);

/* start.c */
/* Everything that can be checked and prepared before a lease is taken. */
gboolean start_prepare(Supervisor *supervisor, GError **error);
gboolean start_listen(Supervisor *supervisor, GError **error);
/* Parks the child, confines us, lets the child go on. */
gboolean start_child(Supervisor *supervisor, GError **error);
/* The child runs: looks, a little later and once, for disks that it has open
 * without a lease. */
void start_look(Supervisor *supervisor);
/* What is left to be done is done without rights. */
void start_confine(Supervisor *supervisor);

/* start_attach.c */
/* The process that is attached becomes the child. */
void start_adopt(Supervisor *supervisor);
/* For drivers, see driver.h; @leases: the table. */
gboolean start_is_childs(gpointer leases, gboolean block, dev_t device,
                         ino_t inode);
/* The child has what keeps liveness. */
void start_inherited(Supervisor *supervisor);
/* The descriptor @number of those that the child is to keep open, of @count;
 * -1 where there is no such one. If @peer is the attached process it has them
 * from now on. */
int start_inherit(Supervisor *supervisor, guint number, guint *count,
                  pid_t peer);

/* end.c */
/* The child is being ended, or is gone. */
gboolean end_has_begun(const Supervisor *supervisor);
/* Fixes the exit status: one of our own. */
void end_fail(Supervisor *supervisor, int code, const char *why);
/* ... because of @error, whose class is told with it. */
void end_refused(Supervisor *supervisor, int code, const GError *error);
/* ... because of what the lease table says, @error; @holder: who has it, or
 * NULL. */
void end_denied(Supervisor *supervisor, const GError *error, json_t *holder);
/* The reason is about @lease, unless it was about another; NULL: none. */
void end_about(Supervisor *supervisor, const Lease *lease);
/* A lease is lost: the exit status will say so. */
void end_lost(Supervisor *supervisor, const char *why);
/* A sentence for a wait(2) status, newly allocated. */
char *end_describe(int status);
/* Reports how it ended; returns the exit status. */
int end_conclude(Supervisor *supervisor);
/* Frees all that start_prepare() and what followed have made. */
void end_undo(Supervisor *supervisor);

#endif
