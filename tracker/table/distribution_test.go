package table_test

import (
	"fmt"
	"testing"
	"time"

	"fanout/tracker/table"
)

// A distribution through its life: the first start, more peers, one that fails, one that is
// lost, one that pauses; it ends with the last of them.
func TestDistribution(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o")
	if got := w.Distributions.List(); len(got) != 0 {
		t.Error(got)
	}
	var told []table.Distribution
	w.Distributions.OnFinished(func(d table.Distribution) { told = append(told, d) })
	w.report(1, table.Downloading, 0, 0)
	w.clock.advance(2 * time.Second)
	for n := range 3 {
		w.report(n+2, table.Downloading, 0, 0)
	}
	w.clock.advance(2 * time.Second)
	w.report(1, table.Complete, 6, 2)
	w.report(2, table.Failed, 1, 1)
	w.report(3, table.Paused, 1, 1)
	if got := w.distributions(); got != "a running: 4 peers, 1 complete, 1 failed, 1 left, 4s, origin 8 peers 4 chunks" {
		t.Error(got)
	}
	w.clock.advance(15 * time.Second) // the fourth is not heard of again
	w.sweep()
	if got := w.distributions(); got != "a ended: 4 peers, 1 complete, 2 failed, 1 left, 4s, origin 8 peers 4 chunks" {
		t.Error(got)
	}
	if len(told) != 1 || told[0].EgressRatio() != 1 || told[0].Strategy() != table.Swarm {
		t.Errorf("%+v", told)
	}
	if got := w.Distributions.PeerCounts()[table.Lost]; got != 1 {
		t.Error(got, "lost")
	}
	w.report(1, table.Complete, 6, 2)
	if got := len(w.Distributions.List()); got != 1 {
		t.Error("one that serves began a distribution")
	}
	// The paused one goes on: what it had before does not count again.
	w.report(3, table.Downloading, 1, 1)
	w.clock.advance(time.Second)
	w.report(3, table.Complete, 2, 6)
	if got := w.distributions(); got != "a ended: 1 peers, 1 complete, 0 failed, 0 left, 1s, origin 1 peers 5 chunks"+
		"; a ended: 4 peers, 1 complete, 2 failed, 1 left, 4s, origin 8 peers 4 chunks" {
		t.Error(got)
	}
	if got := w.Distributions.Totals(); got.BytesFromOrigin != 9*32768 || got.BytesFromPeers != 9*32768 {
		t.Errorf("%+v", got)
	}
}

// A peer that is unregistered, comes back under another ID or loses its file ends, too.
func TestDistributionEndsWithItsPeers(t *testing.T) {
	for what, end := range map[string]func(*world){
		"unregistered":            func(w *world) { w.ok(w.Swarms.Unregister("p1", "")) },
		"withdrawn":               func(w *world) { w.ok(w.Origins.Withdraw("a")) },
		"cancelled":               func(w *world) { w.report(1, table.Cancelled, 0, 0) },
		"under another ID":        func(w *world) { w.announce("a", table.Report{ID: "new", Address: w.address(1), State: table.Complete}) },
		"stopped when it had all": func(w *world) { w.report(1, table.Paused, 8, 0) },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.publish(w.manifest("a", 8, 1), "o")
			w.report(1, table.Downloading, 0, 0)
			end(w)
			if d := w.Distributions.List(); len(d) != 1 || d[0].Running() {
				t.Errorf("%+v", d)
			}
		})
	}
}

// After a restart of the tracker a distribution goes on, and it is known that its beginning
// was missed.
func TestDistributionAfterRestart(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o")
	w.report(1, table.Downloading, 0, 0)
	w.restart()
	w.report(1, table.Downloading, 3, 2)
	w.clock.advance(time.Second)
	w.report(1, table.Complete, 5, 3)
	d := w.Distributions.List()
	if len(d) != 1 || !d[0].Partial || d[0].BytesFromOrigin != 5*32768 || d[0].Running() {
		t.Errorf("%+v", d)
	}
}

func TestDistributionsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o")
	for range 2 * table.MaxDistributions {
		w.report(1, table.Downloading, 0, 0)
		w.clock.advance(time.Second)
		w.report(1, table.Complete, 8, 0)
	}
	if got := len(w.Distributions.List()); got != table.MaxDistributions {
		t.Error(got)
	}
}

// Rates are what came between two reports; over time they add up to what came.
func TestRates(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o")
	w.report(1, table.Downloading, 0, 0)
	w.clock.advance(4 * time.Second)
	w.report(1, table.Downloading, 2, 2)
	rate := func() float64 { return w.Overview().Swarms[0].Members[0].Rate }
	if rate() != 32768 {
		t.Error(rate())
	}
	w.clock.advance(100 * time.Millisecond)
	w.report(1, table.Downloading, 2, 3) // too soon to tell
	if rate() != 32768 {
		t.Error(rate())
	}
	w.clock.advance(900 * time.Millisecond)
	w.report(1, table.Downloading, 2, 4)
	if rate() != 2*32768 {
		t.Error(rate())
	}
	w.clock.advance(12 * time.Second)
	if rate() != 0 {
		t.Error("silent, but", rate())
	}
	w.clock.advance(time.Second)
	sum := 0.0
	for _, r := range w.Overview().Rates {
		sum += r
	}
	if sum < 6*32768-1 || sum > 6*32768+1 {
		t.Errorf("%v bytes in %v", sum, w.Overview().Rates)
	}
	w.clock.advance(time.Hour)
	for _, r := range w.Overview().Rates {
		if r != 0 {
			t.Fatal("an hour later:", w.Overview().Rates)
		}
	}
}

// The overview has the peers that are listed and those that were lost, and says so.
func TestOverview(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("b", 8, 1), "o")
	w.publish(w.manifest("a", 8, 2), "o")
	w.announce("b", table.Report{ID: "p1", Address: w.address(1), Held: table.Bitmap{0x81}, Owned: table.Bitmap{0x01}})
	w.announce("b", table.Report{ID: "p2", Address: w.address(2)})
	o := w.Overview()
	if len(o.Swarms) != 2 || o.Swarms[0].Name != "b" || o.Swarms[1].Distribution != nil {
		t.Fatalf("%+v", o.Swarms)
	}
	p := o.Swarms[0].Members[0]
	if p.ID != "p1" || p.ChunksHeld != 2 || p.BytesHeld != 2*32768 || !p.Listed || !p.Owned.Has(7) || p.Owned.Has(0) {
		t.Errorf("%+v", p)
	}
	w.clock.advance(10 * time.Second)
	w.announce("b", table.Report{ID: "p2", Address: w.address(2)})
	w.clock.advance(10 * time.Second)
	o = w.Overview()
	gone := o.Swarms[0].Members[0]
	if gone.State != table.Lost || gone.Listed || gone.ChunksHeld != 2 || gone.Version == p.Version {
		t.Errorf("%+v", gone)
	}
	w.announce("b", table.Report{ID: "p2", Address: w.address(2), State: table.Complete})
	for range 100 {
		w.clock.advance(10 * time.Second)
		w.announce("b", table.Report{ID: "p2", Address: w.address(2), State: table.Complete})
	}
	if got := w.Overview().Swarms[1].Members; len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// A peer that is restarted has forgotten what it brought from the origin; the tracker has not.
func TestOwnedSurvivesARestartOfThePeer(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o")
	report := func(held, owned byte) string {
		w.announce("a", table.Report{ID: "p", Address: w.address(1), Held: table.Bitmap{held}, Owned: table.Bitmap{owned}})
		return fmt.Sprintf("%08b", w.Overview().Swarms[0].Members[0].Owned[0])
	}
	for _, step := range []struct {
		held, owned byte
		want        string
	}{
		{0b11110000, 0b11000000, "11000000"},
		{0b11110000, 0, "11000000"},          // restarted
		{0b11111100, 0b00000100, "11000100"}, // and going on
		{0, 0, "00000000"},                   // begun anew
		{0b11110000, 0b00010000, "00010000"},
	} {
		if got := report(step.held, step.owned); got != step.want {
			t.Errorf("%08b %08b: %s, want %s", step.held, step.owned, got, step.want)
		}
	}
}

// report announces the nth peer with so many chunks from each source.
func (w *world) report(n int, s table.State, origin, peers int64) {
	w.t.Helper()
	held := make(table.Bitmap, 1)
	for c := range origin + peers {
		held[0] |= 0x80 >> c
	}
	w.announce("a", table.Report{
		ID: fmt.Sprint("p", n), Address: w.address(n), State: s, Held: held,
		BytesFromOrigin: origin * 32768, BytesFromPeers: peers * 32768,
	})
}

func (w *world) distributions() (s string) {
	for i, d := range w.Distributions.List() {
		if i > 0 {
			s += "; "
		}
		state := "ended"
		if d.Running() {
			state = "running"
		}
		s += fmt.Sprintf("%s %s: %d peers, %d complete, %d failed, %d left, %v, origin %d peers %d chunks", d.Name, state,
			d.Peers, d.Complete, d.Failed, d.Left, d.Duration, d.BytesFromOrigin/32768, d.BytesFromPeers/32768)
	}
	return s
}
