package rendezvous

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// firstOf is the member with the highest weight.
func firstOf(members []string, chunk int) (first string) {
	var most uint64
	for _, m := range members {
		if w := Weight(Seed(m), chunk); first == "" || w > most {
			first, most = m, w
		}
	}
	return first
}

// Each of any few members is the first for about as many chunks, and of one that leaves only its share
// changes hands.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var members []string
		for i := range rapid.IntRange(2, 8).Draw(t, "members") {
			members = append(members, fmt.Sprintf("peer-%d-%d", i, rapid.IntRange(0, 1<<20).Draw(t, "name")))
		}
		const chunks = 4096
		share := map[string]int{}
		for c := range chunks {
			first := firstOf(members, c)
			share[first]++
			if first != members[0] && firstOf(members[1:], c) != first {
				t.Fatalf("chunk %d has another first, although its own stays", c)
			}
		}
		for _, m := range members {
			if fair := chunks / len(members); share[m] < fair*3/4 || share[m] > fair*5/4 {
				t.Errorf("%s is the first for %d of %d chunks, of %d members", m, share[m], chunks, len(members))
			}
		}
	})
}

// Daemons of different builds agree.
func TestNeverChanges(t *testing.T) {
	if got := Weight(Seed("origin-a"), 7); got != 0x593f057466f305ff {
		t.Errorf("%#x", got)
	}
}
