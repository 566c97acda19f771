package swarm

import (
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/exchange"
)

// A tracker that names no interval is not called without pause.
func TestAnnounceInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2)
		r.tracker.reply = &exchange.Answered{}
		r.begin().pass(time.Second)
		if n := len(r.tracker.announces); n < 2 || n > 30 {
			t.Errorf("%d announces in a second", n)
		}
	})
}

// A fleet that was started at one moment does not announce in step.
func TestAnnouncesAreOutOfStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 5 * time.Second
		r := newRig(t, Swarm, 2)
		r.tracker.reply = &exchange.Answered{Interval: interval}
		r.begin()
		for end := time.Now().Add(20 * interval); time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
			r.tell(exchange.Tick{})
		}
		waits := map[time.Duration]bool{}
		times := r.tracker.announces
		for i := range len(times) - 1 {
			wait := times[i+1].Sub(times[i])
			if wait < interval || wait > 2*interval {
				t.Errorf("announced after %v, told to after %v", wait, interval)
			}
			waits[wait] = true
		}
		if len(times) < 15 || len(waits) < 10 {
			t.Errorf("%d announces after %d different times", len(times), len(waits))
		}
	})
}

// Whoever dials a download that has no other session and hangs up, again and again, does not
// have it ask the tracker each time.
func TestHangingUpCausesFewAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2)
		r.tracker.reply = &exchange.Answered{Interval: time.Hour}
		r.begin()
		for range 1000 {
			r.caller("a").hangsUp()
			time.Sleep(2 * time.Millisecond)
		}
		if n := len(r.tracker.announces); n < 2 || n > 5 {
			t.Errorf("%d announces in two seconds", n)
		}
	})
}

// What has changed is told at once, after the announce that is under way; a tracker that has
// withdrawn the file is told only when it asks, and one that fails at growing intervals.
func TestAnnounceWhenWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		r.tell(exchange.Wanted{})
		r.tell(exchange.Wanted{})
		count := func(want int, when string) {
			t.Helper()
			if n := len(r.tracker.announces); n != want {
				t.Fatalf("%d announces %s, want %d", n, when, want)
			}
		}
		count(1, "while one is under way")
		r.tell(exchange.Answered{Interval: time.Hour})
		count(2, "when it is over")
		r.tell(exchange.NotAnswered{Withdrawn: true})
		r.tell(exchange.Wanted{})
		r.pass(time.Minute)
		count(2, "of a withdrawn file")
		r.tell(exchange.Wanted{Asked: true})
		count(3, "when the tracker asks")
		r.tell(exchange.NotAnswered{})
		for n := 4; n < 14; n++ {
			r.pass(2 * redialMost)
			count(n, "of a tracker that fails")
			r.tell(exchange.NotAnswered{})
		}
	})
}

// A tracker that asks while an announce is under way is answered, even if it had the file withdrawn
// when that announce came.
func TestAskedWhileAnnouncing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, asked := range []bool{true, false} {
			r := newRig(t, Swarm, 2).begin()
			r.tell(exchange.Wanted{Asked: asked})
			r.tell(exchange.NotAnswered{Withdrawn: true})
			want := 1
			if asked {
				want = 2
			}
			if r.pass(time.Minute); len(r.tracker.announces) != want {
				t.Errorf("asked %v: %d announces, want %d", asked, len(r.tracker.announces), want)
			}
			r.tell(exchange.NotAnswered{Withdrawn: true})
			if r.pass(time.Minute); len(r.tracker.announces) != want {
				t.Errorf("asked %v: it announced once more, unasked", asked)
			}
		}
	})
}
