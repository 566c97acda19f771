package chunkserver

import (
	"fmt"
	"time"

	"fanout/internal/chunks/wire"
)

// sliceBytes is how much of a payload is read or sent between two looks at the clock, the
// limiter and the session's end.
const sliceBytes = 64 << 10

// reader is the goroutine of a session that parses what comes.
type reader struct {
	s      *Session
	in     *inbound
	parser *wire.Reader
	flood  *flood
	lander lander
}

// run parses messages until the session ends, and returns why.
func (r *reader) run() error {
	s := r.s
	defer close(r.lander.arrived)
	for {
		s.conn.SetReadDeadline(time.Now().Add(s.server.limits.Idle))
		m, err := r.parser.Next()
		if err != nil {
			return err
		}
		if err := r.dispatch(m); err != nil {
			return err
		}
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
	}
}

// drain reads on, for nothing, until the other side has hung up or the session ends.
func (r *reader) drain() {
	var rest [4096]byte
	r.s.conn.SetReadDeadline(time.Now().Add(time.Second + lingers)) // the last line may wait for the second
	for {
		if _, err := r.in.Read(rest[:]); err != nil {
			return
		}
	}
}

func (r *reader) dispatch(m wire.Message) error {
	s := r.s
	if err := r.check(&m); err != nil {
		return err
	}
	if err := r.flood.check(&m, r.parser.Line(), time.Now()); err != nil {
		return err
	}
	s.welcome.heard(m, time.Now())
	var payload []byte
	switch m.Kind {
	case wire.KindPing:
		s.say(wire.Message{Kind: wire.KindPong})
		return nil
	case wire.KindPong:
		return nil
	case wire.KindErr:
		return &wire.RemoteError{Code: m.Code, Text: m.Text}
	case wire.KindBye:
		return &wire.Bye{For: time.Duration(m.Wait) * time.Millisecond}
	case wire.KindData:
		return r.receive(m)
	case wire.KindBits:
		payload = make([]byte, m.Bytes)
		if err := r.parser.ReadPayload(payload); err != nil {
			return fmt.Errorf("read BITS: %w", err)
		}
	}
	s.target.Handler.Got(s, m, payload)
	return nil
}

// check holds a message against the manifest, a HAVE with all that it names: who handles it may
// go through its runs.
func (r *reader) check(m *wire.Message) error {
	chunks := r.s.target.Manifest.Chunks()
	highest := m.Chunk
	switch m.Kind {
	case wire.KindBits:
		if want := (chunks + 7) / 8; m.Bytes != want {
			return fault(wire.CodeBadLength, "BITS %d: the manifest has %d chunks, so %d bytes", m.Bytes, chunks, want)
		}
		return nil
	case wire.KindHave:
		_, highest = m.Named()
	case wire.KindAny, wire.KindPing, wire.KindPong, wire.KindErr, wire.KindPass, wire.KindBye:
		return nil // they are about no chunk
	}
	if highest >= chunks {
		return fault(wire.CodeBadMessage, "%v %d: the manifest has %d chunks", m.Kind, highest, chunks)
	}
	if m.Kind == wire.KindData {
		if want := r.s.target.Manifest.Length(m.Chunk); m.Bytes != want {
			return fault(wire.CodeBadLength, "DATA %d %d: the chunk has %d bytes", m.Chunk, m.Bytes, want)
		}
	}
	return nil
}

// receive reads a chunk and hands it to the lander; one that is held already is skipped.
func (r *reader) receive(m wire.Message) error {
	s := r.s
	began := time.Now()
	if !s.welcome.takes(m.Chunk, began) {
		return fault(wire.CodeUnasked, "DATA %d: it was neither asked for nor offered", m.Chunk)
	}
	if s.target.Store.Has(m.Chunk) {
		if err := r.slices(m.Bytes, func(_, n int) error { return r.parser.Discard(n) }); err != nil {
			return fmt.Errorf("skip chunk %d: %w", m.Chunk, err)
		}
		s.target.Handler.Landed(s, Landing{Chunk: m.Chunk, Bytes: m.Bytes, Took: time.Since(began)})
		return nil
	}
	data, err := s.server.buffers.get(s.ctx, m.Bytes)
	if err != nil {
		return err
	}
	r.in.bulk = true
	err = r.slices(m.Bytes, func(at, n int) error { return r.parser.ReadPayload(data[at : at+n]) })
	r.in.bulk = false
	if err != nil {
		s.server.buffers.put(data)
		return fmt.Errorf("receive chunk %d: %w", m.Chunk, err)
	}
	a := arrival{m.Chunk, data, began}
	if m.Bytes < landAside {
		r.lander.land(a)
	} else {
		r.lander.arrived <- a
	}
	return nil
}

// slices calls do for n bytes in slices that the download limit allows, each with a
// deadline of its own, so that a slow sender is told from a dead one.
func (r *reader) slices(n int, do func(at, n int) error) error {
	s := r.s
	size := sliceBytes
	if l := s.server.cfg.Download; l != nil {
		size = min(size, l.Burst())
	}
	for at := 0; at < n; at += size {
		k := min(size, n-at)
		if l := s.server.cfg.Download; l != nil {
			if err := l.WaitN(s.ctx, k); err != nil {
				return err
			}
		}
		s.conn.SetReadDeadline(time.Now().Add(s.server.limits.Stall))
		if err := do(at, k); err != nil {
			return err
		}
		s.received.Store(int64(time.Since(s.began)))
	}
	return nil
}
