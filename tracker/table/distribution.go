package table

import (
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
)

const (
	// maxParticipants bounds what a client can make the tracker remember of one
	// distribution by announcing under ever new IDs.
	maxParticipants = 10_000
	// keepEnded is how long peers that have left are shown after their distribution.
	keepEnded = 10 * time.Minute
	// leastSpan is the shortest time over which a rate is measured.
	leastSpan = 500 * time.Millisecond
)

// Lost is the state of a peer whose lease ran out before it had ended. No peer reports it.
const Lost State = "lost"

// Distribution is one file on its way to a number of peers. It starts when a peer of the
// swarm begins to download while none does, and ends when all its peers have ended.
type Distribution struct {
	ID         manifest.ID
	Name       string
	Size       int64
	Peers      int
	Complete   int
	Failed     int              // those that failed and those that were lost
	Left       int              // those that paused, were cancelled or left in order
	Strategies map[Strategy]int // peers by strategy
	Started    time.Time
	Ended      time.Time     // zero while it runs
	Duration   time.Duration // from the start until the last completion; 0 if there was none
	// Partial says that the tracker was started in the middle of it: Started and Duration
	// count from then.
	Partial         bool
	BytesFromOrigin int64 // what its peers say that they have received
	BytesFromPeers  int64
	// OriginSent is what the origins say that they have sent, at least what was received from
	// them: their last report may be still to come.
	OriginSent int64
}

// Running says that some of its peers are still downloading.
func (d *Distribution) Running() bool { return d.Ended.IsZero() }

// EgressRatio is what the origins sent, in sizes of the file; 0 for an empty file.
func (d *Distribution) EgressRatio() float64 {
	if d.Size == 0 {
		return 0
	}
	return float64(d.OriginSent) / float64(d.Size)
}

// Strategy is the one of all its peers, or "mixed".
func (d *Distribution) Strategy() Strategy {
	if len(d.Strategies) == 1 {
		for s := range d.Strategies {
			return s
		}
	}
	return "mixed"
}

// distribution is the running one of a file, or its last.
type distribution struct {
	started time.Time
	ended   time.Time
	partial bool
	untold  bool // it has ended, and the last reports of origins are still to come
	peers   map[string]*participant
	sent    map[string]store.Sending // by the process of an origin
}

// participant is a peer of a distribution. It stays when its lease has run out.
type participant struct {
	last      *member
	state     State // that of last, or Lost, or Cancelled for one that has left
	completed time.Time
	// What it had received before: a resumed download brings its counts along.
	originBefore, peersBefore int64
	version                   uint64
}

// active says that a download is under way.
func active(s State) bool { return s == Queued || s == Downloading }

// join gets the participant of a report, a new one for a download that is under way.
func (d *distribution) join(m, before *member) *participant {
	p := d.peers[m.ID]
	if p != nil || !active(m.State) || len(d.peers) >= maxParticipants {
		return p
	}
	p = &participant{}
	switch {
	case d.partial: // what it brings along belongs to this distribution
	case before == nil:
		p.originBefore, p.peersBefore = m.BytesFromOrigin, m.BytesFromPeers
	case before.received() <= m.received(): // else it was begun anew
		p.originBefore, p.peersBefore = before.BytesFromOrigin, before.BytesFromPeers
	}
	d.peers[m.ID] = p
	return p
}

func (m *member) received() int64 { return m.BytesFromOrigin + m.BytesFromPeers }

// measure sets the rate from the report before.
func (m *member) measure(before *member) {
	m.markAt, m.markBytes = m.seen, m.received()
	if before == nil || !active(m.State) || before.received() > m.received() {
		return
	}
	m.rate = before.rate
	if span := m.seen.Sub(before.markAt); span >= leastSpan {
		m.rate = float64(m.received()-before.markBytes) / span.Seconds()
		return
	}
	m.markAt, m.markBytes = before.markAt, before.markBytes
}

// growth of a count that begins anew with the download.
func growth(before, now int64) int64 {
	if now < before {
		return now
	}
	return now - before
}

// describe sums up the running or last distribution.
func (f *file) describe() Distribution {
	d := Distribution{
		ID: f.ID, Name: f.Name, Size: f.Size, Peers: len(f.dist.peers), Strategies: map[Strategy]int{},
		Started: f.dist.started, Ended: f.dist.ended, Partial: f.dist.partial,
	}
	var last time.Time
	for _, p := range f.dist.peers {
		d.Strategies[p.last.Strategy]++
		d.BytesFromOrigin += max(0, p.last.BytesFromOrigin-p.originBefore)
		d.BytesFromPeers += max(0, p.last.BytesFromPeers-p.peersBefore)
		switch {
		case p.state == Complete:
			d.Complete++
			if p.completed.After(last) {
				last = p.completed
			}
		case p.state == Failed || p.state == Lost:
			d.Failed++
		case !active(p.state):
			d.Left++
		}
	}
	if !last.IsZero() {
		d.Duration = max(0, last.Sub(d.Started))
	}
	d.OriginSent = max(counted(f.dist.sent), d.BytesFromOrigin)
	return d
}

// stateCounts counts the live members by state, and as Lost those that were lost lately.
func (f *file) stateCounts(now time.Time) map[State]int {
	counts := map[State]int{}
	for _, m := range f.members {
		if m.live(now) {
			counts[m.State]++
		}
	}
	if f.dist == nil || !f.dist.ended.IsZero() && now.Sub(f.dist.ended) >= keepEnded {
		return counts
	}
	for _, p := range f.dist.peers {
		if p.state == Lost {
			counts[Lost]++
		}
	}
	return counts
}
