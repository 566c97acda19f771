package handout

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bits-and-blooms/bitset"
	"pgregory.net/rapid"
)

// origins are the pools of origins that all have heard of each other.
func origins(chunks int, ids ...string) []*Pool {
	all := make([]*Pool, len(ids))
	for i, id := range ids {
		all[i] = NewPool(id, chunks, newRand())
		all[i].Share(ids)
	}
	return all
}

// Alone, an origin hands out the lowest chunk first, also when others have left again.
func TestAloneAgain(t *testing.T) {
	p := newPool(100)
	for _, named := range [][]string{{"o", "p"}, {"o"}, {"p"}, nil} {
		p.Share(named)
	}
	k := p.Join()
	for want := range 100 {
		if c, ok := p.Next(k); !ok || c != want {
			t.Fatalf("handout = %d, %v, want %d", c, ok, want)
		}
	}
}

// Several origins have about equal shares, each hands out its own from the beginning, and then
// the others' from the end.
func TestOrder(t *testing.T) {
	const chunks = 3000
	for _, p := range origins(chunks, "a", "b", "c") {
		k := p.Join()
		var order []int
		for c, ok := p.Next(k); ok; c, ok = p.Next(k) {
			order = append(order, c)
		}
		turned := 0
		for turned+1 < chunks && order[turned] < order[turned+1] {
			turned++
		}
		if own := turned + 1; own < chunks/3-150 || own > chunks/3+150 {
			t.Errorf("its own are %d of %d", own, chunks)
		}
		again := 0 // the second's and the third's, each falling
		for i := turned + 1; i+1 < chunks; i++ {
			if order[i] < order[i+1] {
				again++
			}
		}
		slices.Sort(order)
		if again > 1 || len(slices.Compact(order)) != chunks {
			t.Errorf("of the others' it began %d times at the end, all are %d", 1+again, len(order))
		}
	}
}

// Origins that hear at once what the others have sent send every chunk once, whoever is faster,
// and if one is gone, the others do.
func TestOriginsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.IntRange(0, 200).Draw(t, "chunks")
		ids := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(t, "origins")]
		all := origins(chunks, ids...)
		dies := rapid.IntRange(0, chunks).Draw(t, "one dies after")
		takers := make([]*Taker, len(all))
		for i, p := range all {
			takers[i] = p.Join()
		}
		seen := map[int]bool{}
		for len(seen) < chunks {
			if len(seen) >= dies && len(all) > 1 {
				all, takers, dies = all[1:], takers[1:], chunks+1
			}
			from := rapid.IntRange(0, len(all)-1).Draw(t, "from")
			c, ok := all[from].Next(takers[from])
			if !ok || seen[c] {
				t.Fatalf("handout = %d, %v, after %d of %d", c, ok, len(seen), chunks)
			}
			seen[c] = true
			for i, p := range all {
				p.Hold(takers[i], c)
			}
		}
	})
}

// Each chunk is one origin's, one's to help out with, and so on, and if an origin goes, the
// others keep what they have.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const chunks = 150
		ids := rapid.SliceOfNDistinct(rapid.StringN(1, 8, -1), 2, mostSharing, rapid.ID).Draw(t, "origins")
		all := origins(chunks, ids...)
		for c := range uint(chunks) {
			var places []int
			for _, p := range all {
				places = append(places, slices.IndexFunc(p.turns.shares, func(s *bitset.BitSet) bool { return s.Test(c) }))
			}
			slices.Sort(places)
			for want, got := range places {
				if got != want {
					t.Fatalf("chunk %d: of %q, the places are %v", c, ids, places)
				}
			}
		}
		own := all[0].turns.shares[0].Clone()
		all[0].Share(ids[:len(ids)-1])
		if len(ids) > 2 && !all[0].turns.shares[0].IsSuperSet(own) {
			t.Fatalf("%q has lost some because another went", ids[0])
		}
	})
}

// A tracker may name any number.
func TestTooManyOrigins(t *testing.T) {
	var ids []string
	for i := range 1000 {
		ids = append(ids, fmt.Sprintf("%04d", i))
	}
	for _, self := range []string{"0000", "0999", "z"} {
		p := NewPool(self, 100, newRand())
		p.Share(ids)
		k, n := p.Join(), 0
		for _, ok := p.Next(k); ok; _, ok = p.Next(k) {
			n++
		}
		if n != 100 || len(p.turns.shares) > mostSharing+1 {
			t.Errorf("%s handed out %d, of %d shares", self, n, len(p.turns.shares))
		}
	}
}
