package handout

import (
	"slices"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

const (
	// inUse is how many sends keep the uplink from running dry between the end of one and the
	// beginning of the next.
	inUse = 2
	// idleFor is how long nobody must have asked although there is room: among peers that are
	// equally fast the next request is on its way.
	idleFor = 5 * time.Millisecond
	// breather is for how long after that nobody is offered anything where all have just had an offer: who comes
	// late to peers that are complete is fed by them meanwhile, and costs the origin little.
	breather = 20 * time.Millisecond
	// lookEvery is how often to hear what room there is, if nothing is sent.
	lookEvery = 100 * time.Millisecond
	// roomBytes is the least that is offered at a time.
	roomBytes = 64 << 10
)

// spare offers what the uplink has room for, if nobody asks for more to send on: a further copy to
// whoever holds least. Where a distribution is limited by the uplinks of the peers, this shortens it;
// and it helps those who are sent nothing of what they lack by the peers that claim to have it.
func (d *Desk) spare(room exchange.Spare, now time.Time) (do []exchange.Action) {
	d.lookAgain(now)
	n := min(room.Sends, inUse-room.Busy)
	switch {
	case d.gate.shut || d.look.IsZero():
		return nil
	case n <= 0:
		d.idle = time.Time{}
		return nil
	case d.idle.IsZero():
		d.idle = now
	}
	if at := d.idle.Add(d.wait); now.Before(at) {
		d.look = at
		return nil
	}
	for _, t := range d.all {
		if t.offer.Open(now) {
			n--
		}
	}
	for ; n > 0; n-- {
		t := d.poorest(now)
		if t == nil {
			d.lookSooner(now)
			break
		}
		chunk, _ := d.pool.Spare(t.Taker) // there is one: t lacks something
		t.offer.Make(now)
		do = append(do, exchange.Send{To: t.id, Kind: wire.KindRoom, Chunk: chunk, Amount: roomBytes})
	}
	return do
}

// poorest is who holds least of those to whom an offer may be made, and of equals who came first; nil
// if there is nobody.
func (d *Desk) poorest(now time.Time) (least *taker) {
	for _, t := range d.all {
		if d.lacks(t) && t.offer.May(now, false) && (least == nil || t.count < least.count) {
			least = t
		}
	}
	return least
}

// lacks says that a taker could use an offer, and would understand it.
func (d *Desk) lacks(t *taker) bool { return t.version >= 2 && t.count < d.chunks }

// lookAgain settles when to hear again what room there is. Before anybody has asked, what is sent in
// answer to the first who does is soon enough.
func (d *Desk) lookAgain(now time.Time) {
	if d.look = now.Add(lookEvery); d.asked.IsZero() || !slices.ContainsFunc(d.all, d.lacks) {
		d.look = time.Time{}
	}
}

// lookSooner settles to hear again what room there is once an offer may be made to somebody: where chunks are sent
// within a moment, all have just had one.
func (d *Desk) lookSooner(now time.Time) {
	for _, t := range d.all {
		if !d.lacks(t) {
			continue
		}
		if next := t.offer.Next(now).Add(breather); next.Before(d.look) {
			d.look = next
		}
	}
}
