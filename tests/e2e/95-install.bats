#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: make install and uninstall, as a packager calls them

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || exit 1
    root=$BATS_TEST_TMPDIR/root
    # The directory of the running build has been made by another make with
    # other options: ask for nothing to be built again.
    BUILD=${BUILD:-build}
    make=(make -s "BUILD=$BUILD" "DESTDIR=$root"
        -o "$(readlink -f "$BUILD/libsupervise.so")")
}

# installed: what is there, relative to the root, sorted
installed() {
    (cd "$root" && find . ! -type d | sort)
}

@test "install puts programs, man pages and documents below DESTDIR and PREFIX" {
    "${make[@]}" -o all install PREFIX=/opt/vls
    diff - <(installed) <<'END'
./opt/vls/bin/virt-lock-disks
./opt/vls/bin/virt-lockctl
./opt/vls/include/libsupervise/domain_lock.h
./opt/vls/include/libsupervise/lock_manager.h
./opt/vls/include/libsupervise/lock_manager_more.h
./opt/vls/include/libsupervise/lock_manager_types.h
./opt/vls/lib/libsupervise.so
./opt/vls/lib/libsupervise.so.0
./opt/vls/lib/libsupervise.so.0.0.1.0
./opt/vls/lib/pkgconfig/libsupervise.pc
./opt/vls/lib/systemd/catalog/virt-lock-supervisor.catalog
./opt/vls/lib/systemd/system/virt-lock-supervisor@.service
./opt/vls/libexec/virt-lock-guard
./opt/vls/sbin/virt-lock-supervisor
./opt/vls/share/bash-completion/completions/virt-lock-disks
./opt/vls/share/bash-completion/completions/virt-lock-supervisor
./opt/vls/share/bash-completion/completions/virt-lockctl
./opt/vls/share/doc/virt-lock-supervisor/LICENSE
./opt/vls/share/doc/virt-lock-supervisor/NEWS.md
./opt/vls/share/doc/virt-lock-supervisor/README.md
./opt/vls/share/doc/virt-lock-supervisor/cookbook.md
./opt/vls/share/doc/virt-lock-supervisor/design.md
./opt/vls/share/doc/virt-lock-supervisor/examples/live-migrate
./opt/vls/share/doc/virt-lock-supervisor/examples/web1.conf
./opt/vls/share/doc/virt-lock-supervisor/file-protocol.md
./opt/vls/share/doc/virt-lock-supervisor/migration.md
./opt/vls/share/man/man1/virt-lock-disks.1
./opt/vls/share/man/man1/virt-lockctl.1
./opt/vls/share/man/man3/libsupervise.3
./opt/vls/share/man/man7/virt-lock-protocol.7
./opt/vls/share/man/man8/virt-lock-supervisor.8
END
    "$root/opt/vls/sbin/virt-lock-supervisor" --version
    "$root/opt/vls/bin/virt-lockctl" --version
    for program in virt-lockctl virt-lock-supervisor virt-lock-disks; do
        bash -c '. "$1" && complete -p "$2"' - \
            "$root/opt/vls/share/bash-completion/completions/$program" \
            "$program"
    done
    "$root/opt/vls/bin/virt-lock-disks" --version
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
        mandir=/man unitdir=/units catalogdir=/catalogs libdir=/lib64 \
        includedir=/headers
    [ -x "$root/usr/libexec/virt-lock-supervisor" ]
    [ -f "$root/man/man8/virt-lock-supervisor.8" ]
    grep -q '^ExecStart=/usr/libexec/virt-lock-supervisor ' \
        "$root/units/virt-lock-supervisor@.service"
    [ -f "$root/catalogs/virt-lock-supervisor.catalog" ]
    [ -f "$root/headers/libsupervise/lock_manager.h" ]
    grep -q '^libdir=/lib64$' "$root/lib64/pkgconfig/libsupervise.pc"
    "${make[@]}" uninstall PREFIX=/usr sbindir=/usr/libexec mandir=/man \
        unitdir=/units catalogdir=/catalogs libdir=/lib64 includedir=/headers
    [ "$(installed)" = "" ]
}

@test "what is linked with the library as it is installed runs" {
    "${make[@]}" -o all install PREFIX=/usr
    cat >"$root/first.c" <<'END'
#include <libsupervise/domain_lock.h>
#include <libsupervise/lock_manager.h>
#include <stdio.h>

int main(void)
{
    virLockManagerDriverPtr driver = virLockManagerPluginLoad("file");
    unsigned int can = 0;

    if (!driver || virLockManagerGetCapabilities(driver, &can) < 0)
        return 1;
    virLockManagerPluginUnload(driver);
    printf("%x\n", can);
    return 0;
}
END
    system=$(pkg-config --variable pc_path pkg-config)
    export PKG_CONFIG_LIBDIR=$root/usr/lib/pkgconfig:$system
    # As it would be installed, but for where this test has its root.
    flags=$(pkg-config --define-variable="prefix=$root/usr" \
        --define-variable="libdir=$root/usr/lib" \
        --define-variable="includedir=$root/usr/include" \
        --cflags --libs libsupervise)
    [ "$(pkg-config --modversion libsupervise)" = "$(<VERSION)" ]
    # Of a build with a sanitizer, whose library must come first.
    if ldd "$BUILD/libsupervise.so" | grep -q libasan; then
        flags+=" -fsanitize=address,undefined"
    fi
    for compiler in "gcc -std=c99" "g++ -x c++"; do
        # shellcheck disable=SC2086
        $compiler -Wall -Wextra -pedantic -Werror -o "$root/first" \
            "$root/first.c" -x none $flags
        [ "$(LD_LIBRARY_PATH=$root/usr/lib "$root/first")" = 7 ]
    done
}

# The directories as systemd will see them: the program must be there, and so
# must the page.
install_unit() {
    command -v systemd-analyze >/dev/null || skip "there is no systemd here"
    "${make[@]}" -o all install PREFIX=/usr "sbindir=$root/usr/sbin" DESTDIR= \
        "bindir=$root/usr/bin" "mandir=$root/usr/share/man" \
        "libdir=$root/usr/lib" "includedir=$root/usr/include" \
        "docdir=$root/doc" "unitdir=$root/units" "catalogdir=$root/catalogs"
    unit=$root/units/virt-lock-supervisor@.service
}

@test "systemd has nothing to say against the unit as it is installed" {
    install_unit
    run env "MANPATH=$root/usr/share/man" systemd-analyze verify --man=yes \
        "$unit"
    echo "$output"
    [[ $output != *virt-lock-supervisor* ]]
    # It would have said so.
    echo 'Typo=yes' >>"$unit"
    run systemd-analyze verify "$unit"
    [[ $output == *virt-lock-supervisor@*Typo* ]]
}

@test "the unit's sandbox does not get weaker" {
    install_unit
    # Of 100; what it leaves open, and why, stands in the unit.
    run systemd-analyze security --offline=yes --threshold=82 "$unit"
    echo "$output"
    [ "$status" = 0 ]
    # It would have said no.
    run systemd-analyze security --offline=yes --threshold=40 "$unit"
    [ "$status" != 0 ]
}

@test "the unit says something of each setting that it has not" {
    install_unit
    for setting in NoNewPrivileges PrivateDevices ProtectClock PrivateTmp \
        ProtectHome PrivateNetwork RestrictAddressFamilies PrivateUsers \
        RestrictNamespaces ProtectKernelTunables ProtectControlGroups \
        ProtectProc MemoryDenyWriteExecute RestrictRealtime SystemCallFilter
    do
        grep -q "^#.*$setting" "$unit"
        run grep "^$setting=" "$unit"
        [ "$status" = 1 ]
    done
}

@test "neither all nor install installs a package" {
    run make -n all install
    [ "$status" = 0 ]
    [[ $output != *deps.sh* && $output != *apt-get* ]]
    run make -n check
    [[ $output == *deps.sh* ]]
}

@test "the library looks where make install was told to put the supervisor" {
    object=$root/pic/libsupervise/manager_argv.o
    for prefix in /one /two; do
        make -s "BUILD=$root" "PREFIX=$prefix" "$object"
        grep -q "$prefix/sbin/virt-lock-supervisor" "$object"
    done
}
