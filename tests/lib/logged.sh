#!/bin/sh
# One test file for prove, whose output is kept in $BUILD/logs as well: of a test
# that fails only now and then it is all that is left.
log=$BUILD/logs/$(basename "$1").tap
status=0
"$1" >"$log" 2>&1 || status=$?
cat "$log"
exit $status
