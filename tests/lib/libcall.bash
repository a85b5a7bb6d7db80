# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: managers that make calls of the lock manager API, for the tests of it
#
# tests/bin/libcall.c makes them, one for each line that it is given. A test
# has one such manager or several; $M says which of them is meant.
#
# Should:  kill nothing but what was recorded, valgrind's findings are the
#          test's failure.

# The programs that use the library may be of another build than the
# supervisor: one with a sanitizer.
LIBRARY_BUILD=${LIBRARY_BUILD:-$BUILD}
LIBCALL=$LIBRARY_BUILD/tests/bin/libcall
declare -gA CALLS=() ANSWERS=() PIDS=()


libcall_setup() {
    common_setup
    U=$(uuid 1)
    M=manager
    UNDER=()
    [ "${VALGRIND:-0}" = 0 ] || under_valgrind
    export VIRT_LOCK_SUPERVISOR=$SUPERVISOR
    make_disk a b hot more
}

libcall_teardown() {
    common_teardown
    valgrind_is_quiet
}

# A sanitizer has signal handlers of its own, and will not have valgrind.
not_sanitized() {
    if ldd "$LIBCALL" | grep -qE 'lib(a|t|ub)san'; then
        skip "the library is under a sanitizer"
    fi
}

# From now on managers run under valgrind.
under_valgrind() {
    requires valgrind
    not_sanitized
    UNDER=(valgrind -q --leak-check=full "--log-file=$T/%p.valgrind")
}

# What a test does is a system call that valgrind does not have everywhere.
not_under_valgrind() {
    [ ${#UNDER[@]} = 0 ] || skip "valgrind does not know $*"
}

valgrind_is_quiet() {
    local log
    for log in "$T"/*.valgrind; do
        [ ! -s "$log" ] || fail "$(cat "$log")" || return 1
    done
}

# --- managers ----------------------------------------------------------------

# manager [NAME [COMMAND...]]: one that waits for its calls; $M, $MANAGER
manager() {
    local fd
    M=${1:-$M}
    shift || :
    rm -f "$M.calls" "$M.answers"
    mkfifo "$M.calls" "$M.answers"
    (
        for fd in "${CALLS[@]}" "${ANSWERS[@]}"; do
            exec {fd}>&-
        done
        # It keeps both open itself, and meets no end of them.
        as_in_foreground "$@" "${UNDER[@]}" "$LIBCALL" <>"$M.calls" \
            1<>"$M.answers" 2>>"$M.err" 3>&- 4>&- 10>&-
    ) &
    MANAGER=$!
    record "$MANAGER" || :
    exec {fd}<>"$M.calls"
    CALLS[$M]=$fd
    exec {fd}<>"$M.answers"
    ANSWERS[$M]=$fd
    PIDS[$M]=$MANAGER
}

# back_to NAME: the next calls are those of that manager
back_to() {
    M=$1
}

# begin WORD...: the call is made, and not waited for
begin() {
    CALL=$1
    echo "$*" >&"${CALLS[$M]}"
}

# answer: of the call that was begun; it goes to $SAID ("ok ...",
# "failed ..."), and what the callback was told of to $EVENTS
answer() {
    local line
    EVENTS=()
    while read -r -t 40 line; do
        case $line in
        '! '*) EVENTS+=("${line#! }") ;;
        "= $CALL "*)
            SAID=${line#"= $CALL "}
            return ;;
        *) fail "'$CALL': not an answer: '$line'" || return 1 ;;
        esac
    done <&"${ANSWERS[$M]}"
    fail "'$CALL': no answer: $(cat "$M.err")"
}

call() {
    begin "$@"
    answer
}

# works WORD...: and $SAID is its result
works() {
    call "$@"
    [[ $SAID == ok* ]] || fail "$*: $SAID" || return 1
    SAID=${SAID#ok}
    SAID=${SAID# }
}

# fails CODE REGEX WORD...: with that code, and such a holder and sentence
fails() {
    call "${@:3}"
    matches "${*:3}" "^failed $1 .*$2" "$SAID"
}

# quickly COMMAND...: long before the deadline of a call
quickly() {
    local began=${EPOCHREALTIME/[.,]/}
    "$@"
    [ $((${EPOCHREALTIME/[.,]/} - began)) -lt 10000000 ] ||
        fail "it took more than 10 s: $*"
}

# end [NAME]: of a manager; what it has forgotten is detached
end() {
    M=${1:-$M}
    echo end >&"${CALLS[$M]}"
    ended "${PIDS[$M]}"
    same "how '$M' ended" 0 "$STATUS"
}

# --- words -------------------------------------------------------------------

# coded TEXT: as a word of a call, and of an answer
coded() {
    local LC_ALL=C i c word=
    for ((i = 0; i < ${#1}; i++)); do
        c=${1:i:1}
        case $c in
        [[:graph:]]) [ "$c" != % ] || c=%25 ;;
        *)
            printf -v c %d "'$c"
            printf -v c '%%%02X' $((c & 255)) ;;
        esac
        word+=$c
    done
    echo "$word"
}

# --- VMs ---------------------------------------------------------------------

# new_manager [FLAG]: for VM $U, which is called "web1" and 17
new_manager() {
    works PluginLoad file
    works New "$@"
    works SetParameter uuid "$U"
    works SetParameter name web1
    works SetParameter id 17
}

# The supervisor's number, and the child's, for the test and teardown.
supervisor_is() {
    SUP=$1
    record "$SUP" || :
}

child_is() {
    CHILD=$1
}

# starts [FAKEVMM OPTION...]: the manager starts a supervisor, and has VM $U
# with a fake VMM that is ready; $SUP and $CHILD
starts() {
    rm -f ready
    works GetSupervisorArgs
    works run "$FAKEVMM" --ready "$T/ready" "$@"
    supervisor_is "$SAID"
    works AcquireObject
    works GetChild
    child_is "$SAID"
    wait_until test -s ready
    same "child" "$CHILD" "$(<ready)"
}

# running [FAKEVMM OPTION...]: a manager whose VM runs, with disk "a"
running() {
    manager
    new_manager
    works RegisterResource disk "$T/a"
    starts "$@"
}

# restarted: a manager that has found VM $U again
restarted() {
    manager "${1:-restarted}"
    new_manager attach
    works GetChild
    same "child" "$CHILD" "$SAID"
}

# The supervisor does not answer, until it is told to go on.
stopped() {
    kill -STOP "$SUP"
    wait_until state_is "$SUP" T
}

# A pidfd's inode is the process's own, where the kernel has that.
pidfd_inode() {
    "$PYTHON" -SEc 'import os, sys
print(os.fstat(os.pidfd_open(int(sys.argv[1]))).st_ino)' "$1"
}

# Somebody holds it, or nobody does.
leased() {
    refute "$TAKER" --try "$T/$1"
}

is_free() {
    "$TAKER" --try "$T/$1"
}

nobody_answers() {
    ! "$LOCKCTL" status "$U" 2>/dev/null
}

# leases_are LEASE...: as the VM says, in any order: it is that of the inodes
leases_are() {
    works GetLeases
    # shellcheck disable=SC2086 # its words are leases
    same "leases" "$(printf '%s\n' "$@" | sort)" \
        "$(printf '%s\n' $SAID | sort)"
}

# The VM is dead, nobody holds anything, and nothing was left.
all_over() {
    wait_until gone "$SUP"
    gone "$CHILD"
    is_free a
    nobody_answers
}
