package transfer

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/peerd/swarm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const chunkSize = 4 << 10

// rig is a download with a tracker and a dialer that do what a test tells them.
type rig struct {
	*Download
	t          *testing.T
	data       []byte
	tracker    *fakeTracker
	dialer     *fakeDialer
	complete   int
	landings   atomic.Int64
	duplicates atomic.Int64
	failures   []string
}

// newRig makes a download of so many chunks by peer "m" at "m:1".
func newRig(t *testing.T, strategy swarm.Strategy, chunks int) *rig {
	t.Helper()
	data, m := content(chunks)
	r := &rig{t: t, data: data, tracker: &fakeTracker{}, dialer: &fakeDialer{}}
	r.Download = New(Config{
		Self: "m", Address: "m:1", Strategy: strategy,
		Target: chunkserver.Target{Manifest: m, ID: m.ID(), Store: openStore(t, m)},
		Dialer: r.dialer, Tracker: r.tracker, Observer: r, Rand: rand.New(rand.NewPCG(1, 2)), Requests: 1024,
		Progress: NewProgress(chunks), Complete: func() { r.complete++ },
	})
	return r
}

func (r *rig) Landed(_ Source, _ int, _ time.Duration, duplicate bool) {
	r.landings.Add(1)
	if duplicate {
		r.duplicates.Add(1)
	}
}

func (r *rig) VerifyFailed(peer string, _ int) { r.failures = append(r.failures, peer) }

// run gives the download its goroutine, and returns what ends it.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() {
		r.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	}
}

// opens tells the download of a session that a peer has dialled.
func (r *rig) opens(id exchange.ID, peer string) *fake {
	s := &fake{id: id}
	if r.sessions.add(s) {
		r.post(exchange.Opened{ID: id, Peer: peer})
	}
	return s
}

// puts stores a chunk without a word.
func (r *rig) puts(chunk int) {
	r.t.Helper()
	m := r.target.Manifest
	if _, err := r.target.Store.Put(chunk, r.data[m.Offset(chunk):][:m.Length(chunk)]); err != nil {
		r.t.Fatal(err)
	}
}

// fake is a session.
type fake struct {
	id    exchange.ID
	room  atomic.Int32 // sends that there is room for
	ended atomic.Bool
	mu    sync.Mutex
	did   []exchange.Action // but Tell, whose list makes it incomparable
}

func (f *fake) ID() exchange.ID         { return f.id }
func (f *fake) LastReceived() time.Time { return time.Time{} }
func (f *fake) Free() (sends, busy int) { return int(f.room.Load()), 1 }
func (f *fake) Close()                  { f.ended.Store(true) }
func (f *fake) Carry(a exchange.Action) exchange.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, is := a.(exchange.Tell); !is {
		f.did = append(f.did, a)
	}
	return nil
}

// carried is what it was told to do.
func (f *fake) carried() []exchange.Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.did)
}

// fakeTracker answers what it is told to.
type fakeTracker struct {
	mu      sync.Mutex
	reply   exchange.Answered
	owners  []string
	err     error // of Owners
	reports []Report
	at      []time.Time // when they came
}

func (f *fakeTracker) Announce(_ context.Context, r Report) (exchange.Answered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports, f.at = append(f.reports, r), append(f.at, time.Now())
	return f.reply, nil
}

func (f *fakeTracker) Owners(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.owners, f.err
}

// settles gives it a table.
func (f *fakeTracker) settles(owners ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owners, f.err = owners, nil
}

func (f *fakeTracker) announced() []Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.reports)
}

// fakeDialer counts dials. Those to dead addresses fail, others stay in the handshake until
// the test answers them.
type fakeDialer struct {
	mu    sync.Mutex
	dials map[string]int
	dead  map[string]bool
}

func (f *fakeDialer) Dial(ctx context.Context, addr string, _ *chunkserver.Target) error {
	f.mu.Lock()
	if f.dials == nil {
		f.dials = map[string]int{}
	}
	f.dials[addr]++
	dead := f.dead[addr]
	f.mu.Unlock()
	if dead {
		return errors.New("connection refused")
	}
	return nil
}

func (f *fakeDialer) count(addr string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials[addr]
}

func content(chunks int) ([]byte, *manifest.Manifest) {
	data := make([]byte, max(0, chunks*chunkSize-100))
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
	m, err := manifest.Build(context.Background(), "file", bytes.NewReader(data), int64(len(data)), chunkSize, nil)
	if err != nil {
		panic(err)
	}
	return data, m
}

func openStore(t *testing.T, m *manifest.Manifest) *chunkstore.Store {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := chunkstore.Dir{Root: root, Own: ".fanout"}.Open("file", m, m.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); root.Close() })
	return s
}
