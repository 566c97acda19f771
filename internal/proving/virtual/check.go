package virtual

import (
	"fmt"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
	"fanout/peerd/swarm"
)

// did is what a step was.
type did uint8

const (
	saidLine    did = iota // a daemon has decided to say a line, any but HAVE
	heardLine              // a line, any but HAVE, has come
	heardHave              // HAVE has come
	toldHave               // a daemon has decided to tell others that it holds a chunk
	beginsChunk            // a chunk begins to be sent, or a handout was chosen; below 0 for none
	landedChunk            // a chunk has come and was checked
	endedSession
	hasDecided // a peer has decided, and all of it is carried out
	over       // the run is
)

// step is something that has happened, as the checkers see it.
type step struct {
	what   did
	by     *host
	on     *end
	line   line
	chunk  int
	any    bool          // of beginsChunk: a handout
	engine *swarm.Engine // of hasDecided
	lab    *lab          // of over
}

// checker holds every step against one promise.
type checker interface{ check(s *step) error }

// checkers are all promises.
func checkers(hosts int) []checker {
	return []checker{heldIsNotAskedFor{}, heldIsOffered{}, holdersAreAsked{}, newClaimsAreOwed(hosts), newSentIsDue(), newRoomIsOfUse(), newBytesAddUp(), endsWhole{}}
}

// heldIsNotAskedFor: a chunk that a peer holds is never asked for.
type heldIsNotAskedFor struct{}

func (heldIsNotAskedFor) check(s *step) error {
	if s.what == saidLine && s.line.kind == wire.KindGet && s.by.has(int(s.line.chunk)) {
		return fmt.Errorf("asks for chunk %d, which it holds", s.line.chunk)
	}
	return nil
}

// heldIsOffered: what a daemon offers, or says to hold, it does hold.
type heldIsOffered struct{}

func (heldIsOffered) check(s *step) error {
	chunk := s.chunk
	switch {
	case s.what == saidLine && s.line.kind == wire.KindOffer:
		chunk = int(s.line.chunk)
	case s.what != toldHave:
		return nil
	}
	if !s.by.has(chunk) {
		return fmt.Errorf("offers chunk %d, or says to hold it, which it does not", chunk)
	}
	return nil
}

// holdersAreAsked: a chunk is asked of those alone who hold it; under static also of its owner, before
// that has it.
type holdersAreAsked struct{}

func (holdersAreAsked) check(s *step) error {
	if s.what != saidLine || s.line.kind != wire.KindGet {
		return nil
	}
	chunk, of := int(s.line.chunk), s.on.other
	if of.has(chunk) || s.by.plan.Strategy == swarm.Static && s.by.owners[chunk] == of.address {
		return nil
	}
	return fmt.Errorf("asks %s for chunk %d, which it does not hold", of.Name, chunk)
}

// claimsAreOwed: what a peer counts on, because it has asked for it or accepted an offer, is owed
// to it over a session that lives; and all that is owed it does count on: what it no longer wants it
// has said so of.
type claimsAreOwed struct {
	// owed is what is owed to the side of the key, and how often: an offer may cross a request for
	// the same chunk, and declining it takes back only one of the two.
	owed map[*end]map[int]int
	// every is how many decisions of a host pass between two looks at all its claims, and seen
	// counts them: a look costs more than a decision, and claims go wrong when sessions end,
	// after which there is a look in any case.
	every int
	seen  map[*host]int
}

func newClaimsAreOwed(hosts int) *claimsAreOwed {
	return &claimsAreOwed{owed: map[*end]map[int]int{}, every: 1 + hosts/16, seen: map[*host]int{}}
}

func (c *claimsAreOwed) check(s *step) error {
	switch s.what {
	case saidLine:
		switch s.line.kind {
		case wire.KindGet:
			c.owe(s.on, int(s.line.chunk))
		case wire.KindCancel:
			c.settle(s.on, int(s.line.chunk))
		}
	case heardLine:
		switch s.line.kind {
		case wire.KindOffer:
			c.owe(s.on, int(s.line.chunk))
		case wire.KindNone:
			c.settle(s.on, int(s.line.chunk))
		}
	case landedChunk:
		delete(c.owed[s.on], s.chunk)
	case endedSession:
		delete(c.owed, s.on)
		c.seen[s.by] = 0
	case hasDecided:
		c.seen[s.by]++
		if c.seen[s.by]%c.every == 1%c.every {
			return c.look(s)
		}
	}
	return nil
}

func (c *claimsAreOwed) owe(to *end, chunk int) {
	if c.owed[to] == nil {
		c.owed[to] = map[int]int{}
	}
	c.owed[to][chunk]++
}

func (c *claimsAreOwed) settle(to *end, chunk int) {
	if n := c.owed[to][chunk]; n > 1 {
		c.owed[to][chunk] = n - 1
	} else {
		delete(c.owed[to], chunk)
	}
}

func (c *claimsAreOwed) look(s *step) (err error) {
	claims, owed := 0, 0
	s.engine.Claims(func(chunk int, of exchange.ID) {
		claims++
		var on *end
		if int(of) < len(s.by.ends) {
			on = s.by.ends[of]
		}
		switch {
		case err != nil || c.owed[on][chunk] > 0:
		case of == 0:
			err = fmt.Errorf("would never ask for chunk %d, which nobody owes it", chunk)
		default:
			err = fmt.Errorf("counts on chunk %d from session %d, which does not owe it", chunk, of)
		}
	})
	for _, on := range s.by.open {
		owed += len(c.owed[on])
	}
	if err == nil && owed > claims {
		err = fmt.Errorf("is owed %d chunks, and counts on %d", owed, claims)
	}
	return err
}

// sentIsDue: no chunk is sent that was not asked for, offered or, by an origin, handed out to
// somebody who asked for any. An offer that was declined counts: its chunk may be on its way.
type sentIsDue struct {
	due  map[*end]map[int]int // by the side of the key, to the other
	anys map[*end]int
}

func newSentIsDue() *sentIsDue {
	return &sentIsDue{due: map[*end]map[int]int{}, anys: map[*end]int{}}
}

func (c *sentIsDue) check(s *step) error {
	switch {
	case s.what == heardLine && s.line.kind == wire.KindAny:
		c.anys[s.on]++
	case s.what == heardLine && s.line.kind == wire.KindGet, s.what == saidLine && s.line.kind == wire.KindOffer:
		if c.due[s.on] == nil {
			c.due[s.on] = map[int]int{}
		}
		c.due[s.on][int(s.line.chunk)]++
	case s.what == beginsChunk && s.any:
		if c.anys[s.on]--; c.anys[s.on] < 0 {
			return fmt.Errorf("hands chunk %d out to %s, which has asked for none", s.chunk, s.on.other.Name)
		}
	case s.what == beginsChunk:
		if c.due[s.on][s.chunk] == 0 {
			return fmt.Errorf("sends chunk %d to %s, which has not asked for it and was not offered it", s.chunk, s.on.other.Name)
		}
		if c.due[s.on][s.chunk]--; c.due[s.on][s.chunk] == 0 {
			delete(c.due[s.on], s.chunk)
		}
	case s.what == endedSession:
		delete(c.due, s.on)
		delete(c.anys, s.on)
	}
	return nil
}

// bytesAddUp: what lands over a session is what was begun to be sent over it, in that order, once;
// and in the end every host has sent what has landed of it, and parts of what was cut off, and
// holds what was fresh, which is what its daemon believes.
type bytesAddUp struct {
	begun       map[*end][]int  // by the side of the key, and not landed
	landed, cut map[*host]int64 // bytes that it has begun to send: came, or did not all
}

func newBytesAddUp() *bytesAddUp {
	return &bytesAddUp{begun: map[*end][]int{}, landed: map[*host]int64{}, cut: map[*host]int64{}}
}

func (c *bytesAddUp) check(s *step) error {
	switch s.what {
	case beginsChunk:
		if s.chunk >= 0 && s.by.has(s.chunk) {
			c.begun[s.on] = append(c.begun[s.on], s.chunk)
		}
	case landedChunk:
		from := s.on.other
		if begun := c.begun[from]; len(begun) == 0 || begun[0] != s.chunk {
			return fmt.Errorf("chunk %d has come from %s, which has sent %v", s.chunk, from.Name, begun)
		}
		c.begun[from] = c.begun[from][1:]
		c.landed[from.host] += int64(s.by.length(s.chunk))
	case endedSession:
		if s.on.other.closed {
			c.cutOff(s.on)
			c.cutOff(s.on.other)
		}
	case over:
		for on := range c.begun {
			c.cutOff(on)
		}
		for _, h := range s.lab.hosts {
			if err := c.add(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutOff notes what was begun to be sent over a session that has ended.
func (c *bytesAddUp) cutOff(on *end) {
	for _, chunk := range c.begun[on] {
		c.cut[on.host] += int64(on.length(chunk))
	}
	delete(c.begun, on)
}

func (c *bytesAddUp) add(h *host) error {
	if least, most := c.landed[h], c.landed[h]+c.cut[h]; h.stats.sent < least || h.stats.sent > most {
		return fmt.Errorf("%s has counted %d bytes sent; %d have come of it, and %d were begun", h.Name, h.stats.sent, least, most)
	}
	var holds int64
	peer, _ := h.decider.(*peer)
	for chunk := range h.chunks {
		if h.has(chunk) {
			holds += int64(h.length(chunk))
		}
		if peer != nil && !h.frozen && peer.engine.Has(chunk) != h.has(chunk) {
			return fmt.Errorf("%s holds chunk %d: %v, which its daemon does not know", h.Name, chunk, h.has(chunk))
		}
	}
	if made := h.Whole || h.Silent || h.Lying; !made && holds != h.stats.fresh {
		return fmt.Errorf("%s holds %d bytes, %d were fresh", h.Name, holds, h.stats.fresh)
	}
	return nil
}

// endsWhole: a download is finished exactly if everything is here.
type endsWhole struct{}

func (endsWhole) check(s *step) error {
	if s.what != hasDecided {
		return nil
	}
	if s.engine.Finished() != (s.by.held.Count() == uint(s.by.chunks)) {
		return fmt.Errorf("finished is %v with %d of %d chunks", s.engine.Finished(), s.by.held.Count(), s.by.chunks)
	}
	return nil
}
