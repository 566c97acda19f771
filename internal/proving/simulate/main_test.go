package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/progress"
	"fanout/internal/proving/virtual"
)

// simulate runs the command.
func simulate(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = cli.Run(ctx, args, &out, &err, "simulate", about, &run{}, scenarios())
	return out.String(), err.String(), code
}

// kept reads the results that a run has left.
func kept(t *testing.T, dir string) (all []result) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		r := result{Result: &virtual.Result{}}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// A table with a row per run, a plot, and results from which the same can be made to happen again.
func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	stdout, stderr, code := simulate(t.Context(), "--scenario", "equal, racks", "--strategy", "swarm,static", "--peers", "4", "--size", "2MiB", "--out", dir)
	if code != 0 || stderr != "" {
		t.Fatal(code, stderr)
	}
	all := kept(t, dir)
	if len(all) != 4 {
		t.Fatalf("%d results", len(all))
	}
	for _, r := range all {
		if row := fmt.Sprintf("%.3f", r.Ratio(r.Last())); !strings.Contains(stdout, row) || !strings.Contains(stdout, r.Fingerprint) {
			t.Errorf("the table lacks %s or %s:\n%s", row, r.Fingerprint, stdout)
		}
	}
	f, err := os.Open(filepath.Join(dir, "progress.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if picture, err := png.Decode(f); err != nil || picture.Bounds().Dx() < 400 {
		t.Errorf("the plot: %v", err)
	}
	again := t.TempDir()
	if _, stderr, code := simulate(t.Context(), "--peers", "4", "--size", "2MiB", "--seed", fmt.Sprint(all[0].Plan.Seed), "--out", again); code != 0 {
		t.Fatal(stderr)
	}
	if got := kept(t, again)[0].Fingerprint; got != all[0].Fingerprint {
		t.Errorf("with its seed it went otherwise: %s, before %s", got, all[0].Fingerprint)
	}
}

// Every row of --repeat has a seed of its own.
func TestRepeat(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, code := simulate(t.Context(), "--peers", "3", "--size", "1MiB", "--seed", "7", "--repeat", "3", "--out", dir); code != 0 {
		t.Fatal(stderr)
	}
	for i, r := range kept(t, dir) {
		if r.Plan.Seed != 7+uint64(i) {
			t.Errorf("run %d has seed %d", i, r.Plan.Seed)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"--scenario subnets --strategy static", "subnets with static"},
		{"--scenario racks --trunk 0", "a trunk of 0"},
		{"--scenario racks --trunk unlimited", "a trunk of 0"},
		{"--trunk 5Mbit", "only the scenario racks has one"},
		{"--peers 2000000000", "give 2 to"},
		{"--scenario other", `no scenario "other": give one of equal`},
		{"--scenario all,other", "all is every scenario: give it alone"},
		{"--strategy torrent", "direct, static or swarm"},
		{"--peers some", "--peers some: give a number"},
		{"--peers 1", "1 peers: give 2 to"},
		{"--size 0", "a file of 0 bytes"},
		{"--size 1GiB --chunk-size 1", "chunk"},
		{"--rate 0", "links of 0"},
		{"--delay=-5s", "a delay of -5s"},
		{"--repeat 0", "--repeat 0: give 1 to"},
		{"--repeat 1000000000", "--repeat 1000000000: give 1 to"},
		{"--network moon", "mininet"},
		{"--out /dev/null/x", "/dev/null/x"},
	} {
		dir := t.TempDir()
		args := strings.Fields(tt.args)
		if !strings.Contains(tt.args, "--out") {
			args = append(args, "--out", filepath.Join(dir, "out"))
		}
		_, stderr, code := simulate(t.Context(), args...)
		want := cli.ExitUsage
		if strings.Contains(tt.args, "--out") {
			want = cli.ExitFailure
		}
		if code != want || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: exit %d, %s", tt.args, code, stderr)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left %v", tt.args, left)
		}
	}
}

// all is every scenario, as far as the strategies can do them; what is too much for one plot is said.
func TestAll(t *testing.T) {
	dir := t.TempDir()
	stdout, stderr, code := simulate(t.Context(), "--scenario", "all", "--strategy", "swarm,direct", "--peers", "4", "--size", "256KiB", "--out", dir)
	if code != 0 || stderr != "" {
		t.Fatal(code, stderr)
	}
	names, _ := virtual.Scenarios()
	want := 2*len(names) - 1 // subnets needs a swarm
	if all := kept(t, dir); len(all) != want {
		t.Errorf("%d results, want %d", len(all), want)
	}
	if says := fmt.Sprintf("of the first 8 of %d kinds of run", want); !strings.Contains(stdout, says) {
		t.Errorf("it does not say %q:\n%s", says, stdout)
	}
}

// Results are not mixed with those of another run, nor its plot lost.
func TestDirectoryWithResults(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--peers", "2", "--size", "1KiB", "--out", dir}
	if _, stderr, code := simulate(t.Context(), args...); code != 0 {
		t.Fatal(stderr)
	}
	if _, stderr, code := simulate(t.Context(), args...); code != cli.ExitFailure || !strings.Contains(stderr, "holds results already") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if n := len(kept(t, dir)); n != 1 {
		t.Errorf("%d results", n)
	}
}

// The help says what the scenarios are.
func TestHelp(t *testing.T) {
	stdout, _, code := simulate(t.Context(), "--help")
	plain := strings.Join(strings.Fields(stdout), " ")
	if code != 0 || !strings.Contains(plain, "racks: half of the peers are behind a trunk; ") || strings.Contains(plain, "may be left out") {
		t.Errorf("exit %d, %s", code, stdout)
	}
}

// Ctrl-C ends a run at once; what was done is kept and drawn, and how far the rest came is said.
func TestInterrupted(t *testing.T) {
	for _, tt := range []struct {
		peers string
		done  int
	}{{"1000", 0}, {"2,1000", 1}} {
		ctx, cancel := context.WithCancel(t.Context())
		dir := filepath.Join(t.TempDir(), "out")
		stdout := &watched{lines: tt.done + 1, call: cancel}
		var stderr bytes.Buffer
		code := cli.Run(ctx, []string{"--peers", tt.peers, "--out", dir}, stdout, &stderr, "simulate", about, &run{}, scenarios())
		if code != cli.ExitInterrupted || !strings.Contains(stderr.String(), "1000 peers, seed") || !strings.Contains(stderr.String(), "% of the file") {
			t.Errorf("exit %d, %s", code, &stderr)
		}
		if tt.done == 0 {
			if _, err := os.Stat(dir); !os.IsNotExist(err) || !strings.Contains(stdout.String(), "nothing is kept") {
				t.Errorf("left %s (%v): %s", dir, err, stdout)
			}
			continue
		}
		if n := len(kept(t, dir)); n != tt.done || !strings.Contains(stdout.String(), "the plot is "+dir) {
			t.Errorf("%d results: %s", n, stdout)
		}
	}
}

// watched is an output that calls when it has so many lines.
type watched struct {
	bytes.Buffer
	lines int
	call  func()
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Count(w.String(), "\n") == w.lines {
		w.call()
	}
	return n, err
}

// What a terminal shows while a run takes long.
func TestState(t *testing.T) {
	p := virtual.Defaults("racks")
	p.Peers, p.Size = 1000, 64<<20
	got := state(&p, virtual.Point{At: 1500 * time.Millisecond, Mean: 0.25}, 90*time.Second)
	want := progress.State{What: "racks, 1,000 peers", Done: 16 << 20, Total: 64 << 20, Detail: "1.50 s of its time, in 1m30s"}
	if got != want {
		t.Errorf("shows %+v, want %+v", got, want)
	}
}
