package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
			synctest.Test(t, func(t *testing.T) {
				var g gate
				var mu sync.Mutex // what waited is passed by another goroutine
				var passed []int
				var first time.Duration
				began := time.Now()
				for i := range tt.peers {
					if i > 0 {
						time.Sleep(tt.every)
					}
					g.came(i == 0)
					g.pass(func() {
						mu.Lock()
						defer mu.Unlock()
						if passed = append(passed, i); i == 0 {
							first = time.Since(began)
						}
					})
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if first != tt.want {
					t.Errorf("opened after %v, want %v", first, tt.want)
				}
				if len(passed) != tt.peers || !slices.IsSorted(passed) {
					t.Errorf("passed: %v", passed)
				}
			})
		})
	}
}

// Who joins a swarm that is under way is served at once, and so is everybody until it has been
// idle.
func TestGateIsOpenForLatecomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.came(true)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, anew := range []bool{false, true} {
			var passed atomic.Bool
			g.came(anew)
			g.pass(func() { passed.Store(true) })
			if passed.Load() == anew {
				t.Errorf("begins anew %v: passed at once %v", anew, passed.Load())
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if !passed.Load() {
				t.Error("never passed")
			}
		}
	})
}
