package swarm

import (
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
	"fanout/peerd/picker"
)

// dynamic is the strategy `swarm`. A peer asks the origin for handouts while it can send them on, and
// pushes what it is handed to neighbours that do not wait for much already. All else spreads by those
// who have it: who could send more says so to a neighbour that lacks something, and that one asks for
// what it needs most. So it is the receiver who chooses, and nothing comes twice.
type dynamic struct {
	*shared
	get  demand
	give supply
}

func newDynamic(s *shared, now time.Time) *dynamic {
	w := &dynamic{shared: s, get: newDemand(s, now)}
	w.give = supply{shared: s, ledgers: &w.get.ledgers}
	return w
}

func (w *dynamic) opened(n *neighbour) {
	if n.origin {
		w.get.origins.add(n, &giver{supplier: supplier{neighbour: n, view: w.get.p.Join()}, room: wire.NoChunk})
		return
	}
	if old := w.other(n); old != nil {
		// Of two that the same side has dialled, it has given up the older one.
		if n.dialled() != old.dialled() && w.preferred(old) {
			w.do(exchange.Close{ID: n.id})
			return
		}
		w.do(exchange.Close{ID: old.id})
	}
	w.get.peers.add(n, &partner{supplier: supplier{neighbour: n, view: w.get.p.Join()}})
}

// other finds an older session with the same peer: both sides have dialled.
func (w *dynamic) other(n *neighbour) *neighbour {
	for _, o := range w.get.peers.all {
		if o.peer == n.peer {
			return o.neighbour
		}
	}
	return nil
}

// preferred says which of two sessions both sides keep: that of the lower ID's dialling.
func (w *dynamic) preferred(n *neighbour) bool {
	return n.dialled() == (w.cfg.Self < n.peer)
}

func (w *dynamic) closed(n *neighbour, now time.Time) {
	if o := w.get.origins.remove(n); o != nil {
		w.get.p.Leave(o.view)
	}
	if p := w.get.peers.remove(n); p != nil {
		w.get.p.Leave(p.view)
	}
	if len(w.neighbours.open) == 0 && !w.finished {
		w.announces.alone(now)
	}
}

func (w *dynamic) holds(n *neighbour, chunk int) {
	if p := w.get.peers.of[n]; p != nil {
		w.get.p.Hold(p.view, chunk)
		w.withdraw(n, chunk)
	}
}

// heard notes that a neighbour has just got a chunk.
func (w *dynamic) heard(n *neighbour, chunk int, now time.Time) {
	if p := w.get.peers.of[n]; p != nil {
		w.get.p.Heard(p.view, chunk, now)
	}
	w.holds(n, chunk)
}

func (w *dynamic) got(n *neighbour, m wire.Message, now time.Time) {
	if p := w.get.peers.of[n]; p != nil {
		w.gotFromPeer(p, m, now)
	}
	if o := w.get.origins.of[n]; o != nil {
		w.gotFromOrigin(o, m, now)
	}
}

func (w *dynamic) gotFromPeer(p *partner, m wire.Message, now time.Time) {
	switch m.Kind {
	case wire.KindOffer:
		p.begins(now)
		if !w.get.welcome(p, m.Chunk) || !w.get.p.Offer(p.view, m.Chunk, now) {
			w.send(p.neighbour, wire.KindCancel, m.Chunk)
		}
	case wire.KindNone:
		if m.Chunk != wire.NoChunk {
			w.get.p.Refused(p.view, m.Chunk)
		}
	case wire.KindGet:
		p.offer.Taken()
	case wire.KindCancel:
		w.give.tookBack(p)
	case wire.KindPass:
		w.give.passed(p, m.Wait, now)
	case wire.KindRoom:
		p.room = m.Bytes
		if m.Chunk != wire.NoChunk {
			p.add(m.Chunk)
			w.get.p.Hold(p.view, m.Chunk)
		}
	}
}

func (w *dynamic) gotFromOrigin(o *giver, m wire.Message, now time.Time) {
	switch m.Kind {
	case wire.KindOffer: // it says ROOM
		w.send(o.neighbour, wire.KindCancel, m.Chunk)
	case wire.KindNone:
		if m.Chunk != wire.NoChunk {
			w.get.p.Withdraw(o.view, m.Chunk)
			o.drain(now)
		} else if o.anys > 0 {
			o.anys--
			o.drain(now)
			if w.get.ended.IsZero() {
				w.get.ended = now
			}
		}
	case wire.KindRoom:
		o.room = m.Chunk
	}
}

func (w *dynamic) landed(from *neighbour, l exchange.Landed, now time.Time) {
	chunk := l.Chunk
	w.get.moved = now
	var view *picker.Neighbour
	handout := from.origin
	if s := w.get.supplier(from); s != nil {
		view = s.view
		handout = from.origin && !view.AskedFor(chunk)
		if !handout {
			s.came(now)
			w.get.pace += (s.pace - w.get.pace) / 8
			w.get.p.Trust(view, true)
			w.get.p.Prove(view)
		}
	}
	for _, v := range w.get.p.Land(view, chunk) {
		if s := w.get.supplierOf(v); s != nil {
			w.send(s.neighbour, wire.KindCancel, chunk)
		}
	}
	if p := w.get.peers.of[from]; p != nil {
		w.get.p.Hold(view, chunk)
	}
	if !handout {
		w.tellHave(chunk, from, w.get.endgame())
		return
	}
	if o := w.get.origins.of[from]; o != nil && o.anys > 0 {
		o.anys--
	}
	w.get.ended = time.Time{}
	w.do(exchange.Own{Chunk: chunk})
	w.give.tellOrigins(chunk, from)
	w.give.push(chunk, from)
}

// waits is false: swarm peers ask only for what they were told is held.
func (w *dynamic) waits(int) bool { return false }

func (w *dynamic) met(peers []exchange.Contact, now time.Time) {
	for _, p := range peers {
		if w.contacts.roomy() && !w.neighbours.connected(p.ID) && !w.contacts.isBanned(p.ID, now) {
			_, dial := w.contacts.want(p, false, false)
			w.dial(dial...)
		}
	}
}

// tick takes back what has been awaited for too long. Whom to ask instead is decided later: what is asked for must
// not have come meanwhile.
func (w *dynamic) tick(now time.Time) {
	if !w.finished {
		w.get.lapse(now)
		w.get.survey(now)
		w.get.ticked = true
	}
}

func (w *dynamic) fill(now time.Time) {
	w.give.fill(now)
	if !w.finished {
		w.get.fill(now)
	}
}

func (w *dynamic) claims(yield func(chunk int, of *neighbour)) {
	for chunk, view := range w.get.p.Claims() {
		var of *neighbour // nil for one that has left
		if s := w.get.supplierOf(view); s != nil {
			of = s.neighbour
		}
		yield(chunk, of)
	}
}
