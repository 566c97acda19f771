package table

import (
	"io"
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

// Chunks are who owns which chunk, and who holds it.
type Chunks struct {
	*shared
	files *Files
	fleet *Fleet
}

// Static is who owns which chunk in static downloads: the uploaded table if there is
// one; else the assignment that the first of the running static downloads fixed; else what
// it would be if one began now. Errors: ErrUnknown, ErrWithdrawn, ErrNoPeers.
func (cs *Chunks) Static(name string) (*Assignment, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	f, err := cs.files.resolve(name)
	if err != nil {
		return nil, err
	}
	if cs.fixed(f) {
		return f.assigned, nil
	}
	return cs.assign(f)
}

// fixed reports whether the assignment counts. One that no static download uses any more
// does not; but after a restart the users need time to announce.
func (cs *Chunks) fixed(f *file) bool {
	if f.assigned == nil || f.uploaded {
		return f.uploaded
	}
	now := cs.now()
	if !f.loadedAt.IsZero() && now.Sub(f.loadedAt) < 2*cs.lease {
		return true
	}
	for _, m := range f.members {
		if m.static() && m.live(now) {
			return true
		}
	}
	return false
}

// sweep forgets an assignment that does not count any more.
func (cs *Chunks) sweep(f *file) error {
	if f.assigned == nil || cs.fixed(f) {
		return nil
	}
	if err := cs.store.ClearTable(f.ID); err != nil {
		return err
	}
	f.assigned = nil
	return nil
}

func (cs *Chunks) assign(f *file) (*Assignment, error) {
	if f.Chunks == 0 {
		return &Assignment{}, nil
	}
	peers := cs.fleet.addresses()
	if len(peers) == 0 {
		return nil, fail(ErrNoPeers, "no peer is registered, so nobody can own the chunks of %q; start peers first", f.Name)
	}
	return roundRobin(peers, f.Chunks), nil
}

// freeze fixes the assignment for a static download that begins, unless one is fixed. Where
// there is no peer to assign to, that is left to the next announce.
func (cs *Chunks) freeze(f *file) error {
	if cs.fixed(f) {
		return nil
	}
	a, err := cs.assign(f)
	if err != nil {
		return nil //nolint:nilerr // only ErrNoPeers is possible
	}
	if err := cs.store.SetTable(f.ID, store.OwnerTable{Owners: a.owners()}); err != nil {
		return err
	}
	f.assigned, f.loadedAt = a, time.Time{}
	return nil
}

// Upload makes a tracker file the table of static downloads. Errors: ErrUnknown,
// ErrWithdrawn, trackerfile.ErrMalformed, ErrInvalid for owners that are no registered peers,
// the reader's, the store's.
func (cs *Chunks) Upload(name string, r io.Reader) error {
	view, err := cs.files.Get(name)
	if err != nil {
		return err
	}
	entries, err := trackerfile.Parse(r, view.Chunks) // reads from the network: not under the mutex
	if err != nil {
		return err
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	f, err := cs.files.resolve(view.ID.String())
	if err != nil {
		return err
	}
	a, err := resolve(entries, cs.fleet.addresses())
	if err != nil {
		return err
	}
	if err := cs.store.SetTable(f.ID, store.OwnerTable{Owners: a.owners(), Uploaded: true}); err != nil {
		return err
	}
	f.assigned, f.uploaded = a, true
	return nil
}

// Forget forgets an uploaded table, if there is one; the next announce of a static
// download fixes an assignment again. Errors: ErrUnknown, ErrWithdrawn, the store's.
func (cs *Chunks) Forget(name string) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	f, err := cs.files.resolve(name)
	if err != nil || !f.uploaded {
		return err
	}
	if err := cs.store.ClearTable(f.ID); err != nil {
		return err
	}
	f.assigned, f.uploaded = nil, false
	return nil
}

// Page gives up to limit chunks from offset on. The owner is the one of Static where
// that is uploaded or fixed, else the peer that announced to own the chunk. Errors:
// ErrUnknown, ErrWithdrawn.
func (cs *Chunks) Page(name string, offset, limit int) (ChunkPage, error) {
	page, members, fixed, err := cs.sources(name)
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

// sources is what a chunk table is made of: an empty page, the members in address order,
// and the assignment if it is fixed.
func (cs *Chunks) sources(name string) (page ChunkPage, members []*member, fixed *Assignment, err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	f, err := cs.files.resolve(name)
	if err != nil {
		return ChunkPage{}, nil, nil, err
	}
	if cs.fixed(f) {
		fixed = f.assigned
	}
	page = ChunkPage{ID: f.ID, Name: f.Name, Total: f.Chunks, Chunks: []ChunkView{}}
	return page, f.membersByAddress(cs.now()), fixed, nil
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
