package table_test

import (
	"testing"
	"time"

	"fanout/tracker/table"
)

// What was sent is what the origins say, over restarts of everybody.
func TestOriginSent(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o1")
	sent := func(id, instance string, chunks int64) {
		t.Helper()
		o := w.origin(id)
		o.Instance, o.Counts, o.Sent = instance, true, chunks*32768
		_, err := w.Origins.Renew("a", o)
		w.ok(err)
	}
	check := func(what string, rollout, distribution float64) {
		t.Helper()
		v := w.rollout("a")
		if v.OriginRatio() != rollout {
			t.Errorf("%s: the rollout says %v, want %v", what, v.OriginRatio(), rollout)
		}
		if d := w.Distributions.List(); len(d) == 0 || d[0].EgressRatio() != distribution {
			t.Errorf("%s: %+v, want %v", what, d, distribution)
		}
	}
	var told []table.Distribution
	w.Distributions.OnFinished(func(d table.Distribution) { told = append(told, d) })
	w.follow(1)
	w.follow(2)
	sent("o1", "A", 3) // of the past
	sent("o2", "B", 0)
	w.put("a", table.RolloutRequest{})
	report := func(n int, state table.State, origin, peers int64) {
		w.t.Helper()
		w.answer("a", table.Report{
			ID: []string{"p1", "p2"}[n-1], Address: w.address(n), State: state, BytesFromOrigin: origin * 32768, BytesFromPeers: peers * 32768,
		})
	}
	report(1, table.Downloading, 0, 0)
	sent("o1", "A", 7)
	sent("o2", "B", 2)
	check("two origins", 6./8, 6./8)
	sent("o1", "C", 0) // it was restarted
	sent("o1", "C", 1)
	check("a restart of an origin", 7./8, 7./8)
	w.clock.advance(time.Second)
	report(1, table.Complete, 6, 2)
	if len(told) != 0 {
		t.Error("told before the origins have reported:", told)
	}
	sent("o1", "C", 8)
	sent("o2", "B", 4)
	check("the last reports", 2, 2)
	if len(told) != 1 || told[0].EgressRatio() != 2 {
		t.Errorf("told %+v", told)
	}
	if got := w.Distributions.Totals().OriginSent; got != 4*32768+4*32768+8*32768 {
		t.Error("in all:", got)
	}
	w.ok(w.Rollouts.Save())
	w.restart()
	sent("o1", "C", 8)
	sent("o2", "B", 4)
	if v := w.rollout("a"); v.OriginRatio() != 2 {
		t.Error("after a restart of the tracker:", v.OriginRatio())
	}
	// While reports are still to come, it is at least what was received.
	w.follow(2)
	report(2, table.Downloading, 0, 0)
	report(2, table.Downloading, 5, 0)
	if d := w.Distributions.List(); d[0].EgressRatio() != 5./8 {
		t.Errorf("%+v", d)
	}
}

// A distribution that begins right after another is not charged with what was sent for that.
func TestOriginSentInARow(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o1")
	sent := func(chunks int64) {
		o := w.origin("o1")
		o.Instance, o.Counts, o.Sent = "A", true, chunks*32768
		_, err := w.Origins.Renew("a", o)
		w.ok(err)
	}
	report := func(n int, state table.State, origin int64) {
		w.announce("a", table.Report{ID: []string{"p1", "p2"}[n-1], Address: w.address(n), State: state, BytesFromOrigin: origin * 32768})
	}
	sent(0)
	report(1, table.Downloading, 0)
	sent(2)
	w.clock.advance(time.Second)
	report(1, table.Complete, 8)
	report(2, table.Downloading, 0) // before the origin has told the rest
	sent(8)
	if d := w.Distributions.List(); len(d) != 2 || d[0].OriginSent != 0 || d[1].OriginSent != 8*32768 {
		t.Errorf("%+v", d)
	}
	sent(11)
	if d := w.Distributions.List(); d[0].OriginSent != 3*32768 || d[1].OriginSent != 8*32768 {
		t.Errorf("%+v", d)
	}
}

// A rollout says since when all origins have reported; one that stops is not waited for.
func TestOriginsReported(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 8, 1), "o1")
	w.publish(w.manifest("a", 8, 1), "o2")
	w.put("a", table.RolloutRequest{})
	began := w.clock.now
	w.clock.advance(time.Second)
	_, err := w.Origins.Renew("a", w.origin("o1"))
	w.ok(err)
	if v := w.rollout("a"); !v.OriginsReported.Equal(began) {
		t.Error(v.OriginsReported)
	}
	_, err = w.Origins.Leave("a", w.origin("o2"))
	w.ok(err)
	if v := w.rollout("a"); !v.OriginsReported.Equal(w.clock.now) {
		t.Error(v.OriginsReported)
	}
	_, err = w.Origins.Leave("a", w.origin("o1"))
	w.ok(err)
	if v := w.rollout("a"); !v.OriginsReported.IsZero() || len(w.file("a").Origins) != 0 {
		t.Error(v.OriginsReported)
	}
}
