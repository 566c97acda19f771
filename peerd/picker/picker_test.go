package picker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/bits-and-blooms/bitset"
	"pgregory.net/rapid"
)

var begin = time.Unix(1000, 0)

func at(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }

func TestRarestFirst(t *testing.T) {
	p := nothingHeld(4)
	a, b, c := p.Join(), p.Join(), p.Join()
	hold(p, a, 0, 1, 2)
	hold(p, b, 0, 1)
	hold(p, c, 0, 3)
	for _, want := range []int{2, 1, 0} {
		got, ok := p.Rarest(a, nil)
		if !ok || got != want {
			t.Fatalf("got %d, %v, want %d", got, ok, want)
		}
		p.Ask(a, got, begin)
	}
	if got, ok := p.Rarest(a, nil); ok {
		t.Errorf("got %d, although all that it holds is asked for", got)
	}
	if got, ok := p.Rarest(b, nil); ok {
		t.Errorf("got %d, although it is asked for", got)
	}
	p.Leave(a)
	if got, ok := p.Rarest(b, nil); !ok || got != 1 {
		t.Errorf("got %d, %v, want 1, which is open again", got, ok)
	}
}

// Among equally rare chunks the choice is random, so that peers ask for different ones.
// What is the business of others is asked for as if one more neighbour held it.
func TestOwnShareFirst(t *testing.T) {
	p := nothingHeld(5)
	a, b, c := p.Join(), p.Join(), p.Join()
	hold(p, a, 0, 1, 2, 3)
	hold(p, b, 2, 3)
	hold(p, c, 3)
	mine := bitset.New(5)
	mine.Set(1).Set(3)
	p.Share = mine // ranks: 0 has 2, 1 has 1, 2 has 3, 3 has 3
	for _, want := range [][]int{{1}, {0}, {2, 3}, {2, 3}} {
		got, ok := p.Rarest(a, nil)
		if !ok || !slices.Contains(want, got) {
			t.Fatalf("got %d, %v, want one of %v", got, ok, want)
		}
		p.Ask(a, got, begin)
	}
}

// Where one of a set is wanted, no other is returned.
func TestRarestOfSome(t *testing.T) {
	p := nothingHeld(200)
	a := p.Join()
	hold(p, a, 3, 150, 199)
	some := bitset.New(200)
	some.Set(150).Set(7)
	for range 20 {
		if got, ok := p.Rarest(a, some); !ok || got != 150 {
			t.Fatalf("got %d, %v, want 150", got, ok)
		}
	}
	if got, ok := p.Rarest(nil, some); !ok || got != 150 {
		t.Errorf("of who holds everything: %d, %v, want 150", got, ok)
	}
	if got, ok := p.Rarest(a, bitset.New(200)); ok {
		t.Errorf("of no chunk: %d", got)
	}
}

func TestRarestVaries(t *testing.T) {
	p := nothingHeld(1000)
	n := p.Join()
	for c := range 1000 {
		p.Hold(n, c)
	}
	seen := map[int]bool{}
	for range 100 {
		c, _ := p.Rarest(n, nil)
		seen[c] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different chunks in 100 tries", len(seen))
	}
}

// A chunk just heard of is left for its owner to offer, for a while.
func TestFreshChunksRipen(t *testing.T) {
	p := nothingHeld(3)
	a, b := p.Join(), p.Join()
	p.Heard(a, 0, at(0))
	p.Heard(b, 0, at(50)) // no news
	p.Hold(a, 1)
	if c, ok := p.Rarest(a, nil); !ok || c != 1 {
		t.Fatalf("got %d, %v, want 1", c, ok)
	}
	p.Ask(a, 1, at(0))
	p.Ripen(at(0))
	if c, ok := p.Rarest(a, nil); ok {
		t.Fatalf("got %d too soon", c)
	}
	p.Ripen(at(1))
	if c, ok := p.Rarest(a, nil); !ok || c != 0 {
		t.Fatalf("got %d, %v, want 0", c, ok)
	}
}

func TestOffer(t *testing.T) {
	p := nothingHeld(2)
	a, b := p.Join(), p.Join()
	if !p.Offer(a, 0, begin) || p.Offer(b, 0, begin) || p.Offer(a, 0, begin) {
		t.Error("want the first offer of a chunk accepted, and no other")
	}
	if !a.Holds(0) || !b.Holds(0) {
		t.Error("who offers a chunk holds it")
	}
	p.Hold(b, 1)
	p.Ask(b, 1, begin)
	if p.Offer(a, 1, begin) {
		t.Error("an offer of a chunk that is asked for was accepted")
	}
	p.Decline(b, 0) // not the one accepted
	if _, ok := p.Rarest(b, nil); ok {
		t.Error("a declined offer of another opened the chunk")
	}
	p.Decline(a, 0)
	if c, ok := p.Rarest(b, nil); !ok || c != 0 {
		t.Error("the chunk is not open although its offer was declined")
	}
	if cancel := p.Land(a, 1); !slices.Equal(cancel, []*Neighbour{b}) {
		t.Error("b is not told not to send chunk 1")
	}
	if p.Offer(a, 1, begin) {
		t.Error("an offer of a held chunk was accepted")
	}
}

func TestOrphan(t *testing.T) {
	p := nothingHeld(200)
	n := p.Join()
	for c := range 200 {
		if c != 7 && c != 150 {
			p.Hold(n, c)
		}
	}
	if _, ok := p.Orphan(nil); !ok {
		t.Error("what one says that has brought nothing is taken for certain")
	}
	p.Prove(n)
	p.Trust(n, false)
	p.Trust(n, true)
	p.Refused(n, 40)
	p.Hold(n, 40)
	seen := map[int]bool{}
	for range 50 {
		c, ok := p.Orphan(nil)
		seen[c] = ok
	}
	if len(seen) != 2 || !seen[7] || !seen[150] {
		t.Errorf("orphans %v, want 7 and 150", seen)
	}
	p.Ask(n, 7, begin)
	if c, ok := p.Orphan(nil); !ok || c != 150 {
		t.Errorf("got %d, %v, want 150", c, ok)
	}
	p.Land(nil, 7)
	p.Land(nil, 150)
	if c, ok := p.Orphan(nil); ok || p.missing.Count() != 198 {
		t.Errorf("got %d; %d missing", c, p.missing.Count())
	}
}

// An empty file and one that is complete have nothing to ask for.
func TestNothingMissing(t *testing.T) {
	for _, chunks := range []int{0, 1, 100} {
		p := New(chunks, func(int) bool { return true }, rand.New(rand.NewPCG(1, 1)))
		n := p.Join()
		for c := range chunks {
			p.Hold(n, c)
			if p.Offer(n, c, begin) {
				t.Error("offer accepted")
			}
		}
		_, rarest := p.Rarest(n, nil)
		_, orphan := p.Orphan(nil)
		if rarest || orphan || p.missing.Any() {
			t.Errorf("%d chunks: %v %v, %d missing", chunks, rarest, orphan, p.missing.Count())
		}
	}
}

// The invariants of the package hold whatever happens in whatever order.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const chunks = 70
		held := map[int]bool{}
		for _, c := range rapid.SliceOf(rapid.IntRange(0, chunks-1)).Draw(t, "held") {
			held[c] = true
		}
		p := New(chunks, func(c int) bool { return held[c] }, rand.New(rand.NewPCG(1, 2)))
		now := 0
		x := &machine{T: t, p: p, held: held}
		some := func(t *rapid.T, do func(n *Neighbour, c int)) {
			if len(p.all) > 0 {
				n := rapid.SampledFrom(p.all).Draw(t, "neighbour")
				do(n, rapid.IntRange(0, chunks-1).Draw(t, "chunk"))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join":  func(*rapid.T) { p.Join() },
			"leave": func(t *rapid.T) { some(t, func(n *Neighbour, _ int) { p.Leave(n) }) },
			"time":  func(t *rapid.T) { now += rapid.IntRange(1, 100).Draw(t, "ms") },
			"ripen": func(*rapid.T) { p.Ripen(at(now - 50)) },
			"hold":  func(t *rapid.T) { some(t, p.Hold) },
			"heard": func(t *rapid.T) { some(t, func(n *Neighbour, c int) { p.Heard(n, c, at(now)) }) },
			"offer": func(t *rapid.T) {
				some(t, func(n *Neighbour, c int) {
					want := !held[c] && p.offered[c] == nil && p.asked[c] == nil && !n.doubted
					if p.Offer(n, c, at(now)) != want {
						t.Fatalf("offer of %d: want accepted %v", c, want)
					}
				})
			},
			"refused":  func(t *rapid.T) { some(t, p.Refused) },
			"decline":  func(t *rapid.T) { some(t, p.Decline) },
			"withdraw": func(t *rapid.T) { some(t, p.Withdraw) },
			"land": func(t *rapid.T) {
				some(t, func(n *Neighbour, c int) {
					if rapid.Bool().Draw(t, "of nobody") {
						n = nil
					}
					p.Land(n, c)
					held[c] = true
				})
			},
			"ask": func(t *rapid.T) {
				some(t, func(n *Neighbour, _ int) {
					c, ok := p.Rarest(n, nil)
					x.checkRarest(n, c, ok)
					if ok {
						p.Ask(n, c, at(now))
					}
				})
			},
			"prove": func(t *rapid.T) { some(t, func(n *Neighbour, _ int) { p.Prove(n) }) },
			"trust": func(t *rapid.T) { some(t, func(n *Neighbour, _ int) { p.Trust(n, rapid.Bool().Draw(t, "trusted")) }) },
			"any": func(t *rapid.T) { // of somebody who holds everything
				c, ok := p.Rarest(nil, nil)
				if ok && (!p.Open(c) || p.holders.of[c] == 0) {
					t.Fatalf("chunk %d is to be asked for, which is in somebody's hands, or held by nobody", c)
				}
				if ok != p.Askable() {
					t.Fatalf("there is one to ask for: %v", ok)
				}
			},
			"": func(t *rapid.T) { x.T = t; x.check() },
		})
	})
}

func BenchmarkRarest(b *testing.B) {
	for _, chunks := range []int{1 << 10, 1 << 18} {
		for name, open := range map[string]int{"many open": 2, "few open": chunks / 4} {
			b.Run(fmt.Sprintf("%d chunks, %s", chunks, name), func(b *testing.B) {
				p := New(chunks, func(c int) bool { return c%open != 0 }, rand.New(rand.NewPCG(1, 1)))
				n, o := p.Join(), p.Join()
				for c := range chunks {
					p.Hold(n, c)
					if c%3 == 0 {
						p.Hold(o, c)
					}
				}
				for b.Loop() {
					p.Rarest(n, nil)
				}
			})
		}
	}
}

// machine checks a picker against its invariants, counted from scratch.
type machine struct {
	*rapid.T
	p    *Picker
	held map[int]bool
}

func (x *machine) check() {
	p := x.p
	asked, offered := map[int]int{}, map[int]int{}
	holders, proven := make([]int, p.chunks), make([]int, p.chunks)
	for _, n := range p.all {
		for c := range p.chunks {
			if n.Holds(c) && !n.doubted {
				holders[c]++
				if n.proven {
					proven[c]++
				}
			}
		}
		for c := range n.asked {
			asked[c]++
			if x.held[c] || !n.Holds(c) || p.asked[c] != n {
				x.Fatalf("chunk %d is asked of a neighbour: held %v, by it %v", c, x.held[c], n.Holds(c))
			}
		}
		for _, o := range n.offers {
			c := o.chunk
			offered[c]++
			if x.held[c] || p.offered[c] != n {
				x.Fatalf("chunk %d is expected of a neighbour: held %v, offered by it %v", c, x.held[c], p.offered[c] == n)
			}
		}
	}
	claims := map[int]int{}
	for c, n := range p.Claims() {
		claims[c]++
		if !slices.Contains(p.all, n) {
			x.Fatalf("chunk %d is claimed of one that has left, or of nobody", c)
		}
	}
	missing, askable := 0, false
	for c := range p.chunks {
		askable = askable || p.open.Test(uint(c)) && holders[c] > 0 && !p.fresh.Test(uint(c))
		if claims[c] != asked[c]+offered[c] {
			x.Fatalf("chunk %d is asked of %d and offered by %d, claims are %d", c, asked[c], offered[c], claims[c])
		}
		if !x.held[c] {
			missing++
		}
		if asked[c] > 1 || (p.asked[c] != nil) != (asked[c] == 1) {
			x.Fatalf("chunk %d is asked of %d neighbours, noted %v", c, asked[c], p.asked[c] != nil)
		}
		if _, noted := p.offered[c]; offered[c] > 1 || noted != (offered[c] == 1) {
			x.Fatalf("chunk %d has %d accepted offers, noted %v", c, offered[c], noted)
		}
		if open := !x.held[c] && asked[c] == 0 && offered[c] == 0; p.open.Test(uint(c)) != open {
			x.Fatalf("chunk %d: open %v, want %v", c, !open, open)
		}
		if p.proven.of[c] != proven[c] || p.proven.any.Test(uint(c)) != (proven[c] > 0) {
			x.Fatalf("chunk %d has %d holders that have brought something, counted as %d", c, proven[c], p.proven.of[c])
		}
		if p.holders.of[c] != holders[c] {
			x.Fatalf("chunk %d has %d holders, counted as %d", c, holders[c], p.holders.of[c])
		}
	}
	if p.Askable() != askable {
		x.Fatalf("chunks to ask for: %v, want %v", !askable, askable)
	}
	if p.missing.Count() != uint(missing) {
		x.Fatalf("%d missing, noted are %d", missing, p.missing.Count())
	}
}

// checkRarest compares a choice with all candidates.
func (x *machine) checkRarest(n *Neighbour, got int, ok bool) {
	least := -1
	for c := range x.p.chunks {
		if x.p.open.Test(uint(c)) && n.Holds(c) && !n.doubted && !x.p.fresh.Test(uint(c)) && (least < 0 || x.p.holders.of[c] < least) {
			least = x.p.holders.of[c]
		}
	}
	switch {
	case ok != (least >= 0):
		x.Fatalf("chunk %d, %v, with the rarest held by %d", got, ok, least)
	case ok && (!x.p.open.Test(uint(got)) || !n.Holds(got) || x.p.holders.of[got] != least):
		x.Fatalf("chunk %d: open %v, held by it %v, by %d, the rarest by %d", got, x.p.open.Test(uint(got)), n.Holds(got), x.p.holders.of[got], least)
	}
}

func nothingHeld(chunks int) *Picker {
	return New(chunks, func(int) bool { return false }, rand.New(rand.NewPCG(1, 2)))
}

func hold(p *Picker, n *Neighbour, chunks ...int) {
	for _, c := range chunks {
		p.Hold(n, c)
	}
}
