package swarm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// Who has everything needs nobody: it is dialled by those who lack something.
func TestCompleteDownloadDialsNobody(t *testing.T) {
	for _, s := range []Strategy{Direct, Static, Swarm} {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, s, 2, func(r *rig) { r.tracker.owners = []string{"m:1", "a:1"} }).begin()
				o := r.origin("o")
				o.gives(0)
				o.gives(1)
				o.hangsUp()
				before := r.dialer.all()
				for range 20 {
					r.names(exchange.Answered{Origins: []exchange.Contact{at("o"), at("p")}, Peers: []exchange.Contact{at("b")}})
					r.pass(time.Second)
				}
				if after := r.dialer.all(); r.complete != 1 || after != before {
					t.Errorf("complete %d times, dialled %d times since", r.complete, after-before)
				}
			})
		})
	}
}

// However many origins a tracker names, few are dialled at a time; those that are out of reach
// give way to others.
func TestManyOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		var named []exchange.Contact
		r.dialer.dead = map[string]bool{}
		for i := range 100 {
			c := at(fmt.Sprint("o", i))
			named = append(named, c)
			r.dialer.dead[c.Address] = i != 70
		}
		for range 100 {
			r.names(exchange.Answered{Origins: named})
			if n := len(r.contacts.all); n > maxOrigins {
				t.Fatalf("%d origins at a time", n)
			}
			r.pass(5 * time.Second)
		}
		if r.dialer.count("o70:1") == 0 {
			t.Error("the one that is there was not dialled")
		}
		r.names(exchange.Answered{Origins: named[70:71]})
		if n := len(r.contacts.all); n != 1 {
			t.Errorf("%d origins are kept, of which the tracker names one", n)
		}
	})
}

// Peers that have no room for a session are left alone for a while.
func TestFullPeersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		r.each(func() {
			for _, c := range r.contacts.all {
				if c.dialling {
					r.tell(exchange.NotDialled{Address: c.Address, Err: &wire.RemoteError{Code: wire.CodeTooMany}})
				}
			}
		})
		for range 12 {
			r.names(exchange.Answered{Peers: many(64)})
			r.pass(5 * time.Second)
		}
		if n := r.dialer.all(); n < 64 || n > 3*64 {
			t.Errorf("64 peers that are full were dialled %d times in a minute", n)
		}
	})
}

// many are so many peers that a tracker names.
func many(n int) (named []exchange.Contact) {
	for i := range n {
		named = append(named, at(fmt.Sprint("p", i)))
	}
	return named
}

// A table may name any number of owners; not all of them are dialled at once.
func TestDialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const owners = 500
		r := newRig(t, Static, owners, func(r *rig) {
			for i := range owners {
				r.tracker.owners = append(r.tracker.owners, fmt.Sprint("p", i, ":1"))
			}
		}).begin()
		r.pass(10 * time.Second)
		if n := r.dialer.all(); n > maxDials {
			t.Errorf("%d dials at a time", n)
		}
		r.dialer.dead = map[string]bool{}
		for _, addr := range r.tracker.owners {
			r.dialer.dead[addr] = true
			r.tell(exchange.NotDialled{Address: addr, Err: errRefused})
		}
		r.pass(time.Minute)
		for _, c := range r.contacts.all {
			if c.err == nil {
				t.Errorf("%s was not dialled when there was room for it", c.Address)
				break
			}
		}
	})
}

// An origin that the tracker names and that cannot be reached is dialled ever more rarely; one that it
// names no more is not dialled again, once its session is over.
func TestUnreachableOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		gone, stays := r.origin("gone"), r.origin("stays")
		r.dialer.dead = map[string]bool{"gone:1": true, "stays:1": true}
		r.names(exchange.Answered{Origins: []exchange.Contact{at("stays")}})
		if gone.ended {
			t.Error("a session was ended since the tracker does not know the origin")
		}
		gone.hangsUp()
		stays.hangsUp()
		r.pass(5 * time.Second)
		r.names(exchange.Answered{Origins: []exchange.Contact{at("stays")}})
		before := r.dialer.count("gone:1")
		r.pass(10 * time.Minute)
		if n := r.dialer.count("gone:1"); n != before {
			t.Errorf("dialled %d times although nobody names it", n-before)
		}
		// Eight within half a minute, and then one in half a minute.
		if n := r.dialer.count("stays:1"); n < 20 || n > 36 {
			t.Errorf("dialled %d times in ten minutes", n)
		}
	})
}

// A thousand origins that somebody has made up cost sixteen dials at a time, and the one that is
// there is found among them.
func TestMadeUpOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2).begin()
		named := []exchange.Contact{at("o")}
		for i := range 1000 {
			named = append(named, at(fmt.Sprint("made-up", i)))
		}
		found := false
		r.each(func() {
			under := 0
			for _, c := range r.contacts.all {
				switch {
				case c.Address == "o:1" && c.dialling:
					r.answered("o")
					found = true
				case c.dialling && r.last == 0 && under%2 == 0: // some do not answer
					r.tell(exchange.NotDialled{Address: c.Address, Err: errRefused})
				case c.dialling:
					under++
				}
			}
			if under > maxOrigins || len(r.contacts.all) > maxOrigins {
				t.Fatalf("%d dials, %d known", under, len(r.contacts.all))
			}
		})
		for range 300 {
			r.names(exchange.Answered{Origins: named})
			r.pass(5 * time.Second)
			for _, c := range r.contacts.all { // the handshake takes ten seconds at most
				if c.dialling {
					r.tell(exchange.NotDialled{Address: c.Address, Err: errRefused})
				}
			}
		}
		if !found {
			t.Error("the one that is there was not dialled")
		}
	})
}

// A fleet that loses an origin at one moment does not dial it in step.
func TestRedialsAreOutOfStep(t *testing.T) {
	now, at, r := time.Now(), map[time.Time]bool{}, rand.New(rand.NewPCG(1, 2))
	for range 100 {
		c := &contact{fails: 3}
		c.failed(r, now, errors.New("gone"))
		if wait := c.retryAt.Sub(now); wait < redialFirst<<2 || wait > 3*redialFirst<<2 {
			t.Errorf("waits %v", wait)
		}
		at[c.retryAt] = true
	}
	if len(at) < 50 {
		t.Errorf("100 peers dial at %d different times", len(at))
	}
}

// An origin that answers NONE to every GET is asked again, but not at once; when it has the
// chunks after all, they are fetched.
func TestOriginRefuses(t *testing.T) {
	for _, s := range []Strategy{Direct, Static} {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const chunks = 100
				r := newRig(t, s, chunks, func(r *rig) {
					for range chunks {
						r.tracker.owners = append(r.tracker.owners, "m:1")
					}
				}).begin()
				o := r.origin("o")
				gets, has := 0, false
				r.each(func() {
					for range 20 { // a refusal may lead to the next request at once
						asked := o.asked()
						for _, c := range asked {
							if gets++; has {
								o.gives(c)
							} else {
								o.says(wire.KindNone, c)
							}
						}
						if len(asked) == 0 {
							return
						}
					}
				})
				r.pass(time.Minute)
				if gets < 70 || gets > 100 {
					t.Errorf("asked %d times in a minute of refusals", gets)
				}
				has = true
				r.pass(2 * restMost)
				if r.complete != 1 {
					t.Errorf("not complete when the origin has the chunks: %d are here", len(r.held))
				}
			})
		})
	}
}

// Of two origins one sends nothing: the other is asked for what it owes.
func TestSilentOrigin(t *testing.T) {
	for _, s := range []Strategy{Direct, Static} {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const chunks = 200
				r := newRig(t, s, chunks, func(r *rig) {
					for range chunks {
						r.tracker.owners = append(r.tracker.owners, "m:1")
					}
				}).begin()
				silent, well := r.origin("a"), r.origin("b")
				r.each(func() {
					for _, c := range well.asked() {
						well.gives(c)
					}
				})
				r.pass(originPatience - time.Second)
				owed := len(silent.strategy.(*assigned).feeds.of[silent.neighbour()].asked)
				if got := len(r.held); owed == 0 || got+owed != chunks {
					t.Fatalf("%d chunks are here and %d owed, of %d", got, owed, chunks)
				}
				r.pass(1200 * time.Millisecond)
				if r.complete != 1 {
					t.Errorf("%d of %d chunks are here", len(r.held), chunks)
				}
			})
		})
	}
}

// Of two origins one answers NONE to everything: it is not asked over and over, and costs next to
// nothing.
func TestOneOriginRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks = 500
		r := newRig(t, Direct, chunks).begin()
		a, b := r.origin("a"), r.origin("b")
		refused := 0
		r.each(func() {
			for _, c := range a.asked() {
				refused++
				a.says(wire.KindNone, c)
			}
			for _, c := range b.asked() {
				b.gives(c)
			}
		})
		r.pass(1500 * time.Millisecond)
		if r.complete != 1 || refused > 80 {
			t.Errorf("%d of %d chunks are here; refused %d times", len(r.held), chunks, refused)
		}
	})
}

// An only origin that sends nothing for long, or one of two that are both at work, is left to
// it: to ask again would only put its peers at the end of its queue.
func TestBusyOriginsAreNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Direct, 100).begin()
		a, b := r.origin("a"), r.origin("b")
		asked := len(a.asked()) + len(b.asked())
		r.pass(time.Minute)
		if again := len(a.asked()) + len(b.asked()); asked != 100 || again != 0 {
			t.Errorf("asked for %d chunks, and for %d again", asked, again)
		}
	})
}
