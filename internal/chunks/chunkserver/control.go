package chunkserver

import (
	"math"
	"time"
)

// Sessions of a swarm meet in the same queues, and where these are short a loss-based control
// divides them evenly, which BBR does not. Long fat paths are better off with what the system was
// told to use. Every Linux kernel has Reno.
const (
	fair      = "reno"
	shortPath = 5 * time.Millisecond
)

// unmeasured is what Linux has as the shortest time of a path of which it knows none.
const unmeasured = math.MaxUint32 * time.Microsecond

// choose is the congestion control for a session that has current, and whose path takes minRTT
// there and back; 0 if nobody knows. What is fair once stays so: the kernel forgets a minimum
// after five minutes (tcp_min_rtt_wlen), and finds 10 ms and more on a LAN whose queues have not
// been empty since.
func choose(minRTT time.Duration, current string) string {
	if minRTT > 0 && minRTT < shortPath {
		return fair
	}
	return current
}

// path is what the system knows of a connection's way, and does for it.
type path interface {
	// measure tells the shortest time there and back of the last minutes, and the congestion
	// control of what is sent.
	measure() (minRTT time.Duration, control string, err error)
	use(control string) error
}

// control keeps the congestion control of a session right. It looks more than once, for a
// session that was made while queues were full has a long path only until they empty.
type control struct {
	path  path
	paths *paths
	every time.Duration
	next  time.Time
}

// look chooses anew if it is time, and tells paths of this one. Where the system does not say, or does not allow what is
// chosen, the session goes on with what it has.
func (c *control) look(now time.Time) {
	if now.Before(c.next) {
		return
	}
	c.next = now.Add(c.every)
	minRTT, current, err := c.path.measure()
	if err != nil {
		return
	}
	c.paths.sends(minRTT, now)
	if chosen := choose(minRTT, current); chosen != current {
		_ = c.path.use(chosen) // the next look tries again
	}
}
