package e2e

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// freeze stops a daemon as a machine stops that hangs: its connections stay open, and nothing comes.
func (r *rig) freeze(d *fleet.Daemon) {
	r.t.Helper()
	r.must(syscall.Kill(d.PID(), syscall.SIGSTOP))
	r.t.Cleanup(func() { d.Kill() }) // it would not hear that it is to end
}

// A complete peer that hangs, among those who connect to it all the same, stops nobody.
func TestFrozenSeederIdlesNobody(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
	r := start(t, plan{files: []string{source}, peers: 1})
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)...)
	before := r.sent(r.origin.Daemon)
	r.freeze(r.peers[0].Daemon)
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.addPeers(4)...)...)
	if sent := r.sent(r.origin.Daemon) - before; sent < membersSize {
		t.Errorf("the origin sent %d bytes of a file of %d that nobody else gives", sent, membersSize)
	}
}

// Of two origins one hangs: what was asked of it comes from the other, whatever the strategy.
func TestFrozenOriginStopsNobody(t *testing.T) {
	t.Parallel()
	for _, strategy := range strategies {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
			limit := []string{"--max-upload", "8MB"}
			r := start(t, plan{files: []string{source}, origin: limit, peers: 2})
			second := r.Origin("second", []string{source}, limit...)
			fleettest.Start(t, second)
			begun := r.begin(request("image.bin", strategy), r.peers...)
			r.await(begun[0], 0.1)
			r.freeze(second.Daemon)
			r.underWay(begun...)
			r.complete(source, begun...)
		})
	}
}

// Fast peers do not wait for slow ones, however many of these there are. Before, slow receivers held the
// upload slots and stopped the handouts, and everybody was as slow as they.
func TestSlowPeersDelayNobody(t *testing.T) {
	const slowRate = 250_000 // bytes a second, of the origin's 8 million
	source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
	r := start(t, plan{files: []string{source}, origin: []string{"--max-upload", "8MB"}, peers: 4})
	limit := fmt.Sprint(slowRate)
	slow := r.addPeers(8, "--max-download", limit, "--max-upload", limit)
	crawling := r.begin(request("image.bin", peerapi.StrategySwarm), slow...)
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers[:4]...)...)
	for _, d := range crawling {
		now, err := d.peer.Get(r.ctx, d.id)
		r.must(err)
		if now.BytesDone > membersSize/4 { // at full speed it were a thirtieth
			t.Errorf("%s has %d of %d bytes already: the fast ones took their time", d.peer.Name(), now.BytesDone, membersSize)
		}
	}
}

// An origin that has left is not dialled by those who lack nothing.
func TestOriginThatHasLeftIsForgotten(t *testing.T) {
	t.Parallel()
	var sources []string
	dir := t.TempDir()
	for n := range uint64(10) {
		sources = append(sources, fleettest.File(t, dir, fmt.Sprint("image-", n), 64*kib, n))
	}
	r := start(t, plan{files: sources, peers: 1})
	for _, source := range sources {
		r.complete(source, r.begin(request(filepath.Base(source), peerapi.StrategySwarm), r.peers...)...)
	}
	r.must(r.origin.Stop())
	there, err := net.Listen("tcp", r.origin.ChunkAddress())
	r.must(err)
	defer there.Close()
	var dials atomic.Int64
	go func() {
		for {
			c, err := there.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			c.Close()
		}
	}()
	time.Sleep(3 * time.Second)
	if n := dials.Load(); n > 0 {
		t.Errorf("it was dialled %d times within 3 s", n)
	}
}

// Owners whom nobody reaches, since they are gone or do not answer, cost `static` no more than their chunks.
func TestOwnersOutOfReach(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
	r := start(t, plan{files: []string{source}, peers: 2})
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody says anything
	r.must(err)
	defer silent.Close()
	gone := make([]string, 30) // registered, and closed since
	for n := range gone {
		gone[n] = fmt.Sprintf("127.1.0.%d:9", 1+n)
		r.registers(fmt.Sprint("gone-", n), gone[n])
	}
	r.registers("silent", silent.Addr().String())
	var table []byte
	for c := range membersChunks {
		owner := r.peers[c%2].ChunkAddress()
		switch {
		case c < 300:
			owner = gone[c%len(gone)]
		case c < 320:
			owner = silent.Addr().String()
		}
		table = trackerfile.AppendLine(table, c, owner)
	}
	answer, err := r.tracker.API().PutChunksWithBodyWithResponse(r.ctx, "image.bin", trackerfile.MediaType, bytes.NewReader(table))
	r.must(err)
	if answer.StatusCode() != 204 {
		t.Fatalf("upload: %s %s", answer.Status(), answer.Body)
	}
	r.complete(source, r.begin(request("image.bin", peerapi.StrategyStatic), r.peers...)...)
}

// registers makes a peer known to the tracker.
func (r *rig) registers(id, address string) {
	r.t.Helper()
	answer, err := r.tracker.API().RegisterPeerWithResponse(r.ctx, id, trackerapi.RegisterPeerJSONRequestBody{Address: address, HttpAddress: &address})
	r.must(err)
	if answer.StatusCode()/100 != 2 {
		r.t.Fatalf("%s: %s %s", id, answer.Status(), answer.Body)
	}
}
