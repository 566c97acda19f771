package e2e

import (
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

const (
	sharedSize = 32 * mib
	sharedRate = "8MB" // of each origin: together they need two seconds
)

// startTwoOrigins starts four peers and two origins of a file that are slower than they.
func startTwoOrigins(t *testing.T) (r *rig, source string, second *fleet.Origin) {
	t.Helper()
	source = fleettest.File(t, t.TempDir(), "image.bin", sharedSize, 1)
	limit := []string{"--max-upload", sharedRate}
	r = start(t, plan{files: []string{source}, origin: limit, peers: 4})
	second = r.Origin("second", []string{source}, limit...)
	fleettest.Start(t, second)
	return r, source, second
}

// Two origins of a file send about half of it each, and hardly a chunk twice.
func TestTwoOriginsShare(t *testing.T) {
	r, source, second := startTwoOrigins(t)
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)...)
	a, b := r.sent(r.origin.Daemon), r.sent(second.Daemon)
	t.Logf("the origins sent %.3f and %.3f of the size", float64(a)/float64(sharedSize), float64(b)/float64(sharedSize))
	if sum := a + b; sum < sharedSize || sum > sharedSize*11/10 {
		t.Errorf("the origins sent %d bytes of a file of %d, want at most 1.1 of it", sum, sharedSize)
	}
	if min(a, b) < sharedSize/4 {
		t.Errorf("one sent %d bytes, the other %d", a, b)
	}
}

// Of two origins one is killed in the middle: the other brings what that one had not brought.
func TestOneOfTwoOriginsIsKilled(t *testing.T) {
	t.Parallel()
	r, source, second := startTwoOrigins(t)
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	r.await(begun[0], 1.0/3)
	before := time.Now()
	r.must(second.Kill())
	r.underWay(begun...)
	r.complete(source, begun...)
	t.Logf("complete %v after the end of one", time.Since(before))
	if sent := r.sent(r.origin.Daemon); sent > sharedSize {
		t.Errorf("the origin that was left sent %d bytes of a file of %d", sent, sharedSize)
	}
}
