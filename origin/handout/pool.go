package handout

import "github.com/bits-and-blooms/bitset"

// Pool is the chunks that may be handed out. It is not safe for concurrent use.
//
// Invariant: a chunk is in the pool exactly if no taker owns it and no taker holds it.
type Pool struct {
	chunks int
	free   *bitset.BitSet
	claims []int32 // a chunk -> how many takers own or hold it
}

// Taker is one peer's session as the pool sees it.
type Taker struct {
	claims *bitset.BitSet // owned or held
	gone   bool
}

// NewPool makes a pool with every chunk in it.
func NewPool(chunks int) *Pool {
	p := &Pool{chunks: chunks, free: bitset.New(uint(chunks)), claims: make([]int32, chunks)}
	p.free.FlipRange(0, uint(chunks))
	return p
}

// Join adds a taker.
func (p *Pool) Join() *Taker { return &Taker{claims: bitset.New(uint(p.chunks))} }

// Next hands out the lowest chunk of the pool, which t owns from now on; false if
// everything is handed out.
func (p *Pool) Next(t *Taker) (chunk int, ok bool) {
	c, ok := p.free.NextSet(0)
	if !ok || t.gone {
		return 0, false
	}
	p.claim(t, c)
	return int(c), true
}

// Hold notes that a taker has a chunk, from wherever.
func (p *Pool) Hold(t *Taker, chunk int) {
	if !t.gone && !t.claims.Test(uint(chunk)) {
		p.claim(t, uint(chunk))
	}
}

func (p *Pool) claim(t *Taker, c uint) {
	t.claims.Set(c)
	p.claims[c]++
	p.free.Clear(c)
}

// Leave removes a taker. What it owned or held, and nobody else does, goes back into the
// pool at once.
func (p *Pool) Leave(t *Taker) {
	if t.gone {
		return
	}
	t.gone = true
	for c, ok := t.claims.NextSet(0); ok; c, ok = t.claims.NextSet(c + 1) {
		if p.claims[c]--; p.claims[c] == 0 {
			p.free.Set(c)
		}
	}
}
