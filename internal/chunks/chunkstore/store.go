package chunkstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/bitmap"
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
type Store struct {
	m  *manifest.Manifest
	id manifest.ID

	dir   Dir      // zero for OpenSource
	path  string   // final name, relative to dir.Root; for OpenSource as given
	names names    // of the part and its state
	f     *os.File // the part or the final file, whatever its name is by now

	opened Stamp // of OpenComplete: what its chunks are verified of

	state *os.File // of a part, else nil; changed under both locks

	// damaged is told of bytes that were verified and cannot be read any more.
	damaged atomic.Pointer[func(error)]

	mu      sync.RWMutex
	held    *bitset.BitSet // verified
	claimed *bitset.BitSet // said by the state file, not looked at yet
	count   int            // bits set in held

	disk   sync.Mutex // held while files are made, renamed, removed or closed
	part   bool       // f is still the part, so it may be written; changed under both locks
	closed bool
	sha256 string // of the whole file, once Finish has checked it

	// writes is held for reading while a chunk is written. Once it was held for writing with
	// every chunk here, nothing writes to the file any more.
	writes    sync.RWMutex
	writeback writeback
}

func newStore(m *manifest.Manifest, f *os.File) *Store {
	n := uint(m.Chunks())
	return &Store{m: m, f: f, held: bitset.New(n), claimed: bitset.New(n)}
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

// Has tells whether the chunk is here, verified.
func (s *Store) Has(chunk int) bool {
	if chunk < 0 {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.held.Test(uint(chunk))
}

// Count is the number of chunks held.
func (s *Store) Count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count
}

// Bytes is the size of the chunks held.
func (s *Store) Bytes() int64 {
	n := int64(s.Count()) * s.m.ChunkSize
	if last := s.m.Chunks() - 1; s.Has(last) {
		n -= s.m.ChunkSize - int64(s.m.Length(last))
	}
	return n
}

// Complete tells whether every chunk is held.
func (s *Store) Complete() bool { return s.Count() == s.m.Chunks() }

// Bits is the bitmap of the chunks held, see bitmap.Encode. It is a copy.
func (s *Store) Bits() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return bitmap.Encode(s.held, s.m.Chunks())
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
	if _, err := s.f.WriteAt(data, s.m.Offset(chunk)); err != nil {
		return false, fmt.Errorf("write chunk %d: %w", chunk, err)
	}
	s.writeback.wrote(s.f, len(data))
	return s.mark(chunk), nil
}

// Intact checks that nobody has removed the part, or made it shorter: what is written next
// would make it as long as before, with a hole for what was there. The error is ErrDamaged, or
// the disk's.
func (s *Store) Intact() error {
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	switch sys, ok := info.Sys().(*syscall.Stat_t); {
	case ok && sys.Nlink == 0 && s.isNamed(s.names.part) != nil: // some file systems count no links
		return fmt.Errorf("%w: the part of %s was removed", ErrDamaged, s.path)
	case info.Mode().IsRegular() && info.Size() < s.m.Size:
		return fmt.Errorf("%w: the part of %s has %d bytes, not %d", ErrDamaged, s.path, info.Size(), s.m.Size)
	}
	return nil
}

// mark notes that the chunk is verified and on disk, and tells whether that is
// news.
func (s *Store) mark(chunk int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.Test(uint(chunk)) {
		return false
	}
	s.held.Set(uint(chunk))
	s.claimed.Clear(uint(chunk))
	s.count++
	if s.state != nil {
		s.claim(chunk)
	}
	return true
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
