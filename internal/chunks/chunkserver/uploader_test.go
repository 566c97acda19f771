package chunkserver

import "testing"

// What waits is counted, however it comes to an end, and a grant goes to its session.
func TestQueueIsCounted(t *testing.T) {
	queued := 0
	u := newUploader(1, 2, func(n int) { queued += n })
	a, b := &Session{grant: make(chan int, 1)}, &Session{grant: make(chan int, 1)}
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
		{"the slot is lent on", func() { u.lend(a) }, 1},
		{"what waits goes with its session", func() { u.leave(a) }, 0},
		{"who has left is not queued", func() { u.add(a, 1) }, 0},
	} {
		if step.do(); queued != step.want {
			t.Errorf("%s: %d are queued, it says, want %d", step.what, queued, step.want)
		}
	}
	if x, y := <-a.grant, <-b.grant; x != 7 || y != 0 {
		t.Errorf("granted %d and %d, want 7 and 0", x, y)
	}
}
