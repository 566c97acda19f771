package network

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fanout/internal/proving/faultline"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/patience"
)

// A delay that changes from piece to piece.
func TestDelay(t *testing.T) {
	each(t, func(r *rig) {
		both(r.beforeOrigin, faultline.Faults{Delay: 20 * time.Millisecond, Jitter: 20 * time.Millisecond, Rate: 4 * mib})
		both(r.beforeMember, faultline.Faults{Delay: 50 * time.Millisecond, Jitter: 50 * time.Millisecond})
		r.begin()
		r.complete(0)
		r.used()
	})
}

// The origin has a slow uplink, and the member one that is slower still.
func TestRate(t *testing.T) {
	each(t, func(r *rig) {
		r.beforeOrigin.Set(faultline.FromTarget, faultline.Faults{Rate: 4 * mib})
		r.beforeMember.Set(faultline.FromTarget, faultline.Faults{Rate: 2 * mib})
		r.begin()
		r.complete(0)
		r.used()
	})
}

// A member falls silent in the middle, and keeps its connections: the others do without it.
func TestStall(t *testing.T) {
	each(t, func(r *rig) {
		r.slowly()
		r.begin()
		r.underWay()
		both(r.beforeMember, faultline.Faults{Stall: true})
		r.underWay()
		passed := r.beforeMember.Bytes(faultline.FromTarget)
		r.complete(1)
		if now := r.beforeMember.Bytes(faultline.FromTarget); now > passed {
			r.t.Errorf("%d bytes came from the member, %d of them before it stalled", now, passed)
		}
		r.complete(0) // the member can reach the others
	})
}

// Whoever sends ends the connection in order, in the middle of a chunk and of what was promised,
// and does not see that it has.
func TestHalfClose(t *testing.T) {
	each(t, func(r *rig) {
		r.beforeOrigin.Set(faultline.FromTarget, faultline.Faults{HalfCloseAfter: mib, Rate: 4 * mib})
		r.beforeMember.Set(faultline.FromTarget, faultline.Faults{HalfCloseAfter: 300 * kib})
		r.begin()
		r.complete(0)
		r.used()
		r.again(r.beforeOrigin)
	})
}

// Connections are reset in the middle of a chunk, again and again, and once all of them.
func TestReset(t *testing.T) {
	each(t, func(r *rig) {
		r.beforeOrigin.Set(faultline.FromTarget, faultline.Faults{ResetAfter: mib, Rate: 4 * mib})
		r.beforeMember.Set(faultline.FromTarget, faultline.Faults{ResetAfter: 300 * kib})
		r.begin()
		r.underWay()
		r.beforeOrigin.Reset()
		r.beforeMember.Reset()
		r.complete(0)
		r.used()
		r.again(r.beforeOrigin)
	})
}

// Bytes arrive wrong, from the origin for a while and from the member for good. What is wrong is
// found out, counted, and fetched again from elsewhere.
func TestCorruption(t *testing.T) {
	each(t, func(r *rig) {
		r.beforeOrigin.Set(faultline.FromTarget, faultline.Faults{CorruptEvery: 256 * kib, Rate: 4 * mib})
		r.beforeMember.Set(faultline.FromTarget, faultline.Faults{CorruptEvery: 8 * kib}) // in every chunk
		r.begin()
		for _, p := range r.peers {
			patience.Await(r.t, "a wrong chunk at "+p.Name(), func() bool { return r.wrong(p) > 0 })
		}
		r.beforeOrigin.Set(faultline.FromTarget, faultline.Faults{})
		r.complete(0)
		if !slices.ContainsFunc(r.peers[1:], rejectedMember) {
			r.t.Error("nobody has rejected a chunk of the member")
		}
	})
}

// again fails the test unless every peer has dialled a line more than once.
func (r *rig) again(l *faultline.Line) {
	r.t.Helper()
	if n := l.Connections(); n <= peers {
		r.t.Errorf("%d connections for %d peers: none was broken", n, peers)
	}
}

func rejectedMember(p *fleet.Peer) bool {
	for line := range strings.Lines(p.Log()) {
		if strings.Contains(line, `"peer":"peer-1"`) && strings.Contains(line, "chunk rejected") {
			return true
		}
	}
	return false
}
