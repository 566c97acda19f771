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

	"fanout/internal/daemon/cli"
	"fanout/internal/proving/virtual"
)

// simulate runs the command.
func simulate(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = cli.Run(ctx, args, &out, &err, "simulate", about+scenarios(), &grammar{})
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
	stdout, stderr, code := simulate(t.Context(), "--scenario", "equal,racks", "--strategy", "swarm,static", "--peers", "4", "--size", "2MiB", "--out", dir)
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
		{"--scenario other", `no scenario "other": give one of equal`},
		{"--strategy torrent", "direct, static or swarm"},
		{"--peers some", "--peers some: give a number"},
		{"--peers 1", "1 peers: give 2 at least"},
		{"--size 0", "a file of 0 bytes"},
		{"--size 1GiB --chunk-size 1", "chunk"},
		{"--rate 0", "without a rate"},
		{"--delay=-5s", "a delay of -5s"},
		{"--repeat 0", "--repeat 0"},
		{"--network moon", "mininet"},
		{"--out /dev/null/x", "/dev/null/x"},
	} {
		dir := t.TempDir()
		args := strings.Fields(tt.args)
		if !strings.Contains(tt.args, "--out") {
			args = append(args, "--out", filepath.Join(dir, "out"))
		}
		_, stderr, code := simulate(t.Context(), args...)
		if code == 0 || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: exit %d, %s", tt.args, code, stderr)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left %v", tt.args, left)
		}
	}
}

// Ctrl-C ends a run at once, and what was done is kept.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, code := simulate(ctx, "--out", t.TempDir()); code == 0 {
		t.Error("it went on")
	}
}
