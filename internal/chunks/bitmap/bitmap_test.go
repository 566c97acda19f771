package bitmap_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bits-and-blooms/bitset"
	"pgregory.net/rapid"

	"fanout/internal/chunks/bitmap"
)

func TestEncode(t *testing.T) {
	for _, tc := range []struct {
		n    int
		set  []uint
		wire []byte
	}{
		{0, nil, []byte{}},
		{1, nil, []byte{0}},
		{1, []uint{0}, []byte{0b1000_0000}},
		{8, []uint{0, 7}, []byte{0b1000_0001}},
		{9, []uint{8}, []byte{0, 0b1000_0000}},
		{70, []uint{1, 63, 64, 69}, []byte{0x40, 0, 0, 0, 0, 0, 0, 1, 0b1000_0100}},
	} {
		set := bitset.New(0) // grows with its bits, so it may be shorter than n
		for _, i := range tc.set {
			set.Set(i)
		}
		if got := bitmap.Encode(set, tc.n); !bytes.Equal(got, tc.wire) {
			t.Errorf("Encode(%v, %d) = %08b, want %08b", tc.set, tc.n, got, tc.wire)
		}
		got, err := bitmap.Decode(tc.wire, tc.n)
		if err != nil || got.Len() != uint(tc.n) || got.Count() != uint(len(tc.set)) || !got.IsSuperSet(set) {
			t.Errorf("Decode(%08b, %d) = %v, %v", tc.wire, tc.n, got, err)
		}
	}
	// Bits beyond n are not sent.
	if got := bitmap.Encode(bitset.New(100).Set(2).Set(3).Set(99), 3); !bytes.Equal(got, []byte{0b0010_0000}) {
		t.Errorf("got %08b", got)
	}
}

func TestDecodeRejects(t *testing.T) {
	for _, tc := range []struct {
		p []byte
		n int
	}{
		{nil, 1}, {[]byte{0, 0}, 8}, {[]byte{0}, 9}, {[]byte{0}, 0}, {nil, -1},
		{[]byte{0b0100_0000}, 1}, {[]byte{0xff, 0b1000_0001}, 9},
	} {
		if _, err := bitmap.Decode(tc.p, tc.n); !errors.Is(err, bitmap.ErrMalformed) {
			t.Errorf("Decode(%08b, %d): %v", tc.p, tc.n, err)
		}
	}
}

func TestBitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SliceOfN(rapid.Bool(), 0, 300).Draw(t, "held")
		set := bitset.New(uint(len(held)))
		for i, h := range held {
			set.SetTo(uint(i), h)
		}
		wire := bitmap.Encode(set, len(held))
		for i, h := range held {
			if bit := wire[i/8]>>(7-i%8)&1 == 1; bit != h {
				t.Fatalf("bit %d is %v", i, bit)
			}
		}
		back, err := bitmap.Decode(wire, len(held))
		if err != nil || !back.Equal(set) {
			t.Fatalf("%v came back as %v, %v", set, back, err)
		}
	})
}

// What is accepted is written again the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0b1010_0000}, 3)
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, 72)
	f.Add([]byte{0xff}, 7)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, p []byte, n int) {
		set, err := bitmap.Decode(p, n)
		if err != nil {
			return
		}
		if got := bitmap.Encode(set, n); !bytes.Equal(got, p) {
			t.Errorf("%08b of %d came back as %08b", p, n, got)
		}
	})
}
