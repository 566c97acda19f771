package handout

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

var start = time.Unix(1000, 0)

func got(from exchange.ID, kind wire.Kind, chunk int) exchange.Got {
	return exchange.Got{From: from, Message: wire.Message{Kind: kind, Chunk: chunk}}
}

// take gives a desk events at a time, and checks what it answers to the last one.
func take(t *testing.T, d *Desk, now time.Time, want []exchange.Action, events ...exchange.Event) {
	t.Helper()
	var do []exchange.Action
	for _, ev := range events {
		do = d.Take(now, ev)
	}
	if diff := cmp.Diff(want, do, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("after %#v (-want +got):\n%s", events[len(events)-1], diff)
	}
}

// What a session says has these answers, once the first handouts are out.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name string
		ev   exchange.Event
		want []exchange.Action
	}{
		{"opened", exchange.Opened{ID: 2}, []exchange.Action{exchange.SendBits{To: 2}}},
		{"GET", got(1, wire.KindGet, 3), []exchange.Action{exchange.Upload{To: 1, Chunk: 3}}},
		{"ANY", got(1, wire.KindAny, 0), []exchange.Action{exchange.HandOut{To: 1}}},
		{"CANCEL", got(1, wire.KindCancel, 3), []exchange.Action{exchange.Withdraw{To: 1, Chunk: 3}}},
		{"OFFER", got(1, wire.KindOffer, 3), []exchange.Action{exchange.Send{To: 1, Kind: wire.KindCancel, Chunk: 3}}},
		{"HAVE", got(1, wire.KindHave, 3), nil},
		{"BITS", exchange.Got{From: 1, Message: wire.Message{Kind: wire.KindBits}, Payload: []byte{0xff}}, nil},
		{"BITS of more chunks", exchange.Got{From: 1, Message: wire.Message{Kind: wire.KindBits}, Payload: []byte{0xff, 0xff}},
			[]exchange.Action{exchange.Fail{To: 1, Code: wire.CodeBadLength, Err: bitmap.ErrMalformed}}},
		{"NONE", got(1, wire.KindNone, 3), nil},
		{"from nobody", got(9, wire.KindGet, 3), nil},
		{"closed", exchange.Closed{ID: 1}, nil},
		{"closed, who never was", exchange.Closed{ID: 9}, nil},
		{"tick", exchange.Tick{}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New("o", 8, newRand())
			d.Take(start, exchange.Opened{ID: 1})
			d.Take(start.Add(settled), exchange.Tick{})
			take(t, d, start.Add(settled), tt.want, tt.ev)
		})
	}
}

// Who begin together are handed out to once they are all there; who comes later, at once; and
// after a lull it begins anew. Chunks asked for by number never wait.
func TestFirstHandoutsWait(t *testing.T) {
	d := New("o", 8, newRand())
	take(t, d, start, nil, exchange.Opened{ID: 1}, got(1, wire.KindAny, 0))
	take(t, d, start, []exchange.Action{exchange.Upload{To: 1, Chunk: 5}}, got(1, wire.KindGet, 5))
	now := start.Add(settled - 1)
	take(t, d, now, nil, exchange.Opened{ID: 2}, got(2, wire.KindAny, 0), got(1, wire.KindAny, 0))
	take(t, d, now, nil, exchange.Opened{ID: 3}, got(3, wire.KindAny, 0), exchange.Closed{ID: 3})
	take(t, d, start.Add(settled), nil, exchange.Tick{}) // more have come since
	at, ok := d.Due()
	if want := now.Add(settled); !ok || at != want {
		t.Fatalf("due at %v, %v, want %v", at, ok, want)
	}
	take(t, d, at, []exchange.Action{exchange.HandOut{To: 1}, exchange.HandOut{To: 2}, exchange.HandOut{To: 1}}, exchange.Tick{})
	if _, ok := d.Due(); ok {
		t.Error("due again")
	}
	now = now.Add(lull) // since the last ANY: that is not yet more
	take(t, d, now, []exchange.Action{exchange.HandOut{To: 4}}, exchange.Opened{ID: 4}, got(4, wire.KindAny, 0))
	if d.LastAsked() != now {
		t.Errorf("last asked at %v, want %v", d.LastAsked(), now)
	}
	now = now.Add(lull + 1)
	take(t, d, now, nil, exchange.Opened{ID: 5}, got(5, wire.KindAny, 0))
	take(t, d, now.Add(settled), []exchange.Action{exchange.HandOut{To: 5}}, exchange.Tick{})
}

// What was handed out to a peer that is gone, and nobody else has, is handed out again.
func TestChoose(t *testing.T) {
	d := New("o", 2, newRand())
	for id := range exchange.ID(2) {
		d.Take(start, exchange.Opened{ID: id + 1})
	}
	choose := func(to exchange.ID, want int) {
		t.Helper()
		if got := d.Choose(to); got != want {
			t.Errorf("handout = %d, want %d", got, want)
		}
	}
	choose(1, 0)
	choose(1, 1)
	choose(2, wire.NoChunk)
	d.Take(start, got(2, wire.KindHave, 1))
	d.Take(start, exchange.Closed{ID: 1})
	choose(1, wire.NoChunk) // it is gone
	choose(2, 0)
	choose(2, wire.NoChunk)
}

// A desk shares with the origins that the tracker names, and what was asked for by number and sent
// is not handed out.
func TestDeskSharesAndCounts(t *testing.T) {
	const chunks = 100
	d := New("o", chunks, newRand())
	for _, ev := range []exchange.Event{
		exchange.Opened{ID: 1},
		exchange.Answered{Origins: []exchange.Contact{{ID: "o"}, {ID: "p"}}},
		exchange.Sent{To: 1, Chunk: wire.NoChunk}, // an ANY that came too late
		exchange.Sent{To: 1, Chunk: 2},
		exchange.Sent{To: 9, Chunk: 3}, // on a session that is closed
	} {
		d.Take(start, ev)
	}
	p := origins(chunks, "o", "p")[0]
	k := p.Join()
	p.Sent(k, 2)
	for range chunks {
		want, ok := p.Next(k)
		if !ok {
			want = wire.NoChunk
		}
		if got := d.Choose(1); got != want {
			t.Fatalf("handout = %d, want %d", got, want)
		}
	}
}

// A HAVE may name many chunks: while only one that was never served says to hold them, they are
// handed out last, and those that it has got from another stay out when that one is gone and it
// is served.
func TestHaveOfMany(t *testing.T) {
	d := New("o", 8, newRand())
	for id := range exchange.ID(3) {
		d.Take(start, exchange.Opened{ID: id + 1})
	}
	have := wire.Message{Kind: wire.KindHave, Chunk: 0, More: []wire.Run{{First: 1, Last: 3}, {First: 6, Last: 7}}}
	d.Take(start, exchange.Got{From: 1, Message: have})
	for _, want := range []int{4, 5, 0, 1, 2, 3, 6, 7, wire.NoChunk} {
		if got := d.Choose(2); got != want {
			t.Errorf("handout = %d, want %d", got, want)
		}
	}
	d.Take(start, exchange.Closed{ID: 2})
	for who, wants := range [][]int{1: {4}, 3: {5, wire.NoChunk}} { // now 1 is one that was served
		for _, want := range wants {
			if got := d.Choose(exchange.ID(who)); got != want {
				t.Errorf("handout = %d, want %d", got, want)
			}
		}
	}
}

// Whatever happens in whatever order: every ANY of a session that stays is answered by one
// handout, in order, and while they are held back the desk says until when: not longer than
// patience, and again if it is told to come back too early.
func TestDeskProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := New("o", 8, newRand())
		now, next := start, exchange.ID(1)
		var open, owed []exchange.ID // owed: a model of the queue of ANYs
		var held time.Time           // since when somebody is owed; zero if nobody is
		answered := func(do []exchange.Action) {
			for _, a := range do {
				h, ok := a.(exchange.HandOut)
				if !ok {
					continue
				}
				if len(owed) == 0 || owed[0] != h.To {
					t.Fatalf("handout for %d, owed are %v", h.To, owed)
				}
				owed = owed[1:]
			}
			if len(owed) == 0 {
				held = time.Time{}
			}
		}
		pick := func() exchange.ID {
			if len(open) == 0 {
				t.Skip("nobody is here")
			}
			return rapid.SampledFrom(open).Draw(t, "session")
		}
		drop := func(ids []exchange.ID, id exchange.ID) (rest []exchange.ID) {
			for _, i := range ids {
				if i != id {
					rest = append(rest, i)
				}
			}
			return rest
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(*rapid.T) {
				answered(d.Take(now, exchange.Opened{ID: next}))
				open, next = append(open, next), next+1
			},
			"any": func(*rapid.T) {
				id := pick()
				if owed = append(owed, id); held.IsZero() {
					held = now
				}
				answered(d.Take(now, got(id, wire.KindAny, 0)))
			},
			"close": func(*rapid.T) {
				id := pick()
				open, owed = drop(open, id), drop(owed, id)
				answered(d.Take(now, exchange.Closed{ID: id}))
			},
			"tick": func(*rapid.T) { answered(d.Take(now, exchange.Tick{})) },
			"sleep": func(t *rapid.T) { // a carrier comes when it is due
				end := now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
				for at, ok := d.Due(); ok && !at.After(end); at, ok = d.Due() {
					answered(d.Take(at, exchange.Tick{}))
				}
				now = end
			},
			"": func(t *rapid.T) {
				at, ok := d.Due()
				if len(owed) > 0 && (!ok || at.After(held.Add(patience))) {
					t.Fatalf("%v are owed since %v, due at %v, %v", owed, held, at, ok)
				}
			},
		})
	})
}

// What a desk does depends on nothing but what it is told.
func TestDeskIsDeterministic(t *testing.T) {
	events := []exchange.Event{}
	for id := range exchange.ID(50) {
		events = append(events, exchange.Opened{ID: id + 1}, got(id+1, wire.KindAny, 0), got(id+1, wire.KindHave, int(id)))
	}
	events = append(events, exchange.Closed{ID: 7}, exchange.Tick{})
	for range 20 { // hints are by chance, of a great many equals
		events = append(events, exchange.Spare{Sends: 4}, exchange.Sent{To: 9, Chunk: 1})
		for id := range exchange.ID(50) {
			events = append(events, pass(id+1, 100))
		}
	}
	run := func() (do []exchange.Action) {
		d := New("o", 64, newRand())
		for i, ev := range events {
			if opened, is := ev.(exchange.Opened); is {
				opened.Version = 1 + i%2
				ev = opened
			}
			do = append(do, d.Take(start.Add(time.Duration(i)*settled/4), ev)...)
		}
		return do
	}
	want := run()
	if offers := rooms(want); len(offers) < 10 {
		t.Fatalf("only %d offers were made", len(offers))
	}
	for range 10 {
		if diff := cmp.Diff(want, run()); diff != "" {
			t.Fatal(diff)
		}
	}
}
