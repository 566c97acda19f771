package virtual

import (
	"math/rand/v2"
	"slices"
	"time"

	"fanout/internal/chunks/exchange"
)

const (
	mostNamed = 64                   // peers, in an answer
	lease     = 15 * time.Second     // the usual one
	interval  = lease / 3            // of announces
	asks      = 2 * time.Millisecond // an announce and its answer, each
)

// tracker is a model of the tracker's answers: the origins, and at most 64 other members by chance.
type tracker struct {
	*lab
	rand    *rand.Rand
	origins []*host // listed
	peers   []*host // listed
	at      map[*host]int
}

// The tracker's entries in the agenda, about a host's number.
const (
	hears   = iota // an announce has come
	answers        // and its answer
	expires        // a lease runs out
)

// announced is that a host's announce is on its way.
func (t *tracker) announced(h *host) { t.enter(t.now+asks, t, hears, h.number) }

func (t *tracker) act(what, about int) {
	h := t.hosts[about]
	switch {
	case what == expires:
		t.drop(h)
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
	return is || slices.Contains(t.origins, h)
}

func (t *tracker) list(h *host) {
	switch {
	case t.lists(h):
	case h.Origin:
		t.origins = append(t.origins, h)
	default:
		t.at[h] = len(t.peers)
		t.peers = append(t.peers, h)
	}
}

// stopped is that a host will announce no more, without having said so.
func (t *tracker) stopped(h *host) { t.enter(t.now+lease, t, expires, h.number) }

// drop takes a host off the list.
func (t *tracker) drop(h *host) {
	t.origins = slices.DeleteFunc(t.origins, func(o *host) bool { return o == h })
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
	for _, o := range t.origins {
		a.Origins = append(a.Origins, exchange.Contact{ID: o.Name, Address: o.address})
	}
	if h.Origin { // which does nothing with others
		return a
	}
	// The first draws of a shuffle (Fisher and Yates), undone at the end.
	n := len(t.peers)
	swaps := make([]int, 0, mostNamed)
	for i := 0; i < n && len(a.Peers) < mostNamed; i++ {
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
