package table

import (
	"io"
	"slices"
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/trackerfile"
	"fanout/tracker/store"
)

// ChunkView is one line of the chunk table.
type ChunkView struct {
	Chunk   int
	Owner   string   // chunk address, empty while nobody owns it
	Holders []string // chunk addresses of the peers that have it and share it, in address order
}

// ChunkPage is a part of the chunk table.
type ChunkPage struct {
	ID     manifest.ID
	Name   string
	Total  int // chunks of the file
	Chunks []ChunkView
}

// StaticTable is who owns which chunk in static downloads: the uploaded table if there is
// one; else the assignment that the first of the running static downloads fixed; else what
// it would be if one began now. Errors: ErrUnknown, ErrWithdrawn, ErrNoPeers.
func (t *Table) StaticTable(name string) (*Assignment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	if t.fixed(f) {
		return f.assigned, nil
	}
	return t.assign(f)
}

// fixed reports whether the assignment counts. One that no static download uses any more
// does not; but after a restart the users need time to announce.
func (t *Table) fixed(f *file) bool {
	if f.assigned == nil || f.uploaded {
		return f.uploaded
	}
	now := t.now()
	if !f.loadedAt.IsZero() && now.Sub(f.loadedAt) < 2*t.lease {
		return true
	}
	for _, m := range f.members {
		if m.static() && m.live(now) {
			return true
		}
	}
	return false
}

func (t *Table) assign(f *file) (*Assignment, error) {
	if f.Chunks == 0 {
		return &Assignment{}, nil
	}
	peers := t.fleetAddresses()
	if len(peers) == 0 {
		return nil, fail(ErrNoPeers, "no peer is registered, so nobody can own the chunks of %q; start peers first", f.Name)
	}
	return roundRobin(peers, f.Chunks), nil
}

// freeze fixes the assignment for a static download that begins, unless one is fixed. Where
// there is no peer to assign to, that is left to the next announce.
func (t *Table) freeze(f *file) error {
	if t.fixed(f) {
		return nil
	}
	a, err := t.assign(f)
	if err != nil {
		return nil //nolint:nilerr // only ErrNoPeers is possible
	}
	if err := t.store.SetTable(f.ID, store.OwnerTable{Owners: a.owners()}); err != nil {
		return err
	}
	f.assigned, f.loadedAt = a, time.Time{}
	return nil
}

// Upload makes a tracker file the table of static downloads. Errors: ErrUnknown,
// ErrWithdrawn, trackerfile.ErrMalformed, ErrInvalid for owners that are no registered peers,
// the reader's, the store's.
func (t *Table) Upload(name string, r io.Reader) error {
	view, err := t.File(name)
	if err != nil {
		return err
	}
	entries, err := trackerfile.Parse(r, view.Chunks) // reads from the network: not under the mutex
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(view.ID.String())
	if err != nil {
		return err
	}
	a, err := resolve(entries, t.fleetAddresses())
	if err != nil {
		return err
	}
	if err := t.store.SetTable(f.ID, store.OwnerTable{Owners: a.owners(), Uploaded: true}); err != nil {
		return err
	}
	f.assigned, f.uploaded = a, true
	return nil
}

// ForgetTable forgets an uploaded table, if there is one; the next announce of a static
// download fixes an assignment again. Errors: ErrUnknown, ErrWithdrawn, the store's.
func (t *Table) ForgetTable(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil || !f.uploaded {
		return err
	}
	if err := t.store.ClearTable(f.ID); err != nil {
		return err
	}
	f.assigned, f.uploaded = nil, false
	return nil
}

// Chunks gives up to limit chunks from offset on. The owner is the one of StaticTable where
// that is uploaded or fixed, else the peer that announced to own the chunk. Errors:
// ErrUnknown, ErrWithdrawn.
func (t *Table) Chunks(name string, offset, limit int) (ChunkPage, error) {
	page, members, fixed, err := t.chunkSources(name)
	if err != nil {
		return ChunkPage{}, err
	}
	// Without the mutex: a big page takes tens of milliseconds, and neither members nor
	// assignments change once made.
	for chunk := offset; chunk < page.Total && chunk-offset < limit; chunk++ {
		v := viewChunk(chunk, members)
		if fixed != nil {
			v.Owner = fixed.Owner(chunk).String()
		}
		page.Chunks = append(page.Chunks, v)
	}
	return page, nil
}

// chunkSources is what a chunk table is made of: an empty page, the members in address order,
// and the assignment if it is fixed.
func (t *Table) chunkSources(name string) (page ChunkPage, members []*member, fixed *Assignment, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := t.resolve(name)
	if err != nil {
		return ChunkPage{}, nil, nil, err
	}
	if t.fixed(f) {
		fixed = f.assigned
	}
	page = ChunkPage{ID: f.ID, Name: f.Name, Total: f.Chunks, Chunks: []ChunkView{}}
	return page, f.membersByAddress(t.now()), fixed, nil
}

func (f *file) membersByAddress(now time.Time) []*member {
	var members []*member
	for _, m := range f.members {
		if m.live(now) {
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(a, b *member) int { return a.Address.Compare(b.Address) })
	return members
}

func viewChunk(chunk int, members []*member) ChunkView {
	v := ChunkView{Chunk: chunk, Holders: []string{}}
	for _, m := range members {
		if v.Owner == "" && m.Owned.has(chunk) {
			v.Owner = m.Address.String()
		}
		if m.shares() && m.Held.has(chunk) {
			v.Holders = append(v.Holders, m.Address.String())
		}
	}
	return v
}
