package swarm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
)

// Whatever the number of peers and chunks, whoever is slow, comes late or dies: every peer
// that lives completes, and the origin sends a chunk a second time only if it was lost with
// its owner. The downloads are real, their time and network are not.
func TestSimulation(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		f.Value.Set("40") // a swarm each
		defer f.Value.Set(f.DefValue)
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := plan{
			strategy: rapid.SampledFrom([]Strategy{Swarm, Swarm, Swarm, Static, Direct}).Draw(rt, "strategy"),
			chunks:   rapid.IntRange(0, 40).Draw(rt, "chunks"),
		}
		for range rapid.IntRange(1, 7).Draw(rt, "peers") {
			p.peers = append(p.peers, peerPlan{
				send:  time.Duration(rapid.IntRange(1, 40).Draw(rt, "ms a chunk")) * time.Millisecond,
				start: time.Duration(rapid.SampledFrom([]int{0, 0, 0, 50, 1000}).Draw(rt, "starts at ms")) * time.Millisecond,
				dies:  time.Duration(rapid.SampledFrom([]int{0, 0, 0, 0, 60, 150, 500}).Draw(rt, "dies after ms")) * time.Millisecond,
			})
		}
		var o outcome
		synctest.Test(t, func(t *testing.T) { o = simulate(t, p) })
		if err := o.check(p); err != nil {
			rt.Fatal(err)
		}
	})
}

// The swarm of the design page: eight equal peers. The origin sends everything once, and no
// peer dials another more than once.
func TestSimulatedSwarmOfEight(t *testing.T) {
	p := plan{strategy: Swarm, chunks: 100}
	for range 8 {
		p.peers = append(p.peers, peerPlan{send: time.Millisecond})
	}
	synctest.Test(t, func(t *testing.T) {
		o := simulate(t, p)
		if err := o.check(p); err != nil {
			t.Error(err)
		}
		if o.sent != p.chunks || o.dials > 8+8*7 {
			t.Errorf("%+v", o)
		}
		t.Logf("%+v", o)
	})
}

type plan struct {
	strategy Strategy
	chunks   int
	peers    []peerPlan
}

type peerPlan struct {
	send  time.Duration // how long it takes to send a chunk
	start time.Duration
	dies  time.Duration // after the start; 0 is never
}

// outcome is what became of a plan.
type outcome struct {
	missing    map[string]int // a peer that lives -> chunks that it lacks in the end
	completed  map[string]int // -> how often Complete was called
	sent       int            // chunks that the origin sent
	returned   int            // chunks that came back to it with lost sessions
	dials      int
	duplicates int64 // bytes
	took       time.Duration
}

func (o *outcome) check(p plan) error {
	for id, missing := range o.missing {
		if missing > 0 || o.completed[id] != 1 {
			return fmt.Errorf("peer %s lacks %d of %d chunks, and completed %d times (%+v)", id, missing, p.chunks, o.completed[id], *o)
		}
	}
	deaths := 0
	for _, x := range p.peers {
		if x.dies > 0 {
			deaths++
		}
	}
	n := len(p.peers)
	most := p.chunks + o.returned
	switch {
	case p.strategy == Direct || p.strategy == Static && deaths > 0:
		most = n * p.chunks
	case deaths > 0:
		most += p.chunks // fetched as orphans, when their holder was lost at a bad time
	}
	if o.sent > most {
		return fmt.Errorf("the origin sent %d chunks, at most %d were due (%+v)", o.sent, most, *o)
	}
	if deaths == 0 && o.dials > 2*n*n {
		return fmt.Errorf("%d dials among %d peers (%+v)", o.dials, n, *o)
	}
	return nil
}

// simulate lets a plan happen, in the time of the bubble that it is called in.
func simulate(t *testing.T, p plan) outcome {
	data, m := content(p.chunks)
	w := &world{data: data, m: m, nodes: map[string]*node{}}
	o := &origin{claims: map[*end]map[int]bool{}, count: make([]int, p.chunks)}
	w.add(&node{id: "origin", send: 2 * time.Millisecond, origin: o})
	var owners []string
	for i := range p.peers {
		owners = append(owners, fmt.Sprintf("p%d:1", i))
	}
	table := make([]string, p.chunks)
	for c := range table {
		table[c] = owners[c%len(owners)]
	}
	out := outcome{missing: map[string]int{}, completed: map[string]int{}}
	var mu sync.Mutex
	began := time.Now()
	var alive atomic.Int32 // those that live and have not completed
	ctx, stop := context.WithCancel(t.Context())
	for i, x := range p.peers {
		n := &node{id: fmt.Sprintf("p%d", i), send: x.send, store: openStore(t, m)}
		if x.dies == 0 {
			alive.Add(1)
		}
		n.d = New(Config{
			Self: n.id, Address: n.id + ":1", Strategy: p.strategy,
			Target: chunkserver.Target{Manifest: m, ID: m.ID(), Store: n.store},
			Dialer: dialer{w, n}, Tracker: &simTracker{w: w, n: n, table: table}, Observer: ignore{},
			Rand: rand.New(rand.NewPCG(uint64(i), 7)), Requests: 1024, Progress: NewProgress(p.chunks),
			Complete: func() {
				mu.Lock()
				out.completed[n.id]++
				mu.Unlock()
				if x.dies == 0 {
					alive.Add(-1)
				}
			},
		})
		w.wg.Go(func() {
			ctx, die := context.WithCancel(ctx)
			defer die()
			if !sleep(ctx, x.start) {
				return
			}
			if x.dies > 0 {
				time.AfterFunc(x.dies, die)
			}
			w.add(n)
			n.d.Run(ctx)
			w.kill(n)
		})
	}
	for end := began.Add(10 * time.Minute); time.Now().Before(end) && alive.Load() > 0; {
		time.Sleep(10 * time.Millisecond)
	}
	out.took = time.Since(began)
	time.Sleep(3 * time.Second) // complete peers stay, and settle
	for i, x := range p.peers {
		n := w.find(fmt.Sprintf("p%d:1", i))
		if x.dies == 0 && n != nil {
			mu.Lock()
			out.missing[n.id] = p.chunks - n.store.Count()
			mu.Unlock()
			out.duplicates += n.d.cfg.Progress.Snapshot().Duplicates
		}
	}
	o.mu.Lock()
	out.sent, out.returned = o.sent, o.returned
	o.mu.Unlock()
	stop()
	w.kill(w.find("origin:1"))
	w.wg.Wait()
	out.dials = w.dials
	return out
}

// latency of every link.
const latency = time.Millisecond

// world is the network and the tracker.
type world struct {
	data []byte
	m    *manifest.Manifest
	wg   sync.WaitGroup

	mu     sync.Mutex
	nodes  map[string]*node // by address
	listed []Contact
	dials  int
}

// node is a daemon.
type node struct {
	w      *world
	id     string
	send   time.Duration
	store  *chunkstore.Store // nil for the origin
	d      *Download
	origin *origin

	mu   sync.Mutex
	ends []*end
	over bool
	wake chan struct{}
}

// end is one side of a connection, and the session of its node.
type end struct {
	n       *node
	other   *end
	dialled bool
	in      pipe

	mu       sync.Mutex
	queue    []upload
	received time.Time
	cut      bool
}

type upload struct {
	chunk int
	any   bool
}

func (w *world) add(n *node) {
	n.w, n.wake = w, make(chan struct{}, 1)
	w.mu.Lock()
	w.nodes[n.id+":1"] = n
	w.mu.Unlock()
	w.wg.Go(n.upload)
}

func (w *world) find(addr string) *node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[addr]
}

// kill takes a node off the network.
func (w *world) kill(n *node) {
	n.mu.Lock()
	n.over = true
	ends := slices.Clone(n.ends)
	n.mu.Unlock()
	for _, e := range ends {
		e.Close()
	}
	wakeUp(n.wake)
}

type dialer struct {
	w *world
	n *node
}

func (x dialer) Dial(ctx context.Context, addr string, t *chunkserver.Target) error {
	x.w.mu.Lock()
	x.w.dials++
	x.w.mu.Unlock()
	if !sleep(ctx, 2*latency) {
		return ctx.Err()
	}
	to := x.w.find(addr)
	if to == nil {
		return errors.New("connection refused")
	}
	a, b := &end{n: x.n, dialled: true}, &end{n: to}
	a.other, b.other = b, a
	for _, e := range []*end{a, b} {
		e.in.wake = make(chan struct{}, 1)
		e.n.mu.Lock()
		over := e.n.over
		if !over {
			e.n.ends = append(e.n.ends, e)
		}
		e.n.mu.Unlock()
		if over {
			e.other.forget()
			return errors.New("connection refused")
		}
	}
	for _, e := range []*end{a, b} {
		x.w.wg.Go(e.in.run)
	}
	a.tell(func() { x.n.d.opened(a, t.Handler.(*handler).contact) })
	b.tell(func() {
		if to.origin != nil {
			to.origin.opened(b)
		} else {
			to.d.opened(b, nil)
		}
	})
	return nil
}

// tell has something done by the node's owner of state, in order of the connection.
func (e *end) tell(f func()) {
	e.in.put(func() {
		if e.n.d != nil {
			e.n.d.post(f)
		} else {
			f()
		}
	})
}

func (e *end) Peer() string  { return e.other.n.id }
func (e *end) Dialled() bool { return e.dialled }

func (e *end) LastReceived() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.received
}

func (e *end) Send(k wire.Kind, chunk int) {
	e.deliver(wire.Message{Kind: k, Chunk: chunk}, nil)
}

func (e *end) SendLater(k wire.Kind, chunk int) { e.Send(k, chunk) }

func (e *end) SendBits() { e.deliver(wire.Message{Kind: wire.KindBits}, e.n.store.Bits()) }

func (e *end) deliver(m wire.Message, payload []byte) {
	o := e.other
	o.tell(func() {
		if o.n.origin != nil {
			o.n.origin.got(o, m, payload)
		} else {
			o.n.d.got(o, m, payload)
		}
	})
}

func (e *end) Upload(chunk int) error {
	e.enqueue(upload{chunk: chunk})
	return nil
}

func (e *end) enqueue(u upload) {
	e.mu.Lock()
	e.queue = append(e.queue, u)
	e.mu.Unlock()
	wakeUp(e.n.wake)
}

func (e *end) CancelUpload(chunk int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.queue, upload{chunk: chunk})
	if i >= 0 {
		e.queue = slices.Delete(e.queue, i, i+1)
	}
	return i >= 0
}

func (e *end) Fail(string, error) { e.Close() }

// Close cuts the connection; both sides hear of it after what was on its way.
func (e *end) Close() {
	for _, x := range []*end{e, e.other} {
		x.mu.Lock()
		was := x.cut
		x.cut, x.queue = true, nil
		x.mu.Unlock()
		if was {
			return
		}
		x.tell(func() {
			if x.n.origin != nil {
				x.n.origin.closed(x)
			} else {
				x.n.d.closed(x, errors.New("cut"))
			}
		})
		x.in.put(nil)
		x.forget()
	}
}

func (e *end) forget() {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.n.ends = slices.DeleteFunc(e.n.ends, func(o *end) bool { return o == e })
}

// upload sends what is queued, one chunk after the other, the sessions in turn.
func (n *node) upload() {
	for {
		e, u, over := n.next()
		switch {
		case over:
			return
		case e == nil:
			<-n.wake
			continue
		}
		if u.any {
			if u.chunk = n.origin.hand(e); u.chunk < 0 {
				e.Send(wire.KindNone, wire.NoChunk)
				continue
			}
		}
		time.Sleep(n.send)
		if n.origin != nil {
			n.origin.note()
		}
		o, chunk := e.other, u.chunk
		o.in.put(func() { o.land(chunk) })
		if n.d != nil {
			n.d.post(func() { n.d.sent(e, chunk) })
		}
	}
}

func (n *node) next() (e *end, u upload, over bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, e := range n.ends {
		e.mu.Lock()
		if len(e.queue) > 0 {
			u, e.queue = e.queue[0], e.queue[1:]
			e.mu.Unlock()
			n.ends = append(slices.Delete(n.ends, i, i+1), e)
			return e, u, n.over
		}
		e.mu.Unlock()
	}
	return nil, upload{}, n.over
}

// land stores a chunk that has come.
func (e *end) land(chunk int) {
	m, d := e.n.w.m, e.n.d
	fresh, err := e.n.store.Put(chunk, e.n.w.data[m.Offset(chunk):][:m.Length(chunk)])
	e.mu.Lock()
	e.received = time.Now()
	e.mu.Unlock()
	var c *contact
	if e.other.n.origin != nil {
		c = &contact{origin: true} // read only where the session has ended
	}
	d.post(func() {
		d.landed(e, c, chunkserver.Landing{Chunk: chunk, Bytes: m.Length(chunk), Fresh: fresh, Err: err})
	})
}

// origin hands out chunks as the real one does.
type origin struct {
	mu       sync.Mutex
	claims   map[*end]map[int]bool
	count    []int // a chunk -> how many own or hold it
	sent     int
	returned int
}

func (o *origin) opened(e *end) {
	o.mu.Lock()
	o.claims[e] = map[int]bool{}
	o.mu.Unlock()
}

func (o *origin) closed(e *end) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.claims[e] {
		if o.count[c]--; o.count[c] == 0 {
			o.returned++
		}
	}
	delete(o.claims, e)
}

func (o *origin) got(e *end, m wire.Message, payload []byte) {
	switch m.Kind {
	case wire.KindGet:
		e.enqueue(upload{chunk: m.Chunk})
	case wire.KindAny:
		e.enqueue(upload{any: true})
	case wire.KindCancel:
		e.CancelUpload(m.Chunk)
	case wire.KindHave:
		o.claim(e, m.Chunk)
	case wire.KindBits:
		for c := range o.count {
			if payload[c/8]&(0x80>>(c%8)) != 0 {
				o.claim(e, c)
			}
		}
	}
}

func (o *origin) claim(e *end, c int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if mine, ok := o.claims[e]; ok && !mine[c] {
		mine[c] = true
		o.count[c]++
	}
}

func (o *origin) hand(e *end) int {
	o.mu.Lock()
	c := slices.Index(o.count, 0)
	o.mu.Unlock()
	if c >= 0 {
		o.claim(e, c)
	}
	return c
}

func (o *origin) note() {
	o.mu.Lock()
	o.sent++
	o.mu.Unlock()
}

// simTracker is the tracker as one peer sees it.
type simTracker struct {
	w     *world
	n     *node
	table []string
}

func (x *simTracker) Announce(ctx context.Context, r Report) (Reply, error) {
	me := Contact{x.n.id, x.n.id + ":1"}
	others := func() []Contact {
		return slices.DeleteFunc(slices.Clone(x.w.listed), func(c Contact) bool { return c == me })
	}
	x.w.mu.Lock()
	x.w.listed = others()
	if !r.Left {
		x.w.listed = append(x.w.listed, me)
	}
	x.w.mu.Unlock()
	sleep(ctx, 2*latency) // so that those who start together hear of each other, and all dial
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	return Reply{Origins: []Contact{{"origin", "origin:1"}}, Peers: others(), Interval: 2 * time.Second}, nil
}

func (x *simTracker) Owners(context.Context) ([]string, error) { return x.table, nil }

// pipe does one thing after the other, each some time after it was put in; nil is the end.
type pipe struct {
	mu    sync.Mutex
	items []item
	wake  chan struct{}
}

type item struct {
	at time.Time
	do func()
}

func (p *pipe) put(f func()) {
	p.mu.Lock()
	p.items = append(p.items, item{time.Now().Add(latency), f})
	p.mu.Unlock()
	wakeUp(p.wake)
}

func (p *pipe) run() {
	for {
		p.mu.Lock()
		items := p.items
		p.items = nil
		p.mu.Unlock()
		for _, x := range items {
			time.Sleep(time.Until(x.at))
			if x.do == nil {
				return
			}
			x.do()
		}
		if len(items) == 0 {
			<-p.wake
		}
	}
}

type ignore struct{}

func (ignore) Landed(Source, int, time.Duration, bool) {}
func (ignore) VerifyFailed(string, int)                {}

func wakeUp(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
