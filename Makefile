# fanout: `make demo` shows it, `make test` checks it. See README.md.

BIN      := bin
DAEMONS  := ./tracker ./origin ./peerd
VERSION  := $(shell git describe --tags --match 'v*' --dirty 2>/dev/null)
LDFLAGS  := -s -w $(if $(VERSION),-X fanout/internal/daemon/httpkit.version=$(VERSION))
BUILD    := go build -ldflags '$(LDFLAGS)'

# Where git does not answer, as in another user's clone, in an unpacked archive and without git, the
# go command must not ask it either: it would fail. What is built then says: devel, revision unknown.
NO_GIT   := $(if $(shell git rev-parse HEAD 2>/dev/null),,-buildvcs=false)

# Static binaries without the paths of this machine. The tools and linters are built with the
# same flags, for then the build cache serves them all: it halves the first `make test`.
PLAIN    := $(filter-out -trimpath $(NO_GIT),$(GOFLAGS)) $(NO_GIT)
RACE     := CGO_ENABLED=1 GOFLAGS='$(PLAIN)'
export CGO_ENABLED := 0
export GOFLAGS     := $(PLAIN) -trimpath

# The Go files, without git.
GO_FILES := find . -name '.?*' -prune -o -type f -name '*.go' -print

# demo: peers, size of the random file, a file instead of it, limit of every daemon.
N        := 8
SIZE     := 64MiB
FILE     :=
RATE     := 200Mbit
# go-test: no test has a limit of its own; this one is for what hangs, on a busy machine.
GO_TEST  := -timeout 30m
# test-long: how often.
RUNS     := 5
# fuzz: time for each target.
FUZZTIME := 10s
# sweep: arguments of mininet/sweep.py.
ARGS     :=

MAKEFLAGS     += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help build demo test test-long gen gen-check fmt lint go-test go-test-long readme-test lab-test compose-test images fuzz bench sweep simulate setup clean

help: ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## Build tracker, origin and peerd, static, into bin/.
	@$(BUILD) -o $(BIN)/ $(DAEMONS)

demo: build ## One file to N peers on loopback, under every strategy: N=8 SIZE=64MiB FILE=path RATE=200Mbit.
	@$(BUILD) -o $(BIN)/ ./internal/proving/demo
	@$(BIN)/demo --bin $(BIN) --peers '$(N)' --size '$(SIZE)' --rate '$(RATE)' $(if $(FILE),--file '$(FILE)')

test: ## Everything: installs what it needs, generates, lints, builds, tests.
	@MAKE='$(MAKE)' scripts/stages.sh setup gen-check lint build go-test readme-test lab-test

test-long: ## What takes longer: 2 GiB to 8 peers (20 GB of disk), and the Go tests RUNS=5 times over.
	@FANOUT_E2E_FULL=1 RUNS='$(RUNS)' MAKE='$(MAKE)' scripts/stages.sh setup go-test-long

gen: ## Generate api/ from openapi.yaml, and the dashboards.
	go generate ./api/... ./grafana

gen-check:
	@sums() { find api grafana/dashboards -type f -exec cksum {} + | sort; }; \
	before=$$(sums); $(MAKE) gen && after=$$(sums) || exit 1; [ "$$before" = "$$after" ] || { \
	printf '%s\n' "$$before" "$$after" | sort | uniq -u | cut -d ' ' -f 3- | sort -u; \
	echo 'make gen changed files: commit what it generates together with its source' >&2; exit 1; }

fmt: ## Format the Go code.
	gofmt -w $$($(GO_FILES))

lint: ## Formatting, vet, staticcheck, import directions.
	@unformatted=$$(gofmt -l $$($(GO_FILES))); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:" $$unformatted >&2; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go test ./internal/proving/archtest

go-test: ## Unit, property, fuzz-seed and end-to-end tests, with the race detector.
	@$(BUILD) -o $(BIN)/test/plain/ $(DAEMONS)
	@$(RACE) go build -race -o $(BIN)/test/race/ $(DAEMONS)
	$(RACE) FLEETTEST_BINARIES='$(CURDIR)/$(BIN)/test' go test -race $(GO_TEST) ./...

go-test-long:
	@$(MAKE) go-test GO_TEST='-count=$(RUNS) -timeout 4h'

readme-test: ## The transcripts of README.md, as a reader would paste them.
	README_TEST=1 go test -count=1 -timeout 30m ./internal/proving/readmetest

lab-test: ## The lab: types, style, tests.
	mininet/setup.sh --test
	@$(BUILD) -o $(BIN)/ $(DAEMONS) ./internal/proving/liar ./internal/proving/line
	cd mininet && /usr/bin/python3 -m mypy && /usr/bin/python3 -m flake8
	cd mininet && /usr/bin/python3 -m pytest -q tests

images: ## The container images, with version and revision from git.
	FANOUT_VERSION='$(VERSION)' FANOUT_REVISION="$$(git describe --always --exclude='*' --abbrev=40 --dirty 2>/dev/null)" docker compose build

compose-test: ## docker-compose.yml, by a container engine in a network namespace of its own, as root.
	scripts/setup.sh compose
	scripts/compose-test.sh

fuzz: ## Every fuzz target for FUZZTIME=10s.
	scripts/fuzz.sh $(FUZZTIME)

bench: build ## Micro-benchmarks, and one peer against curl from nginx. See docs/performance.md.
	@scripts/setup.sh bench
	@scripts/bench.sh

sweep: ## The lab, as root: the report's experiments, or ARGS='...' for mininet/sweep.py.
	@[ -x /usr/bin/python3 ] || mininet/setup.sh
	mininet/sweep.py $(or $(ARGS),report)

simulate: ## Swarms of a thousand peers, in the virtual lab: ARGS='--peers 1000 --scenario racks', or --help.
	@$(BUILD) -o $(BIN)/ ./internal/proving/simulate
	@$(BIN)/simulate $(ARGS)

setup: ## Install what the other targets need.
	scripts/setup.sh test bench

clean: ## Remove what was built.
	rm -rf $(BIN)
