# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: bash completion for virt-lockctl, virt-lock-supervisor, virt-lock-disks
#
# What there is to complete the programs say themselves (--help, and running
# supervisors), so that this file knows no option and no command by name, but
# for what a word is for. Whatever goes wrong completes to nothing, in silence.

# Options of the program $1, as "--NAME=VALUE" or "--NAME", one a line
_virt_lock_options() {
    "$1" --help 2>/dev/null | sed -n 's/^ \+\(-., \)\?\(--[^ ]*\).*/\2/p'
}

# What virt-lockctl says of its commands: "COMMAND VM --disk PATH[,MODE] ..."
_virt_lock_commands() {
    "$1" --help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]\)/\1/p'
}

# Names and uuids of running VMs, one a line. Those that do not answer soon
# are left out. (In the JSON of a list four blanks begin a member of a VM.)
_virt_lock_vms() {
    local line name
    "$1" list --json --timeout 0.5 "${@:2}" </dev/null 2>/dev/null |
        while IFS= read -r line; do
            if [[ $line =~ ^'    "'(name|uuid)'": "'(.*)'"',?$ ]]; then
                name=${BASH_REMATCH[2]//\\\"/\\x22} # printf knows the others
                printf -v name %b "$name"
                [[ $name == *[[:cntrl:]]* ]] || printf '%s\n' "$name"
            fi
        done
}

# Sets the caller's plain to word $1 as the shell would take it: without quotes,
# with a home directory for ~. Variables are left as they are.
_virt_lock_plain() {
    local word=$1 i c quote='' home
    plain=''
    if [[ $word =~ ^~[a-zA-Z0-9_-]*(/|$) ]]; then
        eval "home=${word%%/*}" # a ~ and a user's name, nothing else
        plain=$home word=${word#"${word%%/*}"}
    fi
    for ((i = 0; i < ${#word}; i++)); do
        c=${word:i:1}
        case $quote$c in
        "''" | '""') quote='' ;;
        "'" | '"') quote=$c ;;
        "'"?) plain+=$c ;;
        \"\\)
            [[ ${word:i + 1:1} == [\"\\\$\`] ]] && ((++i))
            plain+=${word:i:1}
            ;;
        \\)
            ((++i))
            plain+=${word:i:1}
            ;;
        *) plain+=$c ;;
        esac
    done
}

# Sets the caller's begin to what is typed already, and its quote.
_virt_lock_begin() {
    local plain
    quote=''
    [[ $1 != [\"\']* ]] || quote=${1:0:1}
    if [ "$quote" ]; then
        _virt_lock_plain "$1"
        begin=$plain
    else
        # shellcheck disable=SC2162 # backslashes are to be taken away
        IFS= read begin <<<"$1"
    fi
}

# Puts the words of standard input that begin as the current one does into
# COMPREPLY, quoted as that is quoted.
_virt_lock_reply() {
    local quote begin word
    _virt_lock_begin "$1"
    COMPREPLY=()
    while IFS= read -r word; do
        [[ $word == "$begin"* ]] || continue
        case $quote in
        \") word=${word//[\\\"\$\`]/\\&} ;;
        \') word=${word//\'/\'\\\'\'} ;;
        *)
            printf -v word %q "$word"
            word=${word//[:=]/\\&} # readline would split it there
            ;;
        esac
        COMPREPLY+=("$word")
    done
}

# Files, or with "-d" directories, that begin as $1 does; readline quotes them
_virt_lock_files() {
    # shellcheck disable=SC2034 # quote is set, but not of interest
    local quote begin
    _virt_lock_begin "$1"
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "${2:--f}" -- "$begin")
}

# Files that begin as $1 does, for an option that wants a comma doubled
_virt_lock_disks() {
    local quote begin i
    _virt_lock_begin "$1"
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "${begin//,,/,}")
    for i in "${!COMPREPLY[@]}"; do
        [[ ${COMPREPLY[i]} == *,* ]] || continue
        if [ -d "${COMPREPLY[i]}" ]; then # by that name readline knows it not
            COMPREPLY[i]+=/
            compopt -o nospace 2>/dev/null
        fi
        COMPREPLY[i]=${COMPREPLY[i]//,/,,}
    done
}

# Completes $3, what stands after option $2 of program $1; 1 where the option
# takes nothing, or may go without and another option follows.
_virt_lock_value() {
    local option value
    [[ $3 != -* ]] || return 1
    while IFS='=' read -r option value; do
        [ "$option" = "$2" ] || continue
        case $value in
        '') return 1 ;;
        DIR*) _virt_lock_files "$3" -d ;;
        PATH'[,'*) _virt_lock_disks "$3" ;;
        *PATH* | FILE*) _virt_lock_files "$3" ;;
        esac
        return 0
    done < <(_virt_lock_options "$1")
    return 1
}

# Fills in the caller's words (those before the current one that are neither
# options nor values of some) and run_dir (--run-dir, if it is given).
_virt_lock_words() {
    local i word value takes plain
    takes=$'\n'$(_virt_lock_options "$1" | sed -n 's/=.*//p')$'\n'
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word != -* ]]; then
            words+=("$word")
            continue
        fi
        value=${word#*=} word=${word%%=*}
        [[ $takes == *$'\n'$word$'\n'* ]] || continue
        if [[ ${COMP_WORDS[i]} != *=* ]]; then
            ((++i))
            [ "${COMP_WORDS[i]}" != = ] || ((++i))
            value=${COMP_WORDS[i]}
        fi
        _virt_lock_plain "$value"
        [ "$word" != --run-dir ] || run_dir=(--run-dir "$plain")
    done
}

# The options of program $1 that command line $2 of --help does not leave to
# other commands
_virt_lock_options_of() {
    local option others own
    others=$(_virt_lock_commands "$1" | grep -oE -- '--[a-z-]+')
    others=" ${others//$'\n'/ } "
    others=${others//--timeout/} # everywhere, though it means more in some
    own=" ${2//[][|]/ } "
    while IFS= read -r option; do
        if [[ $own == *" $option "* || $others != *" $option "* ]]; then
            printf '%s\n' "$option"
        fi
    done < <(_virt_lock_options "$1" | sed 's/=.*//')
}

_virt_lockctl() {
    local program=$1 current=$2 usage='' line words=() run_dir=()
    _virt_lock_words "$program"
    while IFS= read -r line; do
        [ "${line%% *}" != "${words[0]}" ] || usage=${line%%  *}
    done < <(_virt_lock_commands "$program")
    if [[ $current == -* ]]; then
        _virt_lock_reply "$current" \
            < <(_virt_lock_options_of "$program" "$usage")
    elif [ "${#words[@]}" = 0 ]; then
        _virt_lock_reply "$current" \
            < <(_virt_lock_commands "$program" | sed 's/ .*//')
    elif [ "${#words[@]}" = 1 ]; then
        case ${usage#* } in
        PATH*) _virt_lock_files "$current" ;;
        VM* | '[VM]'*)
            _virt_lock_reply "$current" \
                < <(_virt_lock_vms "$program" "${run_dir[@]}")
            ;;
        esac
    fi
}

# After "--" a command and its arguments
_virt_lock_command() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [ "${COMP_WORDS[i]}" != -- ] || break
    done
    [ "$i" -lt "$COMP_CWORD" ] || return 1
    if declare -F _command_offset >/dev/null; then
        _command_offset $((i + 1))
    elif [ $((i + 1)) = "$COMP_CWORD" ]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$1")
    else
        _virt_lock_files "$1"
    fi
}

_virt_lock() {
    local program=$1 current=$2 previous=$3 whole=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    # bash takes an opening quote away
    [[ $whole != [\"\']"$current"* ]] || current=${whole:0:1}$current
    # readline makes three words of --disk=PATH
    if [ "$whole" = = ]; then
        current='' previous=${COMP_WORDS[COMP_CWORD - 1]}
    elif [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [ "${program##*/}" != virt-lockctl ] && _virt_lock_command "$current"
    then
        return
    fi
    if [[ $previous == --?* ]] &&
        _virt_lock_value "$program" "$previous" "$current"; then
        return
    fi
    if [ "${program##*/}" = virt-lockctl ]; then
        _virt_lockctl "$program" "$current"
    elif [[ $current == -* ]]; then
        _virt_lock_reply "$current" \
            < <(_virt_lock_options "$program" | sed 's/=.*//')
    fi
}

complete -F _virt_lock virt-lockctl virt-lock-supervisor virt-lock-disks
