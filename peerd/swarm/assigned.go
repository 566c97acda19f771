package swarm

import (
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// assigned is the strategy of downloads in which it is settled before the start where
// every chunk comes from: `static`, from its owner, which brings it from the origin; and
// `direct`, from the origin, as if this peer owned every chunk.
//
// Chunks are in one of these places: to be asked of their source, asked of a neighbour, or loose.
// Under `direct` none gets loose.
type assigned struct {
	*shared
	mine   *bitset.BitSet // chunks that this peer owns
	origin *source        // what is to be fetched from the origin
	owners []*source
	at     map[*contact]*source // owners by what is dialled for them
	// loose are chunks of sources that were given up: whoever holds them is asked, or else an origin.
	loose  *bitset.BitSet
	feeds  ledger[feed]
	window int // requests outstanding a session, of what it owns
	few    int // of what is loose
	ticked bool
	shares bool // others than the origin may be asked
}

// newAssigned makes the strategy; no owners make it `direct`.
func newAssigned(s *shared, now time.Time) *assigned {
	n, size := uint(s.cfg.Chunks), s.cfg.ChunkSize
	a := &assigned{
		shared: s, mine: bitset.New(n), loose: bitset.New(n), feeds: newLedger[feed](), at: map[*contact]*source{},
		origin: &source{todo: bitset.New(n), without: now}, shares: s.cfg.Owners != nil,
		window: windowFor(size, 4<<20, 4, 64), few: windowFor(size, 512<<10, 2, 8),
	}
	owners := map[string]*source{}
	for c := range s.cfg.Chunks {
		owner := s.cfg.Address
		if a.shares {
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
			from = &source{todo: bitset.New(n), without: now}
			owners[owner] = from
			a.owners = append(a.owners, from)
			c, dial := a.contacts.want(exchange.Contact{Address: owner}, false, true)
			from.contact, a.at[c] = c, from
			a.dial(dial...)
		}
		from.todo.Set(uint(c))
	}
	return a
}

// windowFor is how many chunks make up so many bytes, within bounds.
func windowFor(chunkSize, bytes int64, least, most int) int {
	return int(min(max(bytes/chunkSize, int64(least)), int64(most)))
}

// opened begins to fetch over a session. Who has dialled asks over it himself, and is asked for
// what is loose.
func (a *assigned) opened(n *neighbour) {
	f := &feed{neighbour: n, asked: map[int]request{}}
	switch {
	case n.origin:
		f.source = a.origin
	case n.dialled():
		f.source = a.at[n.contact]
	}
	if f.source != nil {
		f.source.feeds++
	}
	a.feeds.add(n, f)
}

func (a *assigned) closed(n *neighbour, now time.Time) {
	f := a.feeds.remove(n)
	if f == nil {
		return
	}
	for c, r := range f.asked {
		r.from.Set(uint(c))
	}
	if f.source != nil {
		f.source.dropped(n, now)
	}
}

func (a *assigned) got(n *neighbour, m wire.Message, now time.Time) {
	switch f := a.feeds.of[n]; m.Kind {
	case wire.KindNone:
		if f == nil {
			return
		}
		if _, asked := f.asked[m.Chunk]; !asked {
			return
		}
		delete(f.asked, m.Chunk)
		if f.origin {
			f.rest.begin(now, restLeast)
		}
		if a.shares { // whoever it is, it will not bring the chunk
			a.loose.Set(uint(m.Chunk))
		} else {
			a.origin.todo.Set(uint(m.Chunk))
		}
	case wire.KindOffer:
		a.send(n, wire.KindCancel, m.Chunk)
	}
}

func (a *assigned) holds(*neighbour, int) {} // the neighbour's holding is enough

func (a *assigned) heard(*neighbour, int, time.Time) {}

func (a *assigned) landed(from *neighbour, l exchange.Landed, _ time.Time) {
	chunk := l.Chunk
	if f := a.feeds.of[from]; f != nil {
		f.rest = rest{}
	}
	for _, s := range a.owners {
		s.todo.Clear(uint(chunk))
	}
	a.origin.todo.Clear(uint(chunk))
	a.loose.Clear(uint(chunk))
	for _, f := range a.feeds.all {
		if _, asked := f.asked[chunk]; asked {
			delete(f.asked, chunk)
			if f.neighbour != from {
				a.send(f.neighbour, wire.KindCancel, chunk)
			}
		}
	}
	if from.origin && a.mine.Test(uint(chunk)) {
		a.do(exchange.Own{Chunk: chunk})
	}
	a.tellHave(chunk, from, false)
}

// waits is true for what this peer owns: it is on its way from the origin.
func (a *assigned) waits(chunk int) bool { return a.mine.Test(uint(chunk)) }

func (a *assigned) met([]exchange.Contact, time.Time) {}

func (a *assigned) fill(now time.Time) {
	if a.ticked {
		a.ticked = false
		a.tend(now)
	}
	for f := range fromAnywhere(a.cfg.Rand, a.feeds.all) {
		if f.source == nil {
			continue
		}
		for len(f.asked) < f.windowOf(a.window, now) {
			c, ok := f.source.todo.NextSet(0)
			if !ok {
				break
			}
			a.ask(f, c, f.source.todo, now)
		}
	}
	if a.loose.Any() {
		a.fillLoose(now)
	}
}

// fillLoose asks peers for the loose chunks that they hold, and origins for those that nobody
// holds who may be asked: from random places, so that peers that have lost the same owner bring
// each other different ones.
func (a *assigned) fillLoose(now time.Time) {
	orphans := a.loose.Clone()
	for f := range fromAnywhere(a.cfg.Rand, a.feeds.all) {
		if f.origin || f.rest.lasts(now) {
			continue
		}
		orphans.InPlaceDifference(f.holding.chunks)
		if len(f.asked) < f.windowOf(a.few, now) {
			a.askSome(f, a.loose.Intersection(f.holding.chunks), now)
		}
	}
	for f := range fromAnywhere(a.cfg.Rand, a.feeds.all) {
		if f.origin {
			a.askSome(f, orphans, now)
		}
	}
}

// askSome asks a neighbour for a few loose chunks, and removes them from the set.
func (a *assigned) askSome(f *feed, of *bitset.BitSet, now time.Time) {
	for len(f.asked) < f.windowOf(a.few, now) {
		c, ok := of.NextSet(uint(a.cfg.Rand.IntN(a.cfg.Chunks)))
		if !ok {
			if c, ok = of.NextSet(0); !ok {
				return
			}
		}
		of.Clear(c)
		a.ask(f, c, a.loose, now)
	}
}

// ask asks a neighbour for a chunk, which it takes from where that was.
func (a *assigned) ask(f *feed, chunk uint, from *bitset.BitSet, now time.Time) {
	from.Clear(chunk)
	f.asked[int(chunk)] = request{now, from}
	a.send(f.neighbour, wire.KindGet, int(chunk))
}
