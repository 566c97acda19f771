package chunkstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/manifest"
)

const stateMagic = "FANOUTS1"

// openState opens or makes the state file and returns its claims; known is false
// if it is not whole or about another manifest.
func openState(root *os.Root, name string, m *manifest.Manifest, id manifest.ID) (f *os.File, claimed *bitset.BitSet, known bool, err error) {
	if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, nil, false, fmt.Errorf("%w: %s in %s", ErrNotRegular, name, root.Name())
	}
	f, err = root.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, nil, false, rootError(root, name, err)
	}
	content, err := io.ReadAll(io.LimitReader(f, int64(len(stateMagic)+len(id)+m.Chunks()/8+2)))
	if err != nil {
		return nil, nil, false, errors.Join(fmt.Errorf("read %s: %w", name, err), f.Close())
	}
	claimed, known = parseState(content, id, m.Chunks())
	return f, claimed, known, nil
}

// parseState reads the claims of a state file about the manifest id.
func parseState(content []byte, id manifest.ID, chunks int) (claimed *bitset.BitSet, known bool) {
	bits, known := bytes.CutPrefix(content, append([]byte(stateMagic), id[:]...))
	if !known {
		return nil, false
	}
	claimed, err := bitmap.Decode(bits, chunks)
	return claimed, err == nil
}

// writeState makes the state one that claims what is held.
func (s *Store) writeState() error {
	content := append(append([]byte(stateMagic), s.id[:]...), bitmap.Encode(s.held, s.m.Chunks())...)
	err := s.state.Truncate(0)
	if err == nil {
		_, err = s.state.WriteAt(content, 0)
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
		err = errors.Join(s.dir.remove(s.names.state), s.dir.remove(s.names.part))
	}
	s.closed = true
	return errors.Join(err, s.closeFiles())
}

func (s *Store) closeFiles() error { return errors.Join(s.f.Close(), s.closeState()) }

// closeState closes the state of a part that is none any more.
func (s *Store) closeState() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		return nil
	}
	err := s.state.Close()
	s.state = nil
	return err
}
