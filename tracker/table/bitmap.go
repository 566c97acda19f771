package table

import "math/bits"

// Bitmap has a bit a chunk; the most significant bit of the first byte is chunk 0.
type Bitmap []byte

// checkBitmap checks that a bitmap fits the number of chunks. None at all is fine.
func checkBitmap(field string, b Bitmap, chunks int) error {
	if b == nil {
		return nil
	}
	if want := (chunks + 7) / 8; len(b) != want {
		return invalid(field, "%s: the bitmap has %d bytes; %d chunks need %d", field, len(b), chunks, want)
	}
	if spare := len(b)*8 - chunks; spare > 0 && b[len(b)-1]<<(8-spare) != 0 {
		return invalid(field, "%s: the bitmap has bits beyond the last chunk, %d", field, chunks-1)
	}
	return nil
}

func fullBitmap(chunks int) Bitmap {
	b := make(Bitmap, (chunks+7)/8)
	for i := range b {
		b[i] = 0xff
	}
	if spare := len(b)*8 - chunks; spare > 0 {
		b[len(b)-1] <<= spare
	}
	return b
}

// Has says whether a chunk's bit is set.
func (b Bitmap) Has(chunk int) bool { return b.has(chunk) }

func (b Bitmap) has(chunk int) bool {
	return chunk/8 < len(b) && b[chunk/8]&(0x80>>(chunk%8)) != 0
}

// with adds what other has of the mask: a restarted peer has forgotten which of its chunks it
// brought from an origin.
func (b Bitmap) with(other, mask Bitmap) Bitmap {
	var sum Bitmap // a copy once there is something to add: bitmaps are shared
	for i := range min(len(other), len(mask)) {
		add := other[i] & mask[i]
		if i < len(b) {
			add &^= b[i]
		}
		if add == 0 {
			continue
		}
		if sum == nil {
			sum = make(Bitmap, len(mask))
			copy(sum, b)
		}
		sum[i] |= add
	}
	if sum == nil {
		return b
	}
	return sum
}

func (b Bitmap) count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
