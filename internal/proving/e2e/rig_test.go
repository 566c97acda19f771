package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fanout/api/peerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
	"fanout/internal/proving/valve"
)

func TestMain(m *testing.M) { fleettest.Main(m) }

const (
	lookEach = 20 * time.Millisecond

	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30

	// autoChunk is the size of the chunks that the origin cuts small files into.
	autoChunk = int64(manifest.MinAutoChunkSize)
)

var strategies = []peerapi.Strategy{peerapi.StrategyDirect, peerapi.StrategyStatic, peerapi.StrategySwarm}

// plan is what a rig is made of.
type plan struct {
	build   fleettest.Build // Plain unless Race is asked for
	files   []string
	tracker []string // further flags
	origin  []string
	peers   int
	peer    []string
	shut    float64 // the part of the first file that the origin may send to each peer until r.valve is opened; 0 is all
}

// rig is a fleet that runs: a tracker, an origin with its files published, and peers.
type rig struct {
	*fleet.Fleet
	t       *testing.T
	ctx     context.Context
	tracker *fleet.Tracker
	origin  *fleet.Origin
	valve   *valve.Valve // in front of the origin, if the plan has it shut
	peers   []*fleet.Peer
}

func start(t *testing.T, p plan) *rig {
	t.Helper()
	r := bare(t, p.build)
	r.tracker = r.Tracker(p.tracker...)
	if p.shut > 0 {
		r.valve = valve.New(t, part(t, p.files[0], p.shut))
		p.origin = append(slices.Clone(p.origin), "--advertise", r.valve.Address())
	}
	r.origin = r.Origin("origin", p.files, p.origin...)
	fleettest.Start(t, r.tracker, r.origin)
	if r.valve != nil {
		r.valve.To(r.origin.ChunkAddress())
	}
	r.addPeers(p.peers, p.peer...)
	return r
}

// part is so much of a file, bytes.
func part(t *testing.T, file string, share float64) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return int64(share * float64(info.Size()))
}

// bare is a rig of which nothing runs yet.
func bare(t *testing.T, b fleettest.Build) *rig {
	t.Helper()
	f := fleettest.New(t, b)
	return &rig{Fleet: f, t: t, ctx: patience.Context(t)}
}

// addPeers starts further peers and returns them.
func (r *rig) addPeers(n int, args ...string) []*fleet.Peer {
	r.t.Helper()
	var added []*fleet.Peer
	var group errgroup.Group
	group.SetLimit(4)
	for range n {
		p := r.Peer(fmt.Sprintf("peer-%02d", len(r.peers)+1), args...)
		r.peers, added = append(r.peers, p), append(added, p)
		group.Go(func() error { return p.Start(r.ctx) })
	}
	r.must(group.Wait())
	return added
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// download is one that was begun at a peer.
type download struct {
	peer *fleet.Peer
	id   string
	name string // below the peer's data directory
}

func (d download) path() string { return d.peer.Path(d.name) }

// part is where the file is until it is complete.
func (d download) part() string { return d.peer.Path(".fanout/" + d.id + ".part") }

// begin starts a download at several peers at the same time.
func (r *rig) begin(q peerapi.DownloadRequest, peers ...*fleet.Peer) []download {
	r.t.Helper()
	begun := make([]download, len(peers))
	var group errgroup.Group
	for i, p := range peers {
		group.Go(func() error {
			d, err := p.Download(r.ctx, q)
			begun[i] = download{p, d.Id, strings.TrimPrefix(d.Path, p.DataDir()+"/")}
			return err
		})
	}
	r.must(group.Wait())
	return begun
}

// complete waits until downloads are, compares them with the source, and returns them.
func (r *rig) complete(source string, downloads ...download) []peerapi.Download {
	r.t.Helper()
	ended := make([]peerapi.Download, len(downloads))
	var group errgroup.Group
	for i, d := range downloads {
		group.Go(func() (err error) {
			ended[i], err = d.peer.Complete(r.ctx, d.id)
			return err
		})
	}
	r.must(group.Wait())
	for _, d := range downloads {
		fleettest.Same(r.t, d.path(), source)
	}
	return ended
}

// await waits until a download has so much of its chunks, and not all of them: a test that
// comes too late for its moment has tested nothing, and must say so.
func (r *rig) await(d download, part float64) peerapi.Download {
	r.t.Helper()
	now, err := d.peer.Await(r.ctx, d.id, func(now peerapi.Download) bool {
		return float64(now.ChunksDone) >= part*float64(now.ChunksTotal) && now.ChunksTotal > 0
	})
	r.must(err)
	if now.State != peerapi.DownloadStateDownloading {
		r.t.Fatalf("%s is %s already: shut the valve sooner", d.peer.Name(), now.State)
	}
	return now
}

// underWay fails the test unless a download still is.
func (r *rig) underWay(downloads ...download) {
	r.t.Helper()
	for _, d := range downloads {
		now, err := d.peer.Get(r.ctx, d.id)
		r.must(err)
		if fleet.Ended(now) {
			r.t.Fatalf("%s is %s: the fault came too late to prove anything", d.peer.Name(), now.State)
		}
	}
}

// eventually looks until something is so. What it waits for is in the message, should it
// never come.
func (r *rig) eventually(what string, so func() bool) {
	r.t.Helper()
	for !so() {
		select {
		case <-r.ctx.Done():
			r.t.Fatalf("waited in vain: %s", what)
		case <-time.After(lookEach):
		}
	}
}

// metric is the value of a metric, and 0 where it has no samples yet.
func (r *rig) metric(d *fleet.Daemon, name string, labels ...string) int64 {
	r.t.Helper()
	v, err := d.Metric(r.ctx, name, labels...)
	if err != nil && !strings.Contains(err.Error(), "there is no "+name) {
		r.t.Fatal(err)
	}
	return int64(v)
}

// sent is the payload that a daemon has sent.
func (r *rig) sent(d *fleet.Daemon) int64 { return r.metric(d, "fanout_sent_bytes_total") }

// fetched is the payload that a peer's process has received and stored.
func (r *rig) fetched(p *fleet.Peer) int64 {
	return r.metric(p.Daemon, "fanout_received_bytes_total") - r.metric(p.Daemon, "fanout_duplicate_bytes_total")
}

// absent fails the test if a file is there.
func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s is there (%v)", path, err)
	}
}

func ptr[T any](v T) *T { return &v }

func request(file string, s peerapi.Strategy) peerapi.DownloadRequest {
	return peerapi.DownloadRequest{File: file, Strategy: &s}
}
