# shellcheck shell=bash disable=SC2034,SC2154  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: a stand-in for the journal
#
# start_journal binds $T/journal/socket and turns each datagram into a line of
# JSON in $T/entries. See with_journal for how a supervisor gets to know it.
#
# Should:  understand both forms of a field, and nothing else.
# Mustn't: show itself outside of the supervisor's mount namespace.

requires_journal() {
    requires_root # mounts
}

# The number of the stand-in goes to $JOURNAL.
start_journal() {
    mkdir -p "$T/journal"
    rm -f "$T/journal/socket"
    cat >"$T/journal.py" <<'PY'
import json, os, socket, struct
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("journal/socket")
os.chmod("journal/socket", 0o666)
while True:
    text, fields = journal.recv(1 << 20), {}
    while text:
        line, _, rest = text.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size, = struct.unpack("<Q", rest[:8])
            value, rest = rest[8:8 + size], rest[8 + size:]
            assert rest[:1] == b"\n", rest
            rest = rest[1:]
        assert name.decode() not in fields, name
        fields[name.decode()] = value.decode()
        text = rest
    with open("entries", "a") as entries:
        entries.write(json.dumps(fields) + "\n")
PY
    : >>"$T/entries"
    spawn journal "$PYTHON" -S "$T/journal.py"
    JOURNAL=$PID
    wait_until test -S "$T/journal/socket"
}

# with_journal: from here on $SUPERVISOR runs where $T/journal is the
# journal's directory, and nothing else is in /run. With STDERR_IS_JOURNAL=1
# its standard error seems to be the journal.
with_journal() {
    cat >"$T/supervisor" <<END_OF_WRAPPER
#!/bin/sh
# Runs the supervisor as this very process.
[ "\$1" = --there ] || exec unshare -m "\$0" --there "\$@"
shift
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal
mount --bind "$T/journal" /run/systemd/journal
# As systemd says it of standard error that it has connected to the journal.
[ "\${STDERR_IS_JOURNAL-}" != 1 ] ||
    export JOURNAL_STREAM=\$(stat -Lc %d:%i /proc/self/fd/2)
exec "$SUPERVISOR" "\$@"
END_OF_WRAPPER
    chmod +x "$T/supervisor"
    SUPERVISOR=$T/supervisor
}

# message_id KIND: as the manual has it
message_id() {
    local id
    id=$("$BUILD/tables" messages |
        sed -n "s/^=item B<$1> (.*MESSAGE_ID=\\([0-9a-f]*\\)>)\$/\\1/p")
    [ "${#id}" = 32 ] || fail "there is no kind '$1'" || return 1
    echo "$id"
}

# logged KIND [FILTER]: an entry of that kind, for which the jq FILTER holds
logged() {
    local id
    id=$(message_id "$1") || return 1
    jq -es --arg id "$id" \
        "[.[] | select(.MESSAGE_ID == \$id and (${2:-true}))] | length > 0" \
        "$T/entries" >/dev/null
}
