package swarm

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

const (
	redialFirst = 100 * time.Millisecond
	redialMost  = 30 * time.Second
	// deadAfter is how many failures in a row make a swarm peer forgotten until the tracker names
	// it again: some three seconds of retries, in which a fleet may be told one machine after the
	// other to download.
	deadAfter = 6
	// maxOrigins is how many origins of those that the tracker names a download has to do with
	// at a time.
	maxOrigins = 16
	// maxDials bounds the dials under way to peers: more than an announce is answered with.
	maxDials = 96
	// maxDialled bounds the swarm peers that are dialled, or have a session that was: room for sessions
	// that nobody who dials here can fill. With more, everybody has to be told of every chunk, and takes no
	// less time.
	maxDialled = 24
	// maxKnown bounds the swarm peers that are known; others take the place of one that is not
	// connected.
	maxKnown = 2 * maxNeighbours
	// fullFirst and fullFor are how long a swarm peer that has no room for a session is left alone,
	// for the first time and from then on.
	fullFirst = 3 * time.Second
	fullFor   = 30 * time.Second
	// partedMost bounds how long a daemon that has ended a session since nobody needed it is not
	// dialled, whatever it says; partedOrigin does where that is an origin, which is needed.
	partedMost   = time.Minute
	partedOrigin = 5 * time.Second
	// lasting is how long a session must have stood to have been worth the dial: a daemon that
	// accepts and hangs up is as good as dead.
	lasting = 10 * time.Second
	// originBan is how long an origin that sent wrong bytes is not dialled.
	originBan = 10 * time.Second
	peerBan   = 365 * 24 * time.Hour
)

// contact is a daemon that the download wants a session with.
type contact struct {
	exchange.Contact
	origin    bool
	keep      bool // dialled again for as long as the download runs
	dialling  bool
	reserved  bool       // it has a place among those dialled
	full      bool       // it had no room for a session
	neighbour *neighbour // while there is a session that was dialled here
	fails     int        // dials in a row after which there was no session, or only a short one
	err       error
	retryAt   time.Time
}

// failed notes that there is no session, and when to try again.
func (c *contact) failed(r *rand.Rand, now time.Time, err error) {
	c.err = err
	var refusal *wire.RemoteError
	var bye *wire.Bye
	switch {
	case errors.As(err, &bye): // no failure
		most := partedMost
		if c.origin {
			most = partedOrigin
		}
		c.err, c.retryAt = nil, now.Add(jitter(r, min(bye.For, most)))
	case !c.keep && errors.As(err, &refusal) && refusal.Code == wire.CodeTooMany: // nor this one
		pause := fullFirst
		if c.full {
			pause = fullFor
		}
		c.full, c.retryAt = true, now.Add(jitter(r, pause))
	default:
		pause := min(redialFirst<<min(c.fails, 10), redialMost)
		c.retryAt = now.Add(pause/2 + time.Duration(r.Int64N(int64(pause))))
		c.fails++
	}
}

// jitter makes a wait longer by up to a fifth, at random, so that a fleet that was started, or
// has lost its origin, at one moment does not stay in step.
func jitter(r *rand.Rand, d time.Duration) time.Duration {
	return d + time.Duration(r.Int64N(int64(d/5+1)))
}

// contacts are the daemons whose addresses the download knows: which of them are dialled, have
// refused or lied, and when to try again.
type contacts struct {
	rand      *rand.Rand
	all       []*contact // in the order in which they became known
	byAddress map[string]*contact
	dials     int // under way
	reserved  int // places
	banned    map[string]time.Time
}

func newContacts(r *rand.Rand) contacts {
	return contacts{rand: r, byAddress: map[string]*contact{}, banned: map[string]time.Time{}}
}

// want makes a daemon one to be dialled: now, if there is room for it, and otherwise later.
func (cs *contacts) want(to exchange.Contact, origin, keep bool) (c *contact, dial []*contact) {
	if c, ok := cs.byAddress[to.Address]; ok {
		return c, nil
	}
	if !keep {
		cs.giveWay()
	}
	c = &contact{Contact: to, origin: origin, keep: keep}
	cs.byAddress[to.Address] = c
	cs.all = append(cs.all, c)
	if cs.mayDial(c) {
		dial = []*contact{cs.dialled(c)}
	}
	return c, dial
}

// giveWay forgets a swarm peer that is not connected, if as many are known as may be.
func (cs *contacts) giveWay() {
	known := 0
	var idle *contact
	for _, c := range cs.all {
		if c.keep {
			continue
		}
		if known++; idle == nil && !c.reserved {
			idle = c
		}
	}
	if known >= maxKnown && idle != nil {
		cs.forget(idle)
	}
}

// mayDial says whether there is room for one more dial, and for the session after it.
func (cs *contacts) mayDial(c *contact) bool {
	return c.origin || cs.dials < maxDials && (c.keep || cs.roomy())
}

// roomy says that there is room for a session with a swarm peer that is dialled.
func (cs *contacts) roomy() bool { return cs.reserved < maxDialled }

func (cs *contacts) dialled(c *contact) *contact {
	c.dialling = true
	cs.dials++
	if !c.keep {
		c.reserved = true
		cs.reserved++
	}
	return c
}

// failed notes that a contact has no session, or none any more.
func (cs *contacts) failed(c *contact, err error, now time.Time) {
	if c.reserved {
		c.reserved = false
		cs.reserved--
	}
	c.failed(cs.rand, now, err)
}

// lost notes the end of a contact's session.
func (cs *contacts) lost(c *contact, err error, now time.Time) {
	if now.Sub(c.neighbour.since) > lasting {
		c.fails, c.full = 0, false
	}
	c.neighbour = nil
	cs.failed(c, err, now)
}

// answered returns the contact that was dialled at an address, which now has a session; nil if
// none was.
func (cs *contacts) answered(address string) *contact {
	c := cs.byAddress[address]
	if c == nil || !c.dialling {
		return nil
	}
	c.dialling = false
	cs.dials--
	return c
}

// notDialled notes that a dial has failed.
func (cs *contacts) notDialled(address string, err error, now time.Time) {
	if c := cs.answered(address); c != nil {
		cs.failed(c, err, now)
	}
}

// due returns those to dial now, and forgets swarm peers that cannot be reached or have dialled.
func (cs *contacts) due(ns *neighbours, now time.Time) (dial []*contact) {
	for c := range fromAnywhere(cs.rand, slices.Clone(cs.all)) {
		switch {
		case c.neighbour != nil || c.dialling || now.Before(c.retryAt) || cs.isBanned(banKey(c.ID, c), now):
		case !c.keep && (c.fails >= deadAfter || ns.connected(c.ID)):
			cs.forget(c) // connected: it has dialled, too, and that session was kept
		case !cs.mayDial(c):
		default:
			dial = append(dial, cs.dialled(c))
		}
	}
	return dial
}

func (cs *contacts) forget(c *contact) {
	delete(cs.byAddress, c.Address)
	cs.all = slices.DeleteFunc(cs.all, func(o *contact) bool { return o == c })
}

// nameOrigins hears which origins the tracker names, and returns those to dial. Others are
// forgotten once there is no session with them. If those named are many, one that could not be
// reached gives way to another.
func (cs *contacts) nameOrigins(named []exchange.Contact) (dial []*contact) {
	many := len(named) > maxOrigins
	if many {
		named = slices.Clone(named)
		cs.rand.Shuffle(len(named), func(i, j int) { named[i], named[j] = named[j], named[i] })
	}
	known := 0
	for _, c := range slices.Clone(cs.all) {
		switch idle := c.neighbour == nil && !c.dialling; {
		case !c.origin:
		case idle && (!names(named, c.Address) || many && c.fails > 0):
			cs.forget(c)
		default:
			known++
		}
	}
	for _, o := range named {
		if _, is := cs.byAddress[o.Address]; !is && known < maxOrigins {
			_, more := cs.want(o, true, true)
			dial = append(dial, more...)
			known++
		}
	}
	return dial
}

func names(list []exchange.Contact, address string) bool {
	return slices.ContainsFunc(list, func(c exchange.Contact) bool { return c.Address == address })
}

// ban has sessions with a neighbour refused from now on: with a peer for good, with an origin,
// without which there may be no download, for a while.
func (cs *contacts) ban(n *neighbour, now time.Time) {
	until := now.Add(peerBan)
	if n.origin {
		until = now.Add(originBan)
	}
	cs.banned[banKey(n.peer, n.contact)] = until
}

// banKey is what a ban goes by: a peer's ID; for an origin, the address that was dialled, so
// that nobody who merely says its ID can have it banned.
func banKey(peer string, c *contact) string {
	if c != nil && c.origin {
		return "origin " + c.Address
	}
	return peer
}

func (cs *contacts) isBanned(key string, now time.Time) bool { return now.Before(cs.banned[key]) }
