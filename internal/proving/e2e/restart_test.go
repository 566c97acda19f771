package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// A peer that was killed and is started again with the same data directory goes on by
// itself. It hashes again what its state file claims, believes what is right, and fetches
// exactly the rest:
//
//   - a chunk is claimed before it is counted, and the claim outlives the process, so at
//     least what was counted before the kill is claimed after it;
//   - what was on its way at the kill is lost: it was neither claimed nor counted;
//   - so the second life fetches the size less the kept chunks, to the byte, and both lives
//     together store no more than the size.
func TestKilledPeerResumes(t *testing.T) {
	t.Parallel()
	const chunk, size = int64(100_003), 320 * int64(100_003) // any size will do, also a prime
	source := fleettest.File(t, t.TempDir(), "image.bin", size, 1)
	for _, c := range []struct {
		strategy peerapi.Strategy
		peers    int
		shut     float64 // of 3 peers, each has in the end what has passed to all
	}{{peerapi.StrategyDirect, 1, 0.6}, {peerapi.StrategyStatic, 3, 0.2}, {peerapi.StrategySwarm, 3, 0.2}} {
		t.Run(string(c.strategy), func(t *testing.T) {
			r := start(t, plan{build: fleettest.Race, files: []string{source}, origin: []string{"--chunk-size", fmt.Sprint(chunk)},
				peers: c.peers, shut: c.shut})
			begun := r.begin(request("image.bin", c.strategy), r.peers...)
			victim := begun[0]
			r.await(victim, 0.5)
			first := r.fetched(victim.peer)
			r.must(victim.peer.Kill())
			absent(t, victim.path())
			r.must(victim.peer.Start(r.ctx))
			r.valve.Open()
			r.complete(source, begun...)

			kept, dropped := rehashed(t, victim.peer)
			second := r.fetched(victim.peer)
			if dropped != 0 {
				t.Errorf("%d chunks were claimed and wrong", dropped)
			}
			if kept*chunk < first {
				t.Errorf("%d chunks were kept, %d bytes; %d bytes had been counted", kept, kept*chunk, first)
			}
			if want := size - kept*chunk; second != want {
				t.Errorf("the second life fetched %d bytes, want %d: the %d kept chunks less than %d", second, want, kept, size)
			}
			if c.strategy != peerapi.StrategyDirect {
				return
			}
			// Here the origin has sent to nobody else. It may have sent what was asked for and
			// never arrived: at most the 4 MiB that a peer asks for ahead.
			if sent := r.sent(r.origin.Daemon); sent > size+4*mib {
				t.Errorf("the origin sent %d bytes for %d in two lives", sent, int64(size))
			}
		})
	}
}

// Claims are hashed, not believed: what was changed on disk while the peer was down is
// fetched again.
func TestRestartedPeerHashesItsClaims(t *testing.T) {
	t.Parallel()
	const chunk, size = 64 * kib, 32 * mib
	source := fleettest.File(t, t.TempDir(), "image.bin", size, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, origin: []string{"--chunk-size", "64KiB"},
		peers: 1, shut: 0.6})
	d := r.begin(request("image.bin", peerapi.StrategyDirect), r.peers...)[0]
	r.await(d, 0.5)
	r.must(d.peer.Kill())
	// `direct` asks in order and the origin answers in order: chunks 0 and 7 are there.
	part, err := os.OpenFile(d.part(), os.O_RDWR, 0)
	r.must(err)
	for _, at := range []int64{0, 8*chunk - 1} {
		var b [1]byte
		_, err := part.ReadAt(b[:], at)
		r.must(err)
		_, err = part.WriteAt([]byte{^b[0]}, at)
		r.must(err)
	}
	r.must(part.Close())
	r.must(d.peer.Start(r.ctx))
	r.valve.Open()
	r.complete(source, d)
	kept, dropped := rehashed(t, d.peer)
	if dropped != 2 {
		t.Errorf("%d chunks were found wrong, want 2", dropped)
	}
	if got, want := r.fetched(d.peer), size-kept*chunk; got != want {
		t.Errorf("fetched %d bytes, want %d", got, want)
	}
}

// rehashed is what a peer said at its last start about the chunks on its disk.
func rehashed(t *testing.T, p *fleet.Peer) (kept, dropped int64) {
	t.Helper()
	found := false
	for line := range strings.Lines(p.Log()) {
		var e struct {
			Message       string
			Kept, Dropped int64
		}
		if json.Unmarshal([]byte(line), &e) == nil && e.Message == "chunks on disk hashed again" {
			kept, dropped, found = e.Kept, e.Dropped, true
		}
	}
	if !found {
		t.Fatalf("%s hashed nothing again", p.Name())
	}
	return kept, dropped
}

// An in-memory tracker that is killed has lost everything. The origin publishes again and
// the peers register again, by themselves.
func TestTrackerLosesEverything(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, tracker: []string{"--lease", "1s"}, peers: 2})
	before := r.file("image.bin")
	r.must(r.tracker.Kill())
	fleettest.Start(t, r.tracker)
	r.eventually("the origin has published its file again", func() bool {
		list, err := r.tracker.API().ListFilesWithResponse(r.ctx)
		r.must(err)
		return len(list.JSON200.Files) == 1
	})
	r.eventually("both peers are registered again", func() bool { return len(r.fleet()) == 2 })
	if after := r.file("image.bin"); after.ManifestId != before.ManifestId {
		t.Errorf("manifest %s after the restart, %s before", after.ManifestId, before.ManifestId)
	}
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)...)
}

// With --data-dir the tracker keeps published files and uploaded tables over a kill.
func TestTrackerKeepsFilesAndTables(t *testing.T) {
	t.Parallel()
	const chunks = 32
	source := fleettest.File(t, t.TempDir(), "image.bin", chunks*autoChunk, 1)
	data := filepath.Join(t.TempDir(), "tracker-data")
	r := start(t, plan{build: fleettest.Race, files: []string{source}, tracker: []string{"--data-dir", data}, peers: 2})
	want := make([]string, chunks)
	var text []byte
	for c := range want {
		want[c] = r.peers[c/20].ChunkAddress() // nothing that round robin would give
		text = trackerfile.AppendLine(text, c, want[c])
	}
	answer, err := r.tracker.API().PutChunksWithBodyWithResponse(r.ctx, "image.bin", trackerfile.MediaType, bytes.NewReader(text))
	r.must(err)
	if answer.StatusCode() != 204 {
		t.Fatalf("upload: %s %s", answer.Status(), answer.Body)
	}
	before := r.file("image.bin")

	// Nobody is there to tell the tracker what it has forgotten.
	r.must(r.origin.Kill())
	r.must(r.tracker.Kill())
	fleettest.Start(t, r.tracker)
	after := r.file("image.bin")
	if after.ManifestId != before.ManifestId || after.Size != before.Size || !after.PublishedAt.Equal(before.PublishedAt) {
		t.Errorf("after the restart %+v, before %+v", after, before)
	}
	if got := r.table("image.bin", chunks); !slices.Equal(got, want) {
		t.Errorf("the uploaded table is %v after the restart, was %v", got, want)
	}

	// And the table is obeyed.
	fleettest.Start(t, r.origin)
	r.eventually("both peers are registered again", func() bool { return len(r.fleet()) == 2 })
	begun := r.begin(request("image.bin", peerapi.StrategyStatic), r.peers...)
	for i, d := range r.complete(source, begun...) {
		if want := []int64{20 * autoChunk, 12 * autoChunk}[i]; d.BytesFromOrigin != want {
			t.Errorf("%s got %d bytes from the origin, want %d", begun[i].peer.Name(), d.BytesFromOrigin, want)
		}
	}
}

// file is a published file as the tracker shows it.
func (r *rig) file(name string) trackerapi.File {
	r.t.Helper()
	answer, err := r.tracker.API().GetFileWithResponse(r.ctx, name)
	r.must(err)
	if answer.JSON200 == nil {
		r.t.Fatalf("file %q: %s", name, answer.Body)
	}
	return *answer.JSON200
}

// fleet is the registered peers.
func (r *rig) fleet() []trackerapi.Peer {
	r.t.Helper()
	answer, err := r.tracker.API().ListPeersWithResponse(r.ctx)
	r.must(err)
	if answer.JSON200 == nil {
		r.t.Fatalf("the fleet: %s", answer.Body)
	}
	return answer.JSON200.Peers
}
