#!/bin/sh
# Runs every test: check.sh BUILD JOBS. One runner, one protocol (TAP).
set -eu
cd "$(dirname "$0")/../.."
BUILD=$(realpath "$1")
export BUILD
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=0}"

# Tests that need the guest fail without it, so let it be known at once.
tests/guest/build-guest.sh "$BUILD/guest"

# Each fuzzer's corpus, through the same code without the fuzzer.
fuzzers=$(find "$BUILD/tests/fuzz" -type f -executable -name 'fuzz-*' | sort)
for fuzzer in $fuzzers; do
    find "tests/fuzz/corpus/${fuzzer##*/}" -type f -exec "$fuzzer" {} + >/dev/null
done

unit=$(find "$BUILD/tests/unit" -type f -executable | sort)
rm -rf "$BUILD/logs"
mkdir "$BUILD/logs"
# shellcheck disable=SC2086 # the names are ours: no spaces
prove --jobs "$2" --exec tests/lib/logged.sh --timer $unit tests/e2e/*.bats && exit
status=$?
echo "what failed, with what it said ($BUILD/logs has the rest):"
grep -A 60 '^not ok' "$BUILD"/logs/*.tap | sed 's|.*/logs/||' | head -n 400
exit $status
