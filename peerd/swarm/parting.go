package swarm

import (
	"time"

	"fanout/internal/chunks/exchange"
)

// A complete download ends the sessions that neither side needs: kept, they would be as many at an
// origin as there are peers and files.
const (
	// partedFor is for how long: those who were told dial again before that only for chunks that
	// they lack.
	partedFor = time.Minute
	// settled is how long everything must have been here, so that the last HAVEs are out.
	settled = 500 * time.Millisecond
	// arrived is how long after a chunk was sent it has come: it may wait in queues on its way.
	arrived = 2 * time.Second
)

// part ends the sessions with those who have everything, and with the origins once nothing is on
// its way from here to others: before that an origin would take back what this peer owns.
func (e *Engine) part(now time.Time) {
	if !e.finished || now.Sub(e.finishedAt) < settled {
		return
	}
	busy := false
	for _, n := range e.neighbours.open {
		if n.owed(now) {
			busy = true
		} else if n.complete() && !n.origin {
			e.bye(n, partedFor)
		}
	}
	for _, n := range e.neighbours.open {
		if n.origin && !busy {
			e.bye(n, partedFor)
		}
	}
}

// owed says that something is still to be sent to it, or on its way.
func (n *neighbour) owed(now time.Time) bool {
	return len(n.queue) > 0 || len(n.waiting) > 0 || now.Sub(n.sent) < arrived
}

// bye ends a session that nobody needs for so long.
func (s *shared) bye(n *neighbour, length time.Duration) {
	if !n.leaving {
		n.leaving = true
		s.do(exchange.Bye{ID: n.id, For: length})
	}
}
