#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: nobody ever has what another has
#
# The races test (tests/race) for as long as `make check` can wait; `make
# check-long` does the same for three minutes. What it prints ends up in the
# log of a test that failed, with the seed.

load ../lib/common

# start_race [OPTION...]: in the background; its number goes to $PID
start_race() {
    mkdir "$T/race"
    spawn race nice -n 5 env -C "$T/race" "$BUILD/tests/race/race-disks" \
        --dir "$T/race" --supervisor "$SUPERVISOR" \
        --stamper "$BUILD/tests/bin/stamper" "$@"
}

# race [OPTION...]: to its end
race() {
    start_race "$@"
    ended "$PID" 95
    cat "$T/race.out" "$T/race.err"
}

@test "the observer sees overlaps where nothing protects a disk" {
    race --seconds 3 --disks 1 --option=--driver=nop --expect-overlaps
    same "exit status" 0 "$STATUS"
    has_line "$T/race.out" '^overlaps: [1-9]'
}

# Whoever is in the race has its directory as working directory.
nobody_races() {
    local process
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/cwd")" != "$T/race" ] || return 1
    done
}

some_vm_runs() {
    [ -n "$(find race/run -name '*.sock' 2>/dev/null)" ]
}

@test "where overlaps are expected, none is a failure" {
    race --seconds 2 --expect-overlaps
    same "exit status" 1 "$STATUS"
    has_line "$T/race.out" '^FAILED: no overlap was seen$'
}

@test "a race in which too little happens has found nothing out" {
    race --seconds 1 --least 100000
    same "exit status" 1 "$STATUS"
    has_line "$T/race.out" '^FAILED: too little has happened$'
}

@test "a supervisor that hangs is a failure that tells its state" {
    printf '#!/bin/sh\nexec sleep 1000\n' >hang
    chmod +x hang
    SUPERVISOR=$T/hang
    race --seconds 30 --deadline 1
    same "exit status" 1 "$STATUS"
    has_line "$T/race.out" '^FAILED: .* stuck: it was waited for the start'
    has_line "$T/race.out" '^  [0-9]+ \(sleep\) S, child of'
    nobody_races
}

@test "a race that is killed leaves no process behind" {
    start_race --seconds 30
    wait_until some_vm_runs
    kill -KILL "$PID"
    ended "$PID"
    wait_until nobody_races
}

@test "the same with guards, that keep what their supervisors had" {
    race --seconds 20 --least 30 --option=--guard
    same "exit status" 0 "$STATUS"
    has_line "$T/race.out" '^overlaps: 0 of '
}

@test "four managers race for eight disks: no two have one at once" {
    race --seconds 20 --least 50
    same "exit status" 0 "$STATUS"
    has_line "$T/race.out" '^overlaps: 0 of '
}
