#!/bin/sh
# Runs every fuzz target for some time: scripts/fuzz.sh 10s
set -eu
time=${1:-10s}
cd "$(dirname "$0")/.."
git ls-files -co --exclude-standard '*_test.go' | xargs grep -Ho '^func Fuzz[A-Za-z0-9_]*' | sort |
	while IFS=: read -r file func; do
		echo "--- ${func#func } in $(dirname "$file")"
		go test -run '^$' -fuzz "^${func#func }\$" -fuzztime "$time" "./$(dirname "$file")"
	done
