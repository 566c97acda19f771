package e2e

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// lie starts a peer that claims to have all of a file and sends wrong bytes, and returns its
// address once the tracker sends others there.
func (r *rig) lie(file string) (address string) {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.ctx)
	liar := fleettest.Command(ctx, fleettest.Program(r.t, "fanout/internal/proving/liar"), "--tracker", r.tracker.URL(), "--listen", "127.0.0.1:0", file)
	var said bytes.Buffer // read it when the liar has ended
	liar.Stderr = &said
	r.must(liar.Start())
	r.t.Cleanup(func() {
		stop()
		liar.Wait()
		if r.t.Failed() {
			r.t.Logf("--- liar:\n%s", said.String())
		}
	})
	r.eventually("the liar is listed as a holder", func() bool {
		answer, err := r.tracker.API().GetChunksWithResponse(r.ctx, file, nil)
		r.must(err)
		if answer.JSON200 == nil || len(answer.JSON200.Chunks) == 0 || len(answer.JSON200.Chunks[0].Holders) == 0 {
			return false
		}
		address = answer.JSON200.Chunks[0].Holders[0]
		return true
	})
	return address
}

// guard looks at the final name for as long as a download is under way: whenever a file is
// there, it is the right one.
func (r *rig) guard(source string, d download) {
	r.t.Helper()
	for {
		now, err := d.peer.Get(r.ctx, d.id)
		r.must(err)
		_, missing := os.Lstat(d.path())
		switch {
		case missing == nil:
			if err := fleet.Compare(d.path(), source); err != nil {
				r.t.Fatalf("under the final name: %v", err)
			}
		case now.State == peerapi.DownloadStateComplete:
			r.t.Fatalf("complete, but %v", missing)
		}
		if now.State == peerapi.DownloadStateComplete {
			return
		}
		if fleet.Ended(now) {
			r.t.Fatalf("%s: %s", now.State, fleet.Trouble(now))
		}
		select {
		case <-r.ctx.Done():
			r.t.Fatalf("not complete: %s", fleet.Trouble(now))
		case <-time.After(lookEach):
		}
	}
}

// A peer that sends wrong bytes is found out with its first chunk, and dropped; what it sent
// is never stored, and never under a final name.
func TestLyingPeer(t *testing.T) {
	t.Parallel()
	const chunk, size = 128 * kib, 24 * mib
	source := fleettest.File(t, t.TempDir(), "image.bin", size, 1)
	// The origin is shut until the liar, who has everything at once, has been asked by each.
	r := start(t, plan{build: fleettest.Race, files: []string{source}, origin: []string{"--chunk-size", "128KiB"}, peers: 3, shut: 0.2})
	r.lie("image.bin")
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	for _, d := range begun {
		r.await(d, 0.1)
		r.eventually("the liar is found out", func() bool {
			return r.metric(d.peer.Daemon, "fanout_sessions_rejected_total", "code", "banned") > 0
		})
		absent(t, d.path())
	}
	r.valve.Open()
	r.guard(source, begun[0])
	for i, d := range r.complete(source, begun...) {
		p := begun[i].peer
		// Four chunks, 512 KiB, are asked of a neighbour at a time; those may all have come
		// before it was dropped. One that came back would be asked 192 times.
		wrong := r.metric(p.Daemon, "fanout_chunk_verify_failures_total")
		if wrong < 1 || wrong > 4 {
			t.Errorf("%s rejected %d chunks, want 1 to 4", p.Name(), wrong)
		}
		if got := d.BytesFromOrigin + d.BytesFromPeers; got != size {
			t.Errorf("%s counts %d bytes, want %d", p.Name(), got, int64(size))
		}
		if r.metric(p.Daemon, "fanout_sessions_rejected_total", "code", "banned") < 1 {
			t.Errorf("%s has not told the liar", p.Name())
		}
		if !strings.Contains(p.Log(), `"peer":"liar"`) {
			t.Errorf("%s has not logged who lied", p.Name())
		}
	}
}

// An owner that lies brings nothing: its chunks come from the origin, to one peer at least, which may
// have them in time to give them to the other.
func TestLyingOwner(t *testing.T) {
	t.Parallel()
	const chunks = 64
	source := fleettest.File(t, t.TempDir(), "image.bin", chunks*autoChunk, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 2})
	address := r.lie("image.bin")
	registered, err := r.tracker.API().RegisterPeerWithResponse(r.ctx, "liar", trackerapi.Registration{Address: address})
	r.must(err)
	if registered.JSON200 == nil {
		t.Fatalf("register the liar: %s", registered.Body)
	}
	var text []byte
	for c := range chunks {
		text = trackerfile.AppendLine(text, c, []string{address, r.peers[0].ChunkAddress()}[c%2])
	}
	uploaded, err := r.tracker.API().PutChunksWithBodyWithResponse(r.ctx, "image.bin", trackerfile.MediaType, bytes.NewReader(text))
	r.must(err)
	if uploaded.StatusCode() != 204 {
		t.Fatalf("upload: %s", uploaded.Body)
	}
	begun := r.begin(request("image.bin", peerapi.StrategyStatic), r.peers...)
	var fromOrigin int64
	for i, d := range r.complete(source, begun...) {
		p := begun[i].peer
		if r.metric(p.Daemon, "fanout_chunk_verify_failures_total") < 1 {
			t.Errorf("%s found nothing wrong", p.Name())
		}
		fromOrigin += d.BytesFromOrigin
	}
	if want := chunks * autoChunk; fromOrigin < want {
		t.Errorf("%d bytes came from the origin, fewer than the %d of the file: the liar was believed", fromOrigin, want)
	}
}
