package chunkstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"fanout/internal/chunks/manifest"
)

// Errors that callers tell apart with errors.Is. A full disk is
// syscall.ENOSPC, a closed store os.ErrClosed.
var (
	ErrNotHeld    = errors.New("chunk not held")
	ErrReadOnly   = errors.New("store is read-only")
	ErrIncomplete = errors.New("chunks are missing")
	ErrInUse      = errors.New("another download is writing this file")
	ErrInTheWay   = errors.New("a file is in the way that fanout did not make")
	ErrReplaced   = errors.New("file was removed or replaced")
	ErrSize       = errors.New("file does not have the size of the manifest")
	ErrSHA256     = errors.New("whole-file SHA-256 does not match")
	ErrDamaged    = errors.New("bytes that were verified are gone")
)

// Store is the chunks of one manifest in one file. It is safe for concurrent
// use. Get one from Open, OpenComplete or OpenSource.
//
// It sees to it that a chunk is held only if the file has its bytes, from the
// first write to the final name: the inventory knows only bits, the file only
// bytes.
type Store struct {
	*inventory
	*file

	// damaged is told of bytes that were verified and cannot be read any more.
	damaged atomic.Pointer[func(error)]

	disk   sync.Mutex // held while files are made, renamed, removed or closed
	closed bool
	sha256 string // of the whole file, once Finish has checked it

	// writes is held for reading while a chunk is written. Once it was held for writing with
	// every chunk here, nothing writes to the file any more.
	writes sync.RWMutex
}

// newStore makes a store that holds nothing yet.
func newStore(m *manifest.Manifest, f *file) *Store {
	f.size = m.Size
	return &Store{inventory: newInventory(m), file: f}
}

// OnDamage has f told when bytes of a held chunk cannot be read: the file has
// become shorter, or the disk fails. It must not block.
func (s *Store) OnDamage(f func(error)) { s.damaged.Store(&f) }

func (s *Store) damage(err error) error {
	if f := s.damaged.Load(); f != nil {
		(*f)(err)
	}
	return err
}

// Manifest is what the store was opened with.
func (s *Store) Manifest() *manifest.Manifest { return s.m }

// Whole tells whether every chunk is held and the file has nothing else.
func (s *Store) Whole() bool {
	info, err := s.f.Stat()
	return err == nil && s.Complete() && info.Size() == s.m.Size
}

// Put verifies the chunk and writes it to disk. It tells whether the chunk is
// new: a chunk already held is neither looked at nor written. Of concurrent
// Puts of one chunk exactly one is fresh.
//
// Errors: those of manifest.Verify, ErrReadOnly, and those of Intact.
func (s *Store) Put(chunk int, data []byte) (fresh bool, err error) {
	if s.Has(chunk) {
		return false, nil
	}
	if !s.writable() {
		return false, fmt.Errorf("put chunk %d: %w", chunk, ErrReadOnly)
	}
	if err := s.m.Verify(chunk, data); err != nil {
		return false, err
	}
	s.writes.RLock()
	defer s.writes.RUnlock()
	if s.Has(chunk) { // meanwhile
		return false, nil
	}
	if err := s.Intact(); err != nil {
		return false, fmt.Errorf("put chunk %d: %w", chunk, err)
	}
	// Two writers of one chunk write the same bytes.
	if err := s.write(data, s.m.Offset(chunk)); err != nil {
		return false, fmt.Errorf("write chunk %d: %w", chunk, err)
	}
	return s.hold(chunk), nil
}

// Chunk is where to read a held chunk: n bytes at offset off of f. The file
// stays open until Close, also across Finish. Do not use its file offset,
// which all readers share; see SendTo.
func (s *Store) Chunk(chunk int) (f *os.File, off int64, n int, err error) {
	if !s.Has(chunk) {
		return nil, 0, 0, fmt.Errorf("%w: chunk %d", ErrNotHeld, chunk)
	}
	return s.f, s.m.Offset(chunk), s.m.Length(chunk), nil
}

// ReadAt implements io.ReaderAt for the bytes of held chunks. If any byte asked
// for belongs to a chunk that is not held, it reads nothing and returns
// ErrNotHeld. If the file has become shorter, it is io.ErrUnexpectedEOF.
func (s *Store) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s: negative offset %d", s.path, off)
	}
	if off >= s.m.Size {
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), s.m.Size)
	for c := off / s.m.ChunkSize; c*s.m.ChunkSize < end; c++ {
		if !s.Has(int(c)) {
			return 0, fmt.Errorf("%w: chunk %d", ErrNotHeld, c)
		}
	}
	want := int(end - off)
	n, err := s.f.ReadAt(p[:want], off)
	switch {
	case n == want && want < len(p):
		return n, io.EOF
	case n == want:
		return n, nil
	case errors.Is(err, io.EOF): // there were more bytes when they were verified
		err = io.ErrUnexpectedEOF
	case errors.Is(err, os.ErrClosed):
		return n, err
	}
	return n, s.damage(fmt.Errorf("read %s: %w", s.path, err))
}
