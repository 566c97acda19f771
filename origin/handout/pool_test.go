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
		t.Fatalf("chunk %d came back although b holds it", c)
	}
	p.Leave(b)
	if p.free.Count() != 2 {
		t.Fatalf("%d chunks in the pool, want 2: nobody is left", p.free.Count())
	}
}

func TestHeldBeforeIsNotHandedOut(t *testing.T) {
	p := newPool(2)
	seed, late := p.Join(), p.Join()
	p.Hold(seed, 0)
	p.Hold(seed, 1)
	if c, ok := p.Next(late); ok {
		t.Fatalf("chunk %d handed out although a peer has it", c)
	}
}

// Who says that he has everything stops nobody from being given what the uplink has room for.
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
		m.took[t][chunk], m.holds[t][chunk] = true, true
	}
}

// check says what is wrong with a pool, and with what it would spare for a taker.
func (m *model) check(p *Pool) error {
	for c := range m.chunks {
		copies, holders := m.counts(c)
		if got := int(p.copies(uint(c))); got != copies {
			return fmt.Errorf("%d copies of chunk %d count, want %d", got, c, copies)
		}
		if free := copies == 0 && holders == 0; p.free.Test(uint(c)) != free {
			return fmt.Errorf("chunk %d in the pool: %v", c, !free)
		}
	}
	if n := int(p.free.Count()); n != p.left {
		return fmt.Errorf("%d in the pool, counted are %d", n, p.left)
	}
	for _, t := range m.all {
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
	for c := range m.chunks {
		if m.holds[t][c] {
			continue
		}
		if n, h := m.counts(c); n < copies || n == copies && h < holders {
			return fmt.Errorf("spared is chunk %d, of which there are %d copies and %d holders; of %d there are %d and %d", got, copies, holders, c, n, h)
		}
	}
	return nil
}

// A pool against a model that recounts from scratch: what is handed out is in nobody's hands, and
// what is spared is what there is least of.
func TestPoolProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{chunks: rapid.IntRange(1, 100).Draw(t, "chunks"), took: map[*Taker]map[int]bool{}, holds: map[*Taker]map[int]bool{}, lost: map[int]bool{}}
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
				if !ok {
					return
				}
				if copies, holders := m.counts(c); copies+holders > 0 {
					t.Fatalf("chunk %d handed out, of which there are %d copies and %d holders", c, copies, holders)
				}
				m.sent(k, c)
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
	most, lacking := p.Join(), p.Join()
	for c := range chunks {
		if c != 7777 {
			p.Sent(most, c)
		}
	}
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
