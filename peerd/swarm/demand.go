package swarm

import (
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
	"fanout/peerd/picker"
)

const (
	// anysOpen is how many handouts a peer with neighbours asks for ahead.
	anysOpen = 2
	// backlogPaces is how long what waits for this peer's uplink may take to send while more handouts are asked for, in
	// times of that between two chunks of a near neighbour: in that time all neighbours send one each. A time instead would
	// be too short where all links are slow, and uplinks idle.
	backlogPaces = 1.15
	// backlogLeast is how many chunks that may be in any case: of two peers the one that is handed more has a
	// full downlink, and the other seems to have a slow uplink, for good.
	backlogLeast = 2
	// askAgain is how long after a NONE an origin is asked for handouts again, while
	// there are chunks that nobody is known to hold.
	askAgain = 200 * time.Millisecond
	// offerAfter is how long after a chunk was heard of its owner's offer may come; to which
	// is added that the offer may wait behind chunks on its way.
	offerAfter = 50 * time.Millisecond
	// hearsay is how many chunks may be asked for in all of neighbours that have never brought any.
	hearsay = 2
	// A peer is behind if more than this part of the others, and more than one, have got so many times as many
	// chunks since they met, and some more.
	aheadPart   = 5
	behindTimes = 3
	behindBy    = 8
	// pullsEach is how many chunks a neighbour is asked for that has not said that it has room.
	pullsEach = 2
	// orphaned is how long a chunk may be in nobody's hands, although everything is handed
	// out, before it is fetched from the origin without a handout: its holder is out of reach.
	orphaned = 2 * time.Second
	// passNothing and passFull are for how many milliseconds a neighbour that has room is told to ask
	// others, if it has nothing that is needed, and if enough is on its way.
	passNothing = 250
	passFull    = 100
)

// demand is the receiving side of a swarm download: it chooses what is asked of whom.
type demand struct {
	*shared
	p      *picker.Picker
	window int // chunks that are to be on their way, and pulls of a neighbour of version 1
	most   int // pulls outstanding in all
	ledgers
	moved time.Time     // when a chunk last landed
	ended time.Time     // since when there are no handouts; zero if there are
	pace  time.Duration // how long after another a chunk of one neighbour comes, on average
	vicinity
	// stranded is set when chunks turn out to be held only by peers out of reach: they come
	// from the origin until there are none.
	stranded bool
	ticked   bool // see rescue
}

func newDemand(s *shared, now time.Time) demand {
	size := s.cfg.ChunkSize
	d := demand{
		shared: s, p: picker.New(s.cfg.Chunks, s.has, s.cfg.Rand),
		window: windowFor(size, 512<<10, 2, 8), most: windowFor(size, 4<<20, 8, 64),
		ledgers: ledgers{newLedger[giver](), newLedger[partner]()}, moved: now, pace: firstPace,
		vicinity: newVicinity(s.cfg.Self, s.cfg.Chunks),
	}
	d.p.Share = d.mine
	return d
}

// ask asks a supplier for a chunk.
func (d *demand) ask(s *supplier, chunk int, now time.Time) {
	s.begins(now)
	d.p.Ask(s.view, chunk, now)
	d.send(s.neighbour, wire.KindGet, chunk)
}

// fill asks for what is to be asked for.
func (d *demand) fill(now time.Time) {
	d.p.Ripen(now.Add(-offerAfter))
	if d.ticked {
		d.ticked = false
		d.rescue(now)
	}
	for p := range fromAnywhere(d.cfg.Rand, d.peers.all) {
		d.takeRoom(p, now)
	}
	if d.claimed() < d.window && d.p.Askable() {
		d.pull(now)
	}
	for o := range fromAnywhere(d.cfg.Rand, d.origins.all) {
		d.takeRoomOf(o, now)
		d.askHandouts(o, now)
	}
}

// takeRoom answers a peer that has room: with requests for what it holds and nobody is about to
// send, or that there is no need.
func (d *demand) takeRoom(p *partner, now time.Time) {
	if p.room == 0 {
		return
	}
	chunks := max(1, p.room/int(d.cfg.ChunkSize))
	p.room = 0
	for asked := range chunks {
		full := d.claimed() >= d.most || !d.mayAsk(p, d.most)
		chunk, ok := 0, false
		if !full {
			chunk, ok = d.p.Rarest(p.view, d.fromAfar(&p.supplier))
		}
		if !ok {
			if asked == 0 {
				d.pass(p.neighbour, full)
			}
			return
		}
		d.ask(&p.supplier, chunk, now)
	}
}

// claimed is how many chunks are on their way here, as far as those who say so have brought any before.
func (d *demand) claimed() int {
	n := d.p.Claimed()
	for _, p := range d.peers.all {
		if !p.view.Proven() {
			n -= p.view.Claims()
		}
	}
	return n
}

// mayAsk says whether a peer may be asked for one more chunk, where one that delivers is asked for so many.
// Of those that have never brought anything few are asked, one chunk each: they may not have any.
func (d *demand) mayAsk(p *partner, most int) bool {
	if p.view.Proven() {
		return p.view.Asked() < p.windowOf(most)
	}
	asked := 0
	for _, o := range d.peers.all {
		if !o.view.Proven() {
			asked += o.view.Asked()
		}
	}
	return p.view.Asked() == 0 && asked < hearsay
}

// takeRoomOf answers an origin that has room. Its uplink is for those whom peers cannot feed: it is
// asked for what nobody else has in hand.
func (d *demand) takeRoomOf(o *giver, now time.Time) {
	if o.room == wire.NoChunk {
		return
	}
	chunk := o.room
	o.room = wire.NoChunk
	share := d.fromAfar(&o.supplier)
	if !d.p.Open(chunk) || share != nil && !share.Test(uint(chunk)) {
		other, ok := d.p.Rarest(nil, share)
		if !ok && o.drained && share == nil { // what is not handed out yet comes by itself
			other, ok = d.p.Orphan(nil)
		}
		if !ok {
			d.pass(o.neighbour, false)
			return
		}
		chunk = other
	}
	d.ask(&o.supplier, chunk, now)
}

func (d *demand) pass(n *neighbour, full bool) {
	wait := passNothing
	if full {
		wait = passFull
	}
	d.do(exchange.Send{To: n.id, Kind: wire.KindPass, Amount: wait})
}

// pull asks for some chunks of those who have not said that they have room, one of each in turn, so
// that little is on its way at no time. Of version 1, who never says so, more are asked for.
func (d *demand) pull(now time.Time) {
	left := d.window - d.claimed()
	for asked := true; asked; {
		asked = false
		for p := range fromAnywhere(d.cfg.Rand, d.peers.all) {
			most := pullsEach
			if p.version < 2 {
				most = d.window
			}
			if left <= 0 || !d.mayAsk(p, most) {
				continue
			}
			if chunk, ok := d.p.Rarest(p.view, d.fromAfar(&p.supplier)); ok {
				d.ask(&p.supplier, chunk, now)
				asked = true
				if p.view.Proven() {
					left--
				}
			}
		}
	}
}

// askHandouts keeps handouts coming as long as they can be sent on, and somebody lacks what they
// would bring.
func (d *demand) askHandouts(o *giver, now time.Time) {
	if o.drained {
		if now.Before(o.again) || d.askOrphans(o, now) {
			return
		}
		o.drained = false
	}
	if _, novel := d.p.Orphan(nil); !novel && (d.claimed() >= d.window || !d.p.Askable()) {
		return // peers bring everything
	}
	open := anysOpen
	if len(d.peers.all) == 0 {
		open = d.window
	}
	if o.anys >= open || d.behind(now) {
		return // a handout would be here late, and with the others later
	}
	for o.anys < open && d.backlog() <= d.enough() {
		o.anys++
		d.send(o.neighbour, wire.KindAny, 0)
	}
}

// behind says that a good part of the others that lack something, of those who have brought something and
// are not late, get far more than this peer. Who has come late gets no less.
func (d *demand) behind(now time.Time) bool {
	running, ahead, held := 0, 0, int(d.held.Count())
	for _, p := range d.peers.all {
		if p.view.Proven() && !p.complete() && !p.until.After(now) {
			running++
			if int(p.holding.count)-p.theirs > behindTimes*(held-p.ours)+behindBy {
				ahead++
			}
		}
	}
	return ahead > max(1, running/aheadPart)
}

// enough is how many chunks may wait for this peer's uplink while more handouts are asked for. This is
// what gives a slow peer few chunks to own.
func (d *demand) enough() int {
	if d.uplink.Capacity == 0 {
		return len(d.peers.all)
	}
	return max(backlogLeast, int(backlogPaces*d.usual.Seconds()*d.uplink.Capacity/float64(d.cfg.ChunkSize)))
}

// askOrphans asks an origin that has handed everything out for what nobody holds, if that has gone
// on for too long; false if there may be handouts again.
func (d *demand) askOrphans(o *giver, now time.Time) bool {
	chunk, ok := d.p.Orphan(nil)
	if !ok {
		o.drain(now) // looking takes long in a large file
		d.stranded = d.stranded && o.view.Asked() > 0
		return true
	}
	if d.stranded = d.stranded || now.Sub(d.moved) > orphaned; !d.stranded {
		d.askShare(o, now)
		return false
	}
	for ; ok && o.view.Asked() < o.windowOf(d.window); chunk, ok = d.p.Orphan(nil) {
		d.ask(&o.supplier, chunk, now)
	}
	return true
}
