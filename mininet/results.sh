#!/bin/sh
# Measures everything that docs/results.md shows, and prints its tables. As root, on a machine that
# does nothing else: about an hour. Started again, it goes on where it stopped.
#
#   mininet/results.sh [DIR]       default sweeps/results
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../sweeps/results}
mkdir -p "$dir"

measure() { # measure NAME ARGUMENT...
	name=$1; shift
	echo "== $name" >&2
	if [ -e "$dir/$name/sweep.json" ]; then
		set -- --resume "$dir/$name"
	else
		set -- "$@" --out "$dir/$name"
	fi
	status=0
	"$here/sweep.py" "$@" >/dev/null || status=$?
	[ $status -le 1 ] || exit $status # 1: some runs failed, and the tables say so
}

eight="--peers 8 --size 64MiB --repeat 3"
measure report
measure rivals --system swarm,nginx,aria2,libtorrent --peers 1,2,4,8,16,32 --size 64MiB --repeat 3
# shellcheck disable=SC2086 # a list of arguments
{
	measure plain --system direct,static,swarm $eight
	measure cubic --system swarm,aria2,libtorrent $eight --cc cubic
	measure uplinks --system static,swarm,aria2,libtorrent $eight --uplinks 100x4,20x4
	measure kill --system static,swarm,aria2,libtorrent $eight --kill 1@50%
	measure join --system static,swarm,aria2,libtorrent $eight --join 2@50%
	measure corrupt --system static,swarm $eight --corrupt 1
	measure two-racks --system static,swarm,aria2,libtorrent $eight --topology two-racks
}
cd "$dir"
"$here/sweep.py" tables report rivals plain cubic uplinks kill join corrupt two-racks
