package chunkserver_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A file goes from one daemon to another over one session, byte for byte.
func TestTransfer(t *testing.T) {
	f := newFile(t, 20, 64<<10)
	a, b := source(t, f, nil), sink(t, f, nil)
	a.answer = serve
	s := b.dial(t, a)
	if s.Peer() != "daemon" || s.LastReceived().Unix() != 0 {
		t.Errorf("session: peer %s, received %v", s.Peer(), s.LastReceived())
	}
	for c := range f.m.Chunks() {
		s.Send(wire.KindGet, c)
	}
	b.await(t, "all chunks", func(x *seen) bool { return len(x.landed) == f.m.Chunks() })
	a.await(t, "word that they were sent", func(x *seen) bool { return len(x.sent) == f.m.Chunks() })
	got := make([]byte, len(f.data))
	if _, err := b.store.ReadAt(got, 0); err != nil || !bytes.Equal(got, f.data) {
		t.Errorf("the copy differs (%v)", err)
	}
	b.look(func(x *seen) {
		for _, l := range x.landed {
			if !l.Fresh || l.Err != nil || l.Bytes != f.m.Length(l.Chunk) || l.Took <= 0 {
				t.Errorf("landing %+v", l)
			}
		}
	})
	switch last := s.LastReceived(); {
	case last.Unix() == 0:
		t.Error("nothing received, it says")
	case last == last.Round(0):
		t.Error("what was received last is told by the wall clock: set back, it would hide that nothing comes")
	}
	if sent, sessions, queued := a.counts.totals(); sent != len(f.data) || sessions != 1 || queued != 0 {
		t.Errorf("counted %d bytes sent, %d sessions, %d chunks queued", sent, sessions, queued)
	}
}

// Every message reaches the other side's handler as it was sent, in order.
func TestMessages(t *testing.T) {
	f := newFile(t, 20, 4<<10)
	a, b := source(t, f, nil), sink(t, f, nil)
	s := b.dial(t, a)
	for _, m := range []wire.Message{
		{Kind: wire.KindHave, Chunk: 19}, {Kind: wire.KindGet, Chunk: 1}, {Kind: wire.KindAny}, {Kind: wire.KindOffer, Chunk: 2},
		{Kind: wire.KindNone, Chunk: wire.NoChunk}, {Kind: wire.KindNone, Chunk: 3}, {Kind: wire.KindCancel, Chunk: 4},
	} {
		s.Send(m.Kind, m.Chunk)
		a.await(t, m.Kind.String(), func(x *seen) bool { return len(x.got) > 0 && cmp.Equal(x.got[len(x.got)-1], m) })
	}
	var there *chunkserver.Session
	a.look(func(x *seen) { there = x.opened[0] })
	there.SendBits()
	for c := range 5 {
		there.SendLater(wire.KindHave, c)
	}
	told := func(x *seen) (chunks []int) {
		for _, m := range x.got[1:] { // on one line, or on two: the writer may take what is there in between
			chunks = slices.AppendSeq(chunks, m.Chunks())
		}
		return chunks
	}
	b.await(t, "BITS and HAVEs", func(x *seen) bool { return len(x.got) > 1 && len(told(x)) == 5 })
	b.look(func(x *seen) {
		if !bytes.Equal(x.bits[0], []byte{0xff, 0xff, 0xf0}) || x.got[0].Kind != wire.KindBits || !slices.Equal(told(x), []int{0, 1, 2, 3, 4}) {
			t.Errorf("%v, bits %x", x.got, x.bits)
		}
	})
}

// The chunk of an ANY is chosen when it is the session's turn, not before.
func TestAnyIsChosenLate(t *testing.T) {
	f := newFile(t, 2, 4<<20) // more than the kernel takes of one that does not read
	a := source(t, f, func(c *chunkserver.Config) { c.Slots = 1 })
	var choice atomic.Int32
	choice.Store(-2)
	asked := make(chan struct{}, 1)
	a.target.HandOut = func(*chunkserver.Session) int { return int(choice.Load()) }
	a.answer = func(s *chunkserver.Session, m wire.Message) {
		serve(s, m)
		if m.Kind == wire.KindAny {
			asked <- struct{}{}
		}
	}
	busy := join(t, a.addr, f.id)
	chunkserver.KeepSlot(a.only(t))
	taker := join(t, a.addr, f.id)
	busy.say("GET 0\n")
	if m, err := busy.in.Next(); err != nil || m.Kind != wire.KindData { // it has the only slot
		t.Fatal(m, err)
	}
	taker.say("ANY\n")
	<-asked
	choice.Store(1)
	if err := busy.in.Discard(f.m.Length(0)); err != nil {
		t.Fatal(err)
	}
	if got := taker.want(wire.KindData, 1); !bytes.Equal(got, f.chunk(1)) {
		t.Error("wrong bytes")
	}
	choice.Store(wire.NoChunk)
	taker.say("ANY\n")
	taker.want(wire.KindNone, wire.NoChunk)
}

// A send that waits for the upload limit keeps its slot: if it were lent on, as that of a
// receiver that stalls, a slow limit would start ever more sends, each slower.
func TestLimitedSendKeepsItsSlot(t *testing.T) {
	f := newFile(t, 2, 32<<10)
	a := source(t, f, func(c *chunkserver.Config) {
		c.Slots = 1
		c.Upload = rate.NewLimiter(8<<10, 16<<10) // the second half of a chunk waits for 2 s
	})
	sent := make(chan int, 1)
	a.answer = serve
	a.target.HandOut = func(*chunkserver.Session) int {
		n, _, _ := a.counts.totals()
		sent <- n
		return wire.NoChunk
	}
	first, second := join(t, a.addr, f.id), join(t, a.addr, f.id)
	first.say("GET 0\n")
	if m, err := first.in.Next(); err != nil || m.Kind != wire.KindData {
		t.Fatal(m, err)
	}
	second.say("ANY\n")
	if n := <-sent; n != f.m.Length(0) {
		t.Errorf("the only slot was given on after %d of %d bytes", n, f.m.Length(0))
	}
	a.look(func(x *seen) {
		if len(x.lent) != 0 {
			t.Errorf("%d were lent, it says", len(x.lent))
		}
	})
}

// The slot of a receiver that does not read is lent on, of which the handler is told, and its own send
// goes on.
func TestStalledReceiverLendsItsSlot(t *testing.T) {
	f := newFile(t, 1, 4<<20)
	a := source(t, f, func(c *chunkserver.Config) { c.Slots = 1 })
	a.answer = serve
	stalled := join(t, a.addr, f.id)
	slow := a.only(t)
	quick := join(t, a.addr, f.id)
	stalled.say("GET 0\n")
	if m, err := stalled.in.Next(); err != nil || m.Kind != wire.KindData {
		t.Fatal(m, err)
	}
	quick.say("GET 0\n")
	if !bytes.Equal(quick.want(wire.KindData, 0), f.chunk(0)) {
		t.Error("wrong bytes")
	}
	a.await(t, "word that a slot was lent", func(x *seen) bool { return len(x.lent) > 0 })
	a.look(func(x *seen) {
		if x.lent[0] != slow {
			t.Error("the wrong session's slot was lent, it says")
		}
	})
	rest := make([]byte, f.m.Length(0))
	if err := stalled.in.ReadPayload(rest); err != nil || !bytes.Equal(rest, f.chunk(0)) {
		t.Errorf("the stalled send did not go on (%v)", err)
	}
}

// However many do not read, one who does gets its chunks.
func TestStalledReceiversStopNobody(t *testing.T) {
	const stalled = 7
	f := newFile(t, 4, 4<<20)
	a := source(t, f, nil) // with four slots
	a.answer = serve
	for range stalled {
		join(t, a.addr, f.id).say("GET 0\nGET 1\n")
	}
	a.await(t, "the requests", func(x *seen) bool { return len(x.got) == 2*stalled })
	reader := join(t, a.addr, f.id)
	for c := range f.m.Chunks() {
		reader.say("GET %d\n", c)
		if !bytes.Equal(reader.want(wire.KindData, c), f.chunk(c)) {
			t.Errorf("wrong bytes of chunk %d", c)
		}
	}
	a.await(t, "word that slots were lent", func(x *seen) bool { return len(x.lent) >= 4 })
	a.look(func(x *seen) {
		times := map[*chunkserver.Session]int{}
		for _, s := range x.lent {
			times[s]++
		}
		for _, s := range x.opened[:stalled] {
			if times[s] > 1 { // it still is at its first chunk
				t.Errorf("the slot of session %d was lent %d times", s.ID(), times[s])
			}
		}
	})
}

// A GET that was cancelled in the queue is not answered; the others are.
func TestCancel(t *testing.T) {
	f := newFile(t, 4, 4<<20)
	a := source(t, f, func(c *chunkserver.Config) { c.Slots = 1 })
	a.answer = serve
	r := join(t, a.addr, f.id)
	r.say("GET 0\nGET 1\nGET 2\nCANCEL 1\n")
	a.await(t, "the CANCEL", func(x *seen) bool { return len(x.got) == 4 })
	r.want(wire.KindData, 0)
	r.want(wire.KindData, 2)
	r.say("CANCEL 2\nGET 3\n") // too late: no harm
	r.want(wire.KindData, 3)
}

// What was promised and is not there (any more) is answered with NONE.
func TestNoneForWhatIsNotHeld(t *testing.T) {
	f := newFile(t, 4, 4<<10)
	a := sink(t, f, nil)
	a.answer = serve
	r := join(t, a.addr, f.id)
	r.say("GET 2\n")
	r.want(wire.KindNone, 2)
	if _, _, queued := a.counts.totals(); queued != 0 {
		t.Errorf("%d queued", queued)
	}
}

// A chunk that was offered is as good as one that was asked for; one that is here already is skipped.
func TestOfferedAndDuplicateData(t *testing.T) {
	f := newFile(t, 4, 64<<10)
	a := sink(t, f, nil)
	r := join(t, a.addr, f.id)
	for i, want := range []chunkserver.Landing{{Chunk: 3, Fresh: true}, {Chunk: 3}, {Chunk: 0, Fresh: true}, {Chunk: 0}} {
		r.say("OFFER %d\nDATA %d %d\n%s", want.Chunk, want.Chunk, f.m.Length(want.Chunk), f.chunk(want.Chunk))
		a.await(t, "a landing", func(x *seen) bool { return len(x.landed) == i+1 })
		a.look(func(x *seen) {
			if l := x.landed[i]; l.Chunk != want.Chunk || l.Fresh != want.Fresh || l.Err != nil || l.Bytes != f.m.Length(l.Chunk) {
				t.Errorf("landing %+v, want %+v", l, want)
			}
		})
	}
	// Both of a pair that overlap: exactly one is fresh.
	other := join(t, a.addr, f.id)
	r.say("OFFER 1\nDATA 1 %d\n%s", f.m.Length(1), f.chunk(1)[:1000])
	other.say("OFFER 1\nDATA 1 %d\n%s", f.m.Length(1), f.chunk(1))
	r.say("%s", f.chunk(1)[1000:])
	a.await(t, "both", func(x *seen) bool { return len(x.landed) == 6 })
	a.look(func(x *seen) {
		if x.landed[4].Fresh == x.landed[5].Fresh {
			t.Errorf("%+v", x.landed[4:])
		}
	})
}

// Wrong bytes are not stored, and whoever sent them is told and dropped; what others send
// goes on.
func TestWrongBytes(t *testing.T) {
	f := newFile(t, 4, 64<<10)
	a := sink(t, f, nil)
	liar, honest := join(t, a.addr, f.id), join(t, a.addr, f.id)
	wrong := bytes.Clone(f.chunk(1))
	wrong[5] ^= 1
	honest.say("OFFER 1\nDATA 1 %d\n%s", f.m.Length(1), f.chunk(1)[:1])
	liar.say("OFFER 1\nDATA 1 %d\n%s", f.m.Length(1), wrong)
	liar.wantErr(wire.CodeBanned)
	liar.conn.Close()
	a.await(t, "the end of one session", func(x *seen) bool { return len(x.closed) == 1 })
	a.look(func(x *seen) {
		if len(x.landed) != 1 || x.landed[0].Fresh || !errors.Is(x.landed[0].Err, manifest.ErrDigest) {
			t.Errorf("landed: %+v", x.landed)
		}
		if !errors.Is(x.closed[0], manifest.ErrDigest) {
			t.Errorf("closed because of %q, want the digest", x.closed[0])
		}
	})
	if a.store.Has(1) {
		t.Error("wrong bytes are held")
	}
	a.counts.want(t, map[string]int{wire.CodeBanned: 1})
	honest.say("%s", f.chunk(1)[1:])
	a.await(t, "the honest chunk", func(x *seen) bool { return len(x.landed) == 2 && x.landed[1].Fresh })
}

// The side that closes a session hears of no error, the other of an end.
func TestClose(t *testing.T) {
	f := newFile(t, 1, 4<<10)
	for _, c := range []struct {
		name  string
		close func(b *daemon, s *chunkserver.Session)
	}{
		{"session", func(_ *daemon, s *chunkserver.Session) { s.Close() }},
		{"server", func(b *daemon, _ *chunkserver.Session) { b.server.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := source(t, f, nil), sink(t, f, nil)
			c.close(b, b.dial(t, a))
			for _, d := range []*daemon{a, b} {
				d.await(t, "Closed", func(x *seen) bool { return len(x.closed) == 1 })
			}
			b.look(func(x *seen) {
				if x.closed[0] != nil {
					t.Errorf("this side: %v, want nil", x.closed[0])
				}
			})
			a.look(func(x *seen) {
				if x.closed[0] == nil {
					t.Error("the other side heard of no error")
				}
			})
		})
	}
}

// Closing a server ends sessions in whatever they do: idle, sending to one that does not
// read, receiving half a chunk, waiting for the limit, shaking hands. goleak sees the rest.
func TestCloseEndsEverything(t *testing.T) {
	f := newFile(t, 4, 4<<20)
	a := source(t, f, func(c *chunkserver.Config) { c.Upload = chunkserver.NewLimiter(1000) })
	b := sink(t, f, func(c *chunkserver.Config) { c.Download = chunkserver.NewLimiter(1000); c.BufferBytes = 1 })
	c := source(t, f, nil)
	for _, d := range []*daemon{a, b, c} {
		d.answer = serve
		knock(t, d.addr) // and no HELLO
		join(t, d.addr, f.id)
		join(t, d.addr, f.id).say("GET 0\nGET 1\n")
		join(t, d.addr, f.id).say("OFFER 0\nDATA 0 %d\n%s", f.m.Length(0), f.chunk(0)[:1<<20])
	}
	b.dial(t, c).Send(wire.KindGet, 1)
	for _, d := range []*daemon{a, b, c} {
		d.await(t, "the messages", func(x *seen) bool { return len(x.got) >= 2 })
		d.server.Close()
		d.look(func(x *seen) {
			if len(x.closed) != len(x.opened) || len(x.opened) < 3 {
				t.Errorf("%d sessions opened, %d closed", len(x.opened), len(x.closed))
			}
		})
		if _, sessions, queued := d.counts.totals(); sessions != 0 || queued != 0 {
			t.Errorf("%d sessions, %d chunks queued", sessions, queued)
		}
	}
}

// A dial that does not succeed says why, and leaves nothing behind.
func TestDialErrors(t *testing.T) {
	f := newFile(t, 1, 4<<10)
	other := newFile(t, 2, 4<<10)
	a := source(t, f, nil)
	b := sink(t, other, nil)
	err := b.server.Dial(t.Context(), a.addr, b.target)
	var remote *wire.RemoteError
	if !errors.As(err, &remote) || remote.Code != wire.CodeUnknownManifest {
		t.Errorf("unknown manifest: %v", err)
	}
	silent := listen(t)
	hasty := sink(t, other, func(c *chunkserver.Config) { c.Limits.Handshake = 300 * time.Millisecond })
	if err := hasty.server.Dial(t.Context(), silent.Addr().String(), hasty.target); err == nil {
		t.Error("a silent listener made a session")
	}
	silent.Close()
	if err := b.server.Dial(t.Context(), silent.Addr().String(), b.target); err == nil {
		t.Error("nobody made a session")
	}
	b.server.Close()
	if err := b.server.Dial(t.Context(), source(t, other, nil).addr, b.target); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed server dialled: %v", err)
	}
	for _, d := range []*daemon{b, hasty} {
		d.look(func(x *seen) {
			if len(x.opened) != 0 {
				t.Error("a handler was told")
			}
		})
	}
}

// Lookup may choose the code.
func TestRefusal(t *testing.T) {
	f := newFile(t, 1, 4<<10)
	a := source(t, f, func(c *chunkserver.Config) {
		c.Lookup = func(_ manifest.ID, peer string) (*chunkserver.Target, error) {
			return nil, fmt.Errorf("wrapped: %w", &chunkserver.Refusal{Code: wire.CodeBanned, Text: "not " + peer})
		}
	})
	r := knock(t, a.addr)
	r.say("HELLO %s raw 1 -\n", f.id)
	r.wantErr(wire.CodeBanned)
}

// Sessions are probed when they are quiet, and probes are answered.
func TestPing(t *testing.T) {
	f := newFile(t, 1, 4<<10)
	a := source(t, f, func(c *chunkserver.Config) { c.Limits.Ping = 10 * time.Millisecond })
	r := join(t, a.addr, f.id)
	r.say("PING\n")
	var kinds []wire.Kind
	for !slices.Contains(kinds, wire.KindPing) || !slices.Contains(kinds, wire.KindPong) {
		m, err := r.in.Next()
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, m.Kind)
	}
}
