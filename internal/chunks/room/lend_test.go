package room

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The slot of a send of which nothing goes is given on once, whatever is known of the uplink, and not
// again when the send ends.
func TestStuckIsLent(t *testing.T) {
	r := newTestRoom(1, 100)
	a, b, c := r.session(), r.session(), r.session()
	for _, s := range []*session{a, b, c} {
		r.add(s, 0)
		r.add(s, 1)
	}
	r.wait(stuck - 1)
	if slow := r.lend(); slow != nil {
		t.Fatal("lent too early")
	}
	r.wait(1)
	if slow := r.lend(); !slices.Equal(slow, []*session{a}) {
		t.Fatalf("%d are slow, want a", len(slow))
	}
	if slow := r.lend(); slow != nil { // once is enough, and b has only begun
		t.Fatalf("%d more are slow", len(slow))
	}
	if len(a.grant) != 1 || len(b.grant) != 1 || len(c.grant) != 0 {
		t.Fatalf("granted: %d %d %d, want a and b", len(a.grant), len(b.grant), len(c.grant))
	}
	<-a.grant
	r.done(a) // what it had was lent: nobody else may begin
	if len(a.grant) != 0 || len(c.grant) != 0 {
		t.Fatal("a lent slot was given on twice")
	}
	<-b.grant
	r.done(b)
	if len(c.grant) != 1 {
		t.Fatal("c waits although a slot is free")
	}
	r.done(a) // which is not sent to
	r.leave(b)
	if r.active != 1 || r.lent != 0 {
		t.Fatalf("%d active, %d lent", r.active, r.lent)
	}
}

// A session that takes nothing from the start is found out sooner than one to which much was sent; of many,
// those that come later are sooner than the first.
func TestWhoNeverReadIsLentSoon(t *testing.T) {
	r := newTestRoom(2, 100)
	var all []*session
	for range 6 {
		s := r.newcomer()
		r.add(s, 0)
		all = append(all, s)
	}
	r.wait(untried - 1)
	if slow := r.lend(); slow != nil {
		t.Fatalf("%d are lent too early", len(slow))
	}
	r.wait(1)
	if slow := r.lend(); !slices.Equal(slow, all[:2]) {
		t.Fatalf("%d are slow, want the first two", len(slow))
	}
	r.wait(untried / 3)
	if slow := r.lend(); !slices.Equal(slow, all[2:4]) {
		t.Fatalf("%d more are slow, want two", len(slow))
	}
	r.uplink.Capacity = farSlower * 2 * slice // bytes a second: an equal part of it takes a second for a slice
	r.wait(untried)
	if slow := r.lend(); slow != nil {
		t.Fatal("lent although the uplink is as slow")
	}
}

// Who takes nothing from the start is found out even sooner where the uplink has little else to do: it is not that
// which keeps him waiting.
func TestIdleUplinkTells(t *testing.T) {
	for _, tc := range []struct {
		name string
		busy bool // with somebody else
		want int
	}{
		{"idle", false, 6},
		{"busy", true, 0},
	} {
		r := newTestRoom(7, 100)
		r.uplink.Capacity = 10e6
		r.lend()
		other := r.session()
		r.add(other, 0)
		var first []*session
		for range 6 {
			s := r.newcomer()
			r.add(s, 0)
			first = append(first, s)
		}
		var slow []*session
		for range 2 {
			if len(slow) > 0 {
				t.Errorf("%s: lent at the first look", tc.name)
			}
			r.wait(Look)
			if tc.busy {
				r.Sent(other, 500e3, r.now)
			} else {
				r.Sent(other, 1e3, r.now)
			}
			slow = r.lend()
		}
		if len(slow) != tc.want || tc.want > 0 && !slices.Equal(slow, first) {
			t.Errorf("%s: %d are slow, want %d", tc.name, len(slow), tc.want)
		}
	}
}

// Leaving with a lent slot frees none.
func TestLeaveWhileLent(t *testing.T) {
	r := newTestRoom(1, 100)
	a, b, c := r.session(), r.session(), r.session()
	for _, s := range []*session{a, b, c} {
		r.add(s, 0)
	}
	r.wait(stuck)
	r.lend()
	r.leave(a)
	if len(b.grant) != 1 || len(c.grant) != 0 || r.active != 1 || r.lent != 0 {
		t.Errorf("granted %d %d, %d active, %d lent; want b alone", len(b.grant), len(c.grant), r.active, r.lent)
	}
}

// There are never more sends without a slot than mostLent.
func TestMostLent(t *testing.T) {
	r := newTestRoom(4, 1)
	var all []*session
	for range 2 * mostLent {
		s := r.session()
		r.add(s, 0)
		all = append(all, s)
	}
	for range 2 * mostLent {
		r.wait(stuck)
		r.lend()
	}
	if r.lent != mostLent || r.active != 4 {
		t.Fatalf("%d lent, %d active; want %d and 4", r.lent, r.active, mostLent)
	}
	r.done(all[0]) // and once there is room again another one is
	if slow := r.lend(); len(slow) != 1 || r.lent != mostLent || r.active != 4 {
		t.Errorf("%d more were lent, now %d, with %d active", len(slow), r.lent, r.active)
	}
}

// A send that is held is never slow, and the time for which it was does not count later either.
func TestHeldIsNotLent(t *testing.T) {
	r := newTestRoom(1, 1)
	r.uplink.Capacity = 1e9 // next to which everything is slow
	s := r.session()
	r.add(s, 0)
	never := func(when string) {
		t.Helper()
		if slow := r.lend(); slow != nil {
			t.Fatalf("lent %s", when)
		}
	}
	for range 10 {
		r.Hold(s, true, r.now)
		r.wait(time.Hour)
		never("while held")
		r.Hold(s, true, r.now) // which it is already
		r.wait(time.Hour)
		r.Hold(s, false, r.now)
		never("for having been held")
		r.Sent(s, slice, r.now)
		never("after a slice")
	}
	r.wait(stuck)
	if slow := r.lend(); len(slow) != 1 {
		t.Error("not lent although stuck")
	}
	r.Hold(r.session(), true, r.now) // of a session that is sent nothing
	r.Hold(&session{}, true, r.now)  // of one that has left
	r.Sent(&session{}, 1, r.now)
}

// What a session was sent, or was held for, before does not count for its next chunk.
func TestNextChunkBeginsAnew(t *testing.T) {
	r := newTestRoom(1, 10)
	s := r.session()
	r.add(s, 0)
	r.add(s, 1)
	r.Hold(s, true, r.now)
	r.wait(time.Hour)
	r.uplink.Capacity = 1e6
	<-s.grant
	r.done(s)
	if slow := r.lend(); slow != nil {
		t.Error("lent at once")
	}
	r.wait(stuck)
	if slow := r.lend(); len(slow) != 1 {
		t.Error("it is held still")
	}
}

// Where a send is by far the slowest its slot is given on, long before it counts as stuck, and the
// others keep theirs.
func TestSlowIsLent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "slots")
		each := rapid.Float64Range(400<<10, 50<<20).Draw(t, "rate")
		w := newWorld(n, rapid.IntRange(16, 64).Draw(t, "slices")) // so that a slow send lasts for some looks
		rates := map[*session]float64{}
		for range n {
			rates[w.opens()] = each
		}
		w.run(t, time.Second, rates)
		if len(w.lent) != 0 {
			t.Fatalf("%d of %d equals were lent", len(w.lent), n)
		}
		slow := rapid.SampledFrom(w.all).Draw(t, "slow")
		rates[slow] = each / float64(rapid.IntRange(20, 1000).Draw(t, "slower"))
		w.run(t, 10*time.Second, rates)
		if !w.lent[slow] || len(w.lent) != 1 {
			t.Errorf("lent: the slow one %v, in all %d of %d", w.lent[slow], len(w.lent), n)
		}
	})
}

// If all are equally slow it is the uplink, and a slot given on would only make them slower.
func TestEquallySlowAreNotLent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "slots")
		each := rapid.Float64Range(200<<10, 20<<20).Draw(t, "rate")
		w := newWorld(n, rapid.IntRange(1, 64).Draw(t, "slices"))
		rates := map[*session]float64{}
		for range n + rapid.IntRange(0, 4).Draw(t, "waiting") {
			rates[w.opens()] = each
		}
		w.run(t, 20*time.Second, rates)
		if len(w.lent) != 0 {
			t.Errorf("%d were lent", len(w.lent))
		}
	})
}

// world has a room send to sessions at given rates, each of which always lacks a chunk of so many
// slices.
type world struct {
	*testRoom
	slices int
	all    []*session
	sent   map[*session]int     // slices of the chunk that is being sent
	credit map[*session]float64 // bytes that have gone and are no slice yet
	lent   map[*session]bool
}

func newWorld(slots, slices int) *world {
	return &world{newTestRoom(slots, 1), slices, nil, map[*session]int{}, map[*session]float64{}, map[*session]bool{}}
}

func (w *world) opens() *session {
	s := w.session()
	w.all = append(w.all, s)
	w.add(s, 0)
	return s
}

func (w *world) run(t *rapid.T, d time.Duration, rates map[*session]float64) {
	const step = 10 * time.Millisecond
	for end := w.now.Add(d); w.now.Before(end); {
		w.wait(step)
		for _, s := range slices.Clone(w.sending) { // not who is granted a slot only now
			for w.credit[s] += rates[s] * step.Seconds(); w.credit[s] >= slice && len(s.grant) > 0; w.credit[s] -= slice {
				w.Sent(s, slice, w.now)
				if w.sent[s]++; w.sent[s] == w.slices {
					<-s.grant
					w.sent[s] = 0
					w.done(s)
					w.add(s, 0)
				}
			}
			if len(s.grant) == 0 {
				w.credit[s] = 0
			}
		}
		if w.now.UnixNano()%int64(Look) == 0 {
			for _, s := range w.lend() {
				w.lent[s] = true
			}
		}
		if w.active > w.slots {
			t.Fatalf("%d slots of %d are in use", w.active, w.slots)
		}
	}
}
