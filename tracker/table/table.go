package table

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"fanout/internal/chunks/manifest"
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

// Table is safe for concurrent use. Its mutex is held while a change is written to the store:
// those are rare, and what was answered is then also what is stored.
type Table struct {
	lease time.Duration
	store store.Store
	now   func() time.Time

	started time.Time // before it, who was on is not known
	loaded  bool      // the store had all rollouts that there were then

	mu        sync.Mutex
	rand      *rand.Rand
	files     map[manifest.ID]*file
	names     map[string]manifest.ID // what they stand for now
	withdrawn map[manifest.ID]store.Withdrawal
	fleet     map[string]*Peer
	peerIDs   *identities
	originIDs *identities
	version   uint64
	finished  []Distribution // the latest last, at most MaxDistributions
	totals    Totals
	rates     rates

	onFinished func(Distribution)

	rollouts  map[string]*rollout  // by the name of the file
	ended     map[string]time.Time // rollouts by ID -> when they were ended or replaced, since the start
	followers map[string]store.Follower
	// followersSaved is what the store has of SeenAt.
	followersSaved map[string]time.Time
	news           chan struct{} // closed when rollouts have changed, and made anew
}

// file is one manifest and its swarm.
type file struct {
	store.File
	origins  map[string]*Origin
	sent     map[string]int64 // by the process of an origin: what it last said that it has sent
	members  map[string]*member
	dist     *distribution // nil: none yet
	assigned *Assignment   // nil: none yet; see staticTable for when it counts
	uploaded bool          // assigned was
	leftAt   time.Time     // when an origin left last; zero for never
	loadedAt time.Time     // from the store at the start, zero if published since
}

// New makes a table of what the store has.
func New(o Options) (*Table, error) {
	t := &Table{
		lease: o.Lease, store: o.Store, now: o.Now, rand: o.Rand,
		files:     map[manifest.ID]*file{},
		names:     map[string]manifest.ID{},
		withdrawn: map[manifest.ID]store.Withdrawal{},
		fleet:     map[string]*Peer{},
		rollouts:  map[string]*rollout{}, ended: map[string]time.Time{}, followers: map[string]store.Follower{},
		followersSaved: map[string]time.Time{}, news: make(chan struct{}),
	}
	if t.lease == 0 {
		t.lease = DefaultLease
	}
	t.peerIDs, t.originIDs = newIdentities("peerd", t.lease), newIdentities("origin", t.lease)
	t.started = t.now()
	state, err := o.Store.Load()
	if err != nil {
		return nil, err
	}
	t.loaded = len(state.Files)+len(state.Followers) > 0
	for _, s := range state.Files {
		if err := t.load(s); err != nil {
			return nil, fmt.Errorf("stored table of %q: %w", s.Name, err)
		}
	}
	for _, w := range state.Withdrawn {
		t.withdrawn[w.ID] = w
	}
	t.loadRollouts(state)
	return t, nil
}

func (t *Table) load(s store.File) error {
	f := newFile(s)
	f.loadedAt = t.now()
	if s.Table != nil {
		a, err := restore(s.Table.Owners)
		if err != nil {
			return err
		}
		f.assigned, f.uploaded, f.Table = a, s.Table.Uploaded, nil
	}
	t.files[s.ID] = f
	if s.SupersededAt.IsZero() {
		t.names[s.Name] = s.ID
	}
	return nil
}

func newFile(s store.File) *file {
	return &file{File: s, origins: map[string]*Origin{}, sent: map[string]int64{}, members: map[string]*member{}}
}

// Lease is how long a lease lasts, and Interval when to renew it.
func (t *Table) Lease() time.Duration { return t.lease }

// Interval leaves room for two lost announces.
func (t *Table) Interval() time.Duration { return t.lease / 3 }

// resolve finds a file by name or manifest ID. Errors: ErrUnknown, ErrWithdrawn.
func (t *Table) resolve(name string) (*file, error) {
	id, err := manifest.ParseID(name)
	if err != nil {
		var current bool
		if id, current = t.names[name]; !current {
			return nil, t.unknownName(name)
		}
	}
	if f := t.files[id]; f != nil {
		return f, nil
	}
	if w, ok := t.withdrawn[id]; ok {
		return nil, withdrawnError(w)
	}
	return nil, fail(ErrUnknown, "no manifest %s is known; GET /v1/files lists the files", name)
}

func (t *Table) unknownName(name string) error {
	var last store.Withdrawal
	for _, w := range t.withdrawn {
		if w.Name == name && w.At.After(last.At) {
			last = w
		}
	}
	if last.Name == name {
		return withdrawnError(last)
	}
	const shown = 10
	names := slices.SortedFunc(maps.Keys(t.names), byName)
	switch n := len(names); {
	case n == 0:
		return fail(ErrUnknown, "no file named %q is published, nor any other; publish it with: origin --tracker URL %s", name, name)
	case n > shown:
		return fail(ErrUnknown, "no file named %q is published; published are: %s and %d more (GET /v1/files)",
			name, strings.Join(names[:shown], ", "), n-shown)
	}
	return fail(ErrUnknown, "no file named %q is published; published are: %s", name, strings.Join(names, ", "))
}

func withdrawnError(w store.Withdrawal) error {
	return fail(ErrWithdrawn, "the file %q (manifest %s) was withdrawn at %s; to have it again, restart its origin",
		w.Name, w.ID, w.At.UTC().Format(time.RFC3339))
}

// Sweep stores how rollouts stand, and forgets what has run out: leases, assignments that no
// static download uses any more, superseded manifests that nobody uses any more, old
// withdrawals, peers that have been away for long. It is called now and then;
// lookups pass over what has run out anyway. An error is the store's; what it concerns is
// tried again by the next sweep.
func (t *Table) Sweep() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	maps.DeleteFunc(t.fleet, func(_ string, p *Peer) bool { return !p.live(now) })
	t.peerIDs.sweep(now)
	t.originIDs.sweep(now)
	errs := []error{t.sweepRollouts(now)}
	for _, f := range t.files {
		maps.DeleteFunc(f.origins, func(_ string, o *Origin) bool { return !o.live(now) })
		maps.DeleteFunc(f.members, func(_ string, m *member) bool { return !m.live(now) })
		t.settle(f, now)
		if err := t.sweepFile(f, now); err != nil {
			errs = append(errs, fmt.Errorf("sweep manifest %s of %q: %w", f.ID, f.Name, err))
		}
	}
	for id, w := range t.withdrawn {
		if now.Sub(w.At) <= keepWithdrawn {
			continue
		}
		if err := t.store.ForgetWithdrawal(id); err != nil {
			errs = append(errs, fmt.Errorf("forget withdrawal of %q: %w", w.Name, err))
			continue
		}
		delete(t.withdrawn, id)
	}
	return errors.Join(errs...)
}

func (t *Table) sweepFile(f *file, now time.Time) error {
	if f.assigned != nil && !t.fixed(f) {
		if err := t.store.ClearTable(f.ID); err != nil {
			return err
		}
		f.assigned = nil
	}
	if t.disused(f, now) {
		if err := t.store.Drop(f.ID); err != nil {
			return err
		}
		delete(t.files, f.ID)
	}
	return nil
}

// disused reports whether a swept file may be dropped. After a start the leases need time to
// come back.
func (t *Table) disused(f *file, now time.Time) bool {
	return !f.SupersededAt.IsZero() && len(f.origins) == 0 && len(f.members) == 0 && !t.rolledOut(f) &&
		now.Sub(f.SupersededAt) >= keepSuperseded && now.Sub(f.loadedAt) >= 2*t.lease
}
