#!/bin/sh
# The house rules that a machine can check: lint.sh [CPPFLAGS...]; BUILD is
# where generated headers and man pages are. Says all it finds, then fails.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
bad=0

say() {
    echo "lint: $*" >&2
    bad=1
}

sources=$(git ls-files -co --exclude-standard '*.c' '*.h')
ours=$(echo "$sources" | grep -E '^(supervisor|libsupervise|helpers)/')
scripts=$(git ls-files -co --exclude-standard '*.sh' '*.bash' '*.bats')

echo "lint: lengths (functions <= 60 lines, files <= 400, Makefile <= 150)"
for f in $sources; do
    awk -v f="$f" '
        /^\{/ { start = FNR }
        /^\}/ { if (start && FNR - start + 1 > 62) {
                    print f ":" start ": function of " FNR - start - 1 " lines"
                    bad = 1 }
                start = 0 }
        END { if (FNR > 400) { print f ": " FNR " lines"; bad = 1 }
              exit bad }' "$f" >&2 || bad=1
done
for f in Makefile */*.mk; do
    [ "$(wc -l <"$f")" -le 150 ] || say "$f is too long"
done

echo "lint: who includes whom"
# room: the only headers of ours (by path) that its files may include
law() {
    allowed=$2
    for f in $1; do
        for h in $(sed -n 's/^#include "\(.*\)"$/\1/p' "$f"); do
            h=$(basename "$h")
            own=$(basename "$f" .c)
            case " $allowed $own.h ${own%_*}.h ${own%_*}_internal.h " in
            *" $h "*) ;;
            *) say "$f must not include $h" ;;
            esac
        done
    done
}
lib="qmp.h places.h record.h resource.h opened.h settings.h"
law "$(ls libsupervise/client*.[ch] libsupervise/[o-r]*.[ch])" "$lib client.h"
api="lock_manager.h lock_manager_types.h lock_manager_more.h"
law "$(ls libsupervise/lock_manager*.h)" "$api"
law "$(ls libsupervise/manager*.[ch])" "$lib client.h $api manager_internal.h sbindir.h"
law "$(ls libsupervise/domain_lock*.[ch])" "$api domain_lock_internal.h"
law "$(ls libsupervise/opened.[ch])" "resource.h"
law "$(ls libsupervise/settings.[ch])" ""
law "$(ls helpers/virt-lockctl*.[ch])" "$lib client.h $(cd helpers && echo virt-lockctl*.h)"
law "$(ls helpers/virt-lock-disks*.[ch])" "qmp.h resource.h virt-lock-disks.h"
law "$(ls helpers/virt-lock-guard*.[ch])" \
    "virt-lock-guard.h guard_wire.h drain.h sweep.h"
law "supervisor/machine.c supervisor/machine.h" ""
law "$(ls supervisor/token.[ch])" "qmp.h"
law "supervisor/proc.c supervisor/proc.h supervisor/cgroup.c supervisor/confine.h" ""
law "$(ls supervisor/options*.[ch])" "$lib options.h messages.h report.h"
law "supervisor/disks.c supervisor/disks.h" "$lib beside.h options.h report.h"
law "$(ls supervisor/unleased.[ch])" "$lib child.h lease.h"
law "$(ls supervisor/attach.[ch])" "$lib options.h report.h proc.h"
law "$(ls supervisor/sweep.[ch] supervisor/drain.[ch] supervisor/guard_wire.[ch])" ""
law "$(ls supervisor/beside.[ch])" "qmp.h"
law "$(ls supervisor/guard.[ch])" "qmp.h beside.h driver.h guard_wire.h watch.h"
law "supervisor/messages.h supervisor/notify.c supervisor/notify.h supervisor/journal.h" ""
law "supervisor/journal.c" "qmp.h"
law "supervisor/report.c supervisor/report.h" "qmp.h journal.h notify.h messages.h"
law "supervisor/driver.h" "record.h resource.h messages.h"
law "$(ls supervisor/driver_*.[ch])" "$lib drain.h driver.h driver_file_internal.h"
law "$(ls supervisor/lease*.[ch])" "$lib driver.h"
law "$(ls supervisor/child*.[ch] supervisor/tree.[ch])" \
    "qmp.h child.h signals.h cgroup.h proc.h sweep.h tree.h watch.h"
law "$(ls supervisor/control.[ch] supervisor/session.[ch])" "qmp.h session.h control.h watch.h"
law "$(ls supervisor/verbs*.[ch])" "$lib control.h supervisor.h"
law "supervisor/main.c" "attach.h confine.h disks.h options.h report.h signals.h supervisor.h"

echo "lint: one room each signals and waits, exits, steps the machine"
only() {
    # shellcheck disable=SC2086
    found=$(grep -lE "$1" $ours | grep -vE "$2" | tr '\n' ' ')
    [ -z "$found" ] || say "$3: $found"
}
only '\b(kill|pidfd_send_signal|waitid|waitpid|wait4) ?\(' \
    '^(supervisor/(child(_attach)?|sweep|guard)|helpers/virt-lock-(disks-chain|guard)|libsupervise/manager(_become)?)\.c$' \
    "signals or waits"
only '[^_]\bexit ?\(' '^(supervisor/(main|seccomp_gen)\.c|helpers/)' "exits"
only '\bmachine_step ?\(' '^supervisor/(machine\.[ch]|supervisor(_ask|_child|_migrate)?\.c)$' \
    "steps the machine"
only '\b(sleep|usleep|nanosleep|pthread_create|g_thread_new|system|popen) ?\(' \
    '^$' "sleeps, threads or shells"

echo "lint: every header compiles alone"
for h in $(echo "$ours" | grep '\.h$'); do
    ${CC:-cc} -std=gnu11 "$@" -fsyntax-only -Werror=implicit \
        -include "$h" -x c /dev/null || say "$h does not compile alone"
done

echo "lint: clang-format"
# shellcheck disable=SC2086
clang-format --dry-run -Werror $sources || bad=1

echo "lint: cppcheck"
# shellcheck disable=SC2086
cppcheck --quiet --std=c11 --inline-suppr --error-exitcode=1 \
    --enable=warning,performance,portability \
    --library=gtk --library=tests/lib/cppcheck.cfg \
    --suppress=missingInclude --suppress=nullPointerRedundantCheck \
    $ours tests/bin/*.c tests/guest/*.c || bad=1

echo "lint: clang-tidy"
# shellcheck disable=SC2086,SC2046
clang-tidy --quiet --warnings-as-errors='*' \
    --checks='-*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-assignment-in-if-condition,-bugprone-narrowing-conversions,-bugprone-implicit-widening-of-multiplication-result,-clang-analyzer-unix.Malloc,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,-bugprone-branch-clone,-bugprone-macro-parentheses,-bugprone-suspicious-include,-bugprone-sizeof-expression' \
    $(echo "$ours" | grep '\.c$') -- -std=gnu11 -I"$BUILD/pic" "$@" 2>/dev/null |
    grep -E 'error:|warning:' >&2 && say "clang-tidy"

echo "lint: shellcheck"
# shellcheck disable=SC2086
shellcheck -x -e SC2154,SC2153,SC2016,SC2013,SC1091 $scripts .ci/run || bad=1

echo "lint: man pages"
podchecker -warnings -warnings "$BUILD"/docs/*.pod || bad=1

[ $bad = 0 ] && echo "lint: all good"
exit $bad
