package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet/fleettest"
)

func TestMain(m *testing.M) { fleettest.Main(m) }

func newDemo(t *testing.T, out *bytes.Buffer) *demo {
	t.Helper()
	return &demo{
		peers: 2, size: 2<<20 + 1, rate: 50e6, binaries: fleettest.Binaries(t, fleettest.Race), dir: t.TempDir(),
		strategies: []peerapi.Strategy{peerapi.StrategyDirect, peerapi.StrategyStatic, peerapi.StrategySwarm},
		out:        out, live: func(string) {}, patience: time.Hour,
	}
}

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	d := newDemo(t, &out)
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if want := "random.bin (2 MiB) to 2 peers, every daemon limited to 400 Mbit/s up and 400 Mbit/s down"; lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines[0], want)
	}
	// Bounds: 2 x 2 MiB, or 2 MiB, at 50 MB/s.
	for i, want := range []string{`^direct .* 0\.08 s .* 2\.00$`, `^static .* 0\.04 s .* 1\.0\d$`, `^swarm .* 0\.04 s .* 1\.0\d$`} {
		if row := lines[3+i]; !regexp.MustCompile(want).MatchString(row) {
			t.Errorf("%q does not match %s", row, want)
		}
	}
	if !strings.Contains(out.String(), "6 copies, all identical") {
		t.Error(out.String())
	}
	for _, daemon := range d.fleet.Daemons() {
		if daemon.Running() {
			t.Errorf("%s runs on", daemon.Name())
		}
	}
}

func TestDemoWithAFileThatIsGiven(t *testing.T) {
	var out bytes.Buffer
	d := newDemo(t, &out)
	d.file = fleettest.File(t, t.TempDir(), "größer & grün.bin", 100_000, 2)
	d.peers, d.strategies = 1, d.strategies[2:]
	if err := d.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "größer & grün.bin (97.7 KiB) to 1 peer,") {
		t.Error(out.String())
	}
}

// An interrupt, and anything else that goes wrong, stops all that was started.
func TestInterrupt(t *testing.T) {
	d := newDemo(t, new(bytes.Buffer))
	d.rate = 1e5
	ctx, interrupt := context.WithCancel(t.Context())
	d.live = func(line string) {
		if strings.Contains(line, "a peer") { // under way
			interrupt()
		}
	}
	if err := d.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v, want it to be cancelled", err)
	}
	for _, daemon := range d.fleet.Daemons() {
		if daemon.Running() {
			t.Errorf("%s runs on", daemon.Name())
		}
	}
}

func TestACopyThatDiffersIsAnError(t *testing.T) {
	d := newDemo(t, new(bytes.Buffer))
	d.strategies = d.strategies[2:]
	d.live = func(line string) {
		if !strings.Contains(line, "comparing") {
			return
		}
		path := filepath.Join(d.dir, "swarm-2", "random.bin")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[12345]++
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := d.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "random.bin at byte 12345") {
		t.Errorf("run: %v", err)
	}
}

func TestBadFlags(t *testing.T) {
	for _, c := range []struct {
		run  run
		want string
	}{
		{run{Peers: 0}, "--peers 0: give a number from 1 to 500"},
		{run{Peers: 1, Strategy: []string{"osmosis"}}, "--strategy osmosis: give direct, static or swarm"},
		{run{Peers: 1, File: "/nowhere/file"}, "stat /nowhere/file: no such file or directory"},
		{run{Peers: 500, Size: 1 << 50}, "choose fewer peers or a smaller file"},
		{run{Peers: 1, Bin: "/nowhere"}, "/nowhere/tracker is missing: run make build"},
	} {
		t.Setenv("TMPDIR", t.TempDir())
		if err := c.run.Run(t.Context(), new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.run, err, c.want)
		}
		if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
			t.Errorf("%+v left %v behind", c.run, left)
		}
	}
}

func TestRow(t *testing.T) {
	r := result{
		strategy: peerapi.StrategySwarm, size: 1000, sent: 1040, bound: 2 * time.Second,
		times: []time.Duration{2 * time.Second, 2500 * time.Millisecond},
	}
	want := "" +
		"strategy   mean time  distribution time     bound  ratio  origin sent / size\n" +
		"swarm         2.25 s             2.50 s    2.00 s   1.25                1.04\n" +
		"direct        2.00 s             2.00 s         -      -                   -"
	unlimited := result{strategy: peerapi.StrategyDirect, times: r.times[:1]}
	if got := strings.Join([]string{header, r.String(), unlimited.String()}, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProgress(t *testing.T) {
	got := progress(peerapi.StrategySwarm, 1500*time.Millisecond, []peerapi.Download{
		{Size: 1000, BytesDone: 1000, State: peerapi.DownloadStateComplete},
		{Size: 1000, BytesDone: 200, State: peerapi.DownloadStateDownloading, RateBytesPerSecond: 500},
	})
	want := "swarm    [##################............]  60 %    1.5 s  500 B/s a peer  slowest 20 %  1 of 2 complete"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
