#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small QMP client, as programs that drive QEMU have one.

It knows nothing of supervisors: greeting, qmp_capabilities, commands without
a newline behind them, replies and events as lines.

qmp.py SOCKET COMMAND [ARGUMENTS] [--fd PATH | --fd-readonly PATH]
prints what the command returned; exit status 1 and the error where it failed.

qmp.py SOCKET --events
prints the greeting, then every event as it comes, until the other end closes.
"""
import json
import os
import socket
import sys


class Error(Exception):
    """An "error" reply; args[0] is its object."""


class QMP:
    def __init__(self, path, timeout=10):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.buffer = b""
        self.events = []
        self.fds = []
        self.greeting = self.receive()
        self.command("qmp_capabilities")

    def receive(self):
        """The next object from the server; EOFError at the end."""
        while b"\n" not in self.buffer:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, 4)
            self.fds += fds
            if not data:
                raise EOFError
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def send(self, name, arguments=None, fds=(), **members):
        message = {"execute": name, **members}
        if arguments is not None:
            message["arguments"] = arguments
        data = json.dumps(message).encode()
        socket.send_fds(self.sock, [data], list(fds))

    def reply(self):
        while True:
            message = self.receive()
            if "event" not in message:
                return message
            self.events.append(message)

    def command(self, name, arguments=None, fds=()):
        self.send(name, arguments, fds)
        reply = self.reply()
        if "error" in reply:
            raise Error(reply["error"])
        return reply["return"]

    def event(self, name):
        while True:
            if self.events:
                message = self.events.pop(0)
            else:
                message = self.receive()
            if message.get("event") == name:
                return message


def print_events(path):
    client = QMP(path)
    client.sock.settimeout(None)
    message = client.greeting
    try:
        while True:
            print(json.dumps(message), flush=True)
            message = client.events.pop(0) if client.events \
                else client.receive()
    except (EOFError, ConnectionResetError):
        return 0


def main(path, name, *rest):
    if name == "--events":
        return print_events(path)
    arguments, fds = None, []
    rest = list(rest)
    while rest:
        word = rest.pop(0)
        if word == "--fd":
            fds.append(os.open(rest.pop(0), os.O_RDWR))
        elif word == "--fd-readonly":
            fds.append(os.open(rest.pop(0), os.O_RDONLY))
        else:
            arguments = json.loads(word)
    try:
        print(json.dumps(QMP(path).command(name, arguments, fds)))
    except Error as error:
        print(json.dumps(error.args[0]))
        return 1
    except (EOFError, OSError) as error:
        print(f"qmp: {type(error).__name__} {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
