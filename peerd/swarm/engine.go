package swarm

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

// Strategy is how a download is done.
type Strategy string

// The strategies.
const (
	Direct Strategy = "direct" // every chunk from the origin
	Static Strategy = "static" // every chunk from the owner that the tracker file names
	Swarm  Strategy = "swarm"  // owners emerge; they push, the rest is pulled
)

// TickEvery is how often an Engine is to be told exchange.Tick.
const TickEvery = 100 * time.Millisecond

// Config is what a download is about.
type Config struct {
	Self     string // this peer's ID
	Address  string // this peer's chunk address, as others know it
	Strategy Strategy
	// Owners is the tracker file, the chunk address of every chunk's owner, for Static. A
	// download that lacks nothing needs none.
	Owners    []string
	Chunks    int
	ChunkSize int64 // bytes
	// Held says which chunks are here at the beginning.
	Held func(chunk int) bool
	Rand *rand.Rand
	// Requests is how many GETs of one session may wait here for their chunks.
	Requests int
}

// Engine is one download's state and decisions. It is not safe for concurrent use.
type Engine struct {
	shared
	strategy strategy
}

// shared is what the engine and its strategy both work on.
type shared struct {
	cfg        Config
	held       *bitset.BitSet
	uncounted  *bitset.BitSet // chunks that were not here at the beginning, and of whose storing no word has come
	finished   bool
	finishedAt time.Time
	neighbours neighbours
	contacts   contacts
	announces  announces
	uplink     room.Uplink    // what this download was seen to send
	room       exchange.Spare // what there is, and nobody was told of
	out        []exchange.Action
	spare      []exchange.Action
}

// strategy decides what is asked of whom. It is told what happens, and fill is called after
// everything that may have changed something.
type strategy interface {
	opened(n *neighbour)
	closed(n *neighbour, now time.Time)
	got(n *neighbour, m wire.Message, now time.Time)
	holds(n *neighbour, chunk int)                // it has had the chunk for some time, or has it from here
	heard(n *neighbour, chunk int, now time.Time) // it has just got the chunk
	landed(n *neighbour, l exchange.Landed, now time.Time)
	waits(chunk int) bool // whether a GET for this missing chunk may wait for it
	met(peers []exchange.Contact, now time.Time)
	tick(now time.Time)
	fill(now time.Time)
	claims(yield func(chunk int, of *neighbour)) // nil: of nobody
}

// New makes the engine of a download that begins now.
func New(cfg Config, now time.Time) *Engine {
	e := &Engine{shared: shared{
		cfg: cfg, held: bitset.New(uint(cfg.Chunks)),
		neighbours: newNeighbours(), contacts: newContacts(cfg.Rand), announces: newAnnounces(cfg.Rand, now),
	}}
	for c := range cfg.Chunks {
		if cfg.Held(c) {
			e.held.Set(uint(c))
		}
	}
	e.uncounted = e.held.Complement()
	if cfg.Strategy == Swarm {
		e.strategy = newDynamic(&e.shared, now)
	} else {
		e.strategy = newAssigned(&e.shared, now)
	}
	e.checkComplete(now)
	return e
}

// Take takes note of something that has happened. Several may have before Decide is called.
func (e *Engine) Take(now time.Time, ev exchange.Event) {
	switch ev := ev.(type) {
	case exchange.Opened:
		e.opened(ev, now)
	case exchange.Got:
		e.got(ev, now)
	case exchange.Landed:
		e.landed(ev, now)
	case exchange.Sent:
		if n := e.neighbours.find(ev.To); n != nil {
			n.slow, n.lent = n.lent, false
			e.uplink.Sent(int(e.cfg.ChunkSize), now)
			n.unqueue(ev.Chunk)
			n.add(ev.Chunk)
			n.sent = now
			e.strategy.holds(n, ev.Chunk)
		}
	case exchange.Lent:
		if n := e.neighbours.find(ev.To); n != nil {
			n.slow, n.lent = true, true
		}
	case exchange.Spare:
		e.room = ev
	case exchange.Withdrawn:
		if n := e.neighbours.find(ev.To); n != nil {
			n.unqueue(ev.Chunk)
		}
	case exchange.Received:
		if n := e.neighbours.find(ev.From); n != nil {
			n.received = ev.At
		}
	case exchange.Closed:
		e.closed(ev, now)
	case exchange.NotDialled:
		e.contacts.notDialled(ev.Address, ev.Err, now)
	case exchange.Answered:
		e.announces.answered(ev.Interval, now)
		e.met(ev, now)
	case exchange.NotAnswered:
		e.announces.notAnswered(ev.Withdrawn, now)
	case exchange.Wanted:
		e.announces.want(ev.Asked, now)
	case exchange.Tick:
		e.redial(now)
		e.part(now)
		e.strategy.tick(now)
	}
}

// Decide returns what is to be done now; it is valid until the next call.
func (e *Engine) Decide(now time.Time) []exchange.Action {
	e.strategy.fill(now)
	if e.announces.due(now) {
		e.do(exchange.Announce{})
	}
	out := e.out
	e.out, e.spare = e.spare[:0], out
	return out
}

// Settle has carried out what is decided now, and what is decided in consequence: carry returns
// what became of an action, if that is known at once.
func (e *Engine) Settle(now time.Time, carry func(exchange.Action) (became exchange.Event)) {
	for again := true; again; {
		again = false
		for _, a := range e.Decide(now) {
			if ev := carry(a); ev != nil {
				e.Take(now, ev)
				again = true
			}
		}
	}
}

// Finished says that everything is here.
func (e *Engine) Finished() bool { return e.finished }

// Has says whether a chunk is here.
func (e *Engine) Has(chunk int) bool { return e.has(chunk) }

// Count is how many chunks are here.
func (e *Engine) Count() int { return int(e.held.Count()) }

// Claims calls yield for every chunk that has been asked of a neighbour, or accepted from one,
// and has not come; and, with the ID 0, for every chunk that would never be asked of anybody. It is
// for those who check what this package promises.
func (e *Engine) Claims(yield func(chunk int, of exchange.ID)) {
	e.strategy.claims(func(chunk int, of *neighbour) {
		if of == nil {
			of = &neighbour{}
		}
		yield(chunk, of.id)
	})
}

// Trouble says why nothing may be coming, given what has been noted elsewhere: a reason that the
// download may not move, and the tracker's last error.
func (e *Engine) Trouble(noted string, tracker error) string {
	switch {
	case e.finished:
		return ""
	case noted != "":
		return noted
	case len(e.neighbours.open) > 0:
		return "waiting: the connected peers and origins send nothing"
	case tracker != nil:
		return "waiting for the tracker: " + tracker.Error()
	}
	for _, c := range e.contacts.all {
		if c.err != nil {
			return "waiting for a peer or an origin; " + c.Address + ": " + c.err.Error()
		}
	}
	return "waiting: the tracker knows no origin and no peer that has the file"
}

// landed takes note of a chunk that has come, and sends it to those who wait for it.
func (e *Engine) landed(l exchange.Landed, now time.Time) {
	n := e.neighbours.byID[l.From]
	if n == nil { // closed since; its chunk is as good
		n = &neighbour{id: l.From, holding: newHolding(0)}
	}
	if errors.Is(l.Err, manifest.ErrDigest) {
		e.distrust(n, l.Chunk, now)
		return
	}
	if l.Err != nil {
		if !errors.Is(l.Err, fs.ErrClosed) {
			e.do(exchange.GiveUp{Err: fmt.Errorf("store chunk %d: %w", l.Chunk, l.Err)})
		}
		return
	}
	n.add(l.Chunk)
	if l.Fresh {
		e.uncounted.Clear(uint(l.Chunk))
	}
	if !e.has(l.Chunk) {
		e.held.Set(uint(l.Chunk))
		for _, o := range e.neighbours.open {
			if _, waits := o.waiting[l.Chunk]; waits {
				delete(o.waiting, l.Chunk)
				e.upload(o, l.Chunk)
			}
		}
	}
	e.strategy.landed(n, l, now)
	e.checkComplete(now)
}

// checkComplete ends the fetching once everything is here, and counted: what is reported at the
// end must add up.
func (e *Engine) checkComplete(now time.Time) {
	if e.finished || e.uncounted.Any() {
		return
	}
	e.finished, e.finishedAt = true, now
	e.do(exchange.Complete{})
	e.announces.want(false, now)
}

// distrust drops a daemon that sent wrong bytes: a peer for good, an origin, without which
// there may be no download, for a while.
func (e *Engine) distrust(n *neighbour, chunk int, now time.Time) {
	e.contacts.ban(n, now)
	e.do(exchange.Distrust{Peer: n.peer, Origin: n.origin, Chunk: chunk})
}

// met hears whom the tracker names.
func (e *Engine) met(r exchange.Answered, now time.Time) {
	if e.finished {
		return
	}
	e.dial(e.contacts.nameOrigins(r.Origins)...)
	e.strategy.met(r.Peers, now)
}

// redial dials whom it is time to; nobody once everything is here: who lacks it dials.
func (e *Engine) redial(now time.Time) {
	if !e.finished {
		e.dial(e.contacts.due(&e.neighbours, now)...)
	}
}

func (s *shared) do(a exchange.Action) { s.out = append(s.out, a) }

func (s *shared) send(to *neighbour, kind wire.Kind, chunk int) {
	s.do(exchange.Send{To: to.id, Kind: kind, Chunk: chunk})
}

func (s *shared) upload(to *neighbour, chunk int) {
	s.do(exchange.Upload{To: to.id, Chunk: chunk})
	to.queue = append(to.queue, chunk)
}

// tellHave tells everybody but the one it came from, who knows; at once where it is urgent. An
// origin does not know what became of what it sent.
func (s *shared) tellHave(chunk int, from *neighbour, urgent bool) {
	tell := exchange.Tell{To: s.neighbours.ids, Chunk: chunk, Later: !urgent}
	if !from.origin {
		tell.But = from.id
	}
	s.do(tell)
}

func (s *shared) dial(them ...*contact) {
	for _, c := range them {
		s.do(exchange.Dial{Address: c.Address, Origin: c.origin})
	}
}

func (s *shared) has(chunk int) bool { return s.held.Test(uint(chunk)) }
