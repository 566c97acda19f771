package handout

import (
	"math/rand/v2"
	"slices"
	"time"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
)

// lull is how long nothing must have been asked for before a swarm begins anew.
const lull = time.Second

// Desk answers the sessions about one manifest: chunks to those who ask for them by number,
// handouts to those who take any. It is not safe for concurrent use.
type Desk struct {
	chunks int
	pool   *Pool
	takers map[exchange.ID]*taker
	all    []*taker // in the order in which they came
	gate   gate
	idle   time.Time     // since when nobody has asked for more, though there is room; zero if not so
	wait   time.Duration // idleFor
	look   time.Time     // when to hear again what room there is; zero if nobody could use it
	asked  time.Time     // when a chunk was last asked for; zero if never
}

// New makes a desk with every chunk of a manifest to hand out, at the origin with the ID self.
func New(self string, chunks int, r *rand.Rand) *Desk {
	return &Desk{chunks: chunks, wait: idleFor, pool: NewPool(self, chunks, r), takers: map[exchange.ID]*taker{}}
}

// taker is a session.
type taker struct {
	*Taker
	id      exchange.ID
	version int
	offer   room.Offer
}

// Take takes note of an event, and says what is to be done: it is for the sessions to carry
// out. Of the events, Opened, Got, Sent, Spare, Closed, Answered and Tick mean something to a desk;
// a Tick is due when [Desk.Due] says so.
func (d *Desk) Take(now time.Time, ev exchange.Event) []exchange.Action {
	switch ev := ev.(type) {
	case exchange.Opened:
		t := &taker{Taker: d.pool.Join(), id: ev.ID, version: ev.Version}
		d.takers[ev.ID], d.all = t, append(d.all, t)
		d.gate.came(now, d.asked.IsZero() || now.Sub(d.asked) > lull)
		if d.look.IsZero() {
			d.lookAgain(now)
		}
		return []exchange.Action{exchange.SendBits{To: ev.ID}}
	case exchange.Got:
		if t := d.takers[ev.From]; t != nil {
			return d.got(now, t, ev)
		}
	case exchange.Sent:
		if t := d.takers[ev.To]; t != nil && ev.Chunk != wire.NoChunk {
			d.pool.Sent(t.Taker, ev.Chunk)
		}
	case exchange.Closed:
		d.closed(ev.ID)
	case exchange.Answered:
		d.share(ev.Origins)
	case exchange.Spare:
		return d.spare(ev, now)
	case exchange.Tick:
		d.lookAgain(now)
		return handOut(d.gate.look(now))
	}
	return nil
}

func (d *Desk) got(now time.Time, t *taker, ev exchange.Got) []exchange.Action {
	from, chunk := ev.From, ev.Message.Chunk
	switch ev.Message.Kind {
	case wire.KindGet:
		d.asked = now
		if !t.offer.Open(now) { // of its own accord
			d.idle = time.Time{}
		}
		t.offer.Taken()
		return []exchange.Action{exchange.Upload{To: from, Chunk: chunk}}
	case wire.KindAny:
		d.asked, d.idle = now, time.Time{}
		return handOut(d.gate.pass(from))
	case wire.KindPass:
		t.offer.Passed(now, ev.Message.Wait)
	case wire.KindCancel:
		return []exchange.Action{exchange.Withdraw{To: from, Chunk: chunk}}
	case wire.KindOffer: // everything is here
		return []exchange.Action{exchange.Send{To: from, Kind: wire.KindCancel, Chunk: chunk}}
	case wire.KindHave:
		for c := range ev.Message.Chunks() {
			d.pool.Hold(t.Taker, c)
		}
	case wire.KindBits:
		bits, err := bitmap.Decode(ev.Payload, d.chunks)
		if err != nil {
			return []exchange.Action{exchange.Fail{To: from, Code: wire.CodeBadLength, Err: err}}
		}
		for c, ok := bits.NextSet(0); ok; c, ok = bits.NextSet(c + 1) {
			d.pool.Hold(t.Taker, int(c))
		}
	}
	return nil
}

// closed forgets a session. What its peer took and nobody else has goes back into the pool.
func (d *Desk) closed(id exchange.ID) {
	if t := d.takers[id]; t != nil {
		d.pool.Leave(t.Taker)
		d.gate.left(id)
		d.all = slices.DeleteFunc(d.all, func(o *taker) bool { return o == t })
		delete(d.takers, id)
	}
}

// share hears from the tracker who serves the file.
func (d *Desk) share(origins []exchange.Contact) {
	ids := make([]string, len(origins))
	for i, o := range origins {
		ids[i] = o.ID
	}
	d.pool.Share(ids)
}

func handOut(to []exchange.ID) (do []exchange.Action) {
	for _, id := range to {
		do = append(do, exchange.HandOut{To: id})
	}
	return do
}

// Choose gives a session its next handout, which its peer owns from now on; wire.NoChunk if there
// is none for it. It is to be called when the chunk is about to be sent, not before.
func (d *Desk) Choose(to exchange.ID) (chunk int) {
	if t := d.takers[to]; t != nil {
		if chunk, ok := d.pool.Next(t.Taker); ok {
			return chunk
		}
	}
	return wire.NoChunk
}

// Due is when a Tick is to come, and Spare after it if there is room: to let the first handouts go,
// which are held back, or to offer what the uplink has room for. False if none is needed. Any event
// may change it.
func (d *Desk) Due() (at time.Time, ok bool) {
	at, ok = d.gate.opens()
	if !ok {
		at, ok = d.look, !d.look.IsZero()
	}
	return at, ok
}

// LastAsked is when a chunk was last asked for; the zero Time if never. Peers that have
// everything keep their session, and do not count.
func (d *Desk) LastAsked() time.Time { return d.asked }
