#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031  # each test is a shell
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: libsupervise(3) is what the library is
#
# The page is compared with the headers, the library's symbols and its sources;
# both ways, so that neither side can have something that the other has not. Its
# examples are compiled, as they stand there, in C99 and in C++; those that have
# a transcript are run as that shows it, and must say what it says.

load ../lib/common
load ../lib/docs

PAGE=$(page libsupervise.3)
LIB=$SOURCE/libsupervise
# The public ones, as they are installed.
mapfile -t HEADERS < <(sed -n 's/^headers .*%.h,\(.*\))$/\1/p' \
    "$LIB/libsupervise.mk" | tr ' ' '\n' | sed "s#.*#$LIB/&.h#")
# The files of the library.
SOURCES=("$LIB"/manager*.c "$LIB"/domain_lock*.c "$LIB"/client*.c
    "$LIB"/{qmp,places,resource,settings}.c)

# The headers without comments and preprocessor, a statement in a line.
statements() {
    cat "${HEADERS[@]}" | perl -0777 -ne '
        s,/\*.*?\*/,,gs;
        s/^#ifdef __cplusplus\n.*?^#endif\n//gms;
        s/^#.*\n//gm;
        while (/\G\s*((?:[^;{}]|(\{(?:[^{}]|(?2))*\}))*;)/gs) {
            (my $statement = $1) =~ s/\s+/ /g;
            print "$statement\n";
        }'
}

# The functions' prototypes in the headers, a line each.
prototypes() {
    statements | perl -ne 'print "$1\n" if /^\s*(?!typedef)(\S.*\bvir\w+\(.*\));/'
}

section() { # NAME: of the page
    sed -n "/^=head1 $1\$/,/^=head1 /p" "$PAGE"
}

symbols() {
    grep -oE '\bvir[A-Za-z]+' "$LIB/libsupervise.map" | sort
}

examples() {
    sed -n 's/^=for example //p' "$PAGE"
}

# --- the page, the headers and the library ---------------------------------

@test "the functions of the headers are the symbols of the library" {
    symbols >expected
    prototypes | grep -oE '\bvir[A-Za-z]+\(' | tr -d '(' | sort >actual
    equal "functions of the headers"
    nm -D --defined-only "$BUILD/libsupervise.so" | grep ' T ' |
        sed 's/.* T //; s/@.*//' | sort >actual
    equal "symbols"
    [ "$(wc -l <expected)" -gt 50 ]
}

@test "every function is in the page, with its prototype, and so back" {
    prototypes | sort >expected
    items_of "$PAGE" FUNCTIONS | sort >actual
    equal "prototypes"
}

@test "every type is in the page, with its members, and so back" {
    # "NAME[, POINTER][: MEMBER, MEMBER]"
    statements | perl -ne '
        my ($name) = /(?:\(\*)?(\w+)(?:\)\(.*\))?;$/;
        if (/^typedef \w+ \*\w+;/) { ($of) = /^typedef (\w+)/;
                                     $pointers{$of} = $name; next }
        if (/^typedef/) { $members{$name} //= "" }
        if (/struct (\w*) ?\{(.*)\}/) {
            my ($tag, $body) = ($1, $2);
            $body =~ s/\{[^{}]*\}//;
            $members{$tag || $name} =
                ": " . join(", ", $body =~ /(\w+);/g);
        }
        END { for (keys %members) {
            my $pointer = $pointers{$_} ? ", $pointers{$_}" : "";
            print "$_$pointer$members{$_}\n" } }' |
        sort >expected
    [ "$(wc -l <expected)" -gt 15 ]
    grep -qx 'virDomainLockDisk: path, flags' expected
    items_of "$PAGE" TYPES | sort >actual
    equal "types"
}

@test "every value is in the page, and so back" {
    statements | grep -oE '\bVIR_[A-Z_]+' | sort -u >expected
    [ "$(wc -l <expected)" -gt 35 ]
    grep -oE '\bVIR_[A-Z_]+' "$PAGE" | sort -u >actual
    equal "values"
    # Each under its type, or in ERRORS.
    { section TYPES; section ERRORS; } | grep -oE '\bVIR_[A-Z_]+' |
        sort -u >actual
    equal "values in TYPES and ERRORS"
}

@test "every error is in ERRORS, as on the wire" {
    statements | grep -oE '\bVIR_LOCK_MANAGER_ERROR_[A-Z_]+' |
        sort -u >expected
    items_of "$PAGE" ERRORS | sort >actual
    equal "errors"
    # An error class is a code; one that is not known is NOT_SUPPORTED.
    sed -n '/define QMP_ERROR_CLASSES/,/^$/s/.*X(\([A-Z_]*\),.*/\1/p' \
        "$LIB/qmp.h" | sed 's/COMMAND_NOT_FOUND/NONE/' |
        sed 's/^/VIR_LOCK_MANAGER_ERROR_/' | sort >actual
    equal "error classes"
}

@test "every variable that the library reads is in ENVIRONMENT" {
    grep -hoE '(getenv\(|[=] )"[A-Z_]{3,}"' "${SOURCES[@]}" |
        grep -oE '[A-Z_]{3,}' >found
    if grep -q g_get_home_dir "${SOURCES[@]}"; then
        echo HOME >>found
    fi
    sort -u found >expected
    for variable in RUN_DIR STATE_DIR SUPERVISOR; do
        grep -qx "VIRT_LOCK_$variable" expected
    done
    items_of "$PAGE" ENVIRONMENT | tr -d ' ' | tr ',' '\n' | sort >actual
    equal "variables"
}

@test "every parameter that is an option is in the page, and is one" {
    { sed -n '/^static const char \*const options/,/^}/p' \
        "$LIB/manager_argv.c" | grep -oE '"[a-z-]+"' | tr -d '"'
      grep -oE 'g_str_equal\(key, "[a-z-]+"' "$LIB/manager_params.c" |
          grep -oE '"[a-z-]+"' | tr -d '"'; } | sort -u >expected
    awk '/^=item .*virLockManagerSetParameter\(/ { on = 1; next }
         /^=item/ { on = 0 } on' "$PAGE" | tr '\n' ' ' |
        grep -oE 'C<[a-z-]+>' | plain | grep -vxE 'on|off' | sort -u >actual
    equal "parameters"
    "$SUPERVISOR" --help >help
    while read -r name; do
        grep -qE -- "--$name\b" help || fail "no option '--$name'"
    done < <(grep -vxE 'pid|uri' expected)
}

# "NAME|COMMENT|DECLARATION" of each function in the headers
docstrings() {
    cat "${HEADERS[@]}" | perl -0777 -ne '
        my $comment = "";
        while (/\G(?:(\/\*.*?\*\/)|(\n\n)|([^\/\n#][^;\/]*;)|(.|\n))/gs) {
            if (defined $1) { $comment = $1 }
            elsif (defined $2) { $comment = "" unless $last }
            elsif (defined $3) {
                my $what = $3;
                (my $text = $comment) =~ s/\s*\n ?\*? ?/ /g;
                $what =~ s/\s+/ /g;
                print "$1|$text|$what\n" if $what =~ /^(?!typedef)\S.*?\b(vir\w+)\(/;
            }
            $last = defined $1;
        }'
}

@test "every function in the headers tells its source, and its phase" {
    docstrings >all
    cut -d'|' -f1 all | sort >actual
    symbols >expected
    equal "documented functions"
    while IFS='|' read -r name text declaration; do
        [[ $text =~ (RFC|DESIGN|USAGE|Extension|libvirt\'s|"All extensions") ]] ||
            [[ $name == virDomainLockMigrate* ]] ||
            fail "'$name' is from nowhere: $text"
        [[ $declaration == *"virLockManagerPtr manager"* ]] || continue
        [[ $text =~ (PREPARING|STARTED|ENDED|any.phase|Any.phase|Phases) ||
            $text == *"as in virLockManagerAcquireResource"* ]] ||
            fail "'$name' has no phase: $text"
    done <all
}

@test "every function with a manager tells its phase in the page" {
    awk '/^=item .*virLockManagerPtr manager/ { name = $0; getline; getline
         print $0 "\t" name }' <(section FUNCTIONS) >all
    [ "$(wc -l <all)" -ge 27 ]
    refute grep -vE '^(PREPARING|STARTED|ENDED|Any phase)' all
}

@test "the three documents are told apart, and each slip is listed" {
    section 'WHERE THE DOCUMENTS DISAGREE' | tr -s '\n ' ' ' | plain >said
    for slip in 'have no type' 'calls virLockManagerCompleteMigrateIn on the' \
        'has a ; within virLockManagerCompleteMigrateFlags' 'gchar is char' \
        'if (!virLockManagerAcquireObject(manager)) abort' 'or leave it run' \
        'passes no URI' 'All four are 0'; do
        grep -qF "$slip" said || fail "'$slip' is not in the page"
    done
}

# --- the page as such ------------------------------------------------------

@test "POD is without warnings" {
    pods_are_sound libsupervise.3
}

@test "the page renders without warnings" {
    pages_render libsupervise.3
}

@test "pages that it refers to are there" {
    grep -oE 'L<[a-z-]+\([1378]\)>' "$PAGE" | sort -u |
        sed -nE 's/L<(virt-[a-z-]+)\(([0-9])\)>/\1.\2/p' >ours
    [ "$(wc -l <ours)" -ge 3 ]
    while read -r name; do
        test -s "$BUILD/docs/$name" || fail "no page '$name'"
    done <ours
    # It is to be found from theirs, too.
    grep -q 'L<libsupervise(3)>' "$DOCS"/virt-lock-{protocol.7,supervisor.8}.pod
}

# --- examples --------------------------------------------------------------

# build EXAMPLE: in C99 and in C++, with the public headers alone; the program
# in C goes to bin/
build() {
    local sanitizers=() header
    mkdir -p include/libsupervise bin
    for header in "${HEADERS[@]}"; do
        ln -sf "$header" include/libsupervise
    done
    if nm -D "$BUILD/libsupervise.so" | grep -q __asan_init; then
        sanitizers=('-fsanitize=address,undefined')
    fi
    block libsupervise.3 example "$1"
    set -- "$1" -Wall -Wextra -pedantic -Werror -Iinclude "${sanitizers[@]}" \
        -L"$BUILD" -Wl,-rpath,"$BUILD"
    cc -std=c99 -o "bin/$1" -x c "$1.example" -x none "${@:2}" -lsupervise ||
        fail "'$1' is no C99"
    c++ -o "$1++" -x c++ "$1.example" -x none "${@:2}" -lsupervise ||
        fail "'$1' is no C++"
}

@test "every function is called by an example" {
    for name in $(examples); do
        block libsupervise.3 example "$name"
    done
    cat ./*.example | grep -oE '\bvir[A-Za-z]+\(' | tr -d '(' | sort -u >actual
    symbols >expected
    equal "functions in examples"
}

# Numbers, host, times and places as the page has them, so that the rest can be
# compared; without the shell's own word on a job that was killed.
alike() {
    sed -E "s#$BUILD/virt-lock#/usr/local/sbin/virt-lock#; s#'$BUILD'#'/usr/local/sbin'#
        s#$T/run#/run/virt-lock-supervisor#; s#$T/state#/var/lib/virt-lock-supervisor#
        s#$T/vm/#/vm/#g; s/, $(hostname), pid/, host1, pid/
        s/ on $(hostname)\$/ on host1/
        /: line [0-9]+: +[0-9]+ Killed /d
        s/(pid|as|process) [0-9]+/\\1 N/g; s/since [0-9:]+\$/since TIME/"
}

# A supervisor answers for $1, and says that the VM runs.
runs() {
    vm_state "$1" RUNNING
}

# happened PROGRAM ARGUMENTS: waits until a background command has come so far
# that the next one finds it so
happened() {
    case "$1" in
    *'>said') wait_until test -s said ;;
    *' $U '*) wait_until runs "$U" ;;
    *' $V '*) wait_until runs "$V" ;;
    *) fail "what is waited for? $1" ;;
    esac
}

# run_line COMMAND: as a shell would, in this one
run_line() {
    local line=${1//\/vm\//$T/vm/}
    eval "$line" >>heard 2>&1 3>&- 4>&- 10>&- || :
    if [[ $line == *'&' ]]; then
        record "$!"
        happened "${1% &}"
    fi
}

# transcript NAME: does what the page shows, and compares what comes of it
transcript() {
    local line command=''
    block libsupervise.3 transcript "$1"
    : >heard
    while IFS= read -r line; do
        if [[ $line == '$ '* || -n $command ]]; then
            echo "$line" >>heard
            command+=${line#'$ '}
            if [[ $command == *$'\\' ]]; then
                command=${command%$'\\'}
                continue
            fi
            run_line "$command"
            command=''
        fi
    done <"$1.transcript"
    alike <"$1.transcript" >expected
    alike <heard >actual
    equal "'$1'"
}

# An example's setting: two uuids, disks, and the programs, of which $1... are
# built.
setting() {
    local name
    for name; do
        build "$name"
    done
    U=$(uuid 1)
    V=$(uuid 2)
    mkdir vm
    truncate -s 1M vm/{web1,other,hot}.raw
    export VIRT_LOCK_SUPERVISOR=$SUPERVISOR PATH=$T/bin:$PATH
}

@test "example: which drivers there are" {
    setting lease-drivers
    transcript lease-drivers
}

# What the VM prints or reads must not be what keeps others from its disks.
@test "without standard descriptors nothing takes their place" {
    local fd
    setting lease-start
    export VIRT_LOCK_RUN_DIR=$T/run VIRT_LOCK_STATE_DIR=$T/state
    lease-start "$U" web1 "$T/vm/web1.raw" sleep 600 <&- >&- 2>&- &
    record $!
    wait_until program_is $! sleep
    test -n "$(find "/proc/$!/fd" -lname '*/liveness')"
    for fd in 0 1 2; do
        refute test -e "/proc/$!/fd/$fd"
    done
}

program_is() { # PID NAME
    [ "$(<"/proc/$1/comm")" = "$2" ]
}

@test "a target's migration is not cancelled on its source, which would end" {
    setting lease-migrate lease-before
    export VIRT_LOCK_RUN_DIR=$T/run VIRT_LOCK_STATE_DIR=$T/state
    lease-before "$U" "$T/vm/web1.raw" sleep 600 >said &
    record $!
    wait_until has_line said '^runs as'
    lease-migrate "$U" out-begin tcp:there
    refute lease-migrate "$U" in-cancel tcp:here 2>why
    matches "why" "the VM is OUTGOING" "$(<why)"
    vm_state "$U" OUTGOING
    lease-migrate "$U" out-cancel tcp:there
    vm_state "$U" RUNNING
    "$LOCKCTL" quit "$U"
}

@test "example: what would be run" {
    setting lease-args
    transcript lease-args
}

@test "example: when its disk is leased" {
    setting lease-start
    transcript lease-start
}

@test "example: a supervisor in front of the command" {
    setting lease-run lease-stop
    transcript lease-run
}

# QEMU's own side of hot-plug, as a program
in_qemu() { # NAME COMMAND ARGUMENTS
    printf '#!/bin/sh\nexec "%s" -SE "%s" "%s" %s >/dev/null\n' "$PYTHON" \
        "$BATS_TEST_DIRNAME/../bin/qmp.py" "$T/vm/web1.qmp" "$2 '$3'" >"bin/$1"
    chmod +x "bin/$1"
}

@test "example: disks that come and go" {
    requires qemu-system-x86_64
    setting lease-plug lease-start
    in_qemu plug-in blockdev-add "{\"driver\": \"file\", \"node-name\": \"hot\",
        \"filename\": \"$T/vm/hot.raw\"}"
    in_qemu plug-out blockdev-del '{"node-name": "hot"}'
    happened() {
        wait_until test -S vm/web1.qmp
    }
    transcript lease-plug
}

@test "example: how a VM is, and what happens to it" {
    setting lease-watch lease-start lease-stop
    happened() {
        case "$1" in
        *'>said') wait_until has_line said '^HELD ' ;;
        *) wait_until runs "$U" ;;
        esac
    }
    transcript lease-watch
}

@test "example: the end" {
    setting lease-stop lease-start
    transcript lease-stop
}

@test "example: the life of a VM" {
    setting lease-vm
    transcript lease-vm
}

@test "example: a supervisor in front of the command, by domain_lock.h" {
    setting lease-before lease-vm
    transcript lease-before
}

# The target's host, on which "there" runs a program.
other_host() {
    printf '#!/bin/sh\nVIRT_LOCK_RUN_DIR=%s exec "$@"\n' "$T/there" >bin/there
    # A target that comes, and confirms.
    cat >bin/arrive <<END
#!/bin/sh
{ there lease-before -m $U $T/vm/web1.raw sleep 600; echo over; } >arrived &
until grep -qs -e '^runs as' -e '^over' arrived; do :; done
exec there lease-move $U in tcp:here worked
END
    chmod +x bin/there bin/arrive
}

@test "example: to another host" {
    setting lease-move lease-before lease-stop
    other_host
    transcript lease-move
    same "the end of the target" "dead, and every lease free" \
        "$(there lease-stop "$U")"
}

@test "example: a pause" {
    setting lease-state lease-start
    transcript lease-state
}

@test "example: migration, and pauses" {
    setting lease-migrate lease-before lease-stop
    other_host
    happened() {
        wait_until has_line said '^runs as '
        rm said
    }
    transcript lease-migrate
}

@test "each example has a transcript" {
    examples | sort >expected
    sed -n 's/^=for transcript //p' "$PAGE" | sort >actual
    equal "transcripts"
}
