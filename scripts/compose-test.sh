#!/bin/bash
# Brings docker-compose.yml up as a user does, and checks what README.md and the file itself say.
# As root: a container engine of its own runs in namespaces of its own (network, mounts,
# processes), and goes with them. Nothing is pulled: the base images are made of what is
# installed here. `scripts/setup.sh compose` installs what it needs. Three minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo 'compose-test: a container engine needs root: sudo make compose-test' >&2; exit 1; }

work=$(mktemp -d /tmp/fanout-compose.XXXXXX) ns=fanout-compose-$$ engine=
bytes=100000000 # of the file; the origin sends it in some ten seconds
GOROOT=$(go env GOROOT) MODULES=$(go env GOMODCACHE) PROXY=$(go env GOPROXY)
PATH=/usr/bin:/usr/sbin:$PATH # the client that came with the engine: another may lack BuildKit
export DOCKER_HOST=unix://$work/sock DOCKER_CONFIG=$work/client DOCKER_BUILDKIT=1 BUILDKIT_PROGRESS=plain
export COMPOSE_DOCKER_CLI_BUILD=1 COMPOSE_PROJECT_NAME=fanout
unset FILE DIR FANOUT_VERSION FANOUT_REVISION COMPOSE_FILE COMPOSE_PROFILES DOCKER_CONTEXT
. scripts/compose-engine.sh

trap 'code=$?; trap - EXIT; trap "" INT TERM; stop_engine; exit $code' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%4d s  %s\n' $SECONDS "$*"; }
fail() { echo "compose-test: $*" >&2; exit 1; }
compose() { docker-compose --ansi never "$@"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; fail "$*: failed"; }; }
# refuses WORDS COMMAND...: it must fail, and say so in these words.
refuses() {
	local words=$1 && shift
	if "$@" >"$work/log" 2>&1; then fail "$*: succeeded, where it must fail with: $words"; fi
	grep -qF "$words" "$work/log" || { cat "$work/log" >&2; fail "$*: does not say: $words"; }
}
within() { # within SECONDS WHAT COMMAND...: waits for a command to succeed
	local end=$((SECONDS + $1)) what=$2 && shift 2
	until "$@"; do
		[ $SECONDS -lt $end ] || { docker ps -a >&2; fail "not in time: $what"; }
		sleep .3
	done
}
get() { nsenter --net="/run/netns/$ns" curl --noproxy '*' -fsS "$@"; }
containers() { docker ps -q --filter "label=com.docker.compose.service=$1"; } # of a service
running() { docker ps -q | xargs docker inspect -f '{{.Id}} {{.State.StartedAt}} {{.Name}}' | sort; }
healthy() { [ "$(docker ps -q --filter health=healthy | wc -l)" = "$1" ]; }
complete() { [ "$(get http://127.0.0.1:2680/v1/files/image.bin/rollout | jq .complete)" = "$1" ]; }
targets() { [ "$(get http://127.0.0.1:9090/api/v1/targets | jq '[.data.activeTargets[] | select(.health == "up")] | length')" = "$1" ]; }
identical() {
	local id got
	for id in $(containers peer); do
		got=$(docker cp "$id:/data/image.bin" - | tar -xO | sha256sum)
		[ "$got" = "$want" ] || fail "peer $id: image.bin is not the origin's"
	done
}

nothing_left() {
	local left
	left=$(docker ps -aq; docker volume ls -q; docker network ls -q --filter name=fanout)
	[ -z "$left" ] || fail "down -v leaves $left"
}

start_engine
say "an engine runs: $(docker version -f '{{.Server.Version}}'), compose $(compose version --short)"
base_images
say 'base images are made'
mkdir "$work/src"
# What is in git; all that is no product where git does not answer, as to root in a user's clone.
{ git ls-files -z 2>/dev/null || find . \( -name .git -o -name .venv -o -path ./bin -o -path ./sweeps \) -prune -o -type f -print0; } | tar -c --null --ignore-failed-read -T - | tar -x -C "$work/src"
cd "$work/src"
head -c $bytes /dev/urandom >image.bin
want=$(sha256sum <image.bin)
printf 'services: {origin: {environment: {FANOUT_MAX_UPLOAD: 80Mbit}}}\n' >docker-compose.override.yml

quietly compose build
sent=$(sed -n 's/.*transferring context: \([0-9.]*[kKMG]*B\).*/\1/p' "$work/log" | sed 's/B$//' | tr k K | numfmt --from=si | awk '{n += $1} END {print n}')
[ "$sent" -gt 100000 ] && [ "$sent" -lt 3000000 ] || fail "$sent bytes of build context were sent"
say "images are built of $sent bytes"
for role in tracker origin peerd; do
	size=$(docker image inspect -f '{{.Size}}' fanout-$role)
	[ "$size" -lt 32000000 ] || fail "the image of $role has $size bytes"
	version=$(docker run --rm --network none fanout-$role version)
	[[ $version == "$role "*"(revision source-"????????????", go"* ]] || fail "version of $role: $version"
	say "$version: $size bytes"
done

refuses 'FILE is not set, say which file the origin has, such as FILE=image.iso' compose up -d
refuses "$work/src/imag.bin" env FILE=imag.bin docker-compose up -d
refuses "$work/nowhere/image.bin" env FILE=image.bin DIR="$work/nowhere" docker-compose up -d
[ ! -e "$work/nowhere" ] || fail 'a mistyped DIR was made'
chmod 600 image.bin
refuses file env FILE=image.bin docker-compose up -d
quietly compose logs file
grep -q 'image.bin: permission denied .*uid 65532.*chmod o+r' "$work/log" || { cat "$work/log"; fail 'the log of file does not say who may not read'; }
chmod 644 image.bin
quietly compose down -v
nothing_left
say 'what is missing, mistyped or unreadable is named'

export FILE=image.bin
before=$SECONDS
quietly compose up -d --build
say "up took $((SECONDS - before)) s"
within 60 'all services healthy' healthy 8
say 'all services are healthy'
for id in $(containers tracker; containers origin; containers peer); do
	[ "$(docker top "$id" -eo pid,uid | awk 'END {print $2}')" = 65532 ] || fail "$(docker top "$id" -eo pid,uid,args)"
done
for id in $(docker ps -q); do
	[ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}}' "$id")" = true ] || fail "the root of $id can be written to"
done
all=$(running)
quietly compose up -d --build
[ "$all" = "$(running)" ] || fail "nothing changed, and yet: $(diff <(echo "$all") <(running))"
say 'nothing is recreated where nothing changed'

get -X PUT http://127.0.0.1:2680/v1/files/image.bin/rollout >/dev/null
complete 4 && fail 'the file was everywhere before there could be more peers'
quietly compose up -d --scale peer=8
within 120 '8 peers have the file' complete 8
identical
say '8 peers, 4 of them started in mid-transfer, have identical files'
within 60 '10 targets up' targets 10
ids=$(get http://127.0.0.1:2680/v1/peers | jq -c '[.peers[].id] | sort')
quietly compose up -d --scale peer=8 --force-recreate --no-deps peer
within 60 'peers are back' healthy 12
identical
[ "$(get http://127.0.0.1:2680/v1/peers | jq -c '[.peers[].id] | sort')" = "$ids" ] || fail 'peers made anew are not who they were'
say 'peers made anew have their files and identities'

unset FILE
quietly compose ps
quietly compose logs
get "http://$(compose port --index 3 peer 2695 2>/dev/null)/readyz" >/dev/null || fail 'the port of peer 3 does not answer'
quietly compose down -v
docker volume prune -f >/dev/null # those of the peers that were made anew
nothing_left
say 'ps, logs and down -v need no FILE, and nothing is left'
