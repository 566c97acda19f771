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
	o := Overview{Time: now, Swarms: []SwarmView{}, Registered: len(t.Fleet.live()), Rates: t.Distributions.rates.since(now, RateSeconds-1)}
	for _, f := range t.Files.byID {
		t.Distributions.settle(f, now)
		v := SwarmView{FileView: f.view(now), Members: f.memberViews(now, t.interval())}
		if f.dist != nil {
			d := f.describe()
			v.Distribution = &d
		}
		if v.Current || len(v.Origins) > 0 || v.Peers > 0 {
			o.Swarms = append(o.Swarms, v)
		}
	}
	slices.SortFunc(o.Swarms, compareSwarms)
	for _, d := range slices.Backward(t.Distributions.finished) {
		o.Finished = append(o.Finished, d)
	}
	return o
}

func (v *SwarmView) running() bool { return v.Distribution != nil && v.Distribution.Running() }

func compareSwarms(a, b SwarmView) int {
	return cmp.Or(-compareBool(a.running(), b.running()), strings.Compare(a.Name, b.Name),
		-compareBool(a.Current, b.Current), b.PublishedAt.Compare(a.PublishedAt), strings.Compare(a.ID.String(), b.ID.String()))
}

// The low bits of a view's Version, for what time alone changes; above them is the number of the
// change that brought the rest about, which no two changes have in common.
const (
	silent = 1 << iota
	unlisted
)

// memberViews are those that are listed, and those that have left during the last distribution.
func (f *file) memberViews(now time.Time, interval time.Duration) []PeerView {
	views := []PeerView{}
	for _, m := range f.members {
		if m.live(now) {
			views = append(views, f.memberView(m, now, interval))
		}
	}
	if f.dist != nil && (f.dist.ended.IsZero() || now.Sub(f.dist.ended) < keepEnded) {
		for id, p := range f.dist.peers {
			if m := f.members[id]; m != nil && m.live(now) {
				continue
			}
			v := f.memberView(p.last, now, interval)
			v.State, v.Listed, v.Rate = p.state, false, 0
			v.Version = p.version<<2 | unlisted
			views = append(views, v)
		}
	}
	slices.SortFunc(views, func(a, b PeerView) int {
		return cmp.Or(a.Address.Compare(b.Address), strings.Compare(a.ID, b.ID))
	})
	return views
}

func (f *file) memberView(m *member, now time.Time, interval time.Duration) PeerView {
	v := PeerView{
		ID: m.ID, Address: m.Address, Strategy: m.Strategy, State: m.State, Listed: true,
		Held: m.Held, Owned: m.Owned, ChunksHeld: m.heldCount, BytesHeld: f.bytes(m),
		BytesFromOrigin: m.BytesFromOrigin, BytesFromPeers: m.BytesFromPeers,
		Rate: m.rate, Seen: m.seen, Error: m.Error, Version: m.version << 2,
	}
	if now.Sub(m.seen) > 2*interval { // what it said of its rate is history
		v.Rate, v.Version = 0, v.Version|silent
	}
	return v
}
