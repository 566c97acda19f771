package server

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/httpkit"
)

// leaveWithin is how long the tracker may take to hear that the origin stops.
const leaveWithin = time.Second

func (o *Origin) contact() trackerapi.Origin {
	return trackerapi.Origin{Id: o.cfg.ID, Address: o.cfg.Address, HttpAddress: o.cfg.httpAddress()}
}

// publish has the name stand for a content, and says what a publication does not.
func (o *Origin) publish(ctx context.Context, p *publication) (*trackerapi.AnnounceReply, error) {
	if _, err := o.cfg.Tracker.Publish(ctx, p.manifest, p.id, o.contact()); err != nil {
		return nil, explainRefusal(err, p.manifest)
	}
	return o.announce(ctx, p)
}

// reachable says, by the peers of a content, that none of them can dial this origin: it was
// told that all is on one machine, and is wrong.
func (o *Origin) reachable(ctx context.Context, reply *trackerapi.AnnounceReply) error {
	var peers []string
	for _, p := range reply.Peers {
		peers = append(peers, p.Address)
	}
	if !httpkit.CannotDial(ctx, o.cfg.Address, peers) {
		return nil
	}
	_, port, _ := net.SplitHostPort(o.cfg.Address)
	return fmt.Errorf("peers on other machines (%s) are told %s, where each finds itself: listen on an address that they reach (--listen 0.0.0.0:%s --insecure), or give --advertise HOST:PORT",
		peers[0], o.cfg.Address, port)
}

// announcement reports one content.
func (o *Origin) announcement(p *publication) trackerapi.Announce {
	sent := p.swarm.sent.Load()
	return trackerapi.Announce{
		Id: o.cfg.ID, Role: trackerapi.AnnounceRoleOrigin, Address: o.cfg.Address, HttpAddress: o.cfg.httpAddress(),
		Instance: &o.instance, BytesSent: &sent,
	}
}

func (o *Origin) announce(ctx context.Context, p *publication) (*trackerapi.AnnounceReply, error) {
	return o.cfg.Tracker.Announce(ctx, p.id.String(), o.announcement(p))
}

// Report tells the tracker now what has been sent.
func (o *Origin) Report(ctx context.Context) error {
	return o.tellOfAll(func(p *publication) error {
		_, err := o.announce(ctx, p)
		return err
	})
}

// leave tells the tracker that nothing is served any more, and what was sent. Where that
// fails, the leases end by themselves.
func (o *Origin) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	_ = o.tellOfAll(func(p *publication) error {
		q := o.announcement(p)
		state := trackerapi.DownloadStateCancelled
		q.State = &state
		_, err := o.cfg.Tracker.Announce(ctx, p.id.String(), q)
		return err
	})
}

func (o *Origin) tellOfAll(tell func(*publication) error) error {
	o.mu.Lock()
	all := slices.Collect(maps.Values(o.published))
	o.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(8)
	for _, p := range all {
		group.Go(func() error { return tell(p) })
	}
	return group.Wait()
}
