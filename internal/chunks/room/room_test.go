package room

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Sessions are sent to in turn, no more at a time than there are slots.
func TestSessionsTakeTurns(t *testing.T) {
	r := newTestRoom(2, 100)
	a, b, c := r.session(), r.session(), r.session()
	for chunk := range 3 {
		for _, s := range []*session{a, b, c} {
			if err := r.add(s, chunk); err != nil {
				t.Fatal(err)
			}
		}
	}
	var order []*session
	var chunks []int
	for range 9 {
		if r.active > 2 {
			t.Fatalf("%d sessions are sent to at a time", r.active)
		}
		for _, s := range []*session{a, b, c} {
			if len(s.grant) == 1 {
				chunks = append(chunks, <-s.grant)
				order = append(order, s)
			}
		}
		r.done(order[0])
		order = order[1:]
	}
	// One pass over everybody before anybody gets a second chunk.
	if want := []int{0, 0, 0, 1, 1, 1, 2, 2, 2}; !slices.Equal(chunks, want) {
		t.Errorf("chunks in the order %v, want %v", chunks, want)
	}
}

func TestTooManyJobs(t *testing.T) {
	r := newTestRoom(0, 2)
	s := r.session()
	first, second, third := r.add(s, 0), r.add(s, 0), r.add(s, 0)
	if first != nil || second != nil || third != ErrTooMany {
		t.Error("want the third to be refused")
	}
	r.leave(s)
	if r.add(s, 0) != nil || r.queued != 0 || len(r.ready) != 0 {
		t.Errorf("a closed session was queued: %d, %d ready", r.queued, len(r.ready))
	}
}

// What waits takes from the free slots before it is granted one, and never more than there are; what waits
// for those to whom a send goes on without a slot does not.
func TestFree(t *testing.T) {
	r := newTestRoom(3, 100)
	a, b := r.session(), r.session()
	for _, step := range []struct {
		what        string
		do          func()
		sends, busy int
	}{
		{"nothing waits", func() {}, 3, 0},
		{"one is sent", func() { r.add(a, 0) }, 2, 1},
		{"one more waits for the same session", func() { r.add(a, 1) }, 1, 1},
		{"another session's is sent", func() { r.add(b, 0) }, 0, 2},
		{"more waits than there are slots", func() { r.add(a, 2); r.add(a, 3); r.add(b, 1) }, 0, 2},
		{"both are stuck", func() { r.wait(stuck); r.lend() }, 3, 0},
		{"more waits for one of them", func() { r.add(a, 4) }, 3, 0},
		{"some of what waits is taken back", func() { r.cancel(a, 1); r.cancel(a, 2) }, 3, 0},
		{"what was lent is done, and the next is sent", func() { <-a.grant; r.done(a) }, 1, 1},
		{"which is the last", func() { r.cancel(a, 4) }, 2, 1},
		{"a session leaves with what waits for it", func() { r.leave(b) }, 2, 1},
		{"all is sent", func() { <-a.grant; r.done(a) }, 3, 0},
	} {
		step.do()
		if sends, busy := r.Free(); sends != step.sends || busy != step.busy {
			t.Errorf("%s: %d free, %d busy; want %d and %d", step.what, sends, busy, step.sends, step.busy)
		}
	}
}

// Whatever happens in whatever order: the slots are kept, no session has two grants, every
// job is granted once or taken back, in order, the counts are right, what is stuck is lent, and
// what is held, or was lent before, is not.
func TestRoomProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 3).Draw(t, "slots")
		r := newTestRoom(slots, 8)
		var sessions []*session
		waiting := map[*session][]int{} // the model: chunks queued
		busy := map[*session]bool{}
		lent := map[*session]bool{}
		held := map[*session]bool{}
		moved := map[*session]time.Time{}
		next := 0
		collect := func() { // what a writer does at once
			for _, s := range sessions {
				for len(s.grant) > 0 {
					chunk := <-s.grant
					if busy[s] || len(waiting[s]) == 0 || waiting[s][0] != chunk {
						t.Fatalf("granted %d; busy %v, waiting %v", chunk, busy[s], waiting[s])
					}
					busy[s], waiting[s], moved[s] = true, waiting[s][1:], r.now
				}
			}
		}
		pick := func() *session {
			if len(sessions) == 0 {
				return nil
			}
			return rapid.SampledFrom(sessions).Draw(t, "session")
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(*rapid.T) { sessions = append(sessions, r.session()) },
			"add": func(t *rapid.T) {
				s := pick()
				if s == nil {
					return
				}
				full := len(waiting[s]) == 8
				if !full {
					waiting[s] = append(waiting[s], next)
				}
				if err := r.add(s, next); (err != nil) != full {
					t.Fatalf("add: %v with %d queued", err, len(waiting[s]))
				}
				next++
			},
			"cancel": func(t *rapid.T) {
				if s := pick(); s != nil {
					chunk := rapid.IntRange(0, next).Draw(t, "chunk")
					i := slices.Index(waiting[s], chunk)
					if r.cancel(s, chunk) != (i >= 0) {
						t.Fatalf("cancel %d of %v", chunk, waiting[s])
					}
					if i >= 0 {
						waiting[s] = slices.Delete(waiting[s], i, i+1)
					}
				}
			},
			"done": func(*rapid.T) {
				if s := pick(); s != nil && busy[s] {
					delete(busy, s)
					delete(lent, s)
					delete(held, s)
					r.done(s)
				}
			},
			"wait": func(t *rapid.T) {
				r.wait(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			},
			"sent": func(t *rapid.T) {
				if s := pick(); s != nil && busy[s] && !held[s] {
					r.Sent(s, rapid.IntRange(1, slice).Draw(t, "bytes"), r.now)
					moved[s] = r.now
				}
			},
			"hold": func(*rapid.T) {
				if s := pick(); s != nil && busy[s] {
					held[s] = !held[s]
					r.Hold(s, held[s], r.now)
					moved[s] = r.now
				}
			},
			"lend": func(t *rapid.T) {
				known := r.uplink.Capacity > 0
				stalled := func(s *session) bool {
					return busy[s] && !lent[s] && !held[s] && r.now.Sub(moved[s]) >= stuck
				}
				var want []*session
				for _, s := range sessions {
					if stalled(s) && len(lent)+len(want) < mostLent {
						want = append(want, s)
					}
				}
				for _, s := range r.lend() {
					if !busy[s] || lent[s] || held[s] || !known && !stalled(s) {
						t.Fatalf("lent; busy %v, lent before %v, held %v, stuck %v", busy[s], lent[s], held[s], stalled(s))
					}
					lent[s] = true
				}
				for _, s := range want {
					if !lent[s] {
						t.Fatalf("a send that is stuck was not lent")
					}
				}
				if len(lent) > mostLent {
					t.Fatalf("%d are lent", len(lent))
				}
			},
			"close": func(*rapid.T) {
				if s := pick(); s != nil {
					delete(waiting, s)
					delete(busy, s)
					delete(lent, s)
					delete(held, s)
					r.leave(s)
					sessions = slices.DeleteFunc(sessions, func(o *session) bool { return o == s })
				}
			},
			"": func(t *rapid.T) {
				collect()
				active, queued, idle, aside := 0, 0, 0, 0
				for _, s := range sessions {
					queued += len(waiting[s])
					if lent[s] {
						aside += len(waiting[s])
					}
					if busy[s] && !lent[s] {
						active++
					}
					if !busy[s] && len(waiting[s]) > 0 {
						idle++
					}
				}
				if active > slots || r.active != active || r.queued != queued {
					t.Fatalf("%d active of %d slots, it says %d; %d queued, it says %d", active, slots, r.active, queued, r.queued)
				}
				if sends, using := r.Free(); sends != max(0, slots-active-queued+aside) || using != active {
					t.Fatalf("%d free and %d in use, it says, of %d slots, with %d active, %d queued, of which %d for those without a slot", sends, using, slots, active, queued, aside)
				}
				if idle > 0 && active < slots {
					t.Fatalf("%d sessions wait although %d of %d slots are free", idle, slots-active, slots)
				}
			},
		})
	})
}

// testRoom is a room whose grants go to their sessions at once, as a carrier has it.
type testRoom struct {
	*Room[*session]
	queued int
	now    time.Time
}

type session struct{ grant chan int }

func newTestRoom(slots, most int) *testRoom {
	return &testRoom{Room: New[*session](slots, most), now: time.Unix(1000, 0)}
}

func (r *testRoom) wait(d time.Duration) { r.now = r.now.Add(d) }

// session is one to which much has been sent before.
func (r *testRoom) session() *session {
	s := r.newcomer()
	r.queues[s].total = buffers
	return s
}

// newcomer is one to which nothing has been sent before.
func (r *testRoom) newcomer() *session {
	s := &session{make(chan int, 1)}
	r.Join(s)
	return s
}

func (r *testRoom) add(s *session, chunk int) error {
	added, err := r.Add(s, chunk)
	if added {
		r.queued++
	}
	r.pass()
	return err
}

func (r *testRoom) cancel(s *session, chunk int) bool {
	cancelled := r.Cancel(s, chunk)
	if cancelled {
		r.queued--
	}
	return cancelled
}

func (r *testRoom) done(s *session) { r.Done(s); r.pass() }

func (r *testRoom) lend() []*session {
	slow := r.Lend(r.now)
	r.pass()
	return slow
}

func (r *testRoom) leave(s *session) {
	r.queued -= r.Leave(s)
	r.pass()
}

func (r *testRoom) pass() {
	for s, chunk, ok := r.Next(r.now); ok; s, chunk, ok = r.Next(r.now) {
		r.queued--
		select {
		case s.grant <- chunk:
		default:
			panic("a session was granted two slots")
		}
	}
}
