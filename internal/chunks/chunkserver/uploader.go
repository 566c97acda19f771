package chunkserver

import (
	"errors"
	"slices"
	"sync"
)

// ErrTooMany is returned when a session asks for more than [Limits].Requests at once.
var ErrTooMany = errors.New("too many requests outstanding")

// uploader decides which session is sent to next. Few sessions are sent to at a time, so
// that chunks finish one after the other and spread on, instead of all crawling together;
// sessions take turns, so that a push goes to every neighbour before the next one does and
// no session can starve the others.
type uploader struct {
	mu     sync.Mutex
	slots  int
	active int
	ready  []*Session // sessions with jobs that are not being sent to, in turn
	limit  int        // jobs a session
	count  func(delta int)
}

// job is one chunk to send. For an ANY the chunk is chosen at the moment of sending.
type job struct {
	chunk  int
	choose func() int // nil for a GET or a push; -1 means that there is none
}

// uploads is a session's part of the uploader, guarded by its mutex.
type uploads struct {
	jobs   []job
	busy   bool // granted, not yet finished
	lent   bool // the slot was given on because the receiver stalls
	closed bool
}

func (u *uploader) add(s *Session, j job) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.up.closed {
		return nil
	}
	if len(s.up.jobs) >= u.limit {
		return ErrTooMany
	}
	s.up.jobs = append(s.up.jobs, j)
	u.count(1)
	if len(s.up.jobs) == 1 && !s.up.busy {
		u.ready = append(u.ready, s)
	}
	u.dispatch()
	return nil
}

// cancel takes a queued chunk back; false if it is not queued (any more).
func (u *uploader) cancel(s *Session, chunk int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(s.up.jobs, func(j job) bool { return j.choose == nil && j.chunk == chunk })
	if i < 0 {
		return false
	}
	s.up.jobs = slices.Delete(s.up.jobs, i, i+1)
	u.count(-1)
	if len(s.up.jobs) == 0 {
		u.unready(s)
	}
	return true
}

// done gives a session's slot on.
func (u *uploader) done(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !s.up.busy {
		return
	}
	s.up.busy = false
	if !s.up.lent {
		u.active--
	}
	s.up.lent = false
	if len(s.up.jobs) > 0 {
		u.ready = append(u.ready, s)
	}
	u.dispatch()
}

// lend gives the slot of a receiver that stalls on to another session; the stalled send
// goes on without one. Otherwise a few stuck receivers would stop the daemon.
func (u *uploader) lend(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.up.busy && !s.up.lent {
		s.up.lent = true
		u.active--
		u.dispatch()
	}
}

// remove forgets a closed session; its writer still calls done for a granted job.
func (u *uploader) remove(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count(-len(s.up.jobs))
	s.up.jobs, s.up.closed = nil, true
	u.unready(s)
}

func (u *uploader) unready(s *Session) {
	u.ready = slices.DeleteFunc(u.ready, func(r *Session) bool { return r == s })
}

func (u *uploader) dispatch() {
	for u.active < u.slots && len(u.ready) > 0 {
		s := u.ready[0]
		u.ready = u.ready[1:]
		j := s.up.jobs[0]
		s.up.jobs = s.up.jobs[1:]
		u.count(-1)
		s.up.busy = true
		u.active++
		s.grant <- j // never blocks: room for one, and a busy session is granted no second
	}
}
