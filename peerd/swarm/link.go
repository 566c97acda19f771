package swarm

import (
	"errors"
	"fmt"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
	"fanout/peerd/picker"
)

// link is an open session and what the download knows of its other side.
type link struct {
	s       session
	id      string
	origin  bool
	contact *contact // as dialled; nil if the other side dialled
	since   time.Time

	queued  int               // chunks waiting to be sent to it
	waiting map[int]struct{}  // chunks it asked for that are still to come here
	asked   map[int]time.Time // assigned: what it was asked for, since when
	anys    int               // dynamic: handouts asked for
	nb      *picker.Neighbour // dynamic: nil for the origin
}

// opened takes a new session in.
func (d *Download) opened(s session, c *contact) {
	l := &link{
		s: s, id: s.Peer(), contact: c, origin: c != nil && c.origin, since: time.Now(),
		waiting: map[int]struct{}{}, asked: map[int]time.Time{},
	}
	if code, err := d.unwelcome(l); err != nil {
		s.Fail(code, err)
		if c != nil {
			c.failed(time.Now(), err)
		}
		return
	}
	if c != nil {
		c.link, c.dialling = l, false
	}
	d.links[s] = l
	if d.target.Store.Count() > 0 {
		s.SendBits()
	}
	d.strategy.opened(l)
}

// unwelcome says why a session is not taken in.
func (d *Download) unwelcome(l *link) (code string, err error) {
	switch {
	case l.id == d.cfg.Self:
		return wire.CodeBadMessage, fmt.Errorf("%s is my own peer ID", l.id)
	case d.isBanned(banKey(l.id, l.contact)):
		return wire.CodeBanned, errors.New("it sent wrong bytes before")
	case len(d.links) >= maxLinks && !l.origin:
		return wire.CodeTooMany, fmt.Errorf("%d sessions are open in this swarm, the most there may be", maxLinks)
	}
	return "", nil
}

func (d *Download) closed(s session, err error) {
	l, ok := d.links[s]
	if !ok {
		return
	}
	delete(d.links, s)
	if c := l.contact; c != nil && c.link == l {
		c.lost(time.Now(), err)
	}
	d.strategy.closed(l)
}

// got handles what is the same in all strategies, and leaves the rest to them.
func (d *Download) got(s session, m wire.Message, payload []byte) {
	l, ok := d.links[s]
	if !ok {
		return
	}
	switch m.Kind {
	case wire.KindBits:
		bits, err := chunkstore.DecodeBits(payload, d.chunks())
		if err != nil {
			s.Fail(wire.CodeBadLength, err)
			return
		}
		for c, ok := bits.NextSet(0); ok; c, ok = bits.NextSet(c + 1) {
			d.strategy.holds(l, int(c))
		}
	case wire.KindHave:
		d.strategy.heard(l, m.Chunk)
	case wire.KindGet:
		d.gotGet(l, m.Chunk)
	case wire.KindAny: // only origins hand out
		s.Send(wire.KindNone, wire.NoChunk)
	case wire.KindCancel:
		delete(l.waiting, m.Chunk)
		if s.CancelUpload(m.Chunk) {
			l.queued--
		}
	default:
		d.strategy.got(l, m)
	}
}

func (d *Download) gotGet(l *link, chunk int) {
	switch {
	case d.has(chunk):
		d.upload(l, chunk)
	case !d.strategy.waits(chunk):
		l.s.Send(wire.KindNone, chunk)
	case len(l.waiting) >= d.cfg.Requests:
		l.s.Fail(wire.CodeTooMany, room.ErrTooMany)
	default:
		l.waiting[chunk] = struct{}{}
	}
}

func (d *Download) upload(l *link, chunk int) {
	if err := l.s.Upload(chunk); err != nil {
		l.s.Fail(wire.CodeTooMany, err)
		return
	}
	l.queued++
}

func (d *Download) sent(s session, chunk int) {
	if l, ok := d.links[s]; ok {
		l.queued--
		d.strategy.holds(l, chunk)
	}
}

// landed takes note of a chunk that has come, and tells the swarm.
func (d *Download) landed(s session, c *contact, a chunkserver.Landing) {
	l, ok := d.links[s]
	if !ok { // closed since; its chunk is as good
		l = &link{s: s, id: s.Peer(), contact: c, origin: c != nil && c.origin}
	}
	if errors.Is(a.Err, manifest.ErrDigest) {
		d.ban(l, a.Chunk)
		return
	}
	if a.Err != nil {
		d.fail(fmt.Errorf("store chunk %d: %w", a.Chunk, a.Err))
		return
	}
	if a.Fresh {
		d.counted++
		for _, o := range d.links {
			if _, waits := o.waiting[a.Chunk]; waits {
				delete(o.waiting, a.Chunk)
				d.upload(o, a.Chunk)
			}
		}
	}
	d.strategy.landed(l, a)
	d.checkComplete(false)
}

// tellHave tells everybody but the one it came from, who knows; at once where it is urgent.
func (d *Download) tellHave(chunk int, from *link, urgent bool) {
	for _, o := range d.links {
		switch {
		case o == from && !o.origin:
		case urgent:
			o.s.Send(wire.KindHave, chunk)
		default:
			o.s.SendLater(wire.KindHave, chunk)
		}
	}
}
