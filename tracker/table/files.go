package table

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/maruel/natural"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
)

// Origin serves a file as its complete source.
type Origin struct {
	ID          string
	Address     Address // of its chunk listener
	HTTPAddress Address // may be zero
	Instance    string  // of the process; empty if it does not tell
	Counts      bool    // it tells what it has sent
	Sent        int64   // bytes of the file, by this process
	heard       time.Time
	expires     time.Time
}

func (o *Origin) live(now time.Time) bool { return now.Before(o.expires) }

// FileView describes a published file at one moment.
type FileView struct {
	ID            manifest.ID
	Name          string
	Current       bool // the name stands for it
	Size          int64
	ChunkSize     int64
	Chunks        int
	PublishedAt   time.Time
	Origins       []Origin // in address order
	Peers         int      // in the swarm
	PeersComplete int      // of those, the ones that have every chunk
}

// Publish makes the name stand for the manifest and lists the origin. created is false where
// the name stood for it already, so that only the lease was renewed. id must be m.ID(), and m
// valid. ErrInvalid if name is not the manifest's.
func (t *Table) Publish(name string, m *manifest.Manifest, id manifest.ID, origin Origin) (created bool, err error) {
	if m.Name != name {
		return false, invalid("manifest.name", "the manifest is named %q, but it is published as %q; use the same name", m.Name, name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old, named := t.names[name]
	if !named || old != id {
		if err := t.setCurrent(id, m); err != nil {
			return false, err
		}
		created = true
	}
	return created, t.listOrigin(t.files[id], origin)
}

func (t *Table) setCurrent(id manifest.ID, m *manifest.Manifest) error {
	now := t.now()
	if err := t.store.Publish(id, m, now); err != nil {
		return err
	}
	if old, ok := t.names[m.Name]; ok {
		t.files[old].SupersededAt = now
	}
	f := t.files[id]
	if f == nil {
		f = newFile(store.File{ID: id, Name: m.Name, Size: m.Size, ChunkSize: m.ChunkSize, Chunks: m.Chunks()})
		t.files[id] = f
	}
	f.PublishedAt, f.SupersededAt = now, time.Time{}
	t.names[m.Name] = id
	delete(t.withdrawn, id)
	return nil
}

// listOrigin lists the origin for one lease. An address has one process behind it, so
// another origin that was listed with it is gone. The error is an ErrClash.
func (t *Table) listOrigin(f *file, o Origin) error {
	now := t.now()
	if err := t.originIDs.claim(o.ID, o.Instance, o.Address, now); err != nil {
		return err
	}
	for id, other := range f.origins {
		if id != o.ID && other.Address == o.Address {
			delete(f.origins, id)
		}
	}
	o.heard, o.expires = now, now.Add(t.lease)
	f.origins[o.ID] = &o
	t.noteSent(f, o)
	t.tellFinished(f, now)
	return nil
}

// Withdraw forgets a file, its table and its leases, and remembers that it was withdrawn.
// Errors: ErrUnknown, ErrWithdrawn.
func (t *Table) Withdraw(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return err
	}
	now := t.now()
	if err := t.store.Withdraw(f.ID, now); err != nil {
		return err
	}
	for id := range f.members {
		t.leave(f, id, Cancelled)
	}
	delete(t.files, f.ID)
	if t.names[f.Name] == f.ID {
		delete(t.names, f.Name)
	}
	t.withdrawn[f.ID] = store.Withdrawal{ID: f.ID, Name: f.Name, At: now}
	t.endRolloutOf(f)
	return nil
}

// Files lists the files by name; a name's superseded manifests that are still in use follow
// its current one, the latest first.
func (t *Table) Files() []FileView {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	views := []FileView{}
	for _, f := range t.files {
		v := f.view(now)
		if v.Current || len(v.Origins) > 0 || v.Peers > 0 {
			views = append(views, v)
		}
	}
	slices.SortFunc(views, func(a, b FileView) int {
		return cmp.Or(byName(a.Name, b.Name), -compareBool(a.Current, b.Current),
			b.PublishedAt.Compare(a.PublishedAt), strings.Compare(a.ID.String(), b.ID.String()))
	})
	return views
}

// byName is the order of names that people expect: web-2 before web-10.
func byName(a, b string) int { return cmp.Or(natural.Compare(a, b), strings.Compare(a, b)) }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// File describes a file. Errors: ErrUnknown, ErrWithdrawn.
func (t *Table) File(name string) (FileView, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return FileView{}, err
	}
	return f.view(t.now()), nil
}

// Manifest gets a file's manifest and its ID. Errors: ErrUnknown, ErrWithdrawn, the store's.
func (t *Table) Manifest(name string) (*manifest.Manifest, manifest.ID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return nil, manifest.ID{}, err
	}
	m, err := t.store.Manifest(f.ID)
	return m, f.ID, err
}

func (f *file) view(now time.Time) FileView {
	v := FileView{
		ID: f.ID, Name: f.Name, Current: f.SupersededAt.IsZero(), Size: f.Size, ChunkSize: f.ChunkSize,
		Chunks: f.Chunks, PublishedAt: f.PublishedAt, Origins: f.liveOrigins(now),
	}
	for _, m := range f.members {
		if m.live(now) {
			v.Peers++
			if m.complete(f.Chunks) {
				v.PeersComplete++
			}
		}
	}
	return v
}

func (f *file) liveOrigins(now time.Time) []Origin {
	origins := []Origin{}
	for _, o := range f.origins {
		if o.live(now) {
			origins = append(origins, *o)
		}
	}
	slices.SortFunc(origins, func(a, b Origin) int {
		return cmp.Or(a.Address.Compare(b.Address), strings.Compare(a.ID, b.ID))
	})
	return origins
}
