#!/bin/sh
# Measures everything that docs/results.md shows, and prints its tables. As root, on a machine that
# does nothing else: some hours on two cores. Started again, it goes on where it stopped.
#
#   mininet/results.sh [DIR [NAME...]]       default sweeps/results, everything
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../sweeps/results}
[ $# -eq 0 ] || shift
only=" $* "
mkdir -p "$dir"
names=""

measure() { # measure NAME [report] ARGUMENT...
	name=$1; shift
	case $only in "  " | *" $name "*) ;; *) return 0 ;; esac
	names="$names $name"
	echo "== $name" >&2
	if [ -e "$dir/$name/sweep.json" ]; then
		set -- --resume "$dir/$name"
	else
		set -- "$@" --out "$dir/$name"
	fi
	status=0
	"$here/sweep.py" "$@" --no-prometheus >/dev/null || status=$?
	[ $status -le 1 ] || exit $status # 1: some runs failed, and the tables say so
}

beside() { # beside NAME ARGUMENT...: swarm, and what people use today
	beside=$1; shift
	measure "$beside" --system swarm "$@"
	measure "$beside-rivals" --system aria2,libtorrent --repeat 3 "$@"
}

eight="--peers 8 --size 64MiB"
# shellcheck disable=SC2086 # lists of arguments
{
	# Whatever the links
	beside star --peers 1,2,4,8,16 --size 64MiB
	beside short --peers 8,13,16 --size 10MiB
	measure few --system swarm,static --peers 32 --bw 5 --size 4MiB
	measure few-rivals --system aria2,libtorrent --repeat 3 --peers 32 --bw 5 --size 4MiB
	beside uplinks $eight --uplinks 100x4,20x4
	beside racks --peers 4,8,16 --size 64MiB --topology two-racks
	beside kill $eight --kill 1@50%
	beside join $eight --join 2@50%
	beside seeder $eight --seeder 1
	beside freeze $eight --freeze 1@30%
	measure liars --system swarm $eight --hostile liar:9
	measure claimers --system swarm $eight --hostile claimer:9
	measure mute --system swarm $eight --hostile mute:7
	measure idle --system swarm $eight --hostile idle:130
	measure drip --system swarm $eight --hostile drip:8
	measure one-origin --system swarm --peers 4 --size 40MB --origins 40x1
	measure two-origins --system swarm --peers 4 --size 40MB --origins 40x2
	measure slower --system swarm --peers 16 --bw 20 --size 64MiB
	measure many-slower --system swarm --peers 32 --bw 20 --size 64MiB --repeat 3
	measure more-slower --system swarm --peers 64 --bw 8 --size 32MiB --repeat 3
	measure many --system swarm --peers 32 --bw 50 --size 64MiB
	measure more --system swarm --peers 64 --bw 20 --size 64MiB --repeat 3
	measure many-rivals --system aria2,libtorrent --repeat 1 --peers 32 --bw 50 --size 64MiB
	measure more-rivals --system aria2,libtorrent --repeat 1 --peers 64 --bw 20 --size 64MiB
	measure slow-one --system swarm --size 64MiB --links 100x7,5x1 --repeat 3
	measure slow-eight --system swarm --size 64MiB --links 100x4,5x8 --repeat 3
	measure slow-twelve --system swarm --size 64MiB --links 100x4,5x12 --repeat 3
	measure slow-rivals --system aria2,libtorrent --size 64MiB --links 100x4,5x8 --repeat 1
	# The report's experiments, and the rest
	measure report report
	measure plain --system direct,static,swarm,nginx $eight
	measure cubic --system swarm,aria2,libtorrent $eight --cc cubic
}
measure hundred --system swarm --peers 100 --bw 5 --size 2MiB
measure hundred-short --system swarm --peers 100 --bw 5 --size 2MiB --queue 50ms
measure regimes --system direct,static,swarm --peers 2,4,8,16,32 --bw 5,20,100 --size 256KiB,1MiB,4MiB --longest 15s
cd "$dir"
# shellcheck disable=SC2086 # a list
[ -z "$names" ] || "$here/sweep.py" tables $names
