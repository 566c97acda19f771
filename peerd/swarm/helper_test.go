package swarm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/peerd/picker"
)

const chunkSize = 4 << 10

// rig is an engine, and what carries out its actions.
type rig struct {
	*Engine
	t        *testing.T
	cfg      Config
	held     map[int]bool
	tracker  *fakeTracker
	dialer   *fakeDialer
	sessions map[exchange.ID]*fake
	last     exchange.ID
	version  int // of the sessions to come
	owned    map[int]bool
	complete int
	failures []string
	// duplicates are chunks that came although they were held.
	duplicates int
	gaveUp     error
	every      func() // see each
}

// newRig makes a download of so many chunks by peer "m" at "m:1".
func newRig(t *testing.T, strategy Strategy, chunks int, change ...func(*rig)) *rig {
	t.Helper()
	r := &rig{
		t: t, held: map[int]bool{}, tracker: &fakeTracker{}, dialer: &fakeDialer{}, version: 2, sessions: map[exchange.ID]*fake{}, owned: map[int]bool{},
	}
	r.cfg = Config{
		Self: "m", Address: "m:1", Strategy: strategy, Chunks: chunks, ChunkSize: chunkSize,
		Held: func(chunk int) bool { return r.held[chunk] }, Rand: rand.New(rand.NewPCG(1, 2)), Requests: 1024,
	}
	for _, f := range change {
		f(r)
	}
	return r
}

// begin makes the engine.
func (r *rig) begin() *rig {
	r.t.Helper()
	if r.cfg.Strategy == Static {
		r.cfg.Owners = r.tracker.owners
	}
	r.Engine = New(r.cfg, time.Now())
	r.now()
	return r
}

// tell gives the engine an event, and has done what it decides.
func (r *rig) tell(ev exchange.Event) {
	r.Take(time.Now(), ev)
	r.now()
}

// now has done what is decided.
func (r *rig) now() {
	r.t.Helper()
	r.Settle(time.Now(), r.carry)
}

func (r *rig) carry(a exchange.Action) (became exchange.Event) {
	for id := range exchange.To(a) {
		became = r.sessions[id].carry(a)
	}
	switch a := a.(type) {
	case exchange.Dial:
		return r.dialer.dial(a.Address)
	case exchange.Announce:
		r.tracker.announces = append(r.tracker.announces, time.Now())
		if r.tracker.reply != nil {
			return *r.tracker.reply
		}
	case exchange.Own:
		r.owned[a.Chunk] = true
	case exchange.Distrust:
		r.failures = append(r.failures, fmt.Sprint(a.Peer, " ", a.Chunk))
	case exchange.Complete:
		r.complete++
	case exchange.GiveUp:
		r.gaveUp = a.Err
	}
	return became
}

// at is the daemon ID at ID:1.
func at(id string) exchange.Contact { return exchange.Contact{ID: id, Address: id + ":1"} }

// names has the tracker name origins and peers.
func (r *rig) names(a exchange.Answered) { r.tell(a) }

// origin opens a session with an origin that was dialled.
func (r *rig) origin(id string) *fake {
	r.names(exchange.Answered{Origins: []exchange.Contact{at(id)}})
	return r.answered(id)
}

// answered opens the session that the daemon at ID:1 was dialled for.
func (r *rig) answered(id string) *fake {
	r.t.Helper()
	c := r.contacts.byAddress[id+":1"]
	if c == nil || !c.dialling {
		r.t.Fatalf("%s is not being dialled: %+v", id, c)
	}
	return r.open(id, id+":1")
}

// caller opens a session that a peer has dialled.
func (r *rig) caller(id string) *fake { return r.open(id, "") }

// open opens a session, on which both sides say that they hold nothing, unless it is refused, or the
// download holds something, which is left to be heard.
func (r *rig) open(peer, address string) *fake {
	s := r.idle(peer, address)
	if len(s.lines) > 0 && s.lines[0] == "BITS" && r.Count() == 0 {
		s.lines = s.lines[1:]
	}
	if !s.ended {
		s.shows()
	}
	return s
}

// idle opens a session on which the other side says nothing.
func (r *rig) idle(peer, address string) *fake {
	r.last++
	s := &fake{rig: r, id: r.last, peer: peer}
	r.sessions[s.id] = s
	r.tell(exchange.Opened{ID: s.id, Peer: peer, Address: address, Version: r.version})
	return s
}

// fake is one session, seen from the download.
type fake struct {
	*rig
	id    exchange.ID
	peer  string
	lines []string
	queue []int // uploads
	ended bool
	bye   time.Duration // for which it was told not to come back
	code  string
}

func (f *fake) carry(a exchange.Action) exchange.Event {
	switch a := a.(type) {
	case exchange.Send:
		f.line(wire.Message{Kind: a.Kind, Chunk: a.Chunk, Bytes: a.Amount, Wait: a.Amount})
	case exchange.Tell:
		f.line(wire.Message{Kind: wire.KindHave, Chunk: a.Chunk})
	case exchange.SendBits:
		f.lines = append(f.lines, "BITS")
	case exchange.Upload:
		f.queue = append(f.queue, a.Chunk)
	case exchange.Withdraw:
		if i := slices.Index(f.queue, a.Chunk); i >= 0 {
			f.queue = slices.Delete(f.queue, i, i+1)
			return exchange.Withdrawn(a)
		}
	case exchange.Fail:
		f.ended, f.code = true, a.Code
	case exchange.Close:
		f.ended = true
	case exchange.Bye:
		f.ended, f.bye = true, a.For
	}
	return nil
}

func (f *fake) line(m wire.Message) {
	line := wire.AppendMessage(nil, m)
	f.lines = append(f.lines, string(line[:len(line)-1]))
}

// neighbour is what the engine knows of it.
func (f *fake) neighbour() *neighbour { return f.neighbours.byID[f.id] }

// anys is how many handouts it is asked for.
func (f *fake) anys() int { return f.strategy.(*dynamic).get.origins.of[f.neighbour()].anys }

// view is what the picker knows of it.
func (f *fake) view() *picker.Neighbour {
	return f.strategy.(*dynamic).get.peers.of[f.neighbour()].view
}

// says gives the download a message of this session's other side.
func (f *fake) says(k wire.Kind, chunk int) {
	f.tell(exchange.Got{From: f.id, Message: wire.Message{Kind: k, Chunk: chunk}})
}

// offersRoom says that this session's other side has room for so many bytes, and names a chunk.
func (f *fake) offersRoom(bytes, chunk int) {
	f.tell(exchange.Got{From: f.id, Message: wire.Message{Kind: wire.KindRoom, Chunk: chunk, Bytes: bytes}})
}

// proves makes a peer one that has brought something before.
func (f *fake) proves() *fake {
	f.strategy.(*dynamic).get.p.Prove(f.view())
	return f
}

// passes says that it needs nothing for so many milliseconds.
func (f *fake) passes(ms int) {
	f.tell(exchange.Got{From: f.id, Message: wire.Message{Kind: wire.KindPass, Wait: ms}})
}

// shows gives it BITS.
func (f *fake) shows(chunks ...int) {
	set := bitset.New(uint(f.cfg.Chunks))
	for _, c := range chunks {
		set.Set(uint(c))
	}
	bits := bitmap.Encode(set, f.cfg.Chunks)
	f.tell(exchange.Got{From: f.id, Message: wire.Message{Kind: wire.KindBits, Bytes: len(bits)}, Payload: bits})
}

// gives lands a chunk from this session.
func (f *fake) gives(chunk int) {
	f.t.Helper()
	f.store(chunk)()
}

// store puts a chunk into the store, and returns what tells the download so.
func (f *fake) store(chunk int) (tell func()) {
	fresh := !f.held[chunk]
	if !fresh {
		f.duplicates++
	}
	f.held[chunk] = true
	f.Take(time.Now(), exchange.Received{From: f.id, At: time.Now()})
	return func() { f.tell(exchange.Landed{From: f.id, Chunk: chunk, Fresh: fresh}) }
}

// lies lands wrong bytes, after which the chunk server closes the session.
func (f *fake) lies(chunk int) {
	f.tell(exchange.Landed{From: f.id, Chunk: chunk, Err: manifest.ErrDigest})
	f.hangsUp()
}

// lives gives the sign of life that was asked for, if one was.
func (f *fake) lives() {
	if i := slices.Index(f.lines, "ANY"); i >= 0 {
		f.lines = slices.Delete(f.lines, i, i+1)
		f.says(wire.KindNone, wire.NoChunk)
	}
}

func (f *fake) hangsUp() {
	f.ended = true
	f.tell(exchange.Closed{ID: f.id, Err: errors.New("gone")})
}

// takes sends the first chunk queued for this session.
func (f *fake) takes() {
	c := f.queue[0]
	f.queue = f.queue[1:]
	f.tell(exchange.Sent{To: f.id, Chunk: c})
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

// fakeTracker answers what it is told to; nothing, if it is told nothing.
type fakeTracker struct {
	reply     *exchange.Answered
	owners    []string
	announces []time.Time
}

// fakeDialer counts dials. Those to dead addresses fail, others stay in the handshake until
// the test answers them.
type fakeDialer struct {
	dials map[string]int
	dead  map[string]bool
}

func (f *fakeDialer) dial(addr string) exchange.Event {
	if f.dials == nil {
		f.dials = map[string]int{}
	}
	f.dials[addr]++
	if f.dead[addr] {
		return exchange.NotDialled{Address: addr, Err: errRefused}
	}
	return nil
}

var errRefused = errors.New("connection refused")

func (f *fakeDialer) count(addr string) int { return f.dials[addr] }

// all is how often anybody was dialled.
func (f *fakeDialer) all() (n int) {
	for _, times := range f.dials {
		n += times
	}
	return n
}

// pass lets time go by as a daemon would.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(TickEvery, time.Until(end)))
		if r.every != nil {
			r.every()
		}
		r.tell(exchange.Tick{})
	}
}

// each has something done at every tick.
func (r *rig) each(f func()) { r.every = f }

// refuse makes dials to ID:1 fail, the one under way included.
func (r *rig) refuse(id string) {
	r.dialer.dead = map[string]bool{id + ":1": true}
	r.tell(exchange.NotDialled{Address: id + ":1", Err: errRefused})
}

// answerIfDialled opens the session if the daemon is being dialled.
func (r *rig) answerIfDialled(id string, then func(*fake)) {
	if c := r.contacts.byAddress[id+":1"]; c != nil && c.dialling {
		if s := r.answered(id); !s.ended {
			then(s)
		}
	}
}

// received is that payload comes from a session.
func received(f *fake) exchange.Received { return exchange.Received{From: f.id, At: time.Now()} }

// owes are the chunks that a session was asked for and has not given, under an assigned strategy.
func (f *fake) owes() []int { return f.strategy.(*assigned).feeds.of[f.neighbour()].chunks() }
