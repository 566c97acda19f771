package chunkstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/bits-and-blooms/bitset"
)

const stateMagic = "FANOUTS1"

func partName(path string) string  { return path + ".part" }
func stateName(path string) string { return partName(path) + ".state" }
func tempName(path string) string  { return stateName(path) + ".tmp" }

// Save writes the state file now, atomically: chunks held, and those claimed
// and not rehashed yet. It does nothing for a store that has no part.
func (s *Store) Save() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return fmt.Errorf("save state of %s: %w", s.path, os.ErrClosed)
	}
	return s.save()
}

// save is Save; the caller has locked s.disk.
func (s *Store) save() error {
	if !s.part {
		return nil
	}
	s.mu.RLock()
	claims := EncodeBits(s.held.Union(s.claimed), s.m.Chunks())
	s.mu.RUnlock()
	state := append(append([]byte(stateMagic), s.id[:]...), claims...)
	// Not synced: a state that a power cut damages is no worse than none.
	err := s.root.WriteFile(tempName(s.path), state, filePerm)
	if err == nil {
		err = s.root.Rename(tempName(s.path), stateName(s.path))
	}
	if err != nil {
		return fmt.Errorf("save state of %s: %w", s.path, err)
	}
	return nil
}

// readState returns the claims of the state file, if there is one that is
// whole and about this manifest.
func (s *Store) readState() (*bitset.BitSet, bool) {
	state, err := s.root.ReadFile(stateName(s.path))
	if err != nil {
		return nil, false
	}
	state, ok := bytes.CutPrefix(state, append([]byte(stateMagic), s.id[:]...))
	if !ok {
		return nil, false
	}
	claimed, err := DecodeBits(state, s.m.Chunks())
	return claimed, err == nil
}

// writable tells whether the file is a part that is still to be written.
func (s *Store) writable() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.part
}

// Close saves the state of an unfinished download and closes the file. It waits
// for a Finish that is running. Closing again is no error.
func (s *Store) Close() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.save(), s.f.Close())
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
		err = errors.Join(s.remove(tempName(s.path)), s.remove(stateName(s.path)), s.remove(partName(s.path)))
	}
	s.closed = true
	return errors.Join(err, s.f.Close())
}

// remove removes a file that may be gone already.
func (s *Store) remove(name string) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
