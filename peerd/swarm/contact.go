package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	redialFirst = 100 * time.Millisecond
	redialMost  = 5 * time.Second
	// deadAfter is how many failures in a row make an owner dead, or a swarm peer forgotten
	// until the tracker names it again: three seconds of retries, in which a fleet may be
	// told one machine after the other to download.
	deadAfter = 6
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
	c.retryAt = now.Add(min(redialFirst<<min(c.fails, 10), redialMost))
	c.fails++
}

// dead says that so many dials in a row have failed that others should bring its chunks.
func (c *contact) dead() bool { return c.link == nil && c.fails >= deadAfter }

// want dials a daemon now, and again when the session is lost.
func (d *Download) want(to Contact, origin, keep bool) *contact {
	c, ok := d.contacts[to.Address]
	if !ok {
		c = &contact{Contact: to, origin: origin, keep: keep}
		d.contacts[to.Address] = c
		d.dial(c)
	}
	return c
}

func (d *Download) redial(now time.Time) {
	for addr, c := range d.contacts {
		switch {
		case c.link != nil || c.dialling || now.Before(c.retryAt) || d.isBanned(banKey(c.ID, c)):
		case !c.keep && (c.fails >= deadAfter || d.connected(c.ID)):
			delete(d.contacts, addr) // connected: it has dialled, too, and that session was kept
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
	t := d.target
	t.Handler = &handler{d, c}
	d.wg.Go(func() {
		if err := d.cfg.Dialer.Dial(d.ctx, c.Address, &t); err != nil {
			d.post(func() { c.failed(time.Now(), err) })
		}
	})
}

// announceLoop reports to the tracker until ctx ends, and passes its answers on. Of a
// withdrawn file the tracker wants to hear no more: who is known is known, and it is asked
// again only when there is something to tell.
func (d *Download) announceLoop(ctx context.Context) {
	retry := redialFirst
	for {
		reply, err := d.announceWhole(ctx)
		if errors.Is(err, ErrWithdrawn) {
			d.cfg.Progress.noteTracker(fmt.Errorf("announce: %w", err))
			select {
			case <-ctx.Done():
				return
			case <-d.announce: // it may have been published again
				continue
			}
		}
		wait := max(reply.Interval, redialFirst) // whatever the tracker says, no busy loop
		if err != nil {
			wait = retry
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
	for _, o := range r.Origins {
		d.want(o, true, true)
	}
	d.strategy.met(r)
}

// AnnounceSoon has the tracker told of a change without waiting for the interval. It may be
// called from any goroutine.
func (d *Download) AnnounceSoon() { d.announceSoon() }

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
	if len(d.links) == 0 && !d.finished {
		d.announceSoon()
	}
}
