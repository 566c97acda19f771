#!/bin/sh
# Measures everything that docs/results.md shows, and prints its tables. As root, on a machine that
# does nothing else: two hours on two cores. Started again, it goes on where it stopped.
#
#   mininet/results.sh [DIR]       default sweeps/results
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../sweeps/results}
mkdir -p "$dir"
names=""

measure() { # measure NAME [report] ARGUMENT...
	name=$1; shift
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

eight="--peers 8 --size 64MiB"
four="--system static,swarm,aria2,libtorrent"
measure report report
measure rivals --system swarm,nginx,aria2,libtorrent --peers 1,2,4,8,16 --size 64MiB
# shellcheck disable=SC2086 # lists of arguments
{
	measure plain --system direct,static,swarm $eight
	measure cubic --system swarm,aria2,libtorrent $eight --cc cubic
	measure uplinks $four $eight --uplinks 100x4,20x4
	measure kill $four $eight --kill 1@50%
	measure join $four $eight --join 2@50%
	measure liar --system swarm $eight --hostile liar:1
	measure two-racks $four $eight --topology two-racks
}
measure many --system swarm,libtorrent --peers 32 --bw 20 --size 16MiB
measure hundred --system swarm --peers 100 --bw 5 --size 2MiB
measure hundred-short --system swarm --peers 100 --bw 5 --size 2MiB --queue 50ms
measure regimes --system direct,static,swarm --peers 2,4,8,16,32 --bw 5,20,100 --size 256KiB,1MiB,4MiB --longest 15s
cd "$dir"
# shellcheck disable=SC2086 # a list
"$here/sweep.py" tables $names
