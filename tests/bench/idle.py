#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DOC: what many idle instances of one program cost

idle.py [--comm NAME] N SECONDS PROGRAM ARG...

Starts N instances of a program that runs a child (pause.c) in its turn; in an
argument "{i}" is the instance's number, and "{uuid}" a uuid of its own. Once
every child runs and the instances have come to rest, prints, for the program
alone, its child not counted, per instance:

  pss_kib      proportional set size: shared pages divided by their users
  private_kib  pages of its own
  wakeups      context switches per second, over SECONDS
  threads

With --comm it measures, in place of the program, the processes of that name
that were not there before.

and instances, how many there were: fewer than N where the limits on
processes or memory are lower. The program's children are killed in the end,
so that each instance can go its own ordinary way.
"""

import os
import resource
import selectors
import signal
import subprocess
import sys
import time

QUIET = 3  # a supervisor looks once, two seconds after its start
DEADLINE = 120  # seconds until all have started, or have ended


def fields(path):
    """The "Name: number" lines of a file in /proc."""
    found = {}
    with open(path, encoding='ascii', errors='replace') as lines:
        for line in lines:
            words = line.split()
            if len(words) > 1 and words[1].isdigit():
                found[words[0].rstrip(':')] = int(words[1])
    return found


def affordable(wanted):
    """How many instances, with two processes each, may be started."""
    processes = sum(name.isdigit() for name in os.listdir('/proc'))
    with open('/proc/sys/kernel/pid_max', encoding='ascii') as limit:
        room = int(limit.read()) - processes
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if soft != resource.RLIM_INFINITY:
        room = min(room, soft - processes)
    memory = fields('/proc/meminfo')['MemAvailable']
    return max(1, min(wanted, room // 3, memory // 4096))


def uuid(number):
    return f'6f0e0000-0000-4000-8000-{number:012d}'


def filled(arg, number):
    return arg.replace('{i}', str(number)).replace('{uuid}', uuid(number))


def start(count, argv):
    """Starts all, returns them when each one's child has said a byte."""
    ready, said = os.pipe()
    running = [
        subprocess.Popen([filled(arg, i) for arg in argv],
                         stdin=subprocess.DEVNULL, stdout=said)
        for i in range(count)]
    os.close(said)
    deadline = time.monotonic() + DEADLINE
    selector = selectors.DefaultSelector()
    selector.register(ready, selectors.EVENT_READ)
    missing = count
    while missing > 0:
        if not selector.select(deadline - time.monotonic()):
            break
        got = len(os.read(ready, 65536))
        if got == 0:
            break
        missing -= got
    if missing > 0:
        print(f'idle.py: {missing} of {count} did not start: {argv[0]}',
              file=sys.stderr)
    return running, missing == 0


def children(pid):
    found = []
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children',
                      encoding='ascii') as pids:
                found += [int(child) for child in pids.read().split()]
    except OSError:
        pass
    return found


def is_pause(pid):
    try:
        with open(f'/proc/{pid}/comm', encoding='ascii') as comm:
            return comm.read().strip() == 'pause'
    except OSError:
        return False


def split(running):
    """Processes of the programs measured, and their pausing children."""
    programs, pauses = [], []
    for instance in running:
        todo = [instance.pid]
        while todo:
            pid = todo.pop()
            (pauses if is_pause(pid) else programs).append(pid)
            todo += children(pid)
    return programs, pauses


def tasks(pid):
    return os.listdir(f'/proc/{pid}/task')


def switches(pids):
    total = 0
    for pid in pids:
        for task in tasks(pid):
            status = fields(f'/proc/{pid}/task/{task}/status')
            total += status['voluntary_ctxt_switches']
            total += status['nonvoluntary_ctxt_switches']
    return total


def settle(pids):
    """Until nothing has moved for QUIET seconds, or after ten times that."""
    before = -1
    for _ in range(10):
        now = switches(pids)
        if now == before:
            return
        before = now
        time.sleep(QUIET)  # what is being measured is rest


def measure(pids, count, seconds):
    settle(pids)
    began = time.monotonic()
    before = switches(pids)
    time.sleep(seconds)  # the window
    wakeups = (switches(pids) - before) / (time.monotonic() - began)
    print('instances', count)
    print('wakeups', f'{wakeups / count:.3f}')
    print('threads', f'{sum(len(tasks(pid)) for pid in pids) / count:g}')
    try:
        maps = [fields(f'/proc/{pid}/smaps_rollup') for pid in pids]
    except PermissionError:
        print('idle.py: cannot read the memory of an undumpable process: '
              'not root', file=sys.stderr)
        return
    pss = sum(one['Pss'] for one in maps)
    private = sum(one['Private_Clean'] + one['Private_Dirty'] for one in maps)
    print('pss_kib', f'{pss / count:.1f}')
    print('private_kib', f'{private / count:.1f}')


def stop(running, pauses):
    for pid in pauses:
        os.kill(pid, signal.SIGKILL)  # ours: its parent waits for us
    for instance in running:
        try:
            instance.wait(DEADLINE if pauses else 1)
        except subprocess.TimeoutExpired:
            instance.kill()
            instance.wait()


def named(name, before):
    """Live processes of that name that were not there before."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/comm', encoding='ascii') as comm, \
                    open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as maps:
                if comm.read().strip() == name and maps.read():
                    found.append(int(pid))
        except OSError:
            pass
    return [pid for pid in found if pid not in before]


def main():
    name = None
    if sys.argv[1:2] == ['--comm']:
        name = sys.argv[2]
        del sys.argv[1:3]
    if len(sys.argv) < 4:
        print('usage: idle.py N SECONDS PROGRAM ARG...', file=sys.stderr)
        return 2
    count = affordable(int(sys.argv[1]))
    before = named(name, []) if name else []
    running, complete = start(count, sys.argv[3:])
    programs, pauses = split(running)
    if name:
        programs = named(name, before)
    try:
        if complete:
            measure(programs, count, float(sys.argv[2]))
    finally:
        stop(running, pauses)
    return 0 if complete else 1


if __name__ == '__main__':
    sys.exit(main())
