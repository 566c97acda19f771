package swarm

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/wire"
)

func TestDirectTakesEverythingFromTheOrigin(t *testing.T) {
	r := newRig(t, Direct, 4).begin()
	o := r.origin("o")
	o.heard(lines("GET", 0, 1, 2, 3)...)
	peer := r.caller("a")
	peer.shows(0, 1, 2, 3)
	peer.heard(nothing)
	for _, c := range []int{2, 0, 3, 1} {
		if r.complete != 0 {
			t.Fatal("complete too soon")
		}
		o.gives(c)
	}
	peer.heard(lines("HAVE", 2, 0, 3, 1)...)
	o.gives(1)
	if r.complete != 1 || !r.Finished() {
		t.Errorf("Complete called %d times, want once", r.complete)
	}
}

// What an origin owes when its session is lost is asked again of the next.
func TestOriginIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Direct, 4).begin()
		o := r.origin("o")
		o.gives(1)
		o.hangsUp()
		r.pass(300 * time.Millisecond)
		if n := r.dialer.count("o:1"); n != 2 {
			t.Fatalf("dialled %d times, want again", n)
		}
		r.answered("o").heard("BITS", "GET 0", "GET 2", "GET 3")
	})
}

// Two origins share the work.
func TestTwoOrigins(t *testing.T) {
	r := newRig(t, Direct, 100).begin()
	a, b := r.origin("a"), r.origin("b")
	if x, y := len(a.heard()), len(b.heard()); x != 64 || y != 36 {
		t.Errorf("asked for %d and %d chunks, want each of 100 once, 64 at a time", x, y)
	}
}

// static: each chunk is asked of its owner, own chunks of the origin.
func TestStaticObeysTheTable(t *testing.T) {
	r := static(t, "m:1", "a:1", "b:1", "a:1", "m:1")
	o := r.origin("o")
	a, b := r.answered("a"), r.answered("b")
	o.heard("GET 0", "GET 4")
	a.heard("GET 1", "GET 3")
	b.heard("GET 2")
	o.gives(0)
	a.gives(1)
	o.gives(4)
	if len(r.owned) != 2 || !r.owned[0] || !r.owned[4] {
		t.Errorf("owned %v", r.owned)
	}
	o.heard("HAVE 0", "HAVE 1", "HAVE 4")
	// Who dialled here asks here, and is not asked.
	caller := r.caller("c")
	caller.heard("BITS")
	caller.says(wire.KindOffer, 2) // a peer of another strategy
	caller.heard("CANCEL 2")
}

// A chunk that this peer owns and has not got yet is awaited; others' are not.
func TestOwnerAnswersWhenItHasTheChunk(t *testing.T) {
	r := static(t, "m:1", "a:1", "m:1")
	o := r.origin("o")
	c, d := r.caller("c"), r.caller("d")
	c.says(wire.KindGet, 0)
	d.says(wire.KindGet, 0)
	c.says(wire.KindGet, 2)
	c.says(wire.KindCancel, 2)
	c.heard(nothing)
	c.says(wire.KindGet, 1)
	c.heard("NONE 1")
	o.gives(0)
	o.gives(2)
	if !slices.Equal(c.queue, []int{0}) || !slices.Equal(d.queue, []int{0}) {
		t.Errorf("to be sent: %v and %v, want chunk 0 to both", c.queue, d.queue)
	}
	d.says(wire.KindAny, 0)
	if got := d.heard(); !slices.Contains(got, "NONE -") {
		t.Errorf("ANY was answered with %q", got)
	}
}

func TestTooManyWaitingRequests(t *testing.T) {
	const n = 5
	r := newRig(t, Direct, n+1, func(r *rig) { r.cfg.Requests = n }).begin()
	c := r.caller("c")
	for chunk := range n {
		c.says(wire.KindGet, chunk)
	}
	if c.ended {
		t.Fatal("ended too soon")
	}
	c.says(wire.KindGet, n)
	if c.code != wire.CodeTooMany {
		t.Errorf("ended %v with code %q", c.ended, c.code)
	}
}

func static(t *testing.T, owners ...string) *rig {
	return newRig(t, Static, len(owners), func(r *rig) { r.tracker.owners = owners }).begin()
}
