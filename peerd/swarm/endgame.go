package swarm

import "time"

// What is missing at the end of a download is what slow ones have: they were handed it, have offered it, or were
// asked for it. All would wait for it, and the faster the others are the longer, in their time.

const (
	// hopeless is how long at least, when there is nothing else to ask for, a chunk is awaited from one who takes
	// long before it is asked of another, who must be so many times as fast.
	hopeless = 300 * time.Millisecond
	faster   = 3
)

// rescue asks others, who are far faster, for what is long awaited, once there is nothing else to ask for. It is
// done after every tick. What comes from the slow one all the same comes twice: it is little, and all would wait for it.
func (d *demand) rescue(now time.Time) {
	if d.p.Askable() {
		return
	}
	since := now.Add(-max(hopeless, lateAfter*d.usual))
	for _, p := range d.peers.all {
		for _, c := range p.view.Overdue(since) {
			if o := d.quicker(&p.supplier, c, now); o != nil {
				d.takeBack(&p.supplier, c)
				d.ask(o, c, now)
			}
		}
	}
}

// quicker is who should send a chunk far sooner than one who has had it in hand for a while, going by what
// they have in hand and how fast they were; nil if nobody should.
func (d *demand) quicker(than *supplier, chunk int, now time.Time) (best *supplier) {
	least := time.Duration(than.view.Claims()) * max(than.pace, now.Sub(than.since)) / faster
	try := func(s *supplier) {
		takes := time.Duration(1+s.view.Claims()) * s.pace
		if s != than && s.pace > 0 && takes < least && !s.until.After(now) {
			best, least = s, takes
		}
	}
	for _, p := range d.peers.all {
		if p.view.Holds(chunk) && p.view.Asked() < p.windowOf(d.window) {
			try(&p.supplier)
		}
	}
	for _, o := range d.origins.all {
		if o.view.Asked() == 0 {
			try(&o.supplier)
		}
	}
	return best
}

// askShare asks an origin that has handed everything out for so long that those who took it should have it, for
// what nobody has: slow ones took it. It is this peer's share, so that not all who are near each other ask for the same.
func (d *demand) askShare(o *giver, now time.Time) {
	if d.ended.IsZero() || now.Sub(d.ended) <= max(hopeless, lateAfter*d.usual) || d.p.Askable() {
		return
	}
	share := d.toBring()
	for o.view.Asked() < o.windowOf(d.window) {
		chunk, ok := d.p.Orphan(share)
		if !ok {
			return
		}
		d.ask(&o.supplier, chunk, now)
	}
}
