package chunkserver

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

// latest is how long a line queued by SendLater waits for company.
const latest = 150 * time.Millisecond

var errOutbox = errors.New("it does not read its messages")

// outbox holds the control lines that wait for the writer.
type outbox struct {
	mu    sync.Mutex
	lines []byte
	wake  chan struct{} // the writer is to send now
	late  chan struct{} // the writer is to send within latest
	spare []byte        // the buffer that the writer is done with
}

func (o *outbox) add(line []byte) (waiting int) {
	o.mu.Lock()
	o.lines = append(o.lines, line...)
	waiting = len(o.lines)
	o.mu.Unlock()
	signal(o.wake)
	return waiting
}

func (o *outbox) addLate(m wire.Message) (waiting int) {
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

func (s *Session) queue(m wire.Message) {
	var line [64]byte
	s.push(wire.AppendMessage(line[:0], m))
}

func (s *Session) push(line []byte) { s.bound(s.out.add(line)) }

// bound ends a session for which too many bytes of lines wait.
func (s *Session) bound(waiting int) {
	if waiting > s.server.limits.OutboxBytes {
		s.end(errOutbox)
	}
}

// write sends control lines and granted chunks until the session ends.
func (s *Session) write() {
	err := s.writeLoop()
	s.server.uploader.leave(s) // also with a chunk that was granted and not begun
	s.end(err)
}

func (s *Session) writeLoop() error {
	late := time.NewTimer(0)
	defer late.Stop()
	ping := time.NewTicker(s.server.limits.Ping)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-s.closing:
			return s.sayGoodbye()
		case <-s.out.late:
			late.Reset(latest)
			continue
		case <-ping.C:
			err = s.writeLines(wire.AppendMessage(nil, wire.Message{Kind: wire.KindPing}))
		case chunk := <-s.grant:
			err = s.sendGranted(chunk)
		case <-s.out.wake:
			err = s.writeLines(s.out.take())
		case <-late.C:
			err = s.writeLines(s.out.take())
		}
		if err != nil {
			return err
		}
	}
}

func (s *Session) writeLines(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	s.conn.SetWriteDeadline(time.Now().Add(s.server.limits.Stall))
	if _, err := s.conn.Write(lines); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// sayGoodbye sends the last lines and waits a moment for the other side to read them: a
// close with bytes unread would reset the connection and take the ERR with it.
func (s *Session) sayGoodbye() error {
	if err := s.writeLines(s.out.take()); err != nil {
		return err
	}
	if err := s.conn.CloseWrite(); err != nil {
		return err
	}
	s.conn.SetReadDeadline(time.Now().Add(time.Second / 2))
	io.Copy(io.Discard, io.LimitReader(s.conn, 1<<20))
	return s.failure
}

// sendGranted sends one chunk, or NONE where there is none to send, and gives the slot on.
func (s *Session) sendGranted(chunk int) error {
	if chunk == room.Any {
		chunk = s.target.handOut(s)
	}
	if chunk < 0 || !s.target.Store.Has(chunk) {
		s.server.uploader.done(s)
		s.Send(wire.KindNone, chunk)
		s.target.Handler.Sent(s, chunk)
		return nil
	}
	err := s.sendChunk(chunk)
	s.server.uploader.done(s)
	if err != nil {
		return fmt.Errorf("send chunk %d: %w", chunk, err)
	}
	s.target.Handler.Sent(s, chunk)
	return nil
}

func (s *Session) sendChunk(chunk int) error {
	lendAfter := s.server.limits.Lend
	lend := time.AfterFunc(lendAfter, func() { s.server.uploader.lend(s) })
	defer lend.Stop()
	limit := s.server.cfg.Upload
	size, n := sliceBytes, s.target.Manifest.Length(chunk)
	if limit != nil {
		size = min(size, limit.Burst())
	}
	for at := 0; at < n; at += size {
		k := min(size, n-at)
		if limit != nil {
			lend.Stop() // this wait is not the receiver's doing
			if err := limit.WaitN(s.ctx, k); err != nil {
				return err
			}
		}
		lend.Reset(lendAfter)
		s.conn.SetWriteDeadline(time.Now().Add(s.server.limits.Stall))
		if at == 0 {
			head := wire.AppendMessage(s.out.take(), wire.Message{Kind: wire.KindData, Chunk: chunk, Bytes: n})
			if err := writeMore(s.conn, head); err != nil {
				return err
			}
		}
		if _, err := s.target.Store.SendTo(s.conn, chunk, at, k); err != nil {
			return err
		}
		s.server.observer.SentBytes(k)
	}
	return nil
}
