#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what of libsupervise others build on: symbols, versions, headers, ABI

load ../lib/common

SOURCE=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
LIB=$SOURCE/libsupervise
SOLIB=$BUILD/libsupervise.so
HEADERS="lock_manager lock_manager_types lock_manager_more domain_lock"

@test "the library exports what its headers declare, and nothing else" {
    for h in $HEADERS; do
        grep -v '^ \*' "$LIB/$h.h" | grep -oE '\bvir[A-Za-z]+\(' | tr -d '('
    done | sort -u >expected
    nm -D --defined-only "$SOLIB" |
        awk '$2 != "A" { sub("@@LIBSUPERVISE_0.1$", "", $3); print $3 }' |
        sort >actual
    [ "$(wc -l <expected)" -gt 40 ]
    diff expected actual
    # Not of our own making, nor of libraries that are linked.
    refute grep -qv '^virLockManager\|^virDomainLock' actual
}

@test "the library has its soname, and needs no other library than it says" {
    readelf -d "$SOLIB" >dynamic
    grep -q 'SONAME.*\[libsupervise.so.0\]' dynamic
    sed -n 's/.*NEEDED.*\[\(.*\)\.so.*/\1/p' dynamic |
        grep -vE '^(libasan|libubsan|libtsan|ld-linux.*)$' | sort >needed
    same "libraries" "libc libglib-2.0 libjansson" "$(paste -sd ' ' needed)"
}

# variables: of the library, but those of the linker and of sanitizers
variables() {
    objdump -t "$SOLIB" |
        sed -nE 's/.* O +\.(data|bss)\t[0-9a-f]+ +//p' |
        sed -E 's/^\.hidden //; s/\.[0-9]+$//' |
        grep -vE '^(completed|__dso_handle|__TMC_END__|.*(asan|ubsan|odr|san_).*|\..*)$' |
        sort -u
}

@test "the library's only variables are its table of drivers and last errors" {
    # q is GLib's: the name of a kind of GError.
    same "variables" "$(printf '%s\n' last_error loaded lock q)" \
        "$(variables)"
}

@test "each header is C99 and C++, alone" {
    for h in $HEADERS; do
        echo "#include <libsupervise/$h.h>" >alone.c
        gcc -std=c99 -pedantic -Wall -Wextra -Werror -I"$SOURCE" \
            -fsyntax-only alone.c
        g++ -std=c++11 -pedantic -Wall -Wextra -Werror -I"$SOURCE" \
            -fsyntax-only -x c++ alone.c
    done
}

# abi FILE: compares it with what has been built
abi() {
    abidiff "$1" new.abi
}

@test "the ABI is the one that was recorded ('make abi' records another)" {
    local made
    made=$(readlink -f "$SOLIB")
    make -s -C "$SOURCE" -o "$made" abi "BUILD=$BUILD" "ABI=$PWD/new.abi"
    recorded=$SOURCE/tests/abi/libsupervise.abi
    abi "$recorded"
    # It would have said so.
    sed '/virLockManagerStatus/s/bits=.576/bits='"'"'640/' "$recorded" \
        >other.abi
    refute abi other.abi
    sed 's/virLockManagerShutdown/virLockManagerShutUp/' "$recorded" \
        >other.abi
    refute abi other.abi
}
