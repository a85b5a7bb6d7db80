#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: checks with spin the file driver's lock protocol (file_driver.pml), and
# the whole machine on both sides of a hand-over (machine.pml)
#
#   run.sh             the short set, mistakes and holes: five minutes, 2 cores
#   run.sh --long      also the heavy configurations (12 minutes more, 4 GB)
#   run.sh --mistakes  the seeded mistakes and known holes only
#   run.sh --only NAME one configuration of any set; the trail stays for
#                      "spin -t" where one was written
#
# One line each: name, states, seconds, verdict. A search that was not
# exhaustive (depth, memory, state vector) has failed, whatever it found; so
# has a mistake that was not caught by the very property that it breaks, all
# others being disregarded. What is searched is in the .jobs files, one search a
# line. The machine's transitions are its own: BUILD/tables writes them, so it
# must have been built ("make model" does that).
#
# Should:  run at the lowest priority, in a directory of its own; print in the
#          same order whatever ends first.
# Mustn't: count anything that it does not understand as a success.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
TABLES=${BUILD:-build}/tables
MEGABYTES=7500
AT_ONCE=2

usage() {
    sed -n 's/^#   \(run.sh.*\)/\1/p' "$0" >&2
    exit 2
}

# --- one search ---------------------------------------------------------------

# build DIRECTORY SWITCHES COMPILER-SWITCHES
build() {
    mkdir "$1"
    cp "$HERE/$model.pml" "$1/../machine_table.pml" "$1"
    # shellcheck disable=SC2086 # switches are words
    (cd "$1" && spin -a $2 "$model.pml" >spin.log 2>&1 &&
        nice -n 19 cc -w -DCOLLAPSE -DMEMLIM="$MEGABYTES" $3 \
            -o pan pan.c >cc.log 2>&1) || {
        cat "$1/spin.log" "$1/cc.log" 2>/dev/null
        return 1
    } >&2
}

# run_pan DIRECTORY [SWITCH...]
run_pan() {
    (cd "$1" && shift && nice -n 19 ./pan -m"$depth" "$@" >pan.log 2>&1)
}

# What a finished search says of itself: "complete" or why it is not.
completeness() {
    if grep -Eq 'max search depth too small|VECTORSZ|out of memory' "$1"; then
        grep -Eom1 'max search depth too small|VECTORSZ|out of memory' "$1"
    elif grep -Eiq 'truncated|interrupted|not completed|hash-?compact|bitstate search' \
        "$1"; then
        echo 'not exhaustive'
    elif ! grep -q '^Full statespace search' "$1" ||
        ! grep -q 'states, stored' "$1"; then
        echo 'no result'
    else
        echo complete
    fi
}

# With -DREACH: the cells of the machine's table that no run has come through.
never_taken() {
    sed -n 's/.* state == \(.*\) && event == \(.*\) -> CELL(\(.*\))/\3 \1 \2/p' \
        "${1%/*}/machine_table.pml" | while read -r cell state event; do
        grep -qx "taken $cell" "$1" || echo "cells never taken: $state/$event"
    done | head -n 1
}

# found LOG PROPERTY: what was violated, by its name in the model (P1_..., an
# LTL formula, ...), or by what spin calls it.
found() {
    if grep -q 'assertion violated' "$1"; then
        sed -n 's/.*assertion violated (*\(P[0-9]_[a-z_]*\).*/\1/p;t
            s/.*\(assertion violated.*\)/\1/p' "$1" | head -n 1
    elif grep -q 'acceptance cycle' "$1"; then
        sed -n 's/^pan: ltl formula //p' "$1"
    elif grep -q '^pan:[0-9]*: invalid end state' "$1"; then
        echo stuck
    elif [ "$2" = cells ]; then
        never_taken "$1"
    else
        grep -Eom1 '^pan:[0-9]*: .*' "$1" || :
    fi
}

# verdict SET LOG STATUS PROPERTY
verdict() {
    errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$2")
    found=$(found "$2" "$4")
    complete=$(completeness "$2")
    wrong=${errors:-0}
    [ "$4:$complete" != cells:complete ] || wrong=1
    case $1 in
    mistake | hole)
        if [ "$wrong" -gt 0 ] && [ "${found%%[_ ]*}" = "${4%%_*}" ] &&
            [ "${found#"$4"}" != "$found" ]; then
            echo "ok: caught, $found"
        else
            echo "FAILED: $4 not violated (${found:-$complete})"
        fi
        ;;
    *)
        if [ -n "$found" ] || [ "${errors:-0}" -gt 0 ]; then
            echo "FAILED: ${found:-error}"
        elif [ "$3" -eq 0 ] && [ -n "$errors" ] && [ "$complete" = complete ]; then
            echo 'ok: no error, exhaustive'
        else
            echo "FAILED: $complete (status $3)"
        fi
        ;;
    esac
}

# job DIRECTORY 'NUMBER|SET|MODEL|NAME|PROPERTY|SWITCHES': prints a line
job() {
    IFS='|' read -r number set model name property switches <<END
$2
END
    where=$1/$name
    optimize=-O2
    depth=5000000
    case $set in
    mistake | hole) optimize=-O0 ;;
    long) depth=15000000 ;;
    esac
    begin=$(date +%s)
    status=0
    case $property in
    - | stuck) build "$where" "$switches" "$optimize -DSAFETY -DNOFAIR" &&
        run_pan "$where" ;;
    cells) build "$where" "-DREACH $switches" "$optimize -DSAFETY -DNOFAIR" &&
        run_pan "$where" ;;
    P[1-5]) build "$where" "-DONLY=${property#P} $switches" \
        "$optimize -DSAFETY -DNOFAIR" && run_pan "$where" ;;
    *) build "$where" "-DLTL $switches" "$optimize -DNFAIR=6" &&
        run_pan "$where" -a -f -N "$property" ;;
    esac || status=$?
    [ -e "$where/pan.log" ] || : >"$where/pan.log"
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$where/pan.log")
    says=$(verdict "$set" "$where/pan.log" "$status" "$property")
    [ -n "${KEEP-}" ] || rm -rf "$where"
    printf '%d %-7s %-20s %12s states %5s s  %s\n' "$number" "$set" "$name" \
        "${states:--}" "$(($(date +%s) - begin))" "$says"
}

# --- all of them ----------------------------------------------------------------

only=
case ${1-} in
'') sets='short mistake hole' ;;
--long) sets='short long mistake hole' ;;
--mistakes) sets='mistake hole' ;;
--only)
    sets='short long mistake hole'
    only=${2:?"--only: which one?"}
    ;;
--job) # by ourselves
    job "$2" "$3"
    exit
    ;;
*) usage ;;
esac

for tool in spin cc "$TABLES"; do
    command -v "$tool" >/dev/null || {
        echo "cannot check the models: '$tool' is not there" >&2
        exit 1
    }
done

dir=$(mktemp -d)
[ -n "$only" ] || trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
"$TABLES" promela >"$dir/machine_table.pml"
KEEP=$only
export KEEP
: >"$dir/jobs"

# One line of a .jobs file.
search() {
    case " $sets " in *" $set "*) ;; *) return 0 ;; esac
    [ -z "$only" ] || [ "$only" = "$name" ] || return 0
    number=$(($(wc -l <"$dir/jobs") + 1))
    echo "$number|$set|$model|$name|$property|$switches" >>"$dir/jobs"
}

# jobs SET-PATTERN HOW-MANY-AT-ONCE
jobs() {
    grep -E "^[0-9]+\|($1)\|" "$dir/jobs" |
        xargs -d '\n' -r -n 1 -P "$2" "$HERE/run.sh" --job "$dir"
}

# Prints lines in the order of their numbers, without them, as soon as it can.
in_order() {
    total=$(wc -l <"$dir/jobs")
    next=1
    failed=0
    while IFS= read -r line; do
        echo "${line#* }" >"$dir/line-${line%% *}"
        while [ -e "$dir/line-$next" ]; do
            cat "$dir/line-$next"
            next=$((next + 1))
        done
        case $line in *FAILED*) failed=$((failed + 1)) ;; esac
    done
    failed=$((failed + total - next + 1)) # those that said nothing have failed
    if [ "$failed" -gt 0 ]; then
        echo "FAILED: $failed of $total" >&2
        return 1
    fi
    echo "all $total as expected"
}

for model in machine file_driver; do
    while read -r set name property switches; do
        case $set in '' | '#'*) ;; *) search ;; esac
    done <"$HERE/$model.jobs"
done

[ -s "$dir/jobs" ] || {
    echo "cannot run '$only': there is no such configuration" >&2
    exit 2
}
{
    jobs 'short|mistake|hole' "$AT_ONCE" || :
    jobs long 1 || : # each of them may need all the memory there is
} | in_order
[ -z "$only" ] || echo "$dir/$only"
