package table

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Overview is everything that can be seen of the swarms at one moment.
type Overview struct {
	Time       time.Time
	Swarms     []SwarmView    // those where something is on its way first, then by name
	Finished   []Distribution // the latest first
	Registered int            // peers in the fleet
	Rates      []float64      // bytes in each of the last seconds, the oldest first
}

// SwarmView is a file and its swarm.
type SwarmView struct {
	FileView
	Distribution *Distribution // the running or the last one, nil before the first
	Members      []PeerView    // in address order
}

// PeerView is a peer of a swarm, or one that has left it during its last distribution.
type PeerView struct {
	ID              string
	Address         Address
	Strategy        Strategy
	State           State // Lost if it was not heard of again
	Listed          bool  // its lease has not run out
	Held            Bitmap
	Owned           Bitmap // chunks that it brought from an origin
	ChunksHeld      int
	BytesHeld       int64
	BytesFromOrigin int64
	BytesFromPeers  int64
	Rate            float64 // bytes a second
	Seen            time.Time
	Error           string // why it failed, or what it waits for
	Version         uint64 // changes with anything else of it
}

// Overview looks at everything. The bitmaps must not be changed.
func (t *Table) Overview() Overview {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	o := Overview{Time: now, Swarms: []SwarmView{}, Registered: len(t.liveFleet()), Rates: t.rates.since(now, RateSeconds-1)}
	for _, f := range t.files {
		t.settle(f, now)
		v := SwarmView{FileView: f.view(now), Members: t.memberViews(f, now)}
		if f.dist != nil {
			d := f.describe()
			v.Distribution = &d
		}
		if v.Current || len(v.Origins) > 0 || v.Peers > 0 {
			o.Swarms = append(o.Swarms, v)
		}
	}
	slices.SortFunc(o.Swarms, compareSwarms)
	for _, d := range slices.Backward(t.finished) {
		o.Finished = append(o.Finished, d)
	}
	return o
}

func (v *SwarmView) running() bool { return v.Distribution != nil && v.Distribution.Running() }

func compareSwarms(a, b SwarmView) int {
	return cmp.Or(-compareBool(a.running(), b.running()), strings.Compare(a.Name, b.Name),
		-compareBool(a.Current, b.Current), b.PublishedAt.Compare(a.PublishedAt), strings.Compare(a.ID.String(), b.ID.String()))
}

func (t *Table) memberViews(f *file, now time.Time) []PeerView {
	views := []PeerView{}
	for _, m := range f.members {
		if m.live(now) {
			views = append(views, t.memberView(f, m, now))
		}
	}
	if f.dist != nil && (f.dist.ended.IsZero() || now.Sub(f.dist.ended) < keepEnded) {
		for id, p := range f.dist.peers {
			if m := f.members[id]; m != nil && m.live(now) {
				continue
			}
			v := t.memberView(f, p.last, now)
			v.State, v.Listed, v.Rate = p.state, false, 0
			v.Version = max(v.Version, p.version)<<1 | 1 // other than while it was listed
			views = append(views, v)
		}
	}
	slices.SortFunc(views, func(a, b PeerView) int {
		return cmp.Or(a.Address.Compare(b.Address), strings.Compare(a.ID, b.ID))
	})
	return views
}

func (t *Table) memberView(f *file, m *member, now time.Time) PeerView {
	v := PeerView{
		ID: m.ID, Address: m.Address, Strategy: m.Strategy, State: m.State, Listed: true,
		Held: m.Held, Owned: m.Owned, ChunksHeld: m.heldCount, BytesHeld: f.bytes(m),
		BytesFromOrigin: m.BytesFromOrigin, BytesFromPeers: m.BytesFromPeers,
		Rate: m.rate, Seen: m.seen, Error: m.Error, Version: m.version << 1,
	}
	if now.Sub(m.seen) > 2*t.Interval() { // what it said of its rate is history
		v.Rate, v.Version = 0, v.Version|1
	}
	return v
}

// bytes that a member holds; the last chunk may be shorter.
func (f *file) bytes(m *member) int64 {
	n := int64(m.heldCount) * f.ChunkSize
	if f.Chunks > 0 && m.Held.has(f.Chunks-1) {
		n -= int64(f.Chunks)*f.ChunkSize - f.Size
	}
	return n
}

// Has says whether a chunk's bit is set.
func (b Bitmap) Has(chunk int) bool { return b.has(chunk) }

func (t *Table) stateCounts(f *file, now time.Time) map[State]int {
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

// FileCounts is what can be counted of a file and its swarm.
type FileCounts struct {
	Name         string
	Size         int64
	Peers        map[State]int // as in PeerCounts
	Distribution *Distribution // the running or the last one, nil before the first
}

// CountFiles counts the files that names stand for: those with a distribution first, each
// kind by name.
func (t *Table) CountFiles() []FileCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, list := t.now(), []FileCounts{}
	for _, id := range t.names {
		f := t.files[id]
		t.settle(f, now)
		c := FileCounts{Name: f.Name, Size: f.Size, Peers: t.stateCounts(f, now)}
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
