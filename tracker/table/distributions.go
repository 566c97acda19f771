package table

import (
	"cmp"
	"slices"
	"time"
)

// MaxDistributions is how many finished distributions are remembered.
const MaxDistributions = 50

// Totals are sums over all swarms since the tracker was started.
type Totals struct {
	BytesFromOrigin, BytesFromPeers int64 // of verified chunks, as the peers report
	Handouts                        int64 // chunks that peers brought from an origin
	OriginSent                      int64 // bytes, as the origins report
}

// FileCounts is what can be counted of a file and its swarm.
type FileCounts struct {
	Name         string
	Size         int64
	Peers        map[State]int // as in PeerCounts
	Distribution *Distribution // the running or the last one, nil before the first
}

// Distributions follow what is on its way in all swarms, remember the distributions that have
// ended, and count what was moved.
type Distributions struct {
	*shared
	files      *Files
	finished   []Distribution // the latest last, at most MaxDistributions
	totals     Totals
	rates      rates
	version    uint64 // the latest
	onFinished func(Distribution)
}

// Totals are the sums.
func (ds *Distributions) Totals() Totals {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.totals
}

// OnFinished has f told of every distribution that ends. It is called with the table's mutex
// held and must not call back. Call it before the table is used.
func (ds *Distributions) OnFinished(f func(Distribution)) { ds.onFinished = f }

// List are the running ones, the latest first, and then the finished ones, the
// latest first.
func (ds *Distributions) List() []Distribution {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	now, list := ds.now(), []Distribution{}
	for _, f := range ds.files.byID {
		if ds.settle(f, now); f.dist != nil && f.dist.ended.IsZero() {
			list = append(list, f.describe())
		}
	}
	slices.SortFunc(list, func(a, b Distribution) int { return b.Started.Compare(a.Started) })
	for _, d := range slices.Backward(ds.finished) {
		list = append(list, d)
	}
	return list
}

// PeerCounts counts the live members of all swarms by state, and as Lost those that were
// lost lately.
func (ds *Distributions) PeerCounts() map[State]int {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	now, counts := ds.now(), map[State]int{}
	for _, f := range ds.files.byID {
		ds.settle(f, now)
		for s, n := range f.stateCounts(now) {
			counts[s] += n
		}
	}
	return counts
}

// CountFiles counts the files that names stand for: those with a distribution first, each
// kind by name.
func (ds *Distributions) CountFiles() []FileCounts {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	now, list := ds.now(), []FileCounts{}
	for _, id := range ds.files.names {
		f := ds.files.byID[id]
		ds.settle(f, now)
		c := FileCounts{Name: f.Name, Size: f.Size, Peers: f.stateCounts(now)}
		if f.dist != nil {
			d := f.describe()
			c.Distribution = &d
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b FileCounts) int {
		return cmp.Or(-compareBool(a.Distribution != nil, b.Distribution != nil), byName(a.Name, b.Name))
	})
	return list
}

// follow keeps the distribution of a file, the totals and the rates up to date with a report.
// m is about to be entered.
func (ds *Distributions) follow(f *file, m *member) {
	ds.settle(f, m.seen)
	before := f.known(m.ID)
	m.measure(before)
	if before != nil {
		ds.count(before, m)
	}
	if f.dist == nil || !f.dist.ended.IsZero() {
		if !active(m.State) {
			return
		}
		sent := f.begin()
		ds.tellFinishedNow(f)
		f.dist = &distribution{
			started: m.seen, peers: map[string]*participant{}, sent: sent,
			partial: !f.loadedAt.IsZero() && m.seen.Sub(f.loadedAt) < 2*ds.lease && m.received() > 0,
		}
	}
	p := f.dist.join(m, before)
	if p == nil {
		return
	}
	p.last, p.state, p.version = m, m.State, m.version
	if m.State == Paused && m.complete(f.Chunks) {
		p.state = Complete // it stops serving
	}
	if p.state == Complete && p.completed.IsZero() {
		p.completed = m.seen
	}
	ds.settle(f, m.seen)
}

// count adds what has come since the report before to the totals.
func (ds *Distributions) count(before, m *member) {
	origin := growth(before.BytesFromOrigin, m.BytesFromOrigin)
	peers := growth(before.BytesFromPeers, m.BytesFromPeers)
	ds.totals.BytesFromOrigin += origin
	ds.totals.BytesFromPeers += peers
	ds.totals.Handouts += growth(int64(before.ownedCount), int64(m.ownedCount))
	ds.rates.add(before.seen, m.seen, float64(origin+peers))
}

// noteSent takes the counter of an origin into the totals, by what it said last, and into a
// distribution that runs or has just ended.
func (ds *Distributions) noteSent(f *file, key string, total int64) {
	if last, known := f.sent[key]; known {
		ds.totals.OriginSent += growth(last, total)
	}
	if d := f.dist; d != nil && (d.ended.IsZero() || d.untold) {
		note(d.sent, key, total)
	}
}

// settle marks the peers that are lost, and ends the distribution if nobody downloads.
func (ds *Distributions) settle(f *file, now time.Time) {
	if f.dist == nil || !f.dist.ended.IsZero() {
		ds.tellFinished(f, now)
		return
	}
	running := false
	for _, p := range f.dist.peers {
		if active(p.state) && !p.last.live(now) {
			ds.part(p, Lost)
		}
		running = running || active(p.state)
	}
	if running || len(f.dist.peers) == 0 {
		return
	}
	f.dist.ended = now
	ds.finished = append(ds.finished, f.describe())
	if extra := len(ds.finished) - MaxDistributions; extra > 0 {
		ds.finished = slices.Delete(ds.finished, 0, extra)
	}
	f.dist.untold = true
	ds.tellFinished(f, now)
}

// part gives a participant a state that it has not reported.
func (ds *Distributions) part(p *participant, s State) {
	p.state, p.version = s, ds.nextVersion()
}

// nextVersion is of a change of a peer, as no other one has it.
func (ds *Distributions) nextVersion() uint64 {
	ds.version++
	return ds.version
}

// leave notes that a peer is no longer listed though its lease has not run out.
func (ds *Distributions) leave(f *file, id string, s State) {
	if f.dist == nil {
		return
	}
	if p := f.dist.peers[id]; p != nil && active(p.state) {
		ds.part(p, s)
		ds.settle(f, ds.now())
	}
}

// tellFinished brings what the origins have sent up to date where a distribution has ended,
// and tells of it once they have all reported since, or a lease has passed.
func (ds *Distributions) tellFinished(f *file, now time.Time) {
	if f.dist == nil || !f.dist.untold {
		return
	}
	for i := len(ds.finished) - 1; i >= 0; i-- {
		if d := &ds.finished[i]; d.ID == f.ID && d.Ended.Equal(f.dist.ended) {
			d.OriginSent = f.describe().OriginSent
			break
		}
	}
	if !f.awaitsOrigins(f.dist.ended, now) || now.Sub(f.dist.ended) >= ds.lease {
		ds.tellFinishedNow(f)
	}
}

func (ds *Distributions) tellFinishedNow(f *file) {
	if f.dist == nil || !f.dist.untold {
		return
	}
	f.dist.untold = false
	if ds.onFinished != nil {
		ds.onFinished(f.describe())
	}
}
