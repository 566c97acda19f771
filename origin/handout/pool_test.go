package handout

import (
	"testing"

	"pgregory.net/rapid"
)

func TestEveryChunkOnceLowestFirst(t *testing.T) {
	p := NewPool(3)
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
	p := NewPool(2)
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
	p := NewPool(2)
	seed, late := p.Join(), p.Join()
	p.Hold(seed, 0)
	p.Hold(seed, 1)
	if c, ok := p.Next(late); ok {
		t.Fatalf("chunk %d handed out although a peer has it", c)
	}
}

// The invariant of the package, against a model that recounts from scratch.
func TestPoolInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const chunks = 70
		p := NewPool(chunks)
		takers := map[*Taker]map[int]bool{}
		pick := func() *Taker {
			var all []*Taker
			for k := range takers {
				all = append(all, k)
			}
			if len(all) == 0 {
				return nil
			}
			return all[rapid.IntRange(0, len(all)-1).Draw(t, "taker")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(*rapid.T) { takers[p.Join()] = map[int]bool{} },
			"next": func(t *rapid.T) {
				k := pick()
				if k == nil {
					return
				}
				if c, ok := p.Next(k); ok {
					for _, claims := range takers {
						if claims[c] {
							t.Fatalf("chunk %d handed out although it is owned or held", c)
						}
					}
					takers[k][c] = true
				}
			},
			"hold": func(t *rapid.T) {
				if k := pick(); k != nil {
					c := rapid.IntRange(0, chunks-1).Draw(t, "chunk")
					p.Hold(k, c)
					takers[k][c] = true
				}
			},
			"leave": func(*rapid.T) {
				if k := pick(); k != nil {
					p.Leave(k)
					delete(takers, k)
				}
			},
			"": func(t *rapid.T) {
				claimed := map[int]bool{}
				for _, claims := range takers {
					for c := range claims {
						claimed[c] = true
					}
				}
				if int(p.free.Count()) != chunks-len(claimed) {
					t.Fatalf("%d in the pool, want %d", p.free.Count(), chunks-len(claimed))
				}
			},
		})
	})
}
