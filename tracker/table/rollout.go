package table

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
)

// keepEndedRollout is how long it is known which rollouts were ended since the start.
const keepEndedRollout = 30 * 24 * time.Hour

// RolloutRequest is what a rollout is to be.
type RolloutRequest struct {
	Peers    []string // nil: every peer that follows rollouts, now and later
	Strategy Strategy // Swarm if empty
	SHA256   string   // of the whole file; empty if it is not known
}

// Order is one file that a peer should have.
type Order struct {
	ID       string // of the rollout
	Manifest manifest.ID
	Name     string
	Strategy Strategy
	SHA256   string
}

// Orders are all files that a peer should have, by name.
type Orders struct {
	List    []Order
	Version string          // another one where the list is another
	Changed <-chan struct{} // closed when the list may have become another
}

// rollout is a stored one, with a map of its own.
type rollout struct {
	store.Rollout
	dirty bool // outcomes are not stored yet
}

func newRollout(s store.Rollout) *rollout {
	outcomes := maps.Clone(s.Outcomes)
	if outcomes == nil {
		outcomes = map[string]store.Outcome{}
	}
	s.Outcomes, s.Sent = outcomes, maps.Clone(s.Sent)
	if s.Sent == nil {
		s.Sent = map[string]store.Sending{}
	}
	return &rollout{Rollout: s}
}

// snapshot is what may be given to the store, which keeps what it is given.
func (r *rollout) snapshot() store.Rollout {
	s := r.Rollout
	s.Outcomes, s.Sent = maps.Clone(s.Outcomes), maps.Clone(s.Sent)
	return s
}

// asks reports whether a peer is asked. t is for its followers.
func (r *rollout) asks(t *Table, peer string) bool {
	if !r.All {
		_, found := slices.BinarySearch(r.Peers, peer)
		return found
	}
	_, follows := t.followers[peer]
	return follows
}

// PutRollout asks peers for what the name stands for now, in place of the name's earlier
// rollout; created is false if there was one. Errors: ErrUnknown, ErrWithdrawn, ErrInvalid
// for peers that have never been here, ErrNotFollowing, the store's.
func (t *Table) PutRollout(name string, q RolloutRequest) (v RolloutView, created bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return RolloutView{}, false, err
	}
	if err := t.checkFollow(q.Peers); err != nil {
		return RolloutView{}, false, err
	}
	peers := slices.Compact(slices.Sorted(slices.Values(q.Peers)))
	r := newRollout(store.Rollout{
		ID: fmt.Sprintf("%016x", t.rand.Uint64()), Manifest: f.ID, Name: f.Name, All: q.Peers == nil, Peers: peers,
		Strategy: string(cmp.Or(q.Strategy, Swarm)), SHA256: strings.ToLower(q.SHA256), StartedAt: t.now(), Sent: f.begin(),
	})
	if err := t.store.SetRollout(r.snapshot()); err != nil {
		return RolloutView{}, false, err
	}
	old, replaced := t.rollouts[f.Name]
	if replaced {
		t.ended[old.ID] = r.StartedAt
	}
	t.rollouts[f.Name] = r
	t.wakeFollowers()
	return t.viewRollout(r), !replaced, nil
}

// findRollout finds the rollout of a name, or of a manifest ID. Errors: ErrUnknown,
// ErrWithdrawn.
func (t *Table) findRollout(name string) (*rollout, error) {
	if r := t.rollouts[name]; r != nil { // also where the name stands for another manifest now
		return r, nil
	}
	f, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	switch r := t.rollouts[f.Name]; {
	case r == nil:
		return nil, fail(ErrUnknown, "there is no rollout of %q; begin one with PUT /v1/files/%s/rollout", f.Name, name)
	case r.Manifest != f.ID:
		return nil, fail(ErrUnknown, "the rollout of %q is of manifest %s, not of %s", f.Name, r.Manifest, f.ID)
	default:
		return r, nil
	}
}

// Rollout describes a rollout. Errors: ErrUnknown, ErrWithdrawn.
func (t *Table) Rollout(name string) (RolloutView, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.findRollout(name)
	if err != nil {
		return RolloutView{}, err
	}
	return t.viewRollout(r), nil
}

// Rollouts describes all rollouts, by name.
func (t *Table) Rollouts() []RolloutView {
	t.mu.Lock()
	defer t.mu.Unlock()
	views := []RolloutView{}
	for _, name := range slices.SortedFunc(maps.Keys(t.rollouts), byName) {
		views = append(views, t.viewRollout(t.rollouts[name]))
	}
	return views
}

// EndRollout ends a rollout: nobody is asked any more. Errors: ErrUnknown, ErrWithdrawn, the
// store's.
func (t *Table) EndRollout(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, err := t.findRollout(name)
	if err != nil {
		return err
	}
	if err := t.store.EndRollout(r.Name); err != nil {
		return err
	}
	delete(t.rollouts, r.Name)
	t.ended[r.ID] = t.now()
	t.wakeFollowers()
	return nil
}

// abandoned says that a download under way was asked for by a rollout that is over, that no
// other one asks the peer for it, and that nobody can serve what it lacks. Soon after a start
// those who can may not have been heard of yet, and an origin that left may come back.
func (t *Table) abandoned(f *file, q Report) bool {
	now := t.now()
	_, ended := t.ended[q.Rollout]
	if !ended && !t.loaded { // what it has forgotten, it does not know of
		return false
	}
	if q.Rollout == "" || !active(q.State) || now.Sub(f.loadedAt) < 2*t.lease || now.Sub(f.leftAt) < t.lease {
		return false
	}
	if r := t.rollouts[f.Name]; r != nil && r.Manifest == f.ID && r.asks(t, q.ID) {
		return false
	}
	return !f.obtainable(now)
}

// obtainable says that an origin, or the peers of the swarm together, have every chunk.
func (f *file) obtainable(now time.Time) bool {
	if len(f.liveOrigins(now)) > 0 {
		return true
	}
	all := make(Bitmap, len(fullBitmap(f.Chunks)))
	for _, m := range f.members {
		if !m.live(now) || !m.shares() {
			continue
		}
		for i := range min(len(all), len(m.Held)) {
			all[i] |= m.Held[i]
		}
	}
	return all.count() == f.Chunks
}

// endRolloutOf forgets the rollout of a manifest that the store has just removed.
func (t *Table) endRolloutOf(f *file) {
	if r := t.rollouts[f.Name]; r != nil && r.Manifest == f.ID {
		delete(t.rollouts, f.Name)
		t.wakeFollowers()
	}
}

// rolledOut says that a file is in use for a rollout.
func (t *Table) rolledOut(f *file) bool {
	r := t.rollouts[f.Name]
	return r != nil && r.Manifest == f.ID
}

// Orders are what a peer should have. Being asked counts as learning of them. Errors:
// ErrUnknown, ErrNotFollowing.
func (t *Table) Orders(peer string) (Orders, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if _, ok := t.followers[peer]; !ok {
		if p := t.fleet[peer]; p != nil && p.live(now) {
			return Orders{}, fail(ErrNotFollowing, "%s", notFollowing([]string{peer}))
		}
		return Orders{}, fail(ErrUnknown, "peer %s has never been registered here; GET /v1/peers lists the peers", peer)
	}
	orders, ids := Orders{List: []Order{}, Changed: t.news}, sha256.New()
	for _, name := range slices.SortedFunc(maps.Keys(t.rollouts), byName) {
		r := t.rollouts[name]
		if !r.asks(t, peer) {
			continue
		}
		if o := r.Outcomes[peer]; o.AskedAt.IsZero() {
			o.AskedAt = now
			r.Outcomes[peer], r.dirty = o, true
		}
		ids.Write([]byte(r.ID))
		orders.List = append(orders.List, Order{
			ID: r.ID, Manifest: r.Manifest, Name: r.Name, Strategy: Strategy(r.Strategy), SHA256: r.SHA256,
		})
	}
	orders.Version = hex.EncodeToString(ids.Sum(nil)[:8])
	return orders, nil
}

// ended says that a download does not go on by itself.
func ended(s State) bool { return s == Complete || s == Failed || s == Cancelled }

// loadRollouts takes over what was stored.
func (t *Table) loadRollouts(s store.State) {
	for _, r := range s.Rollouts {
		t.rollouts[r.Name] = newRollout(r)
	}
	for _, f := range s.Followers {
		t.followers[f.ID], t.followersSaved[f.ID] = f, f.SeenAt
	}
}

// sweepRollouts stores outcomes, and forgets followers that have been off for long, and
// rollouts that were ended long ago.
func (t *Table) sweepRollouts(now time.Time) error {
	var errs []error
	maps.DeleteFunc(t.ended, func(_ string, at time.Time) bool { return now.Sub(at) > keepEndedRollout })
	for id, f := range t.followers {
		if now.Sub(f.SeenAt) <= keepFollower {
			continue
		}
		if err := t.forgetFollower(id); err != nil {
			errs = append(errs, fmt.Errorf("forget peer %s: %w", id, err))
		}
	}
	return errors.Join(append(errs, t.saveOutcomes())...)
}

// Save stores how rollouts stand, for a tracker that stops.
func (t *Table) Save() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saveOutcomes()
}

func (t *Table) saveOutcomes() error {
	var errs []error
	for _, r := range t.rollouts {
		if !r.dirty {
			continue
		}
		if err := t.store.SetRollout(r.snapshot()); err != nil {
			errs = append(errs, fmt.Errorf("store rollout of %q: %w", r.Name, err))
			continue
		}
		r.dirty = false
	}
	return errors.Join(errs...)
}
