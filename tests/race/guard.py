#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DOC: races about the guard

guard.py BUILD kill|kill-all|replace ROUNDS

In an empty working directory. Each round of kill attaches a supervisor to a
process that stamps the time, plugs a disk in, and kills the supervisor as soon
as that is answered, while waiters sleep in the kernel for the locks. An overlap
is a stamp that is younger than a grant. kill-all does the same to supervisor
and guards at one blow, where overlaps are no wonder: it shows that they are
seen.

replace kills the guard of one VM, ROUNDS times, with disks plugged in and out
meanwhile, and somebody who tries all the time to take two that are held. Then
the supervisor is killed.

Prints what was seen; exit status 1 where that must not be.
"""
import fcntl
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "bin"))
sys.dont_write_bytecode = True

from qmp import QMP  # noqa: E402

UUID = "6f0e0000-0000-4000-8000-00000000000b"
DEADLINE = 20
NEVER = 2**64 - 1


def until(condition, what):
    """What @condition returns, as soon as that is something."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.0005)
    sys.exit(f"guard.py: it was waited for {what}")


def content(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def lives(pid):
    stat = content(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return bool(stat) and stat[0] not in "ZX"


def of_session(session):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        stat = content(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if stat and stat[0] not in "ZX" and int(stat[3]) == session:
            found.append(int(pid))
    return found


class World:
    def __init__(self, build):
        self.build = build
        self.env = dict(os.environ, VIRT_LOCK_RUN_DIR=os.path.abspath("run"),
                        VIRT_LOCK_STATE_DIR=os.path.abspath("state"))
        self.ours = []

    def start(self, *words, **keywords):
        process = subprocess.Popen(words, env=self.env, **keywords)
        self.ours.append(process)
        return process

    def program(self, name):
        return os.path.join(self.build, name)

    def tool(self, name):
        return os.path.join(self.build, "tests", "bin", name)

    def supervise(self, *words):
        """Returns the supervisor when the child's number is reported."""
        reader, writer = os.pipe()
        process = self.start(self.program("virt-lock-supervisor"), "--uuid",
                             UUID, "--name", "vm", "--pid-fd", str(writer),
                             *words, pass_fds=[writer])
        os.close(writer)
        with os.fdopen(reader) as pipe:
            if not pipe.read():
                sys.exit("guard.py: the supervisor did not start")
        return process, QMP(f"run/{UUID}.sock")

    def stamper(self, *words):
        for name in "ready", "stamps":
            if os.path.exists(name):
                os.unlink(name)
        return [self.tool("fakevmm"), "--ready", "ready", "--stamp", "stamps",
                "--busy", *words]

    def waiter(self, disk):
        granted = f"{disk}.granted"
        if os.path.exists(granted):
            os.unlink(granted)
        process = self.start(self.tool("taker"), disk, granted)
        until(lambda: sleeps(process.pid), "a waiter to wait")
        return process

    def end(self):
        for process in self.ours:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.ours = []


def sleeps(pid):
    return content(f"/proc/{pid}/wchan").startswith(("fcntl", "do_lock", "0")) \
        and content(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] == "S"


def disk(name):
    with open(name, "a", encoding="ascii") as file:
        file.truncate(1 << 20)
    return os.path.abspath(name)


def last_stamp():
    with open("stamps", "rb") as file:
        data = file.read()
    return max(stamp for stamp, _ in struct.iter_unpack("=QQ", data))


def stampers():
    with open("stamps", "rb") as file:
        data = file.read()
    return {pid for _, pid in struct.iter_unpack("=QQ", data) if pid}


def session_of(client):
    pid = client.command("query-status")["guard"]["pid"]
    return int(content(f"/proc/{pid}/stat").rpartition(")")[2].split()[3])


def at_once(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def overlap(disks):
    """Nanoseconds from the first grant to the last stamp; below 0: none."""
    grants = []
    for name in disks:
        until(lambda: content(f"{name}.granted"), f"the grant of {name}")
        grants.append(int(content(f"{name}.granted")))
    return last_stamp() - min(grants)


def plug(client, name):
    """Sends the command; whoever calls reads the reply."""
    fd = os.open(disk(name), os.O_RDWR)
    client.send("lease-acquire", {"disk": os.path.abspath(name)}, fds=[fd])
    os.close(fd)


def must(reply):
    if "error" in reply:
        sys.exit(f"guard.py: {reply['error']['desc']}")


def kill_once(world, everybody, quick):
    """The overlap of one round, and whether anybody lived on. @quick: the
    kill follows the reply; otherwise it finds a waiter there."""
    stamper = world.start(*world.stamper("--fork-writer", "1"))
    until(lambda: content("ready"), "the stamper")
    supervisor, client = world.supervise("--param", "drain=0", "--disk",
                                         disk("a"), "--attach",
                                         str(stamper.pid))
    world.waiter("a")
    session = session_of(client)
    victims = [supervisor.pid] + (of_session(session) if everybody else [])
    plug(client, "hot")
    must(client.reply())
    if not quick:
        world.waiter("hot")
    if everybody:
        at_once(victims)
    else:
        supervisor.kill()
    if quick:
        world.start(world.tool("taker"), "hot", "hot.granted")
    supervisor.wait()
    if everybody:
        until(lambda: content("a.granted"), "the grant")
        time.sleep(0.005)  # so that who lives on stamps
    seen = overlap(["a", "hot"])
    left = any(lives(pid) for pid in stampers())
    until(lambda: not of_session(session), "the end of the guard")
    for pid in stampers():
        if lives(pid):
            os.kill(pid, signal.SIGKILL)
    world.end()
    os.unlink("hot.granted")
    return seen, left


def kill(world, rounds, everybody):
    worst, overlaps, survivors = -NEVER, 0, 0
    for number in range(rounds):
        seen, left = kill_once(world, everybody, number % 2)
        worst = max(worst, seen)
        overlaps += seen >= 0
        survivors += left
    print(f"kills: {rounds}; overlaps: {overlaps}; processes that lived on: "
          f"{survivors}; last stamp to grant: {-worst / 1000:.0f} us or more")
    if everybody:
        return 0 if overlaps == rounds else 1
    return 1 if overlaps or survivors else 0


def try_all_the_time(disks, tries, wins):
    files = [open(name, "r+b", buffering=0) for name in disks]
    while True:
        for file in files:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
            except OSError:
                tries.value += 1
                continue
            wins.value += 1
            fcntl.lockf(file, fcntl.LOCK_UN, 1)


def is_guarded(client, name):
    return "guarded" in client.command("query-status")["guarantee"].get(
        os.path.abspath(name), [])


def replace_once(client, number):
    """Kills the guard in the midst of plugging, and waits for the next."""
    name = f"plugged{number % 4}"
    before = client.command("query-status")["guard"]["pid"]
    plug(client, name)
    os.kill(before, signal.SIGKILL)
    must(client.reply())
    until(lambda: client.command("query-status").get("guard", {}).get("pid")
          not in (None, before), "another guard")
    until(lambda: is_guarded(client, name), "its knowing all")
    if number % 2:
        return
    client.command("lease-release", {"disk": os.path.abspath(name)})


def replace(world, rounds):
    tries = multiprocessing.Value("Q", 0)
    wins = multiprocessing.Value("Q", 0)
    held = ["a", "hot"]
    supervisor, client = world.supervise(
        "--guard", "--disk", disk("a"), "--", *world.stamper())
    plug(client, "hot")
    must(client.reply())
    session = session_of(client)
    trier = multiprocessing.Process(target=try_all_the_time,
                                    args=(held, tries, wins), daemon=True)
    trier.start()
    for number in range(rounds):
        for name in list(client.command("query-status")["guarantee"]):
            if os.path.basename(name) == f"plugged{number % 4}":
                client.command("lease-release", {"disk": name})
        replace_once(client, number)
    until(lambda: tries.value > 1000, "somebody who tries")
    trier.terminate()
    trier.join()
    won = wins.value
    for name in held:
        world.waiter(name)
    supervisor.kill()
    seen = overlap(held)
    until(lambda: not of_session(session), "the end of the guard")
    world.end()
    print(f"guards: {rounds}; tries: {tries.value}; won: {won}; last stamp to "
          f"grant in the end: {-seen / 1000:.0f} us")
    return 1 if won or seen >= 0 else 0


def main(build, what, rounds):
    world = World(os.path.abspath(build))
    try:
        if what == "replace":
            return replace(world, int(rounds))
        return kill(world, int(rounds), what == "kill-all")
    finally:
        world.end()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
