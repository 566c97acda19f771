package chunkserver_test

import (
	"errors"
	"strings"
	"testing"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// What is decided for a session reaches its other side as the actions say.
func TestCarry(t *testing.T) {
	f := newFile(t, 4, 4<<10)
	a := source(t, f, nil)
	r := join(t, a.addr, f.id)
	s := a.only(t)
	if s.ID() != 1 {
		t.Errorf("the first session of a server is called %d, want 1", s.ID())
	}
	to := s.ID()
	for _, step := range []struct {
		action exchange.Action
		kind   wire.Kind
		chunk  int
	}{
		{exchange.Send{To: to, Kind: wire.KindOffer, Chunk: 3}, wire.KindOffer, 3},
		{exchange.SendBits{To: to}, wire.KindBits, 0},
		{exchange.Tell{To: []exchange.ID{to, 7}, But: 7, Chunk: 2}, wire.KindHave, 2},
		{exchange.Tell{To: []exchange.ID{to}, Chunk: 1, Later: true}, wire.KindHave, 1},
		{exchange.Upload{To: to, Chunk: 2}, wire.KindData, 2},
		{exchange.HandOut{To: to}, wire.KindNone, wire.NoChunk}, // this daemon hands nothing out
		{exchange.Fail{To: to, Code: wire.CodeBanned, Err: errors.New("enough")}, wire.KindErr, 0},
	} {
		if follows := s.Carry(step.action); follows != nil {
			t.Errorf("%#v is followed by %#v", step.action, follows)
		}
		r.want(step.kind, step.chunk)
	}
}

// ROOM and PASS are said with their amounts where they are understood, and not where not.
func TestCarryAmounts(t *testing.T) {
	f := newFile(t, 4, 4<<10)
	for version, want := range map[int]string{1: "GET 1\n", 2: "ROOM 65536 3\nROOM 4096\nPASS 250\nGET 1\n"} {
		a := sink(t, f, nil)
		r := joinAs(t, a.addr, f.id, version)
		s := a.only(t)
		for _, send := range []exchange.Send{
			{Kind: wire.KindRoom, Chunk: 3, Amount: 65536},
			{Kind: wire.KindRoom, Chunk: wire.NoChunk, Amount: 4096},
			{Kind: wire.KindPass, Amount: 250},
			{Kind: wire.KindGet, Chunk: 1},
		} {
			send.To = s.ID()
			s.Carry(send)
		}
		var got []byte
		for range strings.Count(want, "\n") {
			m, _, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			got = wire.AppendMessage(got, m)
		}
		if string(got) != want {
			t.Errorf("version %d: %q, want %q", version, got, want)
		}
	}
}

// Withdrawn follows for what has not begun, and for nothing else.
func TestCarryWithdraw(t *testing.T) {
	f := newFile(t, 2, 4<<10)
	a := source(t, f, func(c *chunkserver.Config) { c.Slots = 0 }) // so that nothing begins
	join(t, a.addr, f.id)
	s := a.only(t)
	s.Carry(exchange.Upload{To: s.ID(), Chunk: 1})
	want := exchange.Withdrawn{To: s.ID(), Chunk: 1}
	if follows := s.Carry(exchange.Withdraw{To: s.ID(), Chunk: 1}); follows != want {
		t.Errorf("followed by %#v, want %#v", follows, want)
	}
	if follows := s.Carry(exchange.Withdraw{To: s.ID(), Chunk: 1}); follows != nil {
		t.Errorf("nothing waits, and yet %#v follows", follows)
	}
	s.Carry(exchange.Close{ID: s.ID()})
	a.await(t, "its end", func(x *seen) bool { return len(x.closed) == 1 })
	defer func() {
		if recover() == nil {
			t.Error("a session has dialled")
		}
	}()
	s.Carry(exchange.Dial{})
}
