package bound_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fanout/internal/proving/bound"
)

const mb = 1_000_000

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		what              string
		up                float64
		peers             []bound.Link
		direct, anyAtBest time.Duration // for 100 MB
	}{
		{"nobody", 10 * mb, nil, 0, 10 * time.Second},
		{"one peer: both are one transfer", 10 * mb, bound.Equal(1, bound.Link{Up: 10 * mb, Down: 10 * mb}), 10 * time.Second, 10 * time.Second},
		{"eight equal peers: eight transfers, or one", 10 * mb, bound.Equal(8, bound.Link{Up: 10 * mb, Down: 10 * mb}), 80 * time.Second, 10 * time.Second},
		{"slow uplinks: N·F/(u_s+Σu_i) counts", 10 * mb, bound.Equal(9, bound.Link{Up: 5 * mb, Down: 100 * mb}), 90 * time.Second, 900 * time.Second / 55},
		{"peers that send nothing do not help", 10 * mb, bound.Equal(4, bound.Link{Up: 1e-9, Down: 100 * mb}), 40 * time.Second, 40 * time.Second},
		{"the slowest downlink counts", 100 * mb, []bound.Link{{Up: 100 * mb, Down: 100 * mb}, {Up: 100 * mb, Down: mb}}, 100 * time.Second, 100 * time.Second},
		{"a fast source: a downlink counts", 1000 * mb, bound.Equal(2, bound.Link{Up: 10 * mb, Down: 10 * mb}), 10 * time.Second, 10 * time.Second},
		{"no limits, no bound", 0, bound.Equal(8, bound.Link{}), 0, 0},
		{"unlimited peers behind a limited source", 10 * mb, bound.Equal(8, bound.Link{}), 80 * time.Second, 10 * time.Second},
	} {
		near(t, c.what+", client/server", bound.ClientServer(100*mb, c.up, c.peers), c.direct)
		near(t, c.what+", peer to peer", bound.PeerToPeer(100*mb, c.up, c.peers), c.anyAtBest)
	}
}

func TestChunked(t *testing.T) {
	for _, c := range []struct {
		chunks, peers int
		want          time.Duration // for 100 MB at 10 MB/s
	}{
		{1, 1, 10 * time.Second},
		{1, 7, 30 * time.Second}, // one chunk: the copies double every round: 1, 3, 7
		{1, 8, 40 * time.Second},
		{1000, 8, 10030 * time.Millisecond},
		{1000, 32, 10050 * time.Millisecond},
		{0, 8, 0},
		{10, 0, 0},
	} {
		near(t, "chunked", bound.Chunked(100*mb, c.chunks, 10*mb, c.peers), c.want)
	}
}

// What takes longer than a time.Duration can say is the longest, not a negative one.
func TestLongest(t *testing.T) {
	const tib, slow, longest = 1 << 40, 1e3, time.Duration(math.MaxInt64)
	peers := bound.Equal(50, bound.Link{Up: slow, Down: slow})
	for what, got := range map[string]time.Duration{
		"client/server": bound.ClientServer(tib, slow, peers),
		"peer to peer":  bound.PeerToPeer(math.MaxInt64, slow, peers),
		"chunked":       bound.Chunked(math.MaxInt64, 1, slow, len(peers)),
	} {
		if got != longest {
			t.Errorf("%s: %v, want %v", what, got, longest)
		}
	}
}

// The peers' help never costs time, and chunks never gain any.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<40).Draw(t, "size")
		rate := rapid.Float64Range(1e3, 1e10)
		up := rate.Draw(t, "up")
		peers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) bound.Link {
			return bound.Link{Up: rate.Draw(t, "u"), Down: rate.Draw(t, "d")}
		}), 1, 50).Draw(t, "peers")
		direct, best := bound.ClientServer(size, up, peers), bound.PeerToPeer(size, up, peers)
		if best > direct {
			t.Fatalf("peer to peer %v, client/server %v", best, direct)
		}
		equal := bound.Equal(len(peers), bound.Link{Up: up, Down: up})
		chunks := rapid.IntRange(1, 10000).Draw(t, "chunks")
		if fluid, chunked := bound.PeerToPeer(size, up, equal), bound.Chunked(size, chunks, up, len(equal)); chunked < fluid {
			t.Fatalf("in %d chunks %v, as a fluid %v", chunks, chunked, fluid)
		}
	})
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if d := got - want; d > time.Microsecond || d < -time.Microsecond {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
