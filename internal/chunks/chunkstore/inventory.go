package chunkstore

import (
	"sync"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/manifest"
)

// inventory is which chunks are here: those held were verified, those claimed
// were in the file when an earlier run was, and have not been looked at yet. It
// keeps the state of a part up to date. It is safe for concurrent use.
type inventory struct {
	m     *manifest.Manifest
	state *state // of a part, else nil

	mu      sync.RWMutex
	held    *bitset.BitSet
	claimed *bitset.BitSet
	count   int // bits set in held
}

func newInventory(m *manifest.Manifest) *inventory {
	n := uint(m.Chunks())
	return &inventory{m: m, held: bitset.New(n), claimed: bitset.New(n)}
}

// Has tells whether the chunk is here, verified.
func (v *inventory) Has(chunk int) bool {
	if chunk < 0 {
		return false
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.held.Test(uint(chunk))
}

// Count is the number of chunks held.
func (v *inventory) Count() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.count
}

// Bytes is the size of the chunks held.
func (v *inventory) Bytes() int64 {
	n := int64(v.Count()) * v.m.ChunkSize
	if last := v.m.Chunks() - 1; v.Has(last) {
		n -= v.m.ChunkSize - int64(v.m.Length(last))
	}
	return n
}

// Complete tells whether every chunk is held.
func (v *inventory) Complete() bool { return v.Count() == v.m.Chunks() }

// Bits is the bitmap of the chunks held, see bitmap.Encode. It is a copy.
func (v *inventory) Bits() []byte {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return bitmap.Encode(v.held, v.m.Chunks())
}

// hold notes that the chunk is verified and on disk, and tells whether that is
// news.
func (v *inventory) hold(chunk int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.held.Test(uint(chunk)) {
		return false
	}
	v.held.Set(uint(chunk))
	v.claimed.Clear(uint(chunk))
	v.count++
	if v.state != nil {
		v.state.set(chunk, func(c uint) bool { return v.held.Test(c) || v.claimed.Test(c) })
	}
	return true
}

// claim notes that a chunk may be in the file, or that it is not.
func (v *inventory) claim(chunk int, maybe bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.claimed.SetTo(uint(chunk), maybe)
}

// claims are the chunks claimed now. It is a copy.
func (v *inventory) claims() *bitset.BitSet {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.claimed.Clone()
}
