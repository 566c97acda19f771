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

// state is the file that says which chunks are thought to be in a part.
type state struct {
	f    *os.File
	dir  Dir
	name string
	id   manifest.ID
}

// openState opens or makes the state file and returns its claims; known is false
// if it is not whole or about another manifest.
func openState(d Dir, name string, m *manifest.Manifest, id manifest.ID) (s *state, claimed *bitset.BitSet, known bool, err error) {
	if info, err := d.Root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, nil, false, fmt.Errorf("%w: %s in %s", ErrNotRegular, name, d.Root.Name())
	}
	f, err := d.Root.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, nil, false, rootError(d.Root, name, err)
	}
	content, err := io.ReadAll(io.LimitReader(f, int64(len(stateMagic)+len(id)+m.Chunks()/8+2)))
	if err != nil {
		return nil, nil, false, errors.Join(fmt.Errorf("read %s: %w", name, err), f.Close())
	}
	claimed, known = parseState(content, id, m.Chunks())
	return &state{f: f, dir: d, name: name, id: id}, claimed, known, nil
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

// reset makes it claim what a bitmap says.
func (s *state) reset(bits []byte) error {
	content := append(append([]byte(stateMagic), s.id[:]...), bits...)
	err := s.f.Truncate(0)
	if err == nil {
		_, err = s.f.WriteAt(content, 0)
	}
	if err != nil {
		return fmt.Errorf("write state %s: %w", s.name, err)
	}
	return nil
}

// set notes that a chunk is here, in the page cache: that outlives the process,
// and what a power cut loses is found out by Rehash. The function here tells it
// of that chunk and of those that share its byte. An error would cost no more
// than the chunk again, after a restart, and none is to be expected where a
// byte is overwritten.
func (s *state) set(chunk int, here func(chunk uint) bool) {
	var b byte
	for i := range 8 {
		if here(uint(chunk&^7 + i)) {
			b |= 0x80 >> i
		}
	}
	_, _ = s.f.WriteAt([]byte{b}, int64(len(stateMagic)+len(s.id)+chunk/8))
}

func (s *state) remove() error { return s.dir.remove(s.name) }

// close closes the file; closing again is no error.
func (s *state) close() error {
	if err := s.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
