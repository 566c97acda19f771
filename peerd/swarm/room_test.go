package swarm

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// callers open sessions, of which all are taken in.
func (r *rig) callers(n int) (all []*fake) {
	r.t.Helper()
	for i := range n {
		s := r.caller(fmt.Sprint("c", i))
		if s.ended {
			r.t.Fatalf("session %d was refused", i)
		}
		all = append(all, s)
	}
	return all
}

// Sessions are bounded, but there is always room for the origin, and for a peer that is connected
// and dials anew.
func TestMaxNeighbours(t *testing.T) {
	r := newRig(t, Swarm, 2).begin()
	r.callers(maxAccepted)
	if s := r.caller("late"); s.code != wire.CodeTooMany {
		t.Errorf("code %q", s.code)
	}
	if s := r.caller("c1"); s.ended {
		t.Error("a peer that has dialled anew was refused")
	}
	if o := r.origin("o"); o.ended {
		t.Error("the origin was refused")
	}
	if s := r.caller("m"); s.code != wire.CodeBadMessage {
		t.Errorf("a session with itself: code %q", s.code)
	}
}

// However many sessions others open and leave idle, there is room for those that are dialled here,
// and for a peer that has something to say.
func TestIdleSessionsTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		talks := r.caller("talks")
		talks.says(wire.KindHave, 0)
		var idle []*fake
		for i := range 130 {
			idle = append(idle, r.idle(fmt.Sprint("idle", i), ""))
			if last := idle[i]; last.ended != (i >= maxAccepted-1) || last.ended && last.code != wire.CodeTooMany {
				t.Fatalf("session %d: ended %v with code %q", i, last.ended, last.code)
			}
		}
		r.names(exchange.Answered{Peers: many(2 * maxDialled)})
		if n := r.dialer.all(); n != maxDialled {
			t.Errorf("dialled %d, want %d", n, maxDialled)
		}
		r.pass(muteFor)
		s := r.caller("late")
		s.says(wire.KindHave, 0)
		if s.ended || talks.ended || !idle[0].ended || idle[0].bye == 0 || idle[1].ended {
			t.Errorf("the new one was refused: %v; who talks was ended: %v; idle ones: %v, %v", s.ended, talks.ended, idle[0].ended, idle[1].ended)
		}
	})
}

// Who has said nothing is sent nothing but what it asks for, and is not told of room: a fresh chunk would
// go to as many as like to be idle before it goes to a peer.
func TestWhoSaysNothingIsPushedNothing(t *testing.T) {
	r := newRig(t, Swarm, 4).begin()
	o, idle, peer := r.origin("o"), r.idle("idle", ""), r.caller("peer")
	o.gives(0)
	r.free(4)
	idle.heard("BITS", "HAVE 0")
	peer.heard("OFFER 0")
	idle.says(wire.KindGet, 0)
	if !slices.Equal(idle.queue, []int{0}) {
		t.Errorf("%v is sent to one that has asked for 0", idle.queue)
	}
	o.gives(1)
	idle.heard("OFFER 1")
}

// A peer dials as many as it has room for, and others when it is refused.
func TestDialsHaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		full := map[string]bool{}
		r.each(func() {
			for i, p := range many(200) {
				if i < 100 {
					full[p.Address] = true
				}
				if c := r.contacts.byAddress[p.Address]; c != nil && c.dialling && full[p.Address] {
					r.tell(exchange.NotDialled{Address: p.Address, Err: &wire.RemoteError{Code: wire.CodeTooMany}})
				} else if c != nil && c.dialling {
					r.answered(p.ID)
				}
			}
		})
		for i := range 20 {
			r.names(exchange.Answered{Peers: many(200)[10*i%200:]})
			r.pass(5 * time.Second)
			if r.contacts.reserved > maxDialled || len(r.contacts.all) > maxKnown {
				t.Fatalf("%d places, %d known", r.contacts.reserved, len(r.contacts.all))
			}
		}
		if n := len(r.neighbours.open); n != maxDialled {
			t.Errorf("%d sessions, want %d", n, maxDialled)
		}
	})
}

// Among as many peers as one dials, and itself, everybody is connected with everybody, whoever dials first, or both at a time.
func TestFullMesh(t *testing.T) {
	for name, order := range map[string]func(i int) (dials, called bool){
		"it dials all": func(int) (bool, bool) { return true, false },
		"all dial it":  func(int) (bool, bool) { return false, true },
		"some do":      func(i int) (bool, bool) { return i%2 == 0, i%2 == 1 },
		"all do":       func(int) (bool, bool) { return true, true },
	} {
		for _, self := range []string{"a", "p3x", "z"} { // below, among and above the others' IDs
			t.Run(name+" "+self, func(t *testing.T) {
				r := newRig(t, Swarm, 2, func(r *rig) { r.cfg.Self = self }).begin()
				var all []*fake
				for i, p := range many(maxDialled) {
					dials, called := order(i)
					if dials {
						r.names(exchange.Answered{Peers: []exchange.Contact{p}})
					}
					if called {
						all = append(all, r.caller(p.ID))
					}
					if dials {
						all = append(all, r.answered(p.ID))
					}
				}
				with := map[string]int{}
				for _, s := range all {
					if s.code != "" {
						t.Fatalf("%s was refused: %s", s.peer, s.code)
					}
					if !s.ended {
						with[s.peer]++
					}
				}
				if len(with) != maxDialled {
					t.Errorf("connected with %d", len(with))
				}
				for peer, sessions := range with {
					if sessions != 1 {
						t.Errorf("%d sessions with %s", sessions, peer)
					}
				}
			})
		}
	}
}
