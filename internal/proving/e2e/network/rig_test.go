// Package network tests, with real processes, that a bad network costs time, and never the file:
// what is slow, stalls, ends in the middle or arrives wrong between the daemons is there in the
// end, as it was sent, at everybody.
//
// A faultline stands before the origin, and one before a single peer, the member. It bears what
// others dial: the member itself reaches them without. No time is compared; what hangs runs into
// the test's deadline. What a daemon notices by a timeout alone, 15 seconds of silence, lasts as long.
package network

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"fanout/api/peerapi"
	"fanout/internal/proving/faultline"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
)

func TestMain(m *testing.M) { fleettest.Main(m) }

const (
	kib = 1 << 10
	mib = 1 << 20

	// size is that of the file, in chunks of 32 KiB; each of the peers owns a quarter.
	size  = 8 * mib
	peers = 4
)

// rig is a fleet that downloads one file with one strategy.
type rig struct {
	*fleet.Fleet
	t        *testing.T
	ctx      context.Context
	strategy peerapi.Strategy
	source   string
	tracker  *fleet.Tracker
	peers    []*fleet.Peer // the first is the member
	ids      []string      // of their downloads

	beforeOrigin, beforeMember *faultline.Line
}

// each runs a test with every strategy in which peers need each other.
func each(t *testing.T, test func(r *rig)) {
	t.Parallel()
	for _, s := range []peerapi.Strategy{peerapi.StrategySwarm, peerapi.StrategyStatic} {
		t.Run(string(s), func(t *testing.T) {
			t.Parallel()
			test(start(t, s))
		})
	}
}

func start(t *testing.T, s peerapi.Strategy) *rig {
	t.Helper()
	r := &rig{
		Fleet: fleettest.New(t, fleettest.Race), t: t, ctx: patience.Context(t), strategy: s,
		source: fleettest.File(t, t.TempDir(), "image.bin", size, 1),
	}
	seed := faultline.Seed(t)
	r.beforeOrigin, r.beforeMember = faultline.Start(t, seed), faultline.Start(t, seed+1)
	r.tracker = r.Tracker()
	origin := r.Origin("origin", []string{r.source}, "--chunk-size", "32KiB", "--advertise", r.beforeOrigin.Address())
	fleettest.Start(t, r.tracker, origin)
	r.beforeOrigin.To(origin.ChunkAddress())
	var group errgroup.Group
	for i := range peers {
		var args []string
		if i == 0 {
			args = []string{"--advertise", r.beforeMember.Address()}
		}
		p := r.Peer(fmt.Sprint("peer-", i+1), args...)
		r.peers = append(r.peers, p)
		group.Go(func() error { return p.Start(r.ctx) })
	}
	r.must(group.Wait())
	r.beforeMember.To(r.peers[0].ChunkAddress())
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// begin starts the download at all peers: first at the member, so that the others hear of it and
// dial it.
func (r *rig) begin() {
	r.t.Helper()
	r.ids = make([]string, len(r.peers))
	r.must(r.download(0))
	patience.Await(r.t, "the member in the swarm", func() bool {
		file, err := r.tracker.API().GetFileWithResponse(r.ctx, "image.bin")
		r.must(err)
		return file.JSON200 != nil && file.JSON200.Peers == 1
	})
	var group errgroup.Group
	for i := range r.peers[1:] {
		group.Go(func() error { return r.download(1 + i) })
	}
	r.must(group.Wait())
}

func (r *rig) download(i int) error {
	d, err := r.peers[i].Download(r.ctx, peerapi.DownloadRequest{File: "image.bin", Strategy: &r.strategy})
	r.ids[i] = d.Id
	return err
}

// underWay waits until every peer has something of the file, and fails the test if one has all:
// a fault that comes too late proves nothing.
func (r *rig) underWay() {
	r.t.Helper()
	for i, p := range r.peers {
		now, err := p.Await(r.ctx, r.ids[i], func(now peerapi.Download) bool { return now.ChunksDone > 0 })
		r.must(err)
		if fleet.Ended(now) {
			r.t.Fatalf("%s is %s already", p.Name(), now.State)
		}
	}
}

// complete waits until all peers but the first so many are, and compares what they have with
// the source. What they count adds up to the file: nothing that was wrong is in it.
func (r *rig) complete(but int) {
	r.t.Helper()
	for i, p := range r.peers[but:] {
		d, err := p.Complete(r.ctx, r.ids[but+i])
		r.must(err)
		fleettest.Same(r.t, p.Path("image.bin"), r.source)
		if got := d.BytesFromOrigin + d.BytesFromPeers; got != size {
			r.t.Errorf("%s counts %d bytes, want %d", p.Name(), got, size)
		}
	}
}

// wrong is how many chunks arrived wrong at a peer.
func (r *rig) wrong(p *fleet.Peer) int {
	r.t.Helper()
	n, err := p.Metric(r.ctx, "fanout_chunk_verify_failures_total")
	r.must(err)
	return int(n)
}

// used fails the test unless more than greetings has passed both lines: else what they do harms
// nobody. An origin whose rate has no limit may serve the others before the member's daemon has
// had its turn on a busy machine.
func (r *rig) used() {
	r.t.Helper()
	for where, l := range map[string]*faultline.Line{"origin": r.beforeOrigin, "member": r.beforeMember} {
		n := l.Bytes(faultline.FromTarget)
		r.t.Logf("%d connections to the %s, %d bytes from it", l.Connections(), where, n)
		if n < kib {
			r.t.Errorf("%d bytes have come from the %s", n, where)
		}
	}
}

// both sets the faults of both directions of a line.
func both(l *faultline.Line, f faultline.Faults) {
	l.Set(faultline.ToTarget, f)
	l.Set(faultline.FromTarget, f)
}

// slowly makes the origin's file last some seconds, so that a fault finds it under way.
func (r *rig) slowly() { r.beforeOrigin.Set(faultline.FromTarget, faultline.Faults{Rate: 2 * mib}) }
