package chunkserver

import (
	"context"
	"sync"
	"time"

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

// done notes that what a session was granted is sent.
func (u *uploader) done(s *Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.room.Done(s)
	u.grant()
}

// sent notes that bytes of what a session was granted are on their way.
func (u *uploader) sent(s *Session, bytes int, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.room.Sent(s, bytes, now)
}

// hold notes that a session's send waits for the upload limit of this daemon, or no longer does.
func (u *uploader) hold(s *Session, held bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.room.Hold(s, held, time.Now())
}

// lend gives the slots of slow receivers on, while their sends go on, and returns whose.
func (u *uploader) lend(now time.Time) (slow []*Session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	slow = u.room.Lend(now)
	u.grant()
	return slow
}

// run looks for slow receivers until ctx ends, and tells their handlers: without the lock, for they may
// ask for more.
func (u *uploader) run(ctx context.Context) {
	look := time.NewTicker(room.Look)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			for _, s := range u.lend(now) {
				s.target.Handler.Lent(s)
			}
		}
	}
}

// free is for how many more sends there is room, and how many use the uplink.
func (u *uploader) free() (sends, busy int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.room.Free()
}

// burst is how many bytes of a send the kernel is to hand to the network at a time; 0 leaves it to the kernel.
func (u *uploader) burst(uneven bool) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.room.Burst(uneven)
}

func (u *uploader) grant() {
	for s, chunk, ok := u.room.Next(time.Now()); ok; s, chunk, ok = u.room.Next(time.Now()) {
		u.count(-1)
		s.grant <- chunk // never blocks: room for one, and a busy session is granted no second
	}
}
