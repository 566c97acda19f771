package virtual

import "time"

// What a full frame carries: of 1514 bytes on the wire, as a shaper counts them, 1448 are payload.
const (
	frame   = 1514
	segment = 1448
	header  = frame - segment
)

// wireBytes is what a run of payload bytes takes on the wire.
func wireBytes(payload int) int { return payload + header*((payload+segment-1)/segment) }

// link is one direction of a cable: packets leave it one after the other at its rate.
type link struct {
	rate  float64 // bytes a second; 0 is unlimited
	queue int     // packets that may wait for it; 0 is unlimited
	free  moment  // when what waits will have left
	waits []moment
	sent  int64 // bytes on the wire
}

// wait is how long what comes now would wait.
func (l *link) wait(now moment) moment { return max(0, l.free-now) }

// push puts a packet into the queue, and returns when its last byte will have left; false if it
// does not fit, and is lost.
func (l *link) push(now moment, bytes int) (left moment, ok bool) {
	if l.rate == 0 {
		return now, true
	}
	if l.queue > 0 {
		for len(l.waits) > 0 && l.waits[0] <= now {
			l.waits = l.waits[1:]
		}
		if len(l.waits) >= l.queue {
			return 0, false
		}
	}
	l.sent += int64(bytes)
	l.free = max(now, l.free) + time.Duration(float64(bytes)/l.rate*float64(time.Second))
	if l.queue > 0 {
		l.waits = append(l.waits, l.free)
	}
	return l.free, true
}
