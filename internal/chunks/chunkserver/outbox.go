package chunkserver

import (
	"errors"
	"sync"
	"time"

	"fanout/internal/chunks/wire"
)

// latest is how long a line of sayLater waits for company.
const latest = 150 * time.Millisecond

var errOutbox = errors.New("it does not read its messages")

// outbox holds the control lines that wait for the writer. What adds to it returns how many
// bytes wait.
type outbox struct {
	mu    sync.Mutex
	lines []byte
	wake  chan struct{} // the writer is to send now
	late  chan struct{} // the writer is to send within latest
	spare []byte        // the buffer that the writer is done with
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), late: make(chan struct{}, 1)}
}

func (o *outbox) say(m wire.Message) (waiting int) { return o.sayWith(m, nil) }

// sayWith adds a line and its payload.
func (o *outbox) sayWith(m wire.Message, payload []byte) (waiting int) {
	o.mu.Lock()
	o.lines = append(wire.AppendMessage(o.lines, m), payload...)
	waiting = len(o.lines)
	o.mu.Unlock()
	signal(o.wake)
	return waiting
}

// sayLater adds a line that may wait for company.
func (o *outbox) sayLater(m wire.Message) (waiting int) {
	o.mu.Lock()
	first := len(o.lines) == 0
	o.lines = wire.AppendMessage(o.lines, m)
	waiting = len(o.lines)
	o.mu.Unlock()
	if first {
		signal(o.late)
	}
	return waiting
}

// take empties the outbox; what it returns is valid until the next call.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.lines
	o.lines, o.spare = o.spare[:0], lines
	return lines
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
