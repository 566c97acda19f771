package swarm

import (
	"time"

	"fanout/peerd/picker"
)

// ledgers is what is kept of the neighbours, by what they are.
type ledgers struct {
	origins ledger[giver]
	peers   ledger[partner]
}

// giver is what is kept of an origin.
type giver struct {
	supplier
	anys    int       // handouts asked for
	drained bool      // it has handed everything out
	again   time.Time // when to ask it again after that
	room    int       // the chunk that it would send; wire.NoChunk if it has not said so
}

// partner is what is kept of a peer.
type partner struct {
	supplier
	supplied
	room int // bytes that it has said it may be asked for; 0 once that is answered
}

// drain notes that an origin has nothing to give, for now.
func (o *giver) drain(now time.Time) { o.drained, o.again = true, now.Add(askAgain) }

// endgame says that no origin has anything left to hand out.
func (l *ledgers) endgame() bool {
	for _, o := range l.origins.all {
		if !o.drained {
			return false
		}
	}
	return true
}

// backlog is how many chunks wait for this peer's uplink: what waits for slow receivers does not.
func (l *ledgers) backlog() (chunks int) {
	for _, p := range l.peers.all {
		if !p.slow {
			chunks += min(len(p.queue), pushed)
		}
	}
	return chunks
}

// supplierOf finds whose view it is; nil if nobody's who is connected.
func (l *ledgers) supplierOf(view *picker.Neighbour) *supplier {
	for _, p := range l.peers.all {
		if p.view == view {
			return &p.supplier
		}
	}
	for _, o := range l.origins.all {
		if o.view == view {
			return &o.supplier
		}
	}
	return nil
}

// supplier returns what is kept of a neighbour as one to fetch from; nil if nothing is.
func (l *ledgers) supplier(n *neighbour) *supplier {
	if p := l.peers.of[n]; p != nil {
		return &p.supplier
	}
	if o := l.origins.of[n]; o != nil {
		return &o.supplier
	}
	return nil
}
