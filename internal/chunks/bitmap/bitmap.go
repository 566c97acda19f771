// Package bitmap is how sets of chunks are written: in the chunk protocol's BITS, in state files,
// and to the tracker. It must not know what for.
package bitmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/bits-and-blooms/bitset"
)

// ErrMalformed is returned for a bitmap of the wrong length or with bits beyond the
// last chunk.
var ErrMalformed = errors.New("malformed bitmap")

const wordBytes = 8

// Encode is the bitmap of the first n bits of set: bit i is byte i/8, most significant bit first, in ceil(n/8) bytes.
func Encode(set *bitset.BitSet, n int) []byte {
	words := (n + 63) / 64
	out := make([]byte, 0, words*wordBytes)
	for i, w := range set.Words() {
		if i == words {
			break
		}
		out = binary.BigEndian.AppendUint64(out, bits.Reverse64(w))
	}
	// The set may be shorter than n, or longer.
	out = out[:cap(out)][:(n+7)/8]
	if n%8 != 0 {
		out[n/8] &= 0xff << (8 - n%8)
	}
	return out
}

// Decode reads the bitmap of n chunks that Encode writes. It is
// ErrMalformed if p is not ceil(n/8) bytes long or has bits set beyond the last
// chunk.
func Decode(p []byte, n int) (*bitset.BitSet, error) {
	if n < 0 || len(p) != (n+7)/8 {
		return nil, fmt.Errorf("%w: %d bytes for %d chunks", ErrMalformed, len(p), n)
	}
	if n%8 != 0 && p[n/8]<<(n%8) != 0 {
		return nil, fmt.Errorf("%w: bits set beyond chunk %d", ErrMalformed, n-1)
	}
	words := make([]uint64, (n+63)/64)
	var last [wordBytes]byte
	for i := range words {
		b := p[i*wordBytes:]
		if len(b) < wordBytes {
			copy(last[:], b)
			b = last[:]
		}
		words[i] = bits.Reverse64(binary.BigEndian.Uint64(b))
	}
	return bitset.FromWithLength(uint(n), words), nil
}
