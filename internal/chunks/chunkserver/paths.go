package chunkserver

import (
	"sync/atomic"
	"time"
)

const (
	// To a buffer for a path shorter than this Linux adds up to 64 KiB, half of that for one of twice the
	// time, and so on (tcp_tso_autosize, tcp_tso_rtt_log; since 5.18).
	quickPath = 512 * time.Microsecond
	// slowPath is one for whose buffers it adds a quarter of that at most.
	slowPath = 2 * quickPath
	// remembered is how long it counts that something was sent over a path.
	remembered = time.Second
)

// paths is over what paths a daemon sends. The shortest time that a path is known to have taken decides how much
// of its payload Linux sends at once, and two such buffers of each session may wait in a queue at a time (TCP small
// queues), which in a FIFO is the session's share of it. Who has come while queues were full never gets to know
// a short time: the sessions of two latecomers among eight got a tenth of what others had under way, and half of
// their rate.
type paths struct{ quick, slow atomic.Int64 } // when something was last sent over such a path, in Unix nanoseconds

// sends notes that something is sent over a path, of which minRTT is known.
func (p *paths) sends(minRTT time.Duration, now time.Time) {
	switch {
	case minRTT <= 0 || minRTT == unmeasured: // nobody knows
	case minRTT < quickPath:
		p.quick.Store(now.UnixNano())
	case minRTT >= slowPath:
		p.slow.Store(now.UnixNano())
	}
}

// uneven says that there are both.
func (p *paths) uneven(now time.Time) bool {
	since := now.Add(-remembered).UnixNano()
	return p.quick.Load() >= since && p.slow.Load() >= since
}
