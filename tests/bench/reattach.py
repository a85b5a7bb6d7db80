#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DOC: many VMs that run are found again by one manager

reattach.py N SUPERVISOR PAUSE REATTACH DISK

Starts N supervisors, each with a disk ("{i}" in DISK is its number) and PAUSE
as its VM; when all of them run, REATTACH finds them, several times, and the
median of what it took is printed. See reattach.c.
"""

import statistics
import subprocess
import sys

import idle

ROUNDS = 5


def child(instance):
    """The pause of that supervisor."""
    _, pauses = idle.split([instance])
    return pauses[0]


def milliseconds(reattach, vms):
    """Of one manager, for all of them."""
    return float(subprocess.run([reattach], input=vms.encode(), check=True,
                                stdout=subprocess.PIPE).stdout)


def main():
    if len(sys.argv) != 6:
        print('usage: reattach.py N SUPERVISOR PAUSE REATTACH DISK',
              file=sys.stderr)
        return 2
    supervisor, pause, reattach, disk = sys.argv[2:]
    count = idle.affordable(int(sys.argv[1]))
    running, complete = idle.start(
        count, [supervisor, '--uuid', '{uuid}', '--disk', disk, '--', pause])
    _, pauses = idle.split(running)
    try:
        if complete:
            vms = ''.join(f'{idle.uuid(i)} {child(instance)}\n'
                          for i, instance in enumerate(running))
            print('instances', count)
            print('total_ms', statistics.median(
                milliseconds(reattach, vms) for _ in range(ROUNDS)))
    finally:
        idle.stop(running, pauses)
    return 0 if complete else 1


if __name__ == '__main__':
    sys.exit(main())
