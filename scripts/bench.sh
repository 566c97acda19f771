#!/bin/sh
# Prints, as Markdown, how fast the parts of fanout are on this machine, and one peer beside
# curl from nginx. docs/performance.md keeps such an output.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin

cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
cat <<END
$(date -u +%F) · $(nproc) × $cpu · $(($(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo) >> 20)) GiB · Linux $(uname -r) · $(go version | cut -d' ' -f3) · $(nginx -v 2>&1 | cut -d: -f2 | tr -d ' ') · $(curl --version | head -n 1 | cut -d' ' -f1,2) · load before $(cut -d' ' -f1 /proc/loadavg)

### One peer beside curl

\`\`\`text
END
go run ./internal/proving/bench --bin bin "$@"
cat <<END
\`\`\`

### The parts

\`\`\`text
END
# What is worth watching: digesting, the protocol's parser, the store both ways, the choice
# of a chunk, and what the tracker does most often.
go test -run '^$' -bench . -benchtime 1s ./internal/chunks/manifest ./internal/chunks/wire ./internal/chunks/chunkstore ./peerd/picker ./tracker/table |
	sed -n 's/^Benchmark//p; s/^pkg: /\n/p' | sed 1d
echo '```'
