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

	"fanout/internal/manifest"
	"fanout/tracker/store"
)

const (
	// keepFollower is how long a peer that follows rollouts is known while it is off.
	keepFollower = 30 * 24 * time.Hour
	// expectFollower is how long one that is off counts as asked where all are.
	expectFollower = 24 * time.Hour
	// followerSaved is how old the time may be that the store has of it.
	followerSaved = time.Hour
	// maxShownPeers is how many peers an error names.
	maxShownPeers = 5
)

// Pending is the state in a rollout of a peer that is off or has not reported yet. No peer
// reports it.
const Pending State = "pending"

// RolloutRequest is what a rollout is to be.
type RolloutRequest struct {
	Peers    []string // nil: every peer that follows rollouts, now and later
	Strategy Strategy // Swarm if empty
	SHA256   string   // of the whole file; empty if it is not known
}

// RolloutView describes a rollout at one moment.
type RolloutView struct {
	ID              string
	Manifest        manifest.ID
	Name            string
	Size            int64
	Chunks          int
	All             bool
	Strategy        Strategy
	SHA256          string
	Started         time.Time
	Duration        time.Duration // until the last peer that is complete was so; 0 if none is
	Peers           []RolloutPeer // by ID
	Complete        int           // these four add up to len(Peers)
	Failed          int           // or cancelled
	Running         int           // on, and neither complete nor failed
	Pending         int           // off
	BytesDone       int64
	BytesFromOrigin int64
	BytesFromPeers  int64
}

// OriginRatio is how often the origin has sent the file; 0 for an empty one.
func (v *RolloutView) OriginRatio() float64 {
	if v.Size == 0 {
		return 0
	}
	return float64(v.BytesFromOrigin) / float64(v.Size)
}

// RolloutPeer is a peer that a rollout asks.
type RolloutPeer struct {
	ID     string
	Online bool
	State  State
	Rate   float64 // bytes a second, while it is downloading
	store.Outcome
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
	s.Outcomes = outcomes
	return &rollout{Rollout: s}
}

// snapshot is what may be given to the store, which keeps what it is given.
func (r *rollout) snapshot() store.Rollout {
	s := r.Rollout
	s.Outcomes = maps.Clone(s.Outcomes)
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
		Strategy: string(cmp.Or(q.Strategy, Swarm)), SHA256: strings.ToLower(q.SHA256), StartedAt: t.now(),
	})
	if err := t.store.SetRollout(r.snapshot()); err != nil {
		return RolloutView{}, false, err
	}
	_, replaced := t.rollouts[f.Name]
	t.rollouts[f.Name] = r
	for _, m := range f.members {
		if m.live(r.StartedAt) && m.State == Complete && r.asks(t, m.ID) {
			r.had(m.ID, f)
		}
	}
	t.wakeFollowers()
	return t.viewRollout(r), !replaced, nil
}

// checkFollow refuses peers that would never fetch.
func (t *Table) checkFollow(peers []string) error {
	var unknown, deaf []string
	for _, id := range peers {
		if _, ok := t.followers[id]; ok {
			continue
		}
		if p := t.fleet[id]; p != nil && p.live(t.now()) {
			deaf = append(deaf, id)
		} else {
			unknown = append(unknown, id)
		}
	}
	switch {
	case len(unknown) > 0:
		return invalid("peers", "%s never been registered here; GET /v1/peers lists the peers", have("peer", unknown))
	case len(deaf) > 0:
		return &Error{Kind: ErrNotFollowing, Field: "peers", Text: notFollowing(deaf)}
	}
	return nil
}

func notFollowing(ids []string) string {
	if len(ids) == 1 {
		return fmt.Sprintf("peer %s does not follow rollouts; start it with peerd --follow", ids[0])
	}
	return fmt.Sprintf("peers %s do not follow rollouts; start them with peerd --follow", enumerate(ids))
}

// have is the subject and the auxiliary of a sentence about IDs.
func have(what string, ids []string) string {
	if len(ids) == 1 {
		return what + " " + ids[0] + " has"
	}
	return what + "s " + enumerate(ids) + " have"
}

func enumerate(ids []string) string {
	if len(ids) > maxShownPeers {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:maxShownPeers], ", "), len(ids)-maxShownPeers)
	}
	return strings.Join(ids, ", ")
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
	for _, name := range slices.Sorted(maps.Keys(t.rollouts)) {
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
	t.wakeFollowers()
	return nil
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
	for _, name := range slices.Sorted(maps.Keys(t.rollouts)) {
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

// wakeFollowers lets those that wait look at their orders again.
func (t *Table) wakeFollowers() {
	close(t.news)
	t.news = make(chan struct{})
}

// noteFollower remembers, or forgets, that a peer that registers follows rollouts.
func (t *Table) noteFollower(p *Peer) error {
	known, was := t.followers[p.ID]
	if !p.Follow {
		if !was {
			return nil
		}
		return t.forgetFollower(p.ID)
	}
	for id, other := range t.followers {
		if id != p.ID && other.Address == p.Address.String() {
			if err := t.forgetFollower(id); err != nil {
				return err // an address has one process behind it
			}
		}
	}
	now := store.Follower{ID: p.ID, Address: p.Address.String(), SeenAt: p.LastSeen}
	if !was || known.Address != now.Address || now.SeenAt.Sub(t.followersSaved[p.ID]) >= followerSaved {
		if err := t.store.SetFollower(now); err != nil {
			return err
		}
		t.followersSaved[p.ID] = now.SeenAt
	}
	t.followers[p.ID] = now
	return nil
}

func (t *Table) forgetFollower(id string) error {
	if err := t.store.ForgetFollower(id); err != nil {
		return err
	}
	delete(t.followers, id)
	delete(t.followersSaved, id)
	return nil
}

// Forget takes a peer out of the fleet and every swarm, and no rollout waits for it any
// more. ErrUnknown if it was nowhere.
func (t *Table) Forget(id string) error {
	err := t.Unregister(id)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.followers[id]; ok {
		if err := t.forgetFollower(id); err != nil {
			return err
		}
		err = nil
	}
	for _, r := range t.rollouts {
		at, listed := slices.BinarySearch(r.Peers, id)
		if _, reported := r.Outcomes[id]; !listed && !reported {
			continue
		}
		if listed {
			r.Peers = slices.Delete(slices.Clone(r.Peers), at, at+1)
		}
		delete(r.Outcomes, id)
		if err := t.store.SetRollout(r.snapshot()); err != nil {
			return err
		}
		err = nil
	}
	return err
}

// had notes that a peer has the file from before the rollout.
func (r *rollout) had(peer string, f *file) {
	r.Outcomes[peer] = store.Outcome{
		State: string(Complete), AskedAt: r.StartedAt, FinishedAt: r.StartedAt, Chunks: f.Chunks, Bytes: f.Size,
	}
	r.dirty = true
}

// noteOutcome takes a report into the rollout of its file.
func (t *Table) noteOutcome(f *file, q *member) {
	r := t.rollouts[f.Name]
	if r == nil || r.Manifest != f.ID || !r.asks(t, q.ID) {
		return
	}
	old := r.Outcomes[q.ID]
	if State(old.State) == Complete && q.State == Paused {
		return // it stops serving
	}
	finished := time.Time{}
	if ended(q.State) {
		finished = q.seen.Add(-q.EndedAgo)
		switch {
		case finished.After(r.StartedAt):
		case q.State == Complete:
			if State(old.State) != Complete {
				r.had(q.ID, f)
			}
			return
		default:
			return // a failure of the past
		}
		if old.State == string(q.State) {
			finished = old.FinishedAt // the first report is the most exact
		}
	}
	o := store.Outcome{
		State: string(q.State), AskedAt: old.AskedAt, FinishedAt: finished, Chunks: q.heldCount, Bytes: f.bytes(q),
		FromOrigin: q.BytesFromOrigin, FromPeers: q.BytesFromPeers, Error: q.Error,
	}
	if o.AskedAt.IsZero() {
		o.AskedAt = r.StartedAt // it was fetching already
	}
	r.Outcomes[q.ID], r.dirty = o, true
}

// ended says that a download does not go on by itself.
func ended(s State) bool { return s == Complete || s == Failed || s == Cancelled }

func (t *Table) viewRollout(r *rollout) RolloutView {
	f, now := t.files[r.Manifest], t.now()
	v := RolloutView{
		ID: r.ID, Manifest: r.Manifest, Name: r.Name, Size: f.Size, Chunks: f.Chunks, All: r.All,
		Strategy: Strategy(r.Strategy), SHA256: r.SHA256, Started: r.StartedAt, Peers: []RolloutPeer{},
	}
	for _, id := range t.asked(r, now) {
		p := t.viewRolloutPeer(r, id, now)
		v.add(p)
	}
	return v
}

// asked are the peers that a rollout counts, by ID.
func (t *Table) asked(r *rollout, now time.Time) []string {
	if !r.All {
		return r.Peers
	}
	ids := map[string]bool{}
	for id, f := range t.followers {
		if now.Sub(f.SeenAt) < expectFollower {
			ids[id] = true
		}
	}
	for id, o := range r.Outcomes {
		if ended(State(o.State)) {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

func (t *Table) viewRolloutPeer(r *rollout, id string, now time.Time) RolloutPeer {
	p := RolloutPeer{ID: id, Outcome: r.Outcomes[id]}
	live := t.fleet[id] != nil && t.fleet[id].live(now)
	p.Online = live
	p.State = State(p.Outcome.State)
	switch {
	case ended(p.State):
	case live && !t.fleet[id].Follow:
		p.State, p.Online, p.Error = Pending, false, notFollowing([]string{id})
	case !live || p.State == "":
		p.State = Pending
	case p.State == Downloading:
		if m := t.files[r.Manifest].members[id]; m != nil && m.live(now) {
			p.Rate = m.rate
		}
	}
	return p
}

func (v *RolloutView) add(p RolloutPeer) {
	v.Peers = append(v.Peers, p)
	v.BytesDone += p.Bytes
	v.BytesFromOrigin += p.FromOrigin
	v.BytesFromPeers += p.FromPeers
	switch {
	case p.State == Complete:
		v.Complete++
		v.Duration = max(v.Duration, p.FinishedAt.Sub(v.Started))
	case ended(p.State):
		v.Failed++
	case p.Online:
		v.Running++
	default:
		v.Pending++
	}
}

// loadRollouts takes over what was stored.
func (t *Table) loadRollouts(s store.State) {
	for _, r := range s.Rollouts {
		t.rollouts[r.Name] = newRollout(r)
	}
	for _, f := range s.Followers {
		t.followers[f.ID], t.followersSaved[f.ID] = f, f.SeenAt
	}
}

// sweepRollouts stores outcomes, and forgets followers that have been off for long.
func (t *Table) sweepRollouts(now time.Time) error {
	var errs []error
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
