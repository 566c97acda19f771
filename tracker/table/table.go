package table

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"fanout/tracker/store"
)

const (
	// DefaultLease is how long an origin or peer stays listed without another announce.
	DefaultLease = 15 * time.Second
	// keepSuperseded is how long a superseded manifest stays findable though nobody uses it.
	keepSuperseded = time.Hour
	// keepWithdrawn is how long an origin may be away and still be told that its file was
	// withdrawn in the meantime.
	keepWithdrawn = 30 * 24 * time.Hour
)

// Options of a Table. All but Lease are required.
type Options struct {
	Lease time.Duration // 0 means DefaultLease
	Store store.Store
	Now   func() time.Time
	Rand  *rand.Rand // chooses among more peers than an answer has room for
}

// Table is everything that the tracker knows, in parts that each have a state of their own. One
// mutex guards them all, so that every call, of whichever part, sees and leaves the whole
// consistent. All is safe for concurrent use. A part uses those above it, and none below.
type Table struct {
	Files         *Files
	Fleet         *Fleet
	Distributions *Distributions
	Chunks        *Chunks
	Rollouts      *Rollouts
	Origins       *Origins
	Swarms        *Swarms

	*shared
}

// shared is what the parts of a Table have in common. What a part exports takes the mutex, and
// is not called with it held; the rest is called with it held. It is held while a change is
// written to the store, too: those are rare, and what was answered is then also what is stored.
type shared struct {
	mu      sync.Mutex
	lease   time.Duration
	store   store.Store
	now     func() time.Time
	rand    *rand.Rand
	started time.Time // before it, who was on is not known
}

// New makes a table of what the store has.
func New(o Options) (*Table, error) {
	s := &shared{lease: cmp.Or(o.Lease, DefaultLease), store: o.Store, now: o.Now, rand: o.Rand, started: o.Now()}
	state, err := o.Store.Load()
	if err != nil {
		return nil, err
	}
	files, err := newFiles(s, state)
	if err != nil {
		return nil, err
	}
	followers := newFollowers(s, state.Followers)
	fleet := &Fleet{shared: s, peers: map[string]*Peer{}, ids: newIdentities("peerd", s.lease), followers: followers}
	distributions := &Distributions{shared: s, files: files}
	chunks := &Chunks{shared: s, files: files, fleet: fleet}
	rollouts := newRollouts(s, files, fleet, state)
	return &Table{
		shared: s, Files: files, Fleet: fleet, Distributions: distributions, Chunks: chunks, Rollouts: rollouts,
		Origins: &Origins{
			shared: s, files: files, distributions: distributions, rollouts: rollouts, ids: newIdentities("origin", s.lease),
		},
		Swarms: &Swarms{
			shared: s, files: files, fleet: fleet, distributions: distributions, chunks: chunks, rollouts: rollouts,
		},
	}, nil
}

// Lease is how long a lease lasts, and Interval when to renew it.
func (t *Table) Lease() time.Duration { return t.lease }

// Interval leaves room for two lost announces.
func (t *Table) Interval() time.Duration { return t.interval() }

func (s *shared) interval() time.Duration { return s.lease / 3 }

// OnClash has f told when two running processes turn out to have one ID. It is called with the
// table's mutex held and must not call back. Call it before the table is used.
func (t *Table) OnClash(f func(Clash)) { t.Fleet.ids.onClash, t.Origins.ids.onClash = f, f }

// Sweep stores how rollouts stand, and forgets what has run out: leases, assignments that no
// static download uses any more, superseded manifests that nobody uses any more, old
// withdrawals, peers that have been away for long. It is called now and then;
// lookups pass over what has run out anyway. An error is the store's; what it concerns is
// tried again by the next sweep.
func (t *Table) Sweep() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.Origins.ids.sweep(now)
	errs := []error{t.Fleet.sweep(now), t.Rollouts.sweep(now)}
	for _, f := range t.Files.byID {
		maps.DeleteFunc(f.origins, func(_ string, o *Origin) bool { return !o.live(now) })
		maps.DeleteFunc(f.members, func(_ string, m *member) bool { return !m.live(now) })
		t.Distributions.settle(f, now)
		if err := t.sweepFile(f, now); err != nil {
			errs = append(errs, fmt.Errorf("sweep manifest %s of %q: %w", f.ID, f.Name, err))
		}
	}
	return errors.Join(append(errs, t.Files.sweepWithdrawn(now))...)
}

func (t *Table) sweepFile(f *file, now time.Time) error {
	if err := t.Chunks.sweep(f); err != nil {
		return err
	}
	if t.Rollouts.of(f) != nil || !f.disused(now, t.lease) {
		return nil
	}
	return t.Files.drop(f)
}
