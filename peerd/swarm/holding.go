package swarm

import (
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/bits-and-blooms/bitset"
)

// holding is which chunks a neighbour is known to hold: it has said so, or they were sent to it.
type holding struct {
	chunks *bitset.BitSet
	count  uint
}

func newHolding(chunks int) holding { return holding{chunks: bitset.New(uint(chunks))} }

func (h *holding) add(chunk int) {
	if uint(chunk) < h.chunks.Len() && !h.has(chunk) {
		h.chunks.Set(uint(chunk))
		h.count++
	}
}

// remove notes that it does not hold a chunk, whatever was known.
func (h *holding) remove(chunk int) {
	if h.has(chunk) {
		h.chunks.Clear(uint(chunk))
		h.count--
	}
}

func (h *holding) has(chunk int) bool { return h.chunks.Test(uint(chunk)) }

// complete says that it holds everything.
func (h *holding) complete() bool { return h.count == h.chunks.Len() }

// lacks returns a chunk of some that is not held, and not among but: the first one from a random
// place.
func (h *holding) lacks(some *bitset.BitSet, but []int, r *rand.Rand) (chunk int, ok bool) {
	have, holds := some.Words(), h.chunks.Words()
	if len(have) == 0 {
		return 0, false
	}
	w := r.IntN(len(have))
	for range have {
		for word := have[w] &^ holds[w]; word != 0; word &= word - 1 {
			if c := w*64 + bits.TrailingZeros64(word); !slices.Contains(but, c) {
				return c, true
			}
		}
		if w++; w == len(have) {
			w = 0
		}
	}
	return 0, false
}
