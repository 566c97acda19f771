package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/trackerclient"
	"fanout/internal/daemon/units"
)

// announcer tells the tracker of contents, in the name of this process, and the contents what
// the tracker answers.
type announcer struct {
	tracker *trackerclient.Client
	self    trackerapi.Origin
	// instance is another one for each process: the counters of one begin at 0.
	instance string
}

// newAnnouncer makes one for an origin with these addresses; httpAddress may be empty.
func newAnnouncer(tracker *trackerclient.Client, id, address, httpAddress string) *announcer {
	a := &announcer{tracker: tracker, instance: wire.NewNonce(), self: trackerapi.Origin{Id: id, Address: address}}
	if httpAddress != "" {
		a.self.HttpAddress = &httpAddress
	}
	return a
}

// publish has the name stand for a content, and says what a publication does not.
func (a *announcer) publish(ctx context.Context, p *publication) (*trackerapi.AnnounceReply, error) {
	if _, err := a.tracker.Publish(ctx, p.manifest, p.id, a.self); err != nil {
		return nil, explainRefusal(err, p.manifest)
	}
	return a.announce(ctx, p)
}

// reachable says, by the peers of a content, that none of them can dial this origin: it was
// told that all is on one machine, and is wrong.
func (a *announcer) reachable(ctx context.Context, reply *trackerapi.AnnounceReply) error {
	var peers []string
	for _, p := range reply.Peers {
		peers = append(peers, p.Address)
	}
	if !httpkit.CannotDial(ctx, a.self.Address, peers) {
		return nil
	}
	_, port, _ := net.SplitHostPort(a.self.Address)
	return fmt.Errorf("peers on other machines (%s) are told %s, where each finds itself: listen on an address that they reach (--listen 0.0.0.0:%s --insecure), or give --advertise HOST:PORT",
		peers[0], a.self.Address, port)
}

// announcement reports one content.
func (a *announcer) announcement(p *publication) trackerapi.Announce {
	sent := p.swarm.sent.Load()
	return trackerapi.Announce{
		Id: a.self.Id, Role: trackerapi.AnnounceRoleOrigin, Address: a.self.Address, HttpAddress: a.self.HttpAddress,
		Instance: &a.instance, BytesSent: &sent,
	}
}

// announce renews the lease of a content, and hears which other origins serve it.
func (a *announcer) announce(ctx context.Context, p *publication) (*trackerapi.AnnounceReply, error) {
	reply, err := a.tracker.Announce(ctx, p.id.String(), a.announcement(p))
	if err != nil {
		return nil, err
	}
	heard := exchange.Answered{Interval: trackerclient.Seconds(reply.IntervalSeconds)}
	for _, o := range reply.Origins {
		heard.Origins = append(heard.Origins, exchange.Contact{ID: o.Id, Address: o.Address})
	}
	p.swarm.take(heard)
	return reply, nil
}

// leave tells the tracker that a content is not served any more, and what was sent of it.
func (a *announcer) leave(ctx context.Context, p *publication) error {
	q := a.announcement(p)
	state := trackerapi.DownloadStateCancelled
	q.State = &state
	_, err := a.tracker.Announce(ctx, p.id.String(), q)
	return err
}

// explainRefusal adds the remedy for a publication that is too large for somebody.
func explainRefusal(err error, m *manifest.Manifest) error {
	var refused *trackerclient.Error
	if errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge {
		const digest = 2*len(manifest.Digest{}) + len(`"",`)
		return fmt.Errorf("%w; its %d chunks make a publication of %s: allow that there, or give a larger --chunk-size",
			err, m.Chunks(), units.Size(m.Chunks()*digest))
	}
	return err
}
