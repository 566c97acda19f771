package virtual

import (
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
	"fanout/origin/handout"
	"fanout/peerd/swarm"
)

// peer is a peerd's download: what peerd/transfer is over real sessions.
type peer struct {
	h      *host
	engine *swarm.Engine
}

func (p *peer) take(ev exchange.Event) { p.engine.Take(p.h.clock(p.h.now), ev) }

func (p *peer) think() {
	p.engine.Settle(p.h.clock(p.h.now), p.h.carry)
	p.h.watch(step{what: hasDecided, by: p.h, engine: p.engine})
}

func (p *peer) choose(*end) int { return wire.NoChunk }

// desk is an origin's file: what origin/server is over real sessions.
type desk struct {
	h    *host
	desk *handout.Desk
	due  moment // of the last entry for a Tick

	announced moment // when the tracker was last told
	sent      int64  // bytes that it was told of
}

// reportEvery is how soon an origin tells the tracker of bytes that it has sent, at most.
const reportEvery = 500 * time.Millisecond

func (d *desk) take(ev exchange.Event) {
	if _, its := ev.(exchange.Tick); its { // the host's, every 100 ms; the desk has its own
		d.announce()
		return
	}
	d.tell(ev)
}

// announce tells the tracker at intervals, and while something is sent.
func (d *desk) announce() {
	since := d.h.now - d.announced
	if since >= interval || since >= reportEvery && d.h.stats.sent > d.sent {
		d.announced, d.sent = d.h.now, d.h.stats.sent
		d.h.tracker.announced(d.h)
	}
}

func (d *desk) tell(ev exchange.Event) {
	for _, a := range d.desk.Take(d.h.clock(d.h.now), ev) {
		d.h.carry(a)
	}
	if at, ok := d.desk.Due(); ok && d.h.moment(at) != d.due {
		d.due = d.h.moment(at)
		d.h.enter(d.due, d, 0, 0)
	}
}

// act is the desk's Tick, and what room there is.
func (d *desk) act(int, int) {
	if !d.h.dead && !d.h.frozen && d.h.now == d.due { // and not put off since
		d.tell(exchange.Tick{})
		d.h.spare()
	}
}

func (d *desk) think() {
	if !d.h.tracker.lists(d.h) {
		d.h.tracker.list(d.h)
		d.h.tracker.announced(d.h)
	}
}

func (d *desk) choose(to *end) int { return d.desk.Choose(to.id) }

// liar says that it holds everything. What it is asked for it never sends, if it is silent;
// otherwise it sends wrong bytes.
type liar struct{ h *host }

func (l *liar) take(ev exchange.Event) {
	switch ev := ev.(type) {
	case exchange.Opened:
		l.h.carry(exchange.SendBits{To: ev.ID})
	case exchange.Got:
		if ev.Message.Kind == wire.KindGet && !l.h.Silent {
			l.h.carry(exchange.Upload{To: ev.From, Chunk: ev.Message.Chunk})
		}
	}
}

func (l *liar) think() {
	if !l.h.tracker.lists(l.h) {
		l.h.tracker.list(l.h)
	}
}

func (l *liar) choose(*end) int { return wire.NoChunk }
