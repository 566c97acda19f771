package chunkserver

import (
	"time"

	"golang.org/x/time/rate"

	"fanout/internal/chunks/wire"
)

const (
	// tellEach is what a session may say of a chunk in HAVE and BITS, bytes: a HAVE of its own.
	tellEach = 16
	// tellMore is what it may say beside that: chunks that were lost and have come again.
	tellMore = 64 << 10

	// roomsEach and roomsMost are how many ROOMs a session may say: a second, and at once. One says
	// at most 200 a second (room.Offer); where the way is held up, those of some seconds come at once.
	roomsEach = 500
	roomsMost = 1000
)

// flood bounds what a session may say that costs the other side work and brings it nothing.
type flood struct {
	left  int // of what it may say in HAVE and BITS
	rooms *rate.Limiter
}

// newFlood is for a session about so many chunks.
func newFlood(chunks int) *flood {
	return &flood{left: tellEach*chunks + (chunks+7)/8 + tellMore, rooms: rate.NewLimiter(roomsEach, roomsMost)}
}

// check is the fault of a message, whose line has so many bytes, that is too much. A HAVE of long
// runs counts by the chunks that it names, each of which is work.
func (f *flood) check(m *wire.Message, line int, now time.Time) error {
	switch m.Kind {
	case wire.KindHave:
		named, _ := m.Named()
		f.left -= max(line, named)
	case wire.KindBits:
		f.left -= line + m.Bytes
	case wire.KindRoom:
		if !f.rooms.AllowN(now, 1) {
			return fault(wire.CodeFlood, "ROOM more than %d times a second", roomsEach)
		}
	}
	if f.left < 0 {
		return fault(wire.CodeFlood, "%v: the same was said too often", m.Kind)
	}
	return nil
}
