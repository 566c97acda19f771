package virtual

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// What took so many bounds in the lab of mininet/ takes as many here, see docs/simulation.md. Whoever
// changes what is decided measures there again, and writes the new figures down in both places.
func TestAgreesWithTheLab(t *testing.T) {
	for _, tt := range []struct {
		scenario  string
		peers     int
		rate      float64 // Mbit/s
		lab, give float64 // bounds, as measured, and how far they may be apart
	}{
		{"equal", 4, 100, 1.02, 0.03},
		{"equal", 8, 100, 1.03, 0.03},
		{"equal", 16, 20, 1.05, 0.03},
		{"killed", 8, 100, 1.03, 0.03},
		{"half-slow", 8, 100, 1.07, 0.03},
		{"half-slow", 4, 100, 1.05, 0.03},
		{"racks", 4, 100, 1.03, 0.03},
		{"racks", 8, 100, 1.11, 0.03},
	} {
		t.Run(fmt.Sprint(tt.scenario, tt.peers, "x", tt.rate), func(t *testing.T) {
			t.Parallel()
			var took []float64
			for seed := range uint64(3) {
				p := Defaults(tt.scenario)
				p.Peers, p.Rate, p.Seed = tt.peers, tt.rate*1e6, seed+1
				r, err := Run(t.Context(), p)
				if err != nil || r.Err() != nil {
					t.Fatal(err, r.Err())
				}
				took = append(took, r.Ratio(r.Last()))
			}
			slices.Sort(took)
			if got := took[1]; math.Abs(got-tt.lab) > tt.give {
				t.Errorf("took %.3f bounds, and %.2f in the lab, both the median", got, tt.lab)
			}
		})
	}
}
