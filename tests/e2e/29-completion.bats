#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what the shell completes, with supervisors that run

load ../lib/common

COMPLETIONS=$BATS_TEST_DIRNAME/../../helpers/completions/virt-lock.bash

setup() {
    common_setup
    U=$(uuid 1)
}

# completed PROGRAM WORD...: the words that may stand in place of the last
# one, sorted. Each is what the shell would put there, quotes included.
completed() {
    (
        # shellcheck source=/dev/null
        source "$COMPLETIONS"
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        current=${COMP_WORDS[COMP_CWORD]}
        [ "$current" != = ] || current=
        _virt_lock "$1" "$current" "${COMP_WORDS[COMP_CWORD - 1]}" 3>&-
        [ "${#COMPREPLY[@]}" = 0 ] || printf '%s\n' "${COMPREPLY[@]}" | sort
    )
}

# completes_to EXPECTED WORD...: of virt-lockctl; lines
completes_to() {
    local expected=$1
    shift
    same "completion of '$*'" "$expected" "$(completed "$LOCKCTL" "$@")"
}

@test "every command is completed, and every option somewhere" {
    "$LOCKCTL" --help | sed -n '/^Commands/,/^$/p' |
        grep -oE '^  [a-z-]+' | tr -d ' ' | sort >commands
    [ "$(wc -l <commands)" -gt 10 ]
    completes_to "$(<commands)" ''
    while read -r command; do
        completed "$LOCKCTL" "$command" --
    done <commands | sort -u >offered
    "$LOCKCTL" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--.*' |
        sort -u >options
    diff options offered
}

@test "a command is completed with its own options and those of all" {
    completes_to --watch list --w
    completes_to "" child --w
    completes_to $'--disk' release --d
    completes_to --timeout list --t
    completes_to --json --j
    completes_to $'leases\nlist' --json l
}

@test "VMs are completed by name and by uuid" {
    fake web1 --uuid "$U" --
    fake web2 --uuid "$(uuid 2)" --
    fake db --uuid "$(uuid 3)" --
    for command in status child leases unleased acquire release revoke \
        shutdown quit events; do
        completes_to $'web1\nweb2' "$command" we
    done
    completes_to "$(uuid 2)" status "${U%1}2"
    completes_to web1 --timeout 3 status web1
    completes_to web1 --timeout = 3 status web1
    completes_to "" status nobody
    completes_to "" status web1 ''
    completes_to "" list ''
    completes_to "" nonsense ''
    unset VIRT_LOCK_RUN_DIR
    completes_to $'web1\nweb2' --run-dir "$T/run" status w
    completes_to $'web1\nweb2' --run-dir = "$T/run" status w
    completes_to "" --run-dir "$T" status w
}

@test "a name arrives as it is, however it is quoted" {
    name="a b'c\"d\$e\\f:g*ü"
    fake vm --name "$name" --uuid "$U" --
    for begin in a 'a\ b' '"a b' "'a b"; do
        word=$(completed "$LOCKCTL" status "$begin")
        case $begin in
        [\"\']*) word=${begin:0:1}$word${begin:0:1} ;; # as readline does it
        esac
        eval "set -- $word"
        same "words of $begin: $word" 1 "$#"
        same "name from $begin" "$name" "$1"
    done
}

# typed LINE: what bash, on a terminal, makes of LINE and TAB: the words of the
# command go to words, one a line
typed() {
    rm -f keys words
    mkfifo keys
    : >bash.out
    spawn bash "$PTYRUN" keys env INPUTRC=/dev/null HISTFILE= PS1='ready> ' \
        HOME="$T" PATH="${LOCKCTL%/*}:$PATH" bash --norc --noprofile -i
    wait_until grep -q 'ready> $' bash.out
    # ^A goes to the line's begin; the command becomes words
    printf 'source %q\nset +H\n%s\t\001printf "%%s\\n" >new \nmv new words\n' \
        "$COMPLETIONS" "$1" >keys
    wait_until test -e words
    printf 'exit\n' >keys
    ended "$PID"
}

@test "bash completes what is quoted, on a terminal" {
    name="two words\$x"
    fake vm --name "$name" --uuid "$U" --
    for line in 'status two' 'status "two' "status 'two" 'status two\ w' \
        'status "two w' "--run-dir '$T/run' status \"two"; do
        typed "virt-lockctl $line"
        same "name from '$line'" "$name" "$(tail -n 1 words)"
    done
    mkdir files
    make_disk 'files/disk a,b'
    for line in '--disk "files/di' '--disk files/di' "--disk='files/di" \
        '--disk=files/disk\ a,,' '--disk "~/files/di'; do
        typed "virt-lockctl release $line"
        matches "path from '$line'" 'files/disk a,,b$' "$(tail -n 1 words)"
    done
    typed 'virt-lockctl holder "files/di'
    same "path" "files/disk a,b" "$(tail -n 1 words)"
}

@test "--run-dir is understood in every form" {
    unset VIRT_LOCK_RUN_DIR
    export HOME=$T
    mkdir 'the run'
    fake web1 --uuid "$U" --run-dir "$T/the run" --
    # shellcheck disable=SC2088 # a ~ that the completion expands
    for dir in "'$T/the run'" "\"$T/the run\"" "$T/the\\ run" '~/the\ run' \
        "~/'the run'"; do
        completes_to web1 --run-dir "$dir" status w
        completes_to web1 --run-dir = "$dir" status w
        completes_to web1 "--run-dir=$dir" status w
    done
    completes_to '' --run-dir '"~/the run"' status w
    completes_to '' "--run-dir=\$(touch $T/owned)" status w
    completes_to '' "--run-dir=~\$(touch $T/owned)" status w
    refute test -e owned
}

@test "after an option that may go without a value options are completed" {
    same "--name" --name "$(completed "$SUPERVISOR" --wait --nam)"
    same "-A" --name "$(completed "$SUPERVISOR" -A --nam)"
    completed "$SUPERVISOR" -- | grep -x -- --disks-from-command
}

@test "what cannot be asked completes to nothing, soon and in silence" {
    fake web1 --uuid "$U" --
    fake web2 --uuid "$(uuid 2)" --
    kill -STOP "$SUP"
    completed "$LOCKCTL" status w >words 2>err
    same "words" web1 "$(<words)"
    same "stderr" "" "$(<err)"
    kill -CONT "$SUP"
    same "no program" "" "$(completed "$T/virt-lockctl" status w 2>&1)"
    same "no directory" "" \
        "$(VIRT_LOCK_RUN_DIR=$T/x completed "$LOCKCTL" status w 2>&1)"
}

@test "paths and directories are completed where they belong" {
    mkdir -p files/dir
    cd files
    touch 'disk a' disk,b
    completes_to "disk a" holder 'disk\ '
    completes_to "disk a" holder '"disk '
    completes_to $'disk a\ndisk,b' holder dis
    mkdir 'dir,s'
    completes_to $'disk a\ndisk,,b' release web1 --disk dis
    completes_to $'disk a\ndisk,,b' release web1 --disk = dis
    completes_to $'dir\ndir,,s/\ndisk a\ndisk,,b' release web1 --disk =
    completes_to 'disk,,b' release web1 --disk disk,
    completes_to 'disk,,b' release web1 --disk disk,,
    rmdir 'dir,s'
    completes_to dir --run-dir di
    completes_to dir holder x --lockspace di
    completes_to "" --timeout d
}

@test "virt-lock-supervisor's options are completed, and its command" {
    "$SUPERVISOR" --help | grep -oE '^ +(-., )?--[a-z-]+' |
        grep -oE -- '--.*' | sort >options
    [ "$(wc -l <options)" -gt 10 ]
    same "options" "$(<options)" "$(completed "$SUPERVISOR" --)"
    : >'disk a'
    same "disk" "disk a" "$(completed "$SUPERVISOR" --disk di)"
    completed "$SUPERVISOR" --disk x -- mkfif | grep -x mkfifo
    same "argument" "disk a" "$(completed "$SUPERVISOR" -- cat dis)"
    same "option of the command" "" "$(completed "$SUPERVISOR" -- cat --dis)"
}

@test "virt-lock-disks' options are completed" {
    disks=$BUILD/virt-lock-disks
    "$disks" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--.*' |
        sort >options
    [ "$(wc -l <options)" -gt 1 ]
    same "options" "$(<options)" "$(completed "$disks" --)"
    completed "$disks" -- mkfif | grep -x mkfifo
}
