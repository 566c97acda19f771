package chunkserver

import (
	"slices"
	"testing"
	"time"
)

// What waits is counted, however it comes to an end, a grant goes to its session, and who is slow and
// what is free are told.
func TestQueueIsCounted(t *testing.T) {
	queued := 0
	u := newUploader(1, 2, func(n int) { queued += n })
	a, b := &Session{grant: make(chan int, 1)}, &Session{grant: make(chan int, 1)}
	var slow []*Session
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"the first begins at once", func() { u.join(a); u.add(a, 7) }, 0},
		{"two wait", func() { u.add(a, 8); u.add(a, 9) }, 2},
		{"one more is refused", func() { u.add(a, 10) }, 2},
		{"one is taken back", func() { u.cancel(a, 8) }, 1},
		{"there is nothing to take back", func() { u.cancel(a, 8) }, 1},
		{"another session's waits", func() { u.join(b); u.add(b, 0) }, 2},
		{"the slot is lent on", func() { slow = u.lend(time.Now().Add(time.Hour)) }, 1},
		{"what waits goes with its session", func() { u.leave(a) }, 0},
		{"who has left is not queued", func() { u.add(a, 1) }, 0},
	} {
		if step.do(); queued != step.want {
			t.Errorf("%s: %d are queued, it says, want %d", step.what, queued, step.want)
		}
	}
	if !slices.Equal(slow, []*Session{a}) {
		t.Errorf("%d are slow, it says, want a", len(slow))
	}
	if sends, busy := u.free(); sends != 0 || busy != 1 {
		t.Errorf("there is room for %d, it says, beside %d; want none beside b", sends, busy)
	}
	if x, y := <-a.grant, <-b.grant; x != 7 || y != 0 {
		t.Errorf("granted %d and %d, want 7 and 0", x, y)
	}
}
