package virtual

import (
	"fmt"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/wire"
)

// unanswered is how long an offer of room waits for an answer, see [fanout/internal/chunks/room].
const unanswered = 500 * time.Millisecond

// roomIsOfUse: room is offered to nobody who is known to hold all that is held here, with the hint of a
// chunk that is held here and, as far as is known, not there; of a session's offers each way one at most
// is unanswered; and to say that nothing is needed answers an offer.
type roomIsOfUse struct {
	known map[*end]*bitset.BitSet // to the side of the key, what the other one holds
	open  map[*end]moment         // when the side of the key made the offer that is not answered
	heard map[*end]bool           // the side of the key has heard an offer since it last passed
}

func newRoomIsOfUse() *roomIsOfUse {
	return &roomIsOfUse{known: map[*end]*bitset.BitSet{}, open: map[*end]moment{}, heard: map[*end]bool{}}
}

func (c *roomIsOfUse) check(s *step) error {
	switch s.what {
	case saidLine:
		switch s.line.kind {
		case wire.KindRoom:
			return c.offers(s)
		case wire.KindPass:
			if !c.heard[s.on] {
				return fmt.Errorf("passes to %s, which has offered nothing", s.on.other.Name)
			}
			delete(c.heard, s.on)
		}
	case heardLine:
		c.hears(s)
	case heardHave:
		c.of(s.on).Set(uint(s.chunk))
	case landedChunk: // its sender knows
		if s.by.has(s.chunk) {
			c.of(s.on.other).Set(uint(s.chunk))
		}
	case endedSession:
		delete(c.known, s.on)
		delete(c.open, s.on)
		delete(c.heard, s.on)
	}
	return nil
}

func (c *roomIsOfUse) hears(s *step) {
	switch s.line.kind {
	case wire.KindBits:
		if bits, err := bitmap.Decode(s.on.other.bits, s.by.chunks); err == nil {
			c.of(s.on).InPlaceUnion(bits)
		}
	case wire.KindRoom:
		c.heard[s.on] = true
	case wire.KindGet, wire.KindPass:
		delete(c.open, s.on)
	}
}

func (c *roomIsOfUse) offers(s *step) error {
	to, hint := s.on.other.Name, int(s.line.chunk)
	since, open := c.open[s.on]
	c.open[s.on] = s.by.now
	switch known := c.of(s.on); {
	case open && s.by.now-since < unanswered:
		return fmt.Errorf("offers room to %s a second time, after %v without an answer", to, s.by.now-since)
	case known.IsSuperSet(s.by.held):
		return fmt.Errorf("offers room to %s, which lacks nothing that is here", to)
	case hint < 0 || !s.by.has(hint) || known.Test(uint(hint)):
		return fmt.Errorf("offers room to %s for chunk %d, which it holds, or which is not here", to, hint)
	}
	return nil
}

func (c *roomIsOfUse) of(on *end) *bitset.BitSet {
	if c.known[on] == nil {
		c.known[on] = bitset.New(uint(on.chunks))
	}
	return c.known[on]
}
