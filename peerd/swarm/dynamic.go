package swarm

import (
	"maps"
	"slices"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
	"fanout/peerd/picker"
)

const (
	// anysOpen is how many handouts a peer with neighbours asks for ahead.
	anysOpen = 2
	// backlogEach is how many chunks a neighbour may wait in the upload queues while more
	// handouts are asked for. This is what gives a slow peer few chunks to own.
	backlogEach = 2
	// farBehind is how many chunks may wait for a neighbour before no more are pushed to it.
	farBehind = 16
	// askAgain is how long after a NONE an origin is asked for handouts again, while
	// there are chunks that nobody is known to hold.
	askAgain = 200 * time.Millisecond
	// offerAfter is how long after a chunk was heard of its owner's offer may come; to which
	// is added that the offer may wait behind chunks on its way.
	offerAfter = 100 * time.Millisecond
	// stale is how long an offer or request may be overdue, with nothing else coming from
	// that neighbour, before the chunk is fetched elsewhere.
	stale = 3 * time.Second
	// twice is how long a chunk of the last ones may be awaited before a second neighbour
	// is asked for it.
	twice = 300 * time.Millisecond
	// orphaned is how long a chunk may be in nobody's hands, although everything is handed
	// out, before it is fetched from the origin without a handout: its holder is out of reach.
	orphaned = 5 * time.Second
)

// dynamic is the strategy `swarm`. A peer asks the origin for handouts while it can send
// them on, pushes what it is handed to every neighbour, and pulls, rarest first, what
// pushes do not bring.
type dynamic struct {
	*shared
	p       *picker.Picker
	window  int // pulls outstanding a neighbour
	most    int // pulls outstanding in all
	origins ledger[giver]
	peers   ledger[partner]
	moved   time.Time // when a chunk last landed
	// stranded is set when chunks turn out to be held only by peers out of reach: they come
	// from the origin until there are none.
	stranded bool
	took     time.Duration // how long a chunk takes to come, on average
}

// giver is what is kept of an origin.
type giver struct {
	*neighbour
	anys    int               // handouts asked for
	asked   map[int]time.Time // chunks asked for by number, since when
	drained bool              // it has handed everything out
	again   time.Time         // when to ask it again after that
}

// partner is what is kept of a peer.
type partner struct {
	*neighbour
	view *picker.Neighbour
}

func newDynamic(s *shared, now time.Time) *dynamic {
	size := s.cfg.ChunkSize
	return &dynamic{
		shared: s, p: picker.New(s.cfg.Chunks, s.has, s.cfg.Rand),
		window: windowFor(size, 512<<10, 2, 8), most: windowFor(size, 4<<20, 8, 64),
		origins: newLedger[giver](), peers: newLedger[partner](), moved: now,
	}
}

func (w *dynamic) opened(n *neighbour) {
	if n.origin {
		w.origins.add(n, &giver{neighbour: n, asked: map[int]time.Time{}})
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
	w.peers.add(n, &partner{n, w.p.Join()})
}

// other finds an older session with the same peer: both sides have dialled.
func (w *dynamic) other(n *neighbour) *neighbour {
	for _, o := range w.peers.all {
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
	w.origins.remove(n)
	if p := w.peers.remove(n); p != nil {
		w.p.Leave(p.view)
	}
	if len(w.neighbours.open) == 0 && !w.finished {
		w.announces.alone(now)
	}
}

func (w *dynamic) holds(n *neighbour, chunk int) {
	if p := w.peers.of[n]; p != nil {
		w.p.Hold(p.view, chunk)
		w.withdraw(n, chunk)
	}
}

// heard notes that a neighbour has just got a chunk.
func (w *dynamic) heard(n *neighbour, chunk int, now time.Time) {
	if p := w.peers.of[n]; p != nil {
		w.p.Heard(p.view, chunk, now)
	}
	w.holds(n, chunk)
}

func (w *dynamic) got(n *neighbour, m wire.Message, now time.Time) {
	p, o := w.peers.of[n], w.origins.of[n]
	switch m.Kind {
	case wire.KindOffer:
		if p == nil || !w.p.Offer(p.view, m.Chunk, now) {
			w.send(n, wire.KindCancel, m.Chunk)
		}
	case wire.KindNone:
		switch {
		case m.Chunk == wire.NoChunk && o != nil && o.anys > 0:
			o.anys--
			o.drain(now)
		case m.Chunk == wire.NoChunk:
		case p != nil:
			w.p.Refused(p.view, m.Chunk)
		case o != nil:
			delete(o.asked, m.Chunk)
			o.drain(now)
		}
	}
}

// drain notes that an origin has nothing to give, for now.
func (o *giver) drain(now time.Time) { o.drained, o.again = true, now.Add(askAgain) }

func (w *dynamic) landed(from *neighbour, l exchange.Landed, now time.Time) {
	chunk := l.Chunk
	w.moved = now
	w.took += (l.Took - w.took) / 8
	p, o := w.peers.of[from], w.origins.of[from]
	var view *picker.Neighbour
	if p != nil {
		view = p.view
	}
	for _, v := range w.p.Land(view, chunk) {
		w.sendTo(v, wire.KindCancel, chunk)
	}
	if !from.origin {
		if p != nil {
			w.p.Hold(view, chunk)
		}
		w.tellHave(chunk, from, w.endgame())
		return
	}
	if o != nil {
		if _, asked := o.asked[chunk]; asked {
			delete(o.asked, chunk)
		} else if o.anys > 0 {
			o.anys--
		}
	}
	w.do(exchange.Own{Chunk: chunk})
	w.tellOrigins(chunk, from)
	w.push(chunk, from)
}

// tellOrigins tells other origins at once of what one has handed out: until they know, they may
// hand it out, too.
func (w *dynamic) tellOrigins(chunk int, from *neighbour) {
	var others []exchange.ID
	for _, o := range w.origins.all {
		if o.neighbour != from {
			others = append(others, o.id)
		}
	}
	if others != nil {
		w.do(exchange.Tell{To: others, Chunk: chunk})
	}
}

// push offers a fresh chunk to every neighbour that lacks it, and queues it for them; one
// that is far behind is only told, and pulls when it can. So is the origin it has come from.
func (w *dynamic) push(chunk int, from *neighbour) {
	var behind []exchange.ID
	for n := range fromAnywhere(w.cfg.Rand, w.neighbours.open) {
		p := w.peers.of[n]
		switch {
		case n.origin && n != from:
		case n.origin || len(n.queue) >= farBehind:
			behind = append(behind, n.id)
		case p != nil && !p.view.Holds(chunk):
			w.send(n, wire.KindOffer, chunk)
			w.upload(n, chunk)
		}
	}
	if behind != nil {
		w.do(exchange.Tell{To: behind, Chunk: chunk, Later: true})
	}
}

// sendTo sends a line to the peer of a view.
func (w *dynamic) sendTo(view *picker.Neighbour, kind wire.Kind, chunk int) {
	if p := w.partnerOf(view); p != nil {
		w.send(p.neighbour, kind, chunk)
	}
}

// partnerOf finds whose view it is; nil if nobody's who is connected.
func (w *dynamic) partnerOf(view *picker.Neighbour) *partner {
	for _, p := range w.peers.all {
		if p.view == view {
			return p
		}
	}
	return nil
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

// tick takes back what has been awaited for too long.
func (w *dynamic) tick(now time.Time) {
	limit := now.Add(-stale)
	for _, p := range w.peers.all {
		if p.received.After(limit) {
			continue
		}
		asked, offered := w.p.Overdue(p.view, limit)
		for _, c := range asked {
			w.p.Withdraw(p.view, c)
			w.send(p.neighbour, wire.KindCancel, c)
		}
		for _, c := range offered {
			w.p.Decline(p.view, c)
			w.send(p.neighbour, wire.KindCancel, c)
		}
	}
}

func (w *dynamic) fill(now time.Time) {
	if w.finished {
		return
	}
	w.p.Ripen(now.Add(-offerAfter - 3*w.took))
	for o := range fromAnywhere(w.cfg.Rand, w.origins.all) {
		w.askHandouts(o, now)
	}
	if !w.p.Askable() && !w.endgame() {
		return // pushes bring everything
	}
	asked := 0
	for _, p := range w.peers.all {
		asked += p.view.Asked()
	}
	for p := range fromAnywhere(w.cfg.Rand, w.peers.all) {
		asked += w.pull(p, now, w.most-asked)
	}
}

// askHandouts keeps handouts coming as long as they can be sent on.
func (w *dynamic) askHandouts(o *giver, now time.Time) {
	if o.drained {
		if now.Before(o.again) {
			return
		}
		chunk, ok := w.p.Orphan(o.asked)
		if !ok {
			o.drain(now) // looking takes long in a large file
			w.stranded = w.stranded && len(o.asked) > 0
			return
		}
		if w.stranded = w.stranded || now.Sub(w.moved) > orphaned; w.stranded {
			for ; ok && len(o.asked) < w.window; chunk, ok = w.p.Orphan(o.asked) {
				o.asked[chunk] = now
				w.send(o.neighbour, wire.KindGet, chunk)
			}
			return
		}
		o.drained = false
	}
	queued, peers, open := 0, len(w.peers.all), anysOpen
	if peers == 0 {
		open = w.window
	}
	if o.anys >= open {
		return
	}
	for _, p := range w.peers.all {
		queued += min(len(p.queue), backlogEach+1) // one that is stuck must not stop the others
	}
	for o.anys < open && queued+o.anys*peers <= backlogEach*peers {
		o.anys++
		w.send(o.neighbour, wire.KindAny, 0)
	}
}

// pull asks a neighbour for chunks that nobody is going to send by himself, and in the
// endgame, when the origin has nothing left to hand out, for chunks that others are slow
// to send.
func (w *dynamic) pull(p *partner, now time.Time, room int) (asked int) {
	for ; asked < room && p.view.Asked() < w.window; asked++ {
		chunk, ok := w.p.Rarest(p.view)
		if !ok && w.endgame() {
			chunk, ok = w.takeOver(p, now)
		}
		if !ok {
			break
		}
		w.p.Ask(p.view, chunk, now)
		w.send(p.neighbour, wire.KindGet, chunk)
	}
	return asked
}

// takeOver finds a chunk that another neighbour has in hand and this one may send sooner.
func (w *dynamic) takeOver(p *partner, now time.Time) (chunk int, ok bool) {
	if p.view.Asked() > 0 {
		return 0, false
	}
	chunk, from, ok := w.p.Steal(p.view)
	if !ok {
		return w.p.Again(p.view, now.Add(-twice))
	}
	w.p.Decline(from, chunk)
	w.sendTo(from, wire.KindCancel, chunk)
	return chunk, true
}

// endgame says that no origin has anything left to hand out.
func (w *dynamic) endgame() bool {
	for _, o := range w.origins.all {
		if !o.drained {
			return false
		}
	}
	return true
}

func (w *dynamic) claims(yield func(chunk int, of *neighbour)) {
	for chunk, view := range w.p.Claims() {
		var of *neighbour // nil for one that has left
		if p := w.partnerOf(view); p != nil {
			of = p.neighbour
		}
		yield(chunk, of)
	}
	for _, o := range w.origins.all {
		for _, chunk := range slices.Sorted(maps.Keys(o.asked)) {
			yield(chunk, o.neighbour)
		}
	}
}
