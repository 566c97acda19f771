package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/valve"
)

// republished waits until the name stands for another manifest than before.
func (r *rig) republished(name, before string) (after string) {
	r.t.Helper()
	r.eventually("the new content is published", func() bool {
		after = r.file(name).ManifestId
		return after != before
	})
	return after
}

// A new file is moved onto the origin's: the open one still has the old bytes, so running
// downloads finish on the old content, and new ones get the new.
func TestRepublishedByMove(t *testing.T) {
	for _, s := range strategies {
		t.Run(string(s), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			source := fleettest.File(t, dir, "image.bin", 16*mib, 1)
			next := fleettest.File(t, dir, "next", 8*mib+5, 2)
			old := fleettest.File(t, t.TempDir(), "old", 16*mib, 1)
			r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 2, shut: 0.3})
			running := r.begin(request("image.bin", s), r.peers...)
			for _, d := range running {
				r.await(d, 0.1)
			}
			before := r.file("image.bin").ManifestId
			r.must(os.Rename(next, source))
			after := r.republished("image.bin", before)
			r.underWay(running...)
			r.valve.Open()
			late := r.begin(request("image.bin", s), r.addPeers(1)...)
			if d := r.complete(source, late...)[0]; d.ManifestId != after || d.Size != 8*mib+5 {
				t.Errorf("the new download got manifest %s of %d bytes", d.ManifestId, d.Size)
			}
			for _, d := range r.complete(old, running...) {
				if d.ManifestId != before {
					t.Errorf("the running download has manifest %s now, had %s", d.ManifestId, before)
				}
			}
		})
	}
}

// The origin's file is overwritten: the old bytes are gone. A running download takes none of
// the new ones for old; it finishes on the old content if peers have it.
func TestRepublishedInPlace(t *testing.T) {
	t.Parallel()
	const size = 16 * mib
	dir := t.TempDir()
	source := fleettest.File(t, dir, "image.bin", size, 1)
	old := fleettest.File(t, t.TempDir(), "old", size, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, tracker: []string{"--lease", "3s"}, shut: 1})
	r.valve.Open()
	fellow := valve.New(t, part(t, old, 0.3))
	r.addPeers(1, "--advertise", fellow.Address())
	fellow.To(r.peers[0].ChunkAddress())
	r.complete(old, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers[0])...)
	r.valve.Let(part(t, old, 0.3))
	// One with a fellow that has everything, one that knows the origin alone.
	r.addPeers(2)
	running := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers[1])[0]
	alone := r.begin(request("image.bin", peerapi.StrategyDirect), r.peers[2])[0]
	r.await(running, 0.1)
	r.await(alone, 0.1)
	before := r.file("image.bin").ManifestId
	fleettest.File(t, dir, "image.bin", size, 2)
	after := r.republished("image.bin", before)
	r.underWay(running, alone)
	r.valve.Open()
	fellow.Open()

	if d := r.complete(old, running)[0]; d.ManifestId != before {
		t.Errorf("the running download has manifest %s now, had %s", d.ManifestId, before)
	}
	var stuck peerapi.Download
	r.eventually("the download without a source says what it waits for", func() bool {
		var err error
		stuck, err = r.peers[2].Get(r.ctx, alone.id)
		r.must(err)
		return stuck.Error != nil
	})
	if stuck.State != peerapi.DownloadStateDownloading || stuck.BytesDone >= size {
		t.Errorf("%s with %d bytes; the rest of the old content is nowhere", stuck.State, stuck.BytesDone)
	}
	absent(t, alone.path())
	r.eventually("the origin is no longer listed for what it no longer has", func() bool {
		return len(r.file(before).Origins) == 0
	})
	if f := r.file(before); f.Current {
		t.Error("the old manifest is still current")
	}
	r.must(r.peers[2].Delete(r.ctx, alone.id))
	fresh := r.begin(request("image.bin", peerapi.StrategyDirect), r.peers[2])[0]
	if d := r.complete(source, fresh)[0]; d.ManifestId != after {
		t.Errorf("manifest %s, want %s", d.ManifestId, after)
	}
}

// A file that was touched, or replaced by a copy of itself, is what it was.
func TestTouchedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := fleettest.File(t, dir, "image.bin", mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 2})
	before := r.file("image.bin")
	digested := func(times int) {
		r.eventually("the origin has looked at the file again", func() bool {
			return strings.Count(r.origin.Log(), `"message":"file digested"`) == times
		})
	}
	r.must(os.Chtimes(source, time.Time{}, time.Unix(1e9, 0)))
	digested(2)
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers[0])...)
	r.must(os.Rename(fleettest.File(t, dir, "copy", mib, 1), source))
	digested(3)
	r.complete(source, r.begin(request("image.bin", peerapi.StrategyDirect), r.peers[1])...)
	if after := r.file("image.bin"); after.ManifestId != before.ManifestId || !after.PublishedAt.Equal(before.PublishedAt) {
		t.Errorf("published as %+v, before %+v", after, before)
	}
}
