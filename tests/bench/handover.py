#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DOC: what a hand-over of eight disks adds to a guest's downtime

handover.py BUILD HOPS

While a guest is down in live migration, between its stop on the source and its
start on the target, its leases change hands. Compared, in turns:

  vls        migrate-complete in on the target (the source was prepared, and
             the target claimed, while the guest still ran; migrate-complete
             out comes when it runs again)
  virtlockd  the source's plugin releases every disk, the target's acquires
             every disk, as libvirt does it around the same instant

All along a thief tries to get byte 0 of every disk, which both lock, every
millisecond; what it gets it lets go at once. Prints the median and the 99th
percentile of the time between stop and start, how often the thief got a disk
("stolen"), and how many of the moves failed for it ("lost"):

  vls.median_us vls.p99_us vls.stolen vls.lost virtlockd.median_us ...

Works in the current directory; state directory from the environment. The
children write nothing (pause.c): what a guest and its memory add is left out.
"""

import fcntl
import json
import multiprocessing
import os
import socket
import struct
import subprocess
import sys
import time
import uuid

import virtlockd

DISKS = [os.path.abspath(f'hop{i}.raw') for i in range(8)]
DEADLINE = 60
F_OFD_SETLK = 37

# Both sides are on one processor, and the thief on another: what it takes to
# wake one up from the other is the machine's, and more in a virtual one.
HERE, *OTHERS = sorted(os.sched_getaffinity(0))


class Thief:
    """A process of its own, which tries until it is told to end."""

    def __init__(self):
        ours, theirs = multiprocessing.Pipe()
        self.pipe = ours
        self.process = multiprocessing.Process(target=self.steal,
                                               args=(theirs,))
        self.process.start()
        self.pipe.recv() # it has begun

    @staticmethod
    def lock(file, kind):
        fcntl.fcntl(file, F_OFD_SETLK,
                    struct.pack('hhqqi4x', kind, os.SEEK_SET, 0, 1, 0))

    @classmethod
    def steal(cls, pipe):
        os.sched_setaffinity(0, OTHERS or [HERE])
        files = [open(path, 'r+b') for path in DISKS]
        tries = stolen = 0
        pipe.send(None)
        while not pipe.poll(0.001):
            for file in files:
                tries += 1
                try:
                    cls.lock(file, fcntl.F_WRLCK)
                except OSError:
                    continue
                stolen += 1
                cls.lock(file, fcntl.F_UNLCK)
        pipe.send((tries, stolen))

    def end(self):
        """How often it got a disk."""
        self.pipe.send(None)
        tries, stolen = self.pipe.recv()
        self.process.join()
        if not tries:
            raise RuntimeError('the thief has not tried at all')
        return stolen


class Supervisor:
    """One of ours, with pause as its child; on one of two "hosts"."""

    def __init__(self, build, vm, host, state=None):
        environment = dict(os.environ, VIRT_LOCK_RUN_DIR=host)
        argv = [os.path.join(build, 'virt-lock-supervisor'), '--uuid', vm,
                '--log-level', 'error']
        argv += ['--incoming', '--state', state] if state else []
        for disk in DISKS:
            argv += ['--disk', disk]
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                argv + ['--', os.path.join(build, 'tests/bench/pause')],
                stdin=subprocess.DEVNULL, stdout=theirs, env=environment)
        with ours:
            ours.settimeout(DEADLINE)
            if not ours.recv(1): # the child says that it runs
                raise RuntimeError('cannot start a supervisor: status '
                                   f'{self.process.wait()}')
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(os.path.join(host, vm + '.sock'))
        self.lines = self.socket.makefile('r')
        self.lines.readline()
        self.ask('qmp_capabilities')

    def ask(self, command, **arguments):
        line = json.dumps({'execute': command, 'arguments': arguments})
        self.socket.sendall(line.encode() + b'\n')
        while True:
            answer = json.loads(self.lines.readline())
            if 'return' in answer:
                return answer['return']
            if 'error' in answer:
                raise RuntimeError(f'{command}: {answer["error"]["desc"]}')

    def close(self):
        self.lines.close()
        self.socket.close()

    def ended(self):
        status = self.process.wait(DEADLINE)
        self.close()
        if status:
            raise RuntimeError(f'a source ended with status {status}')

    def quit(self):
        self.ask('quit')
        self.process.wait(DEADLINE)
        self.close()


class Ours:
    """Supervisors, handing over again and again."""

    def __init__(self, build):
        self.build = build
        self.vm = str(uuid.uuid4())
        self.hosts = [os.path.abspath(name) for name in ('from', 'to')]
        for host in self.hosts:
            os.mkdir(host, 0o700)
        self.source = Supervisor(build, self.vm, self.hosts[0])

    def hop(self):
        state = self.source.ask('migrate-prepare')['state']
        self.hosts.reverse()
        target = Supervisor(self.build, self.vm, self.hosts[0], state)
        began = time.perf_counter()
        target.ask('migrate-complete', direction='in')
        took = time.perf_counter() - began
        self.source.ask('migrate-complete', direction='out')
        self.source.ended()
        self.source = target
        # Held alone before the next is tried.
        target.ask('migrate-complete', direction='in', wait=True)
        return took

    def end(self):
        self.source.quit()


class Theirs:
    """Two connections to virtlockd, one for each side."""

    def __init__(self, _build):
        self.daemon = virtlockd.Daemon(os.path.abspath('virtlockd'))
        vm = uuid.uuid4()
        self.sides = [virtlockd.Connection(self.daemon, 'vm', vm, number)
                      for number in (1, 2)]
        self.take(self.sides[0])

    def take(self, side):
        """How many disks somebody else had."""
        lost = 0
        for disk in DISKS:
            while not side.acquire(disk):
                lost += 1
        return lost

    def hop(self):
        source, target = self.sides
        self.sides.reverse()
        began = time.perf_counter()
        for disk in DISKS:
            if not source.release(disk):
                raise RuntimeError('virtlockd does not release')
        lost = self.take(target)
        return None if lost else time.perf_counter() - began

    def end(self):
        for side in self.sides:
            side.close()
        self.daemon.end()


def measure(name, mover, hops):
    times, lost = [], 0
    thief = Thief()
    try:
        for _ in range(hops):
            took = mover.hop()
            if took is None:
                lost += 1
            else:
                times.append(took * 1e6)
    finally:
        stolen = thief.end()
    times.sort()
    if not times:
        raise RuntimeError(f'{name}: no move at all went well')
    print(f'{name}.median_us {times[len(times) // 2]:.0f}')
    print(f'{name}.p99_us {times[len(times) * 99 // 100]:.0f}')
    print(f'{name}.stolen {stolen}')
    print(f'{name}.lost {lost}')
    print(f'{name}.hops {hops}')


def main():
    if len(sys.argv) != 3:
        print('usage: handover.py BUILD HOPS', file=sys.stderr)
        return 2
    os.sched_setaffinity(0, [HERE])
    for disk in DISKS:
        with open(disk, 'ab') as file:
            file.truncate(1 << 20)
    for name, kind in (('vls', Ours), ('virtlockd', Theirs)):
        mover = kind(sys.argv[1])
        try:
            measure(name, mover, int(sys.argv[2]))
        finally:
            mover.end()
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f'handover.py: {error}', file=sys.stderr)
        sys.exit(1)
