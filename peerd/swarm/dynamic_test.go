package swarm

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A handout is offered and sent to every neighbour that lacks it.
func TestHandoutIsPushed(t *testing.T) {
	r := newRig(t, Swarm, 10).begin()
	a, b := r.caller("a"), r.caller("b")
	o := r.origin("o")
	o.heard("ANY", "ANY")
	a.says(wire.KindHave, 5)
	o.gives(5)
	a.heard(nothing)
	b.heard("OFFER 5")
	if len(a.queue) != 0 || !slices.Equal(b.queue, []int{5}) {
		t.Errorf("queued for a %v, for b %v", a.queue, b.queue)
	}
	if got := o.heard(); !slices.Contains(got, "HAVE 5") {
		t.Errorf("the origin heard %q, want HAVE", got)
	}
	if len(r.owned) != 1 || !r.owned[5] {
		t.Errorf("owned %v", r.owned)
	}
	// What comes from a neighbour is not pushed, but told.
	b.gives(6)
	a.heard("HAVE 6")
	if len(a.queue) != 0 {
		t.Errorf("queued for a: %v", a.queue)
	}
}

// What one origin hands out the others are told at once, lest they hand it out, too; the one that
// it came from can wait.
func TestOtherOriginsAreToldAtOnce(t *testing.T) {
	r := newRig(t, Swarm, 10).begin()
	a := r.caller("a")
	o, p := r.origin("o"), r.origin("p")
	o.heard()
	p.heard()
	told := map[exchange.ID]bool{} // and whether it may wait
	r.Take(time.Now(), exchange.Landed{From: o.id, Chunk: 5, Fresh: true})
	for _, do := range r.Decide(time.Now()) {
		if tell, is := do.(exchange.Tell); is {
			for id := range exchange.To(tell) {
				if _, twice := told[id]; twice {
					t.Errorf("session %d is told twice", id)
				}
				told[id] = tell.Later
			}
		}
	}
	if later, is := told[p.id]; !is || later {
		t.Error("the other origin is not told at once")
	}
	if later, is := told[o.id]; !is || !later {
		t.Error("the origin that it came from is not told, or at once")
	}
	if _, is := told[a.id]; is {
		t.Error("who is offered the chunk is told, too")
	}
}

// A HAVE may name many chunks: none of them is pushed to who has said it.
func TestHaveOfMany(t *testing.T) {
	r := newRig(t, Swarm, 10).begin()
	a := r.caller("a")
	o := r.origin("o")
	have := wire.Message{Kind: wire.KindHave, Chunk: 2, More: []wire.Run{{First: 3, Last: 4}, {First: 7, Last: 7}}}
	r.tell(exchange.Got{From: a.id, Message: have})
	for _, chunk := range []int{2, 3, 4, 5, 7} {
		o.gives(chunk)
	}
	if !slices.Equal(a.queue, []int{5}) {
		t.Errorf("queued %v, want only what it lacks", a.queue)
	}
}

// Handouts are asked for only while the neighbours take what was pushed: this gives a peer
// with a slow uplink few chunks.
func TestBacklogStopsHandouts(t *testing.T) {
	r := newRig(t, Swarm, 100).begin()
	n := []*fake{r.caller("a"), r.caller("b"), r.caller("c")}
	o := r.origin("o")
	given := 0
	for ; o.anys() > 0; given++ {
		if o.anys() > anysOpen {
			t.Fatalf("%d handouts asked for at once", o.anys())
		}
		o.gives(given)
	}
	// A chunk a neighbour, and what was on its way when that was reached.
	if given < 1 || given > 4 {
		t.Fatalf("took %d handouts without sending one on", given)
	}
	waits := min(given, pushed)
	for i := range waits {
		for _, s := range n {
			if len(s.queue) != waits-i {
				t.Fatalf("%d queued, want %d", len(s.queue), waits-i)
			}
			s.takes()
		}
	}
	if o.anys() != anysOpen {
		t.Errorf("%d handouts asked for with nothing queued, want %d", o.anys(), anysOpen)
	}
	for _, s := range n {
		if q := len(s.neighbour().queue); q != 0 {
			t.Errorf("%d counted as queued", q)
		}
	}
}

// One neighbour that takes nothing does not keep this peer from bringing chunks to the
// others, and is pushed only so much: the rest it pulls when it can.
func TestStuckNeighbourStopsNobody(t *testing.T) {
	r := newRig(t, Swarm, 100).begin()
	stuck := r.caller("stuck")
	well := []*fake{r.caller("a"), r.caller("b"), r.caller("c")}
	o := r.origin("o")
	for chunk := range 50 {
		if !slices.Contains(o.heard(), "ANY") && o.anys() == 0 {
			t.Fatalf("no handout asked for after %d chunks", chunk)
		}
		o.gives(chunk)
		for _, s := range well {
			s.takes()
		}
	}
	if n := len(stuck.queue); n != pushed {
		t.Errorf("%d chunks queued for it, want %d", n, pushed)
	}
	if got := stuck.heard(); !slices.Contains(got, "HAVE 49") || slices.Contains(got, "OFFER 49") {
		t.Errorf("it heard %q, want to be told of the last chunk without an offer", got)
	}
}

// A neighbour that has got a chunk elsewhere, or does not want it, is not sent it.
func TestPushIsTakenBack(t *testing.T) {
	r := newRig(t, Swarm, 100).begin()
	a, b := r.caller("a"), r.caller("b")
	o := r.origin("o")
	o.gives(0)
	o.gives(1)
	a.says(wire.KindHave, 0)
	b.says(wire.KindCancel, 1)
	if !slices.Equal(a.queue, []int{1}) || !slices.Equal(b.queue, []int{0}) || len(a.neighbour().queue) != 1 || len(b.neighbour().queue) != 1 {
		t.Errorf("queued for a %v (%d), for b %v (%d)", a.queue, len(a.neighbour().queue), b.queue, len(b.neighbour().queue))
	}
}

// When all is handed out, handouts are asked for again only if there is a chunk that nobody
// is known to hold: then its owner may be lost, and the origin has it again.
func TestAskAgainAfterNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		a := r.caller("a")
		a.shows(0)
		o := r.origin("o")
		o.heard("ANY", "ANY")
		o.says(wire.KindNone, wire.NoChunk)
		o.says(wire.KindNone, wire.NoChunk)
		a.gives(0)
		o.heard("HAVE 0")
		r.pass(askAgain / 2)
		o.heard(nothing)
		r.pass(askAgain)
		o.heard("ANY", "ANY")
		o.says(wire.KindNone, wire.NoChunk)
		o.says(wire.KindNone, wire.NoChunk)
		a.says(wire.KindHave, 1)
		o.heard(nothing)
		r.pass(600 * time.Millisecond) // not yet late
		o.heard(nothing)
		if got := a.heard(); !slices.Contains(got, "GET 1") {
			t.Errorf("a heard %q", got)
		}
	})
}

// Chunks that are handed out but held by nobody in reach come from the origin after all, and
// not one at a time.
func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks = 200
		r := newRig(t, Swarm, chunks).begin()
		o := r.origin("o")
		began := time.Now()
		got := map[int]bool{}
		for range 6000 {
			for _, line := range o.heard() {
				var c int
				if line == "ANY" {
					o.says(wire.KindNone, wire.NoChunk)
				} else if n, _ := fmt.Sscanf(line, "GET %d", &c); n == 1 {
					if got[c] {
						t.Fatalf("chunk %d asked for twice", c)
					}
					got[c] = true
					o.gives(c)
				}
			}
			if r.complete > 0 {
				break
			}
			r.pass(50 * time.Millisecond)
		}
		if took := time.Since(began); r.complete != 1 || took < orphaned || took > 30*time.Second {
			t.Errorf("%d of %d chunks after %v", len(got), chunks, took)
		}
		if asked := o.strategy.(*dynamic).get.origins.of[o.neighbour()].view.Asked(); asked != 0 {
			t.Errorf("still asked: %v", asked)
		}
	})
}

// The chunks that a lost neighbour had offered or was asked for come from elsewhere.
func TestNeighbourIsLost(t *testing.T) {
	r := newRig(t, Swarm, 3).begin()
	a, b := r.caller("a"), r.caller("b").proves()
	a.shows(1)
	a.heard("GET 1")
	a.says(wire.KindOffer, 2)
	b.shows(1, 2)
	b.heard(nothing)
	a.hangsUp()
	if got := b.heard(); len(got) != 2 || !slices.Contains(got, "GET 1") || !slices.Contains(got, "GET 2") {
		t.Errorf("b heard %q, want GET 1 and 2", got)
	}
	b.says(wire.KindNone, 1) // it has lost it
	b.says(wire.KindHave, 1)
	if b.view().Asked() != 1 {
		t.Errorf("asked for %d, want 1 until the chunk is ripe", b.view().Asked())
	}
}

// Two peers that dial each other keep exactly one session, the same on both sides, whoever
// has the lower ID and in whatever order the sessions are noticed.
func TestTieBreak(t *testing.T) {
	for _, self := range []string{"a", "z"} {
		for _, first := range []bool{true, false} {
			r := newRig(t, Swarm, 2, func(r *rig) { r.cfg.Self = self }).begin()
			r.names(exchange.Answered{Peers: []exchange.Contact{at("m")}})
			var mine, theirs *fake
			if first {
				mine, theirs = r.answered("m"), r.caller("m")
			} else {
				theirs, mine = r.caller("m"), r.answered("m")
			}
			// Both sides keep the one that the lower ID has dialled.
			if keep := self < "m"; mine.ended == keep || theirs.ended != keep {
				t.Errorf("self %s, dialled one first %v: ended mine %v, theirs %v", self, first, mine.ended, theirs.ended)
			}
		}
	}
}

// The session that lost the tie is not dialled again while the other one stands.
func TestTieIsNotBrokenForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2, func(r *rig) { r.cfg.Self = "z" }).begin()
		r.names(exchange.Answered{Peers: []exchange.Contact{at("m")}})
		mine, theirs := r.answered("m"), r.caller("m")
		mine.hangsUp()
		r.pass(5 * time.Second)
		if n := r.dialer.count("m:1"); n != 1 || theirs.ended {
			t.Errorf("dialled %d times, want once", n)
		}
		// When that one is lost, too, the tracker's next answer brings the peer back.
		theirs.hangsUp()
		r.names(exchange.Answered{Peers: []exchange.Contact{at("m")}})
		r.pass(time.Second)
		if n := r.dialer.count("m:1"); n != 2 {
			t.Errorf("dialled %d times, want again", n)
		}
	})
}

// A peer that calls anew has lost its old session, which this side may not know yet.
func TestReconnectReplacesTheOldSession(t *testing.T) {
	for _, self := range []string{"a", "z"} {
		r := newRig(t, Swarm, 2, func(r *rig) { r.cfg.Self = self }).begin()
		old := r.caller("m")
		again := r.caller("m")
		if !old.ended || again.ended {
			t.Errorf("self %s: ended old %v, new %v", self, old.ended, again.ended)
		}
	}
}

// A peer that accepts and hangs up at once is not called ten times a second.
func TestFlappingPeerIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		r.origin("o")
		r.names(exchange.Answered{Peers: []exchange.Contact{at("a")}})
		r.each(func() { r.answerIfDialled("a", (*fake).hangsUp) })
		r.pass(30 * time.Second)
		if n := r.dialer.count("a:1"); n != deadAfter {
			t.Errorf("dialled %d times, want %d until the tracker names it again", n, deadAfter)
		}
	})
}

// Wrong bytes: the peer is banned, and its chunk asked elsewhere.
func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		a, b := r.caller("a"), r.caller("b").proves()
		a.shows(0, 1)
		b.shows(0, 1)
		a.heard()
		a.lies(1)
		if got := b.heard(); len(got) != 2 {
			t.Errorf("b heard %q, want both GETs", got)
		}
		if again := r.caller("a"); again.code != wire.CodeBanned {
			t.Errorf("it may come again: code %q", again.code)
		}
		r.names(exchange.Answered{Peers: []exchange.Contact{at("a")}})
		r.pass(time.Minute)
		if r.dialer.count("a:1") != 0 || !slices.Equal(r.failures, []string{"a 1"}) {
			t.Errorf("dialled %d times; failures %v", r.dialer.count("a:1"), r.failures)
		}
	})
}

// Whoever says an origin's ID and lies has not had the origin banned.
func TestImpostorDoesNotBanTheOrigin(t *testing.T) {
	r := newRig(t, Swarm, 2).begin()
	impostor := r.caller("o")
	impostor.shows(0, 1)
	impostor.lies(1)
	if o := r.origin("o"); o.code != "" || !slices.Contains(o.heard(), "ANY") {
		t.Errorf("the origin got code %q and heard %q", o.code, o.heard())
	}
}

// An origin that sent wrong bytes gets another chance, since there may be no other.
func TestOriginIsBannedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		r.origin("o").lies(0)
		r.pass(9 * time.Second)
		if n := r.dialer.count("o:1"); n != 1 {
			t.Errorf("dialled %d times within the ban", n)
		}
		if r.Trouble("", nil) == "" {
			t.Error("nothing says why it waits")
		}
		r.pass(2 * time.Second)
		if n := r.dialer.count("o:1"); n != 2 {
			t.Errorf("dialled %d times after the ban", n)
		}
	})
}

// A chunk that lands after its session has ended is as good.
func TestLandingAfterClose(t *testing.T) {
	r := newRig(t, Swarm, 2).begin()
	a, o := r.caller("a"), r.origin("o")
	o.hangsUp()
	o.gives(0)
	a.hangsUp()
	a.gives(1)
	if r.complete != 1 {
		t.Errorf("complete %d times", r.complete)
	}
}

// A download is complete once word of its last chunk has come, not when the store has it: what
// is reported at the end, and kept across restarts, must add up.
func TestCompleteWhenAllIsCounted(t *testing.T) {
	r := newRig(t, Swarm, 3).begin()
	a := r.caller("a")
	word := []func(){a.store(0), a.store(1), a.store(2)}
	word[0]()
	word[1]()
	if r.complete > 0 {
		t.Fatal("complete with two of three chunks counted")
	}
	word[2]()
	if r.complete != 1 {
		t.Errorf("complete %d times", r.complete)
	}
	// It may come after the download has begun with the chunk: it counts once.
	r = newRig(t, Swarm, 2, func(r *rig) { r.held[0] = true }).begin()
	r.tell(exchange.Landed{Chunk: 0, Fresh: true})
	if r.complete > 0 || r.Count() != 1 {
		t.Errorf("complete %d times with %d of two chunks", r.complete, r.Count())
	}
	// Word of a chunk may be lost with the run that it was meant for.
	r = newRig(t, Swarm, 2).begin()
	a = r.caller("a")
	a.store(0)
	a.store(1)()
	r.tell(exchange.Landed{Chunk: 0, Fresh: true})
	if r.complete != 1 {
		t.Errorf("complete %d times, want once", r.complete)
	}
}

// A second BITS adds to the first: what a neighbour said to hold it still holds.
func TestBitsAdd(t *testing.T) {
	r := newRig(t, Swarm, 10).begin()
	a := r.caller("a")
	a.shows(1)
	a.shows(2)
	a.says(wire.KindHave, 3)
	a.shows(4)
	for _, c := range []int{1, 2, 3, 4} {
		if !a.view().Holds(c) {
			t.Errorf("chunk %d is no longer held", c)
		}
	}
	a.says(wire.KindNone, 1)
	if a.view().Holds(1) {
		t.Error("chunk 1 is held by one that has refused it")
	}
}

// A store that fails ends the download with its error; the disk may be full. One that was closed
// is the end anyway.
func TestStoreFails(t *testing.T) {
	r := newRig(t, Swarm, 2).begin()
	a := r.caller("a")
	r.tell(exchange.Landed{From: a.id, Err: fs.ErrClosed})
	if r.gaveUp != nil {
		t.Error(r.gaveUp)
	}
	r.tell(exchange.Landed{From: a.id, Err: errors.New("disk full")})
	if r.gaveUp == nil || r.gaveUp.Error() != "store chunk 0: disk full" {
		t.Error(r.gaveUp)
	}
}
