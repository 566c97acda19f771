package picker_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"fanout/peerd/picker"
)

// BenchmarkRarest is the choice of one chunk among 8192 and its arrival, with 64 neighbours
// that hold half of them each: what a peer does for every chunk that it pulls.
func BenchmarkRarest(b *testing.B) {
	const chunks, neighbours = 8192, 64
	random := rand.New(rand.NewPCG(1, 2))
	var p *picker.Picker
	var all []*picker.Neighbour
	fresh := func() {
		p = picker.New(chunks, func(int) bool { return false }, random)
		all = all[:0]
		for range neighbours {
			n := p.Join()
			for c := range chunks {
				if random.IntN(2) == 0 {
					p.Hold(n, c)
				}
			}
			all = append(all, n)
		}
	}
	fresh()
	now := time.Unix(0, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := all[i%neighbours]
		c, ok := p.Rarest(n)
		if !ok {
			b.StopTimer()
			fresh()
			b.StartTimer()
			continue
		}
		p.Ask(n, c, now)
		p.Land(n, c)
	}
}
