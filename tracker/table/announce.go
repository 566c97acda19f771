package table

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"fanout/internal/chunks/manifest"
)

// MaxPeers is how many peers an announce is answered with.
const MaxPeers = 64

// State of a download, as the peer reports it.
type State string

// The states.
const (
	Queued      State = "queued"
	Downloading State = "downloading"
	Paused      State = "paused"
	Complete    State = "complete"
	Failed      State = "failed"
	Cancelled   State = "cancelled"
)

// States are all states, in the order of a download's life.
func States() []State { return []State{Queued, Downloading, Paused, Complete, Failed, Cancelled} }

// Strategy of a download.
type Strategy string

// The strategies.
const (
	Direct Strategy = "direct"
	Static Strategy = "static"
	Swarm  Strategy = "swarm"
)

// Report is what a peer says about its download.
type Report struct {
	ID              string
	Address         Address
	Strategy        Strategy // Swarm if empty
	State           State    // Downloading if empty
	Held            Bitmap   // verified chunks; nil means none, or all if Complete
	Owned           Bitmap   // chunks that it brings from the origin; nil means none
	BytesFromOrigin int64
	BytesFromPeers  int64
	Instance        string        // of the process; empty if it does not tell
	Rollout         string        // that this report answers; empty for none
	EndedAgo        time.Duration // how long Complete, Failed or Cancelled has been so
	Error           string        // why it failed, or what it waits for
}

// SwarmPeer is a member of a swarm as others need it.
type SwarmPeer struct {
	ID      string
	Address Address
}

// Reply answers an announce.
type Reply struct {
	ID        manifest.ID
	Origins   []Origin    // in address order
	Peers     []SwarmPeer // in random order
	Active    int         // peers of the swarm that are downloading
	RolledOut bool        // a rollout asks for the file
	// Abandoned says that the rollout which the report names was ended, and that nobody can
	// serve what is missing.
	Abandoned bool
}

// member is a peer of a swarm with its lease. It does not change: the next announce replaces
// it.
type member struct {
	Report
	heldCount, ownedCount int
	seen, expires         time.Time
	version               uint64  // no two reports have the same
	rate                  float64 // bytes a second
	markAt                time.Time
	markBytes             int64 // received at markAt, from when on the next rate is measured
}

func (m *member) live(now time.Time) bool { return now.Before(m.expires) }

// shares reports whether others can get chunks from it.
func (m *member) shares() bool { return m.State == Downloading || m.State == Complete }

// static reports whether it takes part in a static download.
func (m *Report) static() bool {
	return m.Strategy == Static && m.State != Failed && m.State != Cancelled
}

// complete reports whether it has every chunk of that many. One that failed then has not got
// the file that was wanted.
func (m *member) complete(chunks int) bool {
	return m.State == Complete || m.State != Failed && chunks > 0 && m.heldCount == chunks
}

// RenewOrigin lists an origin of a file for another lease. It does not change what a name
// stands for. Errors: ErrUnknown, and the origin should publish; ErrWithdrawn, and it should
// stop; ErrClash.
func (t *Table) RenewOrigin(name string, o Origin) (Reply, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return Reply{}, err
	}
	if err := t.listOrigin(f, o); err != nil {
		return Reply{}, err
	}
	return t.reply(f, o.ID), nil
}

// LeaveOrigin takes an origin that stops off the list of a file, with its last report. Errors:
// ErrUnknown, ErrWithdrawn.
func (t *Table) LeaveOrigin(name string, o Origin) (Reply, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return Reply{}, err
	}
	t.originIDs.leave(o.ID, o.Instance)
	t.noteSent(f, o)
	if listed := f.origins[o.ID]; listed != nil && listed.Instance == o.Instance {
		delete(f.origins, o.ID)
		f.leftAt = t.now()
		t.tellFinished(f, f.leftAt)
	}
	return t.reply(f, o.ID), nil
}

// Announce enters a peer into a swarm or renews its lease there; with the state Cancelled it
// leaves. The first announce of a static download fixes the assignment, see StaticTable.
// Errors: ErrUnknown, ErrWithdrawn, ErrInvalid for bitmaps that do not fit, ErrClash, the
// store's.
func (t *Table) Announce(name string, r Report) (Reply, error) {
	r.Strategy, r.State = cmp.Or(r.Strategy, Swarm), cmp.Or(r.State, Downloading)
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return Reply{}, err
	}
	if err := t.peerIDs.speaks(r.ID, r.Instance, r.Address, t.now()); err != nil {
		return Reply{}, err
	}
	if err := checkBitmap("held", r.Held, f.Chunks); err != nil {
		return Reply{}, err
	}
	if err := checkBitmap("owned", r.Owned, f.Chunks); err != nil {
		return Reply{}, err
	}
	if r.Held == nil && r.State == Complete {
		r.Held = fullBitmap(f.Chunks)
	}
	if r.static() {
		if err := t.freeze(f); err != nil {
			return Reply{}, err
		}
	}
	t.enter(f, r)
	reply := t.reply(f, r.ID)
	reply.Abandoned = t.abandoned(f, r)
	return reply, nil
}

func (t *Table) enter(f *file, r Report) {
	now := t.now()
	t.version++
	before := f.known(r.ID)
	if before != nil {
		r.Owned = r.Owned.with(before.Owned, r.Held)
	}
	m := &member{
		Report: r, heldCount: r.Held.count(), ownedCount: r.Owned.count(),
		seen: now, expires: now.Add(t.lease), version: t.version,
	}
	t.follow(f, m)
	t.noteOutcome(f, m, before)
	if r.State == Cancelled {
		delete(f.members, r.ID)
		return
	}
	for id, other := range f.members {
		if id != r.ID && other.Address == r.Address {
			delete(f.members, id) // the peer was restarted under another ID
			t.leave(f, id, Lost)
		}
	}
	f.members[r.ID] = m
}

func (t *Table) reply(f *file, asker string) Reply {
	now, active := t.now(), 0
	var peers []SwarmPeer
	for id, m := range f.members {
		if m.live(now) && m.State == Downloading {
			active++
		}
		if id != asker && m.live(now) && m.shares() {
			peers = append(peers, SwarmPeer{ID: id, Address: m.Address})
		}
	}
	// The map's order is random, too, but cannot be reproduced from a seed.
	slices.SortFunc(peers, func(a, b SwarmPeer) int { return strings.Compare(a.ID, b.ID) })
	t.rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return Reply{
		ID: f.ID, Origins: f.liveOrigins(now), Peers: peers[:min(len(peers), MaxPeers)],
		Active: active, RolledOut: t.rolledOut(f),
	}
}

// PeerCounts counts the live members of all swarms by state, and as Lost those that were
// lost lately.
func (t *Table) PeerCounts() map[State]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, counts := t.now(), map[State]int{}
	for _, f := range t.files {
		t.settle(f, now)
		for s, n := range t.stateCounts(f, now) {
			counts[s] += n
		}
	}
	return counts
}
