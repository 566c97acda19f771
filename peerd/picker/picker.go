// Package picker decides which chunk a peer asks of which neighbour in a swarm.
//
// It is pure: no I/O, no clock, no goroutine. The swarm tells it what it learns and asks
// what to do; time comes in as an argument. It must not know sessions or the network.
//
// Invariants:
//   - a chunk that is held is never asked for, offered or waited for;
//   - a chunk is asked of a neighbour only if that neighbour holds it (what is asked of an origin,
//     which holds everything, the caller chooses);
//   - a chunk is asked of one neighbour at a time;
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

// Picker is the state of one download. It is not safe for concurrent use.
type Picker struct {
	// Share is which chunks are this peer's business, of those that it and others like it lack: those of
	// others count as if one more held them, who is about to. It may change; nil for everything.
	Share *bitset.BitSet

	rand    *rand.Rand
	chunks  int
	missing *bitset.BitSet
	open    *bitset.BitSet // missing, not asked for and not offered
	census
	offered map[int]*Neighbour
	asked   map[int]*Neighbour
	all     []*Neighbour
	fresh   *bitset.BitSet // held by a neighbour since so recently that an offer may follow
	ripen   []pending      // those, the oldest first
}

// New makes the picker of a download of so many chunks, of which held are here.
func New(chunks int, held func(chunk int) bool, r *rand.Rand) *Picker {
	p := &Picker{
		rand: r, chunks: chunks,
		missing: bitset.New(uint(chunks)), census: census{newHolders(chunks), newHolders(chunks)},
		offered: map[int]*Neighbour{}, asked: map[int]*Neighbour{},
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
	p.Trust(n, false)
	for c := range n.asked {
		p.Withdraw(n, c)
	}
	for _, o := range slices.Clone(n.offers) {
		p.Decline(n, o.chunk)
	}
}

// Hold notes that a neighbour has a chunk.
func (p *Picker) Hold(n *Neighbour, chunk int) {
	if !n.holds.Test(uint(chunk)) {
		n.holds.Set(uint(chunk))
		p.census.count(n, chunk, 1)
	}
}

// Heard notes that a neighbour has just got a chunk. If it is the first one known to, then
// the owner, who offers the chunk to everybody, has it since not much longer: it is not
// asked for before Ripen.
func (p *Picker) Heard(n *Neighbour, chunk int, now time.Time) {
	if p.holders.of[chunk] == 0 && p.open.Test(uint(chunk)) {
		p.fresh.Set(uint(chunk))
		p.ripen = append(p.ripen, pending{chunk, now})
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
		p.census.count(n, chunk, -1)
	}
	p.Withdraw(n, chunk)
}

// Offer notes that a neighbour will send a chunk unasked, and says whether it is wanted.
func (p *Picker) Offer(n *Neighbour, chunk int, now time.Time) (wanted bool) {
	p.Hold(n, chunk)
	if n.doubted || !p.open.Test(uint(chunk)) {
		return false
	}
	p.open.Clear(uint(chunk))
	p.offered[chunk] = n
	n.offers = append(n.offers, pending{chunk, now})
	return true
}

// Decline takes an accepted offer back; the chunk is open again.
func (p *Picker) Decline(n *Neighbour, chunk int) {
	if p.offered[chunk] != n {
		return
	}
	delete(p.offered, chunk)
	n.retract(chunk)
	p.reopen(chunk)
}

// Ask notes that a chunk has been asked of a neighbour.
func (p *Picker) Ask(n *Neighbour, chunk int, now time.Time) {
	n.asked[chunk] = now
	p.asked[chunk] = n
	p.open.Clear(uint(chunk))
}

// Withdraw takes a request back, if there is one; the chunk is open again.
func (p *Picker) Withdraw(n *Neighbour, chunk int) {
	if _, ok := n.asked[chunk]; !ok {
		return
	}
	delete(n.asked, chunk)
	delete(p.asked, chunk)
	p.reopen(chunk)
}

// Land notes that a chunk is here, and returns the neighbours other than from that should
// be told not to send it.
func (p *Picker) Land(from *Neighbour, chunk int) (cancel []*Neighbour) {
	p.missing.Clear(uint(chunk))
	p.open.Clear(uint(chunk))
	if n := p.asked[chunk]; n != nil {
		delete(n.asked, chunk)
		delete(p.asked, chunk)
		if n != from {
			cancel = append(cancel, n)
		}
	}
	if n := p.offered[chunk]; n != nil {
		delete(p.offered, chunk)
		n.retract(chunk)
		if n != from {
			cancel = append(cancel, n)
		}
	}
	return cancel
}

// Trust says whether what a neighbour holds is to be counted on. Of one that is not trusted nothing
// is asked, and what only such hold counts as held by nobody.
func (p *Picker) Trust(n *Neighbour, trusted bool) {
	if n.doubted != trusted {
		return
	}
	by := -1
	if trusted {
		n.doubted, by = false, 1
	}
	for c, ok := n.holds.NextSet(0); ok; c, ok = n.holds.NextSet(c + 1) {
		p.census.count(n, int(c), by)
	}
	n.doubted = !trusted
}

// Prove notes that a neighbour has brought something. What others say that they hold is hearsay: they are
// asked for it, but it may be that nobody holds it.
func (p *Picker) Prove(n *Neighbour) {
	if n.proven {
		return
	}
	n.proven = true
	for c, ok := n.holds.NextSet(0); ok && !n.doubted; c, ok = n.holds.NextSet(c + 1) {
		p.proven.add(int(c), 1)
	}
}

// Claimed is how many missing chunks have been asked for or were accepted.
func (p *Picker) Claimed() int { return len(p.asked) + len(p.offered) }

// Orphan returns a chunk that no neighbour that has brought something holds, and none has in hand: the
// first one from a random place, so that peers in the same plight begin with different ones. It is one of a set,
// if that is not nil.
func (p *Picker) Orphan(of *bitset.BitSet) (chunk int, ok bool) {
	if p.chunks == 0 {
		return 0, false
	}
	open, known := p.open.Words(), p.proven.any.Words()
	w := p.rand.IntN(len(open))
	for range open {
		word := open[w] &^ known[w]
		if of != nil {
			word &= of.Words()[w]
		}
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word), true
		}
		if w++; w == len(open) {
			w = 0
		}
	}
	return 0, false
}

// Open says that a chunk is missing and in nobody's hands.
func (p *Picker) Open(chunk int) bool { return p.open.Test(uint(chunk)) }

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

// Rarest returns a chunk to ask of a neighbour, or, if that is nil, of somebody who holds everything:
// one that it holds, that nobody was asked for and nobody has offered or is about to, the fewest
// neighbours hold (see Share); ties at random. It is one of a set, if that is not nil.
func (p *Picker) Rarest(n *Neighbour, of *bitset.BitSet) (chunk int, ok bool) {
	if p.chunks == 0 || n != nil && n.doubted {
		return 0, false
	}
	rank := func(chunk int) int { // the lower the sooner it is to be asked for
		if p.Share != nil && !p.Share.Test(uint(chunk)) {
			return p.holders.of[chunk] + 1
		}
		return p.holders.of[chunk]
	}
	best, seen, ties := -1, 0, 0
	open, holds, fresh := p.open.Words(), p.holders.any.Words(), p.fresh.Words()
	if n != nil {
		holds = n.holds.Words()
	}
	w := p.rand.IntN(len(open))
	for range open {
		word := open[w] & holds[w] &^ fresh[w]
		if of != nil {
			word &= of.Words()[w]
		}
		for ; word != 0; word &= word - 1 {
			c := w*64 + bits.TrailingZeros64(word)
			switch {
			case best < 0 || rank(c) < rank(best):
				best, ties = c, 1
			case rank(c) == rank(best):
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

// Claims are the missing chunks that are not open, each with who was asked for it, or has offered it
// with success: nobody asks anybody else for them. One that is claimed of nobody, which would never
// come, is yielded with nil. It is for those who check what this package promises.
func (p *Picker) Claims() iter.Seq2[int, *Neighbour] {
	return func(yield func(int, *Neighbour) bool) {
		claimed := p.missing.Difference(p.open)
		for c, ok := claimed.NextSet(0); ok; c, ok = claimed.NextSet(c + 1) {
			of := p.asked[int(c)]
			if of == nil {
				of = p.offered[int(c)]
			}
			if !yield(int(c), of) {
				return
			}
		}
	}
}

// reopen makes a chunk eligible again if it is missing and nobody has it in hand.
func (p *Picker) reopen(chunk int) {
	if p.offered[chunk] == nil && p.asked[chunk] == nil && p.missing.Test(uint(chunk)) {
		p.open.Set(uint(chunk))
	}
}
