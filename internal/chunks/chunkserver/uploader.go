package chunkserver

import (
	"sync"

	"fanout/internal/chunks/room"
)

// uploader carries out what the room decides: a lock around it, the count of what waits, and
// the way of a grant to the session's writer.
type uploader struct {
	mu    sync.Mutex
	room  *room.Room[*Session]
	count func(delta int)
}

func newUploader(slots, most int, count func(delta int)) *uploader {
	return &uploader{room: room.New[*Session](slots, most), count: count}
}

func (u *uploader) join(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.room.Join(s)
}

// leave forgets a session, whose writer has ended.
func (u *uploader) leave(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count(-u.room.Leave(s))
	u.grant()
}

// add queues a chunk, or room.Any.
func (u *uploader) add(s *Session, chunk int) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	added, err := u.room.Add(s, chunk)
	if added {
		u.count(1)
	}
	u.grant()
	return err
}

// cancel takes a queued chunk back; false if it is not queued (any more).
func (u *uploader) cancel(s *Session, chunk int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	cancelled := u.room.Cancel(s, chunk)
	if cancelled {
		u.count(-1)
	}
	return cancelled
}

// done gives a session's slot on.
func (u *uploader) done(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.room.Done(s)
	u.grant()
}

// lend gives the slot of a receiver that stalls on, while its send goes on.
func (u *uploader) lend(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.room.Lend(s)
	u.grant()
}

func (u *uploader) grant() {
	for s, chunk, ok := u.room.Next(); ok; s, chunk, ok = u.room.Next() {
		u.count(-1)
		s.grant <- chunk // never blocks: room for one, and a busy session is granted no second
	}
}
