package trackerclient

import (
	"context"
	"math/rand/v2"
	"time"

	"fanout/api/trackerapi"
)

// Bounds of the time between attempts while the tracker is out of reach.
const (
	MinBackoff = 100 * time.Millisecond
	MaxBackoff = 5 * time.Second
)

// Backoff doubles from MinBackoff to MaxBackoff. The zero value is ready; it is for one
// goroutine.
type Backoff struct{ base time.Duration }

// Next is how long to wait before the next attempt: between half of the current base and all
// of it, at random, so that a fleet does not return in step when the tracker does.
func (b *Backoff) Next() time.Duration {
	b.base = min(max(2*b.base, MinBackoff), MaxBackoff)
	return b.base/2 + rand.N(b.base/2)
}

// Reset begins anew after a success.
func (b *Backoff) Reset() { b.base = 0 }

// Sleep waits; it reports false if ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Keep calls renew at once and then at the interval it returns, or with backoff after an
// error, until ctx ends. report is told the outcome of every call, nil for success, from this
// goroutine.
func Keep(ctx context.Context, renew func(context.Context) (time.Duration, error), report func(error)) {
	KeepWoken(ctx, nil, 0, renew, report)
}

// KeepWoken is Keep that calls renew early when there is news, but not within least of the
// last call, nor before the end of a backoff.
func KeepWoken(ctx context.Context, news <-chan struct{}, least time.Duration, renew func(context.Context) (time.Duration, error), report func(error)) {
	var backoff Backoff
	for {
		began := time.Now()
		wait, err := renew(ctx)
		if ctx.Err() != nil {
			return
		}
		report(err)
		if err == nil {
			backoff.Reset()
			wait = max(wait, MinBackoff) // whatever the tracker says, no busy loop
			wait += rand.N(wait / 10)    // a fleet that was started together shall not stay in step
		} else {
			wait = backoff.Next()
		}
		heard := news
		if err != nil {
			heard = nil // it has to wait, too
		}
		if !sleepWoken(ctx, wait, heard, began.Add(least)) {
			return
		}
	}
}

// sleepWoken is Sleep that ends early when there is news, but not before a time.
func sleepWoken(ctx context.Context, d time.Duration, news <-chan struct{}, notBefore time.Time) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-news:
		return Sleep(ctx, time.Until(notBefore))
	}
}

// KeepRegistered keeps a peer in the fleet until ctx ends and then takes it out, for which it
// gives the tracker a second. registration is asked before every renewal. See Keep for
// report.
func (c *Client) KeepRegistered(ctx context.Context, id string, registration func() trackerapi.Registration, report func(error)) {
	registered := false
	var instance *string
	Keep(ctx, func(ctx context.Context) (time.Duration, error) {
		q := registration()
		instance = q.Instance
		lease, err := c.Register(ctx, id, q)
		if err != nil {
			return 0, err
		}
		registered = true
		return Seconds(lease.IntervalSeconds), nil
	}, report)
	if registered {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Unregister(bounded, id, instance) // if it fails, the lease ends by itself
	}
}

// longest bounds the durations of the contract: what cannot be meant must not overflow.
const longest = 24 * time.Hour

// Seconds is a duration of the contract.
func Seconds(s float64) time.Duration {
	if !(s > 0) { // nor a number
		return 0
	}
	return time.Duration(min(s, longest.Seconds()) * float64(time.Second))
}
