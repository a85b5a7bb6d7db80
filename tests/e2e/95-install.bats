#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: make install and uninstall, as a packager calls them

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit 1
    root=$BATS_TEST_TMPDIR/root
    # The directory of the running build has been made by another make with
    # other options: ask for nothing to be built again.
    make=(make -s "BUILD=${BUILD:-build}" "DESTDIR=$root")
}

# installed: what is there, relative to the root, sorted
installed() {
    (cd "$root" && find . ! -type d | sort)
}

@test "install puts programs, man pages and documents below DESTDIR and PREFIX" {
    "${make[@]}" -o all install PREFIX=/opt/vls
    diff - <(installed) <<'END'
./opt/vls/bin/virt-lockctl
./opt/vls/libexec/virt-lock-guard
./opt/vls/sbin/virt-lock-supervisor
./opt/vls/share/doc/virt-lock-supervisor/LICENSE
./opt/vls/share/doc/virt-lock-supervisor/NEWS.md
./opt/vls/share/doc/virt-lock-supervisor/README.md
./opt/vls/share/doc/virt-lock-supervisor/design.md
./opt/vls/share/doc/virt-lock-supervisor/file-protocol.md
./opt/vls/share/man/man1/virt-lockctl.1
./opt/vls/share/man/man7/virt-lock-protocol.7
./opt/vls/share/man/man8/virt-lock-supervisor.8
END
    "$root/opt/vls/sbin/virt-lock-supervisor" --version
    "$root/opt/vls/bin/virt-lockctl" --version
    # It finds its guard there.
    VIRT_LOCK_RUN_DIR=$BATS_TEST_TMPDIR/run \
        VIRT_LOCK_STATE_DIR=$BATS_TEST_TMPDIR/state \
        "$root/opt/vls/sbin/virt-lock-supervisor" --guard -- true
}

@test "uninstall takes all of it away again" {
    "${make[@]}" -o all install PREFIX=/usr
    "${make[@]}" uninstall PREFIX=/usr
    [ "$(installed)" = "" ]
    [ ! -e "$root/usr/share/doc/virt-lock-supervisor" ]
}

@test "single directories can be chosen" {
    "${make[@]}" -o all install PREFIX=/usr sbindir=/usr/libexec \
        mandir=/man
    [ -x "$root/usr/libexec/virt-lock-supervisor" ]
    [ -f "$root/man/man8/virt-lock-supervisor.8" ]
    "${make[@]}" uninstall PREFIX=/usr sbindir=/usr/libexec mandir=/man
    [ "$(installed)" = "" ]
}

@test "neither all nor install installs a package" {
    run make -n all install
    [ "$status" = 0 ]
    [[ $output != *deps.sh* && $output != *apt-get* ]]
    run make -n check
    [[ $output == *deps.sh* ]]
}
