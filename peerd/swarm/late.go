package swarm

import (
	"slices"
	"time"

	"fanout/internal/chunks/wire"
)

// How long the assigned strategy waits for those whom it has asked. Late is who does nothing, not
// who is slow: while payload comes, nothing is taken back.
const (
	// unreachable is how long a source may be without a session before its chunks are fetched
	// elsewhere. It is dialled on.
	unreachable = 2 * time.Second
	// untold is the same for an owner whose daemon answers, but not for this file: a fleet may be told
	// one machine after the other to download.
	untold = 5 * time.Second
	// latePayload is how long no payload may have come before the chunks asked for are asked of
	// others that hold them and have nothing to do; from originPatience on, also of another origin
	// that has nothing to do.
	latePayload    = 2 * time.Second
	originPatience = 2 * time.Second
	// lifeless is how long nothing at all may have come, a message or payload, although a sign of
	// life was asked for after signAfter.
	lifeless  = 3 * time.Second
	signAfter = time.Second
	// ownerPatience is how long one that lives may send no payload: an owner waits for its own
	// chunks, which take the longer to come the more peers the origin serves.
	ownerPatience = 15 * time.Second
	// holderPatience is the same for a peer that holds what it was asked for.
	holderPatience = 5 * time.Second
)

// tick has late chunks looked for when it is next decided: what is asked for then must not have
// come meanwhile.
func (a *assigned) tick(time.Time) { a.ticked = true }

// tend takes back what is late.
func (a *assigned) tend(now time.Time) {
	if a.shares {
		for _, s := range append(a.owners[:len(a.owners):len(a.owners)], a.origin) {
			if s.feeds == 0 && now.Sub(s.without) >= s.patience() {
				s.leave(a.loose)
			}
		}
	}
	for _, f := range a.feeds.all {
		if owed, any := f.owed(); any {
			a.look(f, owed, now)
		}
	}
}

// look looks after one that owes something since a moment.
func (a *assigned) look(f *feed, owed, now time.Time) {
	quiet := now.Sub(latest(owed, f.received))
	silent := now.Sub(latest(owed, f.received, f.heard))
	switch {
	case quiet < signAfter:
	case f.origin:
		if quiet >= originPatience && originIdle(a.feeds.all, now) {
			a.takeBack(f, originPatience, now)
		}
	case silent >= lifeless, quiet >= ownerPatience, f.source == nil && quiet >= holderPatience:
		a.giveUp(f, now)
	case silent >= signAfter && !f.probed.After(now.Add(-silent)):
		f.probed = now
		a.send(f.neighbour, wire.KindAny, 0) // NONE comes at once, from a daemon that lives
	}
	if quiet >= latePayload && a.shares {
		a.spread(f, now)
	}
}

// giveUp has the chunks of a peer that does not send fetched elsewhere. Who does not answer where
// the table says does not either where he has dialled.
func (a *assigned) giveUp(f *feed, now time.Time) {
	a.takeBack(f, latePayload, now)
	if f.source == nil {
		return
	}
	f.source.leave(a.loose)
	for _, o := range a.feeds.all {
		if o.source == nil && o.peer == f.peer {
			a.takeBack(o, latePayload, now)
		}
	}
}

// takeBack takes back what a session was asked for, and leaves it in peace for a while.
func (a *assigned) takeBack(f *feed, pause time.Duration, now time.Time) {
	for _, c := range f.chunks() {
		a.cancel(f, c)
	}
	f.rest.begin(now, pause)
}

func (a *assigned) cancel(f *feed, chunk int) {
	a.send(f.neighbour, wire.KindCancel, chunk)
	f.asked[chunk].from.Set(uint(chunk))
	delete(f.asked, chunk)
}

// spread moves chunks that are late to others that hold them and have nothing to do, of which
// there may be many after a slow owner has sent a few copies.
func (a *assigned) spread(f *feed, now time.Time) {
	for _, c := range f.chunks() {
		for g := range fromAnywhere(a.cfg.Rand, a.feeds.all) {
			if g.peer != f.peer && !g.origin && g.has(c) && len(g.asked) == 0 && g.windowOf(1, now) > 0 {
				from := f.asked[c].from
				a.cancel(f, c)
				a.ask(g, uint(c), from, now)
				break
			}
		}
	}
}

// originIdle says that an origin has sent all that it was asked for, and may be asked for more.
func originIdle(all []*feed, now time.Time) bool {
	return slices.ContainsFunc(all, func(f *feed) bool {
		return f.origin && len(f.asked) == 0 && !f.rest.lasts(now)
	})
}

// claims is what is asked for, and what would never be.
func (a *assigned) claims(yield func(chunk int, of *neighbour)) {
	lost := a.held.Complement()
	lost.InPlaceDifference(a.loose)
	for _, s := range append(a.owners[:len(a.owners):len(a.owners)], a.origin) {
		lost.InPlaceDifference(s.todo)
	}
	for _, f := range a.feeds.all {
		for _, c := range f.chunks() {
			lost.Clear(uint(c))
			yield(c, f.neighbour)
		}
	}
	for c, ok := lost.NextSet(0); ok; c, ok = lost.NextSet(c + 1) {
		yield(int(c), nil)
	}
}
