package faultline

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// pieceSize is the most that is read at a time, bytes.
	pieceSize = 16 << 10
	// pieces is how many wait in one direction of a connection at most.
	pieces = 32
	// received is how much the kernel takes from a sender for the line, bytes.
	received = 64 << 10
)

// connection is one that was accepted, and the one that was dialled for it.
type connection struct {
	sides [2]*net.TCPConn // where the bytes of a Direction come from
	ctx   context.Context // ends with the connection
	end   context.CancelFunc
}

func newConnection(ctx context.Context, from, to *net.TCPConn) *connection {
	c := &connection{sides: [2]*net.TCPConn{from, to}}
	c.ctx, c.end = context.WithCancel(ctx)
	for _, s := range c.sides {
		s.SetReadBuffer(received)
	}
	return c
}

// run passes bytes on until both directions have ended, or all is over.
func (c *connection) run(ways *[2]way, seed, number uint64) {
	var flows, closer sync.WaitGroup
	closer.Go(func() {
		<-c.ctx.Done()
		c.close()
	})
	for d := range ways {
		f := newFlow(c, &ways[d], c.sides[d], c.sides[1-d], seed, 4*number+2*uint64(d))
		flows.Go(f.read)
		flows.Go(f.write)
	}
	flows.Wait()
	c.end()
	closer.Wait()
}

// reset ends the connection with an RST to either side.
func (c *connection) reset() {
	for _, s := range c.sides {
		s.SetLinger(0)
	}
	c.close()
	c.end()
}

func (c *connection) close() {
	for _, s := range c.sides {
		s.Close()
	}
}

// flow is one direction of a connection.
type flow struct {
	*connection
	way      *way
	from, to *net.TCPConn
	waiting  chan piece
	next     *piece // what of the queue is to pass next; nil while nothing waits
	passed   int64

	luck   *rand.Rand // the reader's
	damage *rand.Rand
	every  int64 // the CorruptEvery that wrong was drawn for
	wrong  int64 // the byte that is to be changed next
}

// piece is what was read at a time. One without bytes is the end.
type piece struct {
	bytes []byte
	at    time.Time
	luck  float64 // how much of the jitter it gets
}

func newFlow(c *connection, w *way, from, to *net.TCPConn, seed, stream uint64) *flow {
	return &flow{
		connection: c, way: w, from: from, to: to, waiting: make(chan piece, pieces),
		luck: rand.New(rand.NewPCG(seed, stream)), damage: rand.New(rand.NewPCG(seed, stream+1)),
	}
}

// read queues what comes until it ends.
func (f *flow) read() {
	buffer := make([]byte, pieceSize)
	for {
		n, err := f.from.Read(buffer)
		if err != nil && err != io.EOF {
			f.reset()
			return
		}
		select {
		case f.waiting <- piece{slices.Clone(buffer[:n]), time.Now(), f.luck.Float64()}:
		case <-f.ctx.Done():
			return
		}
		if n == 0 {
			return
		}
	}
}

// write passes on what is queued until it ends, as the faults of the moment have it.
func (f *flow) write() {
	for {
		faults, changed := f.way.now()
		wait, ended := f.step(faults)
		if ended {
			return
		}
		if wait == 0 {
			continue
		}
		more := f.waiting
		if f.next != nil {
			more = nil
		}
		select {
		case p := <-more:
			f.next = &p
		case <-time.After(wait):
		case <-changed:
		case <-f.ctx.Done():
			return
		}
	}
}

// step does what is to be done now, or says how long there is nothing to do.
func (f *flow) step(faults Faults) (wait time.Duration, ended bool) {
	switch {
	case reached(faults.ResetAfter, f.passed):
		f.reset()
		return 0, true
	case reached(faults.HalfCloseAfter, f.passed):
		f.to.CloseWrite()
		f.discard()
		return 0, true
	case f.next == nil || faults.Stall:
		return math.MaxInt64, false
	}
	now := time.Now()
	due := f.next.at.Add(faults.Delay + time.Duration(f.next.luck*float64(faults.Jitter)))
	if wait := due.Sub(now); wait > 0 {
		return wait, false
	}
	if len(f.next.bytes) == 0 {
		f.to.CloseWrite()
		return 0, true
	}
	n, wait := f.way.claim(f.most(faults), faults, now)
	if n == 0 {
		return wait, false
	}
	return 0, !f.pass(n, faults.CorruptEvery)
}

func reached(after, passed int64) bool { return after > 0 && passed >= after }

// most is how much of the next piece may pass before the connection is closed or reset.
func (f *flow) most(faults Faults) int {
	n := int64(len(f.next.bytes))
	for _, after := range []int64{faults.HalfCloseAfter, faults.ResetAfter} {
		if after > 0 {
			n = min(n, after-f.passed)
		}
	}
	return int(n)
}

// pass passes on so much of the next piece; false if the receiver is gone.
func (f *flow) pass(n int, corruptEvery int64) bool {
	out := f.next.bytes[:n]
	f.corrupt(out, corruptEvery)
	if _, err := f.to.Write(out); err != nil {
		f.reset()
		return false
	}
	f.passed += int64(n)
	if f.next.bytes = f.next.bytes[n:]; len(f.next.bytes) == 0 {
		f.next = nil
	}
	return true
}

// corrupt changes one byte in so many, on average.
func (f *flow) corrupt(bytes []byte, every int64) {
	if every != f.every {
		f.every, f.wrong = every, f.passed-1
		f.advance()
	}
	for every > 0 && f.wrong < f.passed+int64(len(bytes)) {
		bytes[f.wrong-f.passed] ^= byte(1 + f.damage.IntN(255))
		f.advance()
	}
}

// advance draws which byte is to be changed after the last one.
func (f *flow) advance() {
	if f.every > 0 {
		f.wrong += 1 + f.damage.Int64N(2*f.every-1)
	}
}

// discard throws away what comes, until it ends.
func (f *flow) discard() {
	for f.next == nil || len(f.next.bytes) > 0 {
		select {
		case p := <-f.waiting:
			f.next = &p
		case <-f.ctx.Done():
			return
		}
	}
}
