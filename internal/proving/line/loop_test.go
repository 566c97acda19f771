//go:build linux

package main

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A loop carries frames between any two files; here, between sockets.
func TestLoopCarriesInOrderAndNeverEarly(t *testing.T) {
	const frames = 200
	for _, delay := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} {
		a, b := pair()
		mine, others := sockets(t, a), sockets(t, b)
		l, err := newLoop([]*end{a, b}, delay, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- l.run() }()

		sent := make([]time.Time, frames)
		go func() {
			for i := range frames {
				sent[i] = time.Now()
				send(mine, uint64(i))
				time.Sleep(100 * time.Microsecond)
			}
		}()
		for i := range frames {
			if got := receive(t, others); got != uint64(i) {
				t.Fatalf("delay %v: frame %d comes as number %d", delay, got, i)
			}
			if took := time.Since(sent[i]); took < delay {
				t.Fatalf("delay %v: frame %d took %v", delay, i, took)
			}
		}
		send(others, 9)
		if got := receive(t, mine); got != 9 {
			t.Errorf("delay %v: frame %d came back", delay, got)
		}
		if got := l.take(); got.carried != frames+1 || got.bytes != 8*(frames+1) || got.lost+got.dropped+got.refused != 0 {
			t.Errorf("delay %v: counted %+v", delay, got.report(0))
		}
		if got := l.take(); got.carried != 0 {
			t.Errorf("delay %v: %d frames counted again", delay, got.carried)
		}
		l.end()
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.close()
	}
}

func TestLoopLosesAllOrTellsWhoIsGone(t *testing.T) {
	a, b := pair()
	mine, _ := sockets(t, a), sockets(t, b)
	l, err := newLoop([]*end{a, b}, 0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	done := make(chan error)
	go func() { done <- l.run() }()
	for i := range uint64(50) {
		send(mine, i)
	}
	for l.taken() < 50 {
		time.Sleep(time.Millisecond)
	}
	l.end()
	if err := <-done; err != nil {
		t.Error(err)
	}
	unix.Close(a.fd)
	a.fd = -1
	if err := l.fetch(a); err == nil || err.Error() != "a: read: bad file descriptor" {
		t.Errorf("a device that is gone: %v", err)
	}
}

func (l *loop) taken() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally.lost
}

func TestNoAllocationAFrame(t *testing.T) {
	a, b := pair()
	mine, others := sockets(t, a), sockets(t, b)
	l, err := newLoop([]*end{a, b}, 0, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	events, buf, frame := []unix.EpollEvent{{Fd: 0}}, make([]byte, 64), make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() {
		unix.Write(mine, frame) // no burst
		l.turn(events)
		l.arm()
		unix.Read(others, buf)
	}); n != 0 {
		t.Errorf("%g allocations for each frame", n)
	}
}

// sockets gives an end a socket, and returns the other one of the pair.
func sockets(t *testing.T, e *end) int {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		t.Fatal(err)
	}
	e.fd = p[0]
	t.Cleanup(func() {
		unix.Close(p[0])
		unix.Close(p[1])
	})
	return p[1]
}

func send(fd int, number uint64) {
	unix.Write(fd, binary.BigEndian.AppendUint64(make([]byte, vnetHeader), number))
}

func receive(t *testing.T, fd int) uint64 {
	t.Helper()
	data := make([]byte, 64)
	n, err := unix.Read(fd, data)
	if err != nil || n != vnetHeader+8 {
		t.Fatal(n, err)
	}
	return binary.BigEndian.Uint64(data[vnetHeader:n])
}
