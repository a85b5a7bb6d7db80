#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what the documents say is what the programs do
#
# Pages are compared with --help, with the tables that the programs are made
# of, and with running supervisors; both ways, so that neither side can have
# something that the other has not.

load ../lib/common
load ../lib/docs

PAGES="virt-lock-supervisor.8 virt-lockctl.1 virt-lock-disks.1"
PAGES="$PAGES virt-lock-protocol.7"
DISKS=$BUILD/virt-lock-disks

# Options in --help on standard input, in one form: "--wait=SECONDS"
help_options() {
    grep -oE '^ +(-[A-Za-z], )?--[^ ]+' | sed 's/^ *//; s/^-., //' | sort
}

# Options of a page in the same form
page_options() {
    items_of "$(page "$1")" OPTIONS | grep -oE '^(-[A-Za-z], )?--[^ ]+' |
        sed 's/^-., //; s/\[=\(.*\)\]$/=\1/' | sort
}

# --- options, commands, statuses -------------------------------------------

@test "every option in --help is in the man page, and the other way round" {
    "$SUPERVISOR" --help | help_options >expected
    page_options virt-lock-supervisor.8 >actual
    equal "options of virt-lock-supervisor"
    "$LOCKCTL" --help | help_options >expected
    page_options virt-lockctl.1 >actual
    equal "options of virt-lockctl"
    "$DISKS" --help | help_options >expected
    page_options virt-lock-disks.1 >actual
    equal "options of virt-lock-disks"
}

@test "every command in virt-lockctl --help is in the man page, and so back" {
    "$LOCKCTL" --help | sed -n '/^Commands/,/^$/p' |
        grep -oE '^  [a-z]+' | tr -d ' ' | sort >expected
    items_of "$(page virt-lockctl.1)" COMMANDS | cut -d' ' -f1 | sort >actual
    equal "commands"
}

@test "every exit status in the code is in the man page" {
    grep -oE 'EXIT_[A-Z_]+ = [0-9]+' "$SOURCE/supervisor/supervisor.h" |
        grep -oE '[0-9]+' | sort >expected
    items_of "$(page virt-lock-supervisor.8)" 'EXIT STATUS' |
        grep -xE '[0-9]+' | sort >actual
    equal "exit statuses of virt-lock-supervisor"
    { echo 0; grep -hoE 'define EXIT_[A-Z_]+ +[0-9]+' \
        "$SOURCE"/helpers/virt-lockctl*.c | grep -oE '[0-9]+$'; } |
        sort -u >expected
    items_of "$(page virt-lockctl.1)" 'EXIT STATUS' | sort >actual
    equal "exit statuses of virt-lockctl"
    { echo 0; grep -hoE 'define EXIT_[A-Z_]+ +[0-9]+' \
        "$SOURCE"/helpers/virt-lock-disks*.c | grep -oE '[0-9]+$'; } |
        sort -u >expected
    items_of "$(page virt-lock-disks.1)" 'EXIT STATUS' | sort >actual
    equal "exit statuses of virt-lock-disks"
}

@test "what virt-lock-disks prints is what its page says" {
    sed -n 's/^ *set_text(line, "kind", "\([a-z]*\)");$/\1/p' \
        "$SOURCE"/helpers/virt-lock-disks-list.c | sort >expected
    sed -n '/define DISKS_MODES/,/^$/s/.*"\([a-z]*\)".*/\1/p' \
        "$SOURCE"/helpers/virt-lock-disks.h | grep -v none | sort >>expected
    items_of "$(page virt-lock-disks.1)" OUTPUT | sort >items
    sort expected | sort >wanted
    diff wanted items
    grep -hoE ' lease\("[a-z]+"' "$SOURCE"/helpers/virt-lock-disks-storage.c |
        cut -d'"' -f2 | sort -u >expected
    items_of "$(page virt-lock-disks.1)" KEYS | sort >actual
    equal "lockspaces"
}

@test "exit statuses are what the man pages say" {
    make_disk a b
    start_supervisor holder --disk a -- sleep 1000
    holder=$SUP
    run_supervisor --disk a -- true
    same "lease held by someone else" 123 "$status"
    run_supervisor --disk a --wait=0.1 -- true
    same "--wait expired" 123 "$status"
    run_supervisor --disk nowhere -- true
    same "own error" 125 "$status"
    run_supervisor -- "$T"
    same "cannot be executed" 126 "$status"
    run_supervisor -- "$T/nowhere"
    same "not found" 127 "$status"
    run "$LOCKCTL" holder b
    same "virt-lockctl holder, not held" 1 "$status"
    run "$LOCKCTL" holder a
    same "virt-lockctl holder, held" 0 "$status"
    run "$LOCKCTL" nonsense
    same "virt-lockctl, wrong command line" 2 "$status"
    run "$LOCKCTL" shutdown nobody
    same "virt-lockctl, error" 1 "$status"
    start_supervisor second -- sleep 1000
    run "$LOCKCTL" acquire second --disk a
    same "virt-lockctl acquire, held by someone else" 123 "$status"
    "$LOCKCTL" revoke holder
    ended "$holder"
    same "lease lost" 124 "$STATUS"
}

@test "every variable that the code reads is in both programs' pages" {
    # Files of the library that no program has in it are libsupervise(3)'s.
    grep -oE '(getenv\(|[=] )"[A-Z_]+"' "$SOURCE"/supervisor/*.c \
        "$SOURCE"/libsupervise/*.c | grep -v /libsupervise/manager |
        grep -oE '"[A-Z_]{3,}"' | tr -d '"' | sort -u >expected
    test -s expected
    items_of "$(page virt-lock-supervisor.8)" ENVIRONMENT >actual
    while read -r variable; do
        grep -qw "$variable" actual ||
            fail "'$variable' is not in virt-lock-supervisor(8)"
    done <expected
}

@test "every word of a guarantee is in the man page, and the other way round" {
    perl -0ne 'print "$1\n" while
        /(?:string\(|[?:] *)"((?:reaped|guarded|liveness|taker|drain)[a-z-]*)"/g' \
        "$SOURCE"/supervisor/lease.c "$SOURCE"/supervisor/driver_file_drain.c |
        sort -u >expected
    items_of "$(page virt-lock-supervisor.8)" GUARANTEES | sort >actual
    equal "words"
}

# The code in one line, its strings joined.
code_of() {
    cat "$@" | tr -s ' \n' ' ' | sed 's/" "//g'
}

@test "what is said of and by the guard is in the man page" {
    local part
    items_of "$(page virt-lock-supervisor.8)" DIAGNOSTICS >items
    code_of "$SOURCE"/supervisor/guard.c "$SOURCE"/helpers/virt-lock-guard-*.c \
        >code
    for part in "are gone: no lease is guarded any more" \
        "takes nothing that it is told: no lease is guarded until it does" \
        "none is called guarded any more" \
        "the supervisor is gone: its child is killed, and its leases are kept" \
        "a process of the VM lives on that cannot be seen from here"; do
        grep -qF "$part" items || fail "'$part' is not in the page"
        grep -qF "$part" code || fail "'$part' is not in the code"
    done
}

# --- the protocol ----------------------------------------------------------

@test "the commands of a running supervisor are those of the page" {
    start_supervisor vm --uuid "$(uuid 1)" -- sleep 1000
    qmp "$(uuid 1)" query-commands | jq -r '.[].name' | sort >expected
    items_of "$(page virt-lock-protocol.7)" COMMANDS head2 | sort >actual
    equal "commands"
    refute grep -q '^=for generated' "$(page virt-lock-protocol.7)"
}

@test "error classes and events are those of the page" {
    sed -n '/QMP_ERROR_CLASSES(X)/,/^$/p' "$SOURCE/libsupervise/qmp.h" |
        grep -oE '"[A-Za-z]+"' | tr -d '"' | sort -u >expected
    items_of "$(page virt-lock-protocol.7)" DESCRIPTION |
        grep -oE '[A-Z][A-Za-z]+' | sort -u >actual
    equal "error classes"
    # shellcheck disable=SC2016
    perl -0ne 'print "$1\n" while /control_event\([^,"]+,\s*"([A-Z_]+)"/g' \
        "$SOURCE"/supervisor/*.c | sort -u >expected
    items_of "$(page virt-lock-protocol.7)" EVENTS | cut -d: -f1 | sort >actual
    equal "events"
}

# number FILE MACRO: what the macro stands for
number() {
    echo $(($(sed -n "s/^#define $2 \+//p" "$SOURCE/$1")))
}

@test "bounds are those of the page" {
    sed -n '/^=head1 LIMITS/,/^=head1 RECORDS/p' \
        "$(page virt-lock-protocol.7)" | tr '\n' ' ' >limits
    message=$(number libsupervise/qmp.h QMP_MAX_MESSAGE)
    depth=$(number libsupervise/qmp.h QMP_MAX_DEPTH)
    output=$(number libsupervise/qmp.h QMP_MAX_ANSWER)
    sessions=$(number supervisor/control.h SESSIONS_MAX)
    grep -q "at most $((message / 1024)) KiB and $depth levels" limits
    grep -q " $((output / 1048576)) MiB of output" limits
    grep -q " $sessions connections" limits
}

@test "the client in the page works" {
    start_supervisor vm --uuid "$(uuid 1)" -- sleep 1000
    verbatim virt-lock-protocol.7 | sed -n '/^import json/,/^$/p' >client.py
    same "lines" 10 "$(grep -c . client.py)"
    same "output" RUNNING \
        "$("$PYTHON" -S client.py "$(socket_of "$(uuid 1)")")"
}

@test "the JSON in the pages is JSON" {
    for page in $PAGES; do
        verbatim "$page"
    done | "$PYTHON" -S -c '
import json, sys
count = 0
for block in sys.stdin.read().split("\n\n"):
    lines = [l[2:] if l[:2] in ("->", "<-") else l for l in block.split("\n")]
    text = "\n".join(l for l in lines if l[:1] != "$").strip()
    while text.startswith("{"):
        value, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].strip()
        count += 1
    assert not (text and count and block.startswith(("->", "<-", "{"))), block
print(count)' >count
    [ "$(<count)" -ge 15 ] || fail "only $(<count) examples"
}

# --- the pages as such -----------------------------------------------------

@test "POD is without warnings" {
    # shellcheck disable=SC2086 # words
    pods_are_sound $PAGES
}

@test "man pages render without warnings" {
    # shellcheck disable=SC2086 # words
    pages_render $PAGES
}

@test "man pages show every verb, state and step of confinement" {
    requires groff
    for page in $PAGES; do
        groff -man -Kutf8 -Tascii -P-cbou "$BUILD/docs/$page" >"$page.txt"
    done
    "$BUILD/tables" commands | sed -n 's/^=head2 //p' >expected
    "$BUILD/tables" states | sed -n 's/^=item B<\(.*\)>/\1/p' >>expected
    "$BUILD/tables" confine | sed -n 's/^=item B<\(.*\)>/\1/p' >>expected
    [ "$(wc -l <expected)" -gt 20 ]
    while read -r word; do
        cat ./*.txt | grep -qE -- "^ +$word\$" || fail "'$word' is in no page"
    done <expected
}

@test "examples use options that exist" {
    for program in "$SUPERVISOR" "$LOCKCTL" "$DISKS"; do
        "$program" --help
    done | help_options |
        sed 's/=.*//' | sort -u >known
    { for page in $PAGES; do verbatim "$page"; done; cat "$SOURCE/README.md"; } |
        grep -oE '(^|[ `(])--[a-z][a-z-]+' | grep -oE -- '--.*' |
        sort -u >used
    [ "$(wc -l <used)" -gt 5 ]
    comm -13 known used >unknown
    same "unknown options" "" "$(<unknown)"
}

@test "what the man page says of the unit is what the unit says" {
    unit=$SOURCE/helpers/systemd/virt-lock-supervisor@.service.in
    # Settings, as "Name=value" in bold.
    perl -0777 -ne 'print "$1=$2\n" while /B<([A-Z][A-Za-z]+)=([a-z]+)>/g' \
        <(sed -n '/^=head1 SYSTEMD/,/^=head1 EXAMPLES/p' \
            "$(page virt-lock-supervisor.8)") | sort -u >settings
    [ "$(wc -l <settings)" -ge 6 ]
    while read -r setting; do
        grep -qx "$setting" "$unit" || fail "the unit has no '$setting'"
    done <settings
    # Variables: both ways.
    items_of "$(page virt-lock-supervisor.8)" SYSTEMD |
        cut -d= -f1 | sort >expected
    sed -n '/^ExecStart=/,/[^\\]$/p' "$unit" | grep -oE '\$[A-Z]+' |
        tr -d '$' | sort >actual
    equal "variables of the unit"
    # Exit statuses after which nothing is started again.
    prevented=$(sed -n 's/^RestartPreventExitStatus=//p' "$unit")
    same "statuses" "123 124 125 126 127 137" "$prevented"
}

@test "every kind of message, and every field, is in the man page" {
    grep -oE 'journal_add_field\(entry, "[A-Z_]+"' \
        "$SOURCE/supervisor/report.c" | grep -oE '[A-Z_]{3,}' |
        sort >expected
    sed -n '/^=head1 JOURNAL/,/^=for generated/p' \
        "$DOCS/virt-lock-supervisor.8.pod" | grep -oE 'B<[A-Z_]+>' |
        plain | sort -u >actual
    equal "fields"
    sed -n 's/^    X(\([A-Z_]*\),.*/\1/p' "$SOURCE/supervisor/messages.h" |
        sort >expected
    items_of "$(page virt-lock-supervisor.8)" JOURNAL |
        sed -n 's/ (.*MESSAGE_ID=.*//p' | sort >actual
    equal "kinds of messages"
    grep -c '^-- [0-9a-f]\{32\}$' "$BUILD/virt-lock-supervisor.catalog" >actual
    same "entries of the catalog" "$(wc -l <expected)" "$(<actual)"
}

# --- design.md, README.md --------------------------------------------------

@test "the machine in design.md is the machine in the code" {
    "$BUILD/tables" machine >expected
    sed -n '/^<!-- machine: begin -->$/,/^<!-- machine: end -->$/p' \
        "$DOCS/design.md" | sed '1d;$d' >actual
    equal "machine"
}

@test "design.md names every file of the supervisor and the library" {
    for file in "$SOURCE"/supervisor/*.c "$SOURCE"/libsupervise/*.c; do
        name=$(basename "$file" .c)
        grep -qE "\\b($name|${name%%_*})\\b" "$DOCS/design.md" ||
            fail "'$name' is not in design.md"
    done
}

@test "README's states are those of the code" {
    grep -E '^\| [A-Z]+ \|' "$SOURCE/README.md" >states
    [ "$(wc -l <states)" -ge 5 ]
    "$BUILD/tables" machine >all
    while read -r row; do
        grep -qF "$row" all || fail "not a state: $row"
    done <states
}

@test "README's commands, targets and rooms exist, and it is short" {
    [ "$(wc -l <"$SOURCE/README.md")" -le 90 ]
    "$LOCKCTL" --help >help
    sed -n 's/^\$ virt-lockctl \([a-z]*\).*/\1/p' "$SOURCE/README.md" >used
    [ "$(wc -l <used)" -ge 2 ]
    while read -r command; do
        grep -q "^  $command\\b" help || fail "no command '$command'"
    done <used
    make -C "$SOURCE" --no-print-directory help >targets
    grep -oE '\bmake [a-z]+|make install' "$SOURCE/README.md" |
        cut -d' ' -f2 | sort -u >used
    [ "$(wc -l <used)" -ge 3 ]
    while read -r target; do
        grep -qE "^ +$target\\b" targets || fail "no target '$target'"
    done <used
    grep -oE '^\| [a-z]+/ ' "$SOURCE/README.md" | tr -d '| ' >rooms
    [ "$(wc -l <rooms)" -ge 4 ]
    while read -r room; do
        test -d "$SOURCE/$room" || fail "no room '$room'"
    done <rooms
}

# transcript REGEX: the line of README's transcript that is like it
transcript() {
    grep -E -- "$1" "$SOURCE/README.md"
}

@test "README's transcript happens so" {
    requires qemu-system-x86_64 qemu-img
    PATH=$PROGRAMS:$PATH
    eval "$(transcript '^\$ cd /vm && ' | sed 's/^.*&& //')"
    transcript '^\$ virt-lock-supervisor .*&$' | sed 's/^\$ //; s/ &$//' >one.sh
    spawn web1 bash -c "exec $(<one.sh)"
    wait_until state_is_running web1
    record "$("$LOCKCTL" child web1)"
    "$LOCKCTL" list >said
    same "header" "$(transcript '^NAME ' | tr -s ' ')" \
        "$(head -n 1 said | tr -s ' ')"
    "$LOCKCTL" leases web1 >said
    same "header" "$(transcript '^ID ' | tr -s ' ')" \
        "$(head -n 1 said | tr -s ' ')"
    transcript '^\$ virt-lock-supervisor .*echo' |
        sed 's/^\$ //; s/; echo.*//' >two.sh
    run_program bash two.sh
    same "exit status of the second" 123 "$status"
    matches stderr "^virt-lock-supervisor\[web2\]: cannot acquire '$T/web1.qcow2': held by 'web1' \(" "$stderr"
    "$LOCKCTL" revoke web1 --reason 'moved by admin'
    ended "$PID"
    same "exit status of the first" 124 "$STATUS"
    matches "what it says" "$(transcript 'lost: moved' | sed "s/'.*'/'.*'/" |
        sed 's/[][]/\\&/g')" "$(cat web1.err)"
}

state_is_running() {
    [ "$("$LOCKCTL" status "$1" --json 2>/dev/null | jq -r .state)" = RUNNING ]
}
