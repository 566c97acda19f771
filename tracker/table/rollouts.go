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

// Rollouts ask followers to fetch files, and know how far they are.
type Rollouts struct {
	*shared
	files     *Files
	fleet     *Fleet
	followers *followers
	byName    map[string]*rollout  // of the file
	ended     map[string]time.Time // rollouts by ID -> when they were ended or replaced, since the start
	loaded    bool                 // the store had all rollouts that there were at the start
}

func newRollouts(s *shared, files *Files, fleet *Fleet, state store.State) *Rollouts {
	rs := &Rollouts{
		shared: s, files: files, fleet: fleet, followers: fleet.followers,
		byName: map[string]*rollout{}, ended: map[string]time.Time{}, loaded: len(state.Files)+len(state.Followers) > 0,
	}
	for _, r := range state.Rollouts {
		rs.byName[r.Name] = newRollout(r)
	}
	return rs
}

// Put asks peers for what the name stands for now, in place of the name's earlier
// rollout; created is false if there was one. Errors: ErrUnknown, ErrWithdrawn, ErrInvalid
// for peers that have never been here, ErrNotFollowing, the store's.
func (rs *Rollouts) Put(name string, q RolloutRequest) (v RolloutView, created bool, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	f, err := rs.files.resolve(name)
	if err != nil {
		return RolloutView{}, false, err
	}
	if err := rs.fleet.checkFollow(q.Peers); err != nil {
		return RolloutView{}, false, err
	}
	peers := slices.Compact(slices.Sorted(slices.Values(q.Peers)))
	r := newRollout(store.Rollout{
		ID: fmt.Sprintf("%016x", rs.rand.Uint64()), Manifest: f.ID, Name: f.Name, All: q.Peers == nil, Peers: peers,
		Strategy: string(cmp.Or(q.Strategy, Swarm)), SHA256: strings.ToLower(q.SHA256), StartedAt: rs.now(), Sent: f.begin(),
	})
	if err := rs.store.SetRollout(r.snapshot()); err != nil {
		return RolloutView{}, false, err
	}
	old, replaced := rs.byName[f.Name]
	if replaced {
		rs.ended[old.ID] = r.StartedAt
	}
	rs.byName[f.Name] = r
	rs.followers.wake()
	return rs.view(r), !replaced, nil
}

// find finds the rollout of a name, or of a manifest ID. Errors: ErrUnknown,
// ErrWithdrawn.
func (rs *Rollouts) find(name string) (*rollout, error) {
	if r := rs.byName[name]; r != nil { // also where the name stands for another manifest now
		return r, nil
	}
	f, err := rs.files.resolve(name)
	if err != nil {
		return nil, err
	}
	switch r := rs.byName[f.Name]; {
	case r == nil:
		return nil, fail(ErrUnknown, "there is no rollout of %q; begin one with PUT /v1/files/%s/rollout", f.Name, name)
	case r.Manifest != f.ID:
		return nil, fail(ErrUnknown, "the rollout of %q is of manifest %s, not of %s", f.Name, r.Manifest, f.ID)
	default:
		return r, nil
	}
}

// Get describes a rollout. Errors: ErrUnknown, ErrWithdrawn.
func (rs *Rollouts) Get(name string) (RolloutView, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r, err := rs.find(name)
	if err != nil {
		return RolloutView{}, err
	}
	return rs.view(r), nil
}

// List describes all rollouts, by name.
func (rs *Rollouts) List() []RolloutView {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	views := []RolloutView{}
	for _, name := range slices.SortedFunc(maps.Keys(rs.byName), byName) {
		views = append(views, rs.view(rs.byName[name]))
	}
	return views
}

// End ends a rollout: nobody is asked any more. Errors: ErrUnknown, ErrWithdrawn, the
// store's.
func (rs *Rollouts) End(name string) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r, err := rs.find(name)
	if err != nil {
		return err
	}
	if err := rs.store.EndRollout(r.Name); err != nil {
		return err
	}
	delete(rs.byName, r.Name)
	rs.ended[r.ID] = rs.now()
	rs.followers.wake()
	return nil
}

// abandoned says that a download under way was asked for by a rollout that is over, that no
// other one asks the peer for it, and that nobody can serve what it lacks. Soon after a start
// those who can may not have been heard of yet, and an origin that left may come back.
func (rs *Rollouts) abandoned(f *file, q Report) bool {
	now := rs.now()
	_, ended := rs.ended[q.Rollout]
	if !ended && !rs.loaded { // what it has forgotten, it does not know of
		return false
	}
	if q.Rollout == "" || !active(q.State) || now.Sub(f.loadedAt) < 2*rs.lease || now.Sub(f.leftAt) < rs.lease {
		return false
	}
	if r := rs.of(f); r != nil && r.asks(q.ID, rs.followers) {
		return false
	}
	return !f.obtainable(now)
}

// of is the rollout that asks for a file, nil if there is none.
func (rs *Rollouts) of(f *file) *rollout {
	if r := rs.byName[f.Name]; r != nil && r.Manifest == f.ID {
		return r
	}
	return nil
}

// forgetFile forgets the rollout of a manifest that the store has just removed.
func (rs *Rollouts) forgetFile(f *file) {
	if rs.of(f) != nil {
		delete(rs.byName, f.Name)
		rs.followers.wake()
	}
}

// Orders are what a peer should have. Being asked counts as learning of them. Errors:
// ErrUnknown, ErrNotFollowing.
func (rs *Rollouts) Orders(peer string) (Orders, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := rs.now()
	if !rs.followers.has(peer) {
		if rs.fleet.peer(peer) != nil {
			return Orders{}, fail(ErrNotFollowing, "%s", notFollowing([]string{peer}))
		}
		return Orders{}, fail(ErrUnknown, "peer %s has never been registered here; GET /v1/peers lists the peers", peer)
	}
	orders, ids := Orders{List: []Order{}, Changed: rs.followers.news}, sha256.New()
	for _, name := range slices.SortedFunc(maps.Keys(rs.byName), byName) {
		r := rs.byName[name]
		if !r.asks(peer, rs.followers) {
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

// forgetPeer has no rollout wait for a peer any more; false if none did, nor would.
func (rs *Rollouts) forgetPeer(id string) (waited bool, err error) {
	if rs.followers.has(id) {
		if err := rs.followers.forget(id); err != nil {
			return false, err
		}
		waited = true
	}
	for _, r := range rs.byName {
		if !r.forget(id) {
			continue
		}
		if err := rs.store.SetRollout(r.snapshot()); err != nil {
			return false, err
		}
		waited = true
	}
	return waited, nil
}

// sweep stores outcomes, and forgets rollouts that were ended long ago.
func (rs *Rollouts) sweep(now time.Time) error {
	maps.DeleteFunc(rs.ended, func(_ string, at time.Time) bool { return now.Sub(at) > keepEndedRollout })
	return rs.save()
}

// Save stores how rollouts stand, for a tracker that stops.
func (rs *Rollouts) Save() error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.save()
}

func (rs *Rollouts) save() error {
	var errs []error
	for _, r := range rs.byName {
		if !r.dirty {
			continue
		}
		if err := rs.store.SetRollout(r.snapshot()); err != nil {
			errs = append(errs, fmt.Errorf("store rollout of %q: %w", r.Name, err))
			continue
		}
		r.dirty = false
	}
	return errors.Join(errs...)
}
