package handout

import (
	"math/rand/v2"

	"github.com/bits-and-blooms/bitset"
)

// Pool is what is known of a file's chunks: which are to be handed out, and of how many this
// origin has sent copies that are not lost. It is not safe for concurrent use.
//
// A copy counts while the session that took it lives. One that was taken by a session which is
// gone counts while the chunk is known of another session that was served from here: what one
// says that never took anything proves nothing.
//
// Invariant: a chunk is in the pool exactly if no copy of it counts and no taker holds it, by deed
// or by word. Claims only order: a chunk of which no copy counts, but which somebody says to hold,
// is not in the pool, and yet is handed out once the pool is empty.
type Pool struct {
	chunks int
	rand   *rand.Rand
	turns  turns
	all    *bitset.BitSet // every chunk
	free   *bitset.BitSet // in the pool
	unsent *bitset.BitSet // no copy counts, whoever says to hold the chunk; the pool is a part of it
	left   int            // how many those are
	spared *bitset.BitSet // sent without having been handed out

	// By chunk, how many takers
	taken   []int32        // took it from here,
	holders []int32        // took it or say that they hold it,
	served  []int32        // and have taken something;
	lost    *bitset.BitSet // a taker of it is gone
}

// Taker is one peer's session as the pool sees it.
type Taker struct {
	holds *bitset.BitSet // what it took, and what it says to hold
	took  []int32        // from here, each chunk once
	count int            // of holds
	gone  bool
}

// NewPool makes a pool with every chunk in it, of which the origin self is to hand out all until
// it hears of others. Chance settles which of equally good chunks is spared.
func NewPool(self string, chunks int, r *rand.Rand) *Pool {
	all := bitset.New(uint(chunks)).FlipRange(0, uint(chunks))
	return &Pool{
		chunks: chunks, rand: r, turns: newTurns(self), all: all,
		free: all.Clone(), unsent: all.Clone(), left: chunks, spared: bitset.New(uint(chunks)),
		taken: make([]int32, chunks), holders: make([]int32, chunks), served: make([]int32, chunks), lost: bitset.New(uint(chunks)),
	}
}

// Share hears which origins serve the file, this one included or not. They divide it among
// themselves: from now on what is theirs is handed out last.
func (p *Pool) Share(origins []string) { p.turns.divide(p.chunks, origins) }

// Join adds a taker.
func (p *Pool) Join() *Taker { return &Taker{holds: bitset.New(uint(p.chunks))} }

// Next hands out the chunk of the pool whose turn it is, which t owns from now on. When the pool is
// empty, it is the turn of what others only say that they hold: they may be slow, or lie. False if t
// says to hold all of that, or there is none.
func (p *Pool) Next(t *Taker) (chunk int, ok bool) {
	if t.gone || p.left == 0 {
		return 0, false
	}
	if chunk, ok = p.turns.first(p.free, t.holds); !ok {
		chunk, ok = p.turns.first(p.unsent, t.holds)
	}
	if ok {
		p.spared.Clear(uint(chunk)) // now it has an owner
		p.take(t, uint(chunk))
	}
	return chunk, ok
}

// Sent notes that a taker has been given a chunk from here that was not handed out to it. What it
// says to hold it does not need, and could claim to have lost.
func (p *Pool) Sent(t *Taker, chunk int) {
	if c := uint(chunk); !t.gone && !t.holds.Test(c) {
		p.spared.Set(c)
		p.take(t, c)
	}
}

// take notes that t, which did not hold it, has got a chunk from here.
func (p *Pool) take(t *Taker, c uint) {
	if len(t.took) == 0 { // from now on it is one that was served
		for h, ok := t.holds.NextSet(0); ok; h, ok = t.holds.NextSet(h + 1) {
			p.served[h]++
			p.settle(h)
		}
	}
	t.took = append(t.took, int32(c))
	p.taken[c]++
	p.hold(t, c)
}

// Hold notes that a taker has a chunk, from wherever.
func (p *Pool) Hold(t *Taker, chunk int) {
	if !t.gone && !t.holds.Test(uint(chunk)) {
		p.hold(t, uint(chunk))
	}
}

func (p *Pool) hold(t *Taker, c uint) {
	t.holds.Set(c)
	t.count++
	p.holders[c]++
	if len(t.took) > 0 {
		p.served[c]++
	}
	p.settle(c)
}

// Leave removes a taker. What it took or held, and nobody else does, goes back into the pool at
// once.
func (p *Pool) Leave(t *Taker) {
	if t.gone {
		return
	}
	t.gone = true
	for _, c := range t.took {
		p.taken[c]--
		p.lost.Set(uint(c))
	}
	for c, ok := t.holds.NextSet(0); ok; c, ok = t.holds.NextSet(c + 1) {
		p.holders[c]--
		if len(t.took) > 0 {
			p.served[c]--
		}
		p.settle(c)
	}
}

// copies is how many copies of a chunk count. Those that were lost with their takers, and are
// known of others, count as one.
func (p *Pool) copies(c uint) int32 {
	if p.lost.Test(c) && p.served[c] > 0 {
		return p.taken[c] + 1
	}
	return p.taken[c]
}

// settle takes a chunk into the pool or out of it, after something has changed about it.
func (p *Pool) settle(c uint) {
	unsent := p.copies(c) == 0
	switch was := p.unsent.Test(c); {
	case unsent && !was:
		p.left++
	case was && !unsent:
		p.left--
	}
	p.unsent.SetTo(c, unsent)
	p.free.SetTo(c, unsent && p.holders[c] == 0)
}
