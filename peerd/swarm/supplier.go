package swarm

import (
	"time"

	"fanout/internal/chunks/wire"
	"fanout/peerd/picker"
)

const (
	// firstPace is how long after another a chunk is expected to come from a neighbour, before
	// anything has.
	firstPace = 250 * time.Millisecond
	// lateAfter is how many times what all that a neighbour has in hand should take it may be late.
	lateAfter = 4
	// lateLeast and lateMost bound how long a chunk may be awaited from who sends nothing.
	lateLeast = 500 * time.Millisecond
	lateMost  = 10 * time.Second
	// silent is how long no byte must have come from a neighbour for it to be late.
	silent = 600 * time.Millisecond
	// doubtFirst and doubtMost bound how long one that was late is not asked.
	doubtFirst = 500 * time.Millisecond
	doubtMost  = 5 * time.Second
)

// supplier is a neighbour as one to fetch from. What it has in hand, since it was asked or has offered,
// it loses by deed alone: nothing has come from it for long, compared with what it usually takes.
type supplier struct {
	*neighbour
	view    *picker.Neighbour
	pace    time.Duration // how long after another a chunk comes; 0 if none has
	since   time.Time     // when the chunk that is next began to be awaited
	far     bool          // see vicinity
	strikes int           // how often it was late since something has come
	until   time.Time     // when it is trusted again
}

// begins notes that it gets something in hand.
func (s *supplier) begins(now time.Time) {
	if s.view.Claims() == 0 {
		s.since = now
	}
}

// came notes that a chunk has come.
func (s *supplier) came(now time.Time) {
	took := now.Sub(s.since)
	if s.pace == 0 {
		s.pace = took
	}
	s.pace += (took - s.pace) / 8
	s.since, s.strikes, s.until = now, 0, time.Time{}
}

// windowOf is how many chunks it may be asked for where one that delivers is asked for so many.
func (s *supplier) windowOf(most int) int { return max(1, most>>min(s.strikes, 10)) }

// patience is how long what it has in hand may be awaited.
func (s *supplier) patience(usual time.Duration) time.Duration {
	if s.pace > 0 {
		usual = s.pace
	}
	return min(max(lateAfter*usual*time.Duration(s.view.Claims()), lateLeast), lateMost)
}

// late says that it has kept what it has in hand for too long.
func (s *supplier) late(now time.Time, usual time.Duration) bool {
	return s.view.Claims() > 0 && now.Sub(s.since) > s.patience(usual) && now.Sub(s.received) > silent
}

// lapse takes from those who are late what they have in hand, and asks nothing of them for a while.
func (d *demand) lapse(now time.Time) {
	each := func(s *supplier) {
		switch {
		case s.late(now, d.pace):
			for _, c := range s.view.Overdue(now) {
				d.takeBack(s, c)
			}
			s.until = now.Add(min(doubtFirst<<min(s.strikes, 10), doubtMost))
			s.strikes++
			d.p.Trust(s.view, false)
		case s.until.After(now):
		default:
			d.p.Trust(s.view, true)
		}
	}
	for _, p := range d.peers.all {
		each(&p.supplier)
	}
	for _, o := range d.origins.all {
		each(&o.supplier)
	}
}

// takeBack takes from a supplier what it was asked for, or has offered.
func (d *demand) takeBack(s *supplier, chunk int) {
	if s.view.AskedFor(chunk) {
		d.p.Withdraw(s.view, chunk)
	} else {
		d.p.Decline(s.view, chunk)
	}
	d.send(s.neighbour, wire.KindCancel, chunk)
}
