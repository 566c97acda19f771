package room

import (
	"slices"
	"testing"

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

func TestLend(t *testing.T) {
	r := newTestRoom(1, 100)
	a, b, c := r.session(), r.session(), r.session()
	for _, s := range []*session{a, b, c} {
		r.add(s, 0)
		r.add(s, 1)
	}
	r.lend(a)
	r.lend(a) // once is enough
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
	r.lend(a) // a timer that fired too late
	if r.active != 1 {
		t.Fatalf("%d active", r.active)
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

// Whatever happens in whatever order: the slots are kept, no session has two grants, every
// job is granted once or taken back, in order, and the count of the queue is right.
func TestRoomProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 3).Draw(t, "slots")
		r := newTestRoom(slots, 8)
		var sessions []*session
		waiting := map[*session][]int{} // the model: chunks queued
		busy := map[*session]bool{}
		lent := map[*session]bool{}
		next := 0
		collect := func() { // what a writer does at once
			for _, s := range sessions {
				for len(s.grant) > 0 {
					chunk := <-s.grant
					if busy[s] || len(waiting[s]) == 0 || waiting[s][0] != chunk {
						t.Fatalf("granted %d; busy %v, waiting %v", chunk, busy[s], waiting[s])
					}
					busy[s], waiting[s] = true, waiting[s][1:]
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
					r.done(s)
				}
			},
			"lend": func(*rapid.T) {
				if s := pick(); s != nil {
					r.lend(s)
					lent[s] = busy[s]
				}
			},
			"close": func(*rapid.T) {
				if s := pick(); s != nil {
					delete(waiting, s)
					delete(busy, s)
					delete(lent, s)
					r.leave(s)
					sessions = slices.DeleteFunc(sessions, func(o *session) bool { return o == s })
				}
			},
			"": func(t *rapid.T) {
				collect()
				active, queued, idle := 0, 0, 0
				for _, s := range sessions {
					queued += len(waiting[s])
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
}

type session struct{ grant chan int }

func newTestRoom(slots, most int) *testRoom { return &testRoom{Room: New[*session](slots, most)} }

func (r *testRoom) session() *session {
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
func (r *testRoom) lend(s *session) { r.Lend(s); r.pass() }

func (r *testRoom) leave(s *session) {
	r.queued -= r.Leave(s)
	r.pass()
}

func (r *testRoom) pass() {
	for s, chunk, ok := r.Next(); ok; s, chunk, ok = r.Next() {
		r.queued--
		select {
		case s.grant <- chunk:
		default:
			panic("a session was granted two slots")
		}
	}
}
