package table_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fanout/tracker/store"
	"fanout/tracker/table"
)

// A rollout through its life: one peer is fast, one fails, one is off and comes back.
func TestRollout(t *testing.T) {
	w := newWorld(t)
	m := w.manifest("a", 4, 1)
	w.publish(m, "o")
	for n := 1; n <= 3; n++ {
		w.follow(n)
	}
	w.register(4) // does not follow
	w.clock.advance(table.DefaultLease)
	for _, n := range []int{1, 2, 4} {
		w.register(n)
		w.follow(1)
		w.follow(2)
	}
	v, created, err := w.Rollouts.Put("a", table.RolloutRequest{})
	w.ok(err)
	if !created || !v.All || v.Strategy != table.Swarm || summary(v) != "p1 pending on, p2 pending on, p3 pending; 0+0+2+1" {
		t.Errorf("created %v, %s", created, summary(v))
	}
	if got := w.orders("p1"); got != "a" {
		t.Error("p1 should have", got)
	}
	w.clock.advance(time.Second)
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), Held: table.Bitmap{0xc0}, BytesFromOrigin: 32768, BytesFromPeers: 32768})
	if v := w.rollout("a"); summary(v) != "p1 downloading on, p2 pending on, p3 pending; 0+0+2+1" || v.BytesDone != 65536 || v.Duration != 0 {
		t.Errorf("%s, %+v", summary(v), v)
	}
	w.clock.advance(3 * time.Second)
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), State: table.Complete, EndedAgo: time.Second, BytesFromOrigin: 3 * 32768, BytesFromPeers: 32768})
	w.answer("a", table.Report{ID: "p2", Address: w.address(2), State: table.Failed, Error: "disk full"})
	v = w.rollout("a")
	if summary(v) != "p1 complete on, p2 failed on, p3 pending; 1+1+0+1" || v.Duration != 3*time.Second || v.OriginRatio() != 0.75 || v.Peers[1].Error != "disk full" {
		t.Errorf("%s, %+v", summary(v), v)
	}

	w.sweep() // stores the outcomes
	w.restart()
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), State: table.Paused, Held: table.Bitmap{0xf0}})
	v = w.rollout("a")
	if summary(v) != "p1 complete, p2 failed, p3 pending on; 1+1+1+0" || v.Duration != 3*time.Second || v.BytesFromOrigin != 3*32768 {
		t.Errorf("after the restart, and p1 stopping: %s, %+v", summary(v), v)
	}
	w.follow(3)
	if got := w.orders("p3"); got != "a" {
		t.Error("p3, back, should have", got)
	}
	w.answer("a", table.Report{ID: "p3", Address: w.address(3), State: table.Downloading})
	w.clock.advance(time.Second)
	w.answer("a", table.Report{ID: "p3", Address: w.address(3), State: table.Complete, BytesFromPeers: 4 * 32768})
	if v := w.rollout("a"); summary(v) != "p1 complete, p2 failed, p3 complete on; 2+1+0+0" {
		t.Error(summary(v))
	}
	w.follow(5)
	if v := w.rollout("a"); summary(v) != "p1 complete, p2 failed, p3 complete on, p5 pending on; 2+1+1+0" {
		t.Error("a new peer is asked, too:", summary(v))
	}
}

// Asked again, those that failed are asked again, and those that have the file have it.
func TestRolloutAgain(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.follow(2)
	w.put("a", table.RolloutRequest{})
	before, err := w.Rollouts.Orders("p1")
	w.ok(err)
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), State: table.Downloading})
	w.clock.advance(time.Second)
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), State: table.Complete, BytesFromOrigin: 4 * 32768})
	w.answer("a", table.Report{ID: "p2", Address: w.address(2), State: table.Failed, Error: "disk full"})
	w.clock.advance(time.Second)
	v, created, err := w.Rollouts.Put("a", table.RolloutRequest{Strategy: table.Direct})
	w.ok(err)
	if created || summary(v) != "p1 pending on, p2 pending on; 0+0+2+0" || v.BytesFromOrigin != 0 || v.Duration != 0 || v.BytesDone != 0 {
		t.Errorf("nobody has answered, but: created %v, %s, %+v", created, summary(v), v)
	}
	select {
	case <-before.Changed:
	default:
		t.Error("followers do not learn of it")
	}
	after, err := w.Rollouts.Orders("p1")
	w.ok(err)
	if after.Version == before.Version || after.List[0].ID == before.List[0].ID || after.List[0].Strategy != table.Direct {
		t.Errorf("%+v, before %+v", after, before)
	}
	// What is said of the first one, or of none, is not an answer to the second.
	for _, id := range []string{"", before.List[0].ID} {
		w.announce("a", table.Report{ID: "p2", Address: w.address(2), State: table.Failed, Error: "disk full", Rollout: id})
		w.announce("a", table.Report{ID: "p1", Address: w.address(1), State: table.Complete, EndedAgo: time.Second, BytesFromOrigin: 4 * 32768, Rollout: id})
	}
	if v := w.rollout("a"); summary(v) != "p1 pending on, p2 pending on; 0+0+2+0" {
		t.Errorf("%s, %+v", summary(v), v)
	}
	w.clock.advance(time.Second)
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), State: table.Complete, EndedAgo: 2 * time.Second, BytesFromOrigin: 4 * 32768})
	v = w.rollout("a")
	if p := v.Peers[0]; summary(v) != "p1 complete on, p2 pending on; 1+0+1+0" || v.BytesFromOrigin != 0 || v.Duration != 0 || !p.FinishedAt.Equal(p.BeganAt) || p.Bytes != 4*32768 {
		t.Errorf("p1 had it, but: %s, %+v", summary(v), v)
	}
}

// A peer that had the file loses it, says so, and fetches it again later: that is what its line
// tells, the time and the bytes of the work.
func TestRolloutOfALostFile(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.put("a", table.RolloutRequest{})
	peer := func(state table.State, origin, peers int64, ended time.Duration, why string) table.RolloutPeer {
		t.Helper()
		w.follow(1)
		w.answer("a", table.Report{
			ID: "p1", Address: w.address(1), State: state, Held: table.Bitmap{0xf0}, BytesFromOrigin: origin, BytesFromPeers: peers, EndedAgo: ended, Error: why,
		})
		return w.rollout("a").Peers[0]
	}
	peer(table.Downloading, 0, 0, 0, "")
	w.clock.advance(2 * time.Second)
	first := peer(table.Complete, 4*32768, 0, 0, "")
	w.clock.advance(30 * time.Minute)
	p := peer(table.Failed, 4*32768, 0, time.Minute, "a was removed")
	if v := w.rollout("a"); v.Failed != 1 || v.Complete != 0 || p.Error != "a was removed" || p.FinishedAt.Sub(first.FinishedAt) != 29*time.Minute {
		t.Errorf("%s, %+v", summary(v), p)
	}
	if p := peer(table.Downloading, 4*32768, 0, 0, ""); p.State != table.Downloading || p.FromOrigin != 0 || !p.FinishedAt.IsZero() {
		t.Errorf("it fetches what is missing: %+v", p)
	}
	w.clock.advance(9 * time.Second)
	p = peer(table.Complete, 4*32768, 32768, time.Second, "")
	if took := p.FinishedAt.Sub(p.BeganAt); took != 8*time.Second || p.FromOrigin != 0 || p.FromPeers != 32768 || p.State != table.Complete {
		t.Errorf("%s, %+v", took, p)
	}
	if v := w.rollout("a"); v.Duration != 2*time.Second {
		t.Error("the rollout took", v.Duration)
	}
	// The same, begun from nothing.
	w.clock.advance(time.Hour)
	peer(table.Downloading, 0, 0, 0, "")
	w.clock.advance(time.Second)
	if p := peer(table.Complete, 3*32768, 32768, 3*time.Hour, ""); p.FromOrigin != 3*32768 || p.FromPeers != 32768 || p.FinishedAt.Before(p.BeganAt) {
		t.Errorf("with a clock that was set: %+v", p)
	}
}

// What a tracker of before has stored is understood.
func TestStoredBefore(t *testing.T) {
	w := newWorld(t)
	m := w.manifest("a", 4, 1)
	w.publish(m, "o")
	began := w.clock.now
	w.ok(w.store.SetRollout(store.Rollout{
		ID: "1", Manifest: m.ID(), Name: "a", All: true, Strategy: "swarm", StartedAt: began,
		Outcomes: map[string]store.Outcome{"p1": {State: "complete", AskedAt: began, FinishedAt: began.Add(time.Second), Chunks: 4, Bytes: m.Size, FromOrigin: m.Size}},
	}))
	w.restart()
	v := w.rollout("a")
	if summary(v) != "p1 complete; 1+0+0+0" || v.Duration != time.Second || v.OriginRatio() != 1 {
		t.Errorf("%s, %+v", summary(v), v)
	}
	w.follow(2)
	w.answer("a", table.Report{ID: "p2", Address: w.address(2), State: table.Complete})
	if v := w.rollout("a"); v.Complete != 2 {
		t.Errorf("%s", summary(v))
	}
}

// What a download had received when the second rollout found it under way is not of the second.
func TestRolloutOfADownloadUnderWay(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.put("a", table.RolloutRequest{})
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), BytesFromOrigin: 2 * 32768})
	w.put("a", table.RolloutRequest{})
	w.clock.advance(time.Second)
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), State: table.Complete, BytesFromOrigin: 3 * 32768, BytesFromPeers: 32768})
	if v := w.rollout("a"); v.BytesFromOrigin != 32768 || v.BytesFromPeers != 32768 || v.Duration != time.Second {
		t.Errorf("%+v", v)
	}
}

// Whose rollout was ended is told so when nobody can serve what it lacks, and not before.
func TestAbandoned(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.put("a", table.RolloutRequest{Peers: []string{"p1"}})
	first := w.rollout("a").ID
	abandoned := func(state table.State) bool {
		return w.announce("a", table.Report{ID: "p1", Address: w.address(1), State: state, Held: table.Bitmap{0xc0}, Rollout: first}).Abandoned
	}
	leave := func() {
		_, err := w.Origins.Leave("a", w.origin("o"))
		w.ok(err)
	}
	leave()
	if abandoned(table.Downloading) {
		t.Error("though the rollout is there")
	}
	w.ok(w.Rollouts.End("a"))
	if abandoned(table.Downloading) {
		t.Error("though the origin may be restarted")
	}
	w.clock.advance(w.Lease())
	if !abandoned(table.Downloading) || !abandoned(table.Queued) || abandoned(table.Failed) {
		t.Error("not when nobody is left")
	}
	if w.announce("a", table.Report{ID: "p3", Address: w.address(3), Held: table.Bitmap{0xc0}, Rollout: "unknown"}).Abandoned {
		t.Error("though nobody here has ended it")
	}
	w.publish(w.manifest("a", 4, 1), "o")
	if abandoned(table.Downloading) {
		t.Error("though an origin is there")
	}
	leave()
	w.clock.advance(w.Lease())
	w.announce("a", table.Report{ID: "p2", Address: w.address(2), Held: table.Bitmap{0x30}})
	if abandoned(table.Downloading) {
		t.Error("though the peers have it together")
	}
	w.announce("a", table.Report{ID: "p2", Address: w.address(2), State: table.Cancelled})
	w.put("a", table.RolloutRequest{})
	if abandoned(table.Downloading) {
		t.Error("though another rollout asks for it")
	}
	w.follow(2)
	w.put("a", table.RolloutRequest{Peers: []string{"p2"}})
	if !abandoned(table.Downloading) {
		t.Error("not when another rollout asks others")
	}
	// A tracker that is started again knows who asks whom, but not yet who is there.
	w.restart()
	if abandoned(table.Downloading) {
		t.Error("though who can serve may not have been heard of yet")
	}
	w.clock.advance(2 * w.Lease())
	if !abandoned(table.Downloading) {
		t.Error("not after a restart")
	}
}

// A rollout stays with the content that the name stood for.
func TestRolloutIsOfOneManifest(t *testing.T) {
	w := newWorld(t)
	first, second := w.manifest("a", 4, 1), w.manifest("a", 4, 2)
	w.publish(first, "o")
	w.follow(1)
	w.put("a", table.RolloutRequest{})
	w.publish(second, "o")
	if v := w.rollout("a"); v.Manifest != first.ID() {
		t.Error("the rollout has become one of", v.Manifest)
	}
	if _, err := w.Rollouts.Get(second.ID().String()); !errors.Is(err, table.ErrUnknown) || !strings.Contains(err.Error(), first.ID().String()) {
		t.Error(err)
	}
	for range 300 { // more than an hour
		w.clock.advance(14 * time.Second)
		w.follow(1)
		w.sweep()
	}
	if v := w.rollout(first.ID().String()); v.Manifest != first.ID() || w.orders("p1") != "a" {
		t.Error("the superseded content is gone though it is rolled out")
	}
	w.put("a", table.RolloutRequest{})
	if v := w.rollout("a"); v.Manifest != second.ID() || w.orders("p1") != "a" {
		t.Error("a second rollout does not replace the first:", v.Manifest)
	}
	if v, created, err := w.Rollouts.Put(first.ID().String(), table.RolloutRequest{}); err != nil || created || v.Manifest != first.ID() {
		t.Error("no way back to the first content:", v.Manifest, err)
	}
	w.ok(w.Origins.Withdraw(first.ID().String()))
	if got := w.orders("p1"); got != "" {
		t.Error("after the withdrawal, p1 should have", got)
	}
}

func TestRolloutEnds(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.put("a", table.RolloutRequest{Peers: []string{"p1", "p1"}})
	w.follow(2)
	if w.orders("p1") != "a" || w.orders("p2") != "" {
		t.Errorf("p1 should have %q, p2 %q", w.orders("p1"), w.orders("p2"))
	}
	w.ok(w.Rollouts.End("a"))
	if w.orders("p1") != "" || len(w.Rollouts.List()) != 0 {
		t.Error("p1 should still have", w.orders("p1"))
	}
	if err := w.Rollouts.End("a"); !errors.Is(err, table.ErrUnknown) || err.Error() != `there is no rollout of "a"; begin one with PUT /v1/files/a/rollout` {
		t.Error(err)
	}
	w.restart()
	if len(w.Rollouts.List()) != 0 {
		t.Error("it is back after a restart")
	}
}

func TestRolloutRefuses(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.register(2)
	for _, c := range []struct {
		what, name string
		peers      []string
		kind       error
		want       string
	}{
		{"a file that is not there", "b", nil, table.ErrUnknown, `no file named "b" is published; published are: a`},
		{"a peer that was never here", "a", []string{"p1", "p9"}, table.ErrInvalid, "peer p9 has never been registered here; GET /v1/peers lists the peers"},
		{"several", "a", []string{"q1", "q2", "q3", "q4", "q5", "q6", "q7"}, table.ErrInvalid, "peers q1, q2, q3, q4, q5 and 2 more have never been registered here; GET /v1/peers lists the peers"},
		{"a peer that does not follow", "a", []string{"p1", "p2"}, table.ErrNotFollowing, "peer p2 does not follow rollouts; start it with peerd --follow"},
	} {
		_, _, err := w.Rollouts.Put(c.name, table.RolloutRequest{Peers: c.peers})
		if !errors.Is(err, c.kind) || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.what, err, c.want)
		}
	}
	if len(w.Rollouts.List()) != 0 {
		t.Error("a refused rollout is there")
	}
	for peer, want := range map[string]error{"p2": table.ErrNotFollowing, "p9": table.ErrUnknown} {
		if _, err := w.Rollouts.Orders(peer); !errors.Is(err, want) {
			t.Errorf("orders for %s: %v", peer, err)
		}
	}
}

// A peer that is off is asked for as long as there is hope.
func TestFollowersAreRemembered(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.follow(2)
	w.follow(3)
	w.ok(w.Swarms.Unregister("p1", ""))
	w.restart()
	w.clock.advance(w.Lease())
	w.put("a", table.RolloutRequest{})
	if v := w.rollout("a"); summary(v) != "p1 pending, p2 pending, p3 pending; 0+0+0+3" {
		t.Error(summary(v))
	}
	w.register(2)
	if v := w.rollout("a"); summary(v) != "p1 pending, p3 pending; 0+0+0+2" {
		t.Error("p2 follows no more, but:", summary(v))
	}
	w.ok(w.Swarms.Forget("p3"))
	if err := w.Swarms.Forget("p3"); !errors.Is(err, table.ErrUnknown) {
		t.Error(err)
	}
	w.clock.advance(25 * time.Hour)
	if v := w.rollout("a"); summary(v) != "; 0+0+0+0" {
		t.Error("after a day:", summary(v))
	}
	if got := w.orders("p1"); got != "a" {
		t.Error("p1, back after a day, should have", got)
	}
	w.put("a", table.RolloutRequest{Peers: []string{"p1"}})
	if v := w.rollout("a"); summary(v) != "p1 pending; 0+0+0+1" {
		t.Error(summary(v))
	}
	w.ok(w.Swarms.Forget("p1"))
	w.restart()
	if v := w.rollout("a"); v.All || summary(v) != "; 0+0+0+0" {
		t.Error("a list without p1 has become:", v.All, summary(v))
	}
	w.follow(4)
	w.clock.advance(31 * 24 * time.Hour)
	w.sweep()
	if _, err := w.Rollouts.Orders("p4"); !errors.Is(err, table.ErrUnknown) {
		t.Error("remembered for ever:", err)
	}
}

// A tracker that was just started does not call a peer off that it may only not have heard of.
func TestAwaited(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.clock.advance(2 * time.Hour)
	w.follow(2)
	w.follow(3)
	w.put("a", table.RolloutRequest{})
	w.answer("a", table.Report{ID: "p2", Address: w.address(2), State: table.Downloading, Held: table.Bitmap{0x80}})
	w.sweep()
	w.restart()
	if v := w.rollout("a"); summary(v) != "p1 pending, p2 pending on, p3 pending on; 0+0+2+1" || w.Fleet.Awaited() != 2 {
		t.Error(summary(v), w.Fleet.Awaited())
	}
	w.clock.advance(time.Second)
	w.follow(3)
	w.ok(w.Swarms.Unregister("p3", ""))
	if v := w.rollout("a"); summary(v) != "p1 pending, p2 pending on, p3 pending; 0+0+1+2" || w.Fleet.Awaited() != 1 {
		t.Error("p3 has left, but:", summary(v), w.Fleet.Awaited())
	}
	w.clock.advance(w.Lease())
	if v := w.rollout("a"); summary(v) != "p1 pending, p2 pending, p3 pending; 0+0+0+3" || w.Fleet.Awaited() != 0 {
		t.Error("after a lease:", summary(v), w.Fleet.Awaited())
	}
}

// A machine that has got another peer ID is one machine.
func TestFollowerUnderAnotherID(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.ok(w.Fleet.Register(table.Peer{ID: "new", Address: w.address(1), Follow: true}))
	w.put("a", table.RolloutRequest{})
	if v := w.rollout("a"); summary(v) != "new pending on; 0+0+1+0" {
		t.Error(summary(v))
	}
}

// A peer that stops following is not waited for.
func TestRolloutToOneThatStopsFollowing(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	w.follow(1)
	w.put("a", table.RolloutRequest{Peers: []string{"p1"}})
	w.register(1)
	v := w.rollout("a")
	if summary(v) != "p1 pending; 0+0+0+1" || v.Peers[0].Error != "peer p1 does not follow rollouts; start it with peerd --follow" {
		t.Errorf("%s, %+v", summary(v), v.Peers)
	}
}

func (w *world) follow(n int) {
	w.t.Helper()
	w.ok(w.Fleet.Register(table.Peer{ID: fmt.Sprint("p", n), Address: w.address(n), Follow: true}))
}

// answer is announce for the rollout that there is.
func (w *world) answer(name string, r table.Report) {
	w.t.Helper()
	r.Rollout = w.rollout(name).ID
	w.announce(name, r)
}

func (w *world) put(name string, q table.RolloutRequest) {
	w.t.Helper()
	_, _, err := w.Rollouts.Put(name, q)
	w.ok(err)
}

func (w *world) rollout(name string) table.RolloutView {
	w.t.Helper()
	v, err := w.Rollouts.Get(name)
	w.ok(err)
	return v
}

func (w *world) orders(peer string) string {
	w.t.Helper()
	orders, err := w.Rollouts.Orders(peer)
	w.ok(err)
	var names []string
	for _, o := range orders.List {
		names = append(names, o.Name)
	}
	return strings.Join(names, " ")
}

// summary is the peers with their states, and the counts of complete, failed, running, pending.
func summary(v table.RolloutView) string {
	var peers []string
	for _, p := range v.Peers {
		s := p.ID + " " + string(p.State)
		if p.Online {
			s += " on"
		}
		peers = append(peers, s)
	}
	return fmt.Sprintf("%s; %d+%d+%d+%d", strings.Join(peers, ", "), v.Complete, v.Failed, v.Running, v.Pending)
}

// Lists are in the order that people expect.
func TestNaturalOrder(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"f10", "f2", "f1"} {
		w.publish(w.manifest(name, 4, byte(i+1)), "o")
		w.put(name, table.RolloutRequest{})
	}
	for _, n := range []int{10, 9, 1} {
		w.follow(n)
	}
	var files, rollouts []string
	for _, f := range w.Files.List() {
		files = append(files, f.Name)
	}
	for _, r := range w.Rollouts.List() {
		rollouts = append(rollouts, r.Name)
	}
	_, err := w.Rollouts.Get("x")
	got := fmt.Sprint(files, rollouts, w.orders("p1"), summary(w.rollout("f1")), err)
	want := `[f1 f2 f10] [f1 f2 f10]f1 f2 f10p1 pending on, p9 pending on, p10 pending on; 0+0+3+0no file named "x" is published; published are: f1, f2, f10`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
