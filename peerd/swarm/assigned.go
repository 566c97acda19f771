package swarm

import (
	"maps"
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/exchange"
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
	*shared
	mine   *bitset.BitSet // chunks that this peer owns
	origin *source        // what is to be fetched from the origin
	owners []*source
	feeds  ledger[feed]
	window int // requests outstanding a session
}

// source is a place to fetch from, and what is still to be asked of it.
type source struct {
	todo    *bitset.BitSet
	contact *contact // nil for the origin, of which there may be several
}

// feed is what is kept of a neighbour that was dialled, over whose session chunks are fetched.
type feed struct {
	*neighbour
	source *source
	asked  map[int]time.Time // since when
	rest   rest
}

// rest is a pause in asking, which grows until something comes.
type rest struct {
	until  time.Time
	length time.Duration // 0 if something has come since
}

// newAssigned makes the strategy; no owners make it `direct`.
func newAssigned(s *shared) *assigned {
	n := uint(s.cfg.Chunks)
	a := &assigned{
		shared: s, mine: bitset.New(n), origin: &source{todo: bitset.New(n)}, feeds: newLedger[feed](),
		window: windowFor(s.cfg.ChunkSize, 4<<20, 4, 64),
	}
	owners := map[string]*source{}
	for c := range s.cfg.Chunks {
		owner := s.cfg.Address
		if s.cfg.Owners != nil {
			owner = s.cfg.Owners[c]
		}
		if owner == s.cfg.Address {
			a.mine.Set(uint(c))
		}
		if s.has(c) {
			continue
		}
		from := a.origin
		if owner != s.cfg.Address {
			from = owners[owner]
		}
		if from == nil {
			from = a.ownedBy(owner)
			owners[owner] = from
		}
		from.todo.Set(uint(c))
	}
	return a
}

// ownedBy has an owner dialled.
func (a *assigned) ownedBy(address string) *source {
	c, dial := a.contacts.want(exchange.Contact{Address: address}, false, true, 0)
	a.dial(dial...)
	s := &source{todo: bitset.New(uint(a.cfg.Chunks)), contact: c}
	a.owners = append(a.owners, s)
	return s
}

// windowFor is how many chunks make up so many bytes, within bounds.
func windowFor(chunkSize, bytes int64, least, most int) int {
	return int(min(max(bytes/chunkSize, int64(least)), int64(most)))
}

// opened begins to fetch over a session that was dialled; who has dialled asks over it himself.
func (a *assigned) opened(n *neighbour) {
	f := &feed{neighbour: n, asked: map[int]time.Time{}}
	if n.origin {
		f.source = a.origin
	}
	for _, s := range a.owners {
		if s.contact == n.contact {
			f.source = s
		}
	}
	if f.source != nil {
		a.feeds.add(n, f)
	}
}

func (a *assigned) closed(n *neighbour, _ time.Time) {
	if f := a.feeds.remove(n); f != nil {
		f.putBack(f.source)
	}
}

// putBack gives what a session was asked for and did not send to a source.
func (f *feed) putBack(s *source) {
	for c := range f.asked {
		s.todo.Set(uint(c))
	}
	clear(f.asked)
}

func (a *assigned) got(n *neighbour, m wire.Message, now time.Time) {
	switch m.Kind {
	case wire.KindNone: // an owner that will not bring the chunk: an origin has it
		f := a.feeds.of[n]
		if f == nil {
			return
		}
		if _, asked := f.asked[m.Chunk]; asked {
			delete(f.asked, m.Chunk)
			a.origin.todo.Set(uint(m.Chunk))
			if n.origin {
				f.rest.begin(now, restLeast)
			}
		}
	case wire.KindOffer:
		a.send(n, wire.KindCancel, m.Chunk)
	}
}

// begin leaves an origin that does not send what it was asked for in peace: at first for so
// long, and for longer each time, until it sends something.
func (r *rest) begin(now time.Time, first time.Duration) {
	if now.Before(r.until) { // of what was asked before
		return
	}
	r.length = min(max(2*r.length, first), restMost)
	r.until = now.Add(r.length)
}

func (a *assigned) holds(*neighbour, int) {}

func (a *assigned) heard(*neighbour, int, time.Time) {}

func (a *assigned) landed(from *neighbour, l exchange.Landed, _ time.Time) {
	chunk := l.Chunk
	if f := a.feeds.of[from]; f != nil {
		f.rest = rest{}
	}
	for _, f := range a.feeds.all {
		f.source.todo.Clear(uint(chunk))
		if _, asked := f.asked[chunk]; asked {
			delete(f.asked, chunk)
			if f.neighbour != from {
				a.send(f.neighbour, wire.KindCancel, chunk)
			}
		}
	}
	a.origin.todo.Clear(uint(chunk))
	if from.origin && a.mine.Test(uint(chunk)) {
		a.do(exchange.Own{Chunk: chunk})
	}
	a.tellHave(chunk, from, false)
}

// waits is true for what this peer owns: it is on its way from the origin.
func (a *assigned) waits(chunk int) bool { return a.mine.Test(uint(chunk)) }

func (a *assigned) met([]exchange.Contact, time.Time) {}

// tick gives up on owners that are dead or stuck.
func (a *assigned) tick(now time.Time) {
	for _, s := range a.owners {
		if s.contact.dead() {
			a.leaveToOrigin(s)
		}
	}
	for _, f := range a.feeds.all {
		if f.source != a.origin && f.stuck(now, ownerPatience) {
			a.takeBack(f)
			a.leaveToOrigin(f.source)
		}
	}
	if a.originIdle(now) {
		for _, f := range a.feeds.all {
			if f.source == a.origin && f.stuck(now, originPatience) {
				a.takeBack(f)
				f.rest.begin(now, originPatience)
			}
		}
	}
}

// leaveToOrigin has an owner's chunks fetched from the origin.
func (a *assigned) leaveToOrigin(s *source) {
	a.origin.todo.InPlaceUnion(s.todo)
	s.todo.ClearAll()
}

// takeBack has the origin's list take over what a session was asked for.
func (a *assigned) takeBack(f *feed) {
	for _, c := range slices.Sorted(maps.Keys(f.asked)) {
		a.send(f.neighbour, wire.KindCancel, c)
	}
	f.putBack(a.origin)
}

// originIdle says that an origin has sent all that it was asked for, and may be asked for more.
func (a *assigned) originIdle(now time.Time) bool {
	return slices.ContainsFunc(a.feeds.all, func(f *feed) bool {
		return f.source == a.origin && len(f.asked) == 0 && !now.Before(f.rest.until)
	})
}

// windowOf is how many chunks a session may be asked for: one that has sent nothing since it
// was left in peace is tried with one.
func (a *assigned) windowOf(f *feed, now time.Time) int {
	switch {
	case now.Before(f.rest.until):
		return 0
	case f.rest.length > 0:
		return 1
	}
	return a.window
}

// stuck says that a session has been asked and has sent nothing for so long.
func (f *feed) stuck(now time.Time, patience time.Duration) bool {
	limit := now.Add(-patience)
	if f.received.After(limit) {
		return false
	}
	for _, since := range f.asked {
		if since.Before(limit) {
			return true
		}
	}
	return false
}

func (a *assigned) fill(now time.Time) {
	for f := range fromAnywhere(a.cfg.Rand, a.feeds.all) {
		for len(f.asked) < a.windowOf(f, now) {
			c, ok := f.source.todo.NextSet(0)
			if !ok {
				break
			}
			f.source.todo.Clear(c)
			f.asked[int(c)] = now
			a.send(f.neighbour, wire.KindGet, int(c))
		}
	}
}

func (a *assigned) claims(yield func(chunk int, of *neighbour)) {
	lost := a.held.Complement()
	for _, s := range append(a.owners[:len(a.owners):len(a.owners)], a.origin) {
		lost.InPlaceDifference(s.todo)
	}
	for _, f := range a.feeds.all {
		for _, c := range slices.Sorted(maps.Keys(f.asked)) {
			lost.Clear(uint(c))
			yield(c, f.neighbour)
		}
	}
	for c, ok := lost.NextSet(0); ok; c, ok = lost.NextSet(c + 1) {
		yield(int(c), nil)
	}
}
