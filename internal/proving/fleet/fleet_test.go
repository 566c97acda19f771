package fleet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

func TestMain(m *testing.M) { fleettest.Main(m) }

// One fleet through its life: a download, a kill and a restart, numbers, the end.
func TestLife(t *testing.T) {
	ctx := t.Context()
	f := fleettest.New(t, fleettest.Race)
	source := fleettest.File(t, f.Dir(), "a file.bin", 3<<20, 1)
	tracker := f.Tracker("--data-dir", filepath.Join(f.Dir(), "tracker-data"))
	origin := f.Origin("origin", []string{source})
	peer := f.Peer("peer-1", "--max-download", "50MB")
	fleettest.Start(t, tracker, origin, peer)

	d, err := peer.Download(ctx, peerapi.DownloadRequest{File: "a file.bin"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Complete(ctx, d.Id); err != nil {
		t.Fatal(err)
	}
	fleettest.Same(t, peer.Path("a file.bin"), source)

	sent, err := origin.Metric(ctx, "fanout_sent_bytes_total")
	if err != nil || sent < 3<<20 {
		t.Errorf("origin sent %v bytes, %v; want at least 3 MiB", sent, err)
	}
	got, err := peer.Metric(ctx, "fanout_received_bytes_total", "source", "peer")
	if err != nil || got != 0 {
		t.Errorf("peer got %v bytes from peers, %v; there is none", got, err)
	}
	if _, err := peer.Metric(ctx, "fanout_no_such_thing"); err == nil {
		t.Error("a metric that is not exported has a value")
	}
	if rss, err := peer.PeakRSS(); err != nil || rss < 1<<20 {
		t.Errorf("peak memory %d, %v", rss, err)
	}

	address := peer.HTTPAddress()
	if err := peer.Kill(); err != nil {
		t.Fatal(err)
	}
	if peer.Running() {
		t.Error("runs after it was killed")
	}
	if err := peer.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if peer.HTTPAddress() != address {
		t.Errorf("at %s after the restart, at %s before", peer.HTTPAddress(), address)
	}
	if d, err = peer.Complete(ctx, d.Id); err != nil {
		t.Fatal(err)
	}
	if err := peer.Delete(ctx, d.Id); err != nil {
		t.Fatal(err)
	}
	var refused *fleet.Problem
	if _, err = peer.Get(ctx, d.Id); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("a deleted download: %v", err)
	}
	list, err := tracker.API().ListPeersWithResponse(ctx)
	if err != nil || len(list.JSON200.Peers) != 1 || list.JSON200.Peers[0].Id != "peer-1" {
		t.Errorf("the fleet at the tracker: %s, %v", list.Body, err)
	}
}

// A daemon that ends at the start says why, and one that is not ready says what it lacks.
func TestNotStarting(t *testing.T) {
	f := fleettest.New(t, fleettest.Race)
	if err := f.Peer("early").Start(t.Context()); err == nil {
		t.Error("a peer started without a tracker")
	}
	tracker := f.Tracker()
	fleettest.Start(t, tracker)
	err := f.Origin("origin", []string{"/nowhere/file"}).Start(t.Context())
	if !errors.Is(err, fleet.ErrExited) || !strings.Contains(err.Error(), "/nowhere/file: there is no such file") {
		t.Errorf("an origin of a missing file: %v", err)
	}
	if err := tracker.Kill(); err != nil {
		t.Fatal(err)
	}
	peer := f.Peer("late")
	if err := peer.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := peer.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a peer without a tracker is ready: %v", err)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := fleet.New(fleet.Config{Dir: t.TempDir(), Binaries: fleet.In("/nowhere")})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/tracker is missing: run make build") {
		t.Errorf("New: %v", err)
	}
	_, err = fleet.New(fleet.Config{Dir: "/nowhere", Binaries: fleet.In("/nowhere")})
	if err == nil || !strings.Contains(err.Error(), "/nowhere is not a directory") {
		t.Errorf("New: %v", err)
	}
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct{ a, b, want string }{
		{"", "", ""},
		{"same", "same", ""},
		{long + "a", long + "a", ""},
		{"same", "sane", "at byte 2"},
		{"short", "shorter", "at byte 5"},
		{"", "x", "at byte 0"},
		{long + "a", long + "b", "at byte 1048576"},
		{long, long + "b", "at byte 1048576"},
	} {
		err := fleet.Compare(write("a", c.a), write("b", c.b))
		switch {
		case c.want == "" && err != nil:
			t.Error(err)
		case c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)):
			t.Errorf("%.10q and %.10q: %v, want %s", c.a, c.b, err, c.want)
		}
	}
}

func TestRandomFileIsReproducible(t *testing.T) {
	dir := t.TempDir()
	a := fleettest.File(t, dir, "a", 1<<20+7, 3)
	b := fleettest.File(t, dir, "b", 1<<20+7, 3)
	c := fleettest.File(t, dir, "c", 1<<20+7, 4)
	fleettest.Same(t, a, b)
	if fleet.Compare(a, c) == nil {
		t.Error("another seed gave the same bytes")
	}
}

// Times of day may be set while a download runs; its duration is its own.
func TestTook(t *testing.T) {
	from, seconds := time.Now(), 2.0
	for name, c := range map[string]struct {
		started time.Time
		want    time.Duration
	}{
		"as it is":         {from.Add(time.Second), 3 * time.Second},
		"clock set back":   {from.Add(-3 * time.Hour), 2 * time.Second},
		"at the same time": {from, 2 * time.Second},
	} {
		d := peerapi.Download{StartedAt: c.started, FinishedAt: &time.Time{}, DurationSeconds: &seconds}
		if got := fleet.Took(from, d); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
