package swarm

import (
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunkserver"
	"fanout/internal/wire"
)

// ownerPatience is how long an owner that was asked may send nothing before the chunks it
// owes are fetched from the origin.
const ownerPatience = 15 * time.Second

// assigned is the strategy of downloads in which it is settled before the start where
// every chunk comes from: `static`, from its owner, which brings it from the origin; and
// `direct`, from the origin, as if this peer owned every chunk.
type assigned struct {
	d      *Download
	mine   *bitset.BitSet     // chunks that this peer owns
	origin *source            // what is to be fetched from the origin
	owners map[string]*source // by chunk address
	links  map[*link]*source  // dialled sessions, and what is fetched over each
	window int                // requests outstanding a session
}

// source is a place to fetch from, and what is still to be asked of it.
type source struct {
	todo    *bitset.BitSet
	contact *contact // nil for the origin, of which there may be several
}

// newAssigned makes the strategy; no owners make it `direct`.
func newAssigned(d *Download, owners []string) *assigned {
	n := uint(d.chunks())
	a := &assigned{
		d: d, mine: bitset.New(n), origin: &source{todo: bitset.New(n)},
		owners: map[string]*source{}, links: map[*link]*source{},
		window: windowFor(d.target.Manifest.ChunkSize, 4<<20, 4, 64),
	}
	for c := range d.chunks() {
		owner := d.cfg.Address
		if owners != nil {
			owner = owners[c]
		}
		if owner == d.cfg.Address {
			a.mine.Set(uint(c))
		}
		if d.has(c) {
			continue
		}
		a.sourceOf(owner, n).todo.Set(uint(c))
	}
	for addr, s := range a.owners {
		s.contact = d.want(Contact{Address: addr}, false, true)
	}
	return a
}

func (a *assigned) sourceOf(owner string, chunks uint) *source {
	if owner == a.d.cfg.Address {
		return a.origin
	}
	s, ok := a.owners[owner]
	if !ok {
		s = &source{todo: bitset.New(chunks)}
		a.owners[owner] = s
	}
	return s
}

// windowFor is how many chunks make up so many bytes, within bounds.
func windowFor(chunkSize, bytes int64, least, most int) int {
	return int(min(max(bytes/chunkSize, int64(least)), int64(most)))
}

func (a *assigned) opened(l *link) {
	switch {
	case l.contact == nil: // it dialled, so it asks; this side asks over what it dialled
	case l.origin:
		a.links[l] = a.origin
	default:
		if s, ok := a.owners[l.contact.Address]; ok {
			a.links[l] = s
		}
	}
}

func (a *assigned) closed(l *link) {
	if s, ok := a.links[l]; ok {
		a.putBack(l, s)
		delete(a.links, l)
	}
}

// putBack gives what a session was asked for and did not send to a source.
func (a *assigned) putBack(l *link, s *source) {
	for c := range l.asked {
		s.todo.Set(uint(c))
	}
	clear(l.asked)
}

func (a *assigned) got(l *link, m wire.Message) {
	switch m.Kind {
	case wire.KindNone: // an owner that will not bring the chunk: the origin has it
		if _, asked := l.asked[m.Chunk]; asked {
			delete(l.asked, m.Chunk)
			a.origin.todo.Set(uint(m.Chunk))
		}
	case wire.KindOffer:
		l.s.Send(wire.KindCancel, m.Chunk)
	}
}

func (a *assigned) holds(*link, int) {}

func (a *assigned) heard(*link, int) {}

func (a *assigned) landed(from *link, landing chunkserver.Landing) {
	chunk := landing.Chunk
	for l, s := range a.links {
		s.todo.Clear(uint(chunk))
		if _, asked := l.asked[chunk]; asked {
			delete(l.asked, chunk)
			if l != from {
				l.s.Send(wire.KindCancel, chunk)
			}
		}
	}
	a.origin.todo.Clear(uint(chunk))
	if from.origin && a.mine.Test(uint(chunk)) {
		a.d.cfg.Progress.own(chunk)
	}
	a.d.tellHave(chunk, from, false)
}

// waits is true for what this peer owns: it is on its way from the origin.
func (a *assigned) waits(chunk int) bool { return a.mine.Test(uint(chunk)) }

func (a *assigned) met(Reply) {}

// tick gives up on owners that are dead or stuck.
func (a *assigned) tick(now time.Time) {
	for _, s := range a.owners {
		if s.contact.dead() {
			a.origin.todo.InPlaceUnion(s.todo)
			s.todo.ClearAll()
		}
	}
	for l, s := range a.links {
		if s == a.origin || !stuck(l, now) {
			continue
		}
		for c := range l.asked {
			l.s.Send(wire.KindCancel, c)
		}
		a.putBack(l, a.origin)
		a.origin.todo.InPlaceUnion(s.todo)
		s.todo.ClearAll()
	}
}

// stuck says that a session has been asked and sends nothing.
func stuck(l *link, now time.Time) bool {
	limit := now.Add(-ownerPatience)
	if l.s.LastReceived().After(limit) {
		return false
	}
	for _, since := range l.asked {
		if since.Before(limit) {
			return true
		}
	}
	return false
}

func (a *assigned) fill(now time.Time) {
	for l, s := range a.links {
		for len(l.asked) < a.window {
			c, ok := s.todo.NextSet(0)
			if !ok {
				break
			}
			s.todo.Clear(c)
			l.asked[int(c)] = now
			l.s.Send(wire.KindGet, int(c))
		}
	}
}
