package server

import (
	"context"

	"fanout/api/trackerapi"
	"fanout/tracker/table"
)

// ListPeers implements GET /v1/peers.
func (s *Server) ListPeers(context.Context, trackerapi.ListPeersRequestObject) (trackerapi.ListPeersResponseObject, error) {
	peers := []trackerapi.Peer{}
	for _, p := range s.table.Fleet.List() {
		peers = append(peers, trackerapi.Peer{
			Id: p.ID, Address: p.Address.String(), HttpAddress: optional(p.HTTPAddress.String()),
			LastSeen: p.LastSeen.UTC(), Follow: p.Follow, Clash: optional(p.Clash),
		})
	}
	list := trackerapi.ListPeers200JSONResponse{Peers: peers}
	if n := s.table.Fleet.Awaited(); n > 0 {
		list.Awaited = &n
	}
	return list, nil
}

// RegisterPeer implements PUT /v1/peers/{id}.
func (s *Server) RegisterPeer(_ context.Context, r trackerapi.RegisterPeerRequestObject) (trackerapi.RegisterPeerResponseObject, error) {
	address, err := table.ParseAddress("address", r.Body.Address)
	if err != nil {
		return nil, err
	}
	httpAddress, err := parseOptional("http_address", r.Body.HttpAddress)
	if err != nil {
		return nil, err
	}
	err = s.table.Fleet.Register(table.Peer{
		ID: r.Id, Address: address, HTTPAddress: httpAddress, Follow: value(r.Body.Follow),
		Instance: value(r.Body.Instance),
	})
	if err != nil {
		return nil, err
	}
	return trackerapi.RegisterPeer200JSONResponse{
		LeaseSeconds: s.table.Lease().Seconds(), IntervalSeconds: s.table.Interval().Seconds(),
	}, nil
}

// UnregisterPeer implements DELETE /v1/peers/{id}.
func (s *Server) UnregisterPeer(_ context.Context, r trackerapi.UnregisterPeerRequestObject) (trackerapi.UnregisterPeerResponseObject, error) {
	leave := func() error { return s.table.Swarms.Unregister(r.Id, value(r.Params.Instance)) }
	if value(r.Params.Forget) {
		leave = func() error { return s.table.Swarms.Forget(r.Id) }
	}
	if err := leave(); err != nil {
		return nil, err
	}
	return trackerapi.UnregisterPeer204Response{}, nil
}

// ServiceDiscovery implements GET /v1/sd. The tracker lists itself under the address at which
// Prometheus has reached it.
func (s *Server) ServiceDiscovery(ctx context.Context, _ trackerapi.ServiceDiscoveryRequestObject) (trackerapi.ServiceDiscoveryResponseObject, error) {
	groups := []trackerapi.TargetGroup{}
	add := func(role, id, address string) {
		groups = append(groups, trackerapi.TargetGroup{
			Targets: []string{address}, Labels: map[string]string{"role": role, "id": id},
		})
	}
	if host := requestOf(ctx).Host; host != "" {
		add("tracker", "tracker", host)
	}
	origins, peers := s.table.Origins.Daemons(), s.table.Fleet.Daemons()
	for _, d := range origins {
		add("origin", d.ID, d.HTTPAddress)
	}
	for _, d := range peers {
		add("peer", d.ID, d.HTTPAddress)
	}
	return trackerapi.ServiceDiscovery200JSONResponse(groups), nil
}
