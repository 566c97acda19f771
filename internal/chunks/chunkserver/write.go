package chunkserver

import (
	"fmt"
	"time"

	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

// lingers is how long the other side has to hang up once the last line is out.
const lingers = time.Second / 2

// writer is the goroutine of a session that sends: control lines, and the chunks that are
// granted an upload slot.
type writer struct {
	s       *Session
	control *control
}

func newWriter(s *Session) writer {
	return writer{s, &control{path: tcpPath{s.conn}, paths: &s.server.paths, every: s.server.limits.Look}}
}

// run sends until the session ends.
func (w writer) run() {
	err := w.loop()
	w.s.server.uploader.leave(w.s) // also with a chunk that was granted and not begun
	w.s.end(err)
}

func (w writer) loop() error {
	s := w.s
	w.control.look(time.Now())
	late := time.NewTimer(0)
	defer late.Stop()
	ping := time.NewTicker(s.server.limits.Ping)
	defer ping.Stop()
	for {
		select {
		case <-s.closing: // before a chunk that was granted
			return w.goodbye()
		default:
		}
		var err error
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-s.closing:
			return w.goodbye()
		case <-s.out.late:
			late.Reset(latest)
			continue
		case <-ping.C:
			s.say(wire.Message{Kind: wire.KindPing})
			continue
		case chunk := <-s.grant:
			err = w.send(chunk)
		case <-s.out.wake:
			err = w.lines(s.out.take())
		case <-late.C:
			err = w.lines(s.out.take())
		}
		if err != nil {
			return err
		}
	}
}

func (w writer) lines(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	w.s.conn.SetWriteDeadline(time.Now().Add(w.s.server.limits.Stall))
	if _, err := w.s.conn.Write(lines); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// goodbye sends the last lines and waits a moment for the other side to read them: a
// close with bytes unread would reset the connection and take them with it.
func (w writer) goodbye() error {
	s := w.s
	if err := w.lines(s.out.take()); err != nil {
		return err
	}
	if err := s.conn.CloseWrite(); err != nil {
		return err
	}
	select {
	case <-s.ctx.Done():
	case <-s.silent:
	case <-time.After(lingers):
	}
	return s.failure
}

// send sends one chunk, or NONE where there is none to send, and gives the slot on.
func (w writer) send(chunk int) error {
	s := w.s
	if chunk == room.Any {
		chunk = s.target.handOut(s)
	}
	if chunk < 0 || !s.target.Store.Has(chunk) {
		s.server.uploader.done(s)
		s.Send(wire.KindNone, chunk)
		s.target.Handler.Sent(s, chunk)
		return nil
	}
	err := w.data(chunk)
	s.server.uploader.done(s)
	if err != nil {
		return fmt.Errorf("send chunk %d: %w", chunk, err)
	}
	s.target.Handler.Sent(s, chunk)
	return nil
}

// data sends the DATA line of a chunk and its payload.
func (w writer) data(chunk int) error {
	s := w.s
	limit := s.server.cfg.Upload
	size, n := sliceBytes, s.target.Manifest.Length(chunk)
	if limit != nil {
		size = min(size, limit.Burst())
	}
	for at := 0; at < n; at += size {
		k := min(size, n-at)
		if limit != nil {
			s.server.uploader.hold(s, true) // this wait is not the receiver's doing
			if err := limit.WaitN(s.ctx, k); err != nil {
				return err
			}
			s.server.uploader.hold(s, false)
		}
		now := time.Now()
		w.control.look(now) // here and not by a timer: who does not send needs no control
		burst := s.server.uploader.burst(s.server.paths.uneven(now))
		s.conn.SetWriteDeadline(now.Add(s.server.limits.Stall))
		if at == 0 {
			head := wire.AppendMessage(s.out.take(), wire.Message{Kind: wire.KindData, Chunk: chunk, Bytes: n})
			if err := writeMore(s.conn, head); err != nil {
				return err
			}
		}
		if _, err := s.target.Store.SendTo(s.conn, chunk, at, k, burst); err != nil {
			return err
		}
		s.server.uploader.sent(s, k, time.Now())
		s.server.observer.SentBytes(k)
	}
	return nil
}
