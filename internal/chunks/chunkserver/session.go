package chunkserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// ErrStalled ends a session whose other side has taken or sent nothing for too long.
var ErrStalled = errors.New("stalled")

// Session is one connection between two daemons about one manifest. It is symmetric:
// either side may ask and send. Its methods may be called from any goroutine and do not
// block.
type Session struct {
	server  *Server
	target  *Target
	conn    *net.TCPConn
	id      exchange.ID
	peer    string
	version int

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc

	began    time.Time
	received atomic.Int64 // when payload last came, in nanoseconds after began; 0 if never

	reader  *reader
	welcome *welcome
	out     *outbox
	grant   chan int      // a chunk, or room.Any, whose upload slot this session holds
	closing chan struct{} // closed once the last line, ERR or BYE, is in the outbox
	failure error         // why; read it after closing
	silent  chan struct{} // closed once a reader that has failed has heard the other side out
	once    sync.Once
}

func newSession(v *Server, t *Target, c *net.TCPConn, in *inbound, parser *wire.Reader, peer string, version int) *Session {
	parser.Speak(version)
	s := &Session{
		server: v, target: t, conn: c, id: exchange.ID(v.ids.Add(1)), peer: peer, version: version, began: time.Now(),
		welcome: newWelcome(), out: newOutbox(version), grant: make(chan int, 1), closing: make(chan struct{}), silent: make(chan struct{}),
	}
	s.reader = &reader{s: s, in: in, parser: parser, flood: newFlood(t.Manifest.Chunks()), lander: lander{s: s, arrived: make(chan arrival, 1)}}
	s.ctx, s.cancel = context.WithCancelCause(v.ctx)
	return s
}

// ID is the session's name within its [Server]; they count from 1.
func (s *Session) ID() exchange.ID { return s.id }

// Peer is the other side's peer ID, as it said it.
func (s *Session) Peer() string { return s.peer }

// Version is the version of the protocol that both sides speak.
func (s *Session) Version() int { return s.version }

// LastReceived is when payload last came from the other side, by the monotonic clock; the
// zero Unix time if never.
func (s *Session) LastReceived() time.Time {
	after := s.received.Load()
	if after == 0 {
		return time.Unix(0, 0)
	}
	return s.began.Add(time.Duration(after))
}

// Send queues a control line.
func (s *Session) Send(kind wire.Kind, chunk int) { s.say(wire.Message{Kind: kind, Chunk: chunk}) }

// SendBits queues the bitmap of the chunks held.
func (s *Session) SendBits() {
	bits := s.target.Store.Bits()
	s.bound(s.out.sayWith(wire.Message{Kind: wire.KindBits, Bytes: len(bits)}, bits))
}

// SendLater queues a control line that may wait some milliseconds for company: most lines
// of a swarm are HAVEs, and a packet for each would cost more than the chunks' own.
func (s *Session) SendLater(kind wire.Kind, chunk int) {
	s.bound(s.out.sayLater(wire.Message{Kind: kind, Chunk: chunk}))
}

// say queues a line, unless the other side would not understand it.
func (s *Session) say(m wire.Message) {
	if m.Kind.Since() <= s.version {
		s.welcome.said(m, time.Now()) // before it can be answered
		s.bound(s.out.say(m))
	}
}

// bound ends a session for which too many bytes of lines wait.
func (s *Session) bound(waiting int) {
	if waiting > s.server.limits.OutboxBytes {
		s.end(errOutbox)
	}
}

// Upload queues a chunk to be sent when the session's turn comes, or room.Any, for which
// [Target].HandOut chooses one then. It returns room.ErrTooMany if [Limits].Requests wait.
func (s *Session) Upload(chunk int) error { return s.server.uploader.add(s, chunk) }

// CancelUpload takes a chunk queued by Upload back; false if it is not queued any more.
func (s *Session) CancelUpload(chunk int) bool { return s.server.uploader.cancel(s, chunk) }

// Free is for how many more sends the daemon's uplink has room, and how many use it.
func (s *Session) Free() (sends, busy int) { return s.server.uploader.free() }

// Close ends the session from this side.
func (s *Session) Close() { s.end(nil) }

// Bye ends the session from this side, which is no failure: the other side is told not to dial for
// so long, if it understands that. What is queued for it is dropped.
func (s *Session) Bye(d time.Duration) {
	if s.version < wire.KindBye.Since() {
		s.Close()
		return
	}
	s.once.Do(func() {
		ms := min(max(d.Milliseconds(), 0), wire.LongestWait)
		s.lastWord(wire.Message{Kind: wire.KindBye, Wait: int(ms)}, errClosedHere, s.server.limits.Stall)
	})
}

// Fail tells the other side what it did wrong, and ends the session.
func (s *Session) Fail(code string, err error) {
	s.once.Do(func() {
		s.server.observer.Rejected(code)
		s.lastWord(wire.Message{Kind: wire.KindErr, Code: code, Text: err.Error()}, err, time.Second)
	})
}

// lastWord queues the last line. The writer closes the connection once it is out, unless that
// takes too long.
func (s *Session) lastWord(m wire.Message, why error, within time.Duration) {
	s.failure = why
	s.out.end(m, s.closing)
	timer := time.AfterFunc(within, func() { s.end(why) })
	context.AfterFunc(s.ctx, func() { timer.Stop() })
}

// end closes the connection, which ends all goroutines of the session.
func (s *Session) end(err error) {
	if err == nil {
		err = errClosedHere
	}
	select {
	case <-s.closing:
		err = s.failure // what follows from it does not hide it
	default:
	}
	s.cancel(err)
	s.conn.SetDeadline(time.Unix(1, 0)) // wakes the writer out of a sendfile before the close
	s.conn.Close()
}

var errClosedHere = errors.New("closed by this side")

// run serves the session until it ends, and returns once all its goroutines have.
func (s *Session) run() {
	h := s.target.Handler
	s.server.observer.Sessions(1)
	s.server.uploader.join(s)
	h.Opened(s)
	var wg sync.WaitGroup
	wg.Go(newWriter(s).run)
	wg.Go(s.reader.lander.run)
	s.finish(s.reader.run())
	wg.Wait()
	s.server.observer.Sessions(-1)
	why := context.Cause(s.ctx)
	if errors.Is(why, errClosedHere) || errors.Is(why, context.Canceled) { // the session, or the server
		why = nil
	}
	h.Closed(s, why)
}

// finish ends the session for the reader's error: with an ERR where the other side is at
// fault, otherwise at once.
func (s *Session) finish(err error) {
	code := wire.CodeBadMessage
	var fault *faultError
	var timeout net.Error
	switch {
	case errors.As(err, &fault):
		code = fault.code
	case errors.Is(err, wire.ErrProtocol):
	case errors.As(err, &timeout) && timeout.Timeout() && s.ctx.Err() == nil:
		code, err = wire.CodeTimeout, fmt.Errorf("%w: nothing received for too long", ErrStalled)
	default:
		s.end(err)
		return
	}
	s.Fail(code, err)
	s.reader.drain()
	close(s.silent)
	<-s.ctx.Done()
}

// faultError is a breach of the protocol that is not one of syntax.
type faultError struct {
	code string
	text string
}

func (e *faultError) Error() string { return e.text }

func fault(code, format string, args ...any) error {
	return &faultError{code, fmt.Sprintf(format, args...)}
}
