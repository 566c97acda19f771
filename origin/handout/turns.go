package handout

import (
	"math/bits"
	"slices"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/rendezvous"
)

// mostSharing is how many origins divide a file among themselves. There is no use for so many,
// and what a tracker may name is without bounds.
const mostSharing = 16

// turns is the order in which one of several origins hands out the chunks of a file. Each chunk
// has all origins in an order of its own, by rendezvous hashing: who serves the file can say
// without a word to the others whose it is, and whose next if that one is gone, and of an origin
// that comes or goes only its share changes hands.
//
// An origin begins with what it is the first for, the lowest chunk first. Then come those that it
// is the second for, and so on: they are another's, who has not got to them, so they are taken
// from the other end, and the two meet in the middle.
type turns struct {
	self    string
	origins []string         // sorted, self among them
	shares  []*bitset.BitSet // chunks that self is the first for, the second, and so on; nil if it is alone
}

func newTurns(self string) turns { return turns{self: self, origins: []string{self}} }

// divide divides the file among these origins and self.
func (t *turns) divide(chunks int, origins []string) {
	origins = append(slices.Clone(origins), t.self)
	slices.Sort(origins)
	origins = slices.Compact(origins)
	if len(origins) > mostSharing { // who is not among them helps, with a share beside theirs
		origins = origins[:mostSharing]
		if at, among := slices.BinarySearch(origins, t.self); !among {
			origins = slices.Insert(origins, at, t.self)
		}
	}
	if slices.Equal(origins, t.origins) {
		return
	}
	if t.origins, t.shares = origins, nil; len(origins) == 1 {
		return
	}
	t.shares = make([]*bitset.BitSet, len(origins))
	for i := range t.shares {
		t.shares[i] = bitset.New(uint(chunks))
	}
	own, others := rendezvous.Seed(t.self), make([]uint64, 0, len(origins))
	for _, o := range origins {
		if o != t.self {
			others = append(others, rendezvous.Seed(o))
		}
	}
	for c := range chunks {
		before, mine := 0, rendezvous.Weight(own, c)
		for _, o := range others {
			if rendezvous.Weight(o, c) > mine {
				before++
			}
		}
		t.shares[before].Set(uint(c))
	}
}

// first is the chunk whose turn it is, of those that are in one set and not in another; false if
// there is none.
func (t *turns) first(of, but *bitset.BitSet) (chunk int, ok bool) {
	in, notIn := of.Words(), but.Words()
	if t.shares == nil {
		return lowest(in, in, notIn)
	}
	if chunk, ok = lowest(in, t.shares[0].Words(), notIn); ok {
		return chunk, true
	}
	for _, share := range t.shares[1:] {
		if chunk, ok = highest(in, share.Words(), notIn); ok {
			return chunk, true
		}
	}
	return 0, false
}

// lowest is the lowest chunk that is in two sets and not in a third.
func lowest(a, b, notIn []uint64) (chunk int, ok bool) {
	for w := range a {
		if both := a[w] & b[w] &^ notIn[w]; both != 0 {
			return w*64 + bits.TrailingZeros64(both), true
		}
	}
	return 0, false
}

// highest is the highest chunk that is in two sets and not in a third.
func highest(a, b, notIn []uint64) (chunk int, ok bool) {
	for w := len(a) - 1; w >= 0; w-- {
		if both := a[w] & b[w] &^ notIn[w]; both != 0 {
			return w*64 + bits.Len64(both) - 1, true
		}
	}
	return 0, false
}
