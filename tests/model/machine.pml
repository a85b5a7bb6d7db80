/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the whole machine on both sides of a hand-over, for spin
 * (tests/model/run.sh)
 *
 * Three supervisors, each on a host of its own: a source S, a target T, a thief
 * F that wants the same lease. What each does is decided by machine_step(), and
 * by nothing else: machine_table.pml is written by "tables promela" from
 * supervisor/machine.c. Here are only the events, who makes them and when, and
 * what the actions do to the lease and to the child. Who makes them:
 *
 *   Supervisor   its leases (GRANTED, CLAIMED, DENIED), its child's death, and
 *                complete-in, which looks before it steps
 *   Clock        DEADLINE
 *   Manager      each verb, at any time and in any order. A command that is
 *                lost was never sent, one that is late is sent late; only
 *                complete-in, whose answer is acted on, is a message (call)
 *   Fate         children run, write and die
 *   Crash        supervisors are SIGKILLed, hosts restarted: all locks gone
 *
 * The lease is coarser than in file_driver.pml, which has it call by call. Its
 * bytes are the same (L read or write, C write, VE), and these are one step:
 *
 *   acquire   read C, write L, VE free, quiet, VE, unlock C. What was found
 *             holds until the last of them, since C and L are held meanwhile;
 *             who is in its way meanwhile is refused: as anybody may be here
 *   claim     read L, VE; but C before it is a step, for a source sees it
 *   take      VE free, quiet, the generation, unlock C: L is held meanwhile;
 *             but L before them is a step, which a deadline finds half done
 *   complete  the look for a source and the look for writes are two; the
 *             generation and the answer are one: a death between them is like
 *             an answer that is lost
 *   release   VE, L: who wants one of the two wants both; C is a step of its
 *             own, for a source sees it
 *   death     of D's locks all at once, as the kernel does it
 *
 * Sharers, more than one place, and children that drop V are that model's.
 *
 * The guest: QEMU stops it on the source when the migration is done. Then
 * managers decide. ORDERLY ones never resume the source after the target was
 * asked to complete (permit), unless that was refused or a cancel worked; they
 * may lose every message and die at any time, and who comes after them knows
 * what query-status tells (know). Others (ORDERLY=0) resume whatever they like;
 * then QEMU's own locks are all there is between two guests.
 *
 * Checked where it could break: P1 two that may write; P2 the lease: never two
 * holders but a source that offered and one target, no child without, no third
 * party before the end; P3 a state that does not hold what it says; P4 the
 * order of death: child, writes, lease; P5 a source that comes back after its
 * target was completed, or whose guest runs on after the target's has. Nobody
 * waits for ever: with -DCALM there is a moment after which nobody begins
 * anything, and what is left then must end. With -DLTL: what must happen in the
 * end (last lines of this file). With -DREACH: which cells were taken; a model
 * that does not come through a cell says nothing of it.
 *
 * Should:  make each event where the code makes it; allow more orders rather
 *          than less.
 * Mustn't: decide what an event does; let bookkeeping (HOLD, orphan, done, ran,
 *          wrong) decide what a party does.
 */

#define S 0
#define T 1
#define F 2

/* --- what may happen ------------------------------------------------------ */

#ifndef PARTIES /* mask */
#define PARTIES 3
#endif
#ifndef CRASH /* deaths of supervisors and hosts: 0 none, 1 one, 2 any number */
#define CRASH 2
#endif
#ifndef ORDERLY /* managers, see above */
#define ORDERLY 1
#endif
#ifndef ATTACH /* mask: may also begin with a process that lives already */
#define ATTACH 0
#endif
#ifndef QUIET /* 0: nobody sees QEMU's byte 101 */
#define QUIET 1
#endif
#ifndef AIO /* a write may land after its child is dead */
#define AIO QUIET
#endif
#ifndef WAIT /* migrate-complete --wait */
#define WAIT 0
#endif
#ifndef DEADLINES /* 0: neither CLAIMING nor RECLAIMING gives up by itself */
#define DEADLINES 1
#endif
#ifndef CHILD_DIES /* 0: not by itself; fairness would make it, in the end */
#define CHILD_DIES 1
#endif
#ifndef FAULTS /* lock calls fail that need not */
#define FAULTS 1
#endif

#ifndef EXCUSE /* 0: see let_go */
#define EXCUSE !ORDERLY
#endif

#ifndef ONLY /* 1 to 5: look at this property alone; 0: at all of them */
#define ONLY 0
#endif

/* Seeded mistakes: -DMISTAKE=n. Each must break the property that its line in
 * machine.jobs names. These are cells: in state FROM, event ON does DO and
 * leads to TO. */
#ifndef MISTAKE
#define MISTAKE 0
#endif
#if MISTAKE == 1 /* released, then killed */
#define CHANGED FROM(OUTGOING) ON(COMPLETE) DO(FINISH) TO(GONE)
#elif MISTAKE == 2 /* runs on, and takes nothing back */
#define CHANGED FROM(OUTGOING) ON(CANCEL) DO(NONE) TO(RUNNING)
#elif MISTAKE == 3 /* what a cancel got is not offered again */
#define CHANGED FROM(RECLAIMING) ON(DEADLINE) DO(NONE) TO(OUTGOING)
#elif MISTAKE == 4 /* a cancel that was refused counts as done */
#define CHANGED FROM(RECLAIMING) ON(DENIED) DO(NONE) TO(RUNNING)
#elif MISTAKE == 5 /* a cancelled target lets go of a living child */
#define CHANGED FROM(INCOMING) ON(CANCEL) DO(FINISH) TO(GONE)
#elif MISTAKE == 6 /* a target that is completed takes nothing */
#define CHANGED FROM(INCOMING) ON(COMPLETE) DO(NONE) TO(RUNNING)
#elif MISTAKE == 7 /* who does not listen to SIGTERM is not killed */
#define CHANGED FROM(STOPPING) ON(DEADLINE) DO(TERM) TO(STOPPING)
#elif MISTAKE == 8 /* a process that ends while it is attached goes unnoticed */
#define CHANGED FROM(ATTACHING) ON(CHILD_GONE) DO(NONE) TO(ATTACHING)
#elif MISTAKE == 9 /* a cancel that never begins to take */
#define CHANGED FROM(OUTGOING) ON(CANCEL) DO(NONE) TO(RECLAIMING)
#elif MISTAKE == 10 /* a target that cannot take runs all the same */
#define CHANGED FROM(CLAIMING) ON(DENIED) DO(NONE) TO(RUNNING)
#elif MISTAKE == 21 /* a cancel that waits for ever */
#define CHANGED FROM(RECLAIMING) ON(DEADLINE) DO(NONE) TO(RECLAIMING)
#endif
/* These are in what actions and events do; or in a manager. */
#define NO_CLAIM_NEEDED (MISTAKE == 11) /* complete-out without a claim */
#define BACK_BLIND (MISTAKE == 12)      /* cancel on the source: no VE test */
#define GEN_BLIND (MISTAKE == 13)       /* cancel: the generation is not read */
#define LIVE_LATE (MISTAKE == 14)       /* target's VE at take, not at claim */
#define TAKE_BLIND (MISTAKE == 15)      /* take: no VE test */
#define DRAIN_ALONE (MISTAKE == 16)     /* drained is only "byte 101 is free" */
#define FORGETS_DOUBT (MISTAKE == 17)   /* a lost answer was a refusal */
#define GUESSES (MISTAKE == 18)         /* a new manager: OUTGOING may resume */
#define BOTH_RUN (MISTAKE == 19)        /* a manager resumes both */
#define BOTH_CLAIM (MISTAKE == 20)      /* claims whatever L is */
#define LATE_IS_NO (MISTAKE == 22)      /* --wait that failed was a refusal */

/* --- the machine ---------------------------------------------------------- */

#ifdef REACH
c_decl {
    static unsigned char taken[256];
    static void say_taken(void)
    {
        for (int i = 0; i < 256; i++)
            if (taken[i])
                printf("taken %d\n", i);
    }
};
#define CELL(n) c_code { taken[n] = 1; };
#else
#define CELL(n)
#endif

#include "machine_table.pml"

/* Only ever used within one d_step. */
hidden mtype:action action;
hidden mtype:state next;

#ifdef CHANGED
#define FROM(state) (st[p] == state
#define ON(which) && event == which) ->
#define DO(what) action = what;
#define TO(state) next = state
#endif

mtype:state st[3];
byte UP;                     /* supervisors that live */
byte WANTS;                  /* it acquires, or claims */
byte TAKES;                  /* it takes: TAKE began, and has not ended */
byte KID, STRAY, KILLED;     /* a child; not ours yet; a signal is on its way */
byte BORN, SPAWNED;          /* its death was not heard of yet; it was forked */
byte Lr, Lw, Cw, VE;         /* as in file_driver.pml */
byte TOLD, RUN, IO;          /* may open it; writes; its write may land */
bit gen;                     /* the record's generation, since S's offer */
bit completed;               /* T's: complete-in worked */

/* Managers. */
#define NO_CALL 0
#define SENT 1
#define HEARD 2
#define REFUSAL 3
#define ANSWER 4
byte call;                   /* complete-in, from T's manager to T and back */
bit moved;                   /* T's QEMU has the guest */
bit permit, doubt;           /* T may be asked; it may be completed by now */
byte know;                   /* whose guest may run, as its manager knows */

/* Bookkeeping. */
byte HOLD;
bit orphan, done, ran, wrong, spent;

/* See file_driver.pml. */
hidden byte P1_writers = (ONLY && ONLY != 1), P2_holders = (ONLY && ONLY != 2);
hidden byte P3_untrue = (ONLY && ONLY != 3), P4_order = (ONLY && ONLY != 4);
hidden byte P5_no_return = (ONLY && ONLY != 5);
#define CHECK(property, condition) assert(property || (condition))

/* With CALM: from some moment on nobody begins anything. */
#ifdef CALM
bit calm;
#define MAY (!calm)
#else
#define MAY 1
#endif

#define BIT(p) (1 << (p))
#define OTHERS(mask, p) ((mask) & ~BIT(p))
#define ON_BOARD(p) ((PARTIES >> (p)) & 1)
#define SET(mask, p) mask = mask | BIT(p)
#define CLEAR(mask, p) mask = mask & ~BIT(p)
#define IS(mask, p) ((mask) & BIT(p))
#define OURS(p) (IS(KID, p) && !IS(STRAY, p))

/* --- the lease ------------------------------------------------------------ */

#define CLAIMS(p) ((p) == T)
#define BUSY (RUN | IO)
#define IS_QUIET (!QUIET || BUSY == 0)
#define IS_QUIET_FOR(p) (!QUIET || OTHERS(BUSY, p) == 0)
#define L_FREE(p) (OTHERS(Lr | Lw, p) == 0)
#define ANOTHER_HOLDS(p) (OTHERS(Lr | Lw, p) != 0)
#define VE_FREE(p) (OTHERS(VE, p) == 0)
#define CAN_ACQUIRE(p) \
    (OTHERS(Cw, p) == 0 && L_FREE(p) && VE_FREE(p) && IS_QUIET_FOR(p))
#define CAN_CLAIM(p) (OTHERS(Lw, p) == 0 || BOTH_CLAIM)

#define READ_L(p) SET(Lr, p); CLEAR(Lw, p)
#define WRITE_L(p) SET(Lw, p); CLEAR(Lr, p)
#define UNLOCK_L(p) CLEAR(Lr, p); CLEAR(Lw, p)

/* An exception for a target that was not completed (who holds L waits after
 * us), and for a source whose target was (it looked after our last write). */
#define EXCUSED(p) \
    (!DRAIN_ALONE && (((p) == S && gen) || \
                      (IS(Cw, p) && !completed && ANOTHER_HOLDS(p))))
#define DRAINED(p) (!IS(HOLD, p) || IS_QUIET || EXCUSED(p))

/* P2: the one pair that may both hold is a source that offered, one target. */
inline hold(p, claims)
{
    if
    :: p == F -> CHECK(P2_holders, OTHERS(HOLD, p) == 0 && !orphan)
    :: p != F && claims ->
        CHECK(P2_holders,
              OTHERS(HOLD, p) == 0 || (HOLD == BIT(S) && st[S] != RUNNING));
        orphan = 0
    :: p != F && !claims -> CHECK(P2_holders, OTHERS(HOLD, p) == 0)
    fi;
    SET(HOLD, p)
}

/* P2: no child of ours is ever without. */
#define KEPT(p) CHECK(P2_holders, !OURS(p) || IS(VE, p))

/* P4. Who was made to write out of turn cannot know whose byte 101 it is. */
inline let_go(p)
{
    CHECK(P4_order, !OURS(p));
    CHECK(P4_order, !IS(HOLD, p) || !IS(BUSY, p) || EXCUSE && wrong);
    UNLOCK_L(p);
    CLEAR(VE, p);
    CLEAR(HOLD, p);
    KEPT(p)
}

/* --- actions, and the step ------------------------------------------------ */

/* P1, and P5 for guests. What a process did before it was ours is its
 * starter's. */
inline may_write(p)
{
    CHECK(P1_writers, (OTHERS(BUSY, p) & ~STRAY) == 0);
    if
    :: p == S -> CHECK(P5_no_return, !ORDERLY || !ran); wrong = wrong || done
    :: p == T -> ran = 1; wrong = wrong || (IS(Cw, T) && !completed)
    :: else
    fi
}

inline opens(p)
{
    SET(RUN, p);
    CLEAR(TOLD, p);
    if :: !IS(STRAY, p) -> may_write(p) :: else fi
}

inline act(p)
{
    if
    :: action == SPAWN ->
        SET(KID, p);
        SET(BORN, p);
        SET(SPAWNED, p);
        if :: next == RUNNING -> SET(TOLD, p) :: else fi;
        KEPT(p)
    :: action == ADOPT ->
        CLEAR(STRAY, p);
        if :: IS(RUN, p) -> may_write(p) :: else fi;
        KEPT(p)
    :: action == RELEASE || action == FINISH ->
        CHECK(P4_order, !OURS(p));
        CLEAR(WANTS, p);
        CLEAR(TAKES, p)
    :: action == OFFER -> CLEAR(TAKES, p); READ_L(p)
    :: action == TAKE -> SET(TAKES, p)
    :: action == KILL || action == SAY ->
        KILLED = KILLED | IS(KID, p)
    :: else /* SIGTERM may be ignored */
    fi
}

/* P3, and P5 for leases. */
inline is_true(p)
{
    if
    :: st[p] == RUNNING ->
        CHECK(P3_untrue, IS(Lw, p) && IS(VE, p) && !IS(Cw, p));
        CHECK(P5_no_return, p != S || !done)
    :: st[p] == OUTGOING ->
        CHECK(P3_untrue, IS(Lr, p) && !IS(Lw, p) && IS(VE, p))
    :: st[p] == RECLAIMING -> CHECK(P3_untrue, IS(Lr | Lw, p) && IS(VE, p))
    :: st[p] == INCOMING || st[p] == CLAIMING ->
        CHECK(P3_untrue, IS(Lr | Lw, p) && IS(VE, p) && IS(Cw, p))
    :: st[p] == STOPPING || st[p] == KILLING ->
        CHECK(P3_untrue, IS(Lr | Lw, p) && IS(VE, p))
    :: else
    fi
}

/* One event. */
inline step(p, event)
{
    if
#ifdef CHANGED
    :: CHANGED
    :: else -> machine_step(st[p], event)
#else
    :: machine_step(st[p], event)
#endif
    fi;
    if
    :: action == REFUSED
    :: else ->
        st[p] = next;
        act(p);
        is_true(p)
    fi
}

/* --- a supervisor --------------------------------------------------------- */

inline ends(p)
{
    CLEAR(UP, p);
    CLEAR(WANTS, p);
    CLEAR(TAKES, p);
    CLEAR(BORN, p);
    CLEAR(SPAWNED, p);
    UNLOCK_L(p);
    CLEAR(Cw, p);
    if
    :: !IS(KID, p) -> CLEAR(VE, p); CLEAR(HOLD, p)
    :: else
    fi;
    if
    :: p == T ->
        completed = 0;
        doubt = doubt || call != NO_CALL;
        call = NO_CALL
    :: else
    fi;
    st[p] = GONE;
    KEPT(p)
}

/* Nothing is left of the last one. */
#define CAN_START(p) (MAY && !IS(UP | KID | IO, p))

inline starts(p)
{
    SET(UP, p);
    SET(WANTS, p)
}

inline acquires(p)
{
    CLEAR(WANTS, p);
    CLEAR(Cw, p);
    WRITE_L(p);
    SET(VE, p);
    hold(p, 0);
    if
    :: p == S ->
        gen = 0; done = 0; ran = 0; wrong = 0; orphan = 0;
        moved = 0; permit = 0; doubt = 0; SET(know, p)
    :: else
    fi;
    step(p, GRANTED)
}

proctype Supervisor(byte p)
{
    bit ok;

end:
    if
    :: d_step { CAN_START(p) -> starts(p); st[p] = STARTING }
#if ATTACH
    :: d_step {
        CAN_START(p) && IS(ATTACH, p) ->
        starts(p);
        st[p] = ATTACHING;
        SET(KID, p);
        SET(STRAY, p);
        SET(BORN, p);
        if :: !CLAIMS(p) -> SET(TOLD, p) :: else fi
    }
#endif
#ifdef LTL
    :: d_step { CAN_START(p) -> skip }; goto end /* or never again */
#endif
    fi;
    {
        do
        /* a plain start */
        :: d_step {
            IS(WANTS, p) && !CLAIMS(p) && CAN_ACQUIRE(p) -> acquires(p)
        }
        /* a target: C; then the rest, or like any other, or once more */
        :: d_step {
            IS(WANTS, p) && CLAIMS(p) && !IS(Cw, p) && OTHERS(Cw, p) == 0 ->
            SET(Cw, p)
        }
        :: d_step {
            IS(WANTS, p) && IS(Cw, p) ->
            if
            :: ANOTHER_HOLDS(p) && CAN_CLAIM(p) ->
                CLEAR(WANTS, p);
                READ_L(p);
                if :: !LIVE_LATE -> SET(VE, p) :: else fi;
                hold(p, 1);
                step(p, CLAIMED)
            :: !ANOTHER_HOLDS(p) && CAN_ACQUIRE(p) -> acquires(p)
            :: else -> CLEAR(Cw, p)
            fi
        }
        :: d_step { IS(WANTS, p) -> CLEAR(Cw, p); step(p, DENIED) }

        /* take, and take back */
        :: d_step { IS(TAKES, p) && IS(Lr, p) && L_FREE(p) -> WRITE_L(p) }
        :: d_step {
            IS(TAKES, p) && IS(Lw, p) && (p == S -> !gen || GEN_BLIND : 1) &&
            (VE_FREE(p) || (p == S && BACK_BLIND) || (p == T && TAKE_BLIND)) &&
            (!IS(Cw, p) || !WAIT || IS_QUIET) ->
            CLEAR(TAKES, p);
            SET(VE, p);
            CLEAR(Cw, p);
            hold(p, 0);
            step(p, GRANTED)
        }
        :: d_step {
            IS(TAKES, p) && IS(Lw, p) && p == S && gen && !GEN_BLIND ->
            CLEAR(TAKES, p);
            READ_L(p);
            step(p, DENIED)
        }
#if FAULTS
        :: d_step { IS(TAKES, p) -> CLEAR(TAKES, p); step(p, DENIED) }
        :: d_step { st[p] == OUTGOING -> step(p, DENIED) } /* an offer failed */
#endif

        /* complete-in */
        :: d_step {
            p == T && call == SENT && st[p] == INCOMING ->
            call = HEARD;
            ok = (ANOTHER_HOLDS(p) || VE_FREE(p))
        };
            d_step { ok = ok && (IS_QUIET || IS(RUN, p)) };
            d_step {
                if
                :: ok && st[p] == INCOMING ->
                    gen = 1; completed = 1;
                    done = (IS(HOLD, S) != 0);
                    wrong = wrong || IS(BUSY, S);
                    call = (WAIT -> SENT : ANSWER);
                    step(p, COMPLETE)
                :: else -> call = REFUSAL
                fi;
                ok = 0
            }

        /* the child is reaped; the end */
        :: d_step {
            IS(BORN, p) && !IS(KID, p) ->
            CLEAR(BORN, p);
            step(p, CHILD_GONE)
        }
        :: d_step {
            IS(BORN & SPAWNED, p) && !IS(KID, p) ->
            CLEAR(BORN, p);
            step(p, EXEC_FAILED)
        }
        :: d_step { st[p] == GONE && DRAINED(p) -> let_go(p) };
            d_step { ends(p) }
        od
    } unless { !IS(UP, p) };
    ok = 0;
    goto end
}

#define CAN_EXPIRE(state) \
    (state == STARTING || state == ATTACHING || state == STOPPING || \
     state == KILLING || \
     (DEADLINES && (state == RECLAIMING || state == CLAIMING)))

proctype Clock(byte p)
{
end:
    do
    :: d_step { IS(UP, p) && CAN_EXPIRE(st[p]) -> step(p, DEADLINE) }
    od
}

/* --- children, supervisors, hosts ----------------------------------------- */

/* QEMU's own locks; orderly managers do without. */
#define QEMU_LETS(p) (ORDERLY || OTHERS(BUSY, p) == 0)

inline child_is_dead(p)
{
    CLEAR(KID, p);
    CLEAR(STRAY, p);
    CLEAR(KILLED, p);
    CLEAR(TOLD, p);
    CLEAR(RUN, p);
    CLEAR(know, p);
    if :: p == T -> moved = 0 :: else fi;
    if :: !IS(UP, p) -> CLEAR(VE, p); CLEAR(HOLD, p) :: else fi
}

proctype Fate(byte p)
{
end:
    do
    :: d_step { IS(KID, p) && IS(TOLD, p) && QEMU_LETS(p) -> opens(p) }
    :: d_step { /* by itself, by us, or for want of a supervisor */
        IS(KID, p) && (CHILD_DIES || IS(KILLED, p) || !IS(UP, p)) ->
        child_is_dead(p)
    }
#if AIO
    :: d_step {
        IS(RUN, p) && !IS(STRAY, p) &&
        (CHILD_DIES || IS(KILLED, p) || !IS(UP, p)) ->
        SET(IO, p);
        child_is_dead(p)
    }
    :: d_step { IS(IO, p) -> CLEAR(IO, p) }
#endif
    od
}

/* Whenever they like, or never. */
proctype Crash(byte p)
{
end:
    do
    :: d_step { /* SIGKILL */
        IS(UP, p) && MAY && (CRASH > 1 || !spent) ->
        spent = (CRASH == 1);
        ends(p)
    }
    :: d_step { /* its host */
        IS(UP | KID, p) && MAY && (CRASH > 1 || !spent) ->
        spent = (CRASH == 1);
        child_is_dead(p);
        CLEAR(IO, p);
        ends(p)
    }
#ifdef LTL
    :: spent = spent
#endif
    od
}

/* --- managers ------------------------------------------------------------- */

/* Any verb; complete-out looks before it steps. */
#define CLAIMED_BY_ANOTHER(p) \
    (NO_CLAIM_NEEDED || OTHERS(Cw, p) != 0 || (p == S && gen))

/* What a manager would do that is sure of nothing but what it is told now. */
#define TOLD_S (st[S] == RUNNING || (GUESSES && st[S] == OUTGOING))
#define TOLD_T (st[T] == RUNNING || (st[T] == CLAIMING && !WAIT))

proctype Manager(byte p)
{
end:
    do
    :: d_step { MAY && IS(UP, p) -> step(p, PREPARE) }
    :: d_step { MAY && IS(UP, p) -> step(p, CANCEL) }
    :: d_step { MAY && IS(UP, p) -> step(p, STOP) }
    :: d_step { MAY && IS(UP, p) -> step(p, QUIT) }
    :: d_step { MAY && IS(UP, p) -> step(p, REVOKED) }
    :: d_step {
        MAY && IS(UP, p) && !IS(Cw, p) && CLAIMED_BY_ANOTHER(p) ->
        orphan = (st[p] == OUTGOING && Cw == 0 && !gen || orphan);
        step(p, COMPLETE)
    }
    od
}

/* The source's guest; a migration that works. */
proctype SourceManager()
{
end:
    do
    :: d_step {
        MAY && IS(RUN, S) && OURS(S) && OURS(T) && !IS(TOLD | RUN, T) ->
        CLEAR(RUN, S);
        moved = 1
    }
#if ORDERLY
    :: d_step { /* the target may be asked; from now on he cannot know */
        MAY && moved && !permit -> permit = 1; doubt = 0;
        if :: !BOTH_RUN -> CLEAR(know, S) :: else fi
    }
    :: d_step { /* query-status, or the answer to a cancel */
        MAY && IS(UP, S) && IS(KID, S) && TOLD_S && !IS(know, S) ->
        SET(know, S);
        permit = 0
    }
    :: d_step { /* cont */
        MAY && OURS(S) && !IS(RUN | TOLD, S) && IS(know, S) ->
        moved = 0;
        opens(S)
    }
    :: d_step { /* dies, and comes back */
        MAY && IS(know, S) -> CLEAR(know, S)
    }
#else
    :: d_step {
        MAY && OURS(S) && !IS(RUN | TOLD, S) && QEMU_LETS(S) -> opens(S)
    }
#endif
    od
}

/* The target's guest, and complete-in. */
proctype TargetManager()
{
end:
    do
    :: d_step {
        MAY && call == NO_CALL && IS(UP, T) &&
        (!ORDERLY || (permit && moved)) ->
        call = SENT
    }
    :: d_step { /* which is answered at once where there is nothing to do */
        MAY && call == SENT && st[T] != INCOMING &&
        !(WAIT && st[T] == CLAIMING) ->
        if
        :: completed && (st[T] == CLAIMING || st[T] == RUNNING) -> call = ANSWER
        :: else -> /* with --wait it may have been completed: it says so */
            doubt = doubt || (completed && !LATE_IS_NO);
            call = REFUSAL
        fi
    }
#if ORDERLY
    :: d_step { /* the command is lost, or the answer, or he dies */
        MAY && call != NO_CALL && call != HEARD ->
        call = NO_CALL;
        doubt = 1;
        CLEAR(know, T)
    }
    :: d_step { /* ... while it is on its way */
        MAY && (call == SENT || call == HEARD) ->
        doubt = 1;
        CLEAR(know, T)
    }
    :: d_step { MAY && IS(know, T) -> CLEAR(know, T) }
    :: d_step { /* refused: he tells the source's, who may resume */
        MAY && call == REFUSAL ->
        call = NO_CALL;
        if
        :: (!doubt || FORGETS_DOUBT) && permit -> permit = 0; SET(know, S)
        :: else
        fi
    }
    :: d_step { /* of this child, not of the next */
        MAY && call == ANSWER ->
        call = NO_CALL;
        doubt = 1;
        know = know | IS(KID, T)
    }
    :: d_step { MAY && IS(UP, T) && IS(KID, T) && TOLD_T -> SET(know, T) }
    :: d_step { /* cont */
        MAY && OURS(T) && !IS(RUN | TOLD, T) && moved && IS(know, T) ->
        opens(T)
    }
#else
    :: d_step { MAY && (call == REFUSAL || call == ANSWER) -> call = NO_CALL }
    :: d_step {
        MAY && OURS(T) && !IS(RUN | TOLD, T) && moved && QEMU_LETS(T) ->
        opens(T)
    }
#endif
    od
}

#if CRASH
#define PARTY(p) run Supervisor(p); run Fate(p); run Crash(p)
#else
#define PARTY(p) run Supervisor(p); run Fate(p)
#endif

init {
    atomic {
#ifdef REACH
        c_code { atexit(say_taken); };
#endif
        st[S] = GONE; st[T] = GONE; st[F] = GONE;
        if :: ON_BOARD(S) -> PARTY(S); run Clock(S); run Manager(S) :: else fi;
        if :: ON_BOARD(T) -> PARTY(T); run Clock(T); run Manager(T) :: else fi;
        if :: ON_BOARD(F) -> PARTY(F) :: else fi;
        run SourceManager();
        run TargetManager()
    }
#ifdef CALM
    calm = 1
#endif
}

/* --- what must happen in the end, every process being scheduled fairly ---- */

#ifdef LTL
#define IN(p, state) (st[p] == state)
ltl source_cancel { [] (IN(S, RECLAIMING) -> <> !IN(S, RECLAIMING)) }
ltl source_back {
    (<> [] (!IS(UP | KID, T))) ->
    [] (IN(S, RECLAIMING) -> <> !IN(S, RECLAIMING))
}
ltl target_cancel { [] (IN(T, KILLING) -> <> !IS(UP, T)) }
ltl source_ends { [] (IN(S, KILLING) -> <> !IS(UP, S)) }
ltl stop_ends { [] (IN(S, STOPPING) -> <> !IN(S, STOPPING)) }
ltl taken {
    [] ((IN(T, CLAIMING) && (IN(S, KILLING) || IN(S, GONE))) ->
        <> !IN(T, CLAIMING))
}
ltl freed { [] (UP == 0 -> <> ((Lr | Lw | Cw | VE) == 0 || UP != 0)) }
#endif
