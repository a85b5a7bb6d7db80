#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what the supervisor costs, beside what one would use without it
#
# BUILD=DIR run.sh [--quick] [--json FILE] [SECTION...]
#
# Sections, all by default:
#   start   time added to the start and end of a program
#   idle    memory, wake-ups and threads of a thousand idle instances
#   rtt     round trip of query-child
#   death   time from a revocation to the child's death
#   attach  time until a manager that starts again has a thousand VMs back
#   handover  what a hand-over adds to a guest's downtime, beside virtlockd
#
# Everything is compared within one run, on one machine, in turns; figures
# of two runs are not. --quick takes a tenth of the time and is less sure of
# its numbers. Exit status 1 where a bar is broken, 2 where it could not be
# measured.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
BUILD=$(readlink -f "${BUILD:?is not set: the directory of the build}")
vls=$BUILD/virt-lock-supervisor
tools=$BUILD/tests/bench
json=()
supervisor= # the one that bench_rtt has started
rounds=500 instances=1000 window=10 queries=20000 tiny=100 qemu=15 hops=300

die() {
    echo "bench: $*" >&2
    exit 2
}

usage() {
    echo "usage: $0 [--quick] [--json FILE]" \
        "[start] [idle] [rtt] [death] [attach] [handover]"
}

# figures PREFIX COMMAND...: runs it and keeps what it prints.
figures() {
    local prefix=$1

    shift
    "$@" >"$work/printed" || die "cannot measure '$prefix'"
    sed "s/^/$prefix./" "$work/printed" >>"$work/figures"
}

# disks N: options for the first N of the disks.
disks() {
    local i

    for ((i = 0; i < $1; i++)); do
        printf ' --disk %s' "$work/disk$i.raw"
    done
}

bench_start() {
    local i

    for ((i = 0; i < 8; i++)); do
        truncate -s 1M "$work/disk$i.raw"
    done
    {
        printf 'bare\t/bin/true\n'
        printf 'flock\t/usr/bin/flock %s /bin/true\n' "$work/lock"
        printf 'tini\t/usr/bin/tini -s -- /bin/true\n'
        printf 'catatonit\t/usr/bin/catatonit -- /bin/true\n'
        printf 'vls-nop\t%s --driver nop -- /bin/true\n' "$vls"
        printf 'vls-file\t%s%s -- /bin/true\n' "$vls" "$(disks 1)"
        printf 'vls-guard\t%s --guard%s -- /bin/true\n' "$vls" "$(disks 1)"
        printf 'vls-file-8\t%s%s -- /bin/true\n' "$vls" "$(disks 8)"
    } >"$work/variants"
    figures start "$tools/spawnbench" "$rounds" "$work/variants"
}

# A disk for each instance.
idle_disks() {
    local i

    mkdir -p "$work/idle"
    for ((i = 0; i < instances; i++)); do
        truncate -s 1M "$work/idle/$i.raw"
    done
}

bench_idle() {
    idle_disks
    measure_idle flock /usr/bin/flock "$work/idle/{i}.raw"
    measure_idle tini /usr/bin/tini -s --
    measure_idle catatonit /usr/bin/catatonit --
    measure_idle vls-nop "$vls" --driver nop --
    measure_idle vls-file "$vls" --disk "$work/idle/{i}.raw" --
    measure_guards
}

# measure_idle NAME COMMAND...
measure_idle() {
    figures "idle.$1" "$here/idle.py" "$instances" "$window" "${@:2}" \
        "$tools/pause"
}

# A tenth as many: what is measured are the guards and their spares alone, two
# for each supervisor, which are nobody's children.
measure_guards() {
    figures idle.vls-guard "$here/idle.py" --comm virt-lock-guard \
        $((instances / 10)) "$window" "$vls" --guard \
        --disk "$work/idle/{i}.raw" -- "$tools/pause"
}

# The child says a byte when it runs, and is revoked in the end. Both sides
# are on one processor: a wake-up across two is another figure, and in a
# virtual machine a larger one.
bench_rtt() {
    local uuid cpu status=0

    cpu=$(taskset -cp $$ | grep -o '[0-9]*$')
    read -r uuid </proc/sys/kernel/random/uuid
    truncate -s 1M "$work/rtt.raw"
    mkfifo "$work/ready"
    taskset -c "$cpu" "$vls" --uuid "$uuid" --disk "$work/rtt.raw" \
        --log-level error -- "$tools/pause" >"$work/ready" &
    supervisor=$!
    read -r -t 10 <"$work/ready" || die "the supervisor does not start"
    figures rtt taskset -c "$cpu" "$tools/rtt" query \
        "$VIRT_LOCK_RUN_DIR/$uuid.sock" "$queries"
    "$tools/rtt" revoke "$VIRT_LOCK_RUN_DIR/$uuid.sock" >/dev/null ||
        die "cannot revoke"
    wait "$supervisor" || status=$?
    supervisor=
    [ "$status" -eq 124 ] || die "a revoked supervisor ended with $status"
}

bench_attach() {
    idle_disks
    figures attach "$here/reattach.py" "$instances" "$vls" "$tools/pause" \
        "$tools/reattach" "$work/idle/{i}.raw"
}

bench_handover() {
    mkdir "$work/handover"
    cd "$work/handover"
    figures handover "$here/handover.py" "$BUILD" "$hops"
    cd "$work"
}

bench_death() {
    figures death "$here/death.py" "$BUILD" "$tiny" "$qemu"
}

cleanup() {
    if [ -n "$supervisor" ]; then
        kill -TERM "$supervisor" 2>/dev/null || true
        wait "$supervisor" || true
    fi
    cd /
    rm -rf "$work" ${run_dir:+"$run_dir"}
}

sections=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=60 instances=100 window=2 queries=2000 tiny=20 qemu=5 hops=40 ;;
    --json)
        [ $# -gt 1 ] || die "--json needs the name of a file"
        json=(--json "$(realpath "$2")")
        shift ;;
    start | idle | rtt | death | attach | handover) sections+=("$1") ;;
    -h | --help)
        usage
        exit 0 ;;
    *)
        usage >&2
        exit 2 ;;
    esac
    shift
done
[ ${#sections[@]} -gt 0 ] || sections=(start idle rtt death attach handover)

for program in "$vls" "$tools"/{spawnbench,pause,rtt,reattach} /usr/bin/flock \
    /usr/bin/tini /usr/bin/catatonit /usr/bin/qemu-system-x86_64 /usr/sbin/virtlockd; do
    [ -x "$program" ] || die "cannot run '$program': it is not there"
done

run_dir=
work=$(mktemp -d "${TMPDIR:-/var/tmp}/vls-bench.XXXXXX")
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$work"
mkdir -m 700 run state
# /run is a tmpfs, where sockets cost next to nothing; the state is on a disk.
run_dir=$(mktemp -d /dev/shm/vls-bench.XXXXXX 2>/dev/null) || run_dir=$work/run
export VIRT_LOCK_RUN_DIR=$run_dir VIRT_LOCK_STATE_DIR=$work/state
: >figures
for section in "${sections[@]}"; do
    echo "measuring: $section" >&2
    "bench_$section"
done
"$here/report.py" "${json[@]}" <figures
