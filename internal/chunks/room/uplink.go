package room

import "time"

const (
	// period is the time over which a rate is measured.
	period = 200 * time.Millisecond
	// idle: after so long without a byte a new period begins, and what is known stays. No rate of
	// the uplink shows while there is nothing to send.
	idle = 10 * time.Second
	// fading is what remains of the greatest rate after each period in which less was sent: half of
	// it after seven seconds. It fades because an uplink may become slower; it fades slowly because
	// little is also sent while only slow receivers ask.
	fading = 0.98
)

// Uplink estimates the capacity of an uplink by what was seen to be sent.
type Uplink struct {
	Capacity float64   // bytes a second; 0 until a period is over
	began    time.Time // the current period
	bytes    int       // sent in it
}

// Sent notes that bytes were sent.
func (u *Uplink) Sent(bytes int, now time.Time) {
	if now.Sub(u.began) >= idle {
		u.began, u.bytes = now, 0
	}
	for now.Sub(u.began) >= period {
		u.Capacity = max(fading*u.Capacity, float64(u.bytes)/period.Seconds())
		u.began, u.bytes = u.began.Add(period), 0
	}
	u.bytes += bytes
}
