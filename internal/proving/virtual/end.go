package virtual

import (
	"strconv"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

// What internal/chunks/chunkserver does with a session.
const (
	later = 150 * time.Millisecond // a line that may wait for company does, at most
	stall = 15 * time.Second       // between two slices of a payload, either way

	sliceBytes = 64 << 10 // of a payload, for which these times count
)

// line is a control line.
type line struct {
	kind   wire.Kind
	chunk  int32
	amount int32 // as exchange.Send has it
}

// bytes is the line's length.
func (l line) bytes() int {
	n := len(l.kind.String()) + 1
	if l.kind != wire.KindAny {
		n += 1 + len(strconv.Itoa(int(l.chunk)))
	}
	if l.amount > 0 {
		n += 1 + len(strconv.Itoa(int(l.amount)))
	}
	return n
}

// end is one side of a session: the model of a chunkserver.Session.
type end struct {
	*host
	id      exchange.ID
	other   *end
	out, in *stream
	bits    []byte // of the last BITS said here
	opened  bool   // the daemon knows of it
	closed  bool
	why     error // of the close, for the other side

	lines   []line // to be sent
	urgent  bool   // now
	flushes moment // when those that may wait no longer do

	granted  bool // an upload slot, for the chunk or room.Any
	chunk    int
	sending  int // bytes of the chunk that are not yet with the kernel
	corrupt  bool
	pumping  bool
	slice    moment // when the slice began that the kernel is to take
	receives bool   // a chunk
	began    moment // when it began to come
	reading  moment // when the slice did that is coming
	received moment // when one last had come
	told     moment // up to when the engine knows that
}

// The end's entries in the agenda.
const (
	flush = iota // send the lines that may wait
	gone         // the other side has closed the session
)

func (e *end) act(what, _ int) {
	switch {
	case e.closed || e.dead:
	case what == flush:
		if e.now == e.flushes {
			e.urgent = true
			e.pump()
		}
	case what == gone:
		e.finish(e.other.why)
	}
}

// say queues a control line.
func (e *end) say(kind wire.Kind, chunk int) { e.queue(line{kind: kind, chunk: int32(chunk)}, false) }

// queue queues a line, which may wait for company.
func (e *end) queue(l line, mayWait bool) {
	if e.closed {
		return
	}
	if l.kind != wire.KindHave {
		e.watch(step{what: saidLine, by: e.host, on: e, line: l})
	}
	e.lines = append(e.lines, l)
	switch {
	case !mayWait:
		e.urgent = true
		e.pump()
	case len(e.lines) == 1: // the first; the others are its company
		e.flushes = e.now + later
		e.enter(e.flushes, e, flush, 0)
	}
}

// grant gives the end an upload slot.
func (e *end) grant(chunk int) {
	e.granted, e.chunk = true, chunk
	e.pump()
}

// pump is the session's writer: it gives the kernel what it takes.
func (e *end) pump() {
	if e.pumping || e.closed || e.frozen || e.dead {
		return
	}
	e.pumping = true
	defer func() { e.pumping = false }()
	for e.kernelTakes() {
		switch {
		case e.sending > 0:
			e.givePayload()
		case e.granted:
			e.begin()
		case e.urgent:
			e.giveLines()
		default:
			return
		}
	}
}

// kernelTakes is TCP_NOTSENT_LOWAT, as chunkserver sets it.
func (e *end) kernelTakes() bool {
	return !e.closed && e.out.unsent() < min(max(e.chunkSize/4, 16<<10), 256<<10)
}

func (e *end) giveLines() {
	bytes := 0
	for _, l := range e.lines {
		bytes += l.bytes()
		if l.kind == wire.KindBits {
			bytes += (e.chunks + 7) / 8
		}
	}
	lines := e.lines
	e.lines, e.urgent = nil, false
	if len(lines) > 0 {
		e.out.write(bytes, note{lines: lines})
	}
}

// begin begins to send the chunk that a slot was granted for.
func (e *end) begin() {
	e.granted = false
	any := e.chunk == room.Any
	if any {
		e.chunk = e.handOut(e)
	}
	if e.watch(step{what: beginsChunk, by: e.host, on: e, chunk: e.chunk, any: any}); e.chunk < 0 || !e.has(e.chunk) {
		e.say(wire.KindNone, e.chunk)
		e.done()
		return
	}
	e.giveLines()
	e.sending = e.length(e.chunk)
	e.corrupt = e.Lying
	e.slice = e.now
	e.out.write(len("DATA 1234 65536\n"), note{chunk: e.chunk})
}

func (e *end) givePayload() {
	left := sliceBytes - (e.length(e.chunk)-e.sending)%sliceBytes // of the slice
	n := min(e.sending, left, e.out.most)
	e.sending -= n
	e.stats.sent += int64(n)
	if e.sending == 0 || n == left {
		e.room.Sent(e, min(sliceBytes, e.length(e.chunk)), e.clock(e.now))
	}
	switch {
	case e.sending == 0:
		e.out.write(n, note{chunk: e.chunk, ends: true, corrupt: e.corrupt})
		e.done()
	case n == left:
		e.slice = e.now
		e.out.write(n, note{chunk: e.chunk, slice: true})
	default:
		e.out.write(n)
	}
}

// done gives the slot on.
func (e *end) done() {
	e.room.Done(e)
	if e.Origin {
		e.progressed()
	}
	e.take(exchange.Sent{To: e.id, Chunk: e.chunk})
	e.share()
	e.spare()
}

// receive is the session's reader: it takes what has come.
func (e *end) receive() {
	if !e.opened || e.frozen || e.closed || e.dead {
		return
	}
	for !e.closed {
		n, ok := e.in.take()
		if !ok {
			break
		}
		switch {
		case n.lines != nil:
			e.hear(n.lines)
		case n.slice:
			e.reading, e.received = e.now, e.now
		case n.ends:
			e.receives, e.received = false, e.now
			e.land(e, n.chunk, e.now-e.began, n.corrupt)
		default:
			e.receives, e.began, e.reading = true, e.now, e.now
		}
	}
}

func (e *end) hear(lines []line) {
	e.stats.messages += len(lines)
	for _, l := range lines {
		if e.closed {
			return
		}
		if l.kind == wire.KindHave {
			e.watch(step{what: heardHave, by: e.host, on: e, chunk: int(l.chunk)})
		} else {
			e.watch(step{what: heardLine, by: e.host, on: e, line: l})
		}
		got := exchange.Got{From: e.id, Message: wire.Message{Kind: l.kind, Chunk: int(l.chunk)}}
		switch l.kind {
		case wire.KindRoom:
			got.Message.Bytes = int(l.amount)
		case wire.KindPass:
			got.Message.Chunk, got.Message.Wait = 0, int(l.amount)
		}
		if l.kind == wire.KindBits {
			got.Payload = e.other.bits
		}
		e.take(got)
	}
}

// tend does what a session's timers do.
func (e *end) tend() {
	switch {
	case e.sending > 0 && e.now-e.slice > stall, e.receives && e.now-e.reading > stall:
		e.fail(wire.CodeTimeout, errStalled)
	}
}

// news tells the engine when a slice last had come.
func (e *end) news() {
	if e.received > e.told {
		e.told = e.received
		e.take(exchange.Received{From: e.id, At: e.clock(e.received)})
	}
}

// fail tells the other side what it did wrong, and ends the session.
func (e *end) fail(code string, why error) {
	e.shut(&wire.RemoteError{Code: code, Text: why.Error()}, why)
}

// shut ends the session from this side; why is for the other one.
func (e *end) shut(why, own error) {
	if e.closed {
		return
	}
	e.why = why
	way := e.out.delay
	for _, l := range e.out.path {
		way += l.wait(e.now)
	}
	e.enter(e.now+way, e.other, gone, 0)
	e.finish(own)
}

// finish is the end of this side of the session.
func (e *end) finish(why error) {
	if e.closed {
		return
	}
	e.closed = true
	e.out.cut = true
	e.room.Leave(e)
	e.leave(e)
	e.watch(step{what: endedSession, by: e.host, on: e})
	if e.opened {
		e.take(exchange.Closed{ID: e.id, Err: why})
	}
	e.share()
}
