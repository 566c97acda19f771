package swarm

import (
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// A complete download takes leave of those who have everything, and of the origin; who lacks
// something, or says nothing, stays. Nobody is dialled again, and nothing is wrong.
func TestParting(t *testing.T) {
	for _, s := range []Strategy{Direct, Static, Swarm} {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, s, 2, func(r *rig) { r.tracker.owners = []string{"m:1", "m:1"} }).begin()
				o, whole, part, mute := r.origin("o"), r.caller("whole"), r.caller("part"), r.caller("mute")
				whole.shows(0, 1)
				part.shows(0)
				o.gives(0)
				o.gives(1)
				for _, f := range []*fake{whole, part, mute} {
					for len(f.queue) > 0 {
						f.takes()
					}
				}
				if r.pass(settled - TickEvery); o.ended || whole.ended {
					t.Fatal("ended before the last lines may be out")
				}
				r.pass(arrived)
				if !o.ended || !whole.ended || o.bye != partedFor || whole.bye != partedFor {
					t.Errorf("origin ended: %v for %v; complete peer: %v for %v", o.ended, o.bye, whole.ended, whole.bye)
				}
				if s != Swarm && (part.ended || mute.ended) { // under swarm they have been sent everything
					t.Errorf("ended: who lacks a chunk %v, who says nothing %v", part.ended, mute.ended)
				}
				dials := r.dialer.all()
				r.tell(exchange.Closed{ID: o.id})
				r.tell(exchange.Closed{ID: whole.id})
				r.pass(2 * time.Minute)
				if r.dialer.all() != dials || r.Trouble("", nil) != "" {
					t.Errorf("dialled %d times more; trouble: %q", r.dialer.all()-dials, r.Trouble("", nil))
				}
				part.says(wire.KindHave, 1)
				r.pass(arrived)
				if !part.ended {
					t.Error("who has everything by now is kept")
				}
			})
		})
	}
}

// The origin would give away again what an owner brought that leaves: it stays until what it owns
// is with others.
func TestOwnerStaysUntilItHasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 1).begin()
		o, a := r.origin("o"), r.caller("a")
		o.gives(0)
		r.pass(time.Minute)
		if o.ended || a.ended {
			t.Error("left with a chunk to send")
		}
		a.takes()
		r.pass(arrived - TickEvery)
		if o.ended || a.ended {
			t.Error("left with a chunk on its way")
		}
		r.pass(2 * TickEvery)
		if !o.ended || !a.ended {
			t.Errorf("kept: origin %v, peer %v", !o.ended, !a.ended)
		}
	})
}

// Who is told BYE is not in trouble, and does not dial before its time; but for an origin, without
// which there may be no download, not for long.
func TestToldBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		o := r.origin("o")
		r.names(exchange.Answered{Origins: []exchange.Contact{at("o")}, Peers: []exchange.Contact{at("p")}})
		p := r.answered("p")
		for _, f := range []*fake{o, p} {
			f.ended = true
			r.tell(exchange.Closed{ID: f.id, Err: &wire.Bye{For: 30 * time.Second}})
		}
		if got := r.Trouble("", nil); got != "waiting: the tracker knows no origin and no peer that has the file" {
			t.Errorf("trouble: %q", got)
		}
		r.pass(partedOrigin - TickEvery)
		r.names(exchange.Answered{Origins: []exchange.Contact{at("o")}, Peers: []exchange.Contact{at("p")}})
		if r.dialer.count("o:1") != 1 {
			t.Error("the origin was dialled at once")
		}
		r.pass(2 * time.Second)
		if r.dialer.count("o:1") != 2 || r.dialer.count("p:1") != 1 {
			t.Errorf("dialled the origin %d times, the peer %d times", r.dialer.count("o:1"), r.dialer.count("p:1"))
		}
		r.pass(30 * time.Second)
		if r.dialer.count("p:1") != 2 {
			t.Errorf("the peer was dialled %d times when its time was over", r.dialer.count("p:1"))
		}
		if c := r.contacts.byAddress["p:1"]; c.fails != 0 {
			t.Errorf("%d failures", c.fails)
		}
	})
}

// A download of what others have parted from dials them, and a complete one takes it in.
func TestComesBackAfterParting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 1).begin()
		a := r.caller("a")
		a.shows(0)
		a.gives(0)
		r.pass(arrived)
		if !a.ended {
			t.Fatal("kept")
		}
		r.tell(exchange.Closed{ID: a.id})
		again := r.caller("a") // it has lost the chunk
		again.says(wire.KindGet, 0)
		r.pass(time.Minute)
		if again.ended || len(again.queue) != 1 {
			t.Errorf("ended %v, to be sent %v", again.ended, again.queue)
		}
	})
}
