#!/bin/sh
# Runs every fuzz target for some time: scripts/fuzz.sh 10s
set -eu
time=${1:-10s}
cd "$(dirname "$0")/.."
grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's,^\./,,' | sort |
	while IFS=: read -r file func; do
		echo "--- ${func#func } in $(dirname "$file")"
		go test -run '^$' -fuzz "^${func#func }\$" -fuzztime "$time" "./$(dirname "$file")"
	done
