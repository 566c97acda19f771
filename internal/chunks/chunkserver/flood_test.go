package chunkserver

import (
	"errors"
	"testing"
	"time"

	"fanout/internal/chunks/wire"
)

// Everything may be told, each chunk by itself and as a bitmap, and then for a good while longer,
// not for ever.
func TestFloodOfHaves(t *testing.T) {
	const chunks = 10_000
	have := func(c int) wire.Message { return wire.Message{Kind: wire.KindHave, Chunk: c} }
	all := wire.Message{Kind: wire.KindHave, More: []wire.Run{{First: 1, Last: chunks - 1}}}
	bits := wire.Message{Kind: wire.KindBits, Bytes: chunks / 8}
	for _, tc := range []struct {
		name        string
		message     func(c int) wire.Message
		least, most int // how many are taken
	}{
		{"HAVE of each", have, chunks, 3 * chunks},
		{"HAVE of all", func(int) wire.Message { return all }, 16, 24},
		{"BITS", func(int) wire.Message { return bits }, 128, 256},
	} {
		f := newFlood(chunks)
		taken := 0
		for ; ; taken++ {
			m := tc.message(taken % chunks)
			err := f.check(&m, len(wire.AppendMessage(nil, m)), time.Unix(0, 0))
			var fault *faultError
			if errors.As(err, &fault) && fault.code == wire.CodeFlood {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if taken < tc.least || taken > tc.most {
			t.Errorf("%s: %d were taken, want %d to %d", tc.name, taken, tc.least, tc.most)
		}
	}
}

// ROOM is limited by rate, not in all.
func TestFloodOfRooms(t *testing.T) {
	f := newFlood(1)
	now := time.Unix(0, 0)
	m := wire.Message{Kind: wire.KindRoom, Bytes: 1 << 20, Chunk: wire.NoChunk}
	say := func() error { return f.check(&m, 20, now) }
	for i := range roomsMost {
		if err := say(); err != nil {
			t.Fatalf("ROOM %d at once: %v", i+1, err)
		}
	}
	if say() == nil {
		t.Errorf("%d at once are taken", roomsMost+1)
	}
	for range 1000 {
		now = now.Add(time.Second / roomsEach)
		if err := say(); err != nil {
			t.Fatalf("%d a second: %v", roomsEach, err)
		}
	}
}
