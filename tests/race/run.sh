#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the races test, for as long as you like
#
# run.sh BUILD SECONDS [OPTION...]: first proves that the observer sees
# overlaps (nothing protects a disk with the driver nop), then lets the file
# driver be raced for. --seed=N repeats the runs of an earlier test.
#
# Should:  leave nothing behind, however it ends.
set -eu
cd "$(dirname "$0")/../.."
top=$PWD
BUILD=$(realpath "$1")
seconds=$2
shift 2

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# race NAME OPTION...
race() {
    place=$dir/$1
    shift
    mkdir "$place"
    "$BUILD/tests/race/race-disks" --dir "$place" \
        --supervisor "$BUILD/virt-lock-supervisor" \
        --stamper "$BUILD/tests/bin/stamper" "$@"
}

# guard WHAT ROUNDS: see guard.py
guard() {
    place=$dir/guard-$1
    mkdir "$place"
    (cd "$place" && FAKEVMM_PIDS=$place/pids /usr/bin/python3 -S "$top/tests/race/guard.py" \
        "$BUILD" "$@" 2>"$place/log") || { tail -n 5 "$place/log"; exit 1; }
}

race nop --seconds 3 --disks 1 --option=--driver=nop --expect-overlaps \
    >"$dir/nop.log" || { cat "$dir/nop.log"; exit 1; }
race file --seconds "$seconds" --least $((seconds * 5 / 2)) "$@"
race guarded --seconds "$seconds" --least "$seconds" --option=--guard "$@"
guard kill 500
guard replace 500
