#!/usr/bin/env bats
# shellcheck disable=SC2034  # the libraries use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: docs/migration.md and docs/examples/live-migrate, as they stand there

load ../lib/common
load ../lib/guest
load ../lib/handover
load ../lib/migration

SOURCE=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup() {
    common_setup
}

teardown() {
    guest_teardown
}

# scripted [REPLACEMENT FOR QEMU...]: the script, from here to there; $status.
# Of what it starts the numbers are asked, for teardown.
scripted() {
    local deferred=("$@")
    qemu_for there "$DISK"
    [ "${#deferred[@]}" -gt 0 ] ||
        deferred=("${QEMU[@]}" -S -incoming defer)
    spawn script "$SOURCE/docs/examples/live-migrate" --vm vm \
        --uri "unix:$T/mig.sock" \
        --source-qmp "$T/here.qmp" --target-qmp "$T/there.qmp" \
        --source-ctl "$LOCKCTL --run-dir $T/run.here" \
        --target-ctl "$LOCKCTL --run-dir $T/run.there" -- \
        "$SUPERVISOR" --run-dir "$T/run.there" --state-dir "$T/state" \
        --pid-file "$T/there.pid" --name vm --uuid "$U" --disk "$DISK" \
        --state @STATE@ -- "${deferred[@]}"
    SCRIPT=$PID
}

begin() {
    migration_setup
    format qcow2
    here_runs
}

@test "the script migrates a VM, and says so last" {
    begin
    scripted
    wait_until -t 60 gone "${SUP_OF[here]}"
    side_ended here 0
    ended "$SCRIPT" 30
    same "exit status ($(<script.err))" 0 "$STATUS"
    same "last line" "the VM runs on the target" "$(tail -n 1 script.out)"
    record "$(on there qmp "$U" query-status | jq .pid)"
    record "$(<there.pid)"
    on there vm_state "$U" RUNNING
    writes_on there
    all_end there
    disk_is_whole 1 here there
}

@test "the script goes back where the target cannot start" {
    begin
    scripted false
    ended "$SCRIPT" 30
    same "exit status ($(<script.err))" 1 "$STATUS"
    on here vm_state "$U" RUNNING
    writes_on here
    all_end here
    disk_is_whole 1 here
}

@test "the script goes back where the target dies on the way" {
    begin
    in_qemu here migrate-set-parameters '{"max-bandwidth": 8388608}'
    scripted
    wait_until -t 30 test -s there.pid
    record "$(<there.pid)"
    wait_until -t 30 migrates
    kill -KILL "$(<there.pid)"
    ended "$SCRIPT" 30
    same "exit status ($(<script.err))" 1 "$STATUS"
    on here vm_state "$U" RUNNING
    writes_on here
    all_end here
    disk_is_whole 1 here
}

migrates() {
    [ "$("$PYTHON" -SE "$BATS_TEST_DIRNAME/../bin/qmp.py" "$T/here.qmp2" \
        query-migrate 3>&- 4>&- | jq -r .status)" = active ]
}

# --- migration.md -----------------------------------------------------------

# The rows of its table of failures: what is typed next.
next_column() {
    sed -n '/^## When it fails/,$p' "$SOURCE/docs/migration.md" |
        grep '^| ' | grep -v '^| what happened' | awk -F' \\| ' '{ print $NF }'
}

@test "every failure in migration.md has a next command, which exists" {
    "$LOCKCTL" --help >help
    [ "$(next_column | wc -l)" -ge 15 ]
    next_column >next
    while read -r row; do
        [[ $row =~ \`virt-lockctl\ ([a-z-]+)\ (VM|DISK) ]] ||
            fail "no command in '$row'"
        grep -qE "^  ${BASH_REMATCH[1]} " help || fail "no such: '$row'"
    done <next
}

@test "what migration.md quotes is what is said" {
    cat "$SOURCE"/supervisor/*.[ch] "$SOURCE"/helpers/*.c | tr -s ' \n' ' ' |
        sed 's/" "//g' >code
    for part in "another target has claimed it" "cannot use state" \
        "the source still writes to it" "no target has claimed it" \
        "a target has claimed it" \
        "handed over to a target that is gone"; do
        grep -qF "\`$part" "$SOURCE/docs/migration.md" ||
            fail "'$part' is not in the page"
        grep -qF "$part" code || fail "'$part' is not in the code"
    done
}

# Of the sequence: what is said to QEMU, in order, is what tests/lib says, too.
@test "the sequence in migration.md is the one that is tested" {
    sed -n '/^## The sequence/,/^EX and SH/p' "$SOURCE/docs/migration.md" |
        grep -oE 'migrate-(set-capabilities|incoming|continue|prepare|complete)|late-block-activate|pause-before-switchover' |
        sort -u >expected
    [ "$(wc -l <expected)" -ge 6 ]
    while read -r word; do
        grep -q -- "$word" "$SOURCE/tests/lib/migration.bash" ||
            fail "'$word' is not tested"
        grep -q -- "$word" "$SOURCE/docs/examples/live-migrate" ||
            fail "'$word' is not in the script"
    done <expected
}
