package swarm

import (
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

const (
	// pushed is how many chunks may wait for a neighbour before no more are pushed to it: what its
	// owner does not push spreads by those who hold it.
	pushed = 2
	// outOf is of how many neighbours the one that holds least is told of room.
	outOf = 3
	// roomChunks, roomLeast and roomMost are how much is offered at a time, in chunks and bytes.
	roomChunks = 2
	roomLeast  = 64 << 10
	roomMost   = 1 << 20
)

// supplied is what is kept of a peer as one to send to.
type supplied struct {
	offer room.Offer
	count int // chunks that were here when it last said that it needs nothing
	told  int // chunks that it is only to be told of, not pushed
}

// supply is the sending side of a swarm download: it pushes what it owns, and says where it could
// send more.
type supply struct {
	*shared
	*ledgers
}

// push offers a fresh chunk to every neighbour that lacks it, and queues it for them; one for which
// enough waits, or that has never said anything, is only told. So is the origin it has come from.
func (s *supply) push(chunk int, from *neighbour) {
	var tell []exchange.ID
	for n := range fromAnywhere(s.cfg.Rand, s.neighbours.open) {
		p := s.peers.of[n]
		switch {
		case n.origin && n != from:
		case n.origin || len(n.queue) >= pushed || n.heard.IsZero():
			tell = append(tell, n.id)
		case p != nil && p.told > 0 && !n.has(chunk):
			p.told--
			tell = append(tell, n.id)
		case p != nil && !n.has(chunk):
			s.send(n, wire.KindOffer, chunk)
			s.upload(n, chunk)
		}
	}
	if tell != nil {
		s.do(exchange.Tell{To: tell, Chunk: chunk, Later: true})
	}
}

// tellOrigins tells other origins at once of what one has handed out: until they know, they may
// hand it out, too.
func (s *supply) tellOrigins(chunk int, from *neighbour) {
	var others []exchange.ID
	for _, o := range s.origins.all {
		if o.neighbour != from {
			others = append(others, o.id)
		}
	}
	if others != nil {
		s.do(exchange.Tell{To: others, Chunk: chunk})
	}
}

// fill says where there is room, if there is: to those who have least. They know best what they lack,
// and what is on its way to them, and ask for it.
func (s *supply) fill(now time.Time) {
	sends := s.room.Sends
	s.room = exchange.Spare{}
	if sends == 0 || s.held.None() {
		return
	}
	for _, p := range s.peers.all {
		if p.offer.Open(now) {
			sends--
		}
	}
	for ; sends > 0; sends-- {
		p, chunk := s.poorest(now)
		if p == nil {
			return
		}
		p.offer.Make(now)
		bytes := min(max(roomChunks*int(s.cfg.ChunkSize), roomLeast), max(roomMost, int(s.cfg.ChunkSize)))
		s.do(exchange.Send{To: p.id, Kind: wire.KindRoom, Chunk: chunk, Amount: bytes})
	}
}

// poorest is who holds least of some neighbours, by chance, that lack something, and a chunk that it
// does; nil if there is nobody.
func (s *supply) poorest(now time.Time) (least *partner, chunk int) {
	seen := 0
	for p := range fromAnywhere(s.cfg.Rand, s.peers.all) {
		if p.version < 2 || p.leaving || p.heard.IsZero() || len(p.queue) >= pushed || !p.offer.May(now, p.count != int(s.held.Count())) {
			continue
		}
		lacks, ok := p.lacks(s.held, p.queue, s.cfg.Rand)
		if !ok {
			continue
		}
		if least == nil || p.holding.count < least.holding.count {
			least, chunk = p, lacks
		}
		if seen++; seen == outOf {
			break
		}
	}
	return least, chunk
}

// passed notes that a neighbour needs nothing for so many milliseconds, unless something comes here.
func (s *supply) passed(p *partner, ms int, now time.Time) {
	p.offer.Passed(now, ms)
	p.count = int(s.held.Count())
}

// tookBack notes that a neighbour does not want what it was sent, or asks for it no more. What is pushed to
// one that is far has crossed the way there, and is lost, before it can be declined: that one chooses.
func (s *supply) tookBack(p *partner) {
	if p.far {
		p.told = toldOnly
	}
}
