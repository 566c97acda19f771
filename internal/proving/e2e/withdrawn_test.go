package e2e

import (
	"path/filepath"
	"testing"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet/fleettest"
)

// A withdrawn file cannot be downloaded any more. Those that are at it stop announcing,
// and finish with whom they know; the origin does not publish it again before it is restarted.
func TestWithdrawnFile(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", 16*mib, 1)
	data := filepath.Join(t.TempDir(), "tracker-data")
	r := start(t, plan{build: fleettest.Race, files: []string{source}, tracker: []string{"--lease", "1s", "--data-dir", data},
		peers: 3, shut: 0.3})
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers[:2]...)
	for _, d := range begun {
		r.await(d, 0.1)
	}
	withdrawn, err := r.tracker.API().DeleteFileWithResponse(r.ctx, "image.bin")
	r.must(err)
	if withdrawn.StatusCode() != 204 {
		t.Fatalf("withdraw: %s", withdrawn.Body)
	}
	r.underWay(begun...)

	gone := func() {
		t.Helper()
		r.call("POST", r.peers[2].URL()+"/v1/downloads", `{"file":"image.bin"}`).wants(t, 410, "file", "image.bin", "withdrawn", "restart its origin")
		r.call("GET", r.tracker.URL()+"/v1/files/image.bin", "").wants(t, 410, "", "image.bin", "withdrawn")
	}
	gone()
	r.valve.Open()
	r.complete(source, begun...)
	// In the seconds since, at three announces a second, each of the three daemons was told
	// once, and believed it.
	refused := func() int64 {
		return r.metric(r.tracker.Daemon, "fanout_http_request_duration_seconds", "handler", "/v1/files/{name}/announce", "code", "410")
	}
	r.eventually("the origin and both peers know", func() bool { return refused() >= 3 })
	if n := refused(); n != 3 {
		t.Errorf("%d announces of the withdrawn file were refused, want one of each of 3 daemons", n)
	}
	r.must(r.tracker.Restart(r.ctx))
	r.eventually("the peers are registered again", func() bool { return len(r.fleet()) == 3 })
	gone()
	r.must(r.origin.Restart(r.ctx))
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers[2])...)
}
