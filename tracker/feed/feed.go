package feed

import (
	"errors"
	"sync"
	"time"

	"fanout/tracker/table"
)

const (
	// Every is the time between two looks at the table.
	Every = 250 * time.Millisecond
	// MaxViewers bounds the viewers.
	MaxViewers = 32

	joinPause = 50 * time.Millisecond // before the look for one that joins
	heartbeat = time.Second           // an event comes at least so often
	buffer    = 16                    // events that wait for one viewer
)

// ErrFull says that there are MaxViewers viewers.
var ErrFull = errors.New("too many viewers watch the tracker: close some of its pages and try again")

// Feed makes events of overviews. Make it with New. It runs while it has viewers.
type Feed struct {
	look func() table.Overview

	mu      sync.Mutex
	viewers map[*Viewer]bool // true: needs a snapshot
	wake    chan struct{}
	stop    chan struct{} // nil while nothing runs
}

// Viewer gets events.
type Viewer struct{ events chan []byte }

// New makes a feed of what look sees.
func New(look func() table.Overview) *Feed {
	return &Feed{look: look, viewers: map[*Viewer]bool{}, wake: make(chan struct{}, 1)}
}

// Events are server-sent events, a snapshot first. The channel is closed for a viewer that
// was too slow.
func (v *Viewer) Events() <-chan []byte { return v.events }

// Join adds a viewer, who must Leave. The error is ErrFull.
func (f *Feed) Join() (*Viewer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.viewers) >= MaxViewers {
		return nil, ErrFull
	}
	v := &Viewer{events: make(chan []byte, buffer)}
	f.viewers[v] = true
	if f.stop == nil {
		f.stop = make(chan struct{})
		go f.run(f.stop)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return v, nil
}

// Leave removes a viewer.
func (f *Feed) Leave(v *Viewer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(v)
}

// Watched says whether there are viewers.
func (f *Feed) Watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.viewers) > 0
}

// drop removes a viewer, unless that is done, and stops after the last; f.mu is held.
func (f *Feed) drop(v *Viewer) {
	if _, ok := f.viewers[v]; !ok {
		return
	}
	delete(f.viewers, v)
	close(v.events)
	if len(f.viewers) == 0 {
		close(f.stop)
		f.stop = nil
	}
}

// run looks at the table until stop is closed.
func (f *Feed) run(stop <-chan struct{}) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	var seen picture
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		case <-f.wake:
			select {
			case <-stop:
				return
			case <-time.After(joinPause): // others join, too
			}
		}
		f.publish(stop, &seen)
	}
}

// publish sends what has changed since the picture before, and snapshots to new viewers.
func (f *Feed) publish(stop <-chan struct{}, seen *picture) {
	o := f.look()
	change := seen.update(o)
	var snapshot []byte
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != stop { // stopped meanwhile, and perhaps started again
		return
	}
	for v, fresh := range f.viewers {
		event := change
		if fresh {
			if snapshot == nil {
				snapshot = seen.snapshot(o)
			}
			event, f.viewers[v] = snapshot, false
		}
		if event == nil {
			continue
		}
		select {
		case v.events <- event:
		default:
			f.drop(v)
		}
	}
}
