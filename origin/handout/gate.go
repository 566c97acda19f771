package handout

import (
	"slices"
	"time"

	"fanout/internal/chunks/exchange"
)

const (
	// settled is how long no peer must have come before the first handouts of a swarm.
	settled = 25 * time.Millisecond
	// patience is how long the first handouts may be held back in all.
	patience = 150 * time.Millisecond
)

// gate holds the first handouts of a swarm back until the peers that begin together are
// connected, to the origin and so, most likely, to each other. A connection made while
// payload fills the queues keeps a long minimum round-trip time, for which Linux lets it
// queue less at a time than the others (tcp_tso_autosize, TCP small queues). In a shared
// FIFO that is a smaller share of the uplink, for good: of 16 peers in the lab, one or two
// were 0.5 to 1 s late after 5.6 s.
type gate struct {
	shut        bool
	first, last time.Time     // when peers came, since it was shut
	waiting     []exchange.ID // once for each ANY, in the order in which they came
}

// came notes that a peer is here; anew says that a swarm begins with it.
func (g *gate) came(now time.Time, anew bool) {
	g.last = now
	if anew && !g.shut {
		g.shut, g.first = true, now
	}
}

// left forgets a peer.
func (g *gate) left(id exchange.ID) {
	g.waiting = slices.DeleteFunc(g.waiting, func(w exchange.ID) bool { return w == id })
}

// pass returns who may have a handout now: nobody while the gate is shut, and then id waits.
func (g *gate) pass(id exchange.ID) []exchange.ID {
	if g.shut {
		g.waiting = append(g.waiting, id)
		return nil
	}
	return []exchange.ID{id}
}

// opens is when the gate opens, as far as is known; false if it is not shut.
func (g *gate) opens() (at time.Time, ok bool) {
	at = g.last.Add(settled)
	if end := g.first.Add(patience); at.After(end) {
		at = end
	}
	return at, g.shut
}

// look opens the gate if it is time, and returns who waited.
func (g *gate) look(now time.Time) (waited []exchange.ID) {
	if at, shut := g.opens(); !shut || now.Before(at) {
		return nil
	}
	waited = g.waiting
	g.shut, g.waiting = false, nil
	return waited
}
