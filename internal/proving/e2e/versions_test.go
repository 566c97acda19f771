package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"fanout/internal/chunks/wire"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// version1 is the last commit whose daemons speak version 1 of the chunk protocol, and no other.
const version1 = "8024cb0f231d34e00b4f38aea039965f63e83cb6"

// A fleet is upgraded one machine after the other: daemons of both versions of the chunk protocol
// exchange files, whoever is the old one, and none takes another for a stranger who breaks rules.
func TestMixedVersions(t *testing.T) {
	t.Parallel()
	earlier := fleettest.Earlier(t, version1)
	source := fleettest.File(t, t.TempDir(), "image.bin", 3*mib, 1)
	for mix := range 8 {
		old := [3]bool{mix&4 != 0, mix&2 != 0, mix&1 != 0} // origin, peer, peer
		t.Run(fmt.Sprintf("%s-%s-%s", age(old[0]), age(old[1]), age(old[2])), func(t *testing.T) {
			t.Parallel()
			r := bare(t, fleettest.Race)
			r.tracker = r.Tracker()
			r.origin = r.Origin("origin", []string{source})
			if old[0] {
				r.origin.Use(earlier.Origin)
			}
			fleettest.Start(t, r.tracker, r.origin)
			for i, name := range []string{"a", "b"} {
				p := r.Peer(name)
				if old[i+1] {
					p.Use(earlier.Peerd)
				}
				fleettest.Start(t, p)
				r.peers = append(r.peers, p)
			}
			r.exchange(source)
		})
	}
}

func age(old bool) string {
	if old {
		return "old"
	}
	return "new"
}

// exchange has all peers download a file under every strategy, in which nobody breaks a rule.
func (r *rig) exchange(source string) {
	r.t.Helper()
	for _, s := range strategies {
		q := request(filepath.Base(source), s)
		q.Output = ptr(filepath.Join(string(s), filepath.Base(source)))
		begun := r.begin(q, r.peers...)
		r.complete(source, begun...)
		for _, d := range begun {
			r.must(d.peer.Delete(r.ctx, d.id)) // so that the next strategy starts anew
		}
	}
	for _, d := range []*fleet.Daemon{r.origin.Daemon, r.peers[0].Daemon, r.peers[1].Daemon} {
		for _, code := range []string{wire.CodeBadMessage, wire.CodeBadLength, wire.CodeUnasked, wire.CodeFlood, wire.CodeBanned} {
			if n := r.metric(d, "fanout_sessions_rejected_total", "code", code); n != 0 {
				r.t.Errorf("%s rejected %d sessions as %s", d.Name(), n, code)
			}
		}
	}
}
