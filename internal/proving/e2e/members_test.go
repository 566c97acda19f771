package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet/fleettest"
)

const (
	membersSize   = 16 * mib
	membersChunks = int(membersSize / autoChunk)
)

// claimer is one that is connected, says that it holds everything, answers PING, and sends nothing.
func (r *rig) claimer(address, manifest, id string) *intruder {
	r.t.Helper()
	i, err := intrude(r.ctx, address)
	r.must(err)
	r.must(i.hello(manifest, id))
	fmt.Fprintf(i, "BITS %d\n%s", membersChunks/8, strings.Repeat("\xff", membersChunks/8))
	go func() {
		for {
			line, err := i.in.ReadString('\n')
			if err != nil {
				return
			}
			var bytes, chunk int
			switch {
			case line == "PING\n":
				fmt.Fprint(i, "PONG\n")
			default:
				if n, _ := fmt.Sscanf(line, "BITS %d", &bytes); n == 0 {
					fmt.Sscanf(line, "DATA %d %d", &chunk, &bytes)
				}
				io.CopyN(io.Discard, i.in, int64(bytes))
			}
		}
	}()
	return i
}

// mute is one that is connected, asks for everything, and reads nothing.
func (r *rig) mute(address, manifest, id string) {
	r.t.Helper()
	i, err := intrude(r.ctx, address)
	r.must(err)
	r.must(i.hello(manifest, id))
	for chunk := range membersChunks {
		fmt.Fprintf(i, "GET %d\n", chunk)
	}
}

// A complete peer with a slow uplink is a member like any other: new ones are not made to wait for
// what it holds. Before, an origin handed out only what nobody claimed to hold, and sent nothing.
func TestSlowSeederIdlesNobody(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
	r := start(t, plan{files: []string{source}})
	seeder := r.addPeers(1, "--max-upload", "125KB")
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), seeder...)...)
	before := r.sent(r.origin.Daemon)
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.addPeers(4)...)...)
	if sent := r.sent(r.origin.Daemon) - before; sent < membersSize/2 {
		t.Errorf("the origin sent %d bytes of a file of %d that a slow seeder has", sent, membersSize)
	}
}

// One liar at each peer and at the origin, who claim everything and send nothing, stop nobody.
func TestClaimsStopNobody(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
	r := start(t, plan{files: []string{source}, peers: 4, shut: 0.1})
	manifest := r.file("image.bin").ManifestId
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	for _, d := range begun {
		r.await(d, 0.01)
	}
	r.claimer(r.origin.ChunkAddress(), manifest, "liar-0")
	for n, p := range r.peers {
		r.claimer(p.ChunkAddress(), manifest, fmt.Sprintf("liar-%d", n+1))
	}
	r.underWay(begun...)
	r.valve.Open()
	r.complete(source, begun...)
}

// Neighbours that ask for everything and read nothing do not take the upload slots from those who do.
func TestWhoDoesNotReadStopsNobody(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
	r := start(t, plan{files: []string{source}, peers: 1})
	manifest := r.file("image.bin").ManifestId
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)...)
	for n := range 7 {
		for _, at := range []string{r.origin.ChunkAddress(), r.peers[0].ChunkAddress()} {
			r.mute(at, manifest, fmt.Sprintf("mute-%d", n))
		}
	}
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.addPeers(2)...)...)
}

// Idle sessions, however many, leave a peer room for those that it dials.
func TestIdleSessionsLeaveRoom(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", membersSize, 1)
	r := start(t, plan{files: []string{source}, peers: 1, shut: 0.1})
	manifest := r.file("image.bin").ManifestId
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	r.await(begun[0], 0.01)
	for n := range 130 {
		i, err := intrude(r.ctx, r.peers[0].ChunkAddress())
		r.must(err)
		if n < 64 {
			r.must(i.hello(manifest, fmt.Sprintf("idle-%d", n)))
		} else {
			i.hello(manifest, fmt.Sprintf("idle-%d", n)) // those beyond the half for who dials are refused
		}
	}
	more := r.begin(request("image.bin", peerapi.StrategySwarm), r.addPeers(2)...)
	r.underWay(begun[0])
	r.valve.Open()
	done := r.complete(source, append(begun, more...)...)
	var fromPeers int64 // of all: the first may have had everything before the others were there
	for _, d := range done {
		fromPeers += d.BytesFromPeers
	}
	if fromPeers == 0 {
		t.Error("nothing came from peers")
	}
}
