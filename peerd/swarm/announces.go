package swarm

import (
	"math/rand/v2"
	"time"
)

const (
	retryFirst = 100 * time.Millisecond // after an announce that has failed; each time twice as long
	retryMost  = 5 * time.Second
)

// aloneEvery is the least time between two announces for want of company.
const aloneEvery = time.Second

// announces decides when the tracker is told how the download stands, and asked for others: one
// announce at a time, at the intervals that it names, and sooner if something has changed. Of a
// withdrawn file the tracker wants to hear no more, until it asks: who is known is known.
type announces struct {
	rand      *rand.Rand
	next      time.Time // when to announce
	underWay  bool
	again     bool // at once, when the one under way is over
	withdrawn bool
	asks      bool // the tracker, since the one under way has begun
	retry     time.Duration
	asked     time.Time // when others were last asked for, for want of company
}

func newAnnounces(r *rand.Rand, now time.Time) announces {
	return announces{rand: r, next: now, retry: retryFirst}
}

// due says that it is time to announce, and takes it as done.
func (a *announces) due(now time.Time) bool {
	if a.underWay || a.withdrawn || now.Before(a.next) {
		return false
	}
	a.underWay = true
	return true
}

// want has the tracker told without waiting for the interval; asked says that it wants to know.
func (a *announces) want(asked bool, now time.Time) {
	a.withdrawn = a.withdrawn && !asked
	if a.underWay {
		a.again, a.asks = true, a.asks || asked
		return
	}
	a.next = now
}

// alone asks the tracker for others when the last session is lost.
func (a *announces) alone(now time.Time) {
	if now.Sub(a.asked) >= aloneEvery {
		a.asked = now
		a.want(false, now)
	}
}

func (a *announces) answered(interval time.Duration, now time.Time) {
	a.retry = retryFirst
	a.over(max(interval, retryFirst), now) // whatever the tracker says, no busy loop
}

func (a *announces) notAnswered(withdrawn bool, now time.Time) {
	a.withdrawn = withdrawn && !a.asks
	a.over(a.retry, now)
	a.retry = min(2*a.retry, retryMost)
}

// over ends an announce, and waits so long with the next one unless it is wanted already.
func (a *announces) over(wait time.Duration, now time.Time) {
	a.next = now.Add(jitter(a.rand, wait))
	if a.again {
		a.next = now
	}
	a.underWay, a.again, a.asks = false, false, false
}
