#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the promise, shown with a real guest in ten seconds
#
# BUILD=DIR demo.sh boots a tiny Linux guest that writes to its disk without
# pause, under the virt-lock-supervisor in DIR. Shows who holds the lease,
# that a second start is refused, what a revocation does and how long it
# takes, and that the lease is free after it; in the end the guests' own
# records on the disk are checked. Every command is printed as it is run.
#
# Exit status 0 only if every step went as promised. Leaves nothing behind
# but the guest's kernel in DIR/guest, for the next time.

# shellcheck disable=SC2016  # command lines are shown first, expanded later
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
BUILD=$(readlink -f "${BUILD:?is not set: the directory of the build}")
declare -A running=() # pid of each supervisor that we started
bold='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi

say() {
    printf '\n# %s\n' "$*"
}

fail() {
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}

# run COMMANDLINE: prints it, then runs it just so.
run() {
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
    eval "$1"
}

# start COMMANDLINE: the same in the background; its pid is then in $!.
start() {
    printf '%s$ %s &%s\n' "$bold" "$1" "$plain"
    eval "exec $1" &
    running[$!]=1
}

# finish PID: waits for it; its exit status is then in $status.
finish() {
    status=0
    wait "$1" || status=$?
    unset "running[$1]"
}

# expect STATUS WHAT: compares it with $status.
expect() {
    printf 'exit status %s\n' "$status"
    [ "$status" -eq "$1" ] || fail "$2: exit status $status, not $1"
}

# wait_for_line FILE REGEX: until the guest has said it; prints that line.
wait_for_line() {
    local line='' found='' log=0 follower=0

    exec {log}< <(exec timeout 60 tail -s 0.02 -n +1 -F "$1" 2>/dev/null)
    follower=$!
    while [ -z "$found" ] && read -r -u "$log" line; do
        [[ ! $line =~ $2 ]] || found=${line%$'\r'}
    done
    kill "$follower" 2>/dev/null || true
    exec {log}<&-
    [ -n "$found" ] || fail "the guest did not say '$2' in '$1' within 60 s"
    printf 'the guest says: %s\n' "$found"
}

# milliseconds A B: between two values of EPOCHREALTIME.
milliseconds() {
    local us=$((${2/[.,]/} - ${1/[.,]/}))

    printf '%d.%d' $((us / 1000)) $((us % 1000 / 100))
}

cleanup() {
    local pid

    for pid in "${!running[@]}"; do
        kill -TERM "$pid" 2>/dev/null || continue
        timeout 10 tail --pid="$pid" -s 0.1 -f /dev/null ||
            kill -KILL "$pid" 2>/dev/null || true
    done
    cd /
    rm -rf "$work"
}

for program in virt-lock-supervisor virt-lockctl; do
    [ -x "$BUILD/$program" ] ||
        fail "cannot run '$BUILD/$program': not built, run 'make'"
done
"$here/../guest/build-guest.sh" "$BUILD/guest"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/vls-demo.XXXXXX")
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$work"
mkdir -m 700 run state
mkfifo pid
ln -s "$BUILD/guest/kernel" "$BUILD/guest/initrd.img" .
export PATH=$BUILD:$PATH
export VIRT_LOCK_RUN_DIR=$work/run VIRT_LOCK_STATE_DIR=$work/state

say 'A disk, and a virtual machine that writes to it without pause.'
run 'truncate -s 8M vm.raw'
run 'vm=(qemu-system-x86_64 -nodefaults -no-user-config -display none
    -machine q35 -accel tcg,tb-size=32 -m 96
    -kernel kernel -initrd initrd.img
    -blockdev driver=file,node-name=disk,filename=vm.raw,cache.direct=on
    -device virtio-blk-pci,drive=disk,werror=stop,rerror=stop
    -append "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check
             random.trust_cpu=on")'

say 'It runs under the supervisor, which takes the lease of the disk first.'
start 'virt-lock-supervisor --name web1 --disk vm.raw --pid-fd 3 -- \
    "${vm[@]}" -serial file:web1.log 3>pid'
web1=$!
read -r -t 30 qemu <pid || fail "no PID came over the pipe"
printf 'PID over the pipe, once QEMU runs: %s\n' "$qemu"
wait_for_line web1.log 'ACK [1-9]'

say 'Who is there, in which state, with which leases?'
run 'virt-lockctl list'
run 'virt-lockctl status web1'
run 'virt-lockctl holder vm.raw'
[ "$(virt-lockctl child web1)" = "$qemu" ] ||
    fail "'virt-lockctl child' does not name process $qemu"

say 'The same disk a second time: refused, and by whom it is held.'
status=0
run 'virt-lock-supervisor --name web2 --disk vm.raw -- "${vm[@]}"' \
    2>&1 | tee refused || status=$?
grep -q "held by 'web1'" refused || fail "the holder's name is not told"
expect 123 'the second start'

say 'The lease is revoked: QEMU is dead before anyone else can have it.'
printf "%s\$ virt-lockctl revoke web1 --reason 'moved by admin'%s\n" \
    "$bold" "$plain"
revoked=$EPOCHREALTIME
virt-lockctl revoke web1 --reason 'moved by admin' &
client=$!
finish "$web1"
ended=$EPOCHREALTIME
wait "$client" || fail "'virt-lockctl revoke' failed"
expect 124 'the supervisor whose lease was revoked'
[ ! -e "/proc/$qemu" ] || fail "QEMU, process $qemu, is still there"
printf 'from the revocation until QEMU was dead and its lease free: %s ms\n' \
    "$(milliseconds "$revoked" "$ended")"

say 'A third start gets the lease, and the guest goes on where it was.'
start 'virt-lock-supervisor --name web2 --disk vm.raw -- \
    "${vm[@]}" -serial file:web2.log'
web2=$!
wait_for_line web2.log 'START'
wait_for_line web2.log 'ACK'
run 'virt-lockctl holder vm.raw'

say 'An ordinary end.'
run 'virt-lockctl shutdown web2'
finish "$web2"
expect 0 'the virtual machine that was shut down'
run 'virt-lockctl list'

say 'What the guests wrote: no gap, nothing lost, never two writers at once.'
run "$BUILD/guest/check-disk --boots 2 --log web1.log --log web2.log vm.raw" ||
    fail "the disk is not as the guests left it"
