package chunkserver

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Sessions are sent to in turn, no more at a time than there are slots.
func TestSessionsTakeTurns(t *testing.T) {
	u := newTestUploader(2, 100)
	a, b, c := u.session(), u.session(), u.session()
	for chunk := range 3 {
		for _, s := range []*Session{a, b, c} {
			if err := u.add(s, job{chunk: chunk}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var order []*Session
	var chunks []int
	for range 9 {
		if u.active > 2 {
			t.Fatalf("%d sessions are sent to at a time", u.active)
		}
		for _, s := range []*Session{a, b, c} {
			if len(s.grant) == 1 {
				chunks = append(chunks, (<-s.grant).chunk)
				order = append(order, s)
			}
		}
		u.done(order[0])
		order = order[1:]
	}
	// One pass over everybody before anybody gets a second chunk.
	if want := []int{0, 0, 0, 1, 1, 1, 2, 2, 2}; !slices.Equal(chunks, want) {
		t.Errorf("chunks in the order %v, want %v", chunks, want)
	}
}

func TestLend(t *testing.T) {
	u := newTestUploader(1, 100)
	a, b, c := u.session(), u.session(), u.session()
	for _, s := range []*Session{a, b, c} {
		u.add(s, job{})
		u.add(s, job{chunk: 1})
	}
	u.lend(a)
	u.lend(a) // once is enough
	if len(a.grant) != 1 || len(b.grant) != 1 || len(c.grant) != 0 {
		t.Fatalf("granted: %d %d %d, want a and b", len(a.grant), len(b.grant), len(c.grant))
	}
	<-a.grant
	u.done(a) // what it had was lent: nobody else may begin
	if len(a.grant) != 0 || len(c.grant) != 0 {
		t.Fatal("a lent slot was given on twice")
	}
	<-b.grant
	u.done(b)
	if len(c.grant) != 1 {
		t.Fatal("c waits although a slot is free")
	}
	u.lend(a) // a timer that fired too late
	if u.active != 1 {
		t.Fatalf("%d active", u.active)
	}
}

func TestTooManyJobs(t *testing.T) {
	u := newTestUploader(0, 2)
	s := u.session()
	first, second, third := u.add(s, job{}), u.add(s, job{}), u.add(s, job{})
	if first != nil || second != nil || third != ErrTooMany {
		t.Error("want the third to be refused")
	}
	u.remove(s)
	if u.add(s, job{}) != nil || u.queued != 0 || len(u.ready) != 0 {
		t.Errorf("a closed session was queued: %d, %d ready", u.queued, len(u.ready))
	}
}

// Whatever happens in whatever order: the slots are kept, no session has two grants, every
// job is granted once or taken back, in order, and the count of the queue is right.
func TestUploaderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 3).Draw(t, "slots")
		u := newTestUploader(slots, 8)
		var sessions []*Session
		waiting := map[*Session][]int{} // the model: chunks queued
		busy := map[*Session]bool{}
		lent := map[*Session]bool{}
		next := 0
		collect := func() { // what a writer does at once
			for _, s := range sessions {
				for len(s.grant) > 0 {
					j := <-s.grant
					if busy[s] || len(waiting[s]) == 0 || waiting[s][0] != j.chunk {
						t.Fatalf("granted %d; busy %v, waiting %v", j.chunk, busy[s], waiting[s])
					}
					busy[s], waiting[s] = true, waiting[s][1:]
				}
			}
		}
		pick := func() *Session {
			if len(sessions) == 0 {
				return nil
			}
			return rapid.SampledFrom(sessions).Draw(t, "session")
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(*rapid.T) { sessions = append(sessions, u.session()) },
			"add": func(t *rapid.T) {
				s := pick()
				if s == nil {
					return
				}
				full := len(waiting[s]) == 8
				if !full {
					waiting[s] = append(waiting[s], next)
				}
				if err := u.add(s, job{chunk: next}); (err != nil) != full {
					t.Fatalf("add: %v with %d queued", err, len(waiting[s]))
				}
				next++
			},
			"cancel": func(t *rapid.T) {
				if s := pick(); s != nil {
					chunk := rapid.IntRange(0, next).Draw(t, "chunk")
					i := slices.Index(waiting[s], chunk)
					if u.cancel(s, chunk) != (i >= 0) {
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
					u.done(s)
				}
			},
			"lend": func(*rapid.T) {
				if s := pick(); s != nil {
					u.lend(s)
					lent[s] = busy[s]
				}
			},
			"close": func(*rapid.T) {
				if s := pick(); s != nil {
					delete(waiting, s)
					delete(busy, s)
					delete(lent, s)
					u.remove(s)
					u.done(s)
					sessions = slices.DeleteFunc(sessions, func(o *Session) bool { return o == s })
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
				if active > slots || u.active != active || u.queued != queued {
					t.Fatalf("%d active of %d slots, it says %d; %d queued, it says %d", active, slots, u.active, queued, u.queued)
				}
				if idle > 0 && active < slots {
					t.Fatalf("%d sessions wait although %d of %d slots are free", idle, slots-active, slots)
				}
			},
		})
	})
}

// Lent and kept memory together stay within the limit, whatever the sizes.
func TestBuffersAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1000
		b := newBuffers(limit)
		var lent [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				n := rapid.SampledFrom([]int{1, 10, 100, 100, 100, 990, 1000, 3000}).Draw(t, "n")
				free := int64(limit)
				for _, p := range lent {
					free -= b.weight(len(p))
				}
				ctx, cancel := context.WithCancel(t.Context())
				if b.weight(n) > free {
					cancel()
				}
				defer cancel()
				p, err := b.get(ctx, n)
				if (err != nil) != (b.weight(n) > free) || err == nil && len(p) != n {
					t.Fatalf("get %d with %d free: %d bytes, %v", n, free, len(p), err)
				}
				if err == nil {
					lent = append(lent, p)
				}
			},
			"put": func(t *rapid.T) {
				if len(lent) > 0 {
					i := rapid.IntRange(0, len(lent)-1).Draw(t, "which")
					b.put(lent[i])
					lent = slices.Delete(lent, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				kept := int64(0)
				for _, p := range b.free {
					kept += int64(cap(p))
				}
				if kept != b.kept || kept > limit {
					t.Fatalf("%d bytes kept, it says %d, limit %d", kept, b.kept, limit)
				}
			},
		})
	})
}

func TestNewLimiter(t *testing.T) {
	if NewLimiter(0) != nil {
		t.Error("0 must be unlimited")
	}
	for rate, burst := range map[int64]int{1: burstLeast, 10 << 20: 10 << 20 / 100, 10 << 30: burstMost} {
		if l := NewLimiter(rate); l.Burst() != burst || int64(l.Limit()) != rate {
			t.Errorf("limit %v with burst %d, want %d with %d", l.Limit(), l.Burst(), rate, burst)
		}
	}
}

type testUploader struct {
	*uploader
	queued int
}

func newTestUploader(slots, limit int) *testUploader {
	u := &testUploader{}
	u.uploader = &uploader{slots: slots, limit: limit, count: func(n int) { u.queued += n }}
	return u
}

func (u *testUploader) session() *Session { return &Session{grant: make(chan job, 1)} }
