/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the kinds of things that are logged, pure
 *
 * Whoever logs says which kind it is; that decides how important it is, and
 * which MESSAGE_ID the journal's entry has. An id is for ever: scripts and
 * catalogs know it. A new kind gets a new one (systemd-id128 new), and a kind
 * that comes to mean something else does too.
 *
 * Columns: name; level (ReportLevel); MESSAGE_ID; what happened; what it means.
 * The manual and the journal's catalog are written from this table.
 */
#ifndef SUPERVISOR_MESSAGES_H
#define SUPERVISOR_MESSAGES_H

#define MESSAGES(X)                                                            \
    X(STATE_CHANGED, INFO, "337e73533cbf4f8c87f8fb5e2ce58d40",                 \
      "the VM entered another state",                                          \
      "STATE is the state that was entered; the message says from which "      \
      "one, and why")                                                          \
    X(LEASE_DENIED, ERROR, "9b269e5d304c4000924b8f4afa40aefe",                 \
      "the VM was not started: a lease could not be had",                      \
      "somebody else has the disk, or the VM; the message says who; the "      \
      "command was not run (exit status 123)")                                 \
    X(LEASE_AWAITED, INFO, "3dab2b5b5ec748b3b107b84c25ec5ef3",                 \
      "the VM waits for a lease",                                              \
      "somebody else has the disk, or the VM; the message says who; the "      \
      "command is run when all leases are held (--wait)")                      \
    X(LEASE_LOST, WARNING, "26d6bd009eee400591257bd5d8323be3",                 \
      "a lease was lost, the VM is being killed",                              \
      "its lock is gone, or it was revoked by command (exit status 124); "     \
      "look at the file server before a new start")                            \
    X(LEASE_DOUBTFUL, WARNING, "cb508d8282ed46299625202b150e2c09",             \
      "a lease may be lost",                                                   \
      "setting its lock again did not work; the VM runs on, and it is "        \
      "tried again")                                                           \
    X(LEASE_CHANGED, WARNING, "474c48d52d5e4ef688ea674a32b5b913",              \
      "a leased path names another file",                                      \
      "the image was renamed, removed or replaced while the VM runs; stop "    \
      "the VM if it has the new one open")                                     \
    X(RELEASE_WAITS, WARNING, "668dd40b733c4e50bfa7dfc8b0cd1367",              \
      "a release waits",                                                       \
      "the VM is dead, but writes to the disk may still be under way; look "   \
      "at the storage if it lasts")                                            \
    X(TAKE_WAITS, INFO, "80356152b7e84e849654ffd9b83257be",                    \
      "a lease that is handed over is waited for",                             \
      "the other side of the migration still holds it; end its supervisor's "  \
      "part (migrate-complete --out on the source, migrate-cancel on the "     \
      "target)")                                                               \
    X(NO_SOURCE, INFO, "fcc55b6957764702baaccbe7d60bd41b",                     \
      "a VM that was to take leases over has none to take them from",          \
      "nobody holds the VM: its leases are taken as for any other start; "     \
      "right for a VM whose state comes from a file")                          \
    X(RELEASED_UNPROVED, WARNING, "5dd8a231d224497099ab20c945484178",          \
      "a lease was released without proof",                                    \
      "whether something still writes to the disk could not be seen, and "     \
      "was waited for long enough")                                            \
    X(CHILD_UNKILLABLE, WARNING, "f5b074d3c65744869311e225e86d42a2",           \
      "the VM cannot be killed",                                               \
      "a process of it is stuck in the kernel, mostly on dead storage; its "   \
      "leases are kept for as long as it takes")                               \
    X(CHILD_ADOPTED, INFO, "7e603d2fc47b4d6fbf717802f78d0d0e",                 \
      "the VM has another main process",                                       \
      "the command has ended, and a descendant of it is the child now: a "     \
      "daemon")                                                                \
    X(CONFINED_WITHOUT, INFO, "416ff1b9b7c94c7f8dae52ecd3222b25",              \
      "the supervisor has more rights than it needs",                          \
      "a step of confinement did not work; the VM is as safe, the "            \
      "supervisor less so")                                                    \
    X(GUARD_LESS, WARNING, "ee15db6533444f38a476f39665f8c6d9",                 \
      "the VM's guard is not what it was",                                     \
      "it was killed with its spare, or cannot be told everything; where the " \
      "supervisor is killed now nobody sees to the end; start the VM again "   \
      "when that is possible")                                                 \
    X(REPORT_FAILED, WARNING, "d47550df14a44edeadf277a70bfb1912",              \
      "a report could not be delivered",                                       \
      "the child's PID or a status line was not written where it was asked "   \
      "for")                                                                   \
    X(UNCOVERED, WARNING, "2edb6d31a7f747c09dfdf11e35d73e0c",                  \
      "a disk of the VM cannot be leased",                                     \
      "the command names storage that the VM writes to and that no lease is "  \
      "known for; the message says why; nobody is kept from it")               \
    X(UNCOVERED_READ, INFO, "857205aa7ed0424e8c13a6e20df6f7b7",                \
      "what the VM only reads cannot be leased",                               \
      "the same of storage that the VM only reads")                            \
    X(COMMAND_DOUBTFUL, WARNING, "a91c3a9930f04767afe09d58cac22342",           \
      "the command asks for less protection",                                  \
      "something in the QEMU command line weakens what can be promised, or "   \
      "could not be understood; the message says what")                        \
    X(UNLEASED, WARNING, "27c08276f8ee4388a83b07666a901dd8",                   \
      "the VM writes to a disk without a lease",                               \
      "the image is open for writing, and nobody is kept from it; name it "    \
      "with --disk")                                                           \
    X(UNSEEN, INFO, "d11e2d40ae27440880d349ee85516ab6",                        \
      "what the VM has open could not be looked at",                           \
      "the supervisor has given up the right to; virt-lockctl leases, of "     \
      "root, can look")                                                        \
    X(EVENT_REFUSED, DEBUG, "cb0d4ac97d5747168ca7756af4dee7b8",                \
      "an event was refused",                                                  \
      "it means nothing in the state that the VM is in")                       \
    X(ENDED_BY_ERROR, ERROR, "8e439591d2f347859112fbc188bad1a9",               \
      "the supervisor ended by an error of its own",                           \
      "the message says what could not be done (exit status 125, 126 or "      \
      "127)")

typedef enum {
#define X(name, level, id, what, meaning) MESSAGE_##name,
    MESSAGES(X)
#undef X
        MESSAGE_N_KINDS
} MessageKind;

#endif
