// Package picker decides which chunk a peer asks of which neighbour in a swarm.
//
// It is pure: no I/O, no clock, no goroutine. The swarm tells it what it learns and asks
// what to do; time comes in as an argument. It must not know sessions or the network.
//
// Invariants:
//   - a chunk that is held is never asked for, offered or waited for;
//   - a chunk is asked of a neighbour only if that neighbour holds it;
//   - a chunk is asked of one neighbour at a time, in the endgame of two;
//   - of several offers of a chunk one is accepted, and none while it is asked for.
package picker

import (
	"iter"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"
)

// sample bounds how many candidates are compared for rarity; the rarest of so many, from a
// random place, is as good as the rarest of all, and a file may have a million chunks.
const sample = 128

// Neighbour is what is known of one neighbour.
type Neighbour struct {
	holds  *bitset.BitSet
	asked  map[int]time.Time // since when
	offers []int             // accepted, in the order in which they will come
}

// Asked is the number of requests outstanding at the neighbour.
func (n *Neighbour) Asked() int { return len(n.asked) }

// Holds says whether the neighbour is known to have the chunk.
func (n *Neighbour) Holds(chunk int) bool { return n.holds.Test(uint(chunk)) }

// Picker is the state of one download. It is not safe for concurrent use.
type Picker struct {
	rand    *rand.Rand
	chunks  int
	missing *bitset.BitSet
	open    *bitset.BitSet // missing, not asked for and not offered
	holders holders
	offered map[int]offer
	asked   map[int][]*Neighbour
	all     []*Neighbour
	fresh   *bitset.BitSet // held by a neighbour since so recently that an offer may follow
	ripen   []freshChunk   // those, the oldest first
}

// holders is how many neighbours hold each chunk, and which chunks any of them does.
type holders struct {
	of  []int
	any *bitset.BitSet
}

func (h *holders) add(chunk, neighbours int) {
	h.of[chunk] += neighbours
	h.any.SetTo(uint(chunk), h.of[chunk] > 0)
}

type freshChunk struct {
	chunk int
	since time.Time
}

type offer struct {
	by    *Neighbour
	since time.Time
}

// New makes the picker of a download of so many chunks, of which held are here.
func New(chunks int, held func(chunk int) bool, r *rand.Rand) *Picker {
	p := &Picker{
		rand: r, chunks: chunks,
		missing: bitset.New(uint(chunks)), holders: holders{make([]int, chunks), bitset.New(uint(chunks))},
		offered: map[int]offer{}, asked: map[int][]*Neighbour{},
	}
	for c := range chunks {
		if !held(c) {
			p.missing.Set(uint(c))
		}
	}
	p.open, p.fresh = p.missing.Clone(), bitset.New(uint(chunks))
	return p
}

// Join adds a neighbour that is not known to hold anything.
func (p *Picker) Join() *Neighbour {
	n := &Neighbour{holds: bitset.New(uint(p.chunks)), asked: map[int]time.Time{}}
	p.all = append(p.all, n)
	return n
}

// Leave removes a neighbour; what it was asked for or had offered is open again.
func (p *Picker) Leave(n *Neighbour) {
	p.all = slices.DeleteFunc(p.all, func(o *Neighbour) bool { return o == n })
	for c, ok := n.holds.NextSet(0); ok; c, ok = n.holds.NextSet(c + 1) {
		p.holders.add(int(c), -1)
	}
	for c := range n.asked {
		p.Withdraw(n, c)
	}
	for _, c := range slices.Clone(n.offers) {
		p.Decline(n, c)
	}
}

// Hold notes that a neighbour has a chunk.
func (p *Picker) Hold(n *Neighbour, chunk int) {
	if !n.holds.Test(uint(chunk)) {
		n.holds.Set(uint(chunk))
		p.holders.add(chunk, 1)
	}
}

// Heard notes that a neighbour has just got a chunk. If it is the first one known to, then
// the owner, who offers the chunk to everybody, has it since not much longer: it is not
// asked for before Ripen.
func (p *Picker) Heard(n *Neighbour, chunk int, now time.Time) {
	if p.holders.of[chunk] == 0 && p.open.Test(uint(chunk)) {
		p.fresh.Set(uint(chunk))
		p.ripen = append(p.ripen, freshChunk{chunk, now})
	}
	p.Hold(n, chunk)
}

// Ripen makes the chunks that were heard of before a time, and not offered since, ones to
// ask for.
func (p *Picker) Ripen(before time.Time) {
	for len(p.ripen) > 0 && p.ripen[0].since.Before(before) {
		p.fresh.Clear(uint(p.ripen[0].chunk))
		p.ripen = p.ripen[1:]
	}
}

// Refused notes that a neighbour answered NONE: it does not have the chunk (any more).
func (p *Picker) Refused(n *Neighbour, chunk int) {
	if n.holds.Test(uint(chunk)) {
		n.holds.Clear(uint(chunk))
		p.holders.add(chunk, -1)
	}
	p.Withdraw(n, chunk)
}

// Offer notes that a neighbour will send a chunk unasked, and says whether it is wanted.
func (p *Picker) Offer(n *Neighbour, chunk int, now time.Time) (wanted bool) {
	p.Hold(n, chunk)
	if !p.open.Test(uint(chunk)) {
		return false
	}
	p.open.Clear(uint(chunk))
	p.offered[chunk] = offer{n, now}
	n.offers = append(n.offers, chunk)
	return true
}

// Decline takes an accepted offer back; the chunk is open again.
func (p *Picker) Decline(n *Neighbour, chunk int) {
	if p.offered[chunk].by != n {
		return
	}
	p.forgetOffer(chunk)
	p.reopen(chunk)
}

// Ask notes that a chunk has been asked of a neighbour.
func (p *Picker) Ask(n *Neighbour, chunk int, now time.Time) {
	n.asked[chunk] = now
	p.asked[chunk] = append(p.asked[chunk], n)
	p.open.Clear(uint(chunk))
}

// Withdraw takes a request back, if there is one; the chunk is open again unless another
// neighbour has it in hand.
func (p *Picker) Withdraw(n *Neighbour, chunk int) {
	if _, ok := n.asked[chunk]; !ok {
		return
	}
	delete(n.asked, chunk)
	rest := slices.DeleteFunc(p.asked[chunk], func(o *Neighbour) bool { return o == n })
	if len(rest) > 0 {
		p.asked[chunk] = rest
		return
	}
	delete(p.asked, chunk)
	p.reopen(chunk)
}

// Land notes that a chunk is here, and returns the neighbours other than from that should
// be told not to send it.
func (p *Picker) Land(from *Neighbour, chunk int) (cancel []*Neighbour) {
	p.missing.Clear(uint(chunk))
	p.open.Clear(uint(chunk))
	for _, n := range p.asked[chunk] {
		delete(n.asked, chunk)
		if n != from {
			cancel = append(cancel, n)
		}
	}
	delete(p.asked, chunk)
	if o, ok := p.offered[chunk]; ok {
		p.forgetOffer(chunk)
		if o.by != from {
			cancel = append(cancel, o.by)
		}
	}
	return cancel
}

// Orphan returns a chunk that no neighbour holds or has in hand, and that is not asked for
// elsewhere: the first one from a random place, so that peers in the same plight begin with
// different ones.
func (p *Picker) Orphan(asked map[int]time.Time) (chunk int, ok bool) {
	if p.chunks == 0 {
		return 0, false
	}
	start := uint(p.rand.IntN(p.chunks))
	find := func(from, to uint) (int, bool) {
		for c, ok := p.open.NextSet(from); ok && c < to; c, ok = p.open.NextSet(c + 1) {
			if _, is := asked[int(c)]; !is && p.holders.of[c] == 0 {
				return int(c), true
			}
		}
		return 0, false
	}
	if chunk, ok = find(start, uint(p.chunks)); ok {
		return chunk, true
	}
	return find(0, start)
}

// Askable says whether Rarest returns a chunk for any of the neighbours. It takes one look where
// asking for each of them takes many.
func (p *Picker) Askable() bool {
	open, known, fresh := p.open.Words(), p.holders.any.Words(), p.fresh.Words()
	for w := range open {
		if open[w]&known[w]&^fresh[w] != 0 {
			return true
		}
	}
	return false
}

// Rarest returns a chunk to ask of a neighbour: one that it holds, that nobody was asked
// for and nobody has offered or is about to, the fewest neighbours hold; ties at random.
func (p *Picker) Rarest(n *Neighbour) (chunk int, ok bool) {
	if p.chunks == 0 {
		return 0, false
	}
	best, seen, ties := -1, 0, 0
	open, holds, fresh := p.open.Words(), n.holds.Words(), p.fresh.Words()
	w := p.rand.IntN(len(open))
	for range open {
		for word := open[w] & holds[w] &^ fresh[w]; word != 0; word &= word - 1 {
			c := w*64 + bits.TrailingZeros64(word)
			switch {
			case best < 0 || p.holders.of[c] < p.holders.of[best]:
				best, ties = c, 1
			case p.holders.of[c] == p.holders.of[best]:
				if ties++; p.rand.IntN(ties) == 0 {
					best = c
				}
			}
			seen++
		}
		if seen >= sample {
			break
		}
		if w++; w == len(open) {
			w = 0
		}
	}
	return best, best >= 0
}

// Steal returns a chunk to ask of a neighbour although another has offered it: the last
// offer, which will come latest, of the neighbour that has most to send here. Its only
// offer is left to it, for it may be on its way.
func (p *Picker) Steal(n *Neighbour) (chunk int, from *Neighbour, ok bool) {
	for _, o := range p.all {
		if o == n || len(o.offers) < 2 || (from != nil && len(o.offers) <= len(from.offers)) {
			continue
		}
		for _, c := range slices.Backward(o.offers[1:]) {
			if n.Holds(c) {
				chunk, from = c, o
				break
			}
		}
	}
	return chunk, from, from != nil
}

// Again returns a chunk to ask of a second neighbour: the one that has been asked for or
// offered for longest, and since before.
func (p *Picker) Again(n *Neighbour, before time.Time) (chunk int, ok bool) {
	oldest := before
	older := func(since time.Time, c int) bool { // in whatever order the maps are gone through
		return since.Before(oldest) || ok && since.Equal(oldest) && c < chunk
	}
	for c, askees := range p.asked {
		if len(askees) != 1 || askees[0] == n || !n.Holds(c) {
			continue
		}
		if since := askees[0].asked[c]; older(since, c) {
			chunk, oldest, ok = c, since, true
		}
	}
	for c, o := range p.offered {
		if o.by != n && len(p.asked[c]) == 0 && n.Holds(c) && older(o.since, c) {
			chunk, oldest, ok = c, o.since, true
		}
	}
	return chunk, ok
}

// Claims are the missing chunks that are not open, each with all who were asked for it, or have
// offered it with success: nobody asks anybody else for them. One that is claimed of nobody, which
// would never come, is yielded with nil. It is for those who check what this package promises.
func (p *Picker) Claims() iter.Seq2[int, *Neighbour] {
	return func(yield func(int, *Neighbour) bool) {
		claimed := p.missing.Difference(p.open)
		for c, ok := claimed.NextSet(0); ok; c, ok = claimed.NextSet(c + 1) {
			of := p.asked[int(c)]
			if o, offered := p.offered[int(c)]; offered {
				of = append(slices.Clone(of), o.by)
			}
			if len(of) == 0 {
				of = []*Neighbour{nil}
			}
			for _, n := range of {
				if !yield(int(c), n) {
					return
				}
			}
		}
	}
}

// Overdue returns the chunks that a neighbour was asked for or has offered since before.
func (p *Picker) Overdue(n *Neighbour, before time.Time) (asked, offered []int) {
	for c, since := range n.asked {
		if since.Before(before) {
			asked = append(asked, c)
		}
	}
	for _, c := range n.offers {
		if p.offered[c].since.Before(before) {
			offered = append(offered, c)
		}
	}
	slices.Sort(asked)
	return asked, offered
}

func (p *Picker) forgetOffer(chunk int) {
	o := p.offered[chunk]
	delete(p.offered, chunk)
	o.by.offers = slices.DeleteFunc(o.by.offers, func(c int) bool { return c == chunk })
}

// reopen makes a chunk eligible again if it is missing and nobody has it in hand.
func (p *Picker) reopen(chunk int) {
	if _, offered := p.offered[chunk]; !offered && len(p.asked[chunk]) == 0 && p.missing.Test(uint(chunk)) {
		p.open.Set(uint(chunk))
	}
}
