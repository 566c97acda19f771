package swarm

import (
	"math/rand/v2"
	"time"

	"fanout/internal/chunks/chunkserver"
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
	d       *Download
	p       *picker.Picker
	window  int                 // pulls outstanding a neighbour
	most    int                 // pulls outstanding in all
	drained map[*link]time.Time // origins that have handed everything out -> when to ask again
	moved   time.Time           // when a chunk last landed
	// stranded is set when chunks turn out to be held only by peers out of reach: they come
	// from the origin until there are none.
	stranded bool
	took     time.Duration // how long a chunk takes to come, on average
}

func newDynamic(d *Download) *dynamic {
	size := d.target.Manifest.ChunkSize
	return &dynamic{
		d: d, p: picker.New(d.chunks(), d.has, rand.New(d.cfg.Rand)),
		window: windowFor(size, 512<<10, 2, 8), most: windowFor(size, 4<<20, 8, 64),
		drained: map[*link]time.Time{}, moved: time.Now(),
	}
}

func (w *dynamic) opened(l *link) {
	if l.origin {
		return
	}
	if old := w.other(l); old != nil {
		// Of two that the same side has dialled, it has given up the older one.
		if l.s.Dialled() != old.s.Dialled() && w.preferred(old) {
			l.s.Close()
			return
		}
		old.s.Close()
	}
	l.nb = w.p.Join()
}

// other finds an older session with the same peer: both sides have dialled.
func (w *dynamic) other(l *link) *link {
	for _, o := range w.d.links {
		if o != l && o.nb != nil && o.id == l.id {
			return o
		}
	}
	return nil
}

// preferred says which of two sessions both sides keep: that of the lower ID's dialling.
func (w *dynamic) preferred(l *link) bool {
	return l.s.Dialled() == (w.d.cfg.Self < l.id)
}

func (w *dynamic) closed(l *link) {
	delete(w.drained, l)
	if l.nb != nil {
		w.p.Leave(l.nb)
		l.nb = nil
	}
	w.d.announceSoonIfAlone()
}

func (w *dynamic) holds(l *link, chunk int) {
	if l.nb == nil {
		return
	}
	w.p.Hold(l.nb, chunk)
	if l.queued > 0 && l.s.CancelUpload(chunk) {
		l.queued--
	}
}

// heard notes that a neighbour has just got a chunk.
func (w *dynamic) heard(l *link, chunk int) {
	if l.nb != nil {
		w.p.Heard(l.nb, chunk, time.Now())
	}
	w.holds(l, chunk)
}

func (w *dynamic) got(l *link, m wire.Message) {
	switch m.Kind {
	case wire.KindOffer:
		if l.nb == nil || !w.p.Offer(l.nb, m.Chunk, time.Now()) {
			l.s.Send(wire.KindCancel, m.Chunk)
		}
	case wire.KindNone:
		switch {
		case m.Chunk == wire.NoChunk && l.anys > 0:
			l.anys--
			w.drained[l] = time.Now().Add(askAgain)
		case m.Chunk != wire.NoChunk && l.nb != nil:
			w.p.Refused(l.nb, m.Chunk)
		case m.Chunk != wire.NoChunk:
			delete(l.asked, m.Chunk)
			w.drained[l] = time.Now().Add(askAgain)
		}
	}
}

func (w *dynamic) landed(from *link, a chunkserver.Landing) {
	chunk := a.Chunk
	w.moved = time.Now()
	w.took += (a.Took - w.took) / 8
	for _, n := range w.p.Land(from.nb, chunk) {
		if l := w.linkOf(n); l != nil {
			l.s.Send(wire.KindCancel, chunk)
		}
	}
	if !from.origin {
		if from.nb != nil {
			w.p.Hold(from.nb, chunk)
		}
		w.d.tellHave(chunk, from, w.endgame())
		return
	}
	if _, asked := from.asked[chunk]; asked {
		delete(from.asked, chunk)
	} else if from.anys > 0 {
		from.anys--
	}
	w.d.cfg.Progress.own(chunk)
	w.push(chunk)
}

// push offers a fresh chunk to every neighbour that lacks it, and queues it for them; one
// that is far behind is only told, and pulls when it can.
func (w *dynamic) push(chunk int) {
	for _, l := range w.d.links {
		switch {
		case l.origin || l.queued >= farBehind:
			l.s.SendLater(wire.KindHave, chunk)
		case l.nb != nil && !l.nb.Holds(chunk):
			l.s.Send(wire.KindOffer, chunk)
			w.d.upload(l, chunk)
		}
	}
}

func (w *dynamic) linkOf(n *picker.Neighbour) *link {
	for _, l := range w.d.links {
		if l.nb == n {
			return l
		}
	}
	return nil
}

// waits is false: swarm peers ask only for what they were told is held.
func (w *dynamic) waits(int) bool { return false }

func (w *dynamic) met(r Reply) {
	for _, p := range r.Peers {
		if w.d.roomy() && !w.d.connected(p.ID) && !w.d.isBanned(banKey(p.ID, nil)) {
			w.d.want(p, false, false)
		}
	}
}

// tick takes back what has been awaited for too long.
func (w *dynamic) tick(now time.Time) {
	limit := now.Add(-stale)
	for _, l := range w.d.links {
		if l.nb == nil || l.s.LastReceived().After(limit) {
			continue
		}
		asked, offered := w.p.Overdue(l.nb, limit)
		for _, c := range asked {
			w.p.Withdraw(l.nb, c)
			l.s.Send(wire.KindCancel, c)
		}
		for _, c := range offered {
			w.p.Decline(l.nb, c)
			l.s.Send(wire.KindCancel, c)
		}
	}
}

func (w *dynamic) fill(now time.Time) {
	if w.d.finished {
		return
	}
	w.p.Ripen(now.Add(-offerAfter - 3*w.took))
	asked := 0
	for _, l := range w.d.links {
		if l.nb != nil {
			asked += l.nb.Asked()
		}
	}
	for _, l := range w.d.links {
		if l.origin {
			w.askHandouts(l, now)
		} else if l.nb != nil {
			asked += w.pull(l, now, w.most-asked)
		}
	}
}

// askHandouts keeps handouts coming as long as they can be sent on.
func (w *dynamic) askHandouts(l *link, now time.Time) {
	if again, drained := w.drained[l]; drained {
		if now.Before(again) {
			return
		}
		chunk, ok := w.p.Orphan(l.asked)
		if !ok {
			w.drained[l] = now.Add(askAgain) // looking takes long in a large file
			w.stranded = w.stranded && len(l.asked) > 0
			return
		}
		if w.stranded = w.stranded || now.Sub(w.moved) > orphaned; w.stranded {
			for ; ok && len(l.asked) < w.window; chunk, ok = w.p.Orphan(l.asked) {
				l.asked[chunk] = now
				l.s.Send(wire.KindGet, chunk)
			}
			return
		}
		delete(w.drained, l)
	}
	neighbours, queued := 0, 0
	for _, o := range w.d.links {
		if o.nb != nil {
			neighbours++
			queued += min(o.queued, backlogEach+1) // one that is stuck must not stop the others
		}
	}
	open := anysOpen
	if neighbours == 0 {
		open = w.window
	}
	for l.anys < open && queued+l.anys*neighbours <= backlogEach*neighbours {
		l.anys++
		l.s.Send(wire.KindAny, 0)
	}
}

// pull asks a neighbour for chunks that nobody is going to send by himself, and in the
// endgame, when the origin has nothing left to hand out, for chunks that others are slow
// to send.
func (w *dynamic) pull(l *link, now time.Time, room int) (asked int) {
	for ; asked < room && l.nb.Asked() < w.window; asked++ {
		chunk, ok := w.p.Rarest(l.nb)
		if !ok && w.endgame() {
			chunk, ok = w.takeOver(l, now)
		}
		if !ok {
			break
		}
		w.p.Ask(l.nb, chunk, now)
		l.s.Send(wire.KindGet, chunk)
	}
	return asked
}

// takeOver finds a chunk that another neighbour has in hand and this one may send sooner.
func (w *dynamic) takeOver(l *link, now time.Time) (chunk int, ok bool) {
	if l.nb.Asked() > 0 {
		return 0, false
	}
	chunk, from, ok := w.p.Steal(l.nb)
	if !ok {
		return w.p.Again(l.nb, now.Add(-twice))
	}
	w.p.Decline(from, chunk)
	if o := w.linkOf(from); o != nil {
		o.s.Send(wire.KindCancel, chunk)
	}
	return chunk, true
}

// endgame says that no origin has anything left to hand out.
func (w *dynamic) endgame() bool {
	for _, l := range w.d.links {
		if _, drained := w.drained[l]; l.origin && !drained {
			return false
		}
	}
	return true
}
