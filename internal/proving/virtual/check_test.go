package virtual

import (
	"strings"
	"testing"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
	"fanout/peerd/swarm"
)

// two are two hosts with a session, of a file of four chunks of which a holds the first.
func two() (l *lab, a, b *host, ab, ba *end) {
	l = &lab{agenda: &agenda{}, plan: &Plan{Size: 40, Strategy: swarm.Swarm}, chunks: 4, chunkSize: 10}
	host2 := func(name string) *host {
		return &host{lab: l, Member: Member{Name: name}, held: bitset.New(4), ends: []*end{nil}}
	}
	a, b = host2("a"), host2("b")
	a.held.Set(0)
	a.Whole = true // what it holds has not come
	l.hosts = []*host{a, b}
	ab, ba = &end{host: a, id: 1}, &end{host: b, id: 1}
	ab.other, ba.other = ba, ab
	a.ends, b.ends = append(a.ends, ab), append(b.ends, ba)
	a.open, b.open = a.ends[1:], b.ends[1:]
	return l, a, b, ab, ba
}

// engine is one that has asked the origin, session 1, for every chunk.
func engine(t *testing.T) *swarm.Engine {
	t.Helper()
	now := time.Unix(beginning, 0)
	e := swarm.New(swarm.Config{
		Self: "b", Address: "b:1", Strategy: swarm.Direct, Chunks: 4, ChunkSize: 10, Held: func(int) bool { return false },
		Rand: newRand(1, 2), Requests: 10,
	}, now)
	e.Take(now, exchange.Answered{Origins: []exchange.Contact{{ID: "a", Address: "a:1"}}})
	e.Decide(now)
	e.Take(now, exchange.Opened{ID: 1, Peer: "a", Address: "a:1"})
	e.Decide(now)
	claims := 0
	if e.Claims(func(int, exchange.ID) { claims++ }); claims != 4 {
		t.Fatalf("it counts on %d chunks", claims)
	}
	return e
}

// Every checker lets pass what keeps its promise, and tells of what breaks it.
func TestCheckers(t *testing.T) {
	l, a, b, ab, ba := two()
	e := engine(t)
	get := func(by *host, on *end, what did, kind wire.Kind, chunk int32) step {
		return step{what: what, by: by, on: on, line: line{kind: kind, chunk: chunk}}
	}
	asked := []step{
		get(b, ba, saidLine, wire.KindGet, 0), get(b, ba, saidLine, wire.KindGet, 1),
		get(b, ba, saidLine, wire.KindGet, 2), get(b, ba, saidLine, wire.KindGet, 3),
	}
	bits := func(of []byte) *end { // b's side of a session over which it has said so
		ab, ba := &end{host: a, id: 3}, &end{host: b, id: 3, bits: of}
		ab.other, ba.other = ba, ab
		return ab
	}
	whole4, nothing := bits([]byte{0xf0}), bits([]byte{0})
	decided := step{what: hasDecided, by: b, engine: e}
	begun := step{what: beginsChunk, by: a, on: ab, chunk: 0}
	landed := step{what: landedChunk, by: b, on: ba, chunk: 0}
	l2, a2, _, ab2, _ := two()
	a2.stats.sent = 11
	l3, _, b3, _, _ := two()
	b3.decider, b3.stats.fresh = &peer{b3, e}, 10
	b3.held.Set(0)
	other := &end{host: b, id: 2}
	b.open = append(b.open[:1:1], other)
	for _, tt := range []struct {
		name    string
		checker checker
		good    []step
		bad     step
		says    string
	}{
		{"offers what it lacks", heldIsOffered{}, []step{get(a, ab, saidLine, wire.KindOffer, 0), get(b, ba, saidLine, wire.KindGet, 1)},
			get(a, ab, saidLine, wire.KindOffer, 1), "offers chunk 1"},
		{"tells of what it lacks", heldIsOffered{}, []step{{what: toldHave, by: a, chunk: 0}}, step{what: toldHave, by: a, chunk: 1}, "says to hold it"},
		{"asks who lacks it", holdersAreAsked{}, asked[:1], asked[1], "asks a for chunk 1"},
		{"does not count on what was offered", newClaimsAreOwed(2),
			append(asked[:4:4], decided, get(b, other, heardLine, wire.KindOffer, 1)), decided, "is owed 5 chunks, and counts on 4"},
		{"asks for what it holds", heldIsNotAskedFor{}, asked, get(a, ab, saidLine, wire.KindGet, 0), "holds"},
		{"counts on what was never asked for", newClaimsAreOwed(2), asked[:0], decided, "does not owe"},
		{"counts on what was taken back", newClaimsAreOwed(2), append(asked[:4:4], decided, get(b, ba, saidLine, wire.KindCancel, 2)), decided, "chunk 2"},
		{"counts on what was refused", newClaimsAreOwed(2), append(asked[:4:4], get(b, ba, heardLine, wire.KindNone, 3)), decided, "chunk 3"},
		{"counts on a session that has ended", newClaimsAreOwed(2), append(asked[:4:4], decided, step{what: endedSession, by: b, on: ba}), decided, "session 1"},
		{"counts on what has come", newClaimsAreOwed(2), append(asked[:4:4], landed), decided, "chunk 0"},
		{"counts on what has come, at the second look only", newClaimsAreOwed(64), append(asked[:4:4], decided, landed), decided, "chunk 0"},
		{"sends what was not asked for", newSentIsDue(), nil, begun, "not asked"},
		{"sends twice", newSentIsDue(), []step{get(a, ab, heardLine, wire.KindGet, 0), begun}, begun, "not asked"},
		{"sends twice what it has offered", newSentIsDue(), []step{get(a, ab, saidLine, wire.KindOffer, 0), begun}, begun, "not asked"},
		{"hands out to who does not ask", newSentIsDue(), nil, step{what: beginsChunk, by: a, on: ab, any: true}, "has asked for none"},
		{"hands out twice", newSentIsDue(), []step{get(a, ab, heardLine, wire.KindAny, 0), {what: beginsChunk, by: a, on: ab, any: true}},
			step{what: beginsChunk, by: a, on: ab, any: true}, "has asked for none"},
		{"offers room twice", newRoomIsOfUse(), []step{
			get(a, ab, saidLine, wire.KindRoom, 0), get(a, ab, heardLine, wire.KindGet, 0), get(a, ab, saidLine, wire.KindRoom, 0),
			get(a, ab, heardLine, wire.KindPass, 0), get(a, ab, saidLine, wire.KindRoom, 0),
		}, get(a, ab, saidLine, wire.KindRoom, 0), "without an answer"},
		{"offers room to who has said to hold everything", newRoomIsOfUse(), []step{
			get(a, nothing, heardLine, wire.KindBits, 0), get(a, nothing, saidLine, wire.KindRoom, 0), get(a, whole4, heardLine, wire.KindBits, 0),
		}, get(a, whole4, saidLine, wire.KindRoom, 0), "lacks nothing"},
		{"offers room to who has told of all that is here", newRoomIsOfUse(), []step{{what: heardHave, by: a, on: ab, chunk: 0}},
			get(a, ab, saidLine, wire.KindRoom, 0), "lacks nothing"},
		{"offers room for what is not here", newRoomIsOfUse(), nil, get(a, ab, saidLine, wire.KindRoom, 1), "chunk 1, which"},
		{"passes unasked", newRoomIsOfUse(), []step{get(b, ba, heardLine, wire.KindRoom, 0), get(b, ba, saidLine, wire.KindPass, 0)},
			get(b, ba, saidLine, wire.KindPass, 0), "has offered nothing"},
		{"a chunk comes that nobody sent", newBytesAddUp(), nil, landed, "has come from a"},
		{"a chunk comes twice", newBytesAddUp(), []step{begun, landed}, landed, "has come from a"},
		{"another one comes", newBytesAddUp(), []step{begun}, step{what: landedChunk, by: b, on: ba, chunk: 1}, "has come from a"},
		{"what was sent is not counted", newBytesAddUp(), []step{begun, landed}, step{what: over, lab: l}, "0 bytes sent; 10 have come"},
		{"more is counted than was begun", newBytesAddUp(), []step{{what: beginsChunk, by: a2, on: ab2}}, step{what: over, lab: l2}, "11 bytes sent; 0 have come of it, and 10 were begun"},
		{"the daemon does not know what came", newBytesAddUp(), nil, step{what: over, lab: l3}, "b holds chunk 0: true, which"},
		{"finished with nothing", endsWhole{}, []step{decided}, step{what: hasDecided, by: whole(b), engine: e}, "4 of 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, s := range tt.good {
				if err := tt.checker.check(&s); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			var err error
			for range 64 { // one that looks only now and then must see it in the end
				if err = tt.checker.check(&tt.bad); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("it says %v, want %q", err, tt.says)
			}
		})
	}
}

// whole is a host like h that holds everything.
func whole(h *host) *host {
	w := *h
	w.held = bitset.New(4)
	w.held.FlipRange(0, 4)
	return &w
}

// A run that breaks a promise says so: a checker's word is not lost.
func TestBrokenPromise(t *testing.T) {
	p := Defaults("equal")
	p.Size = 1 << 20
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	l := newLab(&p, p.members(newRand(1, 0)))
	l.checkers = []checker{never{}}
	if _, err := happen(t.Context(), l); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("it says %v", err)
	}
}

type never struct{}

func (never) check(s *step) error {
	if s.what == landedChunk {
		return errNever
	}
	return nil
}
