// Package room decides which session a daemon sends to next: its uplink belongs to all its
// downloads, or published files, and few sessions are sent to at a time, so that chunks finish
// one after the other and spread on, instead of all crawling together. Sessions take turns, so
// that a push goes to every neighbour before the next one does and no session can starve the
// others.
//
// It is pure: no I/O, no clock, no goroutine. It must not know sessions, which to it are no
// more than keys, or what the chunks are of.
package room

import (
	"errors"
	"slices"
)

// ErrTooMany is returned when too much waits for one session.
var ErrTooMany = errors.New("too many requests outstanding")

// Any is in place of a chunk that is to be chosen at the moment of sending.
const Any = -2

// Room is the upload slots of a daemon, and what waits for them. It is not safe for concurrent
// use.
type Room[S comparable] struct {
	slots  int // sessions that are sent to at a time
	most   int // chunks that may wait for a session
	active int
	ready  []S // those with something waiting that are not being sent to, in turn
	queues map[S]*queue
}

// queue is what waits for a session.
type queue struct {
	chunks []int
	busy   bool // granted, not yet finished
	lent   bool // the slot was given on because the receiver stalls
}

// New makes a room of so many slots, in which so many chunks may wait for one session.
func New[S comparable](slots, most int) *Room[S] {
	return &Room[S]{slots: slots, most: most, queues: map[S]*queue{}}
}

// Join lets a session take part.
func (r *Room[S]) Join(s S) { r.queues[s] = &queue{} }

// Leave forgets a session, and frees its slot; it returns how many chunks waited for it.
func (r *Room[S]) Leave(s S) (waited int) {
	q, ok := r.queues[s]
	if !ok {
		return 0
	}
	waited = len(q.chunks)
	q.chunks = nil
	r.Done(s)
	r.unready(s)
	delete(r.queues, s)
	return waited
}

// Add queues a chunk, or Any, for a session. It is dropped if the session has left.
func (r *Room[S]) Add(s S, chunk int) (added bool, err error) {
	q, ok := r.queues[s]
	if !ok {
		return false, nil
	}
	if len(q.chunks) >= r.most {
		return false, ErrTooMany
	}
	q.chunks = append(q.chunks, chunk)
	if len(q.chunks) == 1 && !q.busy {
		r.ready = append(r.ready, s)
	}
	return true, nil
}

// Cancel takes a queued chunk back; false if it is not queued (any more).
func (r *Room[S]) Cancel(s S, chunk int) bool {
	q, ok := r.queues[s]
	if !ok {
		return false
	}
	i := slices.Index(q.chunks, chunk)
	if i < 0 {
		return false
	}
	q.chunks = slices.Delete(q.chunks, i, i+1)
	if len(q.chunks) == 0 {
		r.unready(s)
	}
	return true
}

// Next grants a slot, if one is free and something waits: the chunk, or Any, is to be sent now,
// and Done to be called after it.
func (r *Room[S]) Next() (s S, chunk int, ok bool) {
	if r.active >= r.slots || len(r.ready) == 0 {
		return s, 0, false
	}
	s, r.ready = r.ready[0], r.ready[1:]
	q := r.queues[s]
	chunk, q.chunks = q.chunks[0], q.chunks[1:]
	q.busy = true
	r.active++
	return s, chunk, true
}

// Done gives a session's slot on, and puts it at the end of the turn.
func (r *Room[S]) Done(s S) {
	q, ok := r.queues[s]
	if !ok || !q.busy {
		return
	}
	if !q.lent {
		r.active--
	}
	q.busy, q.lent = false, false
	if len(q.chunks) > 0 {
		r.ready = append(r.ready, s)
	}
}

// Lend gives the slot of a receiver that stalls on to another session; the stalled send goes on
// without one. Otherwise a few stuck receivers would stop the daemon.
func (r *Room[S]) Lend(s S) {
	if q, ok := r.queues[s]; ok && q.busy && !q.lent {
		q.lent = true
		r.active--
	}
}

func (r *Room[S]) unready(s S) {
	r.ready = slices.DeleteFunc(r.ready, func(o S) bool { return o == s })
}
