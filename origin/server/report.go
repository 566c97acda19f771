package server

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// leaveWithin is how long the tracker may take to hear that the origin stops.
const leaveWithin = time.Second

// Report tells the tracker now what has been sent.
func (o *Origin) Report(ctx context.Context) error {
	return o.tellOfAll(func(p *publication) error {
		_, err := o.announcer.announce(ctx, p)
		return err
	})
}

// leave tells the tracker that nothing is served any more, and what was sent. Where that
// fails, the leases end by themselves.
func (o *Origin) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	_ = o.tellOfAll(func(p *publication) error {
		return o.announcer.leave(ctx, p)
	})
}

func (o *Origin) tellOfAll(tell func(*publication) error) error {
	var group errgroup.Group
	group.SetLimit(8)
	for _, p := range o.catalog.all() {
		group.Go(func() error { return tell(p) })
	}
	return group.Wait()
}
