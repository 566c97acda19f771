package handout

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func newPool(chunks int) *Pool { return NewPool("o", chunks, newRand()) }

func TestEveryChunkOnceLowestFirst(t *testing.T) {
	p := newPool(3)
	a, b := p.Join(), p.Join()
	for want, taker := range []*Taker{a, b, a} {
		if got, ok := p.Next(taker); !ok || got != want {
			t.Fatalf("handout = %d, %v, want %d", got, ok, want)
		}
	}
	if c, ok := p.Next(b); ok {
		t.Fatalf("chunk %d handed out a second time", c)
	}
}

func TestLostChunksComeBack(t *testing.T) {
	p := newPool(2)
	a, b := p.Join(), p.Join()
	p.Next(a)
	p.Next(a)
	p.Hold(b, 1) // chunk 1 has spread, chunk 0 has not
	p.Leave(a)
	if got, ok := p.Next(b); !ok || got != 0 {
		t.Fatalf("handout = %d, %v, want 0", got, ok)
	}
	if c, ok := p.Next(b); ok {
		t.Fatalf("chunk %d came back although b, who was served, holds it", c)
	}
	p.Leave(b)
	if p.free.Count() != 2 {
		t.Fatalf("%d chunks in the pool, want 2: nobody is left", p.free.Count())
	}
}

// What somebody says to hold, but has not got from here, is handed out after everything else, and
// not to that one: a complete seeder may be slow, and who claims everything may lie. Neither is to
// leave the origin without anything to hand out.
func TestClaimsOnlyOrder(t *testing.T) {
	for _, named := range [][]string{nil, {"o", "p"}} {
		p := newPool(4)
		p.Share(named)
		seed, late := p.Join(), p.Join()
		for _, c := range []int{0, 1, 3} {
			p.Hold(seed, c)
		}
		p.Hold(late, 3)
		if c, ok := p.Next(late); !ok || c != 2 {
			t.Errorf("handout = %d, %v, want 2, which nobody has", c, ok)
		}
		claimed := map[int]bool{}
		for c, ok := p.Next(late); ok; c, ok = p.Next(late) {
			claimed[c] = true
		}
		if len(claimed) != 2 || !claimed[0] || !claimed[1] {
			t.Errorf("then %v are handed out, want 0 and 1", claimed)
		}
		if c, ok := p.Next(seed); ok {
			t.Errorf("chunk %d is handed out to who says to hold it", c)
		}
		other := p.Join()
		if c, ok := p.Next(other); !ok || c != 3 {
			t.Errorf("handout = %d, %v, want 3, of which no copy counts", c, ok)
		}
		if c, ok := p.Next(p.Join()); ok {
			t.Errorf("chunk %d is handed out a second time", c)
		}
	}
}

// What was spared and lost, and is handed out then, has an owner, and is spared no sooner than others.
func TestHandedOutIsNotSpared(t *testing.T) {
	p := newPool(2)
	a, b, c := p.Join(), p.Join(), p.Join()
	p.Sent(a, 0)
	p.Next(b)
	if got, _ := p.Spare(c); got != 0 {
		t.Fatalf("spared is %d, want 0, which has no owner", got)
	}
	p.Leave(a)
	if got, ok := p.Next(b); !ok || got != 0 {
		t.Fatalf("handout = %d, %v, want 0, which is lost", got, ok)
	}
	if p.spared.Any() {
		t.Error("chunk 0 still counts as one without an owner")
	}
}

// Whoever claims to have everything stops nobody from being given what the uplink has room for.
func TestWhatIsSaidEmptiesNothing(t *testing.T) {
	p := newPool(200)
	for range 3 {
		liar := p.Join()
		for c := range 200 {
			p.Hold(liar, c)
		}
	}
	honest := p.Join()
	for i := range 200 {
		c, ok := p.Spare(honest)
		if !ok {
			t.Fatalf("nothing after %d chunks", i)
		}
		p.Sent(honest, c)
	}
	if c, ok := p.Spare(honest); ok {
		t.Errorf("chunk %d, which it has", c)
	}
}

// A copy whose taker is gone counts as long as one that was served from here has the chunk, too.
func TestCopiesOfThoseWhoAreGone(t *testing.T) {
	p := newPool(2)
	a, known, stranger := p.Join(), p.Join(), p.Join()
	p.Next(a)
	p.Next(known)
	p.Hold(stranger, 0)
	p.Leave(a)
	copies := func(want int32) {
		t.Helper()
		if got := p.copies(0); got != want {
			t.Errorf("%d copies, want %d", got, want)
		}
	}
	copies(0)
	p.Hold(known, 0)
	copies(1)
	p.Leave(known)
	copies(0)
	p.Sent(stranger, 1) // now it is one that was served
	copies(1)
	if p.Sent(stranger, 0); p.copies(0) != 1 {
		t.Error("what it says to hold was counted as sent")
	}
}

// The model of a pool: what was sent to whom, and who says to hold what.
type model struct {
	chunks int
	all    []*Taker // that are here
	took   map[*Taker]map[int]bool
	holds  map[*Taker]map[int]bool
	lost   map[int]bool
	spared map[int]bool // sent without having been handed out
}

// counts is how many copies of a chunk count, and how many takers hold it.
func (m *model) counts(chunk int) (copies, holders int) {
	vouched := false
	for _, t := range m.all {
		if m.took[t][chunk] {
			copies++
		}
		if m.holds[t][chunk] {
			holders++
			vouched = vouched || len(m.took[t]) > 0
		}
	}
	if m.lost[chunk] && vouched {
		copies++
	}
	return copies, holders
}

func (m *model) sent(t *Taker, chunk int) {
	if !m.holds[t][chunk] {
		m.took[t][chunk], m.holds[t][chunk], m.spared[chunk] = true, true, true
	}
}

// checkNext says what is wrong with a handout to t, and notes it.
func (m *model) checkNext(t *Taker, chunk int, ok bool) error {
	kept, claimed := -1, -1 // chunks that nobody holds, and of which no copy counts
	for c := range m.chunks {
		if copies, holders := m.counts(c); copies == 0 && holders == 0 {
			kept = c
		} else if copies == 0 && !m.holds[t][c] {
			claimed = c
		}
	}
	if !ok {
		if kept >= 0 || claimed >= 0 {
			return fmt.Errorf("nothing handed out, though nobody holds %d, or no copy of %d counts", kept, claimed)
		}
		return nil
	}
	switch copies, holders := m.counts(chunk); {
	case m.holds[t][chunk]:
		return fmt.Errorf("chunk %d handed out to one who holds it", chunk)
	case copies > 0, holders > 0 && kept >= 0:
		return fmt.Errorf("chunk %d handed out, of which there are %d copies and %d holders; nobody holds %d", chunk, copies, holders, kept)
	}
	m.took[t][chunk], m.holds[t][chunk] = true, true
	delete(m.spared, chunk)
	return nil
}

// check says what is wrong with a pool, and with what it would spare for a taker.
func (m *model) check(p *Pool) error {
	unsent := 0
	for c := range m.chunks {
		copies, holders := m.counts(c)
		if got := int(p.copies(uint(c))); got != copies {
			return fmt.Errorf("%d copies of chunk %d count, want %d", got, c, copies)
		}
		if free := copies == 0 && holders == 0; p.free.Test(uint(c)) != free {
			return fmt.Errorf("chunk %d in the pool: %v", c, !free)
		}
		if p.unsent.Test(uint(c)) != (copies == 0) {
			return fmt.Errorf("chunk %d, of which %d copies count, unsent: %v", c, copies, copies > 0)
		}
		if p.spared.Test(uint(c)) != m.spared[c] {
			return fmt.Errorf("chunk %d spared: %v", c, !m.spared[c])
		}
		if copies == 0 {
			unsent++
		}
	}
	if unsent != p.left {
		return fmt.Errorf("of %d no copy counts, counted are %d", unsent, p.left)
	}
	for _, t := range m.all {
		if t.count != len(m.holds[t]) {
			return fmt.Errorf("one holds %d, counted are %d", len(m.holds[t]), t.count)
		}
		if err := m.checkSpare(p, t); err != nil {
			return err
		}
	}
	return nil
}

// checkSpare holds what is spared against all chunks that could be: the sample is larger than the
// file.
func (m *model) checkSpare(p *Pool, t *Taker) error {
	got, ok := p.Spare(t)
	if ok && m.holds[t][got] {
		return fmt.Errorf("spared is chunk %d, which it has", got)
	}
	if !ok && len(m.holds[t]) < m.chunks {
		return fmt.Errorf("nothing is spared for one who holds %d", len(m.holds[t]))
	}
	if !ok {
		return nil
	}
	copies, holders := m.counts(got)
	first := false // something that comes before all others
	for c := range m.spared {
		first = first || !m.holds[t][c]
	}
	if first && !m.spared[got] {
		return fmt.Errorf("spared is chunk %d, though others have no owner", got)
	}
	for c := range m.chunks {
		if m.holds[t][c] || first && !m.spared[c] {
			continue
		}
		if n, h := m.counts(c); n < copies || n == copies && h < holders {
			return fmt.Errorf("spared is chunk %d, of which there are %d copies and %d holders; of %d there are %d and %d", got, copies, holders, c, n, h)
		}
	}
	return nil
}

// A pool against a model that recounts from scratch: what is handed out is in nobody's hands, or in
// nobody's but by word if there is none such, and what is spared is what there is least of.
func TestPoolProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{chunks: rapid.IntRange(1, 100).Draw(t, "chunks"), took: map[*Taker]map[int]bool{}, holds: map[*Taker]map[int]bool{}, lost: map[int]bool{}, spared: map[int]bool{}}
		p := newPool(m.chunks)
		pick := func(t *rapid.T) (*Taker, int) {
			if len(m.all) == 0 {
				t.Skip("nobody is here")
			}
			return rapid.SampledFrom(m.all).Draw(t, "taker"), rapid.IntRange(0, m.chunks-1).Draw(t, "chunk")
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(*rapid.T) {
				k := p.Join()
				m.all = append(m.all, k)
				m.took[k], m.holds[k] = map[int]bool{}, map[int]bool{}
			},
			"next": func(t *rapid.T) {
				k, _ := pick(t)
				c, ok := p.Next(k)
				if err := m.checkNext(k, c, ok); err != nil {
					t.Fatal(err)
				}
			},
			"hold": func(t *rapid.T) {
				k, c := pick(t)
				p.Hold(k, c)
				m.holds[k][c] = true
			},
			"sent": func(t *rapid.T) {
				k, c := pick(t)
				p.Sent(k, c)
				m.sent(k, c)
			},
			"leave": func(t *rapid.T) {
				k, _ := pick(t)
				p.Leave(k)
				for c := range m.took[k] {
					m.lost[c] = true
				}
				for i, o := range m.all {
					if o == k {
						m.all = append(m.all[:i], m.all[i+1:]...)
						break
					}
				}
				if _, ok := p.Spare(k); ok {
					t.Fatal("something is spared for one who is gone")
				}
			},
			"share": func(t *rapid.T) {
				p.Share(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "o", "z"}), 0, 3).Draw(t, "origins"))
			},
			"": func(t *rapid.T) {
				if err := m.check(p); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// In a large file a chunk of which no copy is left is found, be it the only one.
func TestSpareFindsTheOneThatIsLost(t *testing.T) {
	const chunks = 10_000
	p := newPool(chunks)
	gone, most, lacking := p.Join(), p.Join(), p.Join()
	for c := range chunks { // each has an owner
		if c == 7777 {
			p.Next(gone)
		} else {
			p.Next(most)
		}
	}
	p.Leave(gone)
	for range 20 {
		if c, ok := p.Spare(lacking); !ok || c != 7777 {
			t.Fatalf("spared is %d, %v", c, ok)
		}
	}
}

// Of equals it is not always the same, or all who are told would ask for it.
func TestSpareDiffers(t *testing.T) {
	p := newPool(1000)
	k := p.Join()
	different := map[int]bool{}
	for range 100 {
		c, _ := p.Spare(k)
		different[c] = true
	}
	if len(different) < 50 {
		t.Errorf("%d different ones of 100", len(different))
	}
}

// What is asked for each handout, and whenever the uplink is dry, in a file of a million chunks.
func BenchmarkMillion(b *testing.B) {
	const chunks = 1_000_000
	p := newPool(chunks)
	k := p.Join()
	for c := range chunks {
		if c%2 == 0 {
			p.Sent(k, c)
		}
	}
	all := p.Join()
	for c := range chunks {
		p.Sent(all, c)
	}
	late := p.Join()
	b.Run("spare", func(b *testing.B) {
		for b.Loop() {
			p.Spare(late)
		}
	})
	b.Run("share", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			p.Share([]string{"o", fmt.Sprint("other", i)})
		}
	})
	b.Run("next", func(b *testing.B) { // there is one, in the last place
		for b.Loop() {
			p.Leave(all)
			all = p.Join()
			p.Next(late)
		}
	})
}
