package e2e

import (
	"fmt"
	"slices"
	"testing"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/proving/fleet/fleettest"
)

// A peer that is killed half way costs the others time, never the file: in `swarm` what it
// alone had is handed out again, in `static` its chunks come from the origin.
func TestPeerKilledAtHalf(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", 24*mib, 1)
	for _, s := range []peerapi.Strategy{peerapi.StrategySwarm, peerapi.StrategyStatic} {
		t.Run(string(s), func(t *testing.T) {
			r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 4, shut: 0.2})
			owners := r.table("image.bin", int(24*mib/autoChunk))
			begun := r.begin(request("image.bin", s), r.peers...)
			victim, others := begun[1], begun[:1:1]
			others = append(others, begun[2:]...)
			r.await(victim, 0.5)
			r.must(victim.peer.Kill())
			r.underWay(others...)
			absent(t, victim.path())
			r.valve.Open()
			ended := r.complete(source, others...)
			if s != peerapi.StrategyStatic {
				return
			}
			// Each survivor brings its own chunks, and some that the dead one owed it.
			for i, d := range ended {
				own := int64(0)
				for _, o := range owners {
					if o == others[i].peer.ChunkAddress() {
						own += autoChunk
					}
				}
				if d.BytesFromOrigin <= own {
					t.Errorf("%s got %d bytes from the origin and owns %d: the dead owner's were never missing", others[i].peer.Name(), d.BytesFromOrigin, own)
				}
			}
		})
	}
}

// Once every peer is under way the tracker may die: all complete.
func TestTrackerKilledAfterTheStart(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", 16*mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, tracker: []string{"--lease", "3s"}, peers: 3, shut: 0.25})
	for _, s := range strategies {
		t.Run(string(s), func(t *testing.T) {
			r := *r
			r.t = t
			r.valve.Let(4 * mib)
			begun := r.begin(request("image.bin", s), r.peers...)
			for _, d := range begun {
				r.await(d, 0.1)
			}
			r.must(r.tracker.Kill())
			r.underWay(begun...)
			r.valve.Open()
			r.complete(source, begun...)
			for _, d := range begun {
				r.must(d.peer.Delete(r.ctx, d.id))
			}
			fleettest.Start(t, r.tracker) // it has forgotten everything
			r.eventually("the file is published again and the peers are registered again", func() bool {
				file, err := r.tracker.API().GetFileWithResponse(r.ctx, "image.bin")
				r.must(err)
				peers, err := r.tracker.API().ListPeersWithResponse(r.ctx)
				r.must(err)
				return file.JSON200 != nil && len(peers.JSON200.Peers) == len(r.peers)
			})
		})
	}
}

// Once every chunk is with some peer the origin may die: the peers have the rest from each
// other.
func TestOriginKilledOnceEverythingIsHandedOut(t *testing.T) {
	t.Parallel()
	// What the peers send is limited: when the last chunk has left the origin, each has
	// megabytes still to send to the others, if the machine is not too slow to see that.
	for rate := 1 << 20; !originKilledAt(t, rate); rate /= 4 {
		t.Log("all were complete when the origin was killed")
	}
}

// originKilledAt is false if nobody needed anybody any more.
func originKilledAt(t *testing.T, rate int) bool {
	const size = 32 * mib
	source := fleettest.File(t, t.TempDir(), "image.bin", size, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, origin: []string{"--chunk-size", "1MiB"}, peers: 4,
		peer: []string{"--max-upload", fmt.Sprint(rate, "B")}})
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	// What the origin has sent does not tell: where the peers' uplinks are slow it sends copies, too.
	r.eventually("the peers together have every chunk", func() bool {
		table, err := r.tracker.API().GetChunksWithResponse(r.ctx, "image.bin", nil)
		r.must(err)
		return table.JSON200 != nil && !slices.ContainsFunc(table.JSON200.Chunks, func(c trackerapi.Chunk) bool { return len(c.Holders) == 0 })
	})
	r.must(r.origin.Kill())
	done := 0
	for _, d := range begun {
		now, err := d.peer.Get(r.ctx, d.id)
		r.must(err)
		if now.State == peerapi.DownloadStateComplete {
			done++
		}
	}
	r.complete(source, begun...)
	return done < len(begun)
}

// The first peer to want a file has no fellow; a fleet that is told one after the other, the
// last when the first is complete, has the origin send everything once all the same.
func TestLateJoiners(t *testing.T) {
	t.Parallel()
	const size = 8 * mib
	source := fleettest.File(t, t.TempDir(), "image.bin", size, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 3})
	for i, p := range r.peers {
		d := r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), p)...)[0]
		least, most := int64(size), int64(size)
		if i > 0 { // before it knows what the others have it may ask the origin for a little
			least, most = 0, size/16
		}
		if d.BytesFromOrigin < least || d.BytesFromOrigin > most {
			t.Errorf("%s got %d bytes from the origin, want %d to %d", p.Name(), d.BytesFromOrigin, least, most)
		}
	}
}
