package e2e

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// 32 peers get 64 MiB, of which the origin sends little more than one copy: where the machine is too
// slow for so many, its uplink idles, and it gives some away.
func TestThirtyTwoPeers(t *testing.T) {
	const size, peers = 64 * mib, 32
	source := fleettest.File(t, t.TempDir(), "image.bin", size, 1)
	r := start(t, plan{files: []string{source}, peers: peers})
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	var fromOrigin int64
	for _, d := range r.complete(source, begun...) {
		fromOrigin += d.BytesFromOrigin
	}
	sent := r.sent(r.origin.Daemon)
	t.Logf("the origin sent %.3f of the size, %d of %d bytes", float64(sent)/float64(size), sent, int64(size))
	if sent < size || sent > size*125/100 {
		t.Errorf("the origin sent %d bytes for a file of %d; want at most 1.25 of it", sent, int64(size))
	}
	if fromOrigin < size || fromOrigin > sent {
		t.Errorf("the peers count %d bytes from the origin, which sent %d", fromOrigin, sent)
	}
}

// A gigabyte, as fast as it goes.
func TestGigabyte(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 3 GiB")
	}
	source := bigFile(t, gib)
	r := start(t, plan{files: []string{source}, peers: 2})
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	for _, d := range begun {
		now, err := d.peer.Complete(r.ctx, d.id)
		r.must(err)
		if now.Size != gib || now.BytesDone != gib {
			t.Errorf("%s: %d of %d bytes", d.peer.Name(), now.BytesDone, now.Size)
		}
		t.Logf("%s: %.1f s", d.peer.Name(), *now.DurationSeconds)
		sameBig(t, d.path(), source)
	}
}

// Neither the origin nor a peer keeps the file in memory: 64 MiB will do for any. The chunks
// are those of a file of 2 GiB, which is the file with FANOUT_E2E_FULL=1.
func TestMemory(t *testing.T) {
	const peers, most = 8, 64 * mib
	size := 512 * mib
	if os.Getenv("FANOUT_E2E_FULL") != "" {
		size = 2 * gib
	} else if testing.Short() {
		t.Skip("writes 4.5 GiB")
	}
	source := bigFile(t, size)
	r := bare(t, fleettest.Plain)
	r.tracker = r.Tracker()
	r.origin = r.Origin("origin", []string{source}, "--chunk-size", "2MiB")
	fleettest.Start(t, r.tracker, r.origin)
	r.addPeers(peers)
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	for _, d := range begun {
		_, err := d.peer.Complete(r.ctx, d.id)
		r.must(err)
	}
	check := func(d *fleet.Daemon) {
		rss, err := d.PeakRSS()
		r.must(err)
		t.Logf("%s: %.1f MiB", d.Name(), float64(rss)/float64(mib))
		if rss > most {
			t.Errorf("%s had %.1f MiB resident, want at most %d", d.Name(), float64(rss)/float64(mib), most/mib)
		}
	}
	check(r.origin.Daemon)
	for _, p := range r.peers {
		check(p.Daemon)
	}
	for _, d := range begun {
		sameBig(t, d.path(), source)
		r.must(os.Remove(d.path())) // there may be little room
	}
}

// bigFile writes a file of which every MiB differs. The race detector makes reading and
// writing, and randomness all the more, slow enough to matter with gigabytes; here as in
// sameBig it is kept out of the way.
func bigFile(t *testing.T, size int64) (path string) {
	t.Helper()
	block, err := os.ReadFile(fleettest.File(t, t.TempDir(), "block", mib, 1))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "image.bin")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < size; at += mib {
		binary.LittleEndian.PutUint64(block[at/mib%1000*1000:], uint64(at))
		if _, err := out.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// sameBig fails the test unless two big files have the same bytes.
func sameBig(t *testing.T, got, want string) {
	t.Helper()
	a, unmapA := mapped(t, got)
	defer unmapA()
	b, unmapB := mapped(t, want)
	defer unmapB()
	if !bytes.Equal(a, b) {
		fleettest.Same(t, got, want) // which says where they differ
		t.Fatalf("%s differs from %s", got, want)
	}
}

// mapped is the content of a file, until unmap.
func mapped(t *testing.T, path string) (data []byte, unmap func()) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return data, func() { syscall.Munmap(data) }
}
