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

// An owner may say NONE, be out of reach, hang up whenever it is called, freeze, wait for ever, or
// lie: the origin has its chunks, and is asked for them in time.
func TestOwnerFails(t *testing.T) {
	for name, c := range map[string]struct {
		act   func(r *rig)
		after time.Duration
		not   time.Duration // before which the origin is not asked
	}{
		"says NONE": {act: func(r *rig) {
			a := r.answered("a")
			a.says(wire.KindNone, 1)
			a.says(wire.KindNone, 2)
		}},
		"refuses dials": {
			act:   func(r *rig) { r.refuse("a") },
			after: 2200 * time.Millisecond, not: 1900 * time.Millisecond,
		},
		"does not answer dials": {
			act:   func(*rig) {},
			after: 2200 * time.Millisecond, not: 1900 * time.Millisecond,
		},
		"hangs up": {
			act:   func(r *rig) { r.each(func() { r.answerIfDialled("a", (*fake).hangsUp) }) },
			after: 2200 * time.Millisecond, not: 1900 * time.Millisecond,
		},
		"is not told to download": {
			act: func(r *rig) {
				r.each(func() {
					if c := r.contacts.byAddress["a:1"]; c.dialling {
						r.tell(exchange.NotDialled{Address: "a:1", Err: &wire.RemoteError{Code: wire.CodeUnknownManifest}})
					}
				})
			},
			after: untold + 200*time.Millisecond, not: untold - 100*time.Millisecond,
		},
		"is frozen": {
			act:   func(r *rig) { r.answered("a") },
			after: lifeless + 200*time.Millisecond, not: lifeless - 100*time.Millisecond,
		},
		"lives, and sends nothing": {
			act:   func(r *rig) { r.each(r.answered("a").lives) },
			after: ownerPatience + 500*time.Millisecond, not: ownerPatience - time.Second,
		},
		"lies": {
			act: func(r *rig) {
				r.answered("a").lies(1)
				r.each(func() { r.answerIfDialled("a", func(*fake) {}) })
			},
			after: 4500 * time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := static(t, "m:1", "a:1", "a:1")
				o := r.origin("o")
				o.heard("GET 0")
				o.gives(0)
				o.heard("HAVE 0")
				c.act(r)
				r.pass(c.not)
				if c.not > 0 {
					o.heard(nothing)
				}
				r.pass(c.after - c.not)
				if asked := o.asked(); !slices.Equal(sorted(asked), []int{1, 2}) {
					t.Errorf("the origin was asked for %v", asked)
				}
			})
		})
	}
}

func sorted(chunks []int) []int { return slices.Sorted(slices.Values(chunks)) }

// An owner that lives, and sends one chunk after the other, is not stuck, however long it takes.
func TestBusyOwnerIsNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := static(t, "a:1", "a:1", "a:1", "a:1")
		o, a := r.origin("o"), r.answered("a")
		r.each(a.lives)
		for c := range 3 {
			r.pass(ownerPatience - time.Second)
			a.gives(c)
		}
		o.heard(lines("HAVE", 0, 1, 2)...)
		a.heard(lines("GET", 0, 1, 2, 3)...)
		r.pass(ownerPatience + time.Second)
		o.heard("GET 3")
		a.heard("CANCEL 3")
		a.gives(3) // it comes after all
		o.heard("CANCEL 3", "HAVE 3")
		if r.complete != 1 {
			t.Error("not complete")
		}
	})
}

// An owner whose payload keeps coming is not late, nor asked for a sign of life.
func TestSlowOwnerIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := static(t, "a:1", "a:1")
		a, b := r.answered("a"), r.caller("b")
		a.heard("GET 0", "GET 1")
		b.shows(0, 1)
		r.each(func() { r.Take(time.Now(), received(a)) })
		r.pass(time.Minute)
		a.heard(nothing)
		b.heard(nothing)
	})
}

// What a late owner owes is asked of those who hold it before the origin, whoever has dialled:
// all of it if the owner is frozen, and what others have nothing else to do for if it lives.
func TestHoldersBeforeTheOrigin(t *testing.T) {
	for _, lives := range []bool{false, true} {
		t.Run(fmt.Sprint("lives ", lives), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := static(t, "a:1", "a:1", "a:1")
				o, a, b, c := r.origin("o"), r.answered("a"), r.caller("b"), r.caller("c")
				b.shows(0)
				c.says(wire.KindHave, 1)
				if lives {
					r.each(a.lives)
				}
				r.pass(latePayload - TickEvery)
				b.heard(nothing)
				r.pass(lifeless - latePayload + 3*TickEvery)
				if x, y := b.asked(), c.asked(); !slices.Equal(x, []int{0}) || !slices.Equal(y, []int{1}) {
					t.Errorf("the holders were asked for %v and %v", x, y)
				}
				got := o.asked()
				if lives {
					if owes := a.asked(); !slices.Equal(owes, []int{2}) || got != nil {
						t.Errorf("the owner owes %v, the origin was asked for %v", owes, got)
					}
					return
				}
				if !slices.Equal(got, []int{2}) {
					t.Errorf("the origin was asked for %v, want what nobody holds", got)
				}
				b.gives(0)
				c.says(wire.KindNone, 1) // it has lost it
				if got := o.asked(); !slices.Equal(got, []int{1}) {
					t.Errorf("the origin was asked for %v, want what is held no more", got)
				}
			})
		})
	}
}

// A frozen owner has dialled, too: over that session it is not asked again.
func TestFrozenOwnerIsOnePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := static(t, "a:1", "a:1")
		o, a, same := r.origin("o"), r.answered("a"), r.caller("a")
		a.shows(0, 1)
		same.shows(0, 1)
		r.pass(lifeless + 200*time.Millisecond)
		same.heard(nothing)
		if got := o.asked(); len(got) != 2 {
			t.Errorf("the origin was asked for %v", got)
		}
	})
}

// An owner that was given up is asked again for what it holds, once it sends.
func TestOwnerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks = 20
		var owners []string
		for range chunks {
			owners = append(owners, "a:1")
		}
		r := static(t, owners...)
		a := r.answered("a")
		r.pass(3 * time.Second)
		all := make([]int, chunks)
		for c := range all {
			all[c] = c
		}
		a.asked()
		a.shows(all...)
		r.pass(2 * time.Second)
		if got := a.asked(); len(got) != 1 {
			t.Fatalf("asked for %v, want for one to try", got)
		}
		for len(r.held) < chunks {
			before := len(r.held)
			for _, c := range append(a.asked(), a.owes()...) {
				a.gives(c)
			}
			if len(r.held) == before {
				t.Fatalf("asked for nothing more with %d of %d", before, chunks)
			}
		}
	})
}

// Without an origin a peer asks others for what it owns.
func TestOwnChunksWithoutAnOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := static(t, "m:1", "m:1")
		b := r.caller("b")
		b.shows(0, 1)
		r.pass(1900 * time.Millisecond)
		b.heard(nothing)
		r.pass(300 * time.Millisecond)
		if got := sorted(b.asked()); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("asked for %v", got)
		}
		r = newRig(t, Direct, 2).begin() // who takes everything from the origin waits for it
		b = r.caller("b")
		b.shows(0, 1)
		r.pass(time.Minute)
		b.heard(nothing)
	})
}

// Whatever an owner's address does, and however many there are, its chunks are elsewhere soon.
func TestManyOwnersAreGone(t *testing.T) {
	for _, refuse := range []bool{true, false} {
		t.Run(fmt.Sprint("refuse ", refuse), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const owners = 300
				r := newRig(t, Static, owners+1, func(r *rig) {
					r.tracker.owners = []string{"m:1"}
					r.dialer.dead = map[string]bool{}
					for i := range owners {
						r.tracker.owners = append(r.tracker.owners, fmt.Sprint("p", i, ":1"))
						r.dialer.dead[fmt.Sprint("p", i, ":1")] = refuse
					}
				}).begin()
				o := r.origin("o")
				began := time.Now()
				r.each(func() {
					for asked := o.asked(); len(asked) > 0; asked = o.asked() {
						for _, c := range asked {
							o.gives(c)
						}
					}
				})
				for r.complete == 0 && time.Since(began) < time.Minute {
					r.pass(TickEvery)
				}
				if took := time.Since(began); took > 2500*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Holders that send nothing are not waited for longer than each other, and then there is the origin.
func TestSilentHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := static(t, "a:1", "a:1")
		o, b := r.origin("o"), r.caller("b")
		b.shows(0, 1)
		r.refuse("a")
		r.each(b.lives)
		r.pass(2200 * time.Millisecond)
		if got := b.asked(); len(got) != 2 {
			t.Errorf("the holder was asked for %v", got)
		}
		r.pass(holderPatience)
		if got := o.asked(); len(got) != 2 {
			t.Errorf("the origin was asked for %v", got)
		}
	})
}
