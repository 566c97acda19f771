#!/bin/sh
# Runs stages one after the other, says how long each took, and sums up: also where one fails,
# which ends the run. Each is a target of the Makefile, but for setup.
#
#   scripts/stages.sh setup lint build
set -u
MAKE=${MAKE:-make}
began=$(date +%s)
summary=""

since() { echo $(($(date +%s) - $1)); }

# finish STATUS TEXT
finish() {
	printf '\n%s: %s\n%b' "stages" "$2" "$summary"
	printf '  %-12s %5d s\n' total "$(since "$began")"
	exit "$1"
}

for stage; do
	start=$(date +%s)
	case $stage in
	setup) scripts/setup.sh test ;;
	*) $MAKE "$stage" ;;
	esac
	status=$?
	took=$(since "$start")
	summary="$summary$(printf '  %-12s %5d s' "$stage" "$took")\\n"
	[ $status = 0 ] || finish $status "$stage failed"
	echo "--- $stage: $took s"
done
finish 0 "all passed"
