package handout

import (
	"slices"
	"testing"
	"time"

	"fanout/internal/chunks/exchange"
)

// The first handouts wait until no more peers come, in the order in which they were asked for.
func TestGateWaitsForThoseWhoBeginTogether(t *testing.T) {
	tests := []struct {
		name  string
		every time.Duration // a peer comes
		peers int
		want  time.Duration // after the first
	}{
		{"one", 0, 1, settled},
		{"together", 0, 16, settled},
		{"one after the other", settled - time.Millisecond, 4, 3*(settled-time.Millisecond) + settled},
		{"no end", settled/2 + time.Millisecond, 100, patience},
		{"late", 2 * settled, 2, settled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g gate
			var passed []exchange.ID
			var first time.Duration
			began := time.Unix(1000, 0)
			pass := func(now time.Time, ids []exchange.ID) {
				if len(ids) > 0 && len(passed) == 0 {
					first = now.Sub(began)
				}
				passed = append(passed, ids...)
			}
			// until has the gate looked at when it says, up to a time.
			until := func(end time.Time) {
				for at, ok := g.opens(); ok && !at.After(end); at, ok = g.opens() {
					pass(at, g.look(at))
				}
			}
			for i := range tt.peers {
				now := began.Add(time.Duration(i) * tt.every)
				until(now)
				g.came(now, i == 0)
				pass(now, g.pass(exchange.ID(i)))
			}
			until(began.Add(time.Duration(tt.peers)*tt.every + time.Second))
			if first != tt.want {
				t.Errorf("opened after %v, want %v", first, tt.want)
			}
			if len(passed) != tt.peers || !slices.IsSorted(passed) {
				t.Errorf("passed: %v", passed)
			}
		})
	}
}

// Who joins a swarm that is under way is served at once, and so is everybody until it has been
// idle.
func TestGateIsOpenForLatecomers(t *testing.T) {
	var g gate
	now := time.Unix(1000, 0)
	g.came(now, true)
	now = now.Add(time.Second)
	g.look(now)
	for _, anew := range []bool{false, true} {
		g.came(now, anew)
		passed := len(g.pass(1)) == 1
		if passed == anew {
			t.Errorf("begins anew %v: passed at once %v", anew, passed)
		}
		now = now.Add(time.Second)
		if passed = passed || len(g.look(now)) == 1; !passed {
			t.Error("never passed")
		}
	}
}

// It opens when it says, and not before, however often it is looked at.
func TestGateOpensNotBeforeItSays(t *testing.T) {
	var g gate
	now := time.Unix(1000, 0)
	if _, shut := g.opens(); shut || g.look(now) != nil {
		t.Error("shut from the start")
	}
	g.came(now, true)
	g.pass(1)
	at, _ := g.opens()
	if at != now.Add(settled) || g.look(at.Add(-1)) != nil || len(g.look(at)) != 1 {
		t.Errorf("opens at %v, came at %v", at, now)
	}
	if _, shut := g.opens(); shut || g.look(at) != nil {
		t.Error("opened twice")
	}
}
