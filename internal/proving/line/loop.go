//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many frames of one device are fetched before the others have their turn.
const batch = 32

// end is one end of a link.
type end struct {
	name string
	fd   int
	far  *end
	rng  *rand.Rand // which of the frames that enter here are lost
}

// carrier is what a loop decides: which frames are lost, and when the others are due.
type carrier struct {
	delay  time.Duration
	loss   float64 // probability
	queue  queue
	tally  tally
	into   []byte         // where the next frame is read into
	full   bool           // it is beyond
	beyond [maxFrame]byte // for frames that the queue has no room for
	torn   [maxFrame]byte // for a burst that loses segments
	losses []int          // which
}

// space is where to read the next frame into.
func (c *carrier) space() []byte {
	c.into = c.queue.space()
	if c.full = c.into == nil; c.full {
		c.into = c.beyond[:]
	}
	return c.into
}

// enter takes the frame of n bytes that was read into space from an end. Every segment of a
// burst may be lost, and the others go on in smaller ones.
func (c *carrier) enter(from *end, n int, now int64) {
	b := cut(c.into[:n])
	c.tally.segments += uint64(b.segments)
	if c.loss == 0 {
		c.push(from, n, now)
		return
	}
	c.losses = c.losses[:0]
	for i := range b.segments {
		if from.rng.Float64() < c.loss {
			c.losses = append(c.losses, i)
		}
	}
	c.tally.lost += uint64(len(c.losses))
	switch len(c.losses) {
	case b.segments:
		return
	case 0:
		c.push(from, n, now)
		return
	}
	b.data = c.torn[:copy(c.torn[:], b.data)]
	next := 0
	for _, i := range append(c.losses, b.segments) {
		if i > next {
			c.push(from, b.part(c.space(), next, i), now)
		}
		next = i + 1
	}
}

// push sends what is in space on its way.
func (c *carrier) push(from *end, n int, now int64) {
	if c.full {
		c.tally.dropped++
		return
	}
	c.queue.push(frame{to: from.far, due: now + int64(c.delay), len: n})
}

// loop carries the frames of some links, on a thread of its own.
type loop struct {
	carrier
	ends         []*end
	began        time.Time
	epoll, timer int
	poke         int // an eventfd: look at ended

	mu    sync.Mutex // held while frames are carried
	ended bool
}

// newLoop is a loop over links, whose files it does not own. Memory is what frames on the
// way may take.
func newLoop(ends []*end, delay time.Duration, loss float64, memory int) (l *loop, err error) {
	l = &loop{ends: ends, began: time.Now(), carrier: carrier{delay: delay, loss: loss}, epoll: -1, timer: -1, poke: -1}
	l.queue.pool = &pool{limit: max(1, memory/blockSize)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	if l.poke, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	watch := func(fd, index int) error {
		return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)})
	}
	for i, e := range ends {
		if err := watch(e.fd, i); err != nil {
			return nil, fmt.Errorf("%s: epoll: %w", e.name, err)
		}
	}
	for _, fd := range []int{l.timer, l.poke} { // these only wake
		if err := watch(fd, -1); err != nil {
			return nil, fmt.Errorf("epoll: %w", err)
		}
	}
	return l, nil
}

func (l *loop) close() {
	for _, fd := range []int{l.epoll, l.timer, l.poke} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (l *loop) now() int64 { return int64(time.Since(l.began)) }

// run carries frames until end is called, or a device is gone.
func (l *loop) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	events := make([]unix.EpollEvent, 64)
	for {
		if err := l.arm(); err != nil {
			return err
		}
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		if ended, err := l.turn(events[:n]); ended || err != nil {
			return err
		}
	}
}

// turn carries what there is to carry.
func (l *loop) turn(events []unix.EpollEvent) (ended bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	began := l.now()
	if err := l.leave(); err != nil {
		return true, err
	}
	for _, e := range events {
		if e.Fd < 0 {
			continue
		}
		if err := l.fetch(l.ends[e.Fd]); err != nil {
			return true, err
		}
		if err := l.leave(); err != nil {
			return true, err
		}
	}
	l.tally.turnMax = max(l.tally.turnMax, time.Duration(l.now()-began))
	return l.ended, nil
}

// arm sets the timer to when the oldest frame is due, which also clears it.
func (l *loop) arm() error {
	var t unix.ItimerSpec // zero disarms
	if f, _, ok := l.queue.front(); ok {
		t.Value = unix.NsecToTimespec(max(1, f.due-l.now()))
	}
	if err := unix.TimerfdSettime(l.timer, 0, &t, nil); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	return nil
}

// fetch takes in what a device has sent.
func (l *loop) fetch(e *end) error {
	for range batch {
		n, err := unix.Read(e.fd, l.space())
		switch err {
		case nil:
			l.enter(e, n, l.now())
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return fmt.Errorf("%s: read: %w", e.name, err)
		}
	}
	return nil
}

// leave hands over the frames that are due.
func (l *loop) leave() error {
	for {
		f, data, ok := l.queue.front()
		if !ok {
			return nil
		}
		late := time.Duration(l.now() - f.due)
		if late < 0 {
			return nil
		}
		switch _, err := unix.Write(f.to.fd, data); err {
		case nil:
			l.tally.left(len(data)-vnetHeader, late)
		case unix.EINTR:
			continue
		case unix.EBADFD:
			return fmt.Errorf("%s: write: %w", f.to.name, err)
		default:
			l.tally.refused++
		}
		l.queue.pop()
	}
}

// end makes run return.
func (l *loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	unix.Write(l.poke, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// take is what was counted since the last take.
func (l *loop) take() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	l.tally = tally{}
	return t
}
