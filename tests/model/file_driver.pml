/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the file driver's lock protocol, for spin (tests/model/run.sh); the
 * protocol itself is explained in docs/file-protocol.md
 *
 * Parties are VMs: a source S, its targets T and U, thieves F and G (exclusive,
 * G shared with -DG_SHARED) and H (shared), and two that know byte 0 only: W,
 * virtlockd, and R, virtlockd with <shareable/>. Each has a supervisor (UP), a
 * child (KID) and two descriptions:
 *
 *   D  per disk, the supervisor's alone: bytes L (lease) and C (claim)
 *   V  one per VM, read-only, inherited: a byte VE (exclusive) or VS (shared)
 *      per disk, read locks only
 *
 * D closes when the supervisor dies, V when supervisor and child are both dead.
 * Variables are bit masks over parties: Lr[d] is who read-locks byte L of disk
 * d. RUN[d] is whose child has d open for writing, which is what QEMU's byte
 * 101 tells; IO[d] is whose child died with a write in flight, which keeps that
 * byte. Each lock call, each F_OFD_GETLK and each message is one atomic step.
 * Between two steps anything may happen: a supervisor is SIGKILLed, a child
 * dies, a write lands, a manager calls.
 *
 * Checked where it could break: P1 two that may write and exclude each other;
 * P2 leases that exclude each other, third parties during a hand-over, two
 * targets; P3 a lock that was forgotten; P4 a lease let go before its child is
 * gone and drained; P5 a source that runs on after a target has run.
 * With -DLTL: what must happen in the end (last lines of this file).
 *
 * A lease is L, C and a byte of V: at one place, or (BOTH) at two, such as the
 * image and a lockspace. Who uses two takes each step in both before the next.
 *
 * Should:  have a step for each lock call of the driver, in its order; know
 *          nothing in a step that the call cannot tell (F_OFD_GETLK does not
 *          say whose byte 101 it is).
 * Mustn't: let bookkeeping (HOLD, orphan, ran) decide what a party does.
 */

/* --- who takes part, and what may happen ------------------------------------ */

#define S 0
#define T 1
#define U 2
#define F 3
#define G 4
#define H 5
#define W 6
#define R 7
#define NONE 255

#ifndef PARTIES /* mask */
#define PARTIES 3
#endif
#ifndef DISKS /* 2: F starts with disk 0 and plugs 1, G the other way round */
#define DISKS 1
#endif
#ifndef BOTH /* mask: whose lease of disk 0 has a second place, index 1 */
#define BOTH 0
#endif
#if BOTH || DISKS > 1
#define PLACES 2
#else
#define PLACES 1
#endif
#ifndef HOT /* mask of F, G, H that start without a disk and plug disk 0 */
#define HOT 0
#endif
#ifndef CRASH /* supervisors SIGKILLed: 0 none, 1 one, 2 any number */
#define CRASH 2
#endif
#ifndef CRASHABLE /* mask: whose supervisor */
#define CRASHABLE 255
#endif
#ifndef AIO /* a write may land after its child is dead */
#define AIO 1
#endif
#ifndef QUIET /* 0: nobody sees byte 101 (another VMM, no common lock domain) */
#define QUIET 1
#endif
#ifndef CAREFUL /* 0: completes the target at any time, not after the migration */
#define CAREFUL 1
#endif
#ifndef SELF_ACTIVATING /* no -S, no late-block-activate: the target just runs */
#define SELF_ACTIVATING 0
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
#ifndef CHILD_DROPS /* children give up their own liveness */
#define CHILD_DROPS 0
#endif
#ifndef OFFERS /* 0: S is never asked to hand over */
#define OFFERS 1
#endif
#ifndef W_FREES_FIRST /* virtlockd as it is: unlocks, then kills */
#define W_FREES_FIRST 0
#endif
#ifndef WRITERS /* mask: whose writes P1 looks at */
#define WRITERS 255
#endif

#ifndef ONLY /* 1 to 5: look at this property alone; 0: at all of them */
#define ONLY 0
#endif

/* Seeded mistakes: -DMISTAKE=n. Each must break the property that its line in
 * file_driver.jobs names. */
#ifndef MISTAKE
#define MISTAKE 0
#endif
#define LIVE_AT_TAKE (MISTAKE == 1)    /* target's VE at take, not at claim */
#define CLAIM_BLIND (MISTAKE == 2)     /* claim does not test VS */
#define LIVE_AFTER_C (MISTAKE == 3)    /* fresh: unlock C, then VE or VS */
#define NO_CLAIM_NEEDED (MISTAKE == 4) /* complete-out without a claim */
#define FREEZES (MISTAKE == 5)         /* complete-out freezes, kills later */
#define TAKER_BLIND (MISTAKE == 6)     /* fresh: no quiet test */
#define IN_BLIND (MISTAKE == 7)        /* complete-in: no quiet test */
#define GEN_AFTER (MISTAKE == 8)       /* generation raised after the answer */
#define GEN_EARLY (MISTAKE == 9)       /* cancel reads the generation first */
#define DRAIN_ALONE (MISTAKE == 10)    /* drained is always "byte 101 is free" */
#define HOT_LATE (MISTAKE == 11)       /* hot-plug answers, then sets liveness */
#define HOT_BLIND (MISTAKE == 12)      /* hot release of an open disk */
#define FREES_FIRST (MISTAKE == 13)    /* release, then kill */
#define LOOK_THEN_LOCK (MISTAKE == 14) /* VE and VS tested before L is locked */
#define BACK_BLIND (MISTAKE == 15)     /* cancel on the source: no VE test */
#define CLAIM_SHARED (MISTAKE == 16)   /* claim read-locks C */
#define NO_LIVENESS (MISTAKE == 17)    /* no liveness at all */
#define IN_ALONE (MISTAKE == 18)       /* complete-in: no look for a source */
#define NO_LOOK (MISTAKE == 19)        /* fresh: locks C and L to see VE */
#define CLAIM_FAR (MISTAKE == 20)      /* no V and records with the source */
#define KEEPS_C (MISTAKE == 21)        /* fresh: what failed keeps C */
#define BACK_HALF (MISTAKE == 22)      /* cancel gives up, at one place only */
#define IN_HALF (MISTAKE == 23)        /* refused complete-in: half completed */
#define NEVER_BACK (MISTAKE == 24)     /* cancel on the source: never tried */

/* --- state ------------------------------------------------------------------ */

#define OFF 0
#define RUNNING 1
#define OUTGOING 2
#define RECLAIMING 3
#define INCOMING 4
#define CLAIMING 5
#define HANDED 6 /* KILLING after complete-out */
#define KILLING 7

byte st[3];                                  /* of S, T, U */
byte Lr[PLACES], Lw[PLACES], Cr[PLACES], Cw[PLACES];
byte VE[PLACES], VS[PLACES];
byte UP, KID, KILLED;                        /* KILLED: a signal is on its way */
byte TOLD[DISKS];                            /* whose child may open it */
byte RUN[DISKS], IO[DISKS];
bit gen;                                     /* the record's, since S's offer */
bit committed;                               /* the manager's: asked a target */
byte answered, moved = NONE;                 /* complete-in said yes; migrated to */
byte HOLD[PLACES];                           /* who believes he has a lease */
bit orphan, ran, spent;

/* Names of properties, 0 where they are looked at: spin prints what it found
 * violated as it stands in the source, so run.sh can tell which. */
hidden byte P1_writers = (ONLY && ONLY != 1), P2_holders = (ONLY && ONLY != 2);
hidden byte P3_forgotten = (ONLY && ONLY != 3), P4_drained = (ONLY && ONLY != 4);
hidden byte P5_no_return = (ONLY && ONLY != 5);
#define CHECK(property, condition) assert(property || (condition))

#define BIT(p) (1 << (p))
#define OTHERS(mask, p) ((mask) & ~BIT(p))
#define ON(p) ((PARTIES >> (p)) & 1)
#ifdef G_SHARED
#define SHARED (BIT(G) | BIT(H) | BIT(R))
#else
#define SHARED (BIT(H) | BIT(R))
#endif
#define IS_SHARED(p) ((SHARED >> (p)) & 1)
#define IS_HOT(p) ((HOT >> (p)) & 1)
#define IS_BOTH(p) ((BOTH >> (p)) & 1)
#define THIRD(p) ((p) >= F)

/* Byte 101, as GETLK shows it; a sharer looks for those who do not share: 201. */
#define BUSY(d) (RUN[d] | IO[d])
#define IS_QUIET(d) (!QUIET || BUSY(d) == 0)
#define IS_QUIET_FOR(p, d) \
    (!QUIET || (BUSY(d) & (IS_SHARED(p) -> ~SHARED : 255)) == 0)

/* --- single lock calls ------------------------------------------------------ */

#define SET(mask, p) mask = mask | BIT(p)
#define CLEAR(mask, p) mask = mask & ~BIT(p)

#define CAN_READ(byte_w, p) (OTHERS(byte_w, p) == 0)
#define CAN_WRITE(byte_r, byte_w, p) (OTHERS(byte_r | byte_w, p) == 0)
#define READ_C(p, d) SET(Cr[d], p); CLEAR(Cw[d], p)
#define READ_L(p, d) SET(Lr[d], p); CLEAR(Lw[d], p)
#define WRITE_L(p, d) SET(Lw[d], p); CLEAR(Lr[d], p)
#define WRITE_C(p, d) SET(Cw[d], p)
#define UNLOCK_C(p, d) CLEAR(Cr[d], p); CLEAR(Cw[d], p)
#define UNLOCK_L(p, d) CLEAR(Lr[d], p); CLEAR(Lw[d], p)
#define CLEAR_V(p, d) CLEAR(VE[d], p); CLEAR(VS[d], p)
/* Gone and drained: from here he holds the lease no more, he tidies up. */
#define GIVE_UP(p, d) CLEAR_V(p, d); CLEAR(HOLD[d], p)
#define VE_FREE(p, d) (OTHERS(VE[d], p) == 0 || CLAIM_FAR)
#define VS_FREE(p, d) (OTHERS(VS[d], p) == 0)
#define IS_FREE(p, d) (VE_FREE(p, d) && (IS_SHARED(p) || VS_FREE(p, d)))

/* Inside d_step; ok is the caller's. */
#define ATTEMPT(can, effect) if :: can -> effect :: else -> ok = 0 fi
#define TEST(condition) ok = ((condition) -> 1 : 0)

/*
 * EACH: the next of several calls, as long as all went well (ok), at each of
 * his places. ALSO: and then the same at his second place, where he has one.
 */
#if BOTH
#define ALSO(p, step) ; if :: IS_BOTH(p) -> step :: else fi
#define EACH(p, d, step) \
    d_step { if :: ok -> step(p, d) :: else fi }; \
    d_step { if :: ok && IS_BOTH(p) -> step(p, 1) :: else fi }
#else
#define ALSO(p, step)
#define EACH(p, d, step) d_step { if :: ok -> step(p, d) :: else fi }
#endif

/* --- bookkeeping and properties --------------------------------------------- */

#define COMPATIBLE(p, d) \
    (OTHERS(HOLD[d], p) == 0 || (IS_SHARED(p) && (HOLD[d] & ~SHARED) == 0))

/* P2. The one pair that may both hold: a source that offered, one target. */
inline hold(p, d)
{
    if
    :: THIRD(p) -> CHECK(P2_holders, COMPATIBLE(p, d) && !orphan)
    :: (p == T || p == U) && st[p] == OFF ->
        CHECK(P2_holders, (OTHERS(HOLD[d], p) & ~BIT(S)) == 0);
        CHECK(P2_holders, !(HOLD[d] & BIT(S)) || st[S] >= OUTGOING);
        orphan = 0
    :: else -> CHECK(P2_holders, OTHERS(HOLD[d], p) == 0)
    fi;
    SET(HOLD[d], p)
}

/* P1 and P5. */
inline opens(p, d)
{
    SET(RUN[d], p);
    CLEAR(TOLD[d], p);
    if
    :: (BIT(p) & WRITERS) ->
        CHECK(P1_writers,
              OTHERS(BUSY(d) & WRITERS, p) == 0 ||
              (IS_SHARED(p) && (BUSY(d) & WRITERS & ~SHARED) == 0))
    :: else
    fi;
    if
    :: p == S -> CHECK(P5_no_return, SELF_ACTIVATING || !ran)
    :: p == T || p == U -> ran = 1
    :: else
    fi
}

/* P4. A self-activating target that was never completed cannot know. */
inline let_go(p, d)
{
    CHECK(P4_drained, IS_SHARED(p) || !(BUSY(d) & BIT(p)) ||
                      (SELF_ACTIVATING && (p == T || p == U)));
    UNLOCK_L(p, d);
    CLEAR(HOLD[d], p)
}

#define LOCKS(d) (Lr[d] | Lw[d] | Cr[d] | Cw[d] | VE[d] | VS[d])

/* P3. */
inline nothing_left()
{
    if
    :: UP == 0 && KID == 0 ->
        CHECK(P3_forgotten, LOCKS(0) == 0);
#if PLACES > 1
        CHECK(P3_forgotten, LOCKS(1) == 0)
#endif
    :: else
    fi
}

inline close_d(p, d)
{
    UNLOCK_L(p, d);
    UNLOCK_C(p, d);
    CLEAR(HOLD[d], p)
}

/* A supervisor ends, of itself or not. */
inline ends(p)
{
    CLEAR(UP, p);
    close_d(p, 0);
#if PLACES > 1
    close_d(p, 1);
#endif
    if
    :: !(KID & BIT(p)) ->
        CLEAR_V(p, 0);
#if PLACES > 1
        CLEAR_V(p, 1)
#endif
    :: else
    fi;
    if :: !THIRD(p) -> st[p] = OFF :: else fi;
    nothing_left()
}

inline dies_on(p, d)
{
    if
    :: AIO && (RUN[d] & BIT(p)) -> SET(IO[d], p)
    :: true
    fi;
    CLEAR(RUN[d], p);
    CLEAR(TOLD[d], p);
    if :: !(UP & BIT(p)) -> CLEAR_V(p, d) ALSO(p, CLEAR_V(p, 1)) :: else fi
}

/* What happens to a VM from outside: its child's deeds and death, the kernel's. */
proctype Fate(byte p)
{
end:
    do
    :: d_step { (TOLD[0] & BIT(p)) && (KID & BIT(p)) -> opens(p, 0) }
    :: atomic {
        (KID & BIT(p)) && /* by itself, by us, or for want of a supervisor */
        (CHILD_DIES || (KILLED & BIT(p)) || !(UP & BIT(p))) ->
        CLEAR(KID, p);
        CLEAR(KILLED, p);
        CLEAR(answered, p);
        if :: moved == p -> moved = NONE :: else fi;
        dies_on(p, 0);
#if DISKS > 1
        dies_on(p, 1);
#endif
        nothing_left()
    }
#if AIO
    :: d_step { (IO[0] & BIT(p)) -> CLEAR(IO[0], p) }
#endif
#if DISKS > 1
    :: d_step { (TOLD[1] & BIT(p)) && (KID & BIT(p)) -> opens(p, 1) }
    :: d_step { (IO[1] & BIT(p)) -> CLEAR(IO[1], p) }
#endif
#if HOT || DISKS > 1
    :: d_step { /* device_del: the plugged disk is closed, and quiet */
        (DISKS > 1 || IS_HOT(p)) && (RUN[DISKS > 1 && p == F] & BIT(p)) ->
        CLEAR(RUN[DISKS > 1 && p == F], p)
    }
#endif
#if CHILD_DROPS
    :: d_step { (KID & BIT(p)) && ((VE[0] | VS[0]) & BIT(p)) -> CLEAR_V(p, 0) }
#endif
#if CRASH
    :: d_step {
        (UP & BIT(p)) && ((CRASHABLE >> p) & 1) && (CRASH > 1 || !spent) ->
        spent = (CRASH == 1);
        ends(p)
    }
#endif
    od
}

/* --- steps of a supervisor -------------------------------------------------- */

/* One description can be used again when nothing of its last user is left. */
#define CAN_START(p) (!((UP | KID | IO[0] | IO[DISKS - 1]) & BIT(p)))

/* What EACH can do. */
#define READ_C_TOO(p, d) ATTEMPT(CAN_READ(Cw[d], p), READ_C(p, d))
#define WRITE_C_TOO(p, d) ATTEMPT(CAN_WRITE(Cr[d], Cw[d], p), WRITE_C(p, d))
#define SHARE_L(p, d) ATTEMPT(CAN_READ(Lw[d], p), READ_L(p, d))
#define LOCK_L(p, d) \
    if \
    :: IS_SHARED(p) -> SHARE_L(p, d) \
    :: else -> ATTEMPT(CAN_WRITE(Lr[d], Lw[d], p), WRITE_L(p, d)) \
    fi
#define FIND_VE_FREE(p, d) TEST(VE_FREE(p, d))
#define FIND_VS_FREE(p, d) TEST(VS_FREE(p, d))
#define FIND_VS_FREE_TOO(p, d) TEST(IS_SHARED(p) || VS_FREE(p, d))
#define LIVE(p, d) \
    if \
    :: NO_LIVENESS -> skip \
    :: IS_SHARED(p) && !NO_LIVENESS -> SET(VS[d], p) \
    :: !IS_SHARED(p) && !NO_LIVENESS -> SET(VE[d], p) \
    fi

/*
 * The rest of a fresh acquire, C being read-locked at the first place; ok says
 * whether it worked. The driver also looks at VE and VS before it locks
 * anything: that can only refuse, so it is here with LTL only (see Thief).
 */
inline acquire(p, d)
{
    ok = 1 ALSO(p, d_step { READ_C_TOO(p, 1) });
#if LOOK_THEN_LOCK
    EACH(p, d, FIND_VE_FREE);
    EACH(p, d, FIND_VS_FREE_TOO);
    EACH(p, d, LOCK_L);
#else
    EACH(p, d, LOCK_L);
    EACH(p, d, FIND_VE_FREE);
    EACH(p, d, FIND_VS_FREE_TOO);
#endif
    d_step { if :: ok && !TAKER_BLIND -> TEST(IS_QUIET_FOR(p, d)) :: else fi };
#if LIVE_AFTER_C
    EACH(p, d, UNLOCK_C);
    EACH(p, d, LIVE);
#else
    d_step { if :: ok && !(HOT_LATE && (KID & BIT(p))) -> LIVE(p, d) :: else fi }
    ALSO(p, d_step { if :: ok -> LIVE(p, 1) :: else fi });
    EACH(p, d, UNLOCK_C);
#endif
    d_step {
        if
        :: ok -> hold(p, d)
        :: !ok && !KEEPS_C -> close_d(p, d) ALSO(p, close_d(p, 1))
        :: !ok && KEEPS_C -> UNLOCK_L(p, d)
        fi
    }
}

/*
 * Gone and drained. Byte 101 does not say whose it is: where another holds L
 * too (sharers; a target not completed), he waits for it after us; where a
 * target was completed, its quiet test came after our last write.
 */
#define GONE(p) (!(KID & BIT(p)))
#define ANOTHER_HOLDS(p, d) (OTHERS(Lr[d] | Lw[d], p) != 0)
#define ANYWHERE(p, d) \
    (ANOTHER_HOLDS(p, d) || (IS_BOTH(p) && ANOTHER_HOLDS(p, PLACES - 1)))
#define DRAINED(p, d, excused) \
    (GONE(p) && (IS_QUIET(d) || ((excused) && !DRAIN_ALONE)))

/* --- thieves, with hot-plug ------------------------------------------------- */

proctype Thief(byte p)
{
    bit ok;
    byte cold, hot;

    d_step {
        cold = (DISKS > 1 -> (p == G) : (IS_HOT(p) -> NONE : 0));
        hot = (DISKS > 1 -> (p == F) : (IS_HOT(p) -> 0 : NONE))
    }
end:
    if
    :: d_step { cold == NONE && CAN_START(p) -> SET(UP, p) }
#ifdef LTL
    :: d_step {
        CAN_START(p) && (NO_LOOK || IS_FREE(p, 0)) -> SET(UP, p); ok = 1
    }
#else
    :: d_step {
        cold != NONE && CAN_START(p) && CAN_READ(Cw[cold], p) ->
        SET(UP, p);
        READ_C(p, cold)
    }
#endif
    fi;
    {
#ifdef LTL
        d_step { READ_C_TOO(p, 0) };
        if :: !ok -> goto out :: else fi;
#endif
        if
        :: cold != NONE ->
            acquire(p, cold);
            if :: !ok -> goto out :: else -> ok = 0 fi
        :: else
        fi;
        d_step {
            SET(KID, p);
            if :: cold != NONE -> SET(TOLD[cold], p) :: else fi
        };
running:
        if
        :: !(KID & BIT(p)) -> goto gone
        :: goto killing
        :: d_step { /* lease-acquire */
            hot != NONE && (KID & BIT(p)) && !(HOLD[hot] & BIT(p)) &&
            CAN_READ(Cw[hot], p) ->
            CHECK(P3_forgotten, (LOCKS(hot) & BIT(p)) == 0);
            READ_C(p, hot)
        };
            acquire(p, hot);
            if
            :: ok -> ok = 0;
                d_step { if :: KID & BIT(p) -> SET(TOLD[hot], p) :: else fi };
                d_step { if :: HOT_LATE -> LIVE(p, hot) :: else fi }
            :: else
            fi;
            goto running
        :: d_step { /* lease-release: refused while the disk is open */
            hot != NONE && (KID & BIT(p)) && (HOLD[hot] & BIT(p)) &&
            !(TOLD[hot] & BIT(p)) &&
            (HOT_BLIND || (!(RUN[hot] & BIT(p)) &&
                           (IS_QUIET(hot) || IS_SHARED(p)))) ->
            GIVE_UP(p, hot)
        };
            d_step {
                if :: HOT_BLIND -> UNLOCK_L(p, hot); CLEAR(HOLD[hot], p)
                :: else -> let_go(p, hot) fi
            };
            goto running
        fi;
killing:
        if
        :: FREES_FIRST && cold != NONE ->
            d_step { GIVE_UP(p, cold) };
            d_step { let_go(p, cold) }
        :: else
        fi;
        d_step { KILLED = KILLED | (KID & BIT(p)) };
gone:
        if
        :: cold != NONE ->
            d_step {
                DRAINED(p, cold, IS_SHARED(p) && ANYWHERE(p, cold)) ->
                GIVE_UP(p, cold)
            } ALSO(p, d_step { CLEAR_V(p, 1) });
            d_step { let_go(p, cold) } ALSO(p, d_step { UNLOCK_L(p, 1) })
        :: else
        fi;
        if
        :: hot != NONE && (HOLD[hot] & BIT(p)) ->
            d_step {
                DRAINED(p, hot, IS_SHARED(p) && ANYWHERE(p, hot)) ->
                GIVE_UP(p, hot)
            };
            d_step { let_go(p, hot) }
        :: else
        fi;
out:
        skip;
        d_step { GONE(p) -> ok = 0; ends(p) }
    } unless { !(UP & BIT(p)) };
    ok = 0;
    goto end
}

/* virtlockd: locks byte 0, starts QEMU; kills before it unlocks, or after. */
proctype Virtlockd(byte p)
{
end:
    if
    :: d_step {
        CAN_START(p) && (IS_SHARED(p) -> CAN_READ(Lw[0], p)
                                      : CAN_WRITE(Lr[0], Lw[0], p)) ->
        SET(UP, p);
        if :: IS_SHARED(p) -> READ_L(p, 0) :: else -> WRITE_L(p, 0) fi;
        hold(p, 0)
    }
    fi;
    {
        d_step { SET(KID, p); opens(p, 0) };
        if
        :: d_step { (KID & BIT(p)) -> SET(KILLED, p) }
        :: !(KID & BIT(p))
        fi;
        if
        :: W_FREES_FIRST -> d_step { UNLOCK_L(p, 0); CLEAR(HOLD[0], p) }
        :: else
        fi;
        d_step { GONE(p) && !(IO[0] & BIT(p)) -> ends(p) }
    } unless { !(UP & BIT(p)) };
    goto end
}

/* --- the hand-over: disk 0 -------------------------------------------------- */

#define CLAIMED(d) (OTHERS(Cw[d], S) != 0)
#define IS_CLAIMED (CLAIMED(0) && (!IS_BOTH(S) || CLAIMED(PLACES - 1)))

/* Until @step works; not without a child, not after the deadline. */
#define OR_BACK(step) \
    if \
    :: step \
    :: !(KID & BIT(S)) -> goto gone \
    :: DEADLINES -> goto back \
    fi

proctype Source()
{
    bit ok;

end:
    if
    :: d_step { CAN_START(S) && CAN_READ(Cw[0], S) -> SET(UP, S); READ_C(S, 0) }
    fi;
    {
        acquire(S, 0);
        if :: !ok -> goto out :: else fi;
        d_step {
            ok = 0;
            SET(KID, S);
            SET(TOLD[0], S);
            st[S] = RUNNING;
            gen = 0; committed = 0; ran = 0; orphan = 0; moved = NONE
        };
running:
        if
        :: !(KID & BIT(S)) -> goto gone
        :: goto killing
        :: d_step { /* offer */
            OFFERS && (KID & BIT(S)) && !(TOLD[0] & BIT(S)) ->
            READ_L(S, 0);
            st[S] = OUTGOING
        } ALSO(S, d_step { READ_L(S, 1) })
        fi;
outgoing:
        if
        :: !(KID & BIT(S)) -> goto gone
        :: goto killing
        :: d_step { /* cancel */
            (KID & BIT(S)) && !(GEN_EARLY && gen) ->
            CHECK(P3_forgotten, ((Lw[0] | Lw[PLACES - 1]) & BIT(S)) == 0);
            st[S] = RECLAIMING
        };
            goto reclaiming
        :: d_step { /* complete-out */
            (KID & BIT(S)) && (NO_CLAIM_NEEDED || IS_CLAIMED) ->
            st[S] = HANDED;
            orphan = (OTHERS(Cw[0], S) == 0)
        };
            if
            :: FREEZES ->
                atomic {
                    if :: AIO && (RUN[0] & BIT(S)) -> SET(IO[0], S)
                    :: true fi;
                    CLEAR(RUN[0], S)
                };
                d_step { GIVE_UP(S, 0) };
                d_step { let_go(S, 0) }
            :: else
            fi;
            goto killing
        fi;
reclaiming:
        OR_BACK(d_step {
            !NEVER_BACK && CAN_WRITE(Lr[0], Lw[0], S) -> WRITE_L(S, 0)
        })
        ALSO(S, OR_BACK(d_step { CAN_WRITE(Lr[1], Lw[1], S) -> WRITE_L(S, 1) }));
        OR_BACK(VE_FREE(S, 0) || BACK_BLIND)
        ALSO(S, OR_BACK(VE_FREE(S, 1) || BACK_BLIND));
        if /* the generation, read with L in hand */
        :: gen && !GEN_EARLY -> goto back
        :: d_step {
            !gen || GEN_EARLY ->
            hold(S, 0);
            st[S] = RUNNING;
            committed = 0
        }
        fi;
        goto running;
back: /* the deadline: what was taken back is offered again */
        skip;
        d_step { READ_L(S, 0); st[S] = OUTGOING }
        ALSO(S, d_step { if :: BACK_HALF :: else -> READ_L(S, 1) fi });
        goto outgoing;
killing:
        skip;
        d_step { KILLED = KILLED | (KID & BIT(S)) };
gone:
        skip;
        d_step { DRAINED(S, 0, gen) -> GIVE_UP(S, 0) }
        ALSO(S, d_step { CLEAR_V(S, 1) });
        d_step { let_go(S, 0); st[S] = KILLING } ALSO(S, d_step { UNLOCK_L(S, 1) });
out:
        skip;
        d_step { ok = 0; ends(S) }
    } unless { !(UP & BIT(S)) };
    ok = 0;
    goto end
}

#define OR_KILL(p, step) \
    if \
    :: step \
    :: !(KID & BIT(p)) -> goto gone \
    :: DEADLINES -> goto killing \
    fi

proctype Target(byte p)
{
    bit ok;

end:
    if
    :: d_step {
        CAN_START(p) && !CLAIM_SHARED && CAN_WRITE(Cr[0], Cw[0], p) ->
        SET(UP, p);
        WRITE_C(p, 0)
    }
    :: d_step {
        CAN_START(p) && CLAIM_SHARED && CAN_READ(Cw[0], p) ->
        SET(UP, p);
        READ_C(p, 0)
    }
#ifdef LTL
    :: d_step { CAN_START(p) -> skip }; goto end /* or never again */
#endif
    fi;
    {
        ok = 1 ALSO(p, d_step { WRITE_C_TOO(p, 1) });
        EACH(p, 0, SHARE_L);
#if !CLAIM_BLIND
        EACH(p, 0, FIND_VS_FREE);
#endif
        if :: !ok -> goto out :: else fi;
#if !LIVE_AT_TAKE
        EACH(p, 0, LIVE);
#endif
        d_step { hold(p, 0); ok = 0 };
        d_step { SET(KID, p); CLEAR(answered, p); st[p] = INCOMING };
incoming:
        if
        :: !(KID & BIT(p)) -> goto gone
        :: goto killing /* cancel, stop */
        :: d_step { (KID & BIT(p)) && (!CAREFUL || moved == p) -> committed = 1 }
        fi;
        /* complete-in: a source that offers, or none whose child lives; ... */
        d_step { TEST(ANOTHER_HOLDS(p, 0) || IN_ALONE) }
        ALSO(p, d_step { if :: !ok -> TEST(ANOTHER_HOLDS(p, 1)) :: else fi });
        if
        :: !ok -> ok = 1; EACH(p, 0, FIND_VE_FREE)
        :: else
        fi;
        /* ... and quiet, unless its QEMU may be active already */
        d_step {
            ok = ok && (IS_QUIET(0) || IN_BLIND || SELF_ACTIVATING);
            if :: !ok -> committed = gen :: else fi
        };
        if :: !ok -> ok = IN_HALF; goto incoming :: else -> ok = 0 fi;
        if :: !GEN_AFTER -> d_step { gen = !CLAIM_FAR } :: else fi;
        d_step {
            st[p] = CLAIMING;
            if :: !WAIT -> SET(answered, p) :: else fi
        };
        if :: GEN_AFTER -> d_step { gen = 1 } :: else fi;
        OR_KILL(p, d_step { CAN_WRITE(Lr[0], Lw[0], p) -> WRITE_L(p, 0) })
        ALSO(p, OR_KILL(p, d_step { CAN_WRITE(Lr[1], Lw[1], p) -> WRITE_L(p, 1) }));
        OR_KILL(p, VE_FREE(p, 0)) ALSO(p, OR_KILL(p, VE_FREE(p, 1)));
        OR_KILL(p, !WAIT || SELF_ACTIVATING || IS_QUIET(0));
#if LIVE_AT_TAKE
        d_step { LIVE(p, 0) };
#endif
        d_step { UNLOCK_C(p, 0) } ALSO(p, d_step { UNLOCK_C(p, 1) });
        d_step { hold(p, 0); st[p] = RUNNING; SET(answered, p) };
        if :: !(KID & BIT(p)) -> goto gone :: goto killing fi;
killing:
        skip;
        d_step { KILLED = KILLED | (KID & BIT(p)) };
gone:
        skip;
        d_step {
            DRAINED(p, 0, st[p] == INCOMING && ANYWHERE(p, 0) && !(IN_HALF && ok)) ->
            GIVE_UP(p, 0)
        } ALSO(p, d_step { CLEAR_V(p, 1) });
        d_step { let_go(p, 0) } ALSO(p, d_step { UNLOCK_L(p, 1) });
        d_step { UNLOCK_C(p, 0) } ALSO(p, d_step { UNLOCK_C(p, 1) });
out:
        skip;
        d_step { ok = 0; ends(p) }
    } unless { !(UP & BIT(p)) };
    ok = 0;
    goto end
}

/*
 * The guest. QEMU stops it on the source when the migration is done, and lets
 * it run on when that failed; the manager does not resume a source whose target
 * it has asked to complete, unless a cancel succeeded after that.
 */
proctype Manager()
{
end:
    do
    :: d_step {
        (RUN[0] & BIT(S)) && st[S] == OUTGOING && st[T] == INCOMING &&
        (KID & BIT(T)) -> CLEAR(RUN[0], S); moved = T
    }
    :: d_step {
        (RUN[0] & BIT(S)) && st[S] == OUTGOING && st[U] == INCOMING &&
        (KID & BIT(U)) -> CLEAR(RUN[0], S); moved = U
    }
    :: d_step {
        (KID & BIT(S)) && !((RUN[0] | TOLD[0]) & BIT(S)) &&
        (st[S] == RUNNING || !committed) && !(SELF_ACTIVATING && ran) ->
        opens(S, 0);
        if :: st[S] != RUNNING -> moved = NONE :: else fi
    }
    :: d_step {
        (KID & BIT(T)) && !(RUN[0] & BIT(T)) &&
        ((answered & BIT(T)) || (SELF_ACTIVATING && moved == T)) -> opens(T, 0)
    }
    :: d_step {
        (KID & BIT(U)) && !(RUN[0] & BIT(U)) &&
        ((answered & BIT(U)) || (SELF_ACTIVATING && moved == U)) -> opens(U, 0)
    }
    od
}

init {
    atomic {
        if :: ON(S) -> run Source(); run Fate(S) :: else fi;
        if :: ON(T) -> run Target(T); run Fate(T) :: else fi;
        if :: ON(U) -> run Target(U); run Fate(U) :: else fi;
        if :: ON(S) || ON(T) -> run Manager() :: else fi;
        if :: ON(F) -> run Thief(F); run Fate(F) :: else fi;
        if :: ON(G) -> run Thief(G); run Fate(G) :: else fi;
        if :: ON(H) -> run Thief(H); run Fate(H) :: else fi;
        if :: ON(W) -> run Virtlockd(W); run Fate(W) :: else fi;
        if :: ON(R) -> run Virtlockd(R); run Fate(R) :: else fi
    }
}

/* --- what must happen in the end, every process being scheduled fairly ------- */

#ifdef LTL
ltl source_cancel { [] (st[S] == RECLAIMING -> <> (st[S] != RECLAIMING)) }
ltl source_back {
    (<> [] (!(UP & BIT(T)) && !(KID & BIT(T)))) ->
    [] (st[S] == RECLAIMING -> <> (st[S] != RECLAIMING))
}
ltl target_cancel { [] ((KILLED & BIT(T)) -> <> !(UP & BIT(T))) }
ltl taken { [] ((st[T] == CLAIMING && st[S] == HANDED) -> <> (st[T] != CLAIMING)) }
ltl freed { [] (UP == 0 -> <> (LOCKS(0) == 0 || UP != 0)) }
#endif
