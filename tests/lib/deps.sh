#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: the Debian packages that building and testing need
#
# deps.sh [GROUP...] looks for the packages of the groups named (default:
# build check demo), installs those that are missing, and nothing else. As
# another user than root it goes through sudo; where there is no sudo it
# names the command that is to be run.
#
# Should:  say what is missing before it is installed; say one line where
#          nothing is; leave no daemon running.
# Mustn't: upgrade or remove anything, ask questions, or change how the
#          machine's own packages are configured.

set -eu

usage() {
    echo "usage: $0 [build|check|long|demo|bench|model|lint|fuzz|valgrind|coverage|all]..."
}

# packages_of GROUP: what the group's targets need beyond make and a shell.
packages_of() {
    case $1 in
    build)
        # perl has pod2man
        echo gcc libc6-dev pkg-config perl libglib2.0-dev libjansson-dev \
            libseccomp-dev libcap-ng-dev ;;
    check)
        # perl has prove
        packages_of build
        # binutils, cpio and lz4 build the guest
        echo abigail-tools bats g++ perl procps jq socat strace iproute2 python3 groff-base man-db \
            mount e2fsprogs nbdkit libnbd-bin qemu-system-x86 qemu-utils \
            binutils cpio lz4 \
            libc6-dbg valgrind \
            libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu systemd ;;
    long)
        packages_of check
        echo debootstrap systemd-container ;;
    demo)
        packages_of build
        echo binutils cpio lz4 qemu-system-x86 ;;
    bench)
        packages_of build
        echo catatonit jq libvirt-daemon python3 qemu-system-x86 tini ;;
    model)
        packages_of build
        echo spin ;;
    lint)
        packages_of build
        echo clang clang-format clang-tidy cppcheck shellcheck ;;
    fuzz)
        packages_of build
        echo clang libclang-rt-14-dev ;;
    valgrind)
        packages_of check
        echo libc6-dbg valgrind ;;
    coverage)
        packages_of check
        echo gcovr ;;
    all)
        for group in check long demo bench model lint fuzz valgrind coverage; do
            packages_of "$group"
        done ;;
    *)
        echo "$0: unknown group '$1'" >&2
        usage >&2
        return 1 ;;
    esac
}

# not_installed PACKAGE...: those that dpkg does not have for this machine's
# architecture, one a line.
not_installed() {
    # shellcheck disable=SC2016  # the fields are dpkg-query's
    dpkg-query -W -f='${Package} ${Architecture} ${db:Status-Status}\n' \
        "$@" 2>/dev/null |
        awk -v native="$(dpkg --print-architecture)" -v wanted="$*" '
            $3 == "installed" && ($2 == native || $2 == "all") { have[$1] = 1 }
            END {
                n = split(wanted, name, " ")
                for (i = 1; i <= n; i++)
                    if (!(name[i] in have))
                        print name[i]
            }'
}

# become_root MISSING: runs this script again as root, or says what to run.
become_root() {
    line="apt-get update && apt-get install --no-install-recommends $1"
    if command -v sudo >/dev/null && sudo true; then
        # shellcheck disable=SC2086  # groups are words
        exec sudo -- "$0" $groups
    fi
    echo "$0: cannot install packages: not root, and no sudo; run as root:" >&2
    echo "    $line" >&2
    exit 1
}

# forbid_daemons: while we install, no package may start a service, unless
# the machine has a policy of its own.
policy=/usr/sbin/policy-rc.d
forbid_daemons() {
    [ ! -e $policy ] || return 0
    trap 'rm -f $policy' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@"
}

case ${1-} in
-h | --help)
    usage
    exit 0 ;;
esac

groups=${*:-build check demo}
wanted=
for group in $groups; do
    wanted="$wanted $(packages_of "$group")"
done
# shellcheck disable=SC2086  # package names are words
wanted=$(printf '%s\n' $wanted | sort -u | paste -sd ' ' -)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "$0: not a Debian system: nothing is installed here; Debian calls" \
        "what is needed: $wanted" >&2
    exit 0
fi

# shellcheck disable=SC2086  # package names are words
missing=$(not_installed $wanted | paste -sd ' ' -)
if [ -z "$missing" ]; then
    count=$(echo "$wanted" | wc -w)
    echo "deps: nothing missing for '$groups' ($count packages)"
    exit 0
fi
[ "$(id -u)" -eq 0 ] || become_root "$missing"
echo "deps: looked for: $wanted"
echo "deps: installing what is missing: $missing"
forbid_daemons
apt update
# shellcheck disable=SC2086
apt install -y --no-install-recommends --no-remove --no-upgrade $missing
