package rollout

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/proving/fleet/fleettest"
)

// The same over HTTP, as with curl: a peer is off, the tracker is restarted, the peer comes
// back and fetches.
func TestRolloutOverHTTP(t *testing.T) {
	r := start(t, "--data-dir", filepath.Join(t.TempDir(), "tracker-data"))
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	origin := r.Origin("origin", []string{source})
	fleettest.Start(t, origin)
	peers := r.followers(8)
	if err := peers[7].Stop(); err != nil {
		t.Fatal(err)
	}
	r.put("a.bin")
	v := r.rollout("a.bin", complete(7))
	if v.Asked != 8 || v.Pending != 1 || v.OriginRatio < 1 {
		t.Errorf("%+v", v)
	}
	if err := r.tracker.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	// Those that have it are still known to, though one of them goes off now.
	if err := peers[6].Stop(); err != nil {
		t.Fatal(err)
	}
	after := r.rollout("a.bin", complete(7))
	if after.Id != v.Id || after.BytesFromOrigin != v.BytesFromOrigin || !(*after.Peers)[0].FinishedAt.Equal(*(*v.Peers)[0].FinishedAt) {
		t.Errorf("before the restart\n%+v\nafter\n%+v", v, after)
	}
	fleettest.Start(t, peers[7])
	r.rollout("a.bin", complete(8))
	r.same(source, peers...)

	// A peer that is new is asked, too, until the rollout ends.
	late := r.Peer("late", "--follow")
	fleettest.Start(t, late)
	r.rollout("a.bin", complete(9))
	r.same(source, late)
	if a, err := r.tracker.API().DeleteRolloutWithResponse(r.ctx, "a.bin"); err != nil || a.StatusCode() != http.StatusNoContent {
		t.Error(err, a.Status())
	}
	if a, err := r.tracker.API().GetRolloutWithResponse(r.ctx, "a.bin"); err != nil || a.StatusCode() != http.StatusNotFound {
		t.Error(err, a.Status())
	}
}

// A download that somebody cancels is not begun again by itself, not even after a restart,
// and is when it is asked for again.
func TestCancelledStaysCancelled(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 4*mib, 1)
	origin := r.Origin("origin", []string{source}, "--max-upload", "50kB")
	fleettest.Start(t, origin)
	peer := r.followers(1)[0]
	r.put("a.bin", "p1")
	r.rollout("a.bin", moving)
	list, err := peer.API().ListDownloadsWithResponse(r.ctx)
	if err != nil || len(list.JSON200.Downloads) != 1 {
		t.Fatal(err)
	}
	id := list.JSON200.Downloads[0].Id
	if err := peer.Delete(r.ctx, id); err != nil {
		t.Fatal(err)
	}
	cancelled := func(v *trackerapi.Rollout) bool { return (*v.Peers)[0].State == trackerapi.RolloutStateCancelled }
	r.rollout("a.bin", cancelled)
	if err := peer.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.rollout("a.bin", func(v *trackerapi.Rollout) bool { return cancelled(v) && (*v.Peers)[0].Online })
	if d, err := peer.Get(r.ctx, id); err != nil || d.State != peerapi.DownloadStateCancelled {
		t.Errorf("%+v %v", d, err)
	}
	r.put("a.bin", "p1")
	r.rollout("a.bin", moving)
	if _, err := os.Stat(peer.Path(".fanout/" + id + ".part")); err != nil {
		t.Error("not begun again:", err)
	}
}
