package chunkserver

import (
	"errors"
	"slices"
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
	joins bool // HAVEs, into runs and lists
	ended bool // the last line, ERR or BYE, is in it or has been
	lines []byte
	haves []int         // chunks of HAVEs that are to be joined, behind the lines
	wake  chan struct{} // the writer is to send now
	late  chan struct{} // the writer is to send within latest
	spare []byte        // the buffer that the writer is done with
}

// newOutbox is for a session of that version.
func newOutbox(version int) *outbox {
	return &outbox{joins: version >= 2, wake: make(chan struct{}, 1), late: make(chan struct{}, 1)}
}

func (o *outbox) say(m wire.Message) (waiting int) { return o.sayWith(m, nil) }

// sayWith adds a line and its payload.
func (o *outbox) sayWith(m wire.Message, payload []byte) (waiting int) {
	o.mu.Lock()
	o.add(m, payload)
	waiting = o.waiting()
	o.mu.Unlock()
	signal(o.wake)
	return waiting
}

// sayLater adds a line that may wait for company.
func (o *outbox) sayLater(m wire.Message) (waiting int) {
	o.mu.Lock()
	first := o.waiting() == 0
	o.add(m, nil)
	waiting = o.waiting()
	o.mu.Unlock()
	if first {
		signal(o.late)
	}
	return waiting
}

// end adds the last line, and closes a channel before that can be taken: who hears what has come of
// the line finds the channel closed.
func (o *outbox) end(m wire.Message, closing chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(m, nil)
	close(closing)
}

func (o *outbox) add(m wire.Message, payload []byte) {
	if o.ended {
		return
	}
	switch m.Kind {
	case wire.KindHave:
		if o.joins {
			o.haves = append(o.haves, m.Chunk)
			return
		}
	case wire.KindNone, wire.KindBits:
		o.join() // these mean another thing before what was said earlier
	case wire.KindErr, wire.KindBye:
		o.join()
		o.ended = true
	}
	o.lines = append(wire.AppendMessage(o.lines, m), payload...)
}

// join makes lines of the HAVEs that wait.
func (o *outbox) join() {
	slices.Sort(o.haves)
	o.lines = wire.AppendHaves(o.lines, slices.Compact(o.haves))
	o.haves = o.haves[:0]
}

// waiting counts the memory of a HAVE that is not yet a line.
func (o *outbox) waiting() int { return len(o.lines) + 8*len(o.haves) }

// take empties the outbox; what it returns is valid until the next call.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.join()
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
