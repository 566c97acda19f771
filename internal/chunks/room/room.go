// Package room decides which session a daemon sends to next: its uplink belongs to all its
// downloads, or published files, and few sessions are sent to at a time, so that chunks finish
// one after the other and spread on, instead of all crawling together. Sessions take turns, so
// that a push goes to every neighbour before the next one does and no session can starve the
// others.
//
// A slot is for a send that uses the uplink. A send that is far slower than an equal part of the uplink
// would make it is held up by the receiver's link, or on the way there, and goes on without a slot.
// Slow receivers lack most and ask most, so that they would in the end have all of a fixed number of
// slots. Who is slow shows in how the sends themselves progress: where the bottleneck is elsewhere, no
// queue of this machine fills.
//
// How much of a send goes to the network at a time is decided here, too: see [Burst].
//
// It is pure: no I/O, no clock, no goroutine. It must not know sessions, which to it are no
// more than keys, or what the chunks are of.
package room

import (
	"errors"
	"slices"
	"time"
)

// ErrTooMany is returned when too much waits for one session.
var ErrTooMany = errors.New("too many requests outstanding")

// PeerSlots and OriginSlots are how many sends may use a daemon's uplink at a time. Few, so that a chunk is
// whole, and on its way to the next peer, soon: an origin's the more, as nobody else has its chunks. And not
// very few, so that some are left while it is not known yet which receivers are slow.
const (
	PeerSlots   = 8
	OriginSlots = 7
)

// Look is the time between two calls of [Room.Lend].
const Look = 50 * time.Millisecond

const (
	// farSlower: a send is slow once it has taken so many times as long as with an equal part of the
	// uplink.
	farSlower = 3
	// stuck: a send is also slow once nothing of it has gone for so long, whatever is known of the
	// uplink.
	stuck = time.Second
	// untried is the same for a session that has not been sent much yet, no more than buffers on the way
	// there hold, the less the more sends go on without a slot: it may be one of many that do not read.
	untried = 200 * time.Millisecond
	buffers = 512 << 10
	// Whether the uplink idles shows in the time of so many slices: less than half of them have gone.
	idleSlices = 4
	// slice is the most that is sent between two calls of Sent: so much more than was noted may have
	// gone.
	slice = 64 << 10
	// mostLent bounds the sends without a slot, which use some of the uplink all the same.
	mostLent = 32
)

// Any is in place of a chunk that is to be chosen at the moment of sending.
const Any = -2

// Room is the upload slots of a daemon, and what waits for them. It is not safe for concurrent
// use.
type Room[S comparable] struct {
	slots   int // sessions that are sent to at a time
	most    int // chunks that may wait for a session
	active  int // slots in use
	lent    int // sends without one
	waiting int // chunks that wait for a slot: not those for whom a send goes on without one
	uplink  Uplink
	looked  time.Time // when it was last looked whether the uplink idles
	bytes   int       // sent since
	sending []S       // those that are sent to, in the order in which that began
	ready   []S       // those with something waiting that are not sent to, in turn
	queues  map[S]*queue
}

// queue is what waits for a session, and how what is being sent to it goes.
type queue struct {
	chunks []int
	busy   bool      // granted, not yet finished
	total  int       // bytes sent to it
	lent   bool      // the slot was given on because the receiver is slow
	held   bool      // the send waits for this side, which is not the receiver's doing
	since  time.Time // when the send began; later by the time for which it was held
	moved  time.Time // when bytes of it last went, or it was held or let go
	sent   int       // bytes of it
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
	r.count(q, -waited)
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
	r.count(q, 1)
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
	r.count(q, -1)
	if len(q.chunks) == 0 {
		r.unready(s)
	}
	return true
}

// Next grants a slot, if one is free and something waits: the chunk, or Any, is to be sent now,
// and Done to be called after it.
func (r *Room[S]) Next(now time.Time) (s S, chunk int, ok bool) {
	if r.active >= r.slots || len(r.ready) == 0 {
		return s, 0, false
	}
	s, r.ready = r.ready[0], r.ready[1:]
	q := r.queues[s]
	chunk, q.chunks = q.chunks[0], q.chunks[1:]
	r.count(q, -1)
	q.busy, q.since, q.moved, q.sent = true, now, now, 0
	r.sending = append(r.sending, s)
	r.active++
	return s, chunk, true
}

// Free is how many slots would still be free if all that waits were sent, and how many are in use. What
// waits for those who take nothing, or far too slowly, takes no slot from others.
func (r *Room[S]) Free() (sends, busy int) {
	return max(0, r.slots-r.active-r.waiting), r.active
}

// Burst is how many bytes of a send are to go to the network at a time; see [Burst].
func (r *Room[S]) Burst(uneven bool) int { return Burst(r.uplink.Capacity, uneven) }

// Done notes that what a session was granted is sent: its slot is free, unless that was lent before,
// and the session goes to the end of the queue.
func (r *Room[S]) Done(s S) {
	q, ok := r.queues[s]
	if !ok || !q.busy {
		return
	}
	if q.lent {
		r.lent--
		r.waiting += len(q.chunks)
	} else {
		r.active--
	}
	r.sending = slices.DeleteFunc(r.sending, func(o S) bool { return o == s })
	q.busy, q.lent, q.held = false, false, false
	if len(q.chunks) > 0 {
		r.ready = append(r.ready, s)
	}
}

// Sent notes that bytes of what a session was granted are on their way.
func (r *Room[S]) Sent(s S, bytes int, now time.Time) {
	r.uplink.Sent(bytes, now)
	r.bytes += bytes
	if q, ok := r.queues[s]; ok {
		q.sent += bytes
		q.total += bytes
		q.moved = now
	}
}

// Hold notes that a session's send waits for something on this side, an upload limit say, or no longer
// does. That time does not count against the receiver.
func (r *Room[S]) Hold(s S, held bool, now time.Time) {
	q, ok := r.queues[s]
	if !ok || q.held == held {
		return
	}
	if !held {
		q.since = q.since.Add(now.Sub(q.moved))
	}
	q.held, q.moved = held, now
}

// Lend frees the slots of sends that are slow, and returns the sessions; the sends go on without a
// slot. Otherwise a few slow receivers would stop the daemon. It is to be called every [Look].
func (r *Room[S]) Lend(now time.Time) (slow []S) {
	idle := r.idle(now)
	for _, s := range r.sending {
		if q := r.queues[s]; r.lent < mostLent && !q.lent && !q.held && r.slow(q, idle, now) {
			r.waiting -= len(q.chunks)
			q.lent = true
			r.active--
			r.lent++
			slow = append(slow, s)
		}
	}
	return slow
}

// idle is since when the uplink has idled; zero if it has not, or not for long enough to tell.
func (r *Room[S]) idle(now time.Time) (since time.Time) {
	could := r.uplink.Capacity * now.Sub(r.looked).Seconds()
	if could < idleSlices*slice {
		return since
	}
	if float64(r.bytes) < could/2 {
		since = r.looked
	}
	r.looked, r.bytes = now, 0
	return since
}

// slow says whether a send takes far longer than if all that have a slot got the same of the uplink, which has
// idled since a moment; that is zero if it has not.
func (r *Room[S]) slow(q *queue, idle, now time.Time) bool {
	// fair is how long a byte takes a send that gets an equal part of the uplink; 0 if that is not known.
	fair := 0.0
	if r.uplink.Capacity > 0 {
		fair = float64(r.active) / r.uplink.Capacity
	}
	quiet := now.Sub(q.moved)
	if quiet >= stuck {
		return true
	}
	if q.total < buffers && q.moved.Before(idle) {
		return true // it was not the uplink that kept it waiting
	}
	if q.total < buffers && quiet >= untried/time.Duration(1+r.lent) && quiet.Seconds() > farSlower*slice*fair {
		return true
	}
	return fair > 0 && now.Sub(q.since).Seconds() > farSlower*float64(q.sent+slice)*fair
}

// count notes that more, or fewer, chunks wait for a session.
func (r *Room[S]) count(q *queue, more int) {
	if !q.lent {
		r.waiting += more
	}
}

func (r *Room[S]) unready(s S) {
	r.ready = slices.DeleteFunc(r.ready, func(o S) bool { return o == s })
}
