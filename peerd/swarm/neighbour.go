package swarm

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

const (
	// maxAccepted bounds the peers that have dialled this one, and are connected. There is more room
	// than for those that it dials, of which a joiner is told more: whoever comes finds a place.
	maxAccepted   = 64
	maxNeighbours = maxDialled + maxAccepted
	// muteFor is how long a peer that has dialled may say nothing and keep its place from another.
	muteFor = 2 * time.Second
)

// neighbour is a remote peer or origin, from the opening of its session until that is closed.
type neighbour struct {
	id       exchange.ID
	peer     string   // its peer ID
	contact  *contact // as dialled; nil if the other side has dialled
	origin   bool
	since    time.Time
	received time.Time // when payload last came from it
	heard    time.Time // when a message last did
	sent     time.Time // when a chunk was last sent to it
	leaving  bool      // its session is about to end, by this side
	version  int       // of the protocol of its session
	lent     bool      // what is being sent to it goes without an upload slot
	slow     bool      // and so did the last chunk: it is not this side's uplink that it waits for
	holding
	theirs, ours int // chunks that it, and this peer, held when it first said what it holds

	queue   []int            // chunks waiting to be sent to it
	waiting map[int]struct{} // chunks that it asked for and that are still to come here
}

// dialled says whether this side opened the session.
func (n *neighbour) dialled() bool { return n.contact != nil }

// unqueue takes note that a chunk is no longer waiting to be sent.
func (n *neighbour) unqueue(chunk int) {
	if i := slices.Index(n.queue, chunk); i >= 0 {
		n.queue = slices.Delete(n.queue, i, i+1)
	}
}

// neighbours are all of a download.
type neighbours struct {
	byID map[exchange.ID]*neighbour // those that were refused, too
	open []*neighbour               // in the order in which they came
	ids  []exchange.ID              // of open; replaced, never changed
}

func newNeighbours() neighbours { return neighbours{byID: map[exchange.ID]*neighbour{}} }

// find returns the neighbour with an open session of that ID; nil if there is none.
func (ns *neighbours) find(id exchange.ID) *neighbour {
	if n := ns.byID[id]; n != nil && n.waiting != nil {
		return n
	}
	return nil
}

func (ns *neighbours) add(n *neighbour) {
	n.waiting = map[int]struct{}{}
	ns.open = append(ns.open, n)
	ns.renumber()
}

func (ns *neighbours) remove(n *neighbour) {
	ns.open = slices.DeleteFunc(ns.open, func(o *neighbour) bool { return o == n })
	ns.renumber()
}

func (ns *neighbours) renumber() {
	ns.ids = make([]exchange.ID, len(ns.open))
	for i, n := range ns.open {
		ns.ids[i] = n.id
	}
}

// connected says whether there is a session with a peer, whoever has dialled.
func (ns *neighbours) connected(peer string) bool {
	return slices.ContainsFunc(ns.open, func(n *neighbour) bool { return n.peer == peer })
}

// ledger is what a strategy keeps of some of the neighbours, in the order in which they came.
type ledger[T any] struct {
	of  map[*neighbour]*T
	all []*T
}

func newLedger[T any]() ledger[T] { return ledger[T]{of: map[*neighbour]*T{}} }

func (l *ledger[T]) add(n *neighbour, t *T) {
	l.of[n] = t
	l.all = append(l.all, t)
}

// remove forgets a neighbour; it returns what was kept of it, nil if nothing was.
func (l *ledger[T]) remove(n *neighbour) *T {
	t := l.of[n]
	if t != nil {
		delete(l.of, n)
		l.all = slices.DeleteFunc(l.all, func(o *T) bool { return o == t })
	}
	return t
}

// fromAnywhere goes through all of them from a random one, so that none is always the first.
func fromAnywhere[T any](r *rand.Rand, all []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		if len(all) == 0 {
			return
		}
		start := r.IntN(len(all))
		for i := range all {
			if !yield(all[(start+i)%len(all)]) {
				return
			}
		}
	}
}

// opened takes a new session in.
func (e *Engine) opened(ev exchange.Opened, now time.Time) {
	n := &neighbour{id: ev.ID, peer: ev.Peer, since: now, version: ev.Version, contact: e.contacts.answered(ev.Address), holding: newHolding(e.cfg.Chunks)}
	n.origin = n.contact != nil && n.contact.origin
	e.neighbours.byID[n.id] = n
	if code, err := e.unwelcome(n, now); err != nil {
		e.do(exchange.Fail{To: n.id, Code: code, Err: err})
		if n.contact != nil {
			e.contacts.failed(n.contact, err, now)
		}
		return
	}
	if n.contact != nil {
		n.contact.neighbour = n
	}
	e.neighbours.add(n)
	e.do(exchange.SendBits{To: n.id})
	e.strategy.opened(n)
}

// unwelcome says why a session is not taken in.
func (e *Engine) unwelcome(n *neighbour, now time.Time) (code string, err error) {
	switch {
	case n.peer == e.cfg.Self:
		return wire.CodeBadMessage, fmt.Errorf("%s is my own peer ID", n.peer)
	case e.contacts.isBanned(banKey(n.peer, n.contact), now):
		return wire.CodeBanned, errors.New("it sent wrong bytes before")
	case !n.dialled() && e.cfg.Strategy == Swarm && !e.makeRoom(n, now):
		return wire.CodeTooMany, fmt.Errorf("%d peers that have dialled are connected, the most there may be", maxAccepted)
	}
	return "", nil
}

// makeRoom says whether there is room for a peer that has dialled. One that is connected already
// takes its own place, for its old session is about to end; another takes that of a peer that has
// said nothing yet. For other strategies than swarm, in which all need all, the limits of the daemon
// are enough.
func (e *Engine) makeRoom(n *neighbour, now time.Time) bool {
	peers := map[string]bool{}
	var mute *neighbour
	for _, o := range e.neighbours.open {
		if o.dialled() || o.leaving || o.peer == n.peer {
			continue
		}
		peers[o.peer] = true
		if mute == nil && o.heard.IsZero() && o.received.IsZero() && now.Sub(o.since) >= muteFor {
			mute = o
		}
	}
	if len(peers) >= maxAccepted && mute != nil {
		e.bye(mute, fullFor)
		return true
	}
	return len(peers) < maxAccepted
}

func (e *Engine) closed(ev exchange.Closed, now time.Time) {
	n := e.neighbours.find(ev.ID)
	delete(e.neighbours.byID, ev.ID)
	if n == nil {
		return
	}
	e.neighbours.remove(n)
	if c := n.contact; c != nil && c.neighbour == n {
		e.contacts.lost(c, ev.Err, now)
	}
	e.strategy.closed(n, now)
}

// got handles what is the same in all strategies, and leaves the rest to them.
func (e *Engine) got(ev exchange.Got, now time.Time) {
	n, m := e.neighbours.find(ev.From), ev.Message
	if n == nil {
		return
	}
	first := n.heard.IsZero()
	n.heard = now
	switch m.Kind {
	case wire.KindBits:
		bits, err := bitmap.Decode(ev.Payload, e.cfg.Chunks)
		if err != nil {
			e.do(exchange.Fail{To: n.id, Code: wire.CodeBadLength, Err: err})
			return
		}
		for c, ok := bits.NextSet(0); ok; c, ok = bits.NextSet(c + 1) {
			n.add(int(c))
			e.strategy.holds(n, int(c))
		}
		if first {
			n.theirs, n.ours = int(n.count), int(e.held.Count())
		}
	case wire.KindHave:
		for c := range m.Chunks() {
			n.add(c)
			e.strategy.heard(n, c, now)
		}
	case wire.KindGet:
		e.strategy.got(n, m, now)
		e.gotGet(n, m.Chunk)
	case wire.KindAny: // only origins hand out
		e.send(n, wire.KindNone, wire.NoChunk)
	case wire.KindCancel:
		delete(n.waiting, m.Chunk)
		e.withdraw(n, m.Chunk)
		e.strategy.got(n, m, now)
	default:
		if m.Kind == wire.KindNone {
			n.remove(m.Chunk)
		}
		e.strategy.got(n, m, now)
	}
}

func (e *Engine) gotGet(n *neighbour, chunk int) {
	switch {
	case e.has(chunk):
		e.upload(n, chunk)
	case !e.strategy.waits(chunk):
		e.send(n, wire.KindNone, chunk)
	case len(n.waiting) >= e.cfg.Requests:
		e.do(exchange.Fail{To: n.id, Code: wire.CodeTooMany, Err: room.ErrTooMany})
	default:
		n.waiting[chunk] = struct{}{}
	}
}

// withdraw takes back an upload that is not needed any more, if there is one.
func (s *shared) withdraw(n *neighbour, chunk int) {
	if slices.Contains(n.queue, chunk) {
		s.do(exchange.Withdraw{To: n.id, Chunk: chunk})
	}
}
