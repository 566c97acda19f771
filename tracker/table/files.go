package table

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/maruel/natural"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
)

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

// Files are what is published, what the names stand for, and what was withdrawn.
type Files struct {
	*shared
	byID      map[manifest.ID]*file
	names     map[string]manifest.ID // what they stand for now
	withdrawn map[manifest.ID]store.Withdrawal
}

func newFiles(s *shared, state store.State) (*Files, error) {
	fs := &Files{
		shared: s, byID: map[manifest.ID]*file{}, names: map[string]manifest.ID{}, withdrawn: map[manifest.ID]store.Withdrawal{},
	}
	for _, stored := range state.Files {
		f, err := restoreFile(stored, s.now())
		if err != nil {
			return nil, fmt.Errorf("stored table of %q: %w", stored.Name, err)
		}
		fs.byID[f.ID] = f
		if f.SupersededAt.IsZero() {
			fs.names[f.Name] = f.ID
		}
	}
	for _, w := range state.Withdrawn {
		fs.withdrawn[w.ID] = w
	}
	return fs, nil
}

// resolve finds a file by name or manifest ID. Errors: ErrUnknown, ErrWithdrawn.
func (fs *Files) resolve(name string) (*file, error) {
	id, err := manifest.ParseID(name)
	if err != nil {
		var current bool
		if id, current = fs.names[name]; !current {
			return nil, fs.unknownName(name)
		}
	}
	if f := fs.byID[id]; f != nil {
		return f, nil
	}
	if w, ok := fs.withdrawn[id]; ok {
		return nil, withdrawnError(w)
	}
	return nil, fail(ErrUnknown, "no manifest %s is known; GET /v1/files lists the files", name)
}

func (fs *Files) unknownName(name string) error {
	var last store.Withdrawal
	for _, w := range fs.withdrawn {
		if w.Name == name && w.At.After(last.At) {
			last = w
		}
	}
	if last.Name == name {
		return withdrawnError(last)
	}
	const shown = 10
	names := slices.SortedFunc(maps.Keys(fs.names), byName)
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

// publish makes the name of the manifest stand for it; created is false where it did already.
func (fs *Files) publish(id manifest.ID, m *manifest.Manifest) (f *file, created bool, err error) {
	old, named := fs.names[m.Name]
	if named && old == id {
		return fs.byID[id], false, nil
	}
	now := fs.now()
	if err := fs.store.Publish(id, m, now); err != nil {
		return nil, false, err
	}
	if named {
		fs.byID[old].SupersededAt = now
	}
	if f = fs.byID[id]; f == nil {
		f = newFile(store.File{ID: id, Name: m.Name, Size: m.Size, ChunkSize: m.ChunkSize, Chunks: m.Chunks()})
		fs.byID[id] = f
	}
	f.PublishedAt, f.SupersededAt = now, time.Time{}
	fs.names[m.Name] = id
	delete(fs.withdrawn, id)
	return f, true, nil
}

// withdraw forgets a file, and remembers that it was withdrawn.
func (fs *Files) withdraw(f *file) error {
	now := fs.now()
	if err := fs.store.Withdraw(f.ID, now); err != nil {
		return err
	}
	delete(fs.byID, f.ID)
	if fs.names[f.Name] == f.ID {
		delete(fs.names, f.Name)
	}
	fs.withdrawn[f.ID] = store.Withdrawal{ID: f.ID, Name: f.Name, At: now}
	return nil
}

// drop forgets a superseded file without a trace.
func (fs *Files) drop(f *file) error {
	if err := fs.store.Drop(f.ID); err != nil {
		return err
	}
	delete(fs.byID, f.ID)
	return nil
}

// sweepWithdrawn forgets old withdrawals.
func (fs *Files) sweepWithdrawn(now time.Time) error {
	var errs []error
	for id, w := range fs.withdrawn {
		if now.Sub(w.At) <= keepWithdrawn {
			continue
		}
		if err := fs.store.ForgetWithdrawal(id); err != nil {
			errs = append(errs, fmt.Errorf("forget withdrawal of %q: %w", w.Name, err))
			continue
		}
		delete(fs.withdrawn, id)
	}
	return errors.Join(errs...)
}

// List lists the files by name; a name's superseded manifests that are still in use follow
// its current one, the latest first.
func (fs *Files) List() []FileView {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	now := fs.now()
	views := []FileView{}
	for _, f := range fs.byID {
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

// Get describes a file. Errors: ErrUnknown, ErrWithdrawn.
func (fs *Files) Get(name string) (FileView, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, err := fs.resolve(name)
	if err != nil {
		return FileView{}, err
	}
	return f.view(fs.now()), nil
}

// Manifest gets a file's manifest and its ID. Errors: ErrUnknown, ErrWithdrawn, the store's.
func (fs *Files) Manifest(name string) (*manifest.Manifest, manifest.ID, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f, err := fs.resolve(name)
	if err != nil {
		return nil, manifest.ID{}, err
	}
	m, err := fs.store.Manifest(f.ID)
	return m, f.ID, err
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
