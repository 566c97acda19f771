package e2e

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/trackerclient"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// A disk that is full fails the download with the reason and the remedy. The part is kept; a
// resume fetches what is missing once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	const size = 16 * mib
	source := fleettest.File(t, t.TempDir(), "image.bin", size, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}})
	full := r.Peer("peer-full")
	r.must(os.Mkdir(full.DataDir(), 0o755))
	mount(t, full.DataDir(), "size=6m")
	fleettest.Start(t, full)
	fellow := r.addPeers(1)[0]

	begun := r.begin(request("image.bin", peerapi.StrategySwarm), full, fellow)
	now, err := full.Wait(r.ctx, begun[0].id)
	r.must(err)
	trouble := fleet.Trouble(now)
	if now.State != peerapi.DownloadStateFailed || !strings.Contains(trouble, "no space left") ||
		!strings.Contains(trouble, full.DataDir()) || !strings.Contains(trouble, "resume") {
		t.Errorf("%s: %s; want failed for lack of space, where, and the remedy", now.State, trouble)
	}
	absent(t, begun[0].path())
	if now.ChunksDone == 0 || now.ChunksDone >= now.ChunksTotal {
		t.Errorf("%d of %d chunks were kept", now.ChunksDone, now.ChunksTotal)
	}
	r.complete(source, begun[1]) // the fellow is unharmed

	mount(t, full.DataDir(), "remount,size=64m")
	resumed, err := full.API().ResumeDownloadWithResponse(r.ctx, now.Id)
	r.must(err)
	if resumed.JSON200 == nil {
		t.Fatalf("resume: %s", resumed.Body)
	}
	r.complete(source, begun[0])
	kept, dropped := rehashed(t, full)
	if kept != int64(now.ChunksDone) || dropped != 0 {
		t.Errorf("%d chunks were kept and %d dropped, %d had been done", kept, dropped, now.ChunksDone)
	}
	if got := r.fetched(full); got != size {
		t.Errorf("%d bytes were stored before and after, want %d", got, int64(size))
	}
}

// A tracker whose disk is full says so, with the place, to whoever publishes; with room again it
// takes the file.
func TestTrackerDiskFull(t *testing.T) {
	t.Parallel()
	r := bare(t, fleettest.Race)
	data := t.TempDir()
	mount(t, data, "size=512k")
	r.tracker = r.Tracker("--data-dir", data)
	fleettest.Start(t, r.tracker)
	client, err := trackerclient.New(r.tracker.URL())
	r.must(err)
	defer client.Close()
	m := &manifest.Manifest{Name: "image.bin", Size: 40000 * 32 * kib, ChunkSize: 32 * kib, Digests: make([]manifest.Digest, 40000)}
	publish := func() error {
		_, err := client.Publish(r.ctx, m, m.ID(), trackerapi.Origin{Id: "origin", Address: "127.0.0.1:9"})
		return err
	}
	err = publish()
	var refused *trackerclient.Error
	if !errors.As(err, &refused) || refused.Status != 507 || !trackerclient.Temporary(err) ||
		!strings.Contains(refused.Detail, "no space left") || !strings.Contains(refused.Detail, data) {
		t.Fatalf("%v; want 507 with the reason and the place", err)
	}
	mount(t, data, "remount,size=64m")
	r.must(publish())
}

// mount makes a small file system, or changes it; it is gone with the test, when its daemons are.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	options, remount := strings.CutPrefix(options, "remount,")
	var flags uintptr
	if remount {
		flags = syscall.MS_REMOUNT
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options)
	if errors.Is(err, fs.ErrPermission) {
		t.Skipf("to mount a small file system takes root: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !remount {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
}
