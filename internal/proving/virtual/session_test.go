package virtual

import (
	"errors"
	"slices"
	"testing"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
	"fanout/peerd/swarm"
	"fanout/tracker/table"
)

// listener is a daemon that decides nothing and keeps what it is told.
type listener struct {
	l    *lab
	told []told
}

type told struct {
	at moment
	ev exchange.Event
}

func (r *listener) take(ev exchange.Event) { r.told = append(r.told, told{r.l.now, ev}) }
func (r *listener) think()                 {}
func (r *listener) choose(*end) int        { return wire.NoChunk }

// events are all of a kind.
func events[E exchange.Event](h *host) (all []E) {
	for _, t := range h.decider.(*listener).told {
		if ev, is := t.ev.(E); is {
			all = append(all, ev)
		}
	}
	return all
}

// acquainted are the two peers of a lab whose daemons only record, of which a holds everything.
// Nothing but what the test does happens in it.
func acquainted(t *testing.T) (l *lab, a, b *host) {
	t.Helper()
	p := small("equal", swarm.Swarm)
	p.Peers, p.Chunk = 2, 256<<10
	l = newLab(&p, p.members(newRand(1, 0)))
	l.events = nil
	for _, h := range l.hosts {
		h.started, h.decider = true, &listener{l: l}
	}
	a, b = l.hosts[1], l.hosts[2]
	a.held.FlipRange(0, uint(l.chunks))
	return l, a, b
}

// connected are such two with a session, which b has dialled.
func connected(t *testing.T) (l *lab, a, b *host) {
	l, a, b = acquainted(t)
	l.dial(b, a.address)
	l.run(time.Second)
	if len(a.open) != 1 || len(b.open) != 1 || len(events[exchange.Opened](a)) != 1 || len(events[exchange.Opened](b)) != 1 {
		t.Fatal("they are not connected")
	}
	return l, a, b
}

// run lets happen what happens within a time.
func (l *lab) run(d time.Duration) {
	for until := l.now + d; ; {
		if len(l.events) == 0 || l.events[0].at > until {
			l.now = until
			return
		}
		l.next()
	}
}

// upload has a host send a chunk to its only neighbour, which has asked for it.
func (h *host) upload(chunk int) {
	h.watch(step{what: heardLine, by: h, on: h.open[0], line: line{kind: wire.KindGet, chunk: int32(chunk)}})
	h.carry(exchange.Upload{To: h.open[0].id, Chunk: chunk})
}

// What is asked for comes, is told, and its sender knows.
func TestUpload(t *testing.T) {
	l, a, b := connected(t)
	a.upload(3)
	l.run(time.Second)
	landed, sent := events[exchange.Landed](b), events[exchange.Sent](a)
	if len(landed) != 1 || landed[0].Chunk != 3 || !landed[0].Fresh || landed[0].Err != nil || landed[0].Took <= 0 {
		t.Errorf("landed: %+v", landed)
	}
	if len(sent) != 1 || sent[0].Chunk != 3 || a.stats.sent != int64(l.length(3)) {
		t.Errorf("sent: %+v, %d bytes", sent, a.stats.sent)
	}
	a.upload(3)
	l.run(time.Second)
	if landed = events[exchange.Landed](b); len(landed) != 2 || landed[1].Fresh || b.stats.duplicate != int64(l.length(3)) {
		t.Errorf("a second time: %+v, duplicate are %d bytes", landed, b.stats.duplicate)
	}
	if l.broken != nil {
		t.Error(l.broken)
	}
}

// Wrong bytes are told as such, and their session ends.
func TestWrongBytes(t *testing.T) {
	l, a, b := connected(t)
	a.Lying = true
	a.upload(3)
	l.run(time.Second)
	landed, closed := events[exchange.Landed](b), events[exchange.Closed](a)
	var refusal *wire.RemoteError
	if len(landed) != 1 || !errors.Is(landed[0].Err, manifest.ErrDigest) || b.has(3) || len(closed) != 1 || !errors.As(closed[0].Err, &refusal) {
		t.Errorf("landed: %+v; closed: %+v", landed, closed)
	}
}

// A HAVE that may wait does, for company or at most 150 ms.
func TestLinesWait(t *testing.T) {
	l, a, b := connected(t)
	heard := func() (kinds []wire.Kind) {
		for _, got := range events[exchange.Got](b) {
			kinds = append(kinds, got.Message.Kind)
		}
		return kinds
	}
	have := exchange.Tell{To: []exchange.ID{a.open[0].id}, Chunk: 1, Later: true}
	a.carry(have)
	a.carry(have)
	if l.run(later - time.Millisecond); len(heard()) != 0 {
		t.Fatal("it did not wait")
	}
	if l.run(2 * time.Millisecond); !slices.Equal(heard(), []wire.Kind{wire.KindHave, wire.KindHave}) {
		t.Fatalf("after its time: %v", heard())
	}
	a.carry(have)
	a.carry(exchange.Send{To: a.open[0].id, Kind: wire.KindGet, Chunk: 2})
	if l.run(time.Millisecond); len(heard()) != 4 {
		t.Fatalf("with company: %v", heard())
	}
	l.run(100 * time.Millisecond)
	a.carry(have)
	if l.run(later - time.Millisecond); len(heard()) != 4 {
		t.Fatal("it waited for as long as the one before, which has left already, would have")
	}
	if l.run(2 * time.Millisecond); len(heard()) != 5 {
		t.Fatalf("a second time: %v", heard())
	}
}

// The engine is told when payload came, by the tick, while a chunk is under way.
func TestReceivedIsTold(t *testing.T) {
	l, a, b := connected(t)
	a.up.rate = 500e3 // a chunk takes half a second
	l.enter(l.now, b, tick, 0)
	a.upload(0)
	l.run(450 * time.Millisecond)
	told := events[exchange.Received](b)
	if len(told) < 2 || len(told) > 3 || len(events[exchange.Landed](b)) != 0 {
		t.Fatalf("told %v", told)
	}
	if !told[1].At.After(told[0].At) || told[1].At.After(l.clock(l.now)) || told[0].From != b.open[0].id {
		t.Errorf("told %v, at %v", told, l.clock(l.now))
	}
	l.run(10 * time.Second)
	if n := len(events[exchange.Received](b)); n > 7 {
		t.Errorf("told %d times, with nothing coming", n)
	}
}

// A receiver that stalls gives the upload slot to others after a second, and ends the session
// after fifteen, as does a sender that stalls.
func TestStalls(t *testing.T) {
	for _, stalls := range []string{"receiver", "sender"} {
		l, a, b := connected(t)
		oneSlot(a)
		a.upload(0)
		l.run(time.Millisecond)
		if stalls == "receiver" {
			b.frozen, b.down.rate = true, 1
			l.enter(l.now, a, tick, 0)
		} else {
			a.frozen, a.up.rate = true, 1
			l.enter(l.now, b, tick, 0)
		}
		l.dial(l.hosts[0], a.address)
		if l.run(500 * time.Millisecond); stalls == "receiver" {
			other := a.open[1]
			a.room.Add(other, 1)
			if a.share(); other.sending > 0 || other.granted {
				t.Fatal("there were two slots")
			}
			l.enter(l.now, a, lends, 0) // as of a daemon that has started
			l.run(time.Second)
			if events[exchange.Sent](a) == nil {
				t.Error("the slot was not given on")
			}
		}
		witness := map[string]*host{"receiver": a, "sender": b}[stalls]
		if l.run(13 * time.Second); len(events[exchange.Closed](witness)) != 0 {
			t.Errorf("%s: it ended too soon", stalls)
		}
		l.run(3 * time.Second)
		if closed := events[exchange.Closed](witness); len(closed) != 1 || !errors.Is(closed[0].Err, errStalled) {
			t.Errorf("%s: it ended with %v", stalls, closed)
		}
	}
}

// Who is killed says nothing more, and those connected know.
func TestKilled(t *testing.T) {
	l, a, b := connected(t)
	oneSlot(a)
	l.dial(l.hosts[0], a.address)
	l.run(time.Second)
	a.upload(0)
	a.room.Add(a.open[1], 1) // waits for the slot
	l.run(time.Millisecond)
	sent := a.stats.sent
	a.die()
	l.run(time.Second)
	if a.stats.sent != sent || sent == 0 || len(events[exchange.Landed](b)) != 0 {
		t.Errorf("it sent %d bytes after its %d", a.stats.sent-sent, sent)
	}
	if closed := events[exchange.Closed](b); len(closed) != 1 || !errors.Is(closed[0].Err, errLost) || len(events[exchange.Closed](a)) != 0 {
		t.Errorf("closed: %v", closed)
	}
}

// A dial fails when and as it would.
func TestDials(t *testing.T) {
	full := &wire.RemoteError{Code: wire.CodeTooMany, Text: "full"}
	for _, tt := range []struct {
		name  string
		a     func(a *host)
		why   error
		after moment
	}{
		{"not started", func(a *host) { a.started = false }, errRefused, 0},
		{"killed", (*host).die, errRefused, 0},
		{"killed meanwhile", func(a *host) { a.enter(a.now+time.Microsecond, a, dies, 0) }, errRefused, 0},
		{"frozen", func(a *host) { a.frozen = true }, errRefused, dialWithin},
		{"in another subnet", func(a *host) { a.Subnets = 2 }, errRefused, dialWithin},
		{"refuses the session", func(a *host) { a.decider = &refusing{listener{l: a.lab}, a, full} }, full, 0},
		{"refuses it, and is heard before the dial is over", func(a *host) {
			a.up.push(a.now, 1e6) // 80 ms, which are over when it refuses
			a.decider = &refusing{listener{l: a.lab}, a, full}
		}, full, 155 * time.Millisecond},
	} {
		l, a, b := acquainted(t)
		tt.a(a)
		l.dial(b, a.address)
		l.run(time.Minute)
		r := b.decider.(*listener)
		if n := len(r.told); n == 0 || n == 2 && tt.after > 0 || n > 2 {
			t.Errorf("%s: told were %v", tt.name, r.told)
			continue
		}
		last := r.told[len(r.told)-1]
		var why error
		switch ev := last.ev.(type) {
		case exchange.NotDialled:
			why = ev.Err
		case exchange.Closed:
			why = ev.Err
		}
		if !errors.Is(why, tt.why) || last.at < tt.after || last.at > tt.after+10*time.Millisecond {
			t.Errorf("%s: %+v", tt.name, last)
		}
		if len(b.open) != 0 || len(a.open) != 0 {
			t.Errorf("%s: a session is left", tt.name)
		}
	}
}

// refusing ends every session at once.
type refusing struct {
	listener
	h   *host
	why error
}

func (r *refusing) take(ev exchange.Event) {
	if opened, is := ev.(exchange.Opened); is {
		r.h.ends[opened.ID].shut(r.why, nil)
	}
}

// Who is killed or frozen is named until its lease runs out; who takes its leave is not.
func TestLease(t *testing.T) {
	l, a, b := acquainted(t)
	l.hosts[0].die()
	l.tracker.list(l.hosts[0])
	names := func() (all []string) {
		for _, c := range l.tracker.answer(b).Peers {
			all = append(all, c.ID)
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		end   func()
		named moment
	}{
		{"killed", func() { a.act(dies, 0) }, lease},
		{"leaves", func() { a.act(stops, 0) }, 0},
		{"frozen", func() { a.FreezesAt = 0.5; a.progressed(); a.progressed() }, lease},
	} {
		a.dead, a.frozen, a.FreezesAt = false, false, 0
		l.tracker.list(a)
		if !slices.Equal(names(), []string{a.Name}) {
			t.Fatalf("named are %v", names())
		}
		if tt.end(); tt.named > 0 {
			if l.run(tt.named - 1); len(names()) != 1 {
				t.Errorf("%s: named are %v", tt.name, names())
			}
		}
		if l.run(2); len(names()) != 0 {
			t.Errorf("%s: named are %v, after its time", tt.name, names())
		}
	}
}

// oneSlot has a host send to one at a time.
func oneSlot(h *host) {
	h.room = room.New[*end](1, requests)
	for _, e := range h.open {
		h.room.Join(e)
	}
}

// What a session does, it does in the daemons' time, and the tracker answers as the real one.
func TestLimitsAreTheDaemons(t *testing.T) {
	l := chunkserver.DefaultLimits()
	if stall != l.Stall || dialWithin != l.Handshake || requests != l.Requests {
		t.Errorf("the daemons have %+v", l)
	}
	if lease != table.DefaultLease || mostNamed != table.MaxPeers {
		t.Errorf("the tracker has a lease of %v, and names %d", table.DefaultLease, table.MaxPeers)
	}
}
