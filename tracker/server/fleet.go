package server

import (
	"context"
	"time"

	"fanout/api/trackerapi"
	"fanout/tracker/table"
)

// peerCalls are the calls about the peers that there are.
type peerCalls struct {
	fleet           *table.Fleet
	swarms          *table.Swarms
	lease, interval time.Duration
}

// ListPeers implements GET /v1/peers.
func (c *peerCalls) ListPeers(context.Context, trackerapi.ListPeersRequestObject) (trackerapi.ListPeersResponseObject, error) {
	peers := []trackerapi.Peer{}
	for _, p := range c.fleet.List() {
		peers = append(peers, trackerapi.Peer{
			Id: p.ID, Address: p.Address.String(), HttpAddress: optional(p.HTTPAddress.String()),
			LastSeen: p.LastSeen.UTC(), Follow: p.Follow, Clash: optional(p.Clash),
		})
	}
	list := trackerapi.ListPeers200JSONResponse{Peers: peers}
	if n := c.fleet.Awaited(); n > 0 {
		list.Awaited = &n
	}
	return list, nil
}

// RegisterPeer implements PUT /v1/peers/{id}.
func (c *peerCalls) RegisterPeer(_ context.Context, r trackerapi.RegisterPeerRequestObject) (trackerapi.RegisterPeerResponseObject, error) {
	address, err := table.ParseAddress("address", r.Body.Address)
	if err != nil {
		return nil, err
	}
	httpAddress, err := parseOptional("http_address", r.Body.HttpAddress)
	if err != nil {
		return nil, err
	}
	err = c.fleet.Register(table.Peer{
		ID: r.Id, Address: address, HTTPAddress: httpAddress, Follow: value(r.Body.Follow),
		Instance: value(r.Body.Instance),
	})
	if err != nil {
		return nil, err
	}
	return trackerapi.RegisterPeer200JSONResponse{
		LeaseSeconds: c.lease.Seconds(), IntervalSeconds: c.interval.Seconds(),
	}, nil
}

// UnregisterPeer implements DELETE /v1/peers/{id}.
func (c *peerCalls) UnregisterPeer(_ context.Context, r trackerapi.UnregisterPeerRequestObject) (trackerapi.UnregisterPeerResponseObject, error) {
	leave := func() error { return c.swarms.Unregister(r.Id, value(r.Params.Instance)) }
	if value(r.Params.Forget) {
		leave = func() error { return c.swarms.Forget(r.Id) }
	}
	if err := leave(); err != nil {
		return nil, err
	}
	return trackerapi.UnregisterPeer204Response{}, nil
}
