package swarm

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/rendezvous"
	"fanout/internal/chunks/wire"
)

// free tells of room for so many sends.
func (r *rig) free(sends int) { r.tell(exchange.Spare{Sends: sends}) }

// Who can send more says so to the neighbour that holds least, and names what it would give; not to
// one that lacks nothing, for which enough waits, or that does not know the word.
func TestRoomGoesToThePoorest(t *testing.T) {
	r := newRig(t, Swarm, 10, func(r *rig) { r.held = map[int]bool{0: true, 1: true, 2: true} }).begin()
	rich, poor, whole := r.caller("rich"), r.caller("poor"), r.caller("whole")
	r.version = 1
	old := r.caller("old")
	rich.shows(0, 5, 6)
	poor.shows(5)
	whole.shows(0, 1, 2)
	for _, s := range []*fake{rich, poor, whole, old} {
		s.heard()
	}
	r.free(1)
	var bytes, chunk int
	if got := poor.heard(); len(got) != 1 {
		t.Fatalf("poor heard %q, want ROOM", got)
	} else if fmt.Sscanf(got[0], "ROOM %d %d", &bytes, &chunk); bytes < roomLeast || !r.held[chunk] {
		t.Errorf("poor heard %q", got)
	}
	for _, s := range []*fake{rich, whole, old} {
		s.heard(nothing)
	}
	r.free(1) // the one that is open counts
	rich.heard(nothing)
	r.free(4)
	if got := rich.heard(); len(got) != 1 {
		t.Errorf("rich heard %q, want ROOM", got)
	}
	whole.heard(nothing)
	old.heard(nothing)
}

// A neighbour that needs nothing is left in peace for the time that it says, unless something has come
// here since; one that does not answer, for longer each time.
func TestRoomIsNotPressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 10, func(r *rig) { r.held = map[int]bool{0: true} }).begin()
		a := r.caller("a")
		told := func(want bool) {
			t.Helper()
			r.free(1)
			room := slices.ContainsFunc(a.heard(), func(l string) bool { return l[:4] == "ROOM" })
			if room != want {
				t.Errorf("told of room %v, want %v", room, want)
			}
		}
		time.Sleep(time.Second)
		a.heard()
		told(true)
		a.passes(300)
		time.Sleep(200 * time.Millisecond)
		told(false)
		time.Sleep(200 * time.Millisecond)
		told(true)
		a.passes(10000)
		r.version = 1
		r.caller("b").gives(1)
		time.Sleep(10 * time.Millisecond)
		told(true) // of something new
		time.Sleep(600 * time.Millisecond)
		told(false) // it has not answered
		time.Sleep(300 * time.Millisecond)
		told(true)
		a.says(wire.KindGet, 0)
		if !slices.Equal(a.queue, []int{0}) {
			t.Errorf("queued %v", a.queue)
		}
		time.Sleep(10 * time.Millisecond)
		told(true)
	})
}

// The receiver chooses what it asks of who has room: not what is on its way already, and as much as
// there is room for; if there is nothing, it says so.
func TestRoomIsAnswered(t *testing.T) {
	r := newRig(t, Swarm, 100).begin()
	r.origin("o")
	a, b := r.caller("a").proves(), r.caller("b").proves()
	b.says(wire.KindOffer, 7)
	for c := range 20 { // so that nothing has to be pulled
		b.says(wire.KindOffer, 50+c)
	}
	a.shows(7, 8, 9)
	a.heard(nothing)
	a.offersRoom(2*chunkSize, 7)
	got := a.asked()
	slices.Sort(got)
	if !slices.Equal(got, []int{8, 9}) {
		t.Errorf("asked for %v, want 8 and 9", got)
	}
	a.offersRoom(2*chunkSize, wire.NoChunk)
	a.heard(fmt.Sprint("PASS ", passNothing))
	a.offersRoom(2*chunkSize, 10) // which it has not said that it holds
	a.heard("GET 10")
	for c := range 30 {
		b.says(wire.KindOffer, 20+c)
	}
	for c := range 30 {
		b.says(wire.KindOffer, 70+c)
	}
	a.shows(11)
	a.offersRoom(2*chunkSize, 11)
	a.heard(fmt.Sprint("PASS ", passFull))
}

// An origin that has room is asked for what nobody else has in hand: what it names, or what is held
// and not on its way.
func TestRoomOfAnOrigin(t *testing.T) {
	r := newRig(t, Swarm, 100).begin()
	o := r.origin("o")
	a := r.caller("a").proves()
	for c := range 20 {
		a.says(wire.KindOffer, c)
	}
	o.heard()
	o.offersRoom(roomLeast, 50)
	o.heard("GET 50")
	o.offersRoom(roomLeast, 3) // a is about to send it
	o.heard(fmt.Sprint("PASS ", passNothing))
	a.shows(60)
	o.offersRoom(roomLeast, 3)
	o.heard("GET 60")
	// What comes like this is not pushed, for it has been given to others, too.
	o.gives(50)
	if len(a.queue) != 0 {
		t.Errorf("queued for a: %v", a.queue)
	}
	if got := a.heard(); !slices.Contains(got, "HAVE 50") {
		t.Errorf("a heard %q", got)
	}
	if r.owned[50] {
		t.Error("it counts as owned")
	}
}

// A chunk that is late is taken from who has it in hand, by deed: nothing has come from it for long.
// What it holds then counts for nothing, until something comes.
func TestLateNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 4).begin()
		r.origin("o")
		a := r.caller("a")
		a.shows(0)
		a.says(wire.KindOffer, 1)
		a.heard("GET 0")
		b := r.caller("b").proves()
		r.pass(1500 * time.Millisecond)
		a.heard(nothing)
		r.pass(time.Second)
		got := a.heard()
		if !slices.Contains(got, "CANCEL 0") || !slices.Contains(got, "CANCEL 1") {
			t.Errorf("a heard %q", got)
		}
		b.shows(0, 1)
		if got := b.asked(); len(got) != 2 {
			t.Errorf("b is asked for %v", got)
		}
		a.says(wire.KindOffer, 2)
		if again := a.heard(); len(again) > 0 && again[len(again)-1] != "CANCEL 2" && !slices.Contains(again, "GET 2") {
			t.Errorf("a heard %q", again)
		}
	})
}

// What those say who have never brought anything is hearsay, however many they are: few are asked, nobody
// takes it for certain that chunks are held by somebody, and their offers do not fill what is on its way.
func TestClaimsAreHearsay(t *testing.T) {
	r := newRig(t, Swarm, 100).begin()
	o := r.origin("o")
	var all []int
	for c := range 100 {
		all = append(all, c)
	}
	asked := 0
	for i := range 9 {
		liar := r.caller(fmt.Sprint("liar", i))
		liar.shows(all...)
		liar.offersRoom(8*chunkSize, 0)
		for c := range 10 {
			liar.says(wire.KindOffer, 10*i+c)
		}
		heard := liar.heard()
		declined := 0
		for _, l := range heard {
			if l[:3] == "GET" {
				asked++
			}
			if l[:3] == "CAN" {
				declined++
			}
		}
		if declined < 10-pushed {
			t.Errorf("liar %d hears %q after ten offers", i, heard)
		}
	}
	if asked > hearsay {
		t.Errorf("the liars were asked for %d chunks, want %d", asked, hearsay)
	}
	if o.anys() == 0 {
		t.Error("no handout is asked for, although nobody has brought anything")
	}
	honest := r.caller("honest").proves()
	honest.shows(95, 96, 97, 98, 99)
	if got := honest.asked(); len(got) == 0 {
		t.Error("one that has brought something before is asked for nothing")
	}
}

// As long as bytes come nobody is late, however slow.
func TestSlowNeighbourIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		r.origin("o")
		a := r.caller("a")
		a.shows(0)
		a.heard("GET 0")
		r.each(func() { r.Take(time.Now(), exchange.Received{From: a.id, At: time.Now()}) })
		r.pass(time.Minute)
		a.heard(nothing)
	})
}

// One that is late again and again is tried with one chunk, less and less often.
func TestDoubtGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 50).begin()
		r.origin("o")
		a := r.caller("a").proves()
		a.shows(0, 1, 2, 3, 4, 5, 6, 7)
		first := len(a.asked())
		asked := 0
		for range 600 {
			r.pass(100 * time.Millisecond)
			asked += len(slices.DeleteFunc(a.heard(), func(l string) bool { return l[:3] != "GET" }))
		}
		if first != pullsEach || asked < 5 || asked > 25 {
			t.Errorf("asked for %d at first, and %d times in a minute", first, asked)
		}
	})
}

// A neighbour whose link is slow does not keep this peer from bringing chunks to the others.
func TestSlowReceiverIsNoBacklog(t *testing.T) {
	r := newRig(t, Swarm, 100).begin()
	slow := []*fake{r.caller("a"), r.caller("b"), r.caller("c"), r.caller("d")}
	fast := r.caller("e")
	o := r.origin("o")
	for chunk := range 30 {
		if o.anys() == 0 {
			t.Fatalf("no handout is asked for after %d chunks", chunk)
		}
		o.gives(chunk)
		for _, s := range slow {
			r.tell(exchange.Lent{To: s.id})
		}
		fast.takes()
	}
}

// How many chunks may wait for the uplink does not depend on how fast all links are; it does on how fast this
// peer's is, beside the others'.
func TestBacklogGoesByThePace(t *testing.T) {
	d := &newRig(t, Swarm, 100).begin().strategy.(*dynamic).get
	for _, tc := range []struct {
		name  string
		usual time.Duration // between two chunks of one neighbour
		sends float64       // chunks a second
		want  int
	}{
		{"fast links", 100 * time.Millisecond, 200, 23},
		{"slow links", time.Second, 20, 23},
		{"a slow uplink among fast ones", 100 * time.Millisecond, 40, 4},
		{"a very slow one", 100 * time.Millisecond, 1, backlogLeast},
	} {
		d.usual, d.uplink.Capacity = tc.usual, tc.sends*chunkSize
		if got := d.enough(); got != tc.want {
			t.Errorf("%s: handouts while %d chunks wait, want %d", tc.name, got, tc.want)
		}
	}
}

// What is handed out to a peer that the others have left behind they would wait for.
func TestWhoIsBehindAsksForNoHandouts(t *testing.T) {
	const ahead = behindBy + 1
	for _, tc := range []struct {
		name string
		got  []int // of 100 chunks by the neighbours, since they met this peer, which has got none
		asks bool
	}{
		{"alone", nil, true},
		{"equals", []int{0, 0, 0, 0, 0}, true},
		{"one is ahead", []int{ahead, 0, 0, 0, 0}, true},
		{"two are", []int{ahead, ahead, 0, 0, 0}, false},
		{"all are, by not enough", []int{ahead - 1, ahead - 1, ahead - 1, ahead - 1, ahead - 1}, true},
		{"the only one is", []int{ahead}, true},
		{"both are", []int{ahead, ahead}, false},
		{"they take back what they said", []int{-1, -1}, true},
	} {
		r := newRig(t, Swarm, 100).begin()
		for i, n := range tc.got {
			p := r.idle(fmt.Sprint("p", i), "").proves()
			p.shows(90, 91, 92, 93, 94, 95, 96, 97, 98, 99) // before this one was there
			for c := range max(n, 0) {
				p.says(wire.KindHave, c)
			}
			if n < 0 {
				p.says(wire.KindNone, 90)
			}
		}
		liar := r.idle("that says it is ahead", "")
		liar.shows()
		for c := range 2 * ahead {
			liar.says(wire.KindHave, 50+c)
		}
		if asks := r.origin("o").anys() > 0; asks != tc.asks {
			t.Errorf("%s: asks for handouts %v, want %v", tc.name, asks, tc.asks)
		}
	}
}

// What is long in the hands of a slow one, when there is nothing else to ask for, is asked of one that is fast.
func TestLastChunksComeFromTheFast(t *testing.T) {
	for _, offers := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Swarm, 12).begin()
			slow, fast := r.caller("slow"), r.caller("fast")
			slow.says(wire.KindOffer, 0)
			for c := range 5 {
				fast.says(wire.KindOffer, 1+c)
				time.Sleep(10 * time.Millisecond)
				fast.gives(1 + c)
			}
			time.Sleep(2 * time.Second)
			slow.gives(0)
			last := 6
			if offers {
				slow.says(wire.KindOffer, last)
			} else {
				slow.shows(last)
				if got := slow.asked(); !slices.Equal(got, []int{last}) {
					t.Fatalf("asked the slow one for %v", got)
				}
			}
			for c := last; c < r.cfg.Chunks; c++ {
				fast.says(wire.KindHave, c)
			}
			slow.heard()
			for _, c := range fast.asked() { // and nothing else is left
				fast.gives(c)
			}
			for len(r.held) < r.cfg.Chunks-1 {
				r.pass(10 * time.Millisecond)
				for _, c := range fast.asked() {
					if c == last {
						t.Fatal("at once")
					}
					fast.gives(c)
				}
			}
			r.pass(hopeless + 2*TickEvery)
			if got := fast.asked(); !slices.Equal(got, []int{last}) {
				t.Errorf("asked the fast one for %v, want %d", got, last)
			}
			if want := fmt.Sprintf("CANCEL %d", last); !slices.Contains(slow.heard(), want) {
				t.Errorf("the slow one did not hear %s", want)
			}
		})
	}
}

// What comes between a tick and what is decided after it is not asked of anybody.
func TestWhatHasJustComeIsNotRescued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 12).begin()
		slow, fast := r.caller("slow"), r.caller("fast")
		slow.says(wire.KindOffer, 0)
		for c := 1; c < 11; c++ {
			fast.says(wire.KindOffer, c)
			time.Sleep(10 * time.Millisecond)
			fast.gives(c)
		}
		time.Sleep(2 * time.Second)
		slow.gives(0)
		slow.says(wire.KindOffer, 11)
		fast.says(wire.KindHave, 11)
		r.pass(hopeless - TickEvery)
		if got := fast.asked(); len(got) > 0 {
			t.Fatalf("asked for %v too early", got)
		}
		time.Sleep(4 * TickEvery)
		fast.heard()
		r.Take(time.Now(), exchange.Tick{})
		slow.gives(11)
		fast.heard(lines("HAVE", 11)...)
	})
}

// What slow ones were handed, and nobody has got from them, comes from the origin once it has nothing else to hand
// out: of those who are near each other, every one asks for its share.
func TestWhatSlowOnesTookComesFromTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 100).begin()
		o, near := r.origin("o"), r.caller("near")
		for c := range 5 {
			near.says(wire.KindOffer, c)
			time.Sleep(10 * time.Millisecond)
			near.gives(c)
		}
		r.pass(TickEvery)
		ended := time.Now()
		for o.anys() > 0 {
			o.says(wire.KindNone, wire.NoChunk)
		}
		o.heard()
		asked := map[int]bool{}
		for time.Since(ended) < orphaned/2 {
			r.pass(10 * time.Millisecond)
			for o.anys() > 0 {
				o.says(wire.KindNone, wire.NoChunk)
			}
			for _, c := range o.asked() {
				if time.Since(ended) < hopeless {
					t.Fatalf("chunk %d after %v", c, time.Since(ended))
				}
				if asked[c] = true; rendezvous.Weight(rendezvous.Seed("near"), c) > rendezvous.Weight(rendezvous.Seed("m"), c) {
					t.Errorf("chunk %d is the other's to ask for", c)
				}
			}
		}
		if len(asked) == 0 || len(asked) > r.strategy.(*dynamic).get.window {
			t.Errorf("%d chunks", len(asked))
		}
	})
}
