#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that is put under a supervisor before it becomes the VM.

become.py [--no-liveness] SUPERVISOR UUID [OPTION...] -- COMMAND...

As a lock manager's acquire does it in the process that will be QEMU: starts
the supervisor for itself, by a pidfd, waits until every lease is held, asks for
liveness, and executes COMMAND. Exit status 123 and so on where the supervisor
says so. The supervisor's number goes to the file "supervisor".
"""
import os
import sys

from qmp import QMP


def start(supervisor, uuid, options):
    """Returns whether the leases are held, and the supervisor's pid."""
    pidfd = os.pidfd_open(os.getpid())
    reader, writer = os.pipe()
    os.set_inheritable(pidfd, True)
    os.set_inheritable(writer, True)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.execv(supervisor, [supervisor, "--uuid", uuid, "--attach-pidfd",
                              str(pidfd), "--pid-fd", str(writer)] + options)
    os.close(writer)
    os.close(pidfd)
    with open("supervisor", "w") as file:
        print(pid, file=file)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    assert said in ("", f"{os.getpid()}\n"), said
    return said != "", pid


def keep_liveness(uuid):
    client = QMP(f"{os.environ['VIRT_LOCK_RUN_DIR']}/{uuid}.sock")
    number, count = 0, 1
    while number < count:
        reply = client.command("query-liveness", {"number": number})
        count = reply["count"]
        number += 1
    assert len(client.fds) == count
    for fd in client.fds:
        os.set_inheritable(fd, True)


def main(words):
    liveness = words[0] != "--no-liveness"
    if not liveness:
        words.pop(0)
    end = words.index("--")
    supervisor, uuid, *options = words[:end]
    held, pid = start(supervisor, uuid, options)
    if not held:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    if liveness:
        keep_liveness(uuid)
    os.execvp(words[end + 1], words[end + 1:])


if __name__ == "__main__":
    main(sys.argv[1:])
