#!/usr/bin/env bats
# shellcheck disable=SC2034  # the libraries use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: one guest, migrated again and again, while thieves try without pause
#
# HOPS=N for as many as you like. The guest writes all the time; in the end
# its disk has one chain of records, all that were acknowledged on any side.

export BATS_TEST_TIMEOUT=900

load ../lib/common
load ../lib/guest
load ../lib/handover
load ../lib/migration

setup() {
    common_setup
    migration_setup
}

teardown() {
    guest_teardown
}

# hops FORMAT [SUPERVISOR OPTION...]
hops() {
    local i
    format "$1"
    shift
    here_runs "$@"
    thieves "$DISK"
    for ((i = 0; i < ${HOPS:-40}; i++)); do
        hop "$@"
        nothing_stolen
    done
    no_more_thieves
    all_end "$HERE"
    disk_is_whole 1 "${SIDES[@]}"
}

@test "raw" {
    hops raw
}

@test "raw, paused before each switch-over" {
    PAUSE=1
    hops raw
}

@test "qcow2" {
    hops qcow2
}

@test "qcow2, with guards, paused before each switch-over" {
    PAUSE=1
    hops qcow2 --guard
}
