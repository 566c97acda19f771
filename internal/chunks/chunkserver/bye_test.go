package chunkserver_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// Who takes its leave hears of no error, the other side for how long; neither counts a failure.
func TestBye(t *testing.T) {
	f := newFile(t, 1, 4<<10)
	a, b := source(t, f, nil), sink(t, f, nil)
	s := b.dial(t, a)
	s.Carry(exchange.Bye{ID: s.ID(), For: 90 * time.Second})
	s.Carry(exchange.Bye{ID: s.ID()}) // too late
	for _, d := range []*daemon{a, b} {
		d.await(t, "Closed", func(x *seen) bool { return len(x.closed) == 1 })
		d.counts.want(t, nil)
	}
	b.look(func(x *seen) {
		if x.closed[0] != nil {
			t.Errorf("this side: %v, want nil", x.closed[0])
		}
	})
	a.look(func(x *seen) {
		var bye *wire.Bye
		if !errors.As(x.closed[0], &bye) || bye.For != 90*time.Second {
			t.Errorf("the other side: %v, want BYE for 90 s", x.closed[0])
		}
	})
}

// BYE is the last line, after what was said before; what is queued is dropped, and what comes
// meanwhile is read, so that the connection is not reset.
func TestByeIsLast(t *testing.T) {
	f := newFile(t, 4, 4<<10)
	a := source(t, f, func(c *chunkserver.Config) { c.Slots = 0 }) // so that nothing begins
	r := joinAs(t, a.addr, f.id, 2)
	s := a.only(t)
	s.Carry(exchange.Upload{To: s.ID(), Chunk: 1})
	s.Carry(exchange.Tell{To: []exchange.ID{s.ID()}, Chunk: 3, Later: true})
	s.Carry(exchange.Bye{ID: s.ID(), For: 48 * time.Hour})
	s.Carry(exchange.Send{To: s.ID(), Kind: wire.KindGet, Chunk: 1})
	r.say("%s", bytes.Repeat([]byte("HAVE 1\n"), 1000))
	r.want(wire.KindHave, 3)
	m, _, err := r.next()
	if err != nil || m.Kind != wire.KindBye || m.Wait != wire.LongestWait {
		t.Errorf("%v, %v; want BYE, for a day at most", m, err)
	}
	if m, err := r.in.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after BYE: %v, %v; want the end", m, err)
	}
	r.conn.Close()
	a.await(t, "Closed", func(x *seen) bool { return len(x.closed) == 1 })
	if _, sessions, queued := a.counts.totals(); sessions != 0 || queued != 0 {
		t.Errorf("%d sessions, %d chunks queued", sessions, queued)
	}
	a.counts.want(t, nil)
}

// To whom BYE means nothing, it is not said.
func TestByeInOldSession(t *testing.T) {
	f := newFile(t, 1, 4<<10)
	a := sink(t, f, nil)
	r := join(t, a.addr, f.id)
	s := a.only(t)
	s.Carry(exchange.Bye{ID: s.ID(), For: time.Second})
	if m, err := r.in.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, %v; want the end", m, err)
	}
	a.await(t, "Closed", func(x *seen) bool { return len(x.closed) == 1 })
	a.look(func(x *seen) {
		if x.closed[0] != nil {
			t.Errorf("closed because of %v, want nil", x.closed[0])
		}
	})
}

// A chunk that is on its way when this side takes its leave is not mistaken for a wrong one.
func TestByeAmidChunk(t *testing.T) {
	f := newFile(t, 1, 1<<20)
	a := sink(t, f, nil)
	r := joinAs(t, a.addr, f.id, 2)
	s := a.only(t)
	s.Carry(exchange.Send{To: s.ID(), Kind: wire.KindGet, Chunk: 0})
	r.want(wire.KindGet, 0)
	r.say("DATA 0 %d\n%s", f.m.Length(0), f.chunk(0)[:1<<19])
	s.Carry(exchange.Bye{ID: s.ID(), For: time.Second})
	if m, _, err := r.next(); err != nil || m.Kind != wire.KindBye {
		t.Errorf("%v, %v; want BYE", m, err)
	}
	r.say("%s", f.chunk(0)[1<<19:])
	r.conn.Close()
	a.await(t, "Closed", func(x *seen) bool { return len(x.closed) == 1 })
	a.look(func(x *seen) {
		for _, l := range x.landed {
			if l.Err != nil {
				t.Errorf("landed: %+v", l)
			}
		}
	})
}
