package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"fanout/internal/chunks/wire"
)

const (
	redialFirst = 100 * time.Millisecond
	redialMost  = 5 * time.Second
	// deadAfter is how many failures in a row make an owner dead, or a swarm peer forgotten
	// until the tracker names it again: three seconds of retries, in which a fleet may be
	// told one machine after the other to download.
	deadAfter = 6
	// maxOrigins is how many origins of those that the tracker names a download has to do with
	// at a time.
	maxOrigins = 16
	// maxDials bounds the dials under way to peers: more than an announce is answered with.
	maxDials = 96
	// fullFor is how long a swarm peer that has no room for a session is left alone.
	fullFor = 30 * time.Second
	// aloneEvery is the least time between two announces for want of company.
	aloneEvery = time.Second
	// leaveWithin bounds the time that the tracker has to take note of the end.
	leaveWithin = time.Second
)

// contact is a daemon that the download wants a session with.
type contact struct {
	Contact
	origin   bool
	keep     bool // dialled again for as long as the download runs
	dialling bool
	link     *link
	fails    int // dials in a row after which there was no session, or only a short one
	err      error
	retryAt  time.Time
}

// lasting is how long a session must have stood to have been worth the dial: a daemon that
// accepts and hangs up is as good as dead.
const lasting = 2 * redialMost

// lost notes the end of the session.
func (c *contact) lost(now time.Time, err error) {
	if now.Sub(c.link.since) > lasting {
		c.fails = 0
	}
	c.link = nil
	c.failed(now, err)
}

func (c *contact) failed(now time.Time, err error) {
	c.dialling = false
	c.err = err
	pause := min(redialFirst<<min(c.fails, 10), redialMost)
	var refusal *wire.RemoteError
	if !c.keep && errors.As(err, &refusal) && refusal.Code == wire.CodeTooMany {
		pause = fullFor
	}
	c.retryAt = now.Add(jitter(pause))
	c.fails++
}

// jitter makes a wait longer by up to a fifth, at random, so that a fleet that was started, or
// has lost its origin, at one moment does not stay in step.
func jitter(d time.Duration) time.Duration { return d + rand.N(d/5+1) }

// dead says that so many dials in a row have failed that others should bring its chunks.
func (c *contact) dead() bool { return c.link == nil && c.fails >= deadAfter }

// want dials a daemon now, or when there is room for it, and again when the session is lost.
func (d *Download) want(to Contact, origin, keep bool) *contact {
	c, ok := d.contacts[to.Address]
	if !ok {
		c = &contact{Contact: to, origin: origin, keep: keep}
		d.contacts[to.Address] = c
		if d.mayDial(c) {
			d.dial(c)
		}
	}
	return c
}

// mayDial says whether there is room for one more dial, and for the session after it.
func (d *Download) mayDial(c *contact) bool {
	return c.origin || d.dials < maxDials && (c.keep || d.roomy())
}

// roomy says that there is room for a session with a swarm peer.
func (d *Download) roomy() bool { return len(d.links)+d.dials < maxLinks }

// redial dials whom it is time to; nobody once everything is here: who lacks it dials.
func (d *Download) redial(now time.Time) {
	if d.finished {
		return
	}
	for addr, c := range d.contacts {
		switch {
		case c.link != nil || c.dialling || now.Before(c.retryAt) || d.isBanned(banKey(c.ID, c)):
		case !c.keep && (c.fails >= deadAfter || d.connected(c.ID)):
			delete(d.contacts, addr) // connected: it has dialled, too, and that session was kept
		case !d.mayDial(c):
		default:
			d.dial(c)
		}
	}
}

// connected says whether there is a session with a peer, whoever has dialled.
func (d *Download) connected(id string) bool {
	for _, l := range d.links {
		if l.id == id {
			return true
		}
	}
	return false
}

func (d *Download) dial(c *contact) {
	c.dialling = true
	d.dials++
	t := d.target
	t.Handler = &handler{d, c}
	d.wg.Go(func() {
		err := d.cfg.Dialer.Dial(d.ctx, c.Address, &t)
		d.post(func() {
			d.dials--
			if err != nil {
				c.failed(time.Now(), err)
			}
		})
	})
}

// announceLoop reports to the tracker until ctx ends, and passes its answers on. Of a
// withdrawn file the tracker wants to hear no more, until Answer: who is known is known.
func (d *Download) announceLoop(ctx context.Context) {
	retry := redialFirst
	for {
		reply, err := d.announceWhole(ctx)
		if errors.Is(err, ErrWithdrawn) {
			d.cfg.Progress.noteTracker(fmt.Errorf("announce: %w", err))
			select {
			case <-ctx.Done():
				return
			case <-d.answer: // it has been published again
				continue
			}
		}
		wait := jitter(max(reply.Interval, redialFirst)) // whatever the tracker says, no busy loop
		if err != nil {
			wait = jitter(retry)
			retry = min(2*retry, redialMost)
			d.cfg.Progress.noteTracker(fmt.Errorf("announce: %w", err))
		} else {
			retry = redialFirst
			d.cfg.Progress.noteTracker(nil)
			d.post(func() { d.met(reply) })
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			d.leave()
			return
		case <-d.announce:
			timer.Stop()
		case <-d.answer:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// announceWhole lets an announce that is under way when ctx ends get through: cut off, it
// might still reach the tracker, but after what leave reports, and undo that.
func (d *Download) announceWhole(ctx context.Context) (Reply, error) {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(leaveWithin, cancel) })
	defer stop()
	return d.cfg.Tracker.Announce(whole, d.report())
}

func (d *Download) met(r Reply) {
	if d.finished {
		return
	}
	d.metOrigins(r.Origins)
	d.strategy.met(r)
}

// metOrigins dials the origins that the tracker names. If they are many, those that cannot be
// reached give way to others.
func (d *Download) metOrigins(named []Contact) {
	if len(named) > maxOrigins {
		named = slices.Clone(named)
		rand.Shuffle(len(named), func(i, j int) { named[i], named[j] = named[j], named[i] })
	}
	known := 0
	for addr, c := range d.contacts {
		switch {
		case !c.origin:
		case c.dead() && !c.dialling && (len(named) > maxOrigins || !names(named, addr)):
			delete(d.contacts, addr)
		default:
			known++
		}
	}
	for _, o := range named {
		if _, is := d.contacts[o.Address]; !is && known < maxOrigins {
			d.want(o, true, true)
			known++
		}
	}
}

func names(list []Contact, address string) bool {
	return slices.ContainsFunc(list, func(c Contact) bool { return c.Address == address })
}

// AnnounceSoon has the tracker told of a change without waiting for the interval. It may be
// called from any goroutine.
func (d *Download) AnnounceSoon() { d.announceSoon() }

// Answer is AnnounceSoon for what the tracker has asked for, also of a file that had been
// withdrawn before.
func (d *Download) Answer() {
	select {
	case d.answer <- struct{}{}:
	default:
	}
}

func (d *Download) announceSoon() {
	select {
	case d.announce <- struct{}{}:
	default:
	}
}

// leave tells the tracker that this peer is no longer to be dialled.
func (d *Download) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	r := d.report()
	r.Left = true
	d.cfg.Tracker.Announce(ctx, r) // the lease runs out anyway
}

func (d *Download) report() Report {
	p, s := d.cfg.Progress, d.target.Store
	return Report{
		Complete: s.Complete(), Held: s.Bits(), Owned: p.ownedBits(d.chunks()),
		FromOrigin: p.fromOrigin.Load(), FromPeers: p.fromPeers.Load(),
	}
}

// owners fetches the tracker file, after an announce that makes the tracker settle it.
func (d *Download) owners(ctx context.Context) ([]string, error) {
	for retry := redialFirst; ; retry = min(2*retry, redialMost) {
		_, err := d.cfg.Tracker.Announce(ctx, d.report())
		if err == nil {
			var owners []string
			if owners, err = d.cfg.Tracker.Owners(ctx); err == nil {
				return owners, nil
			}
		}
		d.cfg.Progress.noteTracker(fmt.Errorf("get the chunk table: %w", err))
		now := time.Now()
		d.cfg.Progress.measure(now, d.target.Store.Bytes(), d.trouble(now))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retry):
		}
	}
}

// announceSoonIfAlone asks the tracker for others when the last session is lost.
func (d *Download) announceSoonIfAlone() {
	if now := time.Now(); len(d.links) == 0 && !d.finished && now.Sub(d.alone) >= aloneEvery {
		d.alone = now
		d.announceSoon()
	}
}
