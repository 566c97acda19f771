package picker

import (
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"
)

// Neighbour is what is known of one neighbour.
type Neighbour struct {
	holds   *bitset.BitSet
	asked   map[int]time.Time // since when
	offers  []pending         // accepted, in the order in which they will come
	doubted bool              // see Trust
	proven  bool              // see Prove
}

// pending is a chunk that something is awaited of, since a moment.
type pending struct {
	chunk int
	since time.Time
}

// AskedFor says whether a request for the chunk is outstanding at the neighbour.
func (n *Neighbour) AskedFor(chunk int) bool { _, is := n.asked[chunk]; return is }

// Claims is how many chunks it has been asked for, or has offered with success.
func (n *Neighbour) Claims() int { return len(n.asked) + len(n.offers) }

// retract forgets an offer.
func (n *Neighbour) retract(chunk int) {
	n.offers = slices.DeleteFunc(n.offers, func(o pending) bool { return o.chunk == chunk })
}

// Asked is the number of requests outstanding at the neighbour.
func (n *Neighbour) Asked() int { return len(n.asked) }

// Proven says whether the neighbour has brought something.
func (n *Neighbour) Proven() bool { return n.proven }

// Holds says whether the neighbour is known to have the chunk.
func (n *Neighbour) Holds(chunk int) bool { return n.holds.Test(uint(chunk)) }

// Overdue returns the chunks that the neighbour was asked for or has offered since before.
func (n *Neighbour) Overdue(before time.Time) (chunks []int) {
	for c, since := range n.asked {
		if since.Before(before) {
			chunks = append(chunks, c)
		}
	}
	slices.Sort(chunks) // a map has no order, and what is decided must have one
	for _, o := range n.offers {
		if o.since.Before(before) {
			chunks = append(chunks, o.chunk)
		}
	}
	return chunks
}

// census is how many neighbours hold each chunk.
type census struct {
	holders holders // by what they say
	proven  holders // of those that have brought something
}

// count notes that a neighbour holds a chunk, or, with -1, does not, if that counts.
func (s *census) count(n *Neighbour, chunk, by int) {
	if n.doubted {
		return
	}
	s.holders.add(chunk, by)
	if n.proven {
		s.proven.add(chunk, by)
	}
}

// holders is how many neighbours hold each chunk, and which chunks any of them does.
type holders struct {
	of  []int
	any *bitset.BitSet
}

func newHolders(chunks int) holders { return holders{make([]int, chunks), bitset.New(uint(chunks))} }

func (h *holders) add(chunk, neighbours int) {
	h.of[chunk] += neighbours
	h.any.SetTo(uint(chunk), h.of[chunk] > 0)
}
