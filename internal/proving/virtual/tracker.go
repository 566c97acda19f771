package virtual

import (
	"math/rand/v2"
	"time"

	"fanout/internal/chunks/exchange"
)

const (
	mostPeers = 64                   // that an announce is answered with
	interval  = 5 * time.Second      // of announces: a third of the usual lease
	asks      = 2 * time.Millisecond // an announce and its answer, each
)

// tracker is a model of the tracker's answers: the origin, and at most 64 other members by chance.
type tracker struct {
	*lab
	rand   *rand.Rand
	origin *host
	peers  []*host // listed
	at     map[*host]int
}

// The tracker's entries in the agenda, about a host's number.
const (
	hears   = iota // an announce has come
	answers        // and its answer
)

// announced is that a host's announce is on its way.
func (t *tracker) announced(h *host) { t.enter(t.now+asks, t, hears, h.number) }

func (t *tracker) act(what, about int) {
	h := t.hosts[about]
	switch {
	case h.dead:
	case what == hears:
		t.list(h)
		t.enter(t.now+asks, t, answers, about)
	default:
		h.take(t.answer(h))
	}
}

// lists says whether a host is listed.
func (t *tracker) lists(h *host) bool {
	_, is := t.at[h]
	return is || h == t.origin
}

func (t *tracker) list(h *host) {
	if h.number == 0 {
		t.origin = h
	} else if !t.lists(h) {
		t.at[h] = len(t.peers)
		t.peers = append(t.peers, h)
	}
}

// drop takes a host off the list. A real tracker does so when the lease runs out; nobody who
// dials it until then finds it.
func (t *tracker) drop(h *host) {
	if h == t.origin {
		t.origin = nil
		return
	}
	i, is := t.at[h]
	if !is {
		return
	}
	last := len(t.peers) - 1
	t.peers[i] = t.peers[last]
	t.at[t.peers[i]] = i
	t.peers = t.peers[:last]
	delete(t.at, h)
}

// answer is what a host is told.
func (t *tracker) answer(h *host) exchange.Answered {
	a := exchange.Answered{Interval: interval}
	if o := t.origin; o != nil {
		a.Origins = []exchange.Contact{{ID: o.Name, Address: o.address}}
	}
	// The first draws of a shuffle (Fisher and Yates), undone at the end.
	n := len(t.peers)
	swaps := make([]int, 0, mostPeers)
	for i := 0; i < n && len(a.Peers) < mostPeers; i++ {
		j := i + t.rand.IntN(n-i)
		t.peers[i], t.peers[j] = t.peers[j], t.peers[i]
		swaps = append(swaps, j)
		if p := t.peers[i]; p != h {
			a.Peers = append(a.Peers, exchange.Contact{ID: p.Name, Address: p.address})
		}
	}
	for i := len(swaps) - 1; i >= 0; i-- {
		j := swaps[i]
		t.peers[i], t.peers[j] = t.peers[j], t.peers[i]
	}
	return a
}
