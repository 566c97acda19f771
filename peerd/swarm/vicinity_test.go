package swarm

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/rendezvous"
	"fanout/internal/chunks/wire"
)

// nearAndFar is a download, with an origin, of which two neighbours have brought a few chunks, the one five
// times as fast as the other; and of what nobody has offered yet, what is this peer's business and what the
// near one's.
func nearAndFar(t *testing.T) (r *rig, o, near, far *fake, mine, other []int) {
	r = newRig(t, Swarm, 100).begin()
	o = r.origin("o")
	near, far = r.caller("near"), r.caller("far")
	for c := range 5 {
		near.says(wire.KindOffer, c)
		time.Sleep(10 * time.Millisecond)
		near.gives(c)
		far.says(wire.KindOffer, 10+c)
		time.Sleep(50 * time.Millisecond)
		far.gives(10 + c)
	}
	r.pass(100 * time.Millisecond)
	near.heard()
	far.heard()
	for c := 20; c < r.cfg.Chunks; c++ {
		if rendezvous.Weight(rendezvous.Seed("m"), c) > rendezvous.Weight(rendezvous.Seed("near"), c) {
			mine = append(mine, c)
		} else {
			other = append(other, c)
		}
	}
	return r, o, near, far, mine, other
}

func TestUsualPace(t *testing.T) {
	for _, tc := range []struct {
		name  string
		paces []time.Duration
		want  time.Duration
	}{
		{"nobody", nil, firstPace},
		{"one", []time.Duration{7}, 7},
		{"the faster of two", []time.Duration{70, 7}, 7},
		{"a quarter are faster", []time.Duration{9, 8, 7, 6, 5, 4, 3, 2, 1}, 3},
		{"three fast ones among twelve", []time.Duration{200, 210, 220, 230, 240, 9, 250, 10, 11, 260, 270, 280, 290, 300, 310}, 11},
		{"two among twelve", []time.Duration{200, 210, 220, 230, 240, 9, 250, 10, 260, 270, 280, 290, 300, 310}, 10},
		{"one that is fast by chance", []time.Duration{200, 210, 220, 230, 240, 9, 250, 260, 270, 280, 290, 300, 310}, 220},
		{"slower and slower", []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}, 8},
	} {
		if got := usualPace(tc.paces); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// What neighbours get from afar is to come once: each chunk is the business of one of them.
func TestFarNeighbourIsAskedForTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, near, far, mine, other := nearAndFar(t)
		near.says(wire.KindOffer, other[0])
		declined := func(chunk int) {
			t.Helper()
			far.says(wire.KindOffer, chunk)
			far.heard(fmt.Sprintf("CANCEL %d", chunk))
		}
		declined(other[1])
		far.says(wire.KindOffer, mine[0])
		far.heard(nothing)
		declined(mine[1]) // one at a time
		far.gives(mine[0])
		near.shows(mine[1], mine[2])
		near.heard()
		declined(mine[1]) // somebody near has it
		near.heard()
		far.heard()
		far.shows(slices.Concat(other[2:], mine[2:4])...)
		far.offersRoom(8*chunkSize, other[2])
		if got := far.asked(); !slices.Equal(got, mine[3:4]) {
			t.Errorf("asked the far one for %v, want %v", got, mine[3:4])
		}
	})
}

// Whoever has nothing on the way takes from afar what there is.
func TestFarIsBetterThanNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, _, far, _, other := nearAndFar(t)
		far.says(wire.KindOffer, other[0])
		far.heard(nothing)
	})
}

// What a far neighbour has taken back has crossed the way to it for nothing: it is told of what is new,
// and asks.
func TestFarNeighbourIsOnlyTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o, near, far, _, _ := nearAndFar(t)
		offers := func(n *fake, chunk int) bool {
			o.gives(chunk)
			for _, p := range []*fake{near, far} {
				if len(p.neighbour().queue) > 0 {
					p.takes()
				}
			}
			return slices.Contains(n.heard(), fmt.Sprintf("OFFER %d", chunk))
		}
		if !offers(far, 50) {
			t.Fatal("a far neighbour is not offered what is fresh")
		}
		near.says(wire.KindCancel, 50)
		far.says(wire.KindCancel, 50)
		near.heard()
		for c := range toldOnly {
			if offers(far, 51+c) {
				t.Fatalf("the far one is offered another, %d after one that it took back", c+1)
			}
		}
		if !offers(far, 90) {
			t.Error("the far one is never offered anything again")
		}
		if !offers(near, 91) {
			t.Error("the near one is not offered what is fresh, for having taken one back")
		}
	})
}

// Every chunk, of however many, is the business of exactly one of those who are near to each other.
func TestOneOfTheNearHasEachChunk(t *testing.T) {
	for _, chunks := range []int{1, 63, 1000, dealt, dealt + 1, 3*dealt + 17} {
		var all []*partner
		for i := range 5 {
			all = append(all, &partner{supplier: supplier{neighbour: &neighbour{peer: fmt.Sprint("peer-", i)}}})
		}
		shares := make([]vicinity, len(all))
		for i, p := range all {
			shares[i] = newVicinity(p.peer, chunks)
			if !shares[i].mine.All() {
				t.Error("without neighbours, something is not this peer's business")
			}
			others := slices.Delete(slices.Clone(all), i, i+1)
			shares[i].gather(others[:2])
			shares[i].gather(others)
		}
		for c := range chunks {
			whose := 0
			for _, v := range shares {
				if v.mine.Test(uint(c)) {
					whose++
				}
			}
			if whose != 1 {
				t.Fatalf("chunk %d of %d is the business of %d of them", c, chunks, whose)
			}
		}
	}
}
