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

func (b Bitmap) has(chunk int) bool {
	return chunk/8 < len(b) && b[chunk/8]&(0x80>>(chunk%8)) != 0
}

func (b Bitmap) count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
