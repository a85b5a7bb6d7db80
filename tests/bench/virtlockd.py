#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""DOC: a client of libvirt's virtlockd, as libvirt's own lock plugin is one

The daemon is the stock one, in a mount namespace of its own, with its socket
in a directory of ours. What is asked of it is what libvirt's lockd plugin asks
with auto_disk_leases and no lockspace: one call for each disk, with the disk's
path as the resource, in the default lockspace.
"""

import os
import select
import socket
import struct
import subprocess

PROGRAM, VERSION = 0xEA7BEEF, 1
REGISTER, ACQUIRE, RELEASE = 1, 6, 7
CALL, REPLY, OK = 0, 1, 0
DEADLINE = 10


def opaque(text):
    data = os.fsencode(text)
    return struct.pack('>I', len(data)) + data + bytes(-len(data) % 4)


class Daemon:
    """virtlockd; to be ended."""

    def __init__(self, directory):
        self.path = os.path.join(directory, 'virtlockd-sock')
        os.mkdir(directory)
        with open(os.path.join(directory, 'virtlockd.conf'), 'w') as config:
            config.write('log_outputs = "3:stderr"\n')
        # What is created in the directory tells that the socket is there;
        # with -d it is listened on when the daemon's first process ends.
        self.process = subprocess.Popen(
            ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--',
             'sh', '-c', 'mount -t tmpfs none /run && mkdir /run/libvirt && '
             'mount --bind "$1" /run/libvirt && '
             'virtlockd -d -f "$1/virtlockd.conf" && '
             'echo up && exec cat', 'sh', directory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if not select.select([self.process.stdout], [], [], DEADLINE)[0] or \
                self.process.stdout.readline() != b'up\n':
            self.end()
            raise RuntimeError('cannot start virtlockd')

    def end(self):
        self.process.kill()
        self.process.wait()


class Connection:
    """That of one VM."""

    def __init__(self, daemon, name, uuid, number):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(daemon.path)
        self.serial = 0
        self.call(REGISTER, uuid.bytes + opaque(name) +
                  struct.pack('>III', number, os.getpid(), 0))

    def call(self, procedure, arguments):
        """False where the daemon says no."""
        self.serial += 1
        header = struct.pack('>IIiiII', PROGRAM, VERSION, procedure, CALL,
                             self.serial, OK)
        length = 4 + len(header) + len(arguments)
        self.socket.sendall(struct.pack('>I', length) + header + arguments)
        reply = self.read(struct.unpack('>I', self.read(4))[0] - 4)
        got = struct.unpack('>IIiiII', reply[:24])
        if got[2:5] != (procedure, REPLY, self.serial):
            raise RuntimeError(f'virtlockd: an answer to what? {got}')
        return got[5] == OK

    def read(self, length):
        data = b''
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise RuntimeError('virtlockd has hung up')
            data += more
        return data

    def acquire(self, disk):
        return self.call(ACQUIRE,
                         opaque('') + opaque(disk) + struct.pack('>I', 0))

    def release(self, disk):
        return self.call(RELEASE,
                         opaque('') + opaque(disk) + struct.pack('>I', 0))

    def close(self):
        self.socket.close()
