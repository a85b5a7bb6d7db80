# shellcheck shell=bash disable=SC2034  # tests use these variables
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# DOC: what the tests of the documents share
#
# Load it after common. Lists are compared as the files "expected" and
# "actual"; pages are read as they are installed, with what is generated.

SOURCE=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
DOCS=$SOURCE/docs

# equal WHAT: compares the lists in files "expected" and "actual"
equal() {
    test -s expected || fail "$1: nothing to compare with"
    diff expected actual || fail "$1: '<' is missing, '>' is too much"
}

# Text of POD on standard input, without its formatting codes.
plain() {
    perl -pe '1 while s/\b[BICFLS]<([^<>]*)>/$1/g; s/E<lt>/</g; s/E<gt>/>/g'
}

page() {
    echo "$BUILD/docs/$1.pod"
}

# items_of PAGE SECTION [TYPE]: the =items (or, with TYPE, other headings) of
# one =head1 section, as text
items_of() {
    awk -v section="=head1 $2" -v type="=${3:-item} " '
        /^=head1 / { on = $0 == section }
        on && index($0, type) == 1 { print substr($0, length(type) + 1) }' \
        "$1" | plain
}

# verbatim PAGE: its examples, a blank line between two of them
verbatim() {
    awk '/^    / { print substr($0, 5); shown = 1; next }
         shown { print ""; shown = 0 }' "$(page "$1")"
}

# block PAGE KIND NAME: what is shown after its "=for KIND NAME", until other
# text comes
block() {
    awk -v mark="=for $2 $3" '
        $0 == mark { on = 1; next }
        on && /^    / { while (blank) { print ""; blank-- }
                        print substr($0, 5); shown = 1; next }
        on && /^$/ { blank += shown; next }
        { on = 0 }' "$(page "$1")" >"$3.$2"
    test -s "$3.$2" || fail "no $2 '$3' in $1"
}

# --- pages as such ---------------------------------------------------------

# pods_are_sound PAGE...
pods_are_sound() {
    local page
    for page; do
        podchecker -warnings -warnings "$DOCS/$page.pod" "$(page "$page")" \
            2>&1 | tee -a said
    done
    refute grep -vE ' pod syntax OK\.$' said
    same "pages" $(($# * 2)) "$(wc -l <said)"
}

# pages_render PAGE...: without a warning
pages_render() {
    local page
    for page; do
        if command -v mandoc >/dev/null; then
            mandoc -Tlint -Wwarning "$BUILD/docs/$page" >>said 2>&1
        fi
        if command -v man >/dev/null; then
            man --warnings -E UTF-8 -l -Tutf8 -Z "$BUILD/docs/$page" \
                2>>said >/dev/null
        else
            requires groff
            groff -man -ww -Kutf8 -Tutf8 "$BUILD/docs/$page" 2>>said >/dev/null
        fi
    done
    same "warnings" "" "$(<said)"
}
