#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DOC: how long a child lives after its lease was revoked

death.py BUILD TINY_ROUNDS QEMU_ROUNDS

Compares, in turns, the time from SIGKILL to the death of a bare process,
which is the kernel's own, with the time from a revoke command to the death
of the same process under the supervisor in BUILD. One process is tiny
(pause.c), the other is QEMU with 1 GiB of memory touched. Prints the medians

  tiny.plain_us  tiny.revoked_us  qemu.plain_us  qemu.revoked_us

and the same with _p90_us. Works in the current directory; the run and state
directories come from the environment.
"""

import os
import socket
import subprocess
import sys
import uuid

DEADLINE = 60
QEMU = ('qemu-system-x86_64', '-nodefaults', '-no-user-config', '-S',
        '-display', 'none', '-accel', 'tcg', '-m', '1G',
        '-machine', 'q35,memory-backend=memory',
        '-object', 'memory-backend-ram,id=memory,size=1G,prealloc=on',
        '-mon', 'chardev=qmp,mode=control')


class Bench:
    """One build, and how children are started and killed with it."""

    def __init__(self, build):
        self.supervisor = os.path.join(build, 'virt-lock-supervisor')
        self.rtt = os.path.join(build, 'tests/bench/rtt')
        self.pause = os.path.join(build, 'tests/bench/pause')

    def start(self, argv, ready, theirs, vm):
        """Starts a child, under the supervisor where vm is its uuid, and
        returns the process when ready has something to read."""
        if vm:
            argv = (self.supervisor, '--uuid', vm, '--disk', 'disk.raw',
                    '--log-level', 'error', '--') + argv
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                   stdout=theirs, pass_fds=(theirs.fileno(),))
        theirs.close()
        ready.settimeout(DEADLINE)
        if not ready.recv(4096):
            process.wait()
            raise RuntimeError(f'cannot start {argv[0]}: '
                               f'status {process.returncode}')
        return process

    def start_tiny(self, vm):
        ours, theirs = socket.socketpair()
        return self.start((self.pause,), ours, theirs, vm), ours

    def start_qemu(self, vm):
        """Ready with QMP's greeting: the memory is touched before it."""
        ours, theirs = socket.socketpair()
        chardev = f'socket,id=qmp,fd={theirs.fileno()}'
        return self.start(QEMU + ('-chardev', chardev), ours, theirs, vm), ours

    def death(self, start, revoked):
        """Microseconds from the command, or the signal, to the death."""
        vm = str(uuid.uuid4()) if revoked else None
        process, ready = start(vm)
        if revoked:
            run_dir = os.environ['VIRT_LOCK_RUN_DIR']
            victim = ('revoke', os.path.join(run_dir, vm + '.sock'))
        else:
            victim = ('kill', str(process.pid))
        try:
            took = subprocess.run((self.rtt, *victim), check=True,
                                  stdout=subprocess.PIPE).stdout
        except subprocess.CalledProcessError:
            process.terminate()
            raise
        finally:
            status = process.wait()
            ready.close()
        if status != (124 if revoked else -9):
            raise RuntimeError(f'the process ended with status {status}')
        return float(took)


def compare(bench, name, start, rounds):
    times = {'plain': [], 'revoked': []}
    for _ in range(rounds):
        for kind, values in times.items():
            values.append(bench.death(start, kind == 'revoked'))
    for kind, values in times.items():
        values.sort()
        print(f'{name}.{kind}_us {values[len(values) // 2]:.0f}')
        print(f'{name}.{kind}_p90_us {values[len(values) * 9 // 10]:.0f}')


def main():
    if len(sys.argv) != 4:
        print('usage: death.py BUILD TINY_ROUNDS QEMU_ROUNDS', file=sys.stderr)
        return 2
    bench = Bench(sys.argv[1])
    with open('disk.raw', 'ab') as disk:
        disk.truncate(1 << 20)
    try:
        compare(bench, 'tiny', bench.start_tiny, int(sys.argv[2]))
        compare(bench, 'qemu', bench.start_qemu, int(sys.argv[3]))
    except (RuntimeError, subprocess.CalledProcessError, OSError) as error:
        print(f'death.py: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
