package handout

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// rooms are the offers among actions.
func rooms(do []exchange.Action) (all []exchange.Send) {
	for _, a := range do {
		if s, is := a.(exchange.Send); is && s.Kind == wire.KindRoom {
			all = append(all, s)
		}
	}
	return all
}

// at is an event at a time, in milliseconds after the start, and who is offered room then.
type at struct {
	ms   float64
	ev   exchange.Event
	want []exchange.ID
}

func opened(id exchange.ID) exchange.Opened { return exchange.Opened{ID: id, Version: 2} }

// asked are sessions 1 to 3 of which the first has asked for a chunk, with the gate open: it is 100 ms
// after the start.
func asked() []at {
	return []at{{0, opened(1), nil}, {0, opened(2), nil}, {0, opened(3), nil}, {100, exchange.Tick{}, nil}, {100, got(1, wire.KindGet, 0), nil}}
}

func pass(from exchange.ID, ms int) exchange.Got {
	return exchange.Got{From: from, Message: wire.Message{Kind: wire.KindPass, Wait: ms}}
}

// What there is room for is offered by these rules.
func TestRooms(t *testing.T) {
	free := exchange.Spare{Sends: 4}
	one := exchange.Spare{Sends: 3, Busy: 1} // room for one offer
	ids := func(ids ...exchange.ID) []exchange.ID { return ids }
	have := func(from exchange.ID, first, last int) exchange.Got {
		return exchange.Got{From: from, Message: wire.Message{Kind: wire.KindHave, Chunk: first, More: []wire.Run{{First: first, Last: last}}}}
	}
	for _, tt := range []struct {
		name   string
		events []at
	}{
		{"before anybody has asked", []at{{0, opened(1), nil}, {100, exchange.Tick{}, nil}, {100, free, nil}, {200, free, nil}}},
		{"while the gate is shut", []at{{0, opened(1), nil}, {0, got(1, wire.KindGet, 0), nil}, {1, free, nil}, {10, free, nil},
			{100, exchange.Tick{}, nil}, {100, free, nil}, {101, free, ids(1)}}},
		{"to version 1", []at{{0, exchange.Opened{ID: 1, Version: 1}, nil}, {0, opened(2), nil}, {100, exchange.Tick{}, nil},
			{100, got(1, wire.KindGet, 0), nil}, {100, free, nil}, {101, free, ids(2)}}},
		{"to who has everything", append(asked(), at{100, have(1, 0, 7), nil}, at{100, have(3, 0, 7), nil}, at{100, free, nil}, at{101, free, ids(2)})},
		{"after a while in which nobody asks", append(asked(), at{100, free, nil}, at{100.9, free, nil}, at{101, free, ids(1, 2)})},
		{"but not if somebody does", append(asked(), at{100, free, nil}, at{100.5, got(1, wire.KindGet, 1), nil}, at{101, free, nil},
			at{101.9, free, nil}, at{102, free, ids(1, 2)})},
		{"nor for a handout", append(asked(), at{100, free, nil}, at{100.5, got(1, wire.KindAny, 0), nil}, at{101, free, nil}, at{102, free, ids(1, 2)})},
		{"nor if there was no room meanwhile", append(asked(), at{100, free, nil}, at{100.5, exchange.Spare{Sends: 2, Busy: 2}, nil}, at{101, free, nil}, at{102, free, ids(1, 2)})},
		{"as much as is not in use", append(asked(), at{100, one, nil}, at{101, one, ids(1)}, at{102, one, nil}, at{103, free, ids(2)}, at{104, free, nil})},
		{"no more than there are slots", append(asked(), at{100, exchange.Spare{Sends: 1}, nil}, at{101, exchange.Spare{Sends: 1}, ids(1)})},
		{"nothing if the uplink is in use", append(asked(), at{100, exchange.Spare{Sends: 2, Busy: 2}, nil}, at{200, exchange.Spare{Sends: 1, Busy: 3}, nil})},
		{"to who holds least", append(asked(), at{100, have(1, 0, 5), nil}, at{100, have(2, 0, 2), nil}, at{100, have(3, 4, 5), nil},
			at{100, one, nil}, at{101, one, ids(3)}, at{102, got(3, wire.KindGet, 0), nil}, at{103, free, ids(2, 1)})},
		{"what is answered makes way at once for the next", append(asked(), at{100, one, nil}, at{101, one, ids(1)}, at{102, got(1, wire.KindGet, 1), nil}, at{102, one, ids(2)})},
		{"not to the same at once", append(asked(), at{100, exchange.Closed{ID: 2}, nil}, at{100, exchange.Closed{ID: 3}, nil},
			at{100, free, nil}, at{101, free, ids(1)}, at{102, got(1, wire.KindGet, 1), nil}, at{102, free, nil}, at{107, free, ids(1)})},
		{"PASS", append(asked(), at{100, free, nil}, at{101, free, ids(1, 2)}, at{102, pass(1, 250), nil}, at{102, pass(2, 100), nil},
			at{102, one, ids(3)}, at{103, pass(3, 1000), nil}, at{201, free, nil}, at{202, free, ids(2)}, at{351, free, nil}, at{352, free, ids(1)})},
		{"PASS is over when something is asked for", append(asked(), at{100, one, nil}, at{101, one, ids(1)}, at{102, pass(1, 1000), nil},
			at{110, got(1, wire.KindGet, 1), nil}, at{110, one, nil}, at{111, one, ids(1)})},
		{"no answer", append(asked(), at{100, exchange.Closed{ID: 3}, nil}, at{100, free, nil}, at{101, free, ids(1, 2)}, at{600, free, nil},
			at{602, free, nil}, at{851, free, nil}, at{852, free, ids(1, 2)}, // 250 ms after it was seen that there is none
			at{1352, free, nil}, at{1851, free, nil}, at{1852, free, ids(1, 2)})}, // and twice that
		{"no answer makes way for others", append(asked(), at{100, free, nil}, at{101, free, ids(1, 2)}, at{600, free, nil}, at{601, free, ids(3)})},
		{"who is gone is offered nothing, and holds nothing up", append(asked(), at{100, one, nil}, at{101, one, ids(1)}, at{102, exchange.Closed{ID: 1}, nil}, at{102, one, ids(2)})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := New("o", 8, newRand())
			d.wait = time.Millisecond
			for _, e := range tt.events {
				var to []exchange.ID
				for _, s := range rooms(d.Take(start.Add(time.Duration(e.ms*float64(time.Millisecond))), e.ev)) {
					to = append(to, s.To)
				}
				if !slices.Equal(to, e.want) {
					t.Errorf("after %v ms, %#v: offers to %v, want %v", e.ms, e.ev, to, e.want)
				}
			}
		})
	}
}

// An offer names what was sent to others without having been handed out; otherwise what there is
// least of.
func TestHints(t *testing.T) {
	offer := func(events ...exchange.Event) exchange.Send {
		t.Helper()
		d := New("o", 3, newRand())
		for _, e := range asked() {
			d.Take(start.Add(time.Duration(e.ms)*time.Millisecond), e.ev)
		}
		for range 2 {
			d.Choose(3) // 0 and 1 have an owner
		}
		now := start.Add(100 * time.Millisecond)
		for _, ev := range append(events, exchange.Spare{Sends: 1}) {
			d.Take(now, ev)
		}
		do := rooms(d.Take(now.Add(idleFor), exchange.Spare{Sends: 1}))
		if len(do) != 1 {
			t.Fatalf("offered is %v", do)
		}
		return do[0]
	}
	want := exchange.Send{To: 1, Kind: wire.KindRoom, Chunk: 2, Amount: roomBytes}
	if got := offer(); got != want {
		t.Errorf("offered is %+v, want 2, of which there is no copy", got)
	}
	want.To, want.Chunk = 1, 1
	if got := offer(got(2, wire.KindGet, 1), exchange.Sent{To: 2, Chunk: 1}, exchange.Sent{To: 3, Chunk: 0}); got != want {
		t.Errorf("offered is %+v, want 1, which was spared", got)
	}
}

// Due says when to look again: when nobody will have asked for long enough, then now and then while
// somebody lacks something; and not when nobody does, nor before anybody has asked.
func TestDueForRoom(t *testing.T) {
	d := New("o", 8, newRand())
	now := start
	due := func(what string, want time.Duration) {
		t.Helper()
		at, ok := d.Due()
		if ok != (want > 0) || ok && at.Sub(now) != want {
			t.Errorf("%s: due in %v, %v, want %v", what, at.Sub(now), ok, want)
		}
	}
	tell := func(events ...exchange.Event) {
		for _, ev := range events {
			d.Take(now, ev)
		}
	}
	free := exchange.Spare{Sends: 4}
	tell(opened(1))
	due("while the gate is shut", settled)
	now = now.Add(settled)
	tell(exchange.Tick{}, free)
	due("before anybody has asked", 0)
	tell(got(1, wire.KindGet, 0), exchange.Sent{To: 1, Chunk: 0}, free)
	due("as soon as there is room", idleFor)
	now = now.Add(idleFor)
	tell(exchange.Tick{})
	due("if there is none any more", lookEvery)
	tell(free)
	due("once room is offered", lookEvery)
	tell(got(1, wire.KindGet, 1), exchange.Sent{To: 1, Chunk: 1}, free)
	due("once that is answered, when there may be another", 5*time.Millisecond+breather)
	all := exchange.Got{From: 1, Message: wire.Message{Kind: wire.KindBits}, Payload: []byte{0xff}}
	tell(all, free)
	due("if nobody lacks anything", 0)
	tell(opened(2))
	due("if somebody has come who does", lookEvery)
	tell(exchange.Closed{ID: 2}, exchange.Tick{})
	due("if he has gone again", 0)
	tell(exchange.Opened{ID: 3, Version: 1}, free)
	due("for one who would not understand it", 0)
}

// Whatever happens in whatever order: room is offered to nobody who has everything, has not answered
// yet or would not understand it, nor more of it than the uplink has, and never something that the
// other side holds.
func TestRoomsProperties(t *testing.T) {
	type session struct {
		version int
		holds   map[int]bool
		open    time.Time // since when an offer to it is; zero if none is
	}
	rapid.Check(t, func(t *rapid.T) {
		const chunks = 4
		d := New("o", chunks, newRand())
		now, next, asked := start, exchange.ID(1), false
		all := map[exchange.ID]*session{}
		pick := func(t *rapid.T) (exchange.ID, *session, int) {
			if len(all) == 0 {
				t.Skip("nobody is here")
			}
			var ids []exchange.ID
			for id := range all {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			id := rapid.SampledFrom(ids).Draw(t, "session")
			return id, all[id], rapid.IntRange(0, chunks-1).Draw(t, "chunk")
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				v := rapid.IntRange(1, 2).Draw(t, "version")
				d.Take(now, exchange.Opened{ID: next, Version: v})
				all[next], next = &session{version: v, holds: map[int]bool{}}, next+1
			},
			"have": func(t *rapid.T) {
				id, s, c := pick(t)
				d.Take(now, got(id, wire.KindHave, c))
				s.holds[c] = true
			},
			"get": func(t *rapid.T) {
				id, s, c := pick(t)
				d.Take(now, got(id, wire.KindGet, c))
				s.open, asked = time.Time{}, true
			},
			"sent": func(t *rapid.T) {
				id, s, c := pick(t)
				d.Take(now, exchange.Sent{To: id, Chunk: c})
				s.holds[c] = true
			},
			"pass": func(t *rapid.T) {
				id, s, c := pick(t)
				d.Take(now, pass(id, 100*c))
				s.open = time.Time{}
			},
			"close": func(t *rapid.T) {
				id, _, _ := pick(t)
				d.Take(now, exchange.Closed{ID: id})
				delete(all, id)
			},
			"sleep": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.SampledFrom([]int{1, 5, 30, 600}).Draw(t, "ms")) * time.Millisecond)
				if at, ok := d.Due(); ok && !at.After(now) {
					d.Take(now, exchange.Tick{})
				}
			},
			"spare": func(t *rapid.T) {
				room := exchange.Spare{Sends: rapid.IntRange(1, 4).Draw(t, "sends"), Busy: rapid.IntRange(0, 2).Draw(t, "busy")}
				open := 0
				for _, s := range all {
					if s.open.IsZero() {
					} else if now.Sub(s.open) < 500*time.Millisecond {
						open++
					} else {
						s.open = time.Time{}
					}
				}
				for _, r := range rooms(d.Take(now, room)) {
					s := all[r.To]
					if open++; !asked || s == nil || s.version < 2 || len(s.holds) == chunks || s.holds[r.Chunk] || !s.open.IsZero() || open > min(room.Sends, inUse-room.Busy) {
						t.Fatalf("offered is %+v to %+v, as number %d of %+v", r, s, open, room)
					}
					s.open = now
				}
			},
		})
	})
}
