package swarm

import (
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/wire"
)

// ownerPatience is how long an owner that was asked may send nothing before the chunks it
// owes are fetched from the origin.
const ownerPatience = 15 * time.Second

const (
	// originPatience is how long an origin that was asked may send nothing while another has
	// nothing to do, before that one is asked instead.
	originPatience = 5 * time.Second
	// restLeast and restMost bound how long an origin that answers NONE is not asked.
	restLeast = 200 * time.Millisecond
	restMost  = 10 * time.Second
)

// assigned is the strategy of downloads in which it is settled before the start where
// every chunk comes from: `static`, from its owner, which brings it from the origin; and
// `direct`, from the origin, as if this peer owned every chunk.
type assigned struct {
	d      *Download
	mine   *bitset.BitSet     // chunks that this peer owns
	origin *source            // what is to be fetched from the origin
	owners map[string]*source // by chunk address
	links  map[*link]*source  // dialled sessions, and what is fetched over each
	rests  map[*link]rest     // origins that are not asked for a while
	window int                // requests outstanding a session
}

// rest is a pause in asking, which grows until something comes.
type rest struct {
	until  time.Time
	length time.Duration
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
		owners: map[string]*source{}, links: map[*link]*source{}, rests: map[*link]rest{},
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
		delete(a.rests, l)
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
	case wire.KindNone: // an owner that will not bring the chunk: an origin has it
		if _, asked := l.asked[m.Chunk]; asked {
			delete(l.asked, m.Chunk)
			a.origin.todo.Set(uint(m.Chunk))
			if l.origin {
				a.pause(l, restLeast)
			}
		}
	case wire.KindOffer:
		l.s.Send(wire.KindCancel, m.Chunk)
	}
}

// pause leaves an origin that does not send what it was asked for in peace: at first for so
// long, and for longer each time, until it sends something.
func (a *assigned) pause(l *link, first time.Duration) {
	r, now := a.rests[l], time.Now()
	if now.Before(r.until) { // of what was asked before
		return
	}
	r.length = min(max(2*r.length, first), restMost)
	r.until = now.Add(r.length)
	a.rests[l] = r
}

func (a *assigned) holds(*link, int) {}

func (a *assigned) heard(*link, int) {}

func (a *assigned) landed(from *link, landing chunkserver.Landing) {
	chunk := landing.Chunk
	delete(a.rests, from)
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
		if s == a.origin || !stuck(l, now, ownerPatience) {
			continue
		}
		a.takeBack(l)
		a.origin.todo.InPlaceUnion(s.todo)
		s.todo.ClearAll()
	}
	if a.originIdle(now) {
		for l, s := range a.links {
			if s == a.origin && stuck(l, now, originPatience) {
				a.takeBack(l)
				a.pause(l, originPatience)
			}
		}
	}
}

// takeBack has the origin's list take over what a session was asked for.
func (a *assigned) takeBack(l *link) {
	for c := range l.asked {
		l.s.Send(wire.KindCancel, c)
	}
	a.putBack(l, a.origin)
}

// originIdle says that an origin has sent all that it was asked for, and may be asked for more.
func (a *assigned) originIdle(now time.Time) bool {
	for l, s := range a.links {
		if s == a.origin && len(l.asked) == 0 && !a.resting(l, now) {
			return true
		}
	}
	return false
}

func (a *assigned) resting(l *link, now time.Time) bool { return now.Before(a.rests[l].until) }

// windowOf is how many chunks a session may be asked for: one that has sent nothing since it
// was left in peace is tried with one.
func (a *assigned) windowOf(l *link, now time.Time) int {
	switch _, tried := a.rests[l]; {
	case a.resting(l, now):
		return 0
	case tried:
		return 1
	}
	return a.window
}

// stuck says that a session has been asked and has sent nothing for so long.
func stuck(l *link, now time.Time, patience time.Duration) bool {
	limit := now.Add(-patience)
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
		for len(l.asked) < a.windowOf(l, now) {
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
