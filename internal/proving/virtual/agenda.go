package virtual

import "time"

// moment is a time since the beginning of a run.
type moment = time.Duration

// actor is who has something to do at a moment. What it is, and about what, only the actor
// knows: an event is small, and none needs memory of its own.
type actor interface{ act(what, about int) }

// event is an entry of the agenda.
type event struct {
	at          moment
	seq         uint64 // of those at one moment the first that was entered comes first
	who         actor
	what, about int
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// agenda is what is going to happen, as a binary heap. Its own, since container/heap would
// allocate for each of a hundred million events.
type agenda struct {
	now    moment
	seq    uint64
	events []event
}

// enter has an actor act at a moment, which is now at the earliest.
func (a *agenda) enter(at moment, who actor, what, about int) {
	a.seq++
	a.events = append(a.events, event{max(at, a.now), a.seq, who, what, about})
	h := a.events
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// next lets the first entry happen; false if there is none.
func (a *agenda) next() bool {
	h := a.events
	if len(h) == 0 {
		return false
	}
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	a.events = h
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < len(h); down++ {
			if h[down].before(&h[least]) {
				least = down
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	a.now = first.at
	first.who.act(first.what, first.about)
	return true
}
