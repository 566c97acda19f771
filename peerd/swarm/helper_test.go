package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
)

const chunkSize = 4 << 10

// rig is a download whose handlers a test calls by itself, in place of Run.
type rig struct {
	*Download
	t        *testing.T
	data     []byte
	tracker  *fakeTracker
	dialer   *fakeDialer
	complete int
	landings atomic.Int64
	failures []string
	every    func() // see each
}

// newRig makes a download of so many chunks by peer "m" at "m:1".
func newRig(t *testing.T, strategy Strategy, chunks int, change ...func(*rig)) *rig {
	t.Helper()
	data, m := content(chunks)
	r := &rig{t: t, data: data, tracker: &fakeTracker{}, dialer: &fakeDialer{}}
	r.Download = New(Config{
		Self: "m", Address: "m:1", Strategy: strategy,
		Target: chunkserver.Target{Manifest: m, ID: m.ID(), Store: openStore(t, m)},
		Dialer: r.dialer, Tracker: r.tracker, Observer: r, Rand: rand.New(rand.NewPCG(1, 2)), Requests: 1024,
		Progress: NewProgress(chunks), Complete: func() { r.complete++ },
	})
	for _, f := range change {
		f(r)
	}
	return r
}

// begin does what Run does first.
func (r *rig) begin() *rig {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	r.ctx = ctx
	r.t.Cleanup(func() { cancel(); close(r.stopped); r.wg.Wait() })
	if err := r.choose(ctx); err != nil {
		r.t.Fatal(err)
	}
	r.counted = r.target.Store.Count()
	return r
}

func (r *rig) Landed(Source, int, time.Duration, bool) { r.landings.Add(1) }
func (r *rig) VerifyFailed(peer string, chunk int) {
	r.failures = append(r.failures, fmt.Sprint(peer, " ", chunk))
}

// now runs what Run runs after every event.
func (r *rig) now() {
	r.t.Helper()
	r.drain()
	r.strategy.fill(time.Now())
}

// origin opens a session with an origin that was dialled.
func (r *rig) origin(id string) *fake {
	r.met(Reply{Origins: []Contact{{ID: id, Address: id + ":1"}}})
	return r.answered(id)
}

// answered opens the session that the daemon at ID:1 was dialled for.
func (r *rig) answered(id string) *fake {
	r.t.Helper()
	c := r.contacts[id+":1"]
	if c == nil || !c.dialling {
		r.t.Fatalf("%s is not being dialled: %+v", id, c)
	}
	s := &fake{rig: r, peer: id, dialled: true, contact: c}
	r.opened(s, c)
	r.now()
	return s
}

// caller opens a session that a peer has dialled.
func (r *rig) caller(id string) *fake {
	s := &fake{rig: r, peer: id}
	r.opened(s, nil)
	r.now()
	return s
}

// fake is one session, seen from the download.
type fake struct {
	*rig
	peer     string
	dialled  bool
	contact  *contact
	received time.Time
	lines    []string
	queue    []int // uploads
	ended    bool
	code     string
}

func (f *fake) Peer() string            { return f.peer }
func (f *fake) Dialled() bool           { return f.dialled }
func (f *fake) LastReceived() time.Time { return f.received }
func (f *fake) SendBits()               { f.lines = append(f.lines, "BITS") }
func (f *fake) Close()                  { f.ended = true }
func (f *fake) Fail(code string, _ error) {
	f.ended, f.code = true, code
}

func (f *fake) Send(k wire.Kind, chunk int) {
	line := wire.AppendMessage(nil, wire.Message{Kind: k, Chunk: chunk})
	f.lines = append(f.lines, string(line[:len(line)-1]))
}

func (f *fake) SendLater(k wire.Kind, chunk int) { f.Send(k, chunk) }

func (f *fake) Upload(chunk int) error {
	f.queue = append(f.queue, chunk)
	return nil
}

func (f *fake) CancelUpload(chunk int) bool {
	i := slices.Index(f.queue, chunk)
	if i >= 0 {
		f.queue = slices.Delete(f.queue, i, i+1)
	}
	return i >= 0
}

// says gives the download a message of this session's other side.
func (f *fake) says(k wire.Kind, chunk int) {
	f.got(f, wire.Message{Kind: k, Chunk: chunk}, nil)
	f.now()
}

// shows gives it BITS.
func (f *fake) shows(chunks ...int) {
	bits := make([]byte, (f.chunks()+7)/8)
	for _, c := range chunks {
		bits[c/8] |= 0x80 >> (c % 8)
	}
	f.got(f, wire.Message{Kind: wire.KindBits, Bytes: len(bits)}, bits)
	f.now()
}

// gives lands a chunk from this session.
func (f *fake) gives(chunk int) {
	f.t.Helper()
	f.store(chunk)()
}

// store puts a chunk into the store, and returns what tells the download so.
func (f *fake) store(chunk int) (tell func()) {
	f.t.Helper()
	m := f.target.Manifest
	fresh, err := f.target.Store.Put(chunk, f.data[m.Offset(chunk):][:m.Length(chunk)])
	if err != nil {
		f.t.Fatal(err)
	}
	f.received = time.Now()
	return func() {
		a := chunkserver.Landing{Chunk: chunk, Bytes: m.Length(chunk), Fresh: fresh}
		f.count(f.contact, a)
		f.landed(f, f.contact, a)
		f.now()
	}
}

// lies lands wrong bytes, after which the chunk server closes the session.
func (f *fake) lies(chunk int) {
	f.landed(f, f.contact, chunkserver.Landing{Chunk: chunk, Err: manifest.ErrDigest})
	f.hangsUp()
}

func (f *fake) hangsUp() {
	f.ended = true
	f.closed(f, errors.New("gone"))
	f.now()
}

// takes sends the first chunk queued for this session.
func (f *fake) takes() {
	c := f.queue[0]
	f.queue = f.queue[1:]
	f.sent(f, c)
	f.now()
}

// heard returns the lines sent since the last call, and checks them if told which.
func (f *fake) heard(want ...string) []string {
	f.t.Helper()
	got := f.lines
	f.lines = nil
	if len(want) > 0 && !slices.Equal(got, want) && !(want[0] == "" && len(got) == 0) {
		f.t.Errorf("%s heard %q, want %q", f.peer, got, want)
	}
	return got
}

// asked returns the chunks that it was asked for since the last call, but for those that were
// taken back.
func (f *fake) asked() (chunks []int) {
	for _, line := range f.heard() {
		var kind string
		var c int
		switch fmt.Sscan(line, &kind, &c); kind {
		case "GET":
			chunks = append(chunks, c)
		case "CANCEL":
			chunks = slices.DeleteFunc(chunks, func(o int) bool { return o == c })
		}
	}
	return chunks
}

// nothing is the argument of heard for silence.
const nothing = ""

// lines lists lines of one kind.
func lines(kind string, chunks ...int) (out []string) {
	for _, c := range chunks {
		out = append(out, fmt.Sprint(kind, " ", c))
	}
	return out
}

// fakeTracker answers what it is told to.
type fakeTracker struct {
	mu      sync.Mutex
	reply   Reply
	owners  []string
	err     error // of Owners
	reports []Report
	at      []time.Time // when they came
}

func (f *fakeTracker) Announce(_ context.Context, r Report) (Reply, error) {
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

// all is how often anybody was dialled.
func (f *fakeDialer) all() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, times := range f.dials {
		n += times
	}
	return n
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

// pass lets time go by as Run would.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(tickEvery, time.Until(end)))
		synctest.Wait()
		r.drain()
		if r.every != nil {
			r.every()
		}
		r.tick(time.Now())
		r.now()
	}
}

// each has something done at every tick.
func (r *rig) each(f func()) { r.every = f }

// refuse makes dials to ID:1 fail, the one under way included.
func (r *rig) refuse(id string) {
	r.dialer.mu.Lock()
	r.dialer.dead = map[string]bool{id + ":1": true}
	r.dialer.mu.Unlock()
	r.contacts[id+":1"].failed(time.Now(), errors.New("connection refused"))
}

// answerIfDialled opens the session if the daemon is being dialled.
func (r *rig) answerIfDialled(id string, then func(*fake)) {
	if c := r.contacts[id+":1"]; c != nil && c.dialling {
		if s := r.answered(id); !s.ended {
			then(s)
		}
	}
}

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
