package room

import "time"

const (
	// openFor is how long an answer may take: offer and answer may each wait behind payload.
	openFor = 500 * time.Millisecond
	// pauseFirst and pauseMost bound the pause after an offer that was not answered. It doubles from
	// one such offer to the next.
	pauseFirst = 250 * time.Millisecond
	pauseMost  = 8 * time.Second
	// apart is the least time between two offers to one session.
	apart = 5 * time.Millisecond
)

// Offer is the last offer of spare room (ROOM) to one session, and what became of it. The zero Offer is
// that of a session to which none was made.
type Offer struct {
	made  time.Time     // when it was
	open  bool          // neither answered nor known to have lapsed
	quiet time.Time     // until when no other is to be made
	pause time.Duration // since offers are not answered; 0 if the last one was
}

// Make notes that an offer is made.
func (o *Offer) Make(now time.Time) { o.made, o.open = now, true }

// Taken notes that the session has asked for something, which answers an offer if one is open.
func (o *Offer) Taken() { o.open, o.pause, o.quiet = false, 0, time.Time{} }

// Passed notes that the session needs nothing for so many milliseconds (PASS).
func (o *Offer) Passed(now time.Time, ms int) {
	o.open, o.pause, o.quiet = false, 0, now.Add(time.Duration(ms)*time.Millisecond)
}

// Open says whether an offer may still be answered. One that lapses brings the pause.
func (o *Offer) Open(now time.Time) bool {
	if o.open && now.Sub(o.made) >= openFor {
		o.open = false
		o.pause = min(max(2*o.pause, pauseFirst), pauseMost)
		o.quiet = now.Add(o.pause)
	}
	return o.open
}

// May says whether another offer may be made. With news there is something to offer that was not there
// when the session passed, which it need not wait for; one that does not answer has its pause all the
// same.
func (o *Offer) May(now time.Time, news bool) bool {
	return !o.Open(now) && now.Sub(o.made) >= apart && (!now.Before(o.quiet) || news && o.pause == 0)
}

// Next is when another offer may be made, should nothing be heard until then.
func (o *Offer) Next(now time.Time) time.Time {
	if o.Open(now) {
		return o.made.Add(openFor)
	}
	next := o.made.Add(apart)
	if next.Before(o.quiet) {
		next = o.quiet
	}
	return next
}
