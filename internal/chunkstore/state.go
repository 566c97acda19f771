package chunkstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bits-and-blooms/bitset"
)

const stateMagic = "FANOUTS1"

func partName(path string) string  { return path + ".part" }
func stateName(path string) string { return partName(path) + ".state" }

// openState opens or makes the state file and returns its claims; ok is false
// if it is not whole or about another manifest.
func (s *Store) openState() (claimed *bitset.BitSet, ok bool, err error) {
	if info, err := s.root.Lstat(stateName(s.path)); err == nil && !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%w: %s in %s", ErrNotRegular, stateName(s.path), s.root.Name())
	}
	s.state, err = s.root.OpenFile(stateName(s.path), os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, false, rootError(s.root, stateName(s.path), err)
	}
	content, err := io.ReadAll(io.LimitReader(s.state, int64(len(stateMagic)+len(s.id)+s.m.Chunks()/8+2)))
	if err != nil {
		return nil, false, fmt.Errorf("read state of %s: %w", s.path, err)
	}
	content, ok = bytes.CutPrefix(content, append([]byte(stateMagic), s.id[:]...))
	if !ok {
		return nil, false, nil
	}
	claimed, err = DecodeBits(content, s.m.Chunks())
	return claimed, err == nil, nil
}

// resetState makes the state one that claims nothing.
func (s *Store) resetState() error {
	empty := append(append([]byte(stateMagic), s.id[:]...), make([]byte, (s.m.Chunks()+7)/8)...)
	err := s.state.Truncate(0)
	if err == nil {
		_, err = s.state.WriteAt(empty, 0)
	}
	if err != nil {
		return fmt.Errorf("write state of %s: %w", s.path, err)
	}
	return nil
}

// claim notes in the state file that a chunk is here, in the page cache: that
// outlives the process, and what a power cut loses is found out by Rehash. An
// error would cost no more than the chunk again, after a restart, and none is
// to be expected where a byte is overwritten. The caller has locked s.mu.
func (s *Store) claim(chunk int) {
	var b byte
	for i := range 8 {
		if c := uint(chunk&^7 + i); s.held.Test(c) || s.claimed.Test(c) {
			b |= 0x80 >> i
		}
	}
	_, _ = s.state.WriteAt([]byte{b}, int64(len(stateMagic)+len(s.id)+chunk/8))
}

// writable tells whether the file is a part that is still to be written.
func (s *Store) writable() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.part
}

// Close closes the files. It waits for a Finish that is running. Closing again
// is no error.
func (s *Store) Close() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.closeFiles()
}

// Discard closes the store and removes the part and the state. A final file
// stays, and so does a source. A store that is closed is not ours any more: it
// removes nothing.
func (s *Store) Discard() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return nil
	}
	var err error
	// Removed while the lock on the part is still ours, so that they are not
	// another's.
	if s.part {
		err = errors.Join(s.remove(stateName(s.path)), s.remove(partName(s.path)))
	}
	s.closed = true
	return errors.Join(err, s.closeFiles())
}

func (s *Store) closeFiles() error {
	err := s.f.Close()
	if s.state != nil {
		err = errors.Join(err, s.state.Close())
	}
	return err
}

// remove removes a file that may be gone already.
func (s *Store) remove(name string) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
