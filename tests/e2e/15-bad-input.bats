#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what is refused before anything is started
#
# Whatever is wrong with the command line or with what it names: status 125,
# one sentence on stderr, nothing started, nothing left behind.

load ../lib/common

# one_sentence: $stderr is one line, and in the project's voice
one_sentence() {
    same "lines on stderr" 1 "${#stderr_lines[@]}"
    matches stderr \
        "^virt-lock-supervisor(\[[^]]*\])?: [^A-Z ].*[^.:]\$" "$stderr"
    [[ $stderr != *"failed to"* ]] || fail "says 'failed to': $stderr"
}

# refused REGEX ARG...: an own error that says REGEX
refused() {
    local regex=$1
    shift
    run_supervisor "$@"
    same "exit status of $*" 125 "$status"
    one_sentence
    matches stderr "$regex" "$stderr"
    [ ! -e "$T/started" ] || fail "the command was started"
    same "left behind" "" "$(left_behind)"
}

# refused_disk REGEX DISK
refused_disk() {
    refused "$1" --disk "$2" -- touch "$T/started"
}

# refused_options REGEX OPTION...
refused_options() {
    local regex=$1
    shift
    refused "$regex" "$@" -- touch "$T/started"
}

@test "an unknown option is refused" {
    refused_options "--frobnicate" --frobnicate
    refused_options "-z" -z
}

@test "an option without its value is refused" {
    refused "--disk" --disk
    refused "--uuid" --uuid
}

@test "an unknown driver is refused" {
    refused_options "'floppy'" --driver floppy
}

@test "a parameter that is none, or that no one knows, is refused" {
    refused_options "'nonsense'" --param nonsense
    refused_options "nonsense" --param nonsense=1
}

@test "no '--' is refused" {
    refused -- touch
    run_supervisor touch "$T/started"
    same "exit status" 125 "$status"
    one_sentence
    refute test -e started
}

@test "an empty command is refused" {
    refused "command" --
    refused "command" --name x --
    refused "command" -- ''
}

@test "an argument before '--' that is no option is refused" {
    refused_options "'stray'" stray
}

@test "a disk named twice is refused" {
    make_disk a
    refused "'a'|/a'" --disk a --disk a -- touch "$T/started"
}

@test "a disk named by two names is refused, and both names are said" {
    make_disk a
    ln a hard
    ln -s a soft
    for other in hard soft; do
        refused "same" --disk "$T/a" --disk "$T/$other" -- touch "$T/started"
        matches stderr "'$T/a'" "$stderr"
        matches stderr "'$T/$other'" "$stderr"
    done
}

@test "a disk named twice is refused whatever the modes" {
    make_disk a
    refused "" --disk a,shared --disk a,readonly -- touch "$T/started"
}

@test "a disk that is missing is refused" {
    refused_disk "missing'?: No such file or directory" missing
    refused_disk "No such file or directory" no/such/directory/disk
    ln -s nowhere dangling
    refused_disk "No such file or directory" dangling
}

@test "a missing disk is refused although the disk before it is fine" {
    make_disk a
    refused "missing" --disk a --disk missing -- touch "$T/started"
    "$TAKER" --try a
}

@test "a directory is refused as a disk" {
    mkdir directory
    refused_disk "directory" directory
}

@test "a FIFO is refused as a disk, without waiting for a writer" {
    mkfifo fifo
    refused_disk "fifo" fifo
}

@test "a socket and a character device are refused as disks" {
    spawn listener socat UNIX-LISTEN:"$T/socket" -
    wait_until test -S socket
    refused_disk "socket" socket
    refused_disk "/dev/null" /dev/null
}

@test "an empty disk name is refused" {
    refused_disk "" ""
    refused_disk "" ",readonly"
}

@test "a disk with an unknown mode is refused" {
    make_disk a
    refused_disk "writable" a,writable
    refused_disk "" a,
    refused_disk "" a,shared,readonly
}

@test "a comma in a path that is not doubled is refused" {
    make_disk a,b
    refused_disk "" a,b
}

@test "a path longer than the system allows is refused" {
    refused_disk "" "/$(printf 'x%.0s' {1..5000})"
    refused_disk "" "$(printf 'd/%.0s' {1..2500})x"
}

@test "a path that is not UTF-8 is refused" {
    name=$(printf 'bad\377name')
    : >"$name"
    refused_disk "UTF-8" "$name"
    refused_options "UTF-8" --name "$name"
}

@test "a uuid that is none is refused" {
    for uuid in '' abc 6f0e0000-0000-4000-8000-00000000000 \
        6f0e0000-0000-4000-8000-0000000000001 \
        6f0e000000004000800000000000000g \
        '{6f0e0000-0000-4000-8000-000000000001}' \
        6f0e0000-0000-4000-8000-00000000000g \
        ../../../../../../../../../../../etc/x; do
        refused_options "uuid" --uuid "$uuid"
    done
}

@test "a lease that is not LOCKSPACE:KEY is refused" {
    for lease in '' key space: :key space:key:/no/such/path \
        "space:key:$T:x" "space:key:$T:-1" 'space\:key'; do
        refused_options "" --lease "$lease"
    done
}

@test "a lease named twice is refused" {
    refused_options "" --lease space:key --lease space:key
}

@test "numbers that are none are refused" {
    refused_options "soon" --stop-timeout soon
    refused_options "-1" --stop-timeout=-1
    refused_options "ever" --wait=ever
    refused_options "-1" --wait=-1
    refused_options "three" --pid-fd three
    refused_options "-1" --pid-fd=-1
    refused_options "99999999999" --pid-fd 99999999999
}

@test "an unknown log level is refused" {
    refused_options "loud" --log-level loud
}

@test "unknown users and groups are refused" {
    refused_options "no-such-user" --user no-such-user
    refused_options "no-such-group" --group no-such-group
    refused_options "no-such-group" --control-group no-such-group
}

@test "a report descriptor that is not open is refused" {
    refused_options "77" --pid-fd 77
    refused_options "77" --json-status-fd 77
}

@test "a report descriptor that cannot be written is refused" {
    : >file
    refused_options "9" --pid-fd 9 9<file
}

@test "a pid file that cannot be written is refused" {
    refused_options "$T/no/such/pid" --pid-file "$T/no/such/pid"
    mkdir directory
    refused_options "$T/directory" --pid-file "$T/directory"
}

@test "a run directory that is not ours is refused" {
    requires_root
    mkdir run
    chown "$NOBODY" run
    refused_options "'$T/run'" --run-dir "$T/run"
}

@test "a run directory that everyone may write to is refused" {
    mkdir run
    for mode in 777 1777; do
        chmod "$mode" run
        refused_options "'$T/run'" --run-dir "$T/run"
    done
}

@test "a run directory that is no directory is refused" {
    : >"$T/file"
    refused_options "'$T/file'" --run-dir "$T/file"
    refused_options "'$T/file/run'" --run-dir "$T/file/run"
}

@test "a state directory that is no directory is refused" {
    : >"$T/file"
    refused_options "$T/file" --state-dir "$T/file"
}

@test "a socket path that is too long is refused" {
    long=$T/$(printf 'x%.0s' {1..100})
    mkdir "$long"
    refused_options "$long" --run-dir "$long"
    same "in it" "" "$(ls -A "$long")"
}

@test "only a lease that someone else holds is 123" {
    make_disk a b
    fake holder --uuid "$(uuid 1)" --disk a --
    before=$(left_behind | sort)
    run_supervisor --disk a --disk b -- touch "$T/started"
    same "exit status" 123 "$status"
    one_sentence
    refute test -e started
    # An own error stays one, whoever holds the disks.
    run_supervisor --disk a --disk missing -- touch "$T/started"
    same "exit status" 125 "$status"
    same "left behind" "$before" "$(left_behind | sort)"
}

@test "a control group of commands is no excuse for a bad line: nothing is tried" {
    make_disk a
    refused_options "frobnicate" --disk a --pid-file "$T/pid" --frobnicate
    refute test -e pid
}

@test "control characters in names never reach the terminal" {
    for words in "--name X -- true" "-A -- qemu-kvm -name X" "-- /nowhere/X" \
        "--X -- true"; do
        read -ra words <<<"$words"
        run_supervisor "${words[@]/X/a$'\e'[31mb}"
        matches "what it says" "cannot" "$stderr"
        refute grep -q $'\e' run.err
    done
    run_supervisor -- $'/nowhere/x\ny'
    same "lines" 1 "${#stderr_lines[@]}"
}

@test "who forgets the two dashes before the command is told" {
    run_supervisor -A qemu-system-x86_64 -m 64 a.q
    same "exit status" 125 "$status"
    matches stderr "for want of a '--' before the command" "$stderr"
}
