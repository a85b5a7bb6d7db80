#!/bin/sh
# The library under ThreadSanitizer: check-tsan.sh BUILD TSAN-BUILD TEST...
# Supervisors are those of BUILD: they have no threads.
set -eu
cd "$(dirname "$0")/../.."
BUILD=$(realpath "$1")
LIBRARY_BUILD=$(realpath "$2")
shift 2
# GLib's allocator takes memory from one thread to another by locks that are
# not seen; threads that are left are those of a process that was forked.
G_SLICE=always-malloc
TSAN_OPTIONS="report_thread_leaks=0 ${TSAN_OPTIONS-}"
ROUNDS=${ROUNDS:-200} FORKS=${FORKS:-100}
export BUILD LIBRARY_BUILD G_SLICE TSAN_OPTIONS ROUNDS FORKS

prove --exec '' --timer "$@"
exec bats -f threads tests/e2e/58-library-ends.bats
