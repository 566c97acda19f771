package handout

import "math/bits"

// sample bounds how many chunks are compared: the best of so many, from a random place, is about
// as good as the best of all, and a file may have a million.
const sample = 128

// Spare returns the chunk of which one more copy would do t most good, if the uplink has room for
// it; false if t holds everything. It changes nothing.
//
// The chunk is one that t does not hold. Before all others come those that have been sent without
// having been handed out, for they have no owner who brings them to everybody; then those of which
// no copy counts; then all. Among these it is one of which the fewest copies count, and of those one
// that the fewest takers say they hold; of equals, one by chance, so that not all are told the same.
// They are compared by sample, if there are many.
//
// What takers say comes last, since it may be untrue, and they may be unable to send: however many
// say that they hold everything, t is given what it lacks.
func (p *Pool) Spare(t *Taker) (chunk int, ok bool) {
	if t.gone || p.chunks == 0 {
		return 0, false
	}
	if chunk, ok = p.fewest(p.spared.Words(), t.holds.Words()); ok {
		return chunk, true
	}
	if chunk, ok = p.fewest(p.unsent.Words(), t.holds.Words()); ok {
		return chunk, true
	}
	return p.fewest(p.all.Words(), t.holds.Words())
}

// fewest returns the chunk with the fewest copies, and then holders, of those that are in the first
// set and not in the second.
func (p *Pool) fewest(in, notIn []uint64) (chunk int, ok bool) {
	best, seen, ties := -1, 0, 0
	w := p.rand.IntN(len(in))
	for range in {
		for word := in[w] &^ notIn[w]; word != 0; word &= word - 1 {
			c := w*64 + bits.TrailingZeros64(word)
			switch order := p.compare(c, best); {
			case order < 0:
				best, ties = c, 1
			case order == 0:
				if ties++; p.rand.IntN(ties) == 0 {
					best = c
				}
			}
			seen++
		}
		if seen >= sample {
			break
		}
		if w++; w == len(in) {
			w = 0
		}
	}
	return best, best >= 0
}

// compare is below 0 if of chunk a there are fewer copies than of b, or as many and fewer holders;
// b is -1 for none.
func (p *Pool) compare(a, b int) int {
	if b < 0 {
		return -1
	}
	if d := p.copies(uint(a)) - p.copies(uint(b)); d != 0 {
		return int(d)
	}
	return int(p.holders[a] - p.holders[b])
}
