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

race nop --seconds 3 --disks 1 --option=--driver=nop --expect-overlaps \
    >"$dir/nop.log" || { cat "$dir/nop.log"; exit 1; }
race file --seconds "$seconds" --least $((seconds * 5 / 2)) "$@"
