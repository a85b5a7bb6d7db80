#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: signals that come to the supervisor, from kill(1) and from a terminal

load ../lib/common

setup() {
    common_setup
    U=$(uuid 1)
}

# terminal COMMAND...: runs on a new terminal; keys are typed with `type`
terminal() {
    mkfifo keys
    spawn terminal "$PTYRUN" keys "$@"
    TERMINAL=$PID
}

# type TEXT: as printf(1) understands it, so "\003" is ^C
type() {
    # shellcheck disable=SC2059  # the format is the text
    printf "$1" >keys
}

# A supervisor on a terminal, without a shell between.
on_terminal() {
    terminal "$SUPERVISOR" --uuid "$U" --name vm -- "$FAKEVMM" \
        --log-signals "$T/signals" --ready "$T/ready"
    wait_until test -s ready
    SUP=$(parent_of "$(<ready)")
}

parent_of() {
    local stat parent
    read -r stat <"/proc/$1/stat"
    read -r _ parent _ <<<"${stat##*) }"
    echo "$parent"
}

# --- forwarding ------------------------------------------------------------

@test "INT HUP QUIT USR1 USR2 WINCH and CONT are passed on, once each" {
    fake vm -- --log-signals "$T/signals"
    for signal in INT HUP QUIT USR1 USR2 WINCH CONT; do
        kill -"$signal" "$SUP"
        wait_until has_line signals "^$signal "
    done
    # What comes last would be behind a second copy of anything.
    kill -USR1 "$SUP"
    wait_until has_lines 2 signals USR1
    same "signals" "INT HUP QUIT USR1 USR2 WINCH CONT USR1" \
        "$(cut -d' ' -f1 signals | paste -sd' ')"
    lives "$CHILD"
}

@test "TERM is passed on once" {
    fake vm -- --log-signals "$T/signals" --ignore-term
    kill -TERM "$SUP"
    wait_until has_line signals TERM
    kill -USR1 "$SUP"
    wait_until has_line signals USR1
    same "signals" "TERM USR1" "$(cut -d' ' -f1 signals | paste -sd' ')"
}

@test "a child that dies of a signal passed on gives 128+n" {
    for signal in TERM:143 INT:130 HUP:129 QUIT:131 USR1:138; do
        fake vm --
        kill -"${signal%:*}" "$SUP"
        ended "$SUP"
        same "exit status after ${signal%:*}" "${signal#*:}" "$STATUS"
    done
}

@test "an INT that was ignored at the start is ignored by the child still" {
    spawn vm sh -c 'trap "" INT; exec "$@"' sh "$SUPERVISOR" --uuid "$U" -- \
        "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    kill -INT "$PID"
    kill -INT "$(<ready)"
    vm_state "$U" RUNNING
    lives "$(<ready)"
}

@test "signals while STARTING end the start with 128+n and nothing is left" {
    make_disk a
    take a
    for signal in TERM:143 INT:130 HUP:129 QUIT:131; do
        spawn vm "$SUPERVISOR" --uuid "$U" --wait --disk a \
            --json-status-fd 7 -- touch started 7>status.json
        wait_until vm_state "$U" STARTING
        kill -"${signal%:*}" "$PID"
        ended "$PID"
        same "exit status after ${signal%:*}" "${signal#*:}" "$STATUS"
        refute test -e started
        same "sockets" "" "$(find run -type s)"
        same "source" supervisor "$(jq -r .source status.json)"
        same "code" "${signal#*:}" "$(jq '.["exit-code"]' status.json)"
    done
}

@test "PIPE keeps its default action in the child" {
    run_supervisor -- sh -c 'kill -PIPE $$'
    same "exit status" 141 "$status"
}

# --- a terminal ------------------------------------------------------------

@test "^C on a terminal reaches the child once" {
    on_terminal
    for count in 1 2 3 4 5; do
        type '\003'
        wait_until has_lines "$count" signals '^INT '
    done
    kill -USR1 "$SUP"
    wait_until has_line signals USR1
    same "signals" "INT kernel;INT kernel;INT kernel;INT kernel;INT kernel;USR1 user" \
        "$(paste -sd';' signals)"
}

@test "^\\ on a terminal reaches the child once" {
    on_terminal
    for count in 1 2 3; do
        type '\034'
        wait_until has_lines "$count" signals '^QUIT '
    done
    kill -USR1 "$SUP"
    wait_until has_line signals USR1
    same "count" 3 "$(grep -c QUIT signals)"
}

@test "^C on a terminal reaches a child in a session of its own, too" {
    terminal "$SUPERVISOR" --uuid "$U" --name vm -- setsid "$FAKEVMM" \
        --log-signals "$T/signals" --ready "$T/ready"
    wait_until test -s ready
    type '\003'
    wait_until has_line signals '^INT user'
}

@test "an INT sent by kill on a terminal is passed on" {
    on_terminal
    kill -INT "$SUP"
    wait_until has_line signals '^INT user'
}

@test "^C ends a child that does not mind it, with 130" {
    terminal "$SUPERVISOR" --uuid "$U" -- "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    type '\003'
    ended "$TERMINAL"
    same "exit status" 130 "$STATUS"
}

@test "a terminal that hangs up takes the child with it" {
    on_terminal
    kill -KILL "$TERMINAL"
    wait_until has_line signals '^HUP '
}

@test "the child may read the terminal" {
    terminal "$SUPERVISOR" --uuid "$U" -- sh -c 'read -r word; echo "<$word>"'
    wait_until vm_state "$U" RUNNING
    type 'hello\n'
    ended "$TERMINAL"
    same "exit status" 0 "$STATUS"
    has_line terminal.out '<hello>'
}

# --- job control -----------------------------------------------------------

# An interactive shell on a terminal, with the supervisor in its foreground.
in_shell() {
    terminal bash --norc --noprofile -i
    type "PS1='ready> '\n"
    wait_until has_line terminal.out 'ready> $'
    type "$SUPERVISOR --uuid $U --name vm -- $FAKEVMM --ready $T/ready $*\n"
    wait_until test -s ready
    CHILD=$(<ready)
    SUP=$(parent_of "$CHILD")
    record "$SUP"
}

@test "^Z stops child and supervisor, and fg lets both run on" {
    in_shell --on-term 9
    type '\032'
    wait_until state_is "$CHILD" T
    wait_until state_is "$SUP" T
    wait_until has_line terminal.out Stopped
    type 'fg\n'
    wait_until state_is "$CHILD" S
    wait_until state_is "$SUP" S
    vm_state "$U" RUNNING
    kill -TERM "$SUP"
    wait_until gone "$SUP"
    type 'echo "status=$?"\n'
    wait_until has_line terminal.out 'status=9'
}

@test "^Z and bg let both run on in the background, and fg brings them back" {
    in_shell
    for _ in 1 2; do
        type '\032'
        wait_until state_is "$SUP" T
        type 'bg\n'
        wait_until state_is "$CHILD" S
        wait_until state_is "$SUP" S
        vm_state "$U" RUNNING
        type 'fg\n'
        wait_until foreground "$CHILD"
    done
    type '\003'
    wait_until gone "$CHILD"
    wait_until gone "$SUP"
}

# foreground PID: its process group is its terminal's foreground group
foreground() {
    local stat fields
    read -r stat <"/proc/$1/stat"
    read -ra fields <<<"${stat##*) }"
    [ "${fields[2]}" = "${fields[5]}" ]
}

@test "a child that stops itself on a terminal gives the shell back its prompt" {
    in_shell --stop-self
    wait_until state_is "$CHILD" T
    wait_until has_line terminal.out Stopped
    wait_until state_is "$SUP" T
    type 'fg\n'
    wait_until state_is "$CHILD" S
    wait_until vm_state "$U" RUNNING
}

@test "a child that somebody stops where there is no terminal is still revoked" {
    make_disk a
    spawn vm setsid "$SUPERVISOR" --name vm --uuid "$U" --disk a -- \
        "$FAKEVMM" --ready "$T/ready"
    wait_until test -s ready
    kill -STOP "$(<ready)"
    wait_until state_is "$(<ready)" T
    lockctl --timeout 5 revoke vm
    same "exit status of revoke" 0 "$status"
    ended "$PID"
    same "exit status" 124 "$STATUS"
}
