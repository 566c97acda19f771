package room_test

import (
	"testing"

	"fanout/internal/chunks/room"
)

func TestBurst(t *testing.T) {
	const mbit = 1e6 / 8
	for _, tc := range []struct {
		what     string
		capacity float64
		uneven   bool
		want     int
	}{
		{"not known", 0, false, 16 << 10},
		{"5 Mbit/s", 5 * mbit, false, 16 << 10},
		{"100 Mbit/s", 100 * mbit, false, 16 << 10},
		{"200 Mbit/s", 200 * mbit, false, 32 << 10},
		{"500 Mbit/s", 500 * mbit, false, 0},
		{"10 Gbit/s", 10000 * mbit, false, 0},
		{"not known, uneven", 0, true, 8 << 10},
		{"100 Mbit/s, uneven", 100 * mbit, true, 8 << 10},
		{"200 Mbit/s, uneven", 200 * mbit, true, 8 << 10},
		{"1 Gbit/s, uneven", 1000 * mbit, true, 32 << 10},
		{"10 Gbit/s, uneven", 10000 * mbit, true, 0},
	} {
		if got := room.Burst(tc.capacity, tc.uneven); got != tc.want {
			t.Errorf("%s: %d bytes, want %d", tc.what, got, tc.want)
		}
	}
}
